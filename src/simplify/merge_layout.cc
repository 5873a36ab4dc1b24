// Chains of operators that only move or rename positions.
//
//   merge_transposes  Transpose(Transpose(x, p), q)  ->  Transpose(x, p[q]), or x if that is
//   nothing merge_reshapes    two of Reshape, Flatten, Squeeze, Unsqueeze in a row  ->  one
//   Reshape, or x
//
// Conditions: for reshapes, static shapes without zeros and no other reader between (unless the
// pair cancels). Test: rows_test.cc.
#include <algorithm>

#include "simplify/edit.h"

namespace graupel::simplify {
namespace {

using ir::NodeId;
using ir::ValueId;

ir::Ints full_permutation(const ir::Ints& perm, size_t rank) {
  if (!perm.empty()) return perm;
  ir::Ints reversed(rank);
  for (size_t i = 0; i < rank; ++i) reversed[i] = static_cast<int64_t>(rank - 1 - i);
  return reversed;
}

bool try_merge_transposes(Sweep& sweep, NodeId id) {
  const ir::Graph& graph = sweep.graph;
  const NodeId maker = producer_of_input(sweep, id, 0);
  const auto* outer = as<ir::Transpose>(graph, id);
  const auto* inner = as<ir::Transpose>(graph, maker);
  if (outer == nullptr || inner == nullptr) return false;
  const ValueId source = graph.node(maker).inputs[0];
  const Shape* shape = known_shape(graph, source);
  if (shape == nullptr) return false;
  const ir::Ints p = full_permutation(inner->perm, shape->size());
  const ir::Ints q = full_permutation(outer->perm, shape->size());
  if (p.size() != shape->size() || q.size() != shape->size()) return false;
  ir::Ints merged(q.size());
  for (size_t i = 0; i < q.size(); ++i) merged[i] = p[static_cast<size_t>(q[i])];
  if (std::is_sorted(merged.begin(), merged.end()) && bypass(sweep, id, source)) return true;
  const bool last_reader = read_once(sweep, graph.node(maker).outputs[0]);
  std::get<ir::Transpose>(sweep.graph.node(id).op).perm = std::move(merged);
  set_input(sweep, id, 0, source);
  if (last_reader) erase(sweep, maker);
  return true;
}

bool is_reshaping(const ir::Graph& graph, NodeId id) {
  return as<ir::Reshape>(graph, id) != nullptr || as<ir::Flatten>(graph, id) != nullptr ||
         as<ir::Squeeze>(graph, id) != nullptr || as<ir::Unsqueeze>(graph, id) != nullptr;
}

bool try_merge_reshapes(Sweep& sweep, NodeId id) {
  const ir::Graph& graph = sweep.graph;
  const NodeId maker = producer_of_input(sweep, id, 0);
  if (!is_reshaping(graph, id) || !is_reshaping(graph, maker)) return false;
  const ValueId source = graph.node(maker).inputs[0];
  const Shape* from = known_shape(graph, source);
  const Shape* to = known_shape(graph, graph.node(id).outputs[0]);
  if (from == nullptr || to == nullptr) return false;
  if (*from == *to && bypass(sweep, id, source)) return true;
  if (!read_once(sweep, graph.node(maker).outputs[0])) return false;
  if (std::find(to->begin(), to->end(), 0) != to->end()) return false;
  const Tensor target = Tensor::of<int64_t>({static_cast<int64_t>(to->size())}, *to);
  sweep.graph.node(id).op = ir::Reshape{};
  set_input(sweep, id, 0, source);
  set_input(sweep, id, 1, add_constant(sweep, graph.node(id).name + ".shape", target));
  erase(sweep, maker);
  return true;
}

}  // namespace

Result<ir::Graph> merge_transposes(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_merge_transposes);
}

Result<ir::Graph> merge_reshapes(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_merge_reshapes);
}

}  // namespace graupel::simplify
