// The noise table: every point of the float graph beside the bytes of the QDQ graph. See noise.h.
// Test: quantize_test.cc.
#include "quantize/noise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "base/parallel.h"
#include "base/window_at.h"
#include "ir/eval.h"
#include "quantize/region.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

// Power of signal and noise of one tensor, summed per window so that the order is fixed.
struct Power {
  double signal = 0.0;
  double noise = 0.0;
  uint64_t saturated = 0;
  uint64_t count = 0;
};

// Numbers, whether stored as bytes or, in 16 bits, as floats on their grid.
std::vector<double> numbers(const Tensor& stored, const ScaleChoice& choice) {
  std::vector<double> values = stored.to_doubles();
  if (stored.dtype() == DType::kFloat32) return values;
  for (double& value : values) value = (value - choice.zero_point) * choice.scale;
  return values;
}

struct Limits {
  double low, high;  // what the scale can hold, half a step beyond included
};

Limits limits_of(const ScaleChoice& choice) {
  const bool is_signed = choice.dtype == DType::kInt8 || choice.dtype == DType::kInt16;
  const bool is_byte = choice.dtype == DType::kInt8 || choice.dtype == DType::kUInt8;
  const double steps = is_byte ? 256.0 : 65536.0;
  const double lowest = is_signed ? -steps / 2 : 0.0;
  const double highest = lowest + steps - 1;
  return {(lowest - choice.zero_point - 0.5) * choice.scale,
          (highest - choice.zero_point + 0.5) * choice.scale};
}

// `quantized` holds the bytes; they are dequantised here, because an engine that computes in
// integers never makes the floats.
Power compare(const Tensor& exact, const Tensor& quantized, const ScaleChoice& choice) {
  Power power;
  const std::span<const float> x = exact.data<float>();
  const std::vector<double> q = numbers(quantized, choice);
  const Limits limits = limits_of(choice);
  for (size_t i = 0; i < x.size() && i < q.size(); ++i) {
    const double value = x[i];
    const double error = value - q[i];
    power.signal += value * value;
    power.noise += error * error;
    power.saturated += value < limits.low || value > limits.high ? 1 : 0;
  }
  power.count = x.size();
  return power;
}

struct Watched {
  ValueId value;      // in the float graph
  ValueId quantized;  // its bytes, in the QDQ graph
  ScaleChoice choice;
};

// The two networks that are compared, ready to run.
struct Compared {
  const Graph& device;
  ir::Prepared exact, quantized;
};

Result<std::vector<Power>> window_powers(const Compared& compared,
                                         const std::vector<Watched>& watched,
                                         const Tensor& window) {
  const std::array<Tensor, 1> input = {window};
  std::map<ValueId, Tensor> exact, quantized;
  for (const Watched& entry : watched) {
    exact[entry.value] = Tensor();
    quantized[entry.quantized] = Tensor();
  }
  exact[compared.device.inputs[0]] = window;
  // Only what is compared is kept; the rest is freed as soon as the evaluator is done with it.
  const auto keep_in = [](std::map<ValueId, Tensor>& kept) {
    return [&kept](size_t, ValueId id, const Tensor& tensor) {
      if (const auto found = kept.find(id); found != kept.end()) found->second = tensor;
    };
  };
  ir::EvalOptions options;
  options.observe = keep_in(exact);
  TRY(ir::evaluate(compared.exact, input, options));
  options.observe = keep_in(quantized);
  TRY(ir::evaluate(compared.quantized, input, options));
  std::vector<Power> powers;
  for (const Watched& entry : watched) {
    const Tensor& x = exact[entry.value];
    const Tensor& q = quantized[entry.quantized];
    if (x.size() == 0 || x.size() != q.size()) {
      return internal_error(compared.device.value(entry.value).name,
                            "was not seen by the evaluator");
    }
    powers.push_back(compare(x, q, entry.choice));
  }
  return powers;
}

Result<std::vector<Power>> measure(const Graph& device, const Graph& qdq,
                                   const std::vector<Watched>& watched, const Tensor& windows,
                                   int64_t limit) {
  const int64_t available = windows.shape()[0];
  const auto count = static_cast<size_t>(std::min(available, std::max<int64_t>(limit, 1)));
  // Spread over the set: recordings are usually sorted by class or time.
  const size_t stride = static_cast<size_t>(available) / count;
  Compared compared{device, {}, {}};
  TRY_ASSIGN(compared.exact, ir::prepare(device));
  TRY_ASSIGN(compared.quantized, ir::prepare(qdq, ir::QdqMode::kInteger));
  std::vector<std::vector<Power>> per_window(count);
  std::vector<std::optional<Error>> errors(count);
  parallel_for(count, [&](size_t index, size_t) {
    Result<std::vector<Power>> powers =
        window_powers(compared, watched, window_at(windows, index * stride));
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

}  // namespace

Result<std::vector<LayerNoise>> noise_table(const Graph& device, const Qdq& qdq,
                                            const Points& points, const Choices& choices,
                                            const std::vector<Histogram>& histograms,
                                            const Tensor& windows, int64_t limit) {
  const ir::Uses uses = ir::find_uses(device);
  std::vector<Watched> watched;
  std::vector<LayerNoise> table;
  for (size_t i = 0; i < device.values.size(); ++i) {
    const ValueId id(i);
    if (!points.is_point[i]) continue;
    const bool wide = is_wide(points, choices, id);
    const std::optional<ValueId> quantized =
        ir::find_value(qdq.graph, wide ? qdq.wide[i] : qdq.bytes[i]);
    if (!quantized) continue;  // nothing reads it
    // What only elementwise functions read is judged behind them: its scale was chosen for that,
    // and clips where they are flat.
    TRY_ASSIGN(const std::optional<Region> region, region_behind(device, points, id));
    if (region) continue;
    const size_t shared = points.same_scale[i].index();
    const ScaleChoice& scale = wide ? choices.wide_scales[shared] : choices.scales[shared];
    watched.push_back({id, *quantized, scale});
    const ir::Node* node = named_operator(device, uses, points, id);
    LayerNoise row;
    row.node = node != nullptr ? node->name : device.values[i].name;
    row.type = node != nullptr ? std::string(ir::op_type(node->op)) : "input";
    row.value = device.values[i].name;
    row.minimum = histograms[shared].minimum();
    row.maximum = histograms[shared].maximum();
    row.scale = scale.scale;
    row.zero_point = scale.zero_point;
    table.push_back(std::move(row));
  }
  TRY_ASSIGN(const std::vector<Power> powers, measure(device, qdq.graph, watched, windows, limit));
  for (size_t i = 0; i < table.size(); ++i) {
    table[i].snr_db = decibels(powers[i]);
    table[i].saturated_percent = 100.0 * static_cast<double>(powers[i].saturated) /
                                 static_cast<double>(std::max<uint64_t>(powers[i].count, 1));
  }
  std::stable_sort(table.begin(), table.end(),
                   [](const LayerNoise& a, const LayerNoise& b) { return a.snr_db < b.snr_db; });
  return table;
}

}  // namespace graupel::quantize
