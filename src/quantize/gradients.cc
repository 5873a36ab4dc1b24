// Backwards through a graph, operator by operator. See gradients.h.
//
// Sums run in a fixed order, so that the same input gives the same bytes. Test: gradients_test.cc.
#include "quantize/gradients.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/window_at.h"
#include "ir/eval.h"
#include "quantize/layers.h"
#include "quantize/points.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::ValueId;

template <class T>
bool is(const Node& node) {
  return std::holds_alternative<T>(node.op);
}

// ---- which operators have a gradient ----

bool is_function(const Node& node) {
  if (const ir::Unary* unary = std::get_if<ir::Unary>(&node.op)) {
    switch (unary->kind) {
      case ir::UnaryKind::kFloor:
      case ir::UnaryKind::kCeil:
      case ir::UnaryKind::kSign:
      case ir::UnaryKind::kNot:
      case ir::UnaryKind::kIsNaN: return false;
      default: return true;
    }
  }
  return is<ir::LeakyRelu>(node) || is<ir::PRelu>(node) || is<ir::Elu>(node) ||
         is<ir::Selu>(node) || is<ir::Celu>(node) || is<ir::ThresholdedRelu>(node) ||
         is<ir::HardSigmoid>(node) || is<ir::Clip>(node);
}

bool is_movement(const Node& node) { return is<ir::Concat>(node) || keeps_scale(node.op); }

bool is_arithmetic(const Node& node) {
  if (const ir::Binary* binary = std::get_if<ir::Binary>(&node.op)) {
    return binary->kind == ir::BinaryKind::kAdd || binary->kind == ir::BinaryKind::kSub ||
           binary->kind == ir::BinaryKind::kMul || binary->kind == ir::BinaryKind::kDiv;
  }
  const ir::Variadic* variadic = std::get_if<ir::Variadic>(&node.op);
  return variadic != nullptr && variadic->kind == ir::VariadicKind::kSum;
}

// The first input alone may vary, the others are constants.
bool only_first(const Node& node, const std::vector<bool>& needed) {
  return std::none_of(node.inputs.begin() + 1, node.inputs.end(),
                      [&](ValueId id) { return id.valid() && needed[id.index()]; });
}

bool has_gradient(const Graph& graph, NodeId id, const std::vector<bool>& needed) {
  const Node& node = graph.node(id);
  if (node.outputs.size() != 1 && !is<ir::MaxPool>(node) && !is<ir::Split>(node)) return false;
  if (takes_weights(node.op)) {
    if (graph.shape(node.inputs[1]).size() < 2) return false;
    const Layer layer = layer_of(graph, id);
    const bool plain_bias = node.inputs.size() < 3 || !node.inputs[2].valid() ||
                            !needed[node.inputs[2].index()] ||
                            graph.shape(node.inputs[2]) == Shape{layer.channels};
    return layer.has_columns && plain_bias;
  }
  if (is_arithmetic(node) || is<ir::Concat>(node)) return true;
  if (const ir::AveragePool* pool = std::get_if<ir::AveragePool>(&node.op)) {
    return graph.shape(node.inputs[0]).size() <= 4 && !pool->ceil_mode;
  }
  const bool single = is_function(node) || is_movement(node) || is<ir::MaxPool>(node) ||
                      is<ir::GlobalPool>(node) || is<ir::QuantizeLinear>(node) ||
                      is<ir::DequantizeLinear>(node);
  return single && only_first(node, needed);
}

// ---- movement ----

// Where every element of a moving node's outputs came from; see GradientPlan.
Result<void> find_sources(const Graph& graph, const Node& node,
                          std::vector<std::vector<int64_t>>& sources) {
  constexpr int64_t kExact = 1 << 24;  // whole numbers up to here are exact in float32
  std::vector<Tensor> numbers(node.inputs.size());
  std::vector<const Tensor*> inputs;
  int64_t next = 1;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId id = node.inputs[i];
    if (!id.valid()) {
      inputs.push_back(nullptr);
      continue;
    }
    const Tensor* const constant = graph.constant(id);
    if (constant != nullptr && graph.value(id).dtype != DType::kFloat32) {
      inputs.push_back(constant);
      continue;
    }
    numbers[i] = Tensor(DType::kFloat32, graph.shape(id));
    for (float& value : numbers[i].mutable_data<float>()) {
      value = constant == nullptr ? static_cast<float>(next) : 0.0f;
      next += constant == nullptr ? 1 : 0;
    }
    inputs.push_back(&numbers[i]);
  }
  if (next > kExact) return unsupported(node.name, "is too large for a gradient");
  TRY_ASSIGN(const std::vector<Tensor> moved,
             ir::evaluate_op(node.op, inputs, node.outputs.size()));
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i].valid()) sources[node.outputs[i].index()] = moved[i].to_int64s();
  }
  return ok();
}

// ---- one rule per operator ----

struct Pass {
  const GradientPlan& plan;
  const std::vector<Tensor>& values;
  std::vector<Gradient> gradients;  // by value; empty: zeros

  const Tensor& value(ValueId id) const { return values[id.index()]; }
  bool needs(ValueId id) const { return id.valid() && plan.needed[id.index()]; }
  Gradient& into(ValueId id) {
    Gradient& gradient = gradients[id.index()];
    if (gradient.empty()) gradient.assign(value(id).size(), 0.0f);
    return gradient;
  }
};

void layer_back(const Graph& graph, NodeId id, const Gradient& dy, Pass& pass) {
  const Layer layer = layer_of(graph, id);
  const ValueId weight_id = graph.node(id).inputs[1];
  const auto depth = static_cast<size_t>(layer.depth);
  const auto channels = static_cast<size_t>(layer.channels);
  const size_t rows_each = channels / static_cast<size_t>(layer.groups);
  const std::vector<size_t> places = row_positions(graph, layer);
  const std::span<const float> weights = pass.value(weight_id).data<float>();
  std::vector<float> rows(places.size()), row_gradients(places.size(), 0.0f);
  for (size_t i = 0; i < places.size(); ++i) rows[i] = weights[places[i]];
  const bool learns = pass.needs(weight_id), passes_on = pass.needs(layer.input);
  const std::span<float> dx =
      passes_on ? std::span<float>(pass.into(layer.input)) : std::span<float>();
  std::vector<float> sums(channels, 0.0f);
  for_each_column_back(
      graph, layer, pass.value(layer.input).data<float>(), dx,
      [&](size_t group, size_t position, std::span<const float> column, std::span<float> gradient) {
        for (size_t m = group * rows_each; m < (group + 1) * rows_each; ++m) {
          const float factor = dy[output_index(graph, layer, m, position)];
          if (factor == 0.0f) continue;
          sums[m] += factor;
          float* const own = row_gradients.data() + m * depth;
          const float* const row = rows.data() + m * depth;
          if (learns) {
            for (size_t k = 0; k < depth; ++k) own[k] += factor * column[k];
          }
          if (passes_on) {
            for (size_t k = 0; k < depth; ++k) gradient[k] += factor * row[k];
          }
        }
      });
  if (learns) {
    Gradient& to = pass.into(weight_id);
    for (size_t i = 0; i < places.size(); ++i) to[places[i]] += row_gradients[i];
  }
  const std::vector<ValueId>& inputs = graph.node(id).inputs;
  if (inputs.size() < 3 || !pass.needs(inputs[2])) return;
  Gradient& to = pass.into(inputs[2]);
  for (size_t m = 0; m < channels; ++m) to[m] += sums[m];
}

// f'(x) of a function of one number, by differences in double.
Result<std::vector<double>> slopes(const Node& node, const Pass& pass) {
  constexpr double kStep = 1e-5;
  const Tensor& x = pass.value(node.inputs[0]);
  std::vector<Tensor> wide(node.inputs.size());
  std::vector<const Tensor*> inputs(node.inputs.size(), nullptr);
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (!node.inputs[i].valid()) continue;
    const Tensor& value = pass.value(node.inputs[i]);
    wide[i] = Tensor::of<double>(value.shape(), value.to_doubles());
    inputs[i] = &wide[i];
  }
  const std::vector<double> at = x.to_doubles();
  std::array<std::vector<double>, 2> y;
  for (size_t side = 0; side < 2; ++side) {
    const std::span<double> moved = wide[0].mutable_data<double>();
    for (size_t i = 0; i < at.size(); ++i) moved[i] = at[i] + (side == 0 ? -kStep : kStep);
    TRY_ASSIGN(const std::vector<Tensor> found, ir::evaluate_op(node.op, inputs, 1));
    y[side] = found[0].to_doubles();
  }
  std::vector<double> slope(at.size());
  for (size_t i = 0; i < at.size(); ++i) slope[i] = (y[1][i] - y[0][i]) / (2 * kStep);
  return slope;
}

Result<void> function_back(const Node& node, const Gradient& dy, Pass& pass) {
  const std::span<const float> x = pass.value(node.inputs[0]).data<float>();
  Gradient& dx = pass.into(node.inputs[0]);
  const ir::Unary* const unary = std::get_if<ir::Unary>(&node.op);
  if (unary != nullptr && unary->kind == ir::UnaryKind::kRelu) {
    for (size_t i = 0; i < x.size(); ++i) dx[i] += x[i] > 0.0f ? dy[i] : 0.0f;
    return ok();
  }
  if (unary != nullptr &&
      (unary->kind == ir::UnaryKind::kRound || unary->kind == ir::UnaryKind::kIdentity)) {
    for (size_t i = 0; i < x.size(); ++i) dx[i] += dy[i];
    return ok();
  }
  TRY_ASSIGN(const std::vector<double> slope, slopes(node, pass));
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isfinite(slope[i])) dx[i] += static_cast<float>(slope[i] * static_cast<double>(dy[i]));
  }
  return ok();
}

// For every element of the output the element of an operand it was made of.
std::vector<size_t> broadcast_places(const Shape& operand, const Shape& output) {
  const std::vector<int64_t> steps = row_major_strides(operand);
  const std::vector<int64_t> counts = row_major_strides(output);
  const size_t count = static_cast<size_t>(element_count(output).value_or(0));
  const size_t missing = output.size() - operand.size();
  std::vector<size_t> places(count, 0);
  for (size_t i = 0; i < count; ++i) {
    int64_t at = 0;
    for (size_t d = missing; d < output.size(); ++d) {
      if (operand[d - missing] == 1) continue;
      at += static_cast<int64_t>(i) / counts[d] % output[d] * steps[d - missing];
    }
    places[i] = static_cast<size_t>(at);
  }
  return places;
}

void arithmetic_back(const Node& node, const Gradient& dy, Pass& pass) {
  const Shape& shape = pass.value(node.outputs[0]).shape();
  const ir::Binary* const binary = std::get_if<ir::Binary>(&node.op);
  const ir::BinaryKind kind = binary != nullptr ? binary->kind : ir::BinaryKind::kAdd;
  const auto places = [&](size_t i) {
    return broadcast_places(pass.value(node.inputs[i]).shape(), shape);
  };
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (!pass.needs(node.inputs[i])) continue;
    const std::vector<size_t> mine = places(i);
    Gradient& dx = pass.into(node.inputs[i]);
    if (kind == ir::BinaryKind::kAdd || kind == ir::BinaryKind::kSub) {
      const float sign = kind == ir::BinaryKind::kSub && i == 1 ? -1.0f : 1.0f;
      for (size_t j = 0; j < dy.size(); ++j) dx[mine[j]] += sign * dy[j];
      continue;
    }
    const std::vector<size_t> others = places(1 - i);
    const std::span<const float> x = pass.value(node.inputs[i]).data<float>();
    const std::span<const float> other = pass.value(node.inputs[1 - i]).data<float>();
    for (size_t j = 0; j < dy.size(); ++j) {
      const float own = x[mine[j]], b = other[others[j]];
      const float slope = kind == ir::BinaryKind::kMul ? b : i == 0 ? 1.0f / b : -b / (own * own);
      dx[mine[j]] += slope * dy[j];
    }
  }
}

Result<void> maximum_back(const Node& node, const Gradient& dy, Pass& pass) {
  const Tensor& x = pass.value(node.inputs[0]);
  const std::array<const Tensor*, 1> inputs = {&x};
  ir::MaxPool pool = std::get<ir::MaxPool>(node.op);
  pool.column_major_indices = false;
  TRY_ASSIGN(const std::vector<Tensor> found, ir::evaluate_op(pool, inputs, 2));
  const std::vector<int64_t> at = found[1].to_int64s();
  Gradient& dx = pass.into(node.inputs[0]);
  for (size_t i = 0; i < at.size(); ++i) dx[static_cast<size_t>(at[i])] += dy[i];
  return ok();
}

void global_back(const Node& node, const Gradient& dy, Pass& pass) {
  const std::span<const float> x = pass.value(node.inputs[0]).data<float>();
  Gradient& dx = pass.into(node.inputs[0]);
  const size_t plane = x.size() / std::max<size_t>(dy.size(), 1);
  const bool average = std::get<ir::GlobalPool>(node.op).kind == ir::PoolKind::kAverage;
  for (size_t c = 0; c < dy.size(); ++c) {
    const std::span<const float> mine = x.subspan(c * plane, plane);
    if (!average) {
      const auto top = std::max_element(mine.begin(), mine.end()) - mine.begin();
      dx[c * plane + static_cast<size_t>(top)] += dy[c];
      continue;
    }
    for (size_t i = 0; i < plane; ++i) dx[c * plane + i] += dy[c] / static_cast<float>(plane);
  }
}

// An average pool is a sum over its window, divided by how many count: what a pool of ones, with
// padding as zeros, makes of each window is found by the same walk.
void average_back(const Node& node, const Gradient& dy, Pass& pass) {
  const ir::AveragePool& pool = std::get<ir::AveragePool>(node.op);
  const Shape& in = pass.value(node.inputs[0]).shape();
  const Shape& out = pass.value(node.outputs[0]).shape();
  const size_t spatial = in.size() - 2;
  const ir::Ints pads = ir::resolve_pads(pool.window, pool.window.kernel,
                                         std::span<const int64_t>(in.data() + 2, spatial));
  int64_t size[2] = {1, 1}, made[2] = {1, 1}, kernel[2] = {1, 1}, stride[2] = {1, 1},
          dilation[2] = {1, 1}, pad[2] = {0, 0};
  for (size_t i = 0; i < spatial; ++i) {
    const size_t d = 2 - spatial + i;
    size[d] = in[2 + i];
    made[d] = out[2 + i];
    kernel[d] = pool.window.kernel[i];
    stride[d] = pool.window.strides.empty() ? 1 : pool.window.strides[i];
    dilation[d] = pool.window.dilations.empty() ? 1 : pool.window.dilations[i];
    pad[d] = pads.empty() ? 0 : pads[i];
  }
  Gradient& dx = pass.into(node.inputs[0]);
  const int64_t plane = size[0] * size[1], planes = in[0] * in[1];
  std::vector<size_t> inside;
  for (int64_t position = 0; position < made[0] * made[1]; ++position) {
    inside.clear();
    for (int64_t tap = 0; tap < kernel[0] * kernel[1]; ++tap) {
      const int64_t y = position / made[1] * stride[0] - pad[0] + tap / kernel[1] * dilation[0];
      const int64_t x = position % made[1] * stride[1] - pad[1] + tap % kernel[1] * dilation[1];
      if (y < 0 || y >= size[0] || x < 0 || x >= size[1]) continue;
      inside.push_back(static_cast<size_t>(y * size[1] + x));
    }
    const size_t count = pool.count_include_pad ? static_cast<size_t>(kernel[0] * kernel[1])
                                                : std::max<size_t>(inside.size(), 1);
    for (int64_t c = 0; c < planes; ++c) {
      const float part =
          dy[static_cast<size_t>(c * made[0] * made[1] + position)] / static_cast<float>(count);
      for (const size_t at : inside) dx[static_cast<size_t>(c * plane) + at] += part;
    }
  }
}

// Straight through where the scale can hold the number.
void quantize_back(const Node& node, const Gradient& dy, Pass& pass) {
  const std::span<const float> x = pass.value(node.inputs[0]).data<float>();
  const float scale = static_cast<float>(pass.value(node.inputs[1]).to_doubles()[0]);
  const bool has_zero = node.inputs.size() > 2 && node.inputs[2].valid();
  const double zero = has_zero ? pass.value(node.inputs[2]).to_doubles()[0] : 0.0;
  const bool is_signed = pass.value(node.outputs[0]).dtype() == DType::kInt8;
  const auto low = static_cast<float>((is_signed ? -128.5 : -0.5) - zero);
  const auto high = static_cast<float>((is_signed ? 127.5 : 255.5) - zero);
  Gradient& dx = pass.into(node.inputs[0]);
  for (size_t i = 0; i < x.size(); ++i) {
    const float code = x[i] / scale;
    if (code > low && code < high) dx[i] += dy[i] / scale;
  }
}

void dequantize_back(const Node& node, const Gradient& dy, Pass& pass) {
  const std::vector<double> scales = pass.value(node.inputs[1]).to_doubles();
  const int64_t axis = scales.size() == 1 ? -1 : std::get<ir::DequantizeLinear>(node.op).axis;
  Gradient& dx = pass.into(node.inputs[0]);
  for_each_channel(pass.value(node.inputs[0]).shape(), axis, [&](size_t i, size_t channel) {
    dx[i] += dy[i] * static_cast<float>(scales[channel]);
  });
}

void movement_back(const Node& node, ValueId output, const Gradient& dy, Pass& pass) {
  const std::vector<int64_t>& from = pass.plan.sources[output.index()];
  int64_t first = 1;
  for (const ValueId input : node.inputs) {
    if (!input.valid() || pass.plan.graph.constant(input) != nullptr) continue;
    const auto count = static_cast<int64_t>(pass.value(input).size());
    if (pass.needs(input)) {
      Gradient& dx = pass.into(input);
      for (size_t i = 0; i < dy.size(); ++i) {
        const int64_t at = from[i] - first;
        if (at >= 0 && at < count) dx[static_cast<size_t>(at)] += dy[i];
      }
    }
    first += count;
  }
}

Result<void> node_back(const Graph& graph, NodeId id, Pass& pass) {
  const Node& node = graph.node(id);
  for (const ValueId output : node.outputs) {
    if (!output.valid() || !pass.needs(output) || pass.gradients[output.index()].empty()) continue;
    const Gradient dy = std::move(pass.gradients[output.index()]);
    pass.gradients[output.index()].clear();
    if (takes_weights(node.op)) {
      layer_back(graph, id, dy, pass);
    } else if (is<ir::MaxPool>(node)) {
      TRY(maximum_back(node, dy, pass));
    } else if (is<ir::GlobalPool>(node)) {
      global_back(node, dy, pass);
    } else if (is<ir::AveragePool>(node)) {
      average_back(node, dy, pass);
    } else if (is_function(node)) {
      TRY(function_back(node, dy, pass));
    } else if (is_arithmetic(node)) {
      arithmetic_back(node, dy, pass);
    } else if (is<ir::QuantizeLinear>(node)) {
      quantize_back(node, dy, pass);
    } else if (is<ir::DequantizeLinear>(node)) {
      dequantize_back(node, dy, pass);
    } else {
      movement_back(node, output, dy, pass);
    }
  }
  return ok();
}

}  // namespace

Result<GradientPlan> plan_gradients(Graph graph, std::vector<ValueId> wanted) {
  GradientPlan plan{std::move(graph), std::move(wanted), {}, {}};
  plan.needed.assign(plan.graph.values.size(), false);
  plan.sources.resize(plan.graph.values.size());
  for (const ValueId id : plan.wanted) plan.needed[id.index()] = true;
  for (const NodeId id : ir::live_nodes(plan.graph)) {
    const Node& node = plan.graph.node(id);
    const bool depends = std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
      return input.valid() && plan.needed[input.index()];
    });
    if (!depends) continue;
    if (!has_gradient(plan.graph, id, plan.needed)) {
      return unsupported(node.name, fmt::format("({}) has no gradient", ir::op_type(node.op)));
    }
    if (is_movement(node) && !is<ir::MaxPool>(node)) {
      TRY(find_sources(plan.graph, node, plan.sources));
    }
    for (const ValueId output : node.outputs) {
      if (output.valid()) plan.needed[output.index()] = true;
    }
  }
  return plan;
}

Result<std::vector<Gradient>> gradients_of(const GradientPlan& plan,
                                           const std::vector<Tensor>& values,
                                           const std::vector<Gradient>& at_outputs) {
  Pass pass{plan, values, std::vector<Gradient>(plan.graph.values.size())};
  for (size_t i = 0; i < plan.graph.outputs.size(); ++i) {
    const ValueId output = plan.graph.outputs[i];
    if (!pass.needs(output)) continue;
    Gradient& gradient = pass.into(output);
    for (size_t j = 0; j < gradient.size(); ++j) gradient[j] += at_outputs[i][j];
  }
  const std::vector<NodeId> nodes = ir::live_nodes(plan.graph);
  for (size_t i = nodes.size(); i-- > 0;) TRY(node_back(plan.graph, nodes[i], pass));
  std::vector<Gradient> result;
  for (const ValueId id : plan.wanted) {
    Gradient& gradient = pass.gradients[id.index()];
    if (gradient.empty()) gradient.assign(pass.value(id).size(), 0.0f);
    result.push_back(gradient);
  }
  return result;
}

Result<std::vector<std::vector<Tensor>>> all_values(const Graph& graph, const Tensor& windows) {
  const auto count = static_cast<size_t>(windows.shape()[0]);
  std::vector<Tensor> fixed(graph.values.size());
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].constant) fixed[i] = *graph.values[i].constant;
  }
  std::vector<std::vector<Tensor>> values(count, fixed);
  ir::EvalOptions options;
  options.observe = [&](size_t window, ValueId id, const Tensor& value) {
    values[window][id.index()] = value;
  };
  TRY(ir::evaluate_windows(graph, windows, options));
  for (size_t n = 0; n < count; ++n) {
    for (const ValueId input : graph.inputs) values[n][input.index()] = window_at(windows, n);
  }
  return values;
}

}  // namespace graupel::quantize
