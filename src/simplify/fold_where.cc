// Where with a constant answer, and Expand in front of an operator that broadcasts anyway.
//
//   Where(all true, x, y)         ->  x        if x already has the result's shape
//   op(Expand(x), y)              ->  op(x, y) if the result's shape stays the same
//
// Test: rows_test.cc.
#include <algorithm>

#include "simplify/edit.h"

namespace graupel::simplify {
namespace {

using ir::NodeId;
using ir::ValueId;

bool try_fold_where(Sweep& sweep, NodeId id) {
  const ir::Graph& graph = sweep.graph;
  if (as<ir::Where>(graph, id) == nullptr) return false;
  const ir::Node& node = graph.node(id);
  const Tensor* condition = constant_input(graph, node, 0);
  if (condition == nullptr || condition->dtype() != DType::kBool || condition->size() == 0) {
    return false;
  }
  const std::vector<int64_t> flags = condition->to_int64s();
  const bool first = flags[0] != 0;
  if (!std::all_of(flags.begin(), flags.end(), [&](int64_t v) { return (v != 0) == first; })) {
    return false;
  }
  const ValueId chosen = node.inputs[first ? 1 : 2];
  const Shape* from = known_shape(graph, chosen);
  const Shape* to = known_shape(graph, node.outputs[0]);
  if (from == nullptr || to == nullptr || *from != *to) return false;
  return bypass(sweep, id, chosen);
}

bool broadcasts(const ir::Op& op) {
  return std::holds_alternative<ir::Binary>(op) || std::holds_alternative<ir::Variadic>(op) ||
         std::holds_alternative<ir::Where>(op);
}

// The common shape of operands under numpy's rules, or nothing if they do not agree.
std::optional<Shape> common_shape(const std::vector<const Shape*>& shapes) {
  size_t rank = 0;
  for (const Shape* shape : shapes) rank = std::max(rank, shape->size());
  Shape common(rank, 1);
  for (const Shape* shape : shapes) {
    for (size_t i = 0; i < shape->size(); ++i) {
      const int64_t dim = (*shape)[i];
      int64_t& target = common[i + rank - shape->size()];
      if (dim == 1 || dim == target) continue;
      if (target != 1) return std::nullopt;
      target = dim;
    }
  }
  return common;
}

bool try_skip_expand(Sweep& sweep, NodeId id) {
  const ir::Graph& graph = sweep.graph;
  const ir::Node& node = graph.node(id);
  if (!broadcasts(node.op)) return false;
  const Shape* result = known_shape(graph, node.outputs[0]);
  if (result == nullptr) return false;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const NodeId maker = producer_of_input(sweep, id, i);
    if (as<ir::Expand>(graph, maker) == nullptr) continue;
    const ValueId source = graph.node(maker).inputs[0];
    std::vector<const Shape*> shapes;
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      shapes.push_back(known_shape(graph, k == i ? source : node.inputs[k]));
      if (shapes.back() == nullptr) return false;
    }
    if (common_shape(shapes) != std::optional<Shape>(*result)) continue;
    const bool last_reader = read_once(sweep, graph.node(maker).outputs[0]);
    set_input(sweep, id, i, source);
    if (last_reader) erase(sweep, maker);
    return true;
  }
  return false;
}

}  // namespace

Result<ir::Graph> fold_where(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_fold_where);
}

Result<ir::Graph> skip_expand(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_skip_expand);
}

}  // namespace graupel::simplify
