// The quantiser's stages in order: points, observation, scales, QDQ graph, noise table.
// See quantize.h. Test: quantize_test.cc.
#include "quantize/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "base/parallel.h"
#include "ir/eval.h"
#include "quantize/build_qdq.h"
#include "quantize/choose_range.h"
#include "quantize/histogram.h"
#include "quantize/points.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

Result<void> check_windows(const Graph& device, const Tensor& windows) {
  if (device.inputs.size() != 1) {
    return unsupported(device.name, fmt::format("has {} inputs; calibration windows feed exactly "
                                                "one",
                                                device.inputs.size()));
  }
  const Shape& wanted = device.shape(device.inputs[0]);
  const Shape& found = windows.shape();
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

Tensor window_at(const Tensor& windows, size_t index) {
  Shape shape = windows.shape();
  shape[0] = 1;
  Tensor window(windows.dtype(), shape);
  const size_t size_bytes = window.size_bytes();
  std::copy_n(windows.bytes() + index * size_bytes, size_bytes, window.mutable_bytes());
  return window;
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

// Power of signal and noise of one tensor, summed per window so that the order is fixed.
struct Power {
  double signal = 0.0;
  double noise = 0.0;
  uint64_t saturated = 0;
  uint64_t count = 0;
};

struct Limits {
  double low, high;  // what the scale can hold, half a step beyond included
};

Limits limits_of(const ScaleChoice& choice) {
  const double lowest = choice.dtype == DType::kInt8 ? -128.0 : 0.0;
  const double highest = choice.dtype == DType::kInt8 ? 127.0 : 255.0;
  return {(lowest - choice.zero_point - 0.5) * choice.scale,
          (highest - choice.zero_point + 0.5) * choice.scale};
}

Power compare(const Tensor& exact, const Tensor& quantized, const Limits& limits) {
  Power power;
  const std::span<const float> x = exact.data<float>();
  const std::span<const float> y = quantized.data<float>();
  for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
    const double value = x[i];
    const double error = value - static_cast<double>(y[i]);
    power.signal += value * value;
    power.noise += error * error;
    power.saturated += value < limits.low || value > limits.high ? 1 : 0;
  }
  power.count = x.size();
  return power;
}

// Names of float tensors and the tensors of the QDQ graph that stand for them.
std::map<std::string, std::string> dequantized_names(const Graph& qdq) {
  std::map<std::string, std::string> names;
  const ir::Uses uses = ir::find_uses(qdq);
  for (const NodeId id : ir::live_nodes(qdq)) {
    const ir::Node& node = qdq.node(id);
    if (!std::holds_alternative<ir::DequantizeLinear>(node.op)) continue;
    const NodeId producer = uses.producer[node.inputs[0].index()];
    if (!producer.valid()) continue;
    names[qdq.value(qdq.node(producer).inputs[0]).name] = qdq.value(node.outputs[0]).name;
  }
  return names;
}

struct Watched {
  ValueId value;            // in the float graph
  std::string dequantized;  // name in the QDQ graph
  Limits limits;
};

Result<std::vector<Power>> window_powers(const Graph& device, const Graph& qdq,
                                         const std::vector<Watched>& watched,
                                         const Tensor& window) {
  const std::array<Tensor, 1> input = {window};
  std::map<ValueId, Tensor> exact;
  std::map<std::string, Tensor> quantized;
  ir::EvalOptions options;
  options.observe = [&](size_t, ValueId id, const Tensor& tensor) { exact[id] = tensor; };
  TRY(ir::evaluate(device, input, options));
  options.qdq = ir::QdqMode::kInteger;
  options.observe = [&](size_t, ValueId id, const Tensor& tensor) {
    quantized[qdq.value(id).name] = tensor;
  };
  TRY(ir::evaluate(qdq, input, options));
  std::vector<Power> powers;
  for (const Watched& entry : watched) {
    const Tensor& reference = entry.value == device.inputs[0] ? window : exact[entry.value];
    powers.push_back(compare(reference, quantized[entry.dequantized], entry.limits));
  }
  return powers;
}

Result<std::vector<Power>> measure(const Graph& device, const Graph& qdq,
                                   const std::vector<Watched>& watched, const Tensor& windows,
                                   int64_t limit) {
  const auto count = static_cast<size_t>(std::min(windows.shape()[0], std::max<int64_t>(limit, 1)));
  std::vector<std::vector<Power>> per_window(count);
  std::vector<std::optional<Error>> errors(count);
  parallel_for(count, [&](size_t index, size_t) {
    Result<std::vector<Power>> powers =
        window_powers(device, qdq, watched, window_at(windows, index));
    if (powers.ok()) {
      per_window[index] = std::move(powers).value();
    } else {
      errors[index] = std::move(powers).error();
    }
  });
  std::vector<Power> total(watched.size());
  for (size_t index = 0; index < count; ++index) {
    if (errors[index]) return *errors[index];
    for (size_t i = 0; i < total.size(); ++i) {
      const Power& power = per_window[index][i];
      total[i].signal += power.signal;
      total[i].noise += power.noise;
      total[i].saturated += power.saturated;
      total[i].count += power.count;
    }
  }
  return total;
}

double decibels(const Power& power) {
  if (power.noise == 0.0) return std::numeric_limits<double>::infinity();
  if (power.signal == 0.0) return 0.0;
  return 10.0 * std::log10(power.signal / power.noise);
}

// The operator a tensor is known by: the one before its Relu or Clip.
const ir::Node* named_operator(const Graph& graph, const ir::Uses& uses, const Points& points,
                               ValueId id) {
  const NodeId producer = uses.producer[id.index()];
  if (!producer.valid()) return nullptr;
  const ir::Node& node = graph.node(producer);
  const ValueId first = node.inputs.empty() ? ValueId() : node.inputs[0];
  if (first.valid() && !points.is_point[first.index()] && uses.producer[first.index()].valid() &&
      has_weights(graph, graph.node(uses.producer[first.index()]))) {
    return &graph.node(uses.producer[first.index()]);
  }
  return &node;
}

Result<std::vector<LayerNoise>> noise_table(const Graph& device, const Graph& qdq,
                                            const Points& points,
                                            const std::vector<ScaleChoice>& scales,
                                            const std::vector<Histogram>& histograms,
                                            const Tensor& windows, int64_t limit) {
  const ir::Uses uses = ir::find_uses(device);
  const std::map<std::string, std::string> names = dequantized_names(qdq);
  std::vector<Watched> watched;
  std::vector<LayerNoise> table;
  for (size_t i = 0; i < device.values.size(); ++i) {
    const ValueId id(i);
    if (!points.is_point[i]) continue;
    const size_t shared = points.same_scale[i].index();
    // An output that was renamed kept its float twin under NAME_float.
    auto found = names.find(device.values[i].name);
    if (found == names.end()) found = names.find(device.values[i].name + "_float");
    if (found == names.end()) continue;
    watched.push_back({id, found->second, limits_of(scales[shared])});
    const ir::Node* node = named_operator(device, uses, points, id);
    LayerNoise row;
    row.node = node != nullptr ? node->name : device.values[i].name;
    row.type = node != nullptr ? std::string(ir::op_type(node->op)) : "input";
    row.value = device.values[i].name;
    row.minimum = histograms[shared].minimum();
    row.maximum = histograms[shared].maximum();
    row.scale = scales[shared].scale;
    row.zero_point = scales[shared].zero_point;
    table.push_back(std::move(row));
  }
  TRY_ASSIGN(const std::vector<Power> powers, measure(device, qdq, watched, windows, limit));
  for (size_t i = 0; i < table.size(); ++i) {
    table[i].snr_db = decibels(powers[i]);
    table[i].saturated_percent = 100.0 * static_cast<double>(powers[i].saturated) /
                                 static_cast<double>(std::max<uint64_t>(powers[i].count, 1));
  }
  std::stable_sort(table.begin(), table.end(),
                   [](const LayerNoise& a, const LayerNoise& b) { return a.snr_db < b.snr_db; });
  return table;
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
    scales[i] = choose_scale(choose_range(histograms[i], options), options.scheme);
  }
  for (size_t i = 0; i < device.values.size(); ++i) {
    if (!points.is_point[i]) continue;
    const size_t shared = points.same_scale[i].index();
    result.points.push_back({device.values[i].name, scales[shared].dtype, scales[shared].scale,
                             scales[shared].zero_point, histograms[shared].minimum(),
                             histograms[shared].maximum()});
  }
  TRY_ASSIGN(result.graph, build_qdq(device, points, scales));
  TRY_ASSIGN(result.noise, noise_table(device, result.graph, points, scales, histograms, windows,
                                       options.noise_windows));
  return result;
}

}  // namespace graupel::quantize
