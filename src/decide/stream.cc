// Drift alarm and adaptive sets. See stream.h. Test: stream_test.cc.
#include "decide/stream.h"

#include <algorithm>
#include <cmath>

#include "decide/conformal.h"

namespace graupel::decide {
namespace {

// Simple Jumper: three bets f(p) = 1 + e (p - 1/2); a small share of the money moves between them
// at every step, so that the winning bet may change.
constexpr std::array<double, 3> kBets = {-1.0, 0.0, 1.0};
constexpr double kJump = 0.01;

// Factor by which the wealth grows with this p-value.
double bet(double p, std::array<double, 3>& capital) {
  double growth = 0.0;
  for (size_t i = 0; i < kBets.size(); ++i) {
    capital[i] = ((1.0 - kJump) * capital[i] + kJump / 3.0) * (1.0 + kBets[i] * (p - 0.5));
    growth += capital[i];
  }
  for (double& share : capital) share /= growth;
  return growth;
}

}  // namespace

DriftState start_drift(const Drift& drift, uint64_t seed) {
  DriftState state;
  state.counts = drift.counts;
  state.seed = seed;
  for (const int64_t count : drift.counts) state.total += count;
  return state;
}

double observe_drift(const Drift& drift, double uncertainty, DriftState& state) {
  if (std::isnan(uncertainty)) return 1.0;
  const auto bin = static_cast<size_t>(
      std::upper_bound(drift.edges.begin(), drift.edges.end(), uncertainty) - drift.edges.begin());
  ++state.counts[bin];
  ++state.total;
  int64_t above = 0;
  for (size_t i = bin + 1; i < state.counts.size(); ++i) above += state.counts[i];
  const double tie = uniform_of(state.seed, static_cast<uint64_t>(state.windows));
  const double p = (static_cast<double>(above) + tie * static_cast<double>(state.counts[bin])) /
                   static_cast<double>(state.total);
  ++state.windows;
  const double growth = std::log(bet(p, state.capital));
  state.log_wealth += growth;
  // R' = (1 + R) growth, in logarithms.
  const double larger = std::max(0.0, state.log_restarting);
  state.log_restarting =
      larger + std::log(std::exp(-larger) + std::exp(state.log_restarting - larger)) + growth;
  state.alarm = state.alarm || state.log_wealth >= std::log(drift.alarm) ||
                state.log_restarting >= std::log(drift.run_length);
  return p;
}

AdaptiveState start_adaptive(const Conformal& conformal) { return {conformal.alpha, 0, 0}; }

double adaptive_threshold(const Adaptive& adaptive, const AdaptiveState& state) {
  if (state.alpha <= 0.0 || adaptive.scores.empty()) return kNoThreshold;
  if (state.alpha >= 1.0) return -kNoThreshold;
  const auto count = static_cast<size_t>(adaptive.calibration_count);
  const std::optional<size_t> rank = conformal_rank(count, state.alpha);
  if (!rank) return kNoThreshold;
  // scores[i] is the calibration score of rank ceil((i + 1) count / stored): the first at or above.
  const size_t stored = adaptive.scores.size();
  size_t low = 0, high = stored - 1;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const size_t rank_there = ((middle + 1) * count + stored - 1) / stored;
    if (rank_there >= *rank) high = middle;
    if (rank_there < *rank) low = middle + 1;
  }
  return adaptive.scores[low];
}

void observe_adaptive(const Adaptive& adaptive, double target_alpha, bool missed,
                      AdaptiveState& state) {
  state.alpha += adaptive.step * (target_alpha - (missed ? 1.0 : 0.0));
  ++state.windows;
  state.misses += missed ? 1 : 0;
}

Stream start_stream(const Decider& decider, uint64_t seed) {
  Stream stream;
  stream.workspace = make_workspace(decider);
  if (decider.block.drift) stream.drift = start_drift(*decider.block.drift, seed);
  if (decider.block.conformal) stream.adaptive = start_adaptive(*decider.block.conformal);
  return stream;
}

Result<Stream> start_recording(const Decider& decider, const SequenceOptions& options,
                               size_t digits, uint64_t seed) {
  if (decider.sequence == nullptr) {
    return invalid_input(std::string(kBlockMember),
                         "has no HSMM, so there is no state that lasts; fit one with graupel "
                         "calibrate --hsmm or graupel hsmm");
  }
  const Emission& emission = decider.sequence->model.emission;
  if (emission.use != EmissionUse::kPosteriors && digits != emission.levels.size()) {
    return invalid_input(std::string(kBlockMember),
                         "its HSMM reads " + std::to_string(emission.levels.size()) +
                             " FSQ digits, the network gives " + std::to_string(digits) +
                             ": fit it again on this bundle");
  }
  Stream stream = start_stream(decider, seed);
  TRY_ASSIGN(stream.sequence, start_sequence(decider.sequence, options));
  return stream;
}

void restart_recording(Stream& stream) {
  if (stream.sequence) restart(*stream.sequence);
}

StreamDecision decide_next(const Decider& decider, std::span<const float> logits,
                           std::optional<int64_t> group, Stream& stream,
                           std::span<const int64_t> digits, uint32_t context) {
  const Block& block = decider.block;
  WindowContext known;
  known.group = group;
  known.number = stream.windows++;
  // Until a true class is told, the sets are the block's own.
  if (block.adaptive && stream.adaptive.windows > 0) {
    known.threshold = adaptive_threshold(*block.adaptive, stream.adaptive);
  }
  StreamDecision result;
  result.decision = decide_window(decider, logits, known, stream.workspace);
  if (block.drift && result.decision.finite) {
    observe_drift(*block.drift, 1.0 - result.decision.probability, stream.drift);
    result.log_wealth = stream.drift.log_wealth;
    result.drift_alarm = stream.drift.alarm;
  }
  if (stream.sequence) {
    result.sequence = step(*stream.sequence, result.decision.probabilities, result.decision.finite,
                           digits, context);
  }
  return result;
}

void tell_truth(const Decider& decider, int64_t true_class, const Decision& decision,
                Stream& stream) {
  if (!decider.block.adaptive || !decider.block.conformal || !decision.set) return;
  const std::span<const int32_t> set = *decision.set;
  const bool missed = std::find(set.begin(), set.end(), true_class) == set.end();
  observe_adaptive(*decider.block.adaptive, decider.block.conformal->alpha, missed,
                   stream.adaptive);
}

}  // namespace graupel::decide
