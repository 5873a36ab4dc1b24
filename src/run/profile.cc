// Timing of runs and steps. See profile.h.
//
// Idea: steady_clock around each whole run gives the latencies; a tenth as many runs with a clock
// between the steps gives their shares. Test: profile_test.cc.
#include "run/profile.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

namespace graupel::run {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

uint64_t peak_rss_bytes() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;  // Linux gives KiB
}

void summarise(std::vector<double> samples, Profile& profile) {
  std::sort(samples.begin(), samples.end());
  profile.runs = samples.size();
  profile.latency_us_min = samples.front();
  profile.latency_us_max = samples.back();
  profile.latency_us_mean =
      std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
  profile.latency_us_p50 = percentile(samples, 0.50);
  profile.latency_us_p95 = percentile(samples, 0.95);
  profile.latency_us_p99 = percentile(samples, 0.99);
  const double windows_us = 1e6 * static_cast<double>(profile.batch);
  profile.windows_per_s =
      profile.latency_us_mean > 0.0 ? windows_us / profile.latency_us_mean : 0.0;
}

// The windows in turn, a batch at a time; the first ones follow the last.
class Turns {
 public:
  Turns(const Engine& engine, std::span<const float> windows) : batch_(engine.batch) {
    const Plan& plan = plan_of(engine);
    size_ = static_cast<size_t>(buffer_elements(plan.buffers[plan.inputs[0].buffer.index()]));
    values_.assign(windows.begin(), windows.end());
    // Windows that are not whole are given as they are, for run to refuse.
    if (windows.empty() || windows.size() % size_ != 0) return;
    count_ = windows.size() / size_;
    for (size_t i = 0; i < (batch_ - 1) * size_; ++i) values_.push_back(values_[i]);
  }
  std::span<const float> operator[](size_t run) const {
    const std::span<const float> all = values_;
    if (count_ == 0) return all;
    return all.subspan(run * batch_ % count_ * size_, batch_ * size_);
  }

 private:
  size_t batch_, size_ = 0, count_ = 0;
  std::vector<float> values_;
};

Result<void> time_steps(Engine& engine, const Turns& turns, size_t runs, Profile& profile) {
  const Plan& plan = plan_of(engine);
  std::vector<int64_t> step_ns(plan.steps.size(), 0);
  for (size_t i = 0; i < runs; ++i) {
    TRY(run_timed(engine, turns[i], step_ns, engine.batch));
  }
  const double windows = static_cast<double>(runs * engine.batch);
  const double total_ns =
      static_cast<double>(std::accumulate(step_ns.begin(), step_ns.end(), int64_t{0}));
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    StepProfile row;
    row.node = step.node;
    row.kind = step_name(step.body);
    row.part = step.part;
    row.macs = step.macs;
    row.bytes = step.bytes;
    row.time_us = static_cast<double>(step_ns[i]) / 1000.0 / windows;
    row.share = total_ns > 0.0 ? static_cast<double>(step_ns[i]) / total_ns : 0.0;
    profile.macs += step.macs;
    (step.part == Part::kDevice ? profile.device_us : profile.host_us) += row.time_us;
    profile.steps.push_back(std::move(row));
  }
  return ok();
}

}  // namespace

double percentile(std::span<const double> sorted, double fraction) {
  if (sorted.empty()) return 0.0;
  const double rank = std::ceil(fraction * static_cast<double>(sorted.size()));
  const double last = static_cast<double>(sorted.size());
  return sorted[static_cast<size_t>(std::clamp(rank, 1.0, last)) - 1];
}

Result<Profile> profile_engine(Engine& engine, std::span<const float> windows,
                               const ProfileOptions& options) {
  if (options.runs == 0) return invalid_input("profile", "needs at least one run");
  const Turns turns(engine, windows);
  for (size_t i = 0; i < options.warmup_runs; ++i) {
    TRY(run_batch(engine, turns[i], engine.batch));
  }
  std::vector<double> samples;
  samples.reserve(options.runs);
  const Clock::time_point start = Clock::now();
  for (size_t i = 0; i < options.runs; ++i) {
    const std::span<const float> some = turns[i];
    const Clock::time_point before = Clock::now();
    TRY(run_batch(engine, some, engine.batch));
    const Clock::time_point after = Clock::now();
    samples.push_back(microseconds(after - before));
    if (microseconds(after - start) > options.seconds_limit * 1e6) break;
  }
  Profile profile;
  profile.batch = engine.batch;
  profile.threads = threads_of(engine);
  const size_t timed_runs = std::max<size_t>(1, samples.size() / 10);
  summarise(std::move(samples), profile);
  TRY(time_steps(engine, turns, timed_runs, profile));
  const Plan& plan = plan_of(engine);
  profile.isa = kernels::to_string(isa_of(engine));
  profile.arena_bytes = plan.arena_size_bytes;
  profile.arena_lower_bound_bytes = plan.arena_lower_bound_bytes;
  profile.scratch_bytes = scratch_size_bytes(engine);
  profile.packed_bytes = packed_size_bytes(engine);
  profile.constant_bytes = plan.constants.size();
  profile.plan_bytes = format_plan(plan).size();
  profile.peak_rss_bytes = peak_rss_bytes();
  return profile;
}

}  // namespace graupel::run
