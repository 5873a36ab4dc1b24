// Operators that hand their input on unchanged: Identity, Dropout, Cast to the same type, Reshape
// to the same shape, Pad by nothing, x + 0, x * 1, ...
//
//   before:  a -> NoOp -> b        after:  a -> b
//
// Conditions: the output has the input's type and shape, and the operator provably copies. A graph
// output keeps its name (its producer takes it over); where it cannot, because the source is a
// graph input or another graph output, the operator stays. Test: rows_test.cc.
#include <algorithm>

#include "simplify/edit.h"

namespace graupel::simplify {
namespace {

using ir::BinaryKind;
using ir::NodeId;
using ir::ValueId;

bool all_equal(const ir::Ints& values, int64_t wanted) {
  return std::all_of(values.begin(), values.end(), [&](int64_t v) { return v == wanted; });
}

bool constant_is(const ir::Graph& graph, const ir::Node& node, size_t i, double wanted) {
  const Tensor* tensor = constant_input(graph, node, i);
  if (tensor == nullptr || tensor->size() == 0) return false;
  const std::vector<double> values = tensor->to_doubles();
  return std::all_of(values.begin(), values.end(), [&](double v) { return v == wanted; });
}

// Which input of x op constant the result equals, if the constant is neutral.
std::optional<size_t> neutral_operand(const ir::Graph& graph, const ir::Node& node,
                                      BinaryKind kind) {
  const bool commutes = kind == BinaryKind::kAdd || kind == BinaryKind::kMul;
  const bool additive = kind == BinaryKind::kAdd || kind == BinaryKind::kSub;
  const bool multiplicative =
      kind == BinaryKind::kMul || kind == BinaryKind::kDiv || kind == BinaryKind::kPow;
  if (!additive && !multiplicative) return std::nullopt;
  const double neutral = additive ? 0.0 : 1.0;
  if (constant_is(graph, node, 1, neutral)) return 0;
  if (commutes && constant_is(graph, node, 0, neutral)) return 1;
  return std::nullopt;
}

// Axes of size one may move freely; all others keep their order.
bool keeps_order(const ir::Ints& perm, const Shape& shape) {
  int64_t last = -1;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t axis = perm.empty() ? static_cast<int64_t>(shape.size() - 1 - i) : perm[i];
    if (shape[static_cast<size_t>(axis)] == 1) continue;
    if (axis < last) return false;
    last = axis;
  }
  return true;
}

// A Slice that takes every element (the shapes are known to agree) with steps forward.
bool steps_forward(const ir::Graph& graph, const ir::Node& node) {
  if (!input(node, 4).valid()) return true;
  const Tensor* steps = constant_input(graph, node, 4);
  if (steps == nullptr) return false;
  const std::vector<int64_t> values = steps->to_int64s();
  return std::all_of(values.begin(), values.end(), [](int64_t step) { return step > 0; });
}

bool pads_nothing(const ir::Graph& graph, const ir::Node& node) {
  const Tensor* pads = constant_input(graph, node, 1);
  return pads != nullptr && all_equal(pads->to_int64s(), 0);
}

// Resize by exactly one maps every output position onto its input position. Scales other than one
// can round to the same size and still shift positions.
bool resizes_by_one(const ir::Graph& graph, const ir::Node& node, const ir::Resize& resize) {
  if (resize.coordinates == ir::ResizeCoordinates::kCropAndResize) return false;
  const ValueId scales = input(node, 2);
  if (scales.valid() && graph.value(scales).shape != std::optional<Shape>(Shape{0})) {
    return constant_is(graph, node, 2, 1.0);
  }
  return input(node, 3).valid();
}

bool single_point_window(const ir::Window& window) {
  return all_equal(window.kernel, 1) && all_equal(window.strides, 1) && all_equal(window.pads, 0);
}

// Which input the node copies, given that its output has that input's type and shape.
struct CopiedInput {
  const ir::Graph& graph;
  const ir::Node& node;

  using Index = std::optional<size_t>;
  Index when(bool copies) const { return copies ? Index(0) : Index(); }

  Index operator()(const ir::Unary& op) const { return when(op.kind == ir::UnaryKind::kIdentity); }
  Index operator()(const ir::Binary& op) const { return neutral_operand(graph, node, op.kind); }
  Index operator()(const ir::Variadic&) const { return when(node.inputs.size() == 1); }
  Index operator()(const ir::Dropout&) const { return 0; }
  Index operator()(const ir::Cast&) const { return 0; }
  Index operator()(const ir::Reshape&) const { return 0; }
  Index operator()(const ir::Flatten&) const { return 0; }
  Index operator()(const ir::Squeeze&) const { return 0; }
  Index operator()(const ir::Unsqueeze&) const { return 0; }
  Index operator()(const ir::Expand&) const { return 0; }
  Index operator()(const ir::Tile&) const { return 0; }
  Index operator()(const ir::GlobalPool&) const { return 0; }
  Index operator()(const ir::Concat&) const { return when(node.inputs.size() == 1); }
  Index operator()(const ir::Split&) const { return when(node.outputs.size() == 1); }
  Index operator()(const ir::Transpose& op) const {
    return when(keeps_order(op.perm, graph.shape(node.inputs[0])));
  }
  Index operator()(const ir::Slice&) const { return when(steps_forward(graph, node)); }
  Index operator()(const ir::Pad&) const { return when(pads_nothing(graph, node)); }
  Index operator()(const ir::Resize& op) const { return when(resizes_by_one(graph, node, op)); }
  Index operator()(const ir::Clip&) const {
    return when(!input(node, 1).valid() && !input(node, 2).valid());
  }
  Index operator()(const ir::MaxPool& op) const { return when(single_point_window(op.window)); }
  Index operator()(const ir::AveragePool& op) const { return when(single_point_window(op.window)); }
  Index operator()(const ir::DepthToSpace& op) const { return when(op.block == 1); }
  Index operator()(const ir::SpaceToDepth& op) const { return when(op.block == 1); }
  Index operator()(const ir::Reduce& op) const {
    return when(op.kind == ir::ReduceKind::kMean || op.kind == ir::ReduceKind::kSum ||
                op.kind == ir::ReduceKind::kMax || op.kind == ir::ReduceKind::kMin ||
                op.kind == ir::ReduceKind::kProd);
  }
  template <class Other>
  Index operator()(const Other&) const {
    return std::nullopt;
  }
};

bool try_remove(Sweep& sweep, NodeId id) {
  const ir::Graph& graph = sweep.graph;
  const ir::Node& node = graph.node(id);
  if (node.inputs.empty() || !node.inputs[0].valid() || node.outputs.empty() ||
      !node.outputs[0].valid()) {
    return false;
  }
  const ir::Value& output = graph.value(node.outputs[0]);
  const bool identity = std::holds_alternative<ir::Unary>(node.op) &&
                        std::get<ir::Unary>(node.op).kind == ir::UnaryKind::kIdentity;
  if (!output.shape && !identity) return false;
  if (!identity && !std::holds_alternative<ir::Binary>(node.op) &&
      graph.value(node.inputs[0]).shape != output.shape) {
    return false;
  }
  const std::optional<size_t> copied = std::visit(CopiedInput{graph, node}, node.op);
  if (!copied) return false;
  const ValueId source = node.inputs[*copied];
  if (graph.value(source).dtype != output.dtype || graph.value(source).shape != output.shape) {
    return false;
  }
  return bypass(sweep, id, source);
}

}  // namespace

Result<ir::Graph> remove_no_ops(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_remove);
}

}  // namespace graupel::simplify
