// Taking QDQ networks apart. See lift_qdq.h. Test: lift_qdq_test.cc.
#include "quantize/lift_qdq.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "quantize/layers.h"
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

bool is_positive(float scale) { return std::isnormal(scale) && scale > 0.0f; }

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
    if (is_positive(each)) continue;
    return invalid_input(node.name,
                         fmt::format("has the scale {}; expected a positive number", each));
  }
  const bool reads_codes = std::holds_alternative<ir::DequantizeLinear>(node.op);
  affine.dtype = zero != nullptr ? zero->dtype()
                 : reads_codes   ? graph.value(node.inputs[0]).dtype
                                 : DType::kUInt8;
  affine.zero_points.assign(affine.scales.size(), 0);
  if (zero != nullptr) affine.zero_points = zero->to_int64s();
  if (affine.zero_points.size() != affine.scales.size()) {
    return invalid_input(node.name,
                         fmt::format("has {} scales and {} zero points; expected as many",
                                     affine.scales.size(), affine.zero_points.size()));
  }
  affine.axis = reads_codes ? std::get<ir::DequantizeLinear>(node.op).axis
                            : std::get<ir::QuantizeLinear>(node.op).axis;
  if (affine.axis < 0) {
    affine.axis += static_cast<int64_t>(graph.shape(node.inputs[0]).size());
  }
  return affine;
}

Result<void> need_float32(const Node& quantize, DType rounded) {
  if (rounded == DType::kFloat32) return ok();
  return unsupported(quantize.name,
                     fmt::format("rounds {} numbers; expected float32 (convert the model first)",
                                 graupel::to_string(rounded)));
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
  TRY(need_float32(*quantize, floats->dtype()));
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
    const Node& layer = lifting.graph.node(reader);
    if (!takes_weights(layer.op) || layer.inputs[1] != node.outputs[0]) continue;
    lifting.layers[reader.index()] = {8, affine.scales};
    if (lowest > 0) {
      lifting.remarks.push_back(
          fmt::format("{} of {} weights of {} are -128, which is stored as "
                      "-127",
                      lowest, codes.size(), layer.name));
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

// Whether `some` holds one number, or one per channel along the dimension that has `behind` more
// behind it.
bool is_per_channel(const Tensor& some, size_t channels, size_t behind) {
  if (some.size() == 1) return true;
  return some.size() == channels && some.rank() > behind &&
         some.shape()[some.rank() - 1 - behind] == static_cast<int64_t>(channels);
}

// A layer on whole numbers in float32, and a Mul behind it by s_x * s_w.
struct SummedCodes {
  NodeId layer;
  ValueId scaled;              // the Mul's
  int64_t axis = 0;            // of the weights, for their channels; -1: one scale
  Tensor codes, factor;        // float32
  std::optional<Tensor> bias;  // in codes
};
std::optional<SummedCodes> find_summed_codes(const Lifting& lifting, ValueId dequantized) {
  const Graph& graph = lifting.graph;
  const auto only_reader = [&](ValueId value) {
    const std::vector<NodeId>& readers = lifting.uses.readers[value.index()];
    return readers.size() == 1 && !lifting.uses.is_output[value.index()] ? readers[0] : NodeId();
  };
  SummedCodes found;
  found.layer = only_reader(dequantized);
  if (!found.layer.valid()) return {};
  const Node& layer = graph.node(found.layer);
  const NodeId next = only_reader(layer.outputs[0]);
  if (!has_weights(graph, layer) || layer.inputs[0] != dequantized || !next.valid()) return {};
  const Node& scaled = graph.node(next);
  const ir::Binary* const mul = std::get_if<ir::Binary>(&scaled.op);
  const Tensor* const factor = graph.constant(scaled.inputs.back());
  const Tensor& codes = *graph.constant(layer.inputs[1]);
  const bool fits = mul != nullptr && mul->kind == ir::BinaryKind::kMul && factor != nullptr &&
                    factor->dtype() == DType::kFloat32 && codes.dtype() == DType::kFloat32 &&
                    graph.value(scaled.outputs[0]).shape == graph.value(layer.outputs[0]).shape;
  if (!fits) return {};
  found.scaled = scaled.outputs[0];
  found.axis = channel_axis(graph, layer);
  found.codes = codes;
  found.factor = *factor;
  const bool is_spatial = std::holds_alternative<ir::Conv>(layer.op) ||
                          std::holds_alternative<ir::ConvTranspose>(layer.op);
  const auto channels = found.axis < 0
                            ? size_t{1}
                            : static_cast<size_t>(codes.shape()[static_cast<size_t>(found.axis)]);
  if (!is_per_channel(*factor, channels, is_spatial ? codes.rank() - 2 : 0)) return {};
  if (layer.inputs.size() < 3 || !layer.inputs[2].valid()) return found;
  const Tensor* const bias = graph.constant(layer.inputs[2]);
  if (bias == nullptr) return {};
  const bool has_own = bias->size() == channels && is_per_channel(*bias, channels, 0);
  if (factor->size() != 1 && !has_own) return {};
  found.bias = *bias;
  return found;
}

// Gives such a layer its float weights back.
Result<bool> lift_summed_codes(Lifting& lifting, const Node& dequantize, float input_scale) {
  Graph& graph = lifting.graph;
  std::optional<SummedCodes> found = find_summed_codes(lifting, dequantize.outputs[0]);
  if (!found) return false;
  const std::span<const float> factors = found->factor.data<float>();
  LayerEncoding encoding{8, {}};
  for (const float each : factors) {
    // Any number whose product with the input's scale is the factor gives the same integers.
    float scale = each / input_scale;
    for (const float near : {std::nextafter(scale, 0.0f), std::nextafter(scale, INFINITY)}) {
      if (input_scale * scale != each && input_scale * near == each) scale = near;
    }
    if (!is_positive(each) || !is_positive(scale)) {
      return invalid_input(graph.value(found->scaled).name,
                           fmt::format("is scaled by {}; expected a positive number", each));
    }
    encoding.scales.push_back(scale);
  }
  const int64_t axis = factors.size() == 1 ? -1 : found->axis;
  for_each_channel(found->codes.shape(), axis, [&](size_t i, size_t m) {
    found->codes.mutable_data<float>()[i] *= encoding.scales[m];
  });
  Node& layer = graph.node(found->layer);
  const std::string name = layer.name;
  layer.inputs[1] = ir::add_constant(graph, name + "_float", std::move(found->codes));
  if (found->bias) {
    const std::span<float> bias = found->bias->mutable_data<float>();
    for (size_t i = 0; i < bias.size(); ++i) bias[i] *= factors[factors.size() == 1 ? 0 : i];
    layer.inputs[2] = ir::add_constant(graph, name + "_bias", std::move(*found->bias));
  }
  lifting.layers[found->layer.index()] = std::move(encoding);
  lifting.instead[found->scaled.index()] = layer.outputs[0];
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
  TRY(need_float32(*quantize, lifting.graph.value(source).dtype));
  TRY_ASSIGN(const Affine stored, affine_of(lifting.graph, *quantize));
  TRY_ASSIGN(Affine read, affine_of(lifting.graph, node));
  TRY_ASSIGN(const Encoding encoding, encoding_of(*quantize, stored));
  lifting.instead[node.outputs[0].index()] = lifting.root(source);
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
      scale->size() != 1 || !(*scale == *divisor) || scale->dtype() != DType::kFloat32 ||
      !is_positive(scale->data<float>()[0]) ||
      lifting.graph.value(mul.outputs[0]).shape != lifting.graph.value(div->inputs[0]).shape) {
    return ok();
  }
  const double lowest = low->to_doubles()[0], highest = high->to_doubles()[0];
  const bool is_signed = lowest == -32768.0 && highest == 32767.0;
  if (!is_signed && !(lowest == 0.0 && highest == 65535.0)) return ok();
  lifting.instead[mul.outputs[0].index()] = lifting.root(div->inputs[0]);
  return remember(lifting, div->inputs[0],
                  {is_signed ? DType::kInt16 : DType::kUInt16, scale->data<float>()[0], 0});
}

// Layers that read a 16-bit tensor have weights on a 16-bit grid: the largest is its last code.
void find_wide_layers(Lifting& lifting) {
  for (const NodeId id : ir::live_nodes(lifting.graph)) {
    const Node& node = lifting.graph.node(id);
    if (!has_weights(lifting.graph, node) || lifting.layers.contains(id.index())) continue;
    const auto input = lifting.tensors.find(lifting.root(node.inputs[0]).index());
    const Tensor& weights = *lifting.graph.constant(node.inputs[1]);
    const bool is_wide = input != lifting.tensors.end() && (input->second.dtype == DType::kInt16 ||
                                                            input->second.dtype == DType::kUInt16);
    if (!is_wide || weights.dtype() != DType::kFloat32) continue;
    const int64_t axis = channel_axis(lifting.graph, node);
    const int64_t channels = axis < 0 ? 1 : weights.shape()[static_cast<size_t>(axis)];
    std::vector<float> largest(static_cast<size_t>(channels), 0.0f);
    for_each_channel(weights.shape(), axis, [&](size_t i, size_t m) {
      largest[m] = std::max(largest[m], std::abs(weights.data<float>()[i]));
    });
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
  for (;;) {
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
    value = lifting.root(node->inputs[0]);
    const auto stored = lifting.tensors.find(value.index());
    if (stored != lifting.tensors.end() && holds_no_negative(stored->second)) return true;
  }
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
    // The sum in front saturates as it did: the same codes, negative ones at zero.
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
