// Judging each node of a part: what is needed, what is known, what becomes one byte step.
//
// Idea: walk the nodes backwards from the outputs. A needed QuantizeLinear looks at what lies in
// front of it and takes the first form that fits; the form says which values it needs, usually
// quantised ones, so the float values between are never computed unless someone else needs them.
// Which operators are integer groups is the evaluator's public answer (ir::integer_group_heads);
// how they are computed is not shared with it.
// Reference: docs/formats/int8.md. Test: compile_test.cc.
#include <algorithm>
#include <cmath>
#include <set>

#include "compile/lowering.h"
#include "ir/eval.h"

namespace graupel::compile {
namespace {

constexpr int64_t kMostFoldedBytes = int64_t{256} << 20;
constexpr int kMostRegionNodes = 64;

// Scales beyond this could make (q * s) / s round to another q.
bool is_ordinary(float scale) { return scale > 1e-30f && scale < 1e30f; }

bool all_known(const Lowering& l, const ir::Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](ir::ValueId id) { return !id.valid() || l.constant(id) != nullptr; });
}

// Outputs that follow from constants, or from static shapes, are computed now.
Result<void> fold(Lowering& l, const ir::Node& node) {
  const bool is_shape =
      std::holds_alternative<ir::ShapeOf>(node.op) || std::holds_alternative<ir::SizeOf>(node.op);
  if (std::holds_alternative<ir::Opaque>(node.op)) return ok();
  if (!is_shape && !all_known(l, node)) return ok();
  int64_t bytes = 0;
  for (const ir::ValueId id : node.outputs) {
    if (!id.valid() || !l.graph->value(id).shape) continue;
    const ir::Value& value = l.graph->value(id);
    bytes += elements_of(*value.shape) * static_cast<int64_t>(element_size_bytes(value.dtype));
  }
  if (bytes > kMostFoldedBytes) return cannot(node, "would fold to an enormous constant");
  Tensor shaped;
  std::vector<const Tensor*> inputs;
  for (const ir::ValueId id : node.inputs) inputs.push_back(l.constant(id));
  if (is_shape && inputs[0] == nullptr) {
    shaped = Tensor(DType::kBool, l.graph->shape(node.inputs[0]));
    inputs[0] = &shaped;
  }
  Result<std::vector<Tensor>> outputs = ir::evaluate_op(node.op, inputs, node.outputs.size());
  if (!outputs.ok()) return std::move(outputs).error().within(node.name);
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i].valid()) l.constants[node.outputs[i].index()] = std::move((*outputs)[i]);
  }
  return ok();
}

std::optional<Quantization> scalar_quantization(const Lowering& l, const ir::Node& node,
                                                DType otherwise) {
  const Tensor* scale = l.constant(input_of(node, 1));
  const Tensor* zero = l.constant(input_of(node, 2));
  if (scale == nullptr || scale->dtype() != DType::kFloat32 || scale->size() != 1) return {};
  if (input_of(node, 2).valid() && (zero == nullptr || zero->size() != 1)) return {};
  Quantization q;
  q.scale = scale->data<float>()[0];
  q.dtype = zero != nullptr ? zero->dtype() : otherwise;
  if (zero != nullptr) q.zero_point = static_cast<int32_t>(zero->to_int64s()[0]);
  if (!is_byte(q.dtype) || !std::isfinite(q.scale) || !(q.scale > 0.0f)) return {};
  return q;
}

// The source of a DequantizeLinear that makes `id` with exactly this quantisation.
ir::ValueId source_with(const Lowering& l, ir::ValueId id, const Quantization& wanted) {
  const std::optional<Quantization> found = dequantized_from(l, id);
  return found && *found == wanted ? input_of(*l.producer(id), 0) : ir::ValueId();
}

// The quantised values behind a chain of movement operators, if all share one quantisation.
bool trace_movement(const Lowering& l, ir::ValueId id, const Quantization& wanted, int depth,
                    std::vector<ir::ValueId>& sources) {
  if (const ir::ValueId source = source_with(l, id, wanted); source.valid()) {
    if (std::find(sources.begin(), sources.end(), source) == sources.end()) {
      sources.push_back(source);
    }
    return true;
  }
  const ir::Node* node = l.producer(id);
  if (node == nullptr || depth >= kMostRegionNodes || !is_movement(node->op)) return false;
  const size_t moved = moved_inputs(*node);
  for (size_t i = 0; i < node->inputs.size(); ++i) {
    if (i < moved && !trace_movement(l, node->inputs[i], wanted, depth + 1, sources)) return false;
    if (i >= moved && node->inputs[i].valid() && l.constant(node->inputs[i]) == nullptr) {
      return false;
    }
  }
  return true;
}

// A constant that is one number, or one per channel (dimension 1) of a tensor of rank `rank`.
bool is_per_channel(const Tensor& constant, size_t rank, int64_t channels) {
  if (constant.size() == 1) return constant.rank() <= rank;
  const Shape& shape = constant.shape();
  if (rank < 2 || shape.size() > rank || shape.size() + 1 < rank) return false;
  const size_t at = shape.size() - (rank - 1);  // where dimension 1 lies
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] != (d == at ? channels : 1)) return false;
  }
  return true;
}

// The one quantised value that an element-wise region hangs on.
struct Region {
  ir::ValueId leaf;  // float side of its DequantizeLinear
  std::set<int32_t> nodes;
};
bool trace_elementwise(const Lowering& l, ir::ValueId id, const Shape& shape, Region& region) {
  if (const Tensor* constant = l.constant(id)) {
    return is_per_channel(*constant, shape.size(), shape.size() > 1 ? shape[1] : 1);
  }
  if (!l.graph->value(id).shape || l.graph->shape(id) != shape) return false;
  if (dequantized_from(l, id)) {
    if (region.leaf.valid() && region.leaf != id) return false;
    region.leaf = id;
    return true;
  }
  const ir::Node* node = l.producer(id);
  if (node == nullptr || !is_elementwise(node->op)) return false;
  const ir::NodeId number = l.uses.producer[id.index()];
  if (!region.nodes.insert(number.value).second) return true;
  if (region.nodes.size() > kMostRegionNodes) return false;
  return std::all_of(node->inputs.begin(), node->inputs.end(), [&](ir::ValueId input) {
    return !input.valid() || trace_elementwise(l, input, shape, region);
  });
}

// Relu, or Clip with constant bounds, whose input is `of`.
bool is_activation(const Lowering& l, const ir::Node& node) {
  if (const ir::Unary* unary = std::get_if<ir::Unary>(&node.op)) {
    return unary->kind == ir::UnaryKind::kRelu;
  }
  if (!std::holds_alternative<ir::Clip>(node.op)) return false;
  for (size_t i = 1; i <= 2; ++i) {
    const ir::ValueId id = input_of(node, i);
    const Tensor* bound = l.constant(id);
    if (!id.valid()) continue;
    if (bound == nullptr || bound->size() != 1 || bound->dtype() != DType::kFloat32 ||
        std::isnan(bound->data<float>()[0])) {
      return false;
    }
  }
  return true;
}

// The node in front of a QuantizeLinear, seen through an activation.
void look_behind(const Lowering& l, const ir::Node& quantize, Decision& d) {
  const ir::ValueId x = input_of(quantize, 0);
  const ir::Node* node = l.producer(x);
  if (node == nullptr) return;
  d.head = l.uses.producer[x.index()];
  if (!is_activation(l, *node)) return;
  const ir::ValueId before = input_of(*node, 0);
  if (l.producer(before) == nullptr) return;
  d.activation = d.head;
  d.head = l.uses.producer[before.index()];
}

bool take_binary(const Lowering& l, Decision& d) {
  if (!d.head.valid()) return false;
  const ir::Node& node = l.node(d.head);
  const ir::Binary* binary = std::get_if<ir::Binary>(&node.op);
  if (binary == nullptr ||
      (binary->kind != ir::BinaryKind::kAdd && binary->kind != ir::BinaryKind::kSub &&
       binary->kind != ir::BinaryKind::kMul)) {
    return false;
  }
  d.sources.clear();
  for (const ir::ValueId id : node.inputs) {
    if (!dequantized_from(l, id)) return false;
    d.sources.push_back(input_of(*l.producer(id), 0));
  }
  return d.sources.size() == 2 && l.graph->shape(node.inputs[0]) == l.graph->shape(node.inputs[1]);
}

bool take_max_pool(const Lowering& l, const Quantization& q, Decision& d) {
  if (!d.head.valid() || d.activation.valid()) return false;
  const ir::Node& node = l.node(d.head);
  const ir::GlobalPool* global = std::get_if<ir::GlobalPool>(&node.op);
  const bool is_max = std::holds_alternative<ir::MaxPool>(node.op) ||
                      (global != nullptr && global->kind == ir::PoolKind::kMax);
  const Shape& x = l.graph->shape(input_of(node, 0));
  const ir::ValueId source = source_with(l, input_of(node, 0), q);
  if (!is_max || !source.valid() || x[0] != 1 || x.size() < 3 || x.size() > 4) return false;
  d.sources = {source};
  return true;
}

// The form of a QuantizeLinear with per-tensor parameters.
Decision decide_quantize(const Lowering& l, const ir::Node& node,
                         const std::set<int32_t>& group_heads) {
  Decision d;
  d.form = Form::kLiteral;
  d.sources = {input_of(node, 0)};
  const std::optional<Quantization> q = quantization_of(l, node);
  if (!q) return d;
  Decision behind = d;
  look_behind(l, node, behind);
  if (behind.head.valid() && group_heads.contains(behind.head.value)) {
    behind.form = Form::kGroup;
    behind.sources = {input_of(*l.producer(input_of(l.node(behind.head), 0)), 0)};
    return behind;
  }
  const Shape& shape = l.graph->shape(input_of(node, 0));
  std::vector<ir::ValueId> moved;
  if (is_ordinary(q->scale) && trace_movement(l, input_of(node, 0), *q, 0, moved)) {
    behind.form = Form::kMoveBytes;
    behind.sources = moved;
    return behind;
  }
  if (is_ordinary(q->scale) && take_max_pool(l, *q, behind)) {
    behind.form = Form::kPoolBytes;
    return behind;
  }
  if (take_binary(l, behind)) {
    behind.form = Form::kBinaryBytes;
    return behind;
  }
  Region region;
  if (trace_elementwise(l, input_of(node, 0), shape, region) && region.leaf.valid()) {
    d.form = Form::kLookup;
    d.sources = {input_of(*l.producer(region.leaf), 0), region.leaf};
  }
  return d;
}

}  // namespace

std::optional<Quantization> quantization_of(const Lowering& l, const ir::Node& node) {
  return scalar_quantization(l, node, DType::kUInt8);
}

std::optional<Quantization> dequantized_from(const Lowering& l, ir::ValueId id) {
  const ir::Node* node = l.producer(id);
  if (node == nullptr || !std::holds_alternative<ir::DequantizeLinear>(node->op)) return {};
  const ir::ValueId source = input_of(*node, 0);
  if (!source.valid() || l.constant(source) != nullptr) return {};
  const DType dtype = l.graph->value(source).dtype;
  const std::optional<Quantization> q = scalar_quantization(l, *node, dtype);
  return q && q->dtype == dtype ? q : std::nullopt;
}

bool is_elementwise(const ir::Op& op) {
  return std::holds_alternative<ir::Unary>(op) || std::holds_alternative<ir::Binary>(op) ||
         std::holds_alternative<ir::Variadic>(op) || std::holds_alternative<ir::LeakyRelu>(op) ||
         std::holds_alternative<ir::PRelu>(op) || std::holds_alternative<ir::Elu>(op) ||
         std::holds_alternative<ir::Selu>(op) || std::holds_alternative<ir::Celu>(op) ||
         std::holds_alternative<ir::ThresholdedRelu>(op) ||
         std::holds_alternative<ir::HardSigmoid>(op) || std::holds_alternative<ir::Clip>(op) ||
         std::holds_alternative<ir::Where>(op) || std::holds_alternative<ir::Cast>(op);
}

bool is_movement(const ir::Op& op) {
  if (const ir::Unary* unary = std::get_if<ir::Unary>(&op)) {
    return unary->kind == ir::UnaryKind::kIdentity;
  }
  if (const ir::Resize* resize = std::get_if<ir::Resize>(&op)) {
    return resize->mode == ir::ResizeMode::kNearest &&
           resize->coordinates != ir::ResizeCoordinates::kCropAndResize;
  }
  return std::holds_alternative<ir::Reshape>(op) || std::holds_alternative<ir::Flatten>(op) ||
         std::holds_alternative<ir::Squeeze>(op) || std::holds_alternative<ir::Unsqueeze>(op) ||
         std::holds_alternative<ir::Transpose>(op) || std::holds_alternative<ir::Slice>(op) ||
         std::holds_alternative<ir::Concat>(op) || std::holds_alternative<ir::Split>(op) ||
         std::holds_alternative<ir::Gather>(op) || std::holds_alternative<ir::GatherElements>(op) ||
         std::holds_alternative<ir::Pad>(op) || std::holds_alternative<ir::Expand>(op) ||
         std::holds_alternative<ir::Tile>(op) || std::holds_alternative<ir::DepthToSpace>(op) ||
         std::holds_alternative<ir::SpaceToDepth>(op) || std::holds_alternative<ir::Dropout>(op);
}

size_t moved_inputs(const ir::Node& node) {
  return std::holds_alternative<ir::Concat>(node.op) ? node.inputs.size() : 1;
}

Result<void> decide(Lowering& l) {
  const ir::Graph& graph = *l.graph;
  l.uses = ir::find_uses(graph);
  l.buffers.assign(graph.values.size(), BufferId());
  l.constants.assign(graph.values.size(), std::nullopt);
  l.decisions.assign(graph.nodes.size(), Decision());
  for (size_t i = 0; i < graph.values.size(); ++i) l.constants[i] = graph.values[i].constant;
  const std::vector<ir::NodeId> nodes = ir::live_nodes(graph);
  for (const ir::NodeId id : nodes) TRY(fold(l, graph.node(id)));
  std::set<int32_t> group_heads;
  for (const ir::NodeId id : ir::integer_group_heads(graph)) group_heads.insert(id.value);
  std::vector<bool> needed(graph.values.size(), false);
  for (const ir::ValueId id : graph.outputs) needed[id.index()] = true;
  for (size_t i = nodes.size(); i-- > 0;) {
    const ir::Node& node = graph.node(nodes[i]);
    Decision& d = l.decisions[nodes[i].index()];
    const bool wanted = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ir::ValueId id) {
      return id.valid() && needed[id.index()] && l.constant(id) == nullptr;
    });
    if (!wanted) continue;
    if (std::holds_alternative<ir::QuantizeLinear>(node.op)) {
      d = decide_quantize(l, node, group_heads);
    } else {
      d.form = Form::kLiteral;
      d.sources = node.inputs;
    }
    for (const ir::ValueId id :
         d.form == Form::kLookup ? std::vector<ir::ValueId>{d.sources[0]} : d.sources) {
      if (id.valid()) needed[id.index()] = true;
    }
  }
  return ok();
}

}  // namespace graupel::compile
