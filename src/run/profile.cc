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
  profile.windows_per_s = profile.latency_us_mean > 0.0 ? 1e6 / profile.latency_us_mean : 0.0;
}

// Window `index` of those given, starting over behind the last; all of `windows` if it does not
// hold whole windows, which run() refuses.
std::span<const float> window_at(const Engine& engine, std::span<const float> windows,
                                 size_t index) {
  const Plan& plan = plan_of(engine);
  const auto size =
      static_cast<size_t>(buffer_elements(plan.buffers[plan.inputs[0].buffer.index()]));
  if (size == 0 || windows.empty() || windows.size() % size != 0) return windows;
  return windows.subspan(index % (windows.size() / size) * size, size);
}

Result<void> time_steps(Engine& engine, std::span<const float> windows, size_t runs,
                        Profile& profile) {
  const Plan& plan = plan_of(engine);
  std::vector<int64_t> step_ns(plan.steps.size(), 0);
  for (size_t i = 0; i < runs; ++i) {
    TRY(run_timed(engine, window_at(engine, windows, i), step_ns));
  }
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
    row.time_us = static_cast<double>(step_ns[i]) / 1000.0 / static_cast<double>(runs);
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
  for (size_t i = 0; i < options.warmup_runs; ++i) {
    TRY(run(engine, window_at(engine, windows, i)));
  }
  std::vector<double> samples;
  samples.reserve(options.runs);
  const Clock::time_point start = Clock::now();
  for (size_t i = 0; i < options.runs; ++i) {
    const std::span<const float> window = window_at(engine, windows, i);
    const Clock::time_point before = Clock::now();
    TRY(run(engine, window));
    const Clock::time_point after = Clock::now();
    samples.push_back(microseconds(after - before));
    if (microseconds(after - start) > options.seconds_limit * 1e6) break;
  }
  Profile profile;
  const size_t timed_runs = std::max<size_t>(1, samples.size() / 10);
  summarise(std::move(samples), profile);
  TRY(time_steps(engine, windows, timed_runs, profile));
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
