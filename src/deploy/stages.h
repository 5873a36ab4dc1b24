// Stages 5 to 7: optimize, compile, validate. Each takes a bundle and gives one that holds more.
// Test: deploy_test.cc.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "bundle/bundle.h"
#include "deploy/halves.h"
#include "deploy/parse.h"
#include "deploy/windows.h"
#include "quantize/calibration_check.h"
#include "quantize/quantize.h"
#include "run/plan.h"
#include "run/profile.h"
#include "validate/bars.h"

namespace graupel::deploy {

// The graph in a bundle member. Errors name the member.
Result<ir::Graph> member_graph(const bundle::Bundle& bundle, std::string_view name);
// before.onnx (if there is one), device.onnx and host.onnx.
Result<Halves> float_halves(const bundle::Bundle& bundle);

// What the bundle's plan does to raw windows first; nullopt if nothing.
Result<std::optional<data::Normalization>> bundle_normalization(const bundle::Bundle& bundle);

// Device outputs that the host part rounds to whole numbers first, by name.
std::vector<std::string> rounded_outputs(const Halves& halves);

// Calibration windows for a bundle: normalised as it says unless the options ask for another way;
// labels are checked against the classes of the last part. Errors: those of load_windows.
Result<Windows> load_calibration(const WindowOptions& options, const bundle::Bundle& bundle);

struct Optimized {
  quantize::Quantized quantized;
  std::vector<quantize::CalibrationFinding> calibration;
};
// Adds device_int8.onnx, reports/optimize.json and normalization (if windows are normalised).
// `original`, if given, is used to judge the calibration set against training.
// Errors: kInvalidInput naming the finding when the calibration set is unfit.
Result<Optimized> optimize(bundle::Bundle& bundle, const Windows& windows,
                           const quantize::QuantizeOptions& options, const ir::Graph* original);

// Adds cpu.plan and, if a device can be asked for the device part, what runs beside it
// (device_members.h). Decisions fitted on another plan are dropped.
Result<run::Plan> compile(bundle::Bundle& bundle);

// The plan of the device part alone (and of what runs in front of it), so that its outputs are
// seen before the host part rounds them.
Result<run::Plan> device_plan(const bundle::Bundle& bundle);

struct Profiled {
  run::Profile whole;
  run::Profile device;  // of device_plan
  std::vector<validate::Judgement> judgements;
};
// Runs raw windows [N, ...] one by one and judges those of `bars` that are about latency,
// throughput, memory and size. `bundle` is compiled; errors name the missing member.
Result<Profiled> profile(const bundle::Bundle& bundle, const Tensor& windows,
                         const std::vector<validate::Bar>& bars,
                         const run::ProfileOptions& options);

struct ValidateOptions {
  std::vector<std::string> bars;  // "id=limit"
  size_t exact_windows = 64;      // on which plan and INT8 graph are compared byte for byte
  run::ProfileOptions profile = {.warmup_runs = 20, .runs = 500, .seconds_limit = 2.0};
};

struct Validated {
  std::vector<validate::Judgement> judgements;
  std::optional<Classification> float_classes;
  std::optional<Classification> int8_classes;
  run::Profile profile;         // of the whole plan
  run::Profile device_profile;  // of the device part alone
  bool passed() const;          // no bar failed
};
// Measures the bundle against the network it came from. Adds reports/validate.json (without
// times, so that the same input gives the same bytes) and judges the bundle's size with it.
Result<Validated> validate(bundle::Bundle& bundle, const ir::Graph& original,
                           const Windows& windows, const ValidateOptions& options);

// Reads `path` back and counts members that differ from `expected`, as one more judgement.
validate::Judgement judge_read_back(const std::string& path, const bundle::Bundle& expected,
                                    const validate::Bar& bar);

}  // namespace graupel::deploy
