// Taking QDQ networks apart. See lift_qdq.h. Test: lift_qdq_test.cc.
#include "quantize/lift_qdq.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "quantize/points.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::ValueId;

// A Q or DQ node's parameters: one scale, or one per entry of `axis`.
struct Affine {
  std::vector<float> scales;
  std::vector<int64_t> zero_points;
  DType dtype = DType::kUInt8;
  int64_t axis = 1;
  bool operator==(const Affine&) const = default;
};

struct Lifting {
  Graph graph;
  ir::Uses uses;
  std::map<size_t, Encoding> tensors;      // by value
  std::map<size_t, LayerEncoding> layers;  // by node
  std::map<size_t, ValueId> instead;       // by value: what its readers read from now on
  std::vector<std::string> remarks;

  const Node* maker(ValueId value) const {
    const bool is_old = value.valid() && value.index() < uses.producer.size();
    const NodeId id = is_old ? uses.producer[value.index()] : NodeId();
    return id.valid() ? &graph.node(id) : nullptr;
  }
  ValueId root(ValueId value) const {
    for (auto at = instead.find(value.index()); at != instead.end();
         at = instead.find(value.index())) {
      value = at->second;
    }
    return value;
  }
};

template <typename OpKind>
bool is(const Node* node) {
  return node != nullptr && std::holds_alternative<OpKind>(node->op);
}

Result<Affine> affine_of(const Graph& graph, const Node& node) {
  const Tensor* scale = graph.constant(node.inputs[1]);
  const ValueId zero_id = node.inputs.size() > 2 ? node.inputs[2] : ValueId();
  const Tensor* zero = graph.constant(zero_id);
  if (scale == nullptr || (zero_id.valid() && zero == nullptr)) {
    return unsupported(node.name,
                       "has a scale or zero point that is computed; only constant ones "
                       "can be used (static quantisation)");
  }
  if (scale->dtype() != DType::kFloat32 || scale->rank() > 1) {
    return unsupported(node.name, fmt::format("has a {} scale of shape {}; expected float32, one "
                                              "or one per channel",
                                              graupel::to_string(scale->dtype()),
                                              graupel::to_string(scale->shape())));
  }
  Affine affine;
  affine.scales.assign(scale->data<float>().begin(), scale->data<float>().end());
  for (const float each : affine.scales) {
    if (std::isnormal(each) && each > 0.0f) continue;
    return invalid_input(node.name,
                         fmt::format("has the scale {}; expected a positive number", each));
  }
  const bool reads_codes = std::holds_alternative<ir::DequantizeLinear>(node.op);
  affine.dtype = zero != nullptr ? zero->dtype()
                 : reads_codes   ? graph.value(node.inputs[0]).dtype
                                 : DType::kUInt8;
  affine.zero_points.assign(affine.scales.size(), 0);
  if (zero != nullptr && zero->size() == affine.scales.size()) {
    affine.zero_points = zero->to_int64s();
  }
  affine.axis = reads_codes ? std::get<ir::DequantizeLinear>(node.op).axis
                            : std::get<ir::QuantizeLinear>(node.op).axis;
  if (affine.axis < 0) {
    affine.axis += static_cast<int64_t>(graph.shape(node.inputs[0]).size());
  }
  return affine;
}

// The largest and least code of a type, nullopt for those that are not read.
std::optional<std::pair<int64_t, int64_t>> code_range(DType dtype) {
  switch (dtype) {
    case DType::kInt8: return std::pair{int64_t{-128}, int64_t{127}};
    case DType::kUInt8: return std::pair{int64_t{0}, int64_t{255}};
    case DType::kInt16: return std::pair{int64_t{-32768}, int64_t{32767}};
    case DType::kUInt16: return std::pair{int64_t{0}, int64_t{65535}};
    case DType::kInt32: return std::pair{int64_t{INT32_MIN}, int64_t{INT32_MAX}};
    default: return std::nullopt;
  }
}

size_t channel_at(const Shape& shape, const Affine& affine, size_t index) {
  if (affine.scales.size() == 1) return 0;
  size_t inner = 1;
  for (size_t d = static_cast<size_t>(affine.axis) + 1; d < shape.size(); ++d) {
    inner *= static_cast<size_t>(shape[d]);
  }
  return index / inner % affine.scales.size();
}

// Codes that a DequantizeLinear reads from constants: stored, or rounded from constant floats.
Result<std::optional<std::vector<int64_t>>> constant_codes(const Lifting& lifting, ValueId value) {
  using Codes = std::optional<std::vector<int64_t>>;
  if (const Tensor* stored = lifting.graph.constant(value)) return Codes(stored->to_int64s());
  const Node* quantize = lifting.maker(value);
  if (!is<ir::QuantizeLinear>(quantize)) return Codes();
  const Tensor* floats = lifting.graph.constant(quantize->inputs[0]);
  if (floats == nullptr) return Codes();
  TRY_ASSIGN(const Affine affine, affine_of(lifting.graph, *quantize));
  const auto range = code_range(affine.dtype);
  if (!range) return Codes();
  std::vector<int64_t> codes;
  for (size_t i = 0; i < floats->size(); ++i) {
    const size_t c = channel_at(floats->shape(), affine, i);
    const double code = std::nearbyint(floats->data<float>()[i] / affine.scales[c]) +
                        static_cast<double>(affine.zero_points[c]);
    if (std::isnan(code)) return invalid_input(quantize->name, "rounds a weight that is NaN");
    codes.push_back(static_cast<int64_t>(
        std::clamp(code, static_cast<double>(range->first), static_cast<double>(range->second))));
  }
  return Codes(std::move(codes));
}

bool has_codes_as_weights(const Node& reader, ValueId value) {
  const bool kind = std::holds_alternative<ir::Conv>(reader.op) ||
                    std::holds_alternative<ir::ConvTranspose>(reader.op) ||
                    std::holds_alternative<ir::Gemm>(reader.op) ||
                    std::holds_alternative<ir::MatMul>(reader.op);
  return kind && reader.inputs.size() > 1 && reader.inputs[1] == value;
}

// Weights have to fit codes in [-127, 127] without a zero point.
Result<void> keep_weight_scales(Lifting& lifting, const Node& node, const Affine& affine,
                                const std::vector<int64_t>& codes, const Shape& shape) {
  size_t lowest = 0;
  for (size_t i = 0; i < codes.size(); ++i) {
    const int64_t code = codes[i] - affine.zero_points[channel_at(shape, affine, i)];
    if (code >= -127 && code <= 127) continue;
    if (code != -128) {
      return unsupported(node.name,
                         "holds weights with a zero point; only symmetric ones can be "
                         "used (export with symmetric weights)");
    }
    ++lowest;
  }
  for (const NodeId reader : lifting.uses.readers[node.outputs[0].index()]) {
    if (!has_codes_as_weights(lifting.graph.node(reader), node.outputs[0])) continue;
    lifting.layers[reader.index()] = {8, affine.scales};
    if (lowest > 0) {
      lifting.remarks.push_back(
          fmt::format("{} of {} weights of {} are -128, which is stored as "
                      "-127",
                      lowest, codes.size(), lifting.graph.node(reader).name));
    }
  }
  return ok();
}

// A DequantizeLinear of constants becomes the float constant.
Result<bool> fold_constant(Lifting& lifting, NodeId id) {
  const Node node = lifting.graph.node(id);
  TRY_ASSIGN(const auto codes, constant_codes(lifting, node.inputs[0]));
  if (!codes) return false;
  TRY_ASSIGN(const Affine affine, affine_of(lifting.graph, node));
  const Shape shape = lifting.graph.shape(node.outputs[0]);
  if (affine.dtype != DType::kInt8 && affine.dtype != DType::kUInt8 &&
      affine.dtype != DType::kInt32) {
    return unsupported(node.name, fmt::format("holds {} constants; weights are int8 or uint8, "
                                              "biases int32",
                                              graupel::to_string(affine.dtype)));
  }
  if (affine.dtype != DType::kInt32) {
    TRY(keep_weight_scales(lifting, node, affine, *codes, shape));
  }
  Tensor floats(DType::kFloat32, shape);
  for (size_t i = 0; i < codes->size(); ++i) {
    const size_t c = channel_at(shape, affine, i);
    floats.mutable_data<float>()[i] =
        static_cast<float>((*codes)[i] - affine.zero_points[c]) * affine.scales[c];
  }
  lifting.instead[node.outputs[0].index()] =
      ir::add_constant(lifting.graph, node.name + "_float", std::move(floats));
  return true;
}

// int8 with a zero point is uint8 with another; the numbers stay the same.
Result<Encoding> encoding_of(const Node& node, const Affine& affine) {
  const auto range = code_range(affine.dtype);
  if (!range || affine.dtype == DType::kInt32) {
    return unsupported(node.name, fmt::format("makes {}; tensors are stored as int8, uint8, int16 "
                                              "or uint16",
                                              graupel::to_string(affine.dtype)));
  }
  if (affine.scales.size() != 1) {
    return unsupported(node.name, fmt::format("has {} scales; a tensor is stored with one (only "
                                              "weights have one per channel)",
                                              affine.scales.size()));
  }
  const int64_t zero = affine.zero_points[0];
  const bool is_wide = affine.dtype == DType::kInt16 || affine.dtype == DType::kUInt16;
  if (is_wide && zero != 0) {
    return unsupported(node.name, "has a 16-bit zero point other than 0");
  }
  if (affine.dtype == DType::kInt8 && zero != 0) {
    return Encoding{DType::kUInt8, affine.scales[0], static_cast<int32_t>(zero) + 128};
  }
  return Encoding{affine.dtype, affine.scales[0], static_cast<int32_t>(zero)};
}

Result<void> remember(Lifting& lifting, ValueId value, const Encoding& encoding) {
  const auto [at, is_new] = lifting.tensors.emplace(value.index(), encoding);
  if (is_new || at->second == encoding) return ok();
  return unsupported(lifting.graph.value(value).name, "is stored with two different scales");
}

// Whole numbers in float32: DQ with scale 1, a layer, a Mul by s_x * s_w. Gives the layer its
// float weights back.
Result<bool> lift_summed_codes(Lifting& lifting, const Node& dequantize, float input_scale) {
  Graph& graph = lifting.graph;
  const std::vector<NodeId>& readers = lifting.uses.readers[dequantize.outputs[0].index()];
  if (readers.size() != 1) return false;
  const NodeId id = readers[0];
  const Node layer = graph.node(id);
  const std::vector<NodeId>& next = lifting.uses.readers[layer.outputs[0].index()];
  if (layer.inputs.size() < 2 || next.size() != 1) return false;
  const Node scaled = graph.node(next[0]);
  const ir::Binary* mul = std::get_if<ir::Binary>(&scaled.op);
  const Tensor* factor = graph.constant(scaled.inputs.back());
  const Tensor* codes = graph.constant(layer.inputs[1]);
  const bool fits = has_codes_as_weights(layer, layer.inputs[1]) && mul != nullptr &&
                    mul->kind == ir::BinaryKind::kMul && factor != nullptr && codes != nullptr &&
                    factor->dtype() == DType::kFloat32 && codes->dtype() == DType::kFloat32;
  if (!fits) return false;
  const bool is_conv = std::holds_alternative<ir::Conv>(layer.op);
  const ir::Gemm* gemm = std::get_if<ir::Gemm>(&layer.op);
  const Affine grid{{factor->data<float>().begin(), factor->data<float>().end()},
                    {},
                    DType::kInt8,
                    is_conv || (gemm != nullptr && gemm->transpose_b) ? 0 : 1};
  LayerEncoding encoding{8, {}};
  for (const float each : grid.scales) {
    // Any number whose product with the input's scale is the factor gives the same integers.
    float scale = each / input_scale;
    for (const float near : {std::nextafter(scale, 0.0f), std::nextafter(scale, INFINITY)}) {
      if (input_scale * scale != each && input_scale * near == each) scale = near;
    }
    encoding.scales.push_back(scale);
  }
  Tensor weights(DType::kFloat32, codes->shape());
  for (size_t i = 0; i < codes->size(); ++i) {
    const size_t c = channel_at(codes->shape(), grid, i);
    weights.mutable_data<float>()[i] = codes->data<float>()[i] * encoding.scales[c];
  }
  Node& changed = graph.node(id);
  changed.inputs[1] = ir::add_constant(graph, layer.name + "_float", std::move(weights));
  if (layer.inputs.size() > 2 && graph.constant(layer.inputs[2]) != nullptr) {
    Tensor bias = *graph.constant(layer.inputs[2]);
    for (size_t m = 0; m < bias.size(); ++m) {
      bias.mutable_data<float>()[m] *= grid.scales[grid.scales.size() == 1 ? 0 : m];
    }
    graph.node(id).inputs[2] = ir::add_constant(graph, layer.name + "_bias", std::move(bias));
  }
  lifting.layers[id.index()] = std::move(encoding);
  lifting.instead[scaled.outputs[0].index()] = layer.outputs[0];
  return true;
}

// A DequantizeLinear of what a QuantizeLinear made.
Result<void> lift_pair(Lifting& lifting, NodeId id) {
  const Node node = lifting.graph.node(id);
  const Node* const quantize = lifting.maker(node.inputs[0]);
  if (!is<ir::QuantizeLinear>(quantize)) {
    return unsupported(node.name,
                       "reads integers that no QuantizeLinear makes; only operators on "
                       "dequantised tensors can be read (QDQ format)");
  }
  const ValueId source = quantize->inputs[0];
  TRY_ASSIGN(const Affine stored, affine_of(lifting.graph, *quantize));
  TRY_ASSIGN(Affine read, affine_of(lifting.graph, node));
  TRY_ASSIGN(const Encoding encoding, encoding_of(*quantize, stored));
  lifting.instead[node.outputs[0].index()] = source;
  if (read.scales.size() == 1) read.axis = stored.axis;
  if (!(read == stored)) {
    const bool counts = read.scales == std::vector<float>{1.0f} &&
                        read.zero_points == stored.zero_points && read.dtype == stored.dtype;
    bool lifted = false;
    if (counts) {
      TRY_ASSIGN(lifted, lift_summed_codes(lifting, node, encoding.scale));
    }
    if (!lifted) {
      return unsupported(node.name, fmt::format("reads with another scale or zero point than {} "
                                                "wrote",
                                                quantize->name));
    }
  }
  return remember(lifting, source, encoding);
}

// Div, Round, Clip, Mul: a tensor kept in 16 bits.
Result<void> lift_wide(Lifting& lifting, const Node& mul) {
  const auto binary = [&](const Node* node, ir::BinaryKind kind) {
    return is<ir::Binary>(node) && std::get<ir::Binary>(node->op).kind == kind;
  };
  if (!binary(&mul, ir::BinaryKind::kMul)) return ok();
  const Node* const clip = lifting.maker(mul.inputs[0]);
  if (!is<ir::Clip>(clip) || clip->inputs.size() != 3) return ok();
  const Node* const round = lifting.maker(clip->inputs[0]);
  if (!is<ir::Unary>(round) || std::get<ir::Unary>(round->op).kind != ir::UnaryKind::kRound) {
    return ok();
  }
  const Node* const div = lifting.maker(round->inputs[0]);
  if (!binary(div, ir::BinaryKind::kDiv)) return ok();
  const Tensor* const scale = lifting.graph.constant(mul.inputs[1]);
  const Tensor* const divisor = lifting.graph.constant(div->inputs[1]);
  const Tensor* const low = lifting.graph.constant(clip->inputs[1]);
  const Tensor* const high = lifting.graph.constant(clip->inputs[2]);
  if (scale == nullptr || divisor == nullptr || low == nullptr || high == nullptr ||
      scale->size() != 1 || !(*scale == *divisor) || scale->dtype() != DType::kFloat32) {
    return ok();
  }
  const double lowest = low->to_doubles()[0], highest = high->to_doubles()[0];
  const bool is_signed = lowest == -32768.0 && highest == 32767.0;
  if (!is_signed && !(lowest == 0.0 && highest == 65535.0)) return ok();
  lifting.instead[mul.outputs[0].index()] = div->inputs[0];
  return remember(lifting, div->inputs[0],
                  {is_signed ? DType::kInt16 : DType::kUInt16, scale->data<float>()[0], 0});
}

// Layers that read a 16-bit tensor have weights on a 16-bit grid: the largest is its last code.
void find_wide_layers(Lifting& lifting) {
  for (const NodeId id : ir::live_nodes(lifting.graph)) {
    const Node& node = lifting.graph.node(id);
    if (node.inputs.size() < 2 || lifting.layers.contains(id.index())) continue;
    const auto input = lifting.tensors.find(lifting.root(node.inputs[0]).index());
    const Tensor* const weights = lifting.graph.constant(node.inputs[1]);
    const bool is_wide = input != lifting.tensors.end() && (input->second.dtype == DType::kInt16 ||
                                                            input->second.dtype == DType::kUInt16);
    if (!is_wide || weights == nullptr || weights->dtype() != DType::kFloat32) continue;
    if (!has_codes_as_weights(node, node.inputs[1])) continue;
    const ir::Gemm* gemm = std::get_if<ir::Gemm>(&node.op);
    const bool first =
        std::holds_alternative<ir::Conv>(node.op) || (gemm != nullptr && gemm->transpose_b);
    const int64_t axis = first ? 0 : 1;
    if (weights->rank() <= static_cast<size_t>(axis)) continue;
    const auto channels = static_cast<size_t>(weights->shape()[static_cast<size_t>(axis)]);
    const Affine grid{std::vector<float>(channels, 1.0f), {}, DType::kInt16, axis};
    std::vector<float> largest(channels, 0.0f);
    for (size_t i = 0; i < weights->size(); ++i) {
      float& most = largest[channel_at(weights->shape(), grid, i)];
      most = std::max(most, std::abs(weights->data<float>()[i]));
    }
    LayerEncoding encoding{16, {}};
    for (const float each : largest) {
      const float scale = each / 32767.0f;
      encoding.scales.push_back(std::isnormal(scale) ? scale : 1.0f);
    }
    lifting.layers[id.index()] = std::move(encoding);
  }
}

// Outputs keep their names on the tensors behind them.
Result<void> rewire(Lifting& lifting) {
  Graph& graph = lifting.graph;
  const auto redirect = [&](ValueId& value) {
    if (value.valid()) value = lifting.root(value);
  };
  for (const NodeId id : ir::live_nodes(graph)) {
    for (ValueId& input : graph.node(id).inputs) redirect(input);
  }
  for (ValueId& output : graph.outputs) {
    const ValueId from = output;
    redirect(output);
    if (from == output) continue;
    const bool is_input =
        std::find(graph.inputs.begin(), graph.inputs.end(), output) != graph.inputs.end();
    if (is_input || graph.constant(output) != nullptr ||
        std::count(graph.outputs.begin(), graph.outputs.end(), output) > 1) {
      return unsupported(graph.value(from).name, "is an output that only rounds another one");
    }
    std::swap(graph.value(from).name, graph.value(output).name);
  }
  return ok();
}

// Tensors rounded twice in a row, with the same scale.
Result<void> merge_chains(Lifting& lifting) {
  std::map<size_t, Encoding> merged;
  for (const auto& [value, encoding] : lifting.tensors) {
    const ValueId root = lifting.root(ValueId(value));
    const auto [at, is_new] = merged.emplace(root.index(), encoding);
    if (is_new || at->second == encoding) continue;
    return unsupported(lifting.graph.value(root).name, "is stored with two different scales");
  }
  lifting.tensors = std::move(merged);
  return ok();
}

bool holds_no_negative(const Encoding& encoding) {
  const bool is_unsigned = encoding.dtype == DType::kUInt8 || encoding.dtype == DType::kUInt16;
  return is_unsigned && encoding.zero_point == 0;
}

// Whether the float network itself makes no negative number there.
bool is_never_negative(const Lifting& lifting, ValueId value) {
  const Graph& graph = lifting.graph;
  const Node* const node = lifting.maker(value);
  if (node == nullptr) return true;  // an input is what it is
  if (const ir::Unary* unary = std::get_if<ir::Unary>(&node->op)) {
    return unary->kind == ir::UnaryKind::kRelu || unary->kind == ir::UnaryKind::kSigmoid ||
           unary->kind == ir::UnaryKind::kAbs;
  }
  if (std::holds_alternative<ir::Clip>(node->op)) {
    const Tensor* const low = node->inputs.size() > 1 ? graph.constant(node->inputs[1]) : nullptr;
    return low != nullptr && low->size() == 1 && low->to_doubles()[0] >= 0.0;
  }
  if (std::holds_alternative<ir::Softmax>(node->op)) return true;
  const bool passes_on = keeps_scale(node->op) ||
                         std::holds_alternative<ir::AveragePool>(node->op) ||
                         std::holds_alternative<ir::GlobalPool>(node->op);
  if (!passes_on) return false;
  const ValueId source = lifting.root(node->inputs[0]);
  const auto stored = lifting.tensors.find(source.index());
  if (stored != lifting.tensors.end() && holds_no_negative(stored->second)) return true;
  return is_never_negative(lifting, source);
}

// Quantisers leave a Relu out where saturation at zero does its work. The float network needs it.
Result<void> restore_relus(Lifting& lifting) {
  const std::map<size_t, Encoding> tensors = lifting.tensors;
  for (const auto& [index, encoding] : tensors) {
    const ValueId value(index);
    if (!holds_no_negative(encoding) || is_never_negative(lifting, value)) continue;
    Graph& graph = lifting.graph;
    const std::string name = graph.value(value).name;
    TRY_ASSIGN(const NodeId relu, ir::add_node(graph, ir::unique_name(graph, name + "_Relu"),
                                               ir::Unary{ir::UnaryKind::kRelu}, {value}));
    const ValueId after = graph.node(relu).outputs[0];
    ir::replace_uses(graph, value, after);
    graph.node(relu).inputs[0] = value;
    std::swap(graph.value(value).name, graph.value(after).name);
    lifting.tensors.erase(index);
    lifting.tensors[after.index()] = encoding;
    lifting.remarks.push_back(fmt::format("{} saturates at zero: a Relu is put there", name));
  }
  return ok();
}

}  // namespace

bool is_qdq(const Graph& graph) {
  const std::vector<NodeId> nodes = ir::live_nodes(graph);
  return std::any_of(nodes.begin(), nodes.end(), [&](NodeId id) {
    return is<ir::QuantizeLinear>(&graph.node(id)) || is<ir::DequantizeLinear>(&graph.node(id));
  });
}

Result<Lifted> lift_qdq(const Graph& original) {
  Lifting lifting;
  lifting.graph = original;
  lifting.uses = ir::find_uses(original);
  for (const NodeId id : ir::live_nodes(original)) {
    const Node& node = original.node(id);
    if (std::holds_alternative<ir::DequantizeLinear>(node.op)) {
      TRY_ASSIGN(const bool folded, fold_constant(lifting, id));
      if (!folded) TRY(lift_pair(lifting, id));
    } else {
      TRY(lift_wide(lifting, node));
    }
  }
  find_wide_layers(lifting);
  TRY(rewire(lifting));
  TRY(merge_chains(lifting));
  TRY(restore_relus(lifting));
  Lifted lifted;
  for (const auto& [value, encoding] : lifting.tensors) {
    lifted.given.tensors[lifting.graph.values[value].name] = encoding;
  }
  for (auto& [node, encoding] : lifting.layers) {
    lifted.given.layers[lifting.graph.nodes[node].name] = std::move(encoding);
  }
  lifted.remarks = std::move(lifting.remarks);
  TRY_ASSIGN(Graph graph, ir::compact(std::move(lifting.graph)));
  TRY_ASSIGN(lifted.graph, ir::infer_shapes(std::move(graph)));
  TRY(ir::verify(lifted.graph));
  if (!is_qdq(lifted.graph)) return lifted;
  for (const NodeId id : ir::live_nodes(lifted.graph)) {
    const Node& node = lifted.graph.node(id);
    if (!is<ir::QuantizeLinear>(&node)) continue;
    return unsupported(node.name,
                       "makes integers that something else than DequantizeLinear reads; "
                       "only QDQ format can be read");
  }
  return lifted;
}

}  // namespace graupel::quantize
