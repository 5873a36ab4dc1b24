// Profile: what a plan costs on this machine. Numbers only; the caller judges and prints.
// Test: profile_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "run/engine.h"

namespace graupel::run {

struct ProfileOptions {
  size_t warmup_runs = 20;
  size_t runs = 1000;
  double seconds_limit = 10.0;  // stops early, after at least one run
  // For whoever loads the engine: windows of a run, and threads that share its large steps.
  size_t batch = 1;
  size_t threads = 1;
};

struct StepProfile {
  std::string node;
  std::string kind;  // step_name
  Part part = Part::kDevice;
  int64_t macs = 0;
  int64_t bytes = 0;
  double time_us = 0.0;  // of one window, mean over the timed runs
  double share = 0.0;    // of the sum over all steps
};

struct Profile {
  std::string isa;
  size_t runs = 0;
  size_t batch = 1;    // windows of a run
  size_t threads = 1;  // that share its large steps; 1 if none is worth it
  double latency_us_min = 0.0;
  double latency_us_mean = 0.0;
  double latency_us_p50 = 0.0;
  double latency_us_p95 = 0.0;
  double latency_us_p99 = 0.0;
  double latency_us_max = 0.0;
  double windows_per_s = 0.0;  // batch / mean latency
  double device_us = 0.0;      // mean time of the device part's steps; likewise the host part's
  double host_us = 0.0;
  int64_t macs = 0;
  std::vector<StepProfile> steps;
  uint64_t arena_bytes = 0;
  uint64_t arena_lower_bound_bytes = 0;
  uint64_t scratch_bytes = 0;
  uint64_t packed_bytes = 0;    // weights as the kernels take them
  uint64_t constant_bytes = 0;  // weights and tables as stored
  uint64_t plan_bytes = 0;      // size of cpu.plan
  uint64_t peak_rss_bytes = 0;  // of this process so far
};

// Runs the windows (one or more, one behind the other) in turn, as many at a time as the engine's
// batch. Latencies are taken around whole runs; the time per step comes from separate runs, because
// taking it costs time itself. Errors: those of run(); kInvalidInput for no runs.
Result<Profile> profile_engine(Engine& engine, std::span<const float> windows,
                               const ProfileOptions& options = {});

// The value below which `fraction` of the sorted samples lie (nearest rank); 0 for none.
double percentile(std::span<const double> sorted, double fraction);

}  // namespace graupel::run
