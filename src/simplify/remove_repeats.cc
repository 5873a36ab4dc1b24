// Elementwise functions that do nothing new when applied again.
//
//   Relu(Relu(x)) -> Relu(x), likewise Abs, Sign;  Round, Floor and Ceil after any of the three
//   Neg(Neg(x)) -> x, Not(Not(x)) -> x
//
// Condition: the value types agree (they do, the functions are elementwise). All exact.
// Test: rows_test.cc.
#include "simplify/edit.h"

namespace graupel::simplify {
namespace {

using ir::NodeId;
using ir::UnaryKind;

bool makes_integers(UnaryKind kind) {
  return kind == UnaryKind::kRound || kind == UnaryKind::kFloor || kind == UnaryKind::kCeil;
}

bool try_remove(Sweep& sweep, NodeId id) {
  const auto* outer = as<ir::Unary>(sweep.graph, id);
  const NodeId maker = producer_of_input(sweep, id, 0);
  const auto* inner = as<ir::Unary>(sweep.graph, maker);
  if (outer == nullptr || inner == nullptr) return false;
  const bool same = outer->kind == inner->kind;
  if (same && (outer->kind == UnaryKind::kNeg || outer->kind == UnaryKind::kNot)) {
    return bypass(sweep, id, sweep.graph.node(maker).inputs[0]);
  }
  const bool repeats = same && (outer->kind == UnaryKind::kRelu || outer->kind == UnaryKind::kAbs ||
                                outer->kind == UnaryKind::kSign);
  if (!repeats && !(makes_integers(outer->kind) && makes_integers(inner->kind))) return false;
  return bypass(sweep, id, sweep.graph.node(id).inputs[0]);
}

}  // namespace

Result<ir::Graph> remove_repeats(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_remove);
}

}  // namespace graupel::simplify
