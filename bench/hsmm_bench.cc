// The HSMM against the literal O(T S^2 D) recursion in the same run: T = 10000, S = 10, D = 200.
#include <benchmark/benchmark.h>

#include <cmath>
#include <memory>

#include "base/rng.h"
#include "decide/hsmm_filter.h"
#include "decide/hsmm_offline.h"
#include "decide/sequence.h"

namespace graupel::decide {
namespace {

constexpr size_t kStates = 10, kMaximum = 200, kWindows = 10000;

std::shared_ptr<const HsmmTables> tables() {
  Hsmm model;
  model.maximum_duration = kMaximum;
  model.initial.assign(kStates, 0.1);
  model.transitions.assign(1, std::vector<double>(kStates * kStates, 1.0 / 9.0));
  for (size_t s = 0; s < kStates; ++s) model.transitions[0][s * kStates + s] = 0.0;
  model.durations.assign(kStates, {DurationFamily::kNegativeBinomial, {2.0, 40.0}});
  model.emission.prior.assign(kStates, 0.1);
  return std::make_shared<HsmmTables>(make_hsmm_tables(model).value());
}

// Segments of 10 to 90 windows; the classifier is right in two of three.
std::vector<double> emissions() {
  Rng rng(1);
  std::vector<double> b;
  size_t state = 0, left = 0;
  for (size_t t = 0; t < kWindows; ++t) {
    if (left-- == 0) state = rng.below(kStates), left = 10 + rng.below(80);
    const size_t shown = rng.uniform() < 0.63 ? state : rng.below(kStates);
    for (size_t s = 0; s < kStates; ++s) b.push_back(s == shown ? 0.0 : -2.0 - rng.uniform());
  }
  return b;
}

// max over d and r, with sums of emissions, but for every pair of states anew.
void naive_viterbi(benchmark::State& run) {
  const auto model = tables();
  const std::vector<double> b = emissions();
  for (auto _ : run) {
    std::vector<double> sums((kWindows + 1) * kStates, 0.0), ends((kWindows + 1) * kStates, -1e300);
    for (size_t t = 1; t <= kWindows; ++t) {
      for (size_t s = 0; s < kStates; ++s) {
        sums[t * kStates + s] = sums[(t - 1) * kStates + s] + b[(t - 1) * kStates + s];
        const std::vector<double>& law = model->durations[s].log_probability;
        double best = -1e300;
        for (size_t d = 1; d <= std::min(t, law.size()); ++d) {
          const double emitted = sums[t * kStates + s] - sums[(t - d) * kStates + s];
          for (size_t r = 0; r < kStates; ++r) {
            const double enters =
                t == d ? model->log_initial[s]
                       : ends[(t - d) * kStates + r] + model->log_transition[r * kStates + s];
            best = std::max(best, enters + law[d - 1] + emitted);
          }
        }
        ends[t * kStates + s] = best;
      }
    }
    benchmark::DoNotOptimize(ends.back());
  }
}
BENCHMARK(naive_viterbi)->Name("hsmm/viterbi_naive")->Unit(benchmark::kMillisecond)->Iterations(1);

void fast_viterbi(benchmark::State& run) {
  const auto model = tables();
  const std::vector<double> b = emissions();
  for (auto _ : run) benchmark::DoNotOptimize(viterbi(*model, {b, {}, End::kOpen}).ok());
}
BENCHMARK(fast_viterbi)->Name("hsmm/viterbi")->Unit(benchmark::kMillisecond);

void whole_posterior(benchmark::State& run) {
  const auto model = tables();
  const std::vector<double> b = emissions();
  for (auto _ : run) benchmark::DoNotOptimize(posterior(*model, {b, {}, End::kOpen}).ok());
}
BENCHMARK(whole_posterior)->Name("hsmm/posterior")->Unit(benchmark::kMillisecond);

void online_step(benchmark::State& run) {
  HsmmFilter filter = make_filter(tables(), static_cast<size_t>(run.range(0))).value();
  const std::vector<double> b = emissions();
  size_t t = 0;
  for (auto _ : run) {
    step(filter, std::span<const double>(b).subspan(t * kStates, kStates));
    t = t + 1 == kWindows ? 0 : t + 1;
  }
  benchmark::DoNotOptimize(filter.probability[0]);
}
BENCHMARK(online_step)
    ->Name("hsmm/step_lag")
    ->Arg(0)
    ->Arg(5)
    ->Arg(10)
    ->Arg(50)
    ->Unit(benchmark::kMicrosecond);

// What a stream does with a window: evidence, filter, fixed lag of 10, state and how long it lasts.
void stream_step(benchmark::State& run) {
  auto model = std::make_shared<SequenceModel>();
  model->tables = tables();
  model->model.emission.prior.assign(kStates, 1.0 / kStates);
  SequenceOptions options;
  options.lag = static_cast<size_t>(run.range(0));
  Sequence sequence = start_sequence(model, options).value();
  std::vector<double> p = emissions();
  for (size_t t = 0; t < kWindows; ++t) {
    double sum = 0.0;
    for (size_t s = 0; s < kStates; ++s) sum += p[t * kStates + s] = std::exp(p[t * kStates + s]);
    for (size_t s = 0; s < kStates; ++s) p[t * kStates + s] /= sum;
  }
  size_t t = 0;
  for (auto _ : run) {
    const std::span<const double> row(p);
    benchmark::DoNotOptimize(step(sequence, row.subspan(t * kStates, kStates), true).state);
    t = t + 1 == kWindows ? 0 : t + 1;
  }
}
BENCHMARK(stream_step)
    ->Name("hsmm/stream_step_lag")
    ->Arg(0)
    ->Arg(10)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace graupel::decide
