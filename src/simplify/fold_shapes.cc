// Shape arithmetic whose answer inference already knows.
//
//   Shape(x), Size(x)                      ->  a constant, once x's shape is known
//   Reshape(x, computed), Expand, Resize   ->  the same with the output's known shape as a constant
//   ConstantOfShape(computed)                  (the Gather / Concat / ... that computed it dies)
//
// Conditions: all shapes involved known; for Reshape no zero sizes, which have a second meaning.
// Test: rows_test.cc.
#include <algorithm>

#include "simplify/edit.h"

namespace graupel::simplify {
namespace {

using ir::NodeId;

// The node's first output becomes a constant; the node goes.
void become_constant(Sweep& sweep, NodeId id, Tensor tensor) {
  const ir::ValueId output = sweep.graph.node(id).outputs[0];
  erase(sweep, id);
  ir::Value& value = sweep.graph.value(output);
  value.dtype = tensor.dtype();
  value.shape = tensor.shape();
  value.constant = std::move(tensor);
}

int64_t clamp_axis(int64_t axis, int64_t rank) {
  if (axis < 0) axis = axis < -rank ? 0 : axis + rank;
  return std::min(axis, rank);
}

bool try_shape_of(Sweep& sweep, NodeId id, const ir::ShapeOf& op) {
  const Shape* shape = known_shape(sweep.graph, input(sweep.graph.node(id), 0));
  if (shape == nullptr) return false;
  const auto rank = static_cast<int64_t>(shape->size());
  const int64_t start = clamp_axis(op.start, rank);
  const int64_t end = std::max(start, clamp_axis(op.end.value_or(rank), rank));
  const std::vector<int64_t> part(shape->begin() + start, shape->begin() + end);
  become_constant(sweep, id, Tensor::of<int64_t>({end - start}, part));
  return true;
}

bool try_size_of(Sweep& sweep, NodeId id) {
  const Shape* shape = known_shape(sweep.graph, input(sweep.graph.node(id), 0));
  const std::optional<int64_t> count = shape != nullptr ? element_count(*shape) : std::nullopt;
  if (!count) return false;
  become_constant(sweep, id, Tensor::scalar<int64_t>(*count));
  return true;
}

// Which input of the operator is a target shape that may be replaced by the output's shape.
std::optional<size_t> target_input(const ir::Node& node) {
  if (std::holds_alternative<ir::Reshape>(node.op)) return 1;
  if (std::holds_alternative<ir::Expand>(node.op)) return 1;
  if (std::holds_alternative<ir::ConstantOfShape>(node.op)) return 0;
  if (std::holds_alternative<ir::Resize>(node.op) && input(node, 3).valid()) return 3;
  return std::nullopt;
}

bool try_fold(Sweep& sweep, NodeId id) {
  const ir::Node& node = sweep.graph.node(id);
  if (const auto* op = std::get_if<ir::ShapeOf>(&node.op)) return try_shape_of(sweep, id, *op);
  if (std::holds_alternative<ir::SizeOf>(node.op)) return try_size_of(sweep, id);
  const std::optional<size_t> target = target_input(node);
  const Shape* shape = known_shape(sweep.graph, node.outputs[0]);
  if (!target || shape == nullptr || !input(node, *target).valid() ||
      constant_input(sweep.graph, node, *target) != nullptr) {
    return false;
  }
  if (std::find(shape->begin(), shape->end(), 0) != shape->end()) return false;
  if (auto* reshape = std::get_if<ir::Reshape>(&sweep.graph.node(id).op)) {
    reshape->allow_zero = false;
  }
  set_constant_input(sweep, id, *target, node.name + ".shape",
                     Tensor::of<int64_t>({static_cast<int64_t>(shape->size())}, *shape));
  return true;
}

}  // namespace

Result<ir::Graph> fold_shapes(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_fold);
}

}  // namespace graupel::simplify
