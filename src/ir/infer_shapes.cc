// infer_shapes: every value's type in node order, with contents followed through shape arithmetic.
//
// Idea: exported networks compute shapes at run time (Shape, Gather, Concat, Reshape). Where a
// tensor's shape is known, the contents of Shape are known too, and from there small tensors are
// evaluated by the reference evaluator, so that the operand that decides the next shape is known.
// Contents live only during the walk: the graph's nodes and constants stay as they are.
// Test: infer_shapes_test.cc.
#include <algorithm>

#include "ir/eval.h"
#include "ir/infer.h"

namespace graupel::ir {
namespace {

// Larger tensors are data, not shapes.
constexpr int64_t kMaxContents = 4096;

using Contents = std::vector<std::optional<Tensor>>;  // indexed by value

bool is_small(const std::optional<Shape>& shape) {
  return shape && element_count(*shape, kMaxContents).has_value();
}

const Tensor* contents_of(const Graph& graph, const Contents& contents, ValueId id) {
  if (!id.valid()) return nullptr;
  const std::optional<Tensor>& known = contents[id.index()];
  return known ? &*known : graph.constant(id);
}

// Operators that occur in shape arithmetic; each costs no more than its inputs and outputs.
struct IsShapeArithmetic {
  template <class T>
  bool operator()(const T&) const {
    return false;
  }
  bool operator()(const Unary&) const { return true; }
  bool operator()(const Binary&) const { return true; }
  bool operator()(const Variadic&) const { return true; }
  bool operator()(const Clip&) const { return true; }
  bool operator()(const Reduce&) const { return true; }
  bool operator()(const Flatten&) const { return true; }
  bool operator()(const Reshape&) const { return true; }
  bool operator()(const Transpose&) const { return true; }
  bool operator()(const Concat&) const { return true; }
  bool operator()(const Split&) const { return true; }
  bool operator()(const Squeeze&) const { return true; }
  bool operator()(const Unsqueeze&) const { return true; }
  bool operator()(const Slice&) const { return true; }
  bool operator()(const Gather&) const { return true; }
  bool operator()(const GatherElements&) const { return true; }
  bool operator()(const Pad&) const { return true; }
  bool operator()(const Expand&) const { return true; }
  bool operator()(const Tile&) const { return true; }
  bool operator()(const ConstantOfShape&) const { return true; }
  bool operator()(const Cast&) const { return true; }
  bool operator()(const Where&) const { return true; }
  bool operator()(const Range&) const { return true; }
  bool operator()(const CumSum&) const { return true; }
};

Tensor shape_contents(const ShapeOf& op, const Shape& shape) {
  const int64_t rank = static_cast<int64_t>(shape.size());
  const auto bound = [&](int64_t at) {
    return std::clamp(at < 0 ? at + rank : at, int64_t{0}, rank);
  };
  const int64_t start = bound(op.start);
  const int64_t end = std::max(bound(op.end.value_or(rank)), start);
  const Ints dims(shape.begin() + start, shape.begin() + end);
  return Tensor::of({static_cast<int64_t>(dims.size())}, dims);
}

// Contents of the node's outputs where its inputs allow it; empty otherwise.
std::vector<Tensor> node_contents(const Graph& graph, const Contents& contents, const Node& node) {
  if (const ShapeOf* op = std::get_if<ShapeOf>(&node.op)) {
    const std::optional<Shape>& shape = graph.value(node.inputs[0]).shape;
    return shape ? std::vector<Tensor>{shape_contents(*op, *shape)} : std::vector<Tensor>();
  }
  if (std::holds_alternative<SizeOf>(node.op)) {
    const std::optional<Shape>& shape = graph.value(node.inputs[0]).shape;
    if (!shape) return {};
    return {Tensor::scalar<int64_t>(element_count(*shape).value_or(0))};
  }
  if (!std::visit(IsShapeArithmetic{}, node.op)) return {};
  std::vector<const Tensor*> inputs;
  for (const ValueId id : node.inputs) {
    const Tensor* tensor = contents_of(graph, contents, id);
    if (id.valid() && (tensor == nullptr || !is_small(tensor->shape()))) return {};
    inputs.push_back(tensor);
  }
  for (const ValueId id : node.outputs) {
    if (id.valid() && !is_small(graph.value(id).shape)) return {};
  }
  // What the evaluator refuses (a division by zero, say) is merely not known here.
  Result<std::vector<Tensor>> outputs = evaluate_op(node.op, inputs, node.outputs.size());
  return outputs.ok() ? std::move(outputs).value() : std::vector<Tensor>();
}

Result<void> infer_node(Graph& graph, Contents& contents, const Node& node) {
  std::vector<OperandType> operands;
  for (const ValueId id : node.inputs) {
    if (!id.valid()) {
      operands.push_back({DType::kFloat32, std::nullopt, nullptr, true});
      continue;
    }
    const Value& value = graph.value(id);
    operands.push_back({value.dtype, value.shape, contents_of(graph, contents, id), false});
  }
  Result<std::vector<ValueType>> types = infer_types(node.op, operands, node.outputs.size());
  if (!types.ok()) return std::move(types).error().within(node.name);
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (!node.outputs[i].valid()) continue;
    Value& value = graph.value(node.outputs[i]);
    value.dtype = (*types)[i].dtype;
    if ((*types)[i].shape) value.shape = (*types)[i].shape;
  }
  std::vector<Tensor> made = node_contents(graph, contents, node);
  for (size_t i = 0; i < made.size() && i < node.outputs.size(); ++i) {
    if (!node.outputs[i].valid()) continue;
    const Value& value = graph.value(node.outputs[i]);
    if (made[i].dtype() != value.dtype || made[i].shape() != value.shape) continue;
    contents[node.outputs[i].index()] = std::move(made[i]);
  }
  return ok();
}

}  // namespace

Result<Graph> infer_shapes(Graph graph) {
  TRY(infer::check_ids(graph));
  for (Value& value : graph.values) {
    if (!value.constant) continue;
    value.dtype = value.constant->dtype();
    value.shape = value.constant->shape();
  }
  Contents contents(graph.values.size());
  for (const NodeId id : live_nodes(graph)) {
    // An operator without semantics keeps the types its file declares.
    if (std::holds_alternative<Opaque>(graph.node(id).op)) continue;
    TRY(infer_node(graph, contents, graph.node(id)));
  }
  return graph;
}

}  // namespace graupel::ir
