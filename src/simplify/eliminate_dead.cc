// Nodes whose results nobody needs, constants nobody reads, and outputs nobody asks for.
//
// Idea: ir::compact keeps what graph outputs need; this pass counts what goes. Optional outputs
// behind the first (a MaxPool's indices, a Dropout's mask) that nobody reads are omitted too.
// Test: rows_test.cc.
#include <algorithm>

#include "simplify/edit.h"

namespace graupel::simplify {
namespace {

bool has_optional_outputs(const ir::Op& op) {
  return std::holds_alternative<ir::MaxPool>(op) || std::holds_alternative<ir::Dropout>(op) ||
         std::holds_alternative<ir::LayerNormalization>(op);
}

bool try_omit_outputs(Sweep& sweep, ir::NodeId id) {
  ir::Node& node = sweep.graph.node(id);
  if (!has_optional_outputs(node.op) || node.outputs.size() < 2) return false;
  if (!only_first_output_used(sweep, id)) return false;
  node.outputs.resize(1);
  return true;
}

}  // namespace

Result<ir::Graph> eliminate_dead(ir::Graph graph, PassLog& log) {
  if (!log.may_edit()) return graph;
  const size_t nodes = graph.nodes.size();
  const size_t values = graph.values.size();
  TRY_ASSIGN(ir::Graph compacted, ir::compact(std::move(graph)));
  if (compacted.nodes.size() < nodes || compacted.values.size() < values) ++log.edits;
  return sweep_nodes(std::move(compacted), log, try_omit_outputs);
}

}  // namespace graupel::simplify
