// The quantiser's stages in order: points, observation, scales, QDQ graph, noise table.
// See quantize.h. Test: quantize_test.cc.
#include "quantize/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/parallel.h"
#include "base/window_at.h"
#include "ir/eval.h"
#include "quantize/build_qdq.h"
#include "quantize/choose_range.h"
#include "quantize/histogram.h"
#include "quantize/noise.h"
#include "quantize/points.h"
#include "quantize/region.h"

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

Result<void> check_windows(const Graph& device, const Tensor& windows) {
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
  return ok();
}

// Histograms of every point over all windows; one set per worker, merged in the end.
Result<std::vector<Histogram>> observe(const Graph& device, const Points& points,
                                       const Tensor& windows) {
  const auto count = static_cast<size_t>(windows.shape()[0]);
  const size_t workers = available_cores();
  std::vector<std::vector<Histogram>> partial(workers,
                                              std::vector<Histogram>(device.values.size()));
  std::vector<std::optional<Error>> errors(count);
  const ValueId input = device.inputs[0];
  parallel_for(count, [&](size_t index, size_t worker) {
    const std::array<Tensor, 1> window = {window_at(windows, index)};
    std::vector<Histogram>& histograms = partial[worker];
    const auto record = [&](size_t, ValueId id, const Tensor& tensor) {
      if (!points.is_point[id.index()]) return;
      histograms[points.same_scale[id.index()].index()].add(tensor.data<float>());
    };
    record(0, input, window[0]);
    ir::EvalOptions options;
    options.observe = record;
    Result<std::vector<Tensor>> outputs = ir::evaluate(device, window, options);
    if (!outputs.ok()) errors[index] = std::move(outputs).error();
  });
  for (const std::optional<Error>& error : errors) {
    if (error) return *error;
  }
  std::vector<Histogram> merged = std::move(partial[0]);
  for (size_t worker = 1; worker < workers; ++worker) {
    for (size_t i = 0; i < merged.size(); ++i) merged[i].merge(partial[worker][i]);
  }
  return merged;
}

// The range to keep of one point. Where only an elementwise region reads it, mse means the error
// behind that region.
Result<Range> range_of_point(const Graph& device, const Points& points, ValueId id,
                             const Histogram& histogram, const QuantizeOptions& options) {
  if (options.calibrator == Calibrator::kMse && histogram.count() > 0) {
    TRY_ASSIGN(const std::optional<Region> region, region_behind(device, points, id));
    if (region) return range_for_region(*region, histogram, options.scheme);
  }
  return choose_range(histogram, options);
}

constexpr std::string_view kCalibratorNames[] = {"minmax", "percentile", "mse", "entropy"};
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
       {Calibrator::kMinMax, Calibrator::kPercentile, Calibrator::kMse, Calibrator::kEntropy}) {
    if (to_string(calibrator) == name) return calibrator;
  }
  return std::nullopt;
}

Result<Quantized> quantize(const Graph& device, const Tensor& windows,
                           const QuantizeOptions& options) {
  TRY(check_windows(device, windows));
  TRY(check_types(device));
  const Points points = find_points(device);
  TRY_ASSIGN(const std::vector<Histogram> histograms, observe(device, points, windows));
  std::vector<ScaleChoice> scales(device.values.size());
  Quantized result;
  for (size_t i = 0; i < device.values.size(); ++i) {
    if (!points.is_point[i] || points.same_scale[i] != ValueId(i)) continue;
    if (histograms[i].non_finite() > 0) {
      return invalid_input(device.values[i].name,
                           fmt::format("becomes NaN or infinite for {} values of the calibration "
                                       "windows; check the windows' range",
                                       histograms[i].non_finite()));
    }
    TRY_ASSIGN(const Range range,
               range_of_point(device, points, ValueId(i), histograms[i], options));
    scales[i] = choose_scale(range, options.scheme);
  }
  for (size_t i = 0; i < device.values.size(); ++i) {
    if (!points.is_point[i]) continue;
    const size_t shared = points.same_scale[i].index();
    result.points.push_back({device.values[i].name, scales[shared].dtype, scales[shared].scale,
                             scales[shared].zero_point, histograms[shared].minimum(),
                             histograms[shared].maximum()});
  }
  TRY_ASSIGN(Qdq qdq, build_qdq(device, points, scales));
  TRY_ASSIGN(result.noise,
             noise_table(device, qdq, points, scales, histograms, windows, options.noise_windows));
  result.graph = std::move(qdq.graph);
  return result;
}

}  // namespace graupel::quantize
