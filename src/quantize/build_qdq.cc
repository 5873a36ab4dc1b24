// Inserting QuantizeLinear/DequantizeLinear pairs and INT8 weights. See build_qdq.h.
//
// Every reader of a point reads its dequantised copy instead; a graph output keeps its name on the
// dequantised copy. Test: build_qdq_test.cc, quantize_test.cc.
#include "quantize/build_qdq.h"

#include <algorithm>
#include <cmath>

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

constexpr double kBiasLimit = 1 << 30;

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

// The codes as the tensor the graph stores.
Tensor code_tensor(const Shape& shape, const std::vector<double>& codes) {
  Tensor out(DType::kInt8, shape);
  const std::span<int8_t> target = out.mutable_data<int8_t>();
  for (size_t i = 0; i < codes.size(); ++i) target[i] = static_cast<int8_t>(codes[i]);
  return out;
}

Result<void> quantize_weights(Graph& graph, const Layer& layer, const WeightChoice& choice,
                              float input_scale) {
  const NodeId id = layer.node;
  const std::string name = graph.node(id).name;
  const Shape shape = graph.shape(graph.node(id).inputs[1]);
  TRY_ASSIGN(const ValueId weights,
             add_dequantized(graph, name + "_weight", code_tensor(shape, choice.codes),
                             choice.scales, layer.axis));
  graph.node(id).inputs[1] = weights;
  // A bias that is more than one number per output stays in float, and the layer with it.
  if (choice.bias.empty()) return ok();
  std::vector<float> bias_scales(choice.bias.size());
  for (size_t i = 0; i < bias_scales.size(); ++i) {
    bias_scales[i] = input_scale * choice.scales[choice.scales.size() == 1 ? 0 : i];
  }
  TRY_ASSIGN(Tensor quantized, quantized_bias(name, choice.bias, bias_scales));
  TRY_ASSIGN(const ValueId bias,
             add_dequantized(graph, name + "_bias", std::move(quantized), bias_scales, 0));
  if (std::holds_alternative<ir::MatMul>(graph.node(id).op)) graph.node(id).op = ir::Gemm{};
  graph.node(id).inputs.resize(3);
  graph.node(id).inputs[2] = bias;
  return ok();
}

constexpr double kExactFloat = 1 << 24;  // whole numbers up to here are exact in float32

// Whether sums of codes stay whole numbers in float32.
bool sums_are_exact(const Graph& graph, const Layer& layer, const WeightChoice& choice,
                    const ScaleChoice& input, float input_scale) {
  if (!layer.has_columns || layer.axis < 0) return false;
  const double reach = input.dtype == DType::kInt8
                           ? 128.0
                           : std::max(255.0 - input.zero_point, 0.0 + input.zero_point);
  std::vector<double> totals(static_cast<size_t>(layer.channels), 0.0);
  for_each_channel(graph.shape(graph.node(layer.node).inputs[1]), layer.axis,
                   [&](size_t i, size_t m) { totals[m] += std::abs(choice.codes[i]) * reach; });
  for (size_t m = 0; m < totals.size(); ++m) {
    const double scale = static_cast<double>(input_scale * choice.scales[m]);
    if (!choice.bias.empty()) totals[m] += std::abs(choice.bias[m]) / scale + 1.0;
    if (totals[m] >= kExactFloat) return false;
  }
  return true;
}

// The layer on codes held in float32, and a Mul behind it by s_x * s_w.
Result<void> sum_codes(Graph& graph, const Layer& layer, const WeightChoice& choice, ValueId bytes,
                       const ScaleChoice& input) {
  const NodeId id = layer.node;
  const std::string name = graph.node(id).name;
  const ValueId one = ir::add_constant(graph, name + "_one", Tensor::scalar(1.0f));
  const ValueId zero = ir::add_constant(graph, name + "_zero_point", zero_point_tensor(input));
  TRY_ASSIGN(const NodeId codes, ir::add_node(graph, name + "_codes_DequantizeLinear",
                                              ir::DequantizeLinear{}, {bytes, one, zero}));
  Tensor weights(DType::kFloat32, graph.shape(graph.node(id).inputs[1]));
  std::copy(choice.codes.begin(), choice.codes.end(), weights.mutable_data<float>().begin());
  const bool is_conv = std::holds_alternative<ir::Conv>(graph.node(id).op);
  Shape along(is_conv ? graph.shape(layer.output).size() - 1 : size_t{1}, 1);
  along[0] = layer.channels;
  Tensor multiplier(DType::kFloat32, along);
  Tensor bias(DType::kFloat32, {layer.channels});
  for (size_t m = 0; m < multiplier.size(); ++m) {
    const float scale = input.scale * choice.scales[m];
    multiplier.mutable_data<float>()[m] = scale;
    const double whole = choice.bias.empty() ? 0.0 : choice.bias[m] / static_cast<double>(scale);
    bias.mutable_data<float>()[m] = static_cast<float>(std::nearbyint(whole));
  }
  const ValueId factor = ir::add_constant(graph, name + "_multiplier", std::move(multiplier));
  const ValueId added = ir::add_constant(graph, name + "_bias_codes", std::move(bias));
  graph.node(id).inputs[0] = graph.node(codes).outputs[0];
  graph.node(id).inputs[1] = ir::add_constant(graph, name + "_weight_codes", std::move(weights));
  if (!choice.bias.empty()) {
    if (std::holds_alternative<ir::MatMul>(graph.node(id).op)) graph.node(id).op = ir::Gemm{};
    graph.node(id).inputs.resize(3);
    graph.node(id).inputs[2] = added;
  }
  TRY_ASSIGN(const NodeId scaled,
             ir::add_node(graph, name + "_scaled", ir::Binary{ir::BinaryKind::kMul},
                          {layer.output, factor}));
  // The Mul makes what the layer made, and the layer a value of its own.
  std::swap(graph.node(id).outputs[0], graph.node(scaled).outputs[0]);
  graph.node(scaled).inputs[0] = graph.node(id).outputs[0];
  return ok();
}

// A 16-bit layer keeps float constants, the weights rounded to their grid.
Result<void> widen_weights(Graph& graph, const Layer& layer, const WeightChoice& choice) {
  const std::string name = graph.node(layer.node).name;
  const ValueId weights =
      ir::add_constant(graph, name + "_weight_16bit", dequantized_weights(graph, layer, choice));
  graph.node(layer.node).inputs[1] = weights;
  return choice.bias.empty() ? ok() : set_layer_bias(graph, layer, choice.bias);
}

// clip(round(x / s), lowest, highest) * s
Result<ValueId> add_wide(Graph& graph, ValueId id, const ScaleChoice& choice) {
  const std::string name = graph.value(id).name;
  const float low = choice.dtype == DType::kInt16 ? -32768.0f : 0.0f;
  const float high = choice.dtype == DType::kInt16 ? 32767.0f : 65535.0f;
  const auto constant = [&](const char* what, float value) {
    return ir::add_constant(graph, name + what, Tensor::scalar(value));
  };
  const ValueId scale = constant("_scale16", choice.scale);
  const ValueId lowest = constant("_lowest16", low), highest = constant("_highest16", high);
  const auto add = [&](const char* what, ir::Op op, std::vector<ValueId> in) -> Result<ValueId> {
    TRY_ASSIGN(const NodeId node, ir::add_node(graph, name + what, std::move(op), std::move(in)));
    return graph.node(node).outputs[0];
  };
  TRY_ASSIGN(const ValueId ratio, add("_Div16", ir::Binary{ir::BinaryKind::kDiv}, {id, scale}));
  TRY_ASSIGN(const ValueId code, add("_Round16", ir::Unary{ir::UnaryKind::kRound}, {ratio}));
  TRY_ASSIGN(const ValueId kept, add("_Clip16", ir::Clip{}, {code, lowest, highest}));
  return add("_Mul16", ir::Binary{ir::BinaryKind::kMul}, {kept, scale});
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

// What stands for each point in the new graph.
struct Stored {
  // Indexed by value, invalid where not stored; bytes, and what they are dequantised to.
  std::vector<ValueId> wide, bytes, narrow;
};

// Wide where the point is, and narrow where an 8-bit layer reads it (or everybody does).
Result<Stored> store_points(Graph& graph, const Points& points, const Choices& choices,
                            const std::vector<bool>& narrow_readers) {
  const size_t count = points.is_point.size();
  Stored stored{std::vector<ValueId>(count), std::vector<ValueId>(count),
                std::vector<ValueId>(count)};
  for (size_t i = 0; i < count; ++i) {
    if (!points.is_point[i]) continue;
    const size_t shared = points.same_scale[i].index();
    ValueId source(i);
    if (is_wide(points, choices, ValueId(i))) {
      TRY_ASSIGN(source, add_wide(graph, source, choices.wide_scales[shared]));
      stored.wide[i] = source;
      if (!narrow_readers[i]) continue;
    }
    TRY_ASSIGN(const Pair pair, add_pair(graph, source, choices.scales[shared]));
    stored.bytes[i] = pair.quantized;
    stored.narrow[i] = pair.dequantized;
  }
  return stored;
}

// Whether the layer's sums end, through a Relu or Clip at most, in a point stored in 16 bits.
bool ends_wide(const Graph& device, const ir::Uses& uses, const Points& points,
               const Choices& choices, ValueId output) {
  if (points.is_point[output.index()]) return is_wide(points, choices, output);
  const std::vector<NodeId>& readers = uses.readers[output.index()];
  return readers.size() == 1 && is_wide(points, choices, device.node(readers[0]).outputs[0]);
}

// The layers of a graph beside what was decided about each.
struct Decided {
  std::vector<Layer> layers;
  std::vector<WeightChoice> weights;
  std::vector<bool> narrow;          // by layer: computes in 8 bits
  std::vector<bool> wide_output;     // by layer: its sums are kept in 16 bits
  std::vector<int> of_node;          // indexed by node: layer, or -1
  std::vector<bool> narrow_readers;  // indexed by value: an 8-bit layer reads it
};

Result<Decided> decide_layers(const Graph& device, const Points& points, const Choices& choices) {
  const ir::Uses uses = ir::find_uses(device);
  Decided decided;
  decided.layers = find_layers(device, points);
  decided.of_node.assign(device.nodes.size(), -1);
  decided.narrow_readers.assign(device.values.size(), false);
  for (size_t i = 0; i < decided.layers.size(); ++i) {
    const Layer& layer = decided.layers[i];
    const float scale = choices.scales[points.same_scale[layer.input.index()].index()].scale;
    const auto found = choices.weights.find(layer.node.index());
    if (found != choices.weights.end()) {
      decided.weights.push_back(found->second);
    } else {
      TRY_ASSIGN(WeightChoice rounded,
                 round_weights(device, layer, scale, Bits::kEight, WeightRange::kMax));
      decided.weights.push_back(std::move(rounded));
    }
    decided.of_node[layer.node.index()] = static_cast<int>(i);
    const bool wide =
        decided.weights.back().bits == Bits::kSixteen && is_wide(points, choices, layer.input);
    decided.narrow.push_back(!wide);
    decided.wide_output.push_back(ends_wide(device, uses, points, choices, layer.output));
    if (!wide) decided.narrow_readers[layer.input.index()] = true;
  }
  return decided;
}

Result<void> rewire(Graph& graph, NodeId id, const Decided& decided, const Stored& stored,
                    const Points& points, const Choices& choices) {
  const int at = decided.of_node[id.index()];
  const bool narrow = at >= 0 && decided.narrow[static_cast<size_t>(at)];
  for (ValueId& input : graph.node(id).inputs) {
    if (!input.valid() || input.index() >= stored.narrow.size()) continue;
    const ValueId wide = stored.wide[input.index()];
    const ValueId copy = narrow || !wide.valid() ? stored.narrow[input.index()] : wide;
    if (copy.valid()) input = copy;
  }
  if (at < 0) return ok();
  const Layer& layer = decided.layers[static_cast<size_t>(at)];
  const WeightChoice& weights = decided.weights[static_cast<size_t>(at)];
  if (!narrow) return widen_weights(graph, layer, weights);
  const ScaleChoice& input = choices.scales[points.same_scale[layer.input.index()].index()];
  if (decided.wide_output[static_cast<size_t>(at)] &&
      sums_are_exact(graph, layer, weights, input, input.scale)) {
    return sum_codes(graph, layer, weights, stored.bytes[layer.input.index()], input);
  }
  return quantize_weights(graph, layer, weights, input.scale);
}

std::vector<std::string> names_of(const Graph& graph, const std::vector<ValueId>& values) {
  std::vector<std::string> names;
  for (const ValueId value : values) {
    names.push_back(value.valid() ? graph.value(value).name : std::string());
  }
  return names;
}

}  // namespace

bool is_wide(const Points& points, const Choices& choices, ValueId value) {
  const size_t shared = points.same_scale[value.index()].index();
  return points.is_point[value.index()] && shared < choices.wide.size() && choices.wide[shared];
}

namespace {

Result<Qdq> build(const Graph& device, const Points& points, const Choices& choices,
                  const Decided& decided) {
  Graph graph = device;
  const std::vector<NodeId> originals = ir::live_nodes(graph);
  TRY_ASSIGN(const Stored stored, store_points(graph, points, choices, decided.narrow_readers));
  for (const NodeId id : originals) TRY(rewire(graph, id, decided, stored, points, choices));
  std::vector<ValueId> values, outputs;
  for (size_t i = 0; i < device.values.size(); ++i) {
    values.emplace_back(i);
    outputs.push_back(stored.wide[i].valid() ? stored.wide[i] : stored.narrow[i]);
  }
  swap_output_names(graph, outputs);
  Qdq qdq{{}, names_of(graph, stored.bytes), names_of(graph, stored.wide), names_of(graph, values)};
  TRY_ASSIGN(graph, ir::compact(std::move(graph)));
  TRY_ASSIGN(qdq.graph, ir::infer_shapes(std::move(graph)));
  TRY(ir::verify(qdq.graph));
  return qdq;
}

}  // namespace

Result<Qdq> build_qdq(const Graph& device, const Points& points, const Choices& choices) {
  TRY_ASSIGN(const Decided decided, decide_layers(device, points, choices));
  return build(device, points, choices, decided);
}

Result<Qdq> build_activations(const Graph& device, const Points& points, const Choices& choices) {
  Decided none;
  none.of_node.assign(device.nodes.size(), -1);
  none.narrow_readers.assign(device.values.size(), false);
  return build(device, points, choices, none);
}

}  // namespace graupel::quantize
