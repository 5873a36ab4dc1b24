// The quantiser's stages in order: checks, the level's steps, QDQ graph, noise table.
// See quantize.h. Test: quantize_test.cc.
#include "quantize/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/metrics.h"
#include "ir/eval.h"
#include "quantize/build_qdq.h"
#include "quantize/levels.h"
#include "quantize/noise.h"
#include "quantize/oddities.h"
#include "quantize/proofs.h"
#include "quantize/sensitivity.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

// The quantiser knows float32 alone.
Result<void> check_types(const Graph& device) {
  for (const NodeId id : ir::live_nodes(device)) {
    for (const ValueId value : device.node(id).outputs) {
      if (!value.valid()) continue;
      const DType dtype = device.value(value).dtype;
      if (!is_float(dtype) || dtype == DType::kFloat32) continue;
      return unsupported(device.node(id).name,
                         fmt::format("yields {}; only float32 networks can be quantised (export "
                                     "the model in float32)",
                                     graupel::to_string(dtype)));
    }
  }
  return ok();
}

Result<void> check_windows(const Graph& device, const Tensor& windows, int level) {
  if (device.inputs.size() != 1) {
    return unsupported(device.name, fmt::format("has {} inputs; calibration windows feed exactly "
                                                "one",
                                                device.inputs.size()));
  }
  const Shape& wanted = device.shape(device.inputs[0]);
  const Shape& found = windows.shape();
  if (wanted.empty() || wanted[0] != 1 || device.value(device.inputs[0]).dtype != DType::kFloat32) {
    return unsupported(device.value(device.inputs[0]).name,
                       fmt::format("is {} {}; the input of a network to quantise is float32 of "
                                   "batch 1",
                                   graupel::to_string(device.value(device.inputs[0]).dtype),
                                   graupel::to_string(wanted)));
  }
  const bool fits = windows.dtype() == DType::kFloat32 && found.size() == wanted.size() &&
                    std::equal(found.begin() + 1, found.end(), wanted.begin() + 1);
  if (!fits) {
    return invalid_input(
        "calibration windows",
        fmt::format("are {} {}, expected float32 N{}", graupel::to_string(windows.dtype()),
                    graupel::to_string(found), graupel::to_string(wanted).substr(1)));
  }
  if (found[0] < kMinimumWindows) {
    return invalid_input("calibration windows",
                         fmt::format("hold {} windows, at least {} are needed ({} recommended)",
                                     found[0], kMinimumWindows, kRecommendedWindows));
  }
  if (found[0] < windows_needed(level)) {
    return invalid_input(
        "calibration windows",
        fmt::format("hold {} windows, but level {} needs {}; give more, or a lower --level",
                    found[0], level, windows_needed(level)));
  }
  return ok();
}

// The class of each of the windows that spread_windows picks; empty if not known.
std::vector<int64_t> labels_of(const QuantizeOptions& options, const Tensor& windows,
                               size_t count) {
  const bool known = options.labels.size() == static_cast<size_t>(windows.shape()[0]);
  return known ? spread_numbers(options.labels, count) : std::vector<int64_t>();
}

// Share of the numbers in outputs the host rounds that become another whole number.
std::optional<double> digits_changed(const Graph& device, const QuantizeOptions& options,
                                     const std::vector<Tensor>& exact,
                                     const std::vector<Tensor>& close) {
  size_t changed = 0, count = 0;
  for (size_t output = 0; output < exact.size(); ++output) {
    const std::string& name = device.value(device.outputs[output]).name;
    const std::vector<std::string>& rounded = options.rounded_outputs;
    if (std::find(rounded.begin(), rounded.end(), name) == rounded.end()) continue;
    const std::vector<double> x = exact[output].to_doubles(), y = close[output].to_doubles();
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      changed += std::nearbyint(x[i]) != std::nearbyint(y[i]) ? 1 : 0;
    }
    count += x.size();
  }
  if (count == 0) return std::nullopt;
  return 100.0 * static_cast<double>(changed) / static_cast<double>(count);
}

// Output noise, and what becomes of the answers, on calibration windows.
Result<void> judge_answers(const Graph& device, const Graph& qdq, const Tensor& windows,
                           const QuantizeOptions& options, Quantized& result) {
  const auto count = static_cast<size_t>(std::max<int64_t>(options.noise_windows, 1));
  TRY_ASSIGN(const Reference reference, make_reference(device, windows, count));
  ir::EvalOptions integer;
  integer.qdq = ir::QdqMode::kInteger;
  TRY_ASSIGN(const std::vector<Tensor> found,
             ir::evaluate_windows(qdq, reference.windows, integer));
  result.output_snr_db = noise_db(relative_noise(reference.outputs, found));
  result.digits_changed_percent = digits_changed(device, options, reference.outputs, found);
  TRY_ASSIGN(const Answers exact, answers_of(device, reference.outputs, options.host));
  TRY_ASSIGN(const Answers close, answers_of(device, found, options.host));
  if (!exact.are_logits) return ok();
  result.logits_snr_db = noise_db(relative_noise({exact.logits}, {close.logits}));
  const std::vector<int64_t> before = argmax_rows(exact.logits), after = argmax_rows(close.logits);
  result.agreement_percent = agreement_percent(before, after);
  const std::vector<int64_t> labels = labels_of(options, windows, count);
  if (labels.empty()) return ok();
  const int64_t classes = exact.logits.shape()[1];
  if (classes > kMaxClasses) return ok();
  Result<Classification> whole = classify(before, labels, classes);
  if (!whole.ok()) return std::move(whole).error().within("calibration windows");
  TRY_ASSIGN(const Classification rounded, classify(after, labels, classes));
  result.macro_f1_drop_points = whole->macro_f1_percent - rounded.macro_f1_percent;
  return ok();
}

constexpr std::string_view kCalibratorNames[] = {
    "minmax", "moving-average", "percentile", "mse", "mse-channel", "entropy", "output"};
constexpr std::string_view kSchemeNames[] = {"symmetric", "asymmetric"};

}  // namespace

std::string_view to_string(Scheme scheme) { return kSchemeNames[static_cast<size_t>(scheme)]; }
std::string_view to_string(Calibrator calibrator) {
  return kCalibratorNames[static_cast<size_t>(calibrator)];
}

std::optional<Scheme> parse_scheme(std::string_view name) {
  for (const Scheme scheme : {Scheme::kSymmetric, Scheme::kAsymmetric}) {
    if (to_string(scheme) == name) return scheme;
  }
  return std::nullopt;
}

std::optional<Calibrator> parse_calibrator(std::string_view name) {
  for (const Calibrator calibrator :
       {Calibrator::kMinMax, Calibrator::kMovingAverage, Calibrator::kPercentile, Calibrator::kMse,
        Calibrator::kMseChannel, Calibrator::kEntropy, Calibrator::kOutput}) {
    if (to_string(calibrator) == name) return calibrator;
  }
  return std::nullopt;
}

int64_t windows_needed(int level) {
  if (level == 3) return kLearningWindows;
  return level >= 2 ? kFullLearningWindows : kMinimumWindows;
}

Result<Quantized> quantize(const Graph& device, const Tensor& windows,
                           const QuantizeOptions& options) {
  TRY(check_windows(device, windows, options.level));
  TRY(check_types(device));
  TRY_ASSIGN(Optimised done, optimise(device, windows, options));
  Quantized result;
  const Choices& choices = done.choices;
  const std::vector<Histogram>& histograms = done.seen.histograms;
  for (size_t i = 0; i < done.graph.values.size(); ++i) {
    if (!done.points.is_point[i]) continue;
    const size_t shared = done.points.same_scale[i].index();
    const ScaleChoice& scale = is_wide(done.points, choices, ValueId(i))
                                   ? choices.wide_scales[shared]
                                   : choices.scales[shared];
    result.points.push_back({done.graph.values[i].name, scale.dtype, scale.scale, scale.zero_point,
                             histograms[shared].minimum(), histograms[shared].maximum()});
  }
  TRY_ASSIGN(Qdq qdq, build_qdq(done.graph, done.points, choices));
  TRY_ASSIGN(result.noise, noise_table(done.graph, qdq, done.points, choices, histograms, windows,
                                       options.noise_windows));
  TRY(judge_answers(device, qdq.graph, windows, options, result));
  result.graph = std::move(qdq.graph);
  TRY_ASSIGN(result.sensitivity, measure_sensitivity(done, windows, options));
  TRY_ASSIGN(result.layers, layer_weights(done, windows));
  result.findings = find_oddities(device, done, result.noise);
  result.steps = std::move(done.steps);
  result.equalized = done.equalized;
  result.held_out_noise = std::move(done.held_out.noise);
  return result;
}

Encodings encodings_of(const Quantized& quantized) {
  Encodings encodings;
  for (const Point& point : quantized.points) {
    encodings.tensors[point.value] = {point.dtype, point.scale, point.zero_point};
  }
  for (const LayerWeights& layer : quantized.layers) {
    encodings.layers[layer.node] = {layer.bits, layer.scales};
  }
  return encodings;
}

}  // namespace graupel::quantize
