// One IR node on its way into a GraphProto. Test: versions_test.cc, corpus_test.cc.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "onnx/proto.h"

namespace graupel::onnx {

struct GraphWriter {
  const ir::Graph& graph;
  int64_t opset = 17;
  ::onnx::GraphProto proto;
  std::vector<std::pair<std::string, Tensor>> extra_constants;  // made while writing
  std::unordered_set<std::string> names;                        // of nodes and values
  std::map<std::string, int64_t> domains;                       // beside the standard's own
};

// The node being written: its operator's writer sets type and attributes, and may change inputs.
struct NodeWriter {
  GraphWriter& writer;
  const ir::Node& node;
  ::onnx::NodeProto proto;
  std::vector<std::string> inputs;   // names; "" is omitted
  std::vector<std::string> outputs;  // likewise
  std::optional<std::string> refusal;

  const Tensor* constant(size_t index) const {
    return index < node.inputs.size() ? writer.graph.constant(node.inputs[index]) : nullptr;
  }
  bool has_input(size_t index) const { return index < inputs.size() && !inputs[index].empty(); }
  const ir::Value* value(size_t index) const {
    return index < node.inputs.size() && node.inputs[index].valid()
               ? &writer.graph.value(node.inputs[index])
               : nullptr;
  }

  void set(std::string_view name, int64_t value);
  void set(std::string_view name, double value);
  void set(std::string_view name, std::string_view value);
  void set(std::string_view name, const ir::Ints& values);
  void refuse(std::string why) {
    if (!refusal) refusal = std::move(why);
  }
  // The constant input `index` as an attribute; the input goes away. Refuses other inputs.
  void input_to_attribute(size_t index, std::string_view name);
  std::string add_constant(std::string_view suffix, Tensor tensor);
  // A helper node before this one; gives the name of its output.
  std::string emit(std::string_view suffix, std::string_view type, std::vector<std::string> inputs,
                   std::string_view attribute = "", const ir::Ints& values = {});
};

// Sets proto's type and attributes for the node's operator.
void write_op(NodeWriter& node);

std::string fresh_name(GraphWriter& writer, const std::string& wanted);

}  // namespace graupel::onnx
