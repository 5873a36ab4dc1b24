// verify: the invariants of a graph, as listed in graph.h.
//
// Idea: ids first, so that everything after may follow them; then names, definitions before uses,
// and types re-derived by infer_types and compared with the recorded ones.
// Test: verify_test.cc, and fuzz/ir_text_fuzz.cc.
#include <unordered_set>

#include "ir/infer.h"

namespace graupel::ir {
namespace infer {

Result<void> check_ids(const Graph& graph) {
  const auto in_range = [&](ValueId id) { return id.valid() && id.index() < graph.values.size(); };
  for (const std::vector<ValueId>* list : {&graph.inputs, &graph.outputs}) {
    for (const ValueId id : *list) {
      if (in_range(id)) continue;
      return internal_error(list == &graph.inputs ? "graph inputs" : "graph outputs",
                            fmt::format("hold the id {} of no value", id.value));
    }
  }
  for (const Node& node : graph.nodes) {
    if (node.dead) continue;
    for (const std::vector<ValueId>* list : {&node.inputs, &node.outputs}) {
      for (const ValueId id : *list) {
        if (!id.valid() || in_range(id)) continue;
        return internal_error(node.name, fmt::format("refers to the id {} of no value", id.value));
      }
    }
  }
  return ok();
}

}  // namespace infer

namespace {

Result<void> check_name(std::unordered_set<std::string_view>& seen, const std::string& name,
                        std::string_view kind, size_t index) {
  if (name.empty()) return internal_error(fmt::format("{} {}", kind, index), "has no name");
  if (seen.insert(name).second) return ok();
  return internal_error(name, fmt::format("names two {}s; names have to be unique", kind));
}

Result<void> check_names(const Graph& graph) {
  std::unordered_set<std::string_view> names;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    TRY(check_name(names, graph.values[i].name, "value", i));
  }
  names.clear();
  for (const NodeId id : live_nodes(graph)) {
    TRY(check_name(names, graph.node(id).name, "node", id.index()));
  }
  return ok();
}

// Each value is defined once, and before its uses.
Result<void> check_definitions(const Graph& graph) {
  std::vector<bool> defined(graph.values.size(), false);
  for (size_t i = 0; i < graph.values.size(); ++i) {
    defined[i] = graph.values[i].constant.has_value();
  }
  for (const ValueId id : graph.inputs) {
    if (defined[id.index()]) {
      return internal_error(graph.value(id).name, "is a graph input twice, or also a constant");
    }
    defined[id.index()] = true;
  }
  for (const NodeId node_id : live_nodes(graph)) {
    const Node& node = graph.node(node_id);
    for (const ValueId id : node.inputs) {
      if (!id.valid() || defined[id.index()]) continue;
      return internal_error(node.name,
                            fmt::format("reads {} before any node makes it", graph.value(id).name));
    }
    for (const ValueId id : node.outputs) {
      if (!id.valid()) continue;
      if (defined[id.index()]) {
        return internal_error(node.name, fmt::format("makes {}, which is a graph input, a "
                                                     "constant or made already",
                                                     graph.value(id).name));
      }
      defined[id.index()] = true;
    }
  }
  for (const ValueId id : graph.outputs) {
    if (defined[id.index()]) continue;
    return internal_error(graph.value(id).name, "is a graph output, but no node makes it");
  }
  return ok();
}

Result<void> check_value(const Value& value, ShapeRule rule) {
  if (value.dtype > DType::kBool) return internal_error(value.name, "has no valid dtype");
  if (value.shape && !element_count(*value.shape, infer::kMaxElements)) {
    return internal_error(value.name, fmt::format("has shape {}; sizes must not be negative and "
                                                  "their product not above 2^40",
                                                  to_string(*value.shape)));
  }
  if (value.constant &&
      (value.constant->dtype() != value.dtype || value.constant->shape() != value.shape)) {
    return internal_error(value.name, fmt::format("is a constant of type {}[{}], but recorded "
                                                  "otherwise",
                                                  to_string(value.constant->dtype()),
                                                  to_string(value.constant->shape())));
  }
  if (rule == ShapeRule::kStatic && !value.shape) {
    return invalid_input(value.name, "has no static shape; give the input's shape explicitly");
  }
  return ok();
}

Result<void> check_node_types(const Graph& graph, const Node& node) {
  std::vector<OperandType> operands;
  for (const ValueId id : node.inputs) {
    if (id.valid()) {
      const Value& value = graph.value(id);
      operands.push_back({value.dtype, value.shape, graph.constant(id), false});
    } else {
      operands.push_back({DType::kFloat32, std::nullopt, nullptr, true});
    }
  }
  Result<std::vector<ValueType>> types = infer_types(node.op, operands, node.outputs.size());
  if (!types.ok()) return std::move(types).error().within(node.name);
  if (std::holds_alternative<Opaque>(node.op)) return ok();
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (!node.outputs[i].valid()) continue;
    const Value& value = graph.value(node.outputs[i]);
    const ValueType& type = (*types)[i];
    const bool same_shape = !type.shape || !value.shape || *type.shape == *value.shape;
    if (type.dtype == value.dtype && same_shape) continue;
    return internal_error(
        node.name,
        fmt::format("makes {}[{}], but {} is recorded as {}[{}]", to_string(type.dtype),
                    type.shape ? to_string(*type.shape) : "?", value.name, to_string(value.dtype),
                    value.shape ? to_string(*value.shape) : "?"));
  }
  return ok();
}

}  // namespace

Result<void> verify(const Graph& graph, ShapeRule rule) {
  TRY(infer::check_ids(graph));
  TRY(check_names(graph));
  TRY(check_definitions(graph));
  for (const Value& value : graph.values) TRY(check_value(value, rule));
  for (const NodeId id : live_nodes(graph)) TRY(check_node_types(graph, graph.node(id)));
  return ok();
}

}  // namespace graupel::ir
