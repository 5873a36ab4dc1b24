// One ONNX node on its way into the graph: what an operator's reader sees and may do.
// Test: reader_test.cc.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "onnx/attributes.h"
#include "onnx/onnx.h"

namespace graupel::onnx {

// The graph being built, and who is called what.
struct GraphReader {
  ReadOptions options;
  DataFolder folder;
  ir::Graph graph;
  std::map<std::string, ir::ValueId, std::less<>> values;  // by ONNX name
  std::unordered_set<std::string> value_names;             // every name in use, to make new ones
  std::unordered_set<std::string> node_names;
  std::map<std::string, int64_t, std::less<>> name_counters;
  std::map<std::string, ir::ValueType, std::less<>> declared;  // by value_info
  std::map<std::string, int64_t, std::less<>> opsets;          // by domain
  int inference_runs = 0;
};

// A name like `wanted` that neither node nor value has, in time independent of the graph's size.
std::string fresh_name(GraphReader& reader, const std::string& wanted);
// Appends a node; infers the types of its outputs where that needs no contents.
Result<void> append_node(GraphReader& reader, ir::Node node);

class NodeReader {
 public:
  NodeReader(GraphReader& graph_reader, ::onnx::NodeProto& proto, std::string name, int64_t opset)
      : reader(graph_reader), node(proto), name(std::move(name)), opset(opset), attributes(proto) {}

  bool has_input(size_t index) const { return index < inputs.size() && inputs[index].valid(); }
  ir::ValueId input(size_t index) const {
    return index < inputs.size() ? inputs[index] : ir::ValueId();
  }
  const Tensor* constant(size_t index) const { return reader.graph.constant(input(index)); }
  DType dtype(size_t index) const {
    return has_input(index) ? reader.graph.value(inputs[index]).dtype : DType::kFloat32;
  }
  // The input's shape if it is or can be made known.
  std::optional<Shape> shape(size_t index);

  // Input `index` becomes this value; inputs before it that are missing become omitted ones.
  void set_input(size_t index, ir::ValueId value);
  // A new constant named after the node.
  ir::ValueId add_constant(std::string_view suffix, Tensor tensor);
  ir::ValueId add_ints(std::string_view suffix, const ir::Ints& values);
  ir::ValueId add_scalar(std::string_view suffix, DType dtype, double value);
  // A helper node before this one, with one output; an invalid id after a refusal.
  ir::ValueId emit(std::string_view suffix, ir::Op op, std::vector<ir::ValueId> inputs);

  GraphReader& reader;
  ::onnx::NodeProto& node;
  std::string name;
  int64_t opset;
  Attributes attributes;
  std::vector<ir::ValueId> inputs;
  size_t output_count = 0;     // an operator's reader may lower it: later outputs are then unknown
  std::optional<Error> error;  // of emit
};

// The node in the IR's form, with `inputs` rewritten to match; helper nodes are already in the
// graph. nullopt: graupel has no semantics for it. Errors are without `where`.
Result<std::optional<ir::Op>> read_op(NodeReader& node);

// One scalar of any float or integer type.
Tensor scalar_tensor(DType dtype, double value);

}  // namespace graupel::onnx
