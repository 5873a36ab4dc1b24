// Which engine answers for a bundle, as it was asked for, and windows answered by it.
//
// auto: the device if the bundle holds a HEF and library and device are there; else the CPU, with
// one warning if there is a HEF. hailort: the device has to open at the start, or that is an error;
// later failures are answered by the CPU as with auto. cpu: the library is never touched.
// Test: start_test.cc.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/bundle.h"
#include "npu/answerer.h"
#include "run/answers.h"
#include "run/engine.h"

namespace graupel::npu {

enum class EngineChoice { kAuto, kHailort, kCpu };

struct EngineOptions {
  EngineChoice choice = EngineChoice::kAuto;
  uint64_t shadow_every = 0;  // every k-th window of the device on the CPU too; 0: none
  int deadline_ms = 1000;     // of a device call; the library gives up at four fifths of it
  BreakerOptions breaker;
  int self_test_runs = 3;  // of the same window when the device opens; below 2: none
  std::string library;     // a path; empty: $GRAUPEL_HAILORT, else the loader's folders
};

struct Started {
  Answerer answerer;
  bool has_device = false;  // the bundle's HEF is asked, or will be once the device opens
  std::string warning;      // why the device is not used although the bundle holds a HEF
};

// `engine` is that of the bundle's cpu.plan; with kCpu the other members are not looked at.
// Errors: kInvalidInput for kHailort without a HEF, or with one but without device.json (a bundle
// of an older graupel; with kAuto that is the warning); kUnsupported for kHailort if graupel does
// not run such a HEF (with kAuto: the warning); kDevice for kHailort if no device opens; kCorrupt
// if the members contradict each other.
Result<Started> start_engine(const bundle::Bundle& bundle, const run::Engine& engine,
                             const EngineOptions& options);
// The same for a bundle's file, of which only the members named above are read.
Result<Started> start_engine(const std::string& path, const run::Engine& engine,
                             const EngineOptions& options);

// The reason for people and machines: "timeout", "breaker_open: no_device", or empty.
std::string reason_text(const Reply& reply);

struct Batch {
  std::vector<Tensor> outputs;       // [N, ...], as run::run_windows gives them
  std::vector<run::Source> sources;  // per window; empty if the bundle has no device part to ask
  std::vector<double> total_us, device_us;
};
// Windows [N, ...] in their order: one at a time if a device may answer, else on `threads` cores
// (0: all) by `engine`. Errors: the CPU's own.
Result<Batch> answer_windows(const Started& started, const run::Engine& engine,
                             const Tensor& windows, size_t threads = 0);

// One line for people: how many windows each engine answered, why not the device, shadow runs.
std::string summary_text(const Status& status);

}  // namespace graupel::npu
