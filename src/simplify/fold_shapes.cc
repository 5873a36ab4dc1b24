// Shape(x) and Size(x) become constants once x's shape is known. Constant folding then computes the
// Gather / Concat / ... behind them, so that Reshape gets a constant target.
//
// A target is never taken from the shape a file declares for the result: a file may feed it at run
// time. Test: rows_test.cc.
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

bool try_fold(Sweep& sweep, NodeId id) {
  const ir::Node& node = sweep.graph.node(id);
  if (const auto* op = std::get_if<ir::ShapeOf>(&node.op)) return try_shape_of(sweep, id, *op);
  if (std::holds_alternative<ir::SizeOf>(node.op)) return try_size_of(sweep, id);
  return false;
}

}  // namespace

Result<ir::Graph> fold_shapes(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_fold);
}

}  // namespace graupel::simplify
