// Building, searching and rearranging graphs. See graph.h. Test: graph_test.cc.
#include "ir/graph.h"

#include <algorithm>
#include <set>
#include <unordered_map>

namespace graupel::ir {
namespace {

bool name_taken(const Graph& graph, std::string_view name) {
  return find_value(graph, name).has_value() || find_node(graph, name).has_value();
}

// Kahn's algorithm over live nodes; ties keep the present order, so a sorted graph stays as it is.
Result<std::vector<NodeId>> topological_order(const Graph& graph) {
  const Uses uses = find_uses(graph);
  std::vector<int> missing(graph.nodes.size(), 0);
  std::set<NodeId> ready;
  const std::vector<NodeId> live = live_nodes(graph);
  for (const NodeId id : live) {
    for (const ValueId input : graph.node(id).inputs) {
      if (input.valid() && uses.producer[input.index()].valid()) ++missing[id.index()];
    }
    if (missing[id.index()] == 0) ready.insert(id);
  }
  std::vector<NodeId> order;
  while (!ready.empty()) {
    const NodeId id = *ready.begin();
    ready.erase(ready.begin());
    order.push_back(id);
    for (const ValueId output : graph.node(id).outputs) {
      if (!output.valid()) continue;
      for (const NodeId reader : uses.readers[output.index()]) {
        if (--missing[reader.index()] == 0) ready.insert(reader);
      }
    }
  }
  if (order.size() != live.size()) {
    for (const NodeId id : live) {
      if (missing[id.index()] > 0) {
        return invalid_input(graph.node(id).name, "is part of a cycle; a graph has to be acyclic");
      }
    }
  }
  return order;
}

// Nodes and values that the graph outputs need; graph inputs are always kept.
void mark_needed(const Graph& graph, const std::vector<NodeId>& order,
                 std::vector<bool>& node_needed, std::vector<bool>& value_needed) {
  for (const ValueId id : graph.inputs) value_needed[id.index()] = true;
  for (const ValueId id : graph.outputs) value_needed[id.index()] = true;
  for (size_t i = order.size(); i-- > 0;) {
    const Node& node = graph.node(order[i]);
    const bool needed = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
      return id.valid() && value_needed[id.index()];
    });
    if (!needed) continue;
    node_needed[order[i].index()] = true;
    for (const ValueId id : node.inputs) {
      if (id.valid()) value_needed[id.index()] = true;
    }
    for (const ValueId id : node.outputs) {
      if (id.valid()) value_needed[id.index()] = true;
    }
  }
}

}  // namespace

std::vector<NodeId> live_nodes(const Graph& graph) {
  std::vector<NodeId> ids;
  ids.reserve(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!graph.nodes[i].dead) ids.emplace_back(i);
  }
  return ids;
}

ValueId add_value(Graph& graph, Value value) {
  graph.values.push_back(std::move(value));
  return ValueId(graph.values.size() - 1);
}

ValueId add_input(Graph& graph, std::string name, DType dtype, Shape shape) {
  const ValueId id = add_value(graph, {std::move(name), dtype, std::move(shape), std::nullopt});
  graph.inputs.push_back(id);
  return id;
}

ValueId add_constant(Graph& graph, std::string name, Tensor tensor) {
  std::string unique = unique_name(graph, std::move(name));
  const DType dtype = tensor.dtype();
  Shape shape = tensor.shape();
  return add_value(graph, {std::move(unique), dtype, std::move(shape), std::move(tensor)});
}

Result<NodeId> add_node(Graph& graph, std::string name, Op op, std::vector<ValueId> inputs,
                        size_t output_count) {
  std::vector<OperandType> operands;
  for (const ValueId id : inputs) {
    if (!id.valid()) {
      operands.push_back({DType::kFloat32, std::nullopt, nullptr, true});
    } else {
      const Value& value = graph.value(id);
      operands.push_back({value.dtype, value.shape, graph.constant(id), false});
    }
  }
  Result<std::vector<ValueType>> types = infer_types(op, operands, output_count);
  if (!types.ok()) return std::move(types).error().within(name);
  Node node{unique_name(graph, std::move(name)), std::move(op), std::move(inputs), {}, false};
  for (size_t i = 0; i < output_count; ++i) {
    const ValueType& type = types.value()[i];
    const std::string wanted = node.name + "_output_" + std::to_string(i);
    node.outputs.push_back(
        add_value(graph, {unique_name(graph, wanted), type.dtype, type.shape, std::nullopt}));
  }
  graph.nodes.push_back(std::move(node));
  return NodeId(graph.nodes.size() - 1);
}

std::string unique_name(const Graph& graph, std::string wanted) {
  if (!wanted.empty() && !name_taken(graph, wanted)) return wanted;
  for (size_t suffix = 1;; ++suffix) {
    std::string candidate = wanted + "_" + std::to_string(suffix);
    if (!name_taken(graph, candidate)) return candidate;
  }
}

Uses find_uses(const Graph& graph) {
  Uses uses;
  uses.producer.resize(graph.values.size());
  uses.readers.resize(graph.values.size());
  uses.is_output.resize(graph.values.size(), false);
  for (const NodeId id : live_nodes(graph)) {
    for (const ValueId output : graph.node(id).outputs) {
      if (output.valid()) uses.producer[output.index()] = id;
    }
    for (const ValueId input : graph.node(id).inputs) {
      if (input.valid()) uses.readers[input.index()].push_back(id);
    }
  }
  for (const ValueId id : graph.outputs) uses.is_output[id.index()] = true;
  return uses;
}

std::optional<ValueId> find_value(const Graph& graph, std::string_view name) {
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (graph.values[i].name == name) return ValueId(i);
  }
  return std::nullopt;
}

std::optional<NodeId> find_node(const Graph& graph, std::string_view name) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!graph.nodes[i].dead && graph.nodes[i].name == name) return NodeId(i);
  }
  return std::nullopt;
}

void replace_uses(Graph& graph, ValueId from, ValueId to) {
  for (Node& node : graph.nodes) {
    if (node.dead) continue;
    std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  }
  std::replace(graph.outputs.begin(), graph.outputs.end(), from, to);
}

Result<Graph> compact(Graph graph) {
  TRY_ASSIGN(const std::vector<NodeId> order, topological_order(graph));
  std::vector<bool> node_needed(graph.nodes.size(), false);
  std::vector<bool> value_needed(graph.values.size(), false);
  mark_needed(graph, order, node_needed, value_needed);

  std::vector<ValueId> moved(graph.values.size());
  std::vector<Value> values;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (!value_needed[i]) continue;
    moved[i] = ValueId(values.size());
    values.push_back(std::move(graph.values[i]));
  }
  const auto move_ids = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids) id = id.valid() ? moved[id.index()] : id;
  };
  std::vector<Node> nodes;
  for (const NodeId id : order) {
    if (!node_needed[id.index()]) continue;
    nodes.push_back(std::move(graph.node(id)));
    move_ids(nodes.back().inputs);
    move_ids(nodes.back().outputs);
  }
  move_ids(graph.inputs);
  move_ids(graph.outputs);
  graph.values = std::move(values);
  graph.nodes = std::move(nodes);
  return graph;
}

}  // namespace graupel::ir
