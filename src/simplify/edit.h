// Editing a graph in one sweep: uses and names are found once and kept true through every edit, so
// that a pass stays linear in the size of the graph.
// Test: fuse_test.cc, rows_test.cc.
#pragma once

#include <functional>
#include <string>
#include <unordered_set>

#include "ir/graph.h"
#include "simplify/passes.h"

namespace graupel::simplify {

struct Sweep {
  ir::Graph& graph;
  PassLog& log;
  ir::Uses uses;                          // of `graph`, kept true by the functions below
  std::unordered_set<std::string> names;  // of nodes and values; filled when first needed
};

// Calls `edit` on every node that is alive when its turn comes, in topological order, as long as
// the log allows edits; counts one edit for each call that returns true. `edit` either declines
// (false, graph unchanged) or edits. Dead nodes and unused constants are dropped at the end.
using NodeEdit = bool (*)(Sweep& sweep, ir::NodeId id);
Result<ir::Graph> sweep_nodes(ir::Graph graph, PassLog& log, NodeEdit edit);

// ---- looking ----

// Input i of a node, or an invalid id if it is omitted.
ir::ValueId input(const ir::Node& node, size_t i);
// The tensor of input i if that is a constant, else nullptr.
const Tensor* constant_input(const ir::Graph& graph, const ir::Node& node, size_t i);
// The shape of a value if known, else nullptr.
const Shape* known_shape(const ir::Graph& graph, ir::ValueId id);
// The node's operator if it is an Op, else nullptr.
template <class Op>
const Op* as(const ir::Graph& graph, ir::NodeId id) {
  return id.valid() ? std::get_if<Op>(&graph.node(id).op) : nullptr;
}
// The node that makes input i; invalid for graph inputs, constants and omitted inputs.
ir::NodeId producer_of_input(const Sweep& sweep, ir::NodeId id, size_t i);
// True if the value has exactly one read and is not a graph output.
bool read_once(const Sweep& sweep, ir::ValueId id);
// True if no output of the node but the first is read or is a graph output.
bool only_first_output_used(const Sweep& sweep, ir::NodeId id);

// ---- changing ----

// Input i reads `value` from now on (the list of inputs grows as needed).
void set_input(Sweep& sweep, ir::NodeId id, size_t i, ir::ValueId value);
// Input i becomes a constant: in place if the node is the only reader of a constant there, else a
// new constant named after `name`.
void set_constant_input(Sweep& sweep, ir::NodeId id, size_t i, std::string name, Tensor tensor);
// The tensor of constant input i, to be changed and given back by set_constant_input: moved out
// (not copied) if the node is its only reader.
Tensor take_constant_input(Sweep& sweep, ir::NodeId id, size_t i);
ir::ValueId add_constant(Sweep& sweep, std::string name, Tensor tensor);
// A new node with one new output of the given type. It is sorted into place at the sweep's end.
ir::ValueId add_node(Sweep& sweep, std::string name, ir::Op op, std::vector<ir::ValueId> inputs,
                     ir::ValueType type);
// The node goes; nobody may read its outputs any more.
void erase(Sweep& sweep, ir::NodeId id);
// The node goes, `same` takes the place of its first output. Declines (false) if another output is
// used, or if the first is a graph output that `same` cannot take the name of.
bool bypass(Sweep& sweep, ir::NodeId id, ir::ValueId same);
// Whether bypass would succeed.
bool can_bypass(const Sweep& sweep, ir::NodeId id, ir::ValueId same);
// `last` goes; `survivor` makes its first output instead. The survivor's own first output must
// have been read by nobody but `last`.
void take_output(Sweep& sweep, ir::NodeId survivor, ir::NodeId last);
// Readers of `from` read `to`.
void redirect(Sweep& sweep, ir::ValueId from, ir::ValueId to);

}  // namespace graupel::simplify
