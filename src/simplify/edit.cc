// Editing a graph in one sweep. See edit.h.
//
// Idea: `uses` is computed once; each edit updates only the lists of the values it touches.
// Test: fuse_test.cc, rows_test.cc.
#include "simplify/edit.h"

#include <algorithm>
#include <utility>

namespace graupel::simplify {
namespace {

using ir::NodeId;
using ir::ValueId;

void forget_read(Sweep& sweep, ValueId value, NodeId reader) {
  std::vector<NodeId>& readers = sweep.uses.readers[value.index()];
  const auto found = std::find(readers.begin(), readers.end(), reader);
  if (found != readers.end()) readers.erase(found);
}

// Gives a constant's memory back as soon as nobody reads it.
void release_if_unused(Sweep& sweep, ValueId id) {
  ir::Value& value = sweep.graph.value(id);
  if (value.constant && sweep.uses.readers[id.index()].empty() &&
      !sweep.uses.is_output[id.index()]) {
    value.constant.reset();
  }
}

std::string fresh_name(Sweep& sweep, const std::string& wanted) {
  if (sweep.names.empty()) {
    for (const ir::Node& node : sweep.graph.nodes) sweep.names.insert(node.name);
    for (const ir::Value& value : sweep.graph.values) sweep.names.insert(value.name);
  }
  std::string name = wanted;
  for (size_t suffix = 1; !sweep.names.insert(name).second; ++suffix) {
    name = wanted + "_" + std::to_string(suffix);
  }
  return name;
}

ValueId add_value(Sweep& sweep, ir::Value value) {
  const ValueId id = ir::add_value(sweep.graph, std::move(value));
  sweep.uses.producer.emplace_back();
  sweep.uses.readers.emplace_back();
  sweep.uses.is_output.push_back(false);
  return id;
}

}  // namespace

Result<ir::Graph> sweep_nodes(ir::Graph graph, PassLog& log, NodeEdit edit) {
  Sweep sweep{graph, log, ir::find_uses(graph), {}};
  bool edited = false;
  for (const NodeId id : ir::live_nodes(graph)) {
    if (!log.may_edit()) break;
    if (graph.node(id).dead || !edit(sweep, id)) continue;
    ++log.edits;
    edited = true;
  }
  if (!edited) return graph;
  return ir::compact(std::move(graph));
}

ValueId input(const ir::Node& node, size_t i) {
  return i < node.inputs.size() ? node.inputs[i] : ValueId();
}

const Tensor* constant_input(const ir::Graph& graph, const ir::Node& node, size_t i) {
  return graph.constant(input(node, i));
}

const Shape* known_shape(const ir::Graph& graph, ValueId id) {
  return id.valid() && graph.value(id).shape ? &*graph.value(id).shape : nullptr;
}

NodeId producer_of_input(const Sweep& sweep, NodeId id, size_t i) {
  const ValueId value = input(sweep.graph.node(id), i);
  return value.valid() ? sweep.uses.producer[value.index()] : NodeId();
}

bool read_once(const Sweep& sweep, ValueId id) {
  return sweep.uses.readers[id.index()].size() == 1 && !sweep.uses.is_output[id.index()];
}

bool only_first_output_used(const Sweep& sweep, NodeId id) {
  const std::vector<ValueId>& outputs = sweep.graph.node(id).outputs;
  if (outputs.empty() || !outputs[0].valid()) return false;
  return std::all_of(outputs.begin() + 1, outputs.end(), [&](ValueId output) {
    return !output.valid() ||
           (sweep.uses.readers[output.index()].empty() && !sweep.uses.is_output[output.index()]);
  });
}

void set_input(Sweep& sweep, NodeId id, size_t i, ValueId value) {
  std::vector<ValueId>& inputs = sweep.graph.node(id).inputs;
  if (i >= inputs.size()) inputs.resize(i + 1);
  const ValueId old = std::exchange(inputs[i], value);
  if (value.valid()) sweep.uses.readers[value.index()].push_back(id);
  if (old.valid()) {
    forget_read(sweep, old, id);
    release_if_unused(sweep, old);
  }
  while (!inputs.empty() && !inputs.back().valid()) inputs.pop_back();
}

void set_constant_input(Sweep& sweep, NodeId id, size_t i, std::string name, Tensor tensor) {
  const ValueId old = input(sweep.graph.node(id), i);
  if (old.valid() && sweep.graph.value(old).constant && read_once(sweep, old)) {
    ir::Value& value = sweep.graph.value(old);
    value.dtype = tensor.dtype();
    value.shape = tensor.shape();
    value.constant = std::move(tensor);
    return;
  }
  set_input(sweep, id, i, add_constant(sweep, std::move(name), std::move(tensor)));
}

Tensor take_constant_input(Sweep& sweep, NodeId id, size_t i) {
  const ValueId old = sweep.graph.node(id).inputs[i];
  std::optional<Tensor>& constant = sweep.graph.value(old).constant;
  return read_once(sweep, old) ? std::exchange(*constant, Tensor()) : *constant;
}

ValueId add_constant(Sweep& sweep, std::string name, Tensor tensor) {
  const DType dtype = tensor.dtype();
  Shape shape = tensor.shape();
  return add_value(sweep, {fresh_name(sweep, name), dtype, std::move(shape), std::move(tensor)});
}

ValueId add_node(Sweep& sweep, std::string name, ir::Op op, std::vector<ValueId> inputs,
                 ir::ValueType type) {
  const NodeId id(sweep.graph.nodes.size());
  const ValueId output = add_value(
      sweep, {fresh_name(sweep, name + "_output_0"), type.dtype, type.shape, std::nullopt});
  sweep.graph.nodes.push_back(
      {fresh_name(sweep, name), std::move(op), std::move(inputs), {output}, false});
  for (const ValueId value : sweep.graph.node(id).inputs) {
    if (value.valid()) sweep.uses.readers[value.index()].push_back(id);
  }
  sweep.uses.producer[output.index()] = id;
  return output;
}

void erase(Sweep& sweep, NodeId id) {
  ir::Node& node = sweep.graph.node(id);
  node.dead = true;
  for (const ValueId value : node.inputs) {
    if (!value.valid()) continue;
    forget_read(sweep, value, id);
    release_if_unused(sweep, value);
  }
  for (const ValueId value : node.outputs) {
    if (value.valid() && sweep.uses.producer[value.index()] == id) {
      sweep.uses.producer[value.index()] = NodeId();
    }
  }
}

bool can_bypass(const Sweep& sweep, NodeId id, ValueId same) {
  if (!only_first_output_used(sweep, id)) return false;
  const ValueId output = sweep.graph.node(id).outputs[0];
  if (!sweep.uses.is_output[output.index()]) return true;
  return sweep.uses.producer[same.index()].valid() && !sweep.uses.is_output[same.index()];
}

bool bypass(Sweep& sweep, NodeId id, ValueId same) {
  if (!can_bypass(sweep, id, same)) return false;
  const ValueId output = sweep.graph.node(id).outputs[0];
  const NodeId maker = sweep.uses.producer[same.index()];
  if (!sweep.uses.is_output[output.index()]) {
    redirect(sweep, output, same);
    erase(sweep, id);
    return true;
  }
  erase(sweep, id);
  std::vector<ValueId>& outputs = sweep.graph.node(maker).outputs;
  std::replace(outputs.begin(), outputs.end(), same, output);
  sweep.uses.producer[output.index()] = maker;
  sweep.uses.producer[same.index()] = NodeId();
  redirect(sweep, same, output);
  return true;
}

void take_output(Sweep& sweep, NodeId survivor, NodeId last) {
  const ValueId output = sweep.graph.node(last).outputs[0];
  erase(sweep, last);
  const ValueId old = std::exchange(sweep.graph.node(survivor).outputs[0], output);
  sweep.uses.producer[old.index()] = NodeId();
  sweep.uses.producer[output.index()] = survivor;
}

void redirect(Sweep& sweep, ValueId from, ValueId to) {
  std::vector<NodeId> readers = std::move(sweep.uses.readers[from.index()]);
  sweep.uses.readers[from.index()].clear();
  for (const NodeId reader : readers) {
    std::vector<ValueId>& inputs = sweep.graph.node(reader).inputs;
    std::replace(inputs.begin(), inputs.end(), from, to);
  }
  std::vector<NodeId>& target = sweep.uses.readers[to.index()];
  target.insert(target.end(), readers.begin(), readers.end());
}

}  // namespace graupel::simplify
