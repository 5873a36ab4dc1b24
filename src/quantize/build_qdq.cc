// Inserting QuantizeLinear/DequantizeLinear pairs and INT8 weights. See build_qdq.h.
//
// Every reader of a point reads its dequantised copy instead; a graph output keeps its name on the
// dequantised copy. Weight scales are max|w| / 127 per output channel, enlarged where the bias
// would not fit int32. Test: build_qdq_test.cc, quantize_test.cc.
#include "quantize/build_qdq.h"

#include <algorithm>
#include <cmath>

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

constexpr double kBiasLimit = 1 << 30;  // leaves the other half of int32 to the products

// The axis of the weight tensor that holds output channels; -1: one scale for all of it.
int64_t channel_axis(const Graph& graph, const ir::Node& node) {
  if (std::holds_alternative<ir::Conv>(node.op)) return 0;
  if (const ir::Gemm* gemm = std::get_if<ir::Gemm>(&node.op)) return gemm->transpose_b ? 0 : 1;
  if (const ir::ConvTranspose* conv = std::get_if<ir::ConvTranspose>(&node.op)) {
    return conv->group == 1 ? 1 : -1;
  }
  const auto rank = static_cast<int64_t>(graph.shape(node.inputs[1]).size());
  return rank == 2 ? 1 : -1;
}

// Calls visit(flat index, channel) for every element.
template <class Visit>
void for_each_channel(const Shape& shape, int64_t axis, Visit visit) {
  const int64_t count = element_count(shape).value_or(0);
  if (axis < 0) {
    for (int64_t i = 0; i < count; ++i) visit(static_cast<size_t>(i), size_t{0});
    return;
  }
  const int64_t stride = row_major_strides(shape)[static_cast<size_t>(axis)];
  const int64_t channels = shape[static_cast<size_t>(axis)];
  for (int64_t i = 0; i < count; ++i) {
    visit(static_cast<size_t>(i), static_cast<size_t>(i / stride % channels));
  }
}

std::vector<float> weight_scales(const Tensor& weights, int64_t axis,
                                 const std::vector<double>& bias, float input_scale) {
  const size_t channels =
      axis < 0 ? 1 : static_cast<size_t>(weights.shape()[static_cast<size_t>(axis)]);
  std::vector<double> largest(channels, 0.0);
  const std::vector<double> values = weights.to_doubles();
  for_each_channel(weights.shape(), axis, [&](size_t i, size_t channel) {
    largest[channel] = std::max(largest[channel], std::abs(values[i]));
  });
  for (size_t i = 0; i < bias.size(); ++i) {
    const size_t channel = channels == 1 ? 0 : i;
    const double needed = std::abs(bias[i]) / kBiasLimit / static_cast<double>(input_scale) * 127.0;
    largest[channel] = std::max(largest[channel], needed);
  }
  std::vector<float> scales(channels);
  for (size_t i = 0; i < channels; ++i) {
    const auto scale = static_cast<float>(largest[i] / 127.0);
    // A product of scales below the smallest normal float would flush to zero.
    const bool usable = std::isnormal(scale) && std::isnormal(scale * input_scale);
    scales[i] = usable ? scale : 1.0f;
  }
  return scales;
}

Tensor quantized_weights(const Tensor& weights, int64_t axis, const std::vector<float>& scales) {
  Tensor out(DType::kInt8, weights.shape());
  const std::span<int8_t> target = out.mutable_data<int8_t>();
  const std::vector<double> values = weights.to_doubles();
  for_each_channel(weights.shape(), axis, [&](size_t i, size_t channel) {
    const double q = std::nearbyint(values[i] / static_cast<double>(scales[channel]));
    target[i] = static_cast<int8_t>(std::clamp(q, -127.0, 127.0));
  });
  return out;
}

Tensor scale_tensor(const std::vector<float>& scales, int64_t axis) {
  return axis < 0 ? Tensor::scalar<float>(scales[0])
                  : Tensor::of<float>({static_cast<int64_t>(scales.size())}, scales);
}

Tensor zero_point_tensor(const ScaleChoice& choice) {
  if (choice.dtype == DType::kInt8) {
    return Tensor::scalar<int8_t>(static_cast<int8_t>(choice.zero_point));
  }
  return Tensor::scalar<uint8_t>(static_cast<uint8_t>(choice.zero_point));
}

struct Pair {
  ValueId quantized, dequantized;
};

// Q and DQ behind point `id`, appended at the end; compact() sorts.
Result<Pair> add_pair(Graph& graph, ValueId id, const ScaleChoice& choice) {
  const std::string name = graph.value(id).name;
  const ValueId scale = ir::add_constant(graph, name + "_scale", Tensor::scalar(choice.scale));
  const ValueId zero = ir::add_constant(graph, name + "_zero_point", zero_point_tensor(choice));
  TRY_ASSIGN(const NodeId quantize, ir::add_node(graph, name + "_QuantizeLinear",
                                                 ir::QuantizeLinear{}, {id, scale, zero}));
  TRY_ASSIGN(const NodeId dequantize,
             ir::add_node(graph, name + "_DequantizeLinear", ir::DequantizeLinear{},
                          {graph.node(quantize).outputs[0], scale, zero}));
  return Pair{graph.node(quantize).outputs[0], graph.node(dequantize).outputs[0]};
}

Result<ValueId> add_dequantized(Graph& graph, const std::string& name, Tensor quantized,
                                const std::vector<float>& scales, int64_t axis) {
  const Tensor zero(quantized.dtype(), axis < 0 ? Shape{} : Shape{int64_t(scales.size())});
  const ValueId data = ir::add_constant(graph, name + "_quantized", std::move(quantized));
  const ValueId scale = ir::add_constant(graph, name + "_scale", scale_tensor(scales, axis));
  const ValueId zero_id = ir::add_constant(graph, name + "_zero_point", zero);
  TRY_ASSIGN(const NodeId node, ir::add_node(graph, name + "_DequantizeLinear",
                                             ir::DequantizeLinear{std::max<int64_t>(axis, 0)},
                                             {data, scale, zero_id}));
  return graph.node(node).outputs[0];
}

Result<Tensor> quantized_bias(const std::string& node, const std::vector<double>& bias,
                              const std::vector<float>& scales) {
  Tensor out(DType::kInt32, {static_cast<int64_t>(bias.size())});
  const std::span<int32_t> target = out.mutable_data<int32_t>();
  for (size_t i = 0; i < bias.size(); ++i) {
    const double q = std::nearbyint(bias[i] / static_cast<double>(scales[i]));
    if (!(std::abs(q) <= 2 * kBiasLimit - 1)) {
      return unsupported(node, "has a bias that does not fit its accumulator (or is not finite)");
    }
    target[i] = static_cast<int32_t>(q);
  }
  return out;
}

// The bias of a layer with `channels` outputs as one number per output; empty if it has none;
// nullopt if it is not constant, or varies along more than the outputs (a Gemm's C may).
std::optional<std::vector<double>> bias_per_channel(const Graph& graph, const ir::Node& node,
                                                    size_t channels) {
  if (node.inputs.size() < 3 || !node.inputs[2].valid()) return std::vector<double>();
  const Tensor* constant = graph.constant(node.inputs[2]);
  if (constant == nullptr) return std::nullopt;
  std::vector<double> bias = constant->to_doubles();
  if (bias.size() == 1) bias.assign(channels, bias[0]);
  const bool along_outputs =
      bias.size() == channels && (constant->size() == 1 || constant->shape().back() != 1);
  if (!along_outputs) return std::nullopt;
  return bias;
}

size_t output_channels(const Graph& graph, const ir::Node& node) {
  const Shape& shape = graph.shape(node.outputs[0]);
  const bool is_spatial = std::holds_alternative<ir::Conv>(node.op) ||
                          std::holds_alternative<ir::ConvTranspose>(node.op);
  return static_cast<size_t>(is_spatial ? shape[1] : shape.back());
}

Result<void> quantize_weights(Graph& graph, NodeId id, const ScaleChoice& input) {
  const std::string name = graph.node(id).name;
  const int64_t axis = channel_axis(graph, graph.node(id));
  const Tensor weights = *graph.constant(graph.node(id).inputs[1]);
  const std::optional<std::vector<double>> bias =
      bias_per_channel(graph, graph.node(id), output_channels(graph, graph.node(id)));
  for (const double weight : weights.to_doubles()) {
    if (!std::isfinite(weight)) return invalid_input(name, "has a weight that is NaN or infinite");
  }
  const std::vector<float> scales =
      weight_scales(weights, axis, bias.value_or(std::vector<double>()), input.scale);
  TRY_ASSIGN(graph.node(id).inputs[1],
             add_dequantized(graph, name + "_weight", quantized_weights(weights, axis, scales),
                             scales, axis));
  // A bias that is more than one number per output stays in float, and the layer with it.
  if (!bias || bias->empty()) return ok();
  std::vector<float> bias_scales(bias->size());
  for (size_t i = 0; i < bias_scales.size(); ++i) {
    bias_scales[i] = input.scale * scales[scales.size() == 1 ? 0 : i];
  }
  TRY_ASSIGN(Tensor quantized, quantized_bias(name, *bias, bias_scales));
  TRY_ASSIGN(graph.node(id).inputs[2],
             add_dequantized(graph, name + "_bias", std::move(quantized), bias_scales, 0));
  return ok();
}

// Graph outputs keep their names on the dequantised tensors.
void swap_output_names(Graph& graph, const std::vector<ValueId>& dequantized) {
  for (ValueId& output : graph.outputs) {
    const ValueId after = dequantized[output.index()];
    if (!after.valid()) continue;
    const bool is_input =
        std::find(graph.inputs.begin(), graph.inputs.end(), output) != graph.inputs.end();
    if (!is_input) {
      const std::string name = graph.value(output).name;
      graph.value(output).name = ir::unique_name(graph, name + "_float");
      graph.value(after).name = name;
    }
    output = after;
  }
}

}  // namespace

Result<Qdq> build_qdq(const Graph& device, const Points& points,
                      const std::vector<ScaleChoice>& scales) {
  Graph graph = device;
  const std::vector<NodeId> originals = ir::live_nodes(graph);
  std::vector<ValueId> dequantized(graph.values.size());
  std::vector<std::string> quantized(graph.values.size());
  for (size_t i = 0; i < device.values.size(); ++i) {
    if (!points.is_point[i]) continue;
    const size_t shared = points.same_scale[i].index();
    TRY_ASSIGN(const Pair pair, add_pair(graph, ValueId(i), scales[shared]));
    dequantized[i] = pair.dequantized;
    quantized[i] = graph.value(pair.quantized).name;
  }
  for (const NodeId id : originals) {
    const ValueId first = graph.node(id).inputs.empty() ? ValueId() : graph.node(id).inputs[0];
    for (ValueId& input : graph.node(id).inputs) {
      if (input.valid() && dequantized[input.index()].valid()) input = dequantized[input.index()];
    }
    if (!has_weights(device, device.node(id)) || !dequantized[first.index()].valid()) continue;
    TRY(quantize_weights(graph, id, scales[points.same_scale[first.index()].index()]));
  }
  swap_output_names(graph, dequantized);
  TRY_ASSIGN(graph, ir::compact(std::move(graph)));
  TRY_ASSIGN(graph, ir::infer_shapes(std::move(graph)));
  TRY(ir::verify(graph));
  return Qdq{std::move(graph), std::move(quantized)};
}

}  // namespace graupel::quantize
