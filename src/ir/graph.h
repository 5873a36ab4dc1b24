// Graph: the one form of a network that every stage speaks.
//
// Idea: nodes and values live in two vectors and refer to each other by typed ids; a graph is a
// plain value that can be copied, compared and printed. A value is a graph input, a constant, or
// an output of exactly one node. Weights are copy-on-write tensors, so copying a graph is cheap.
// Invariants (checked by verify): nodes are in topological order; names are unique and not empty;
// every use has a definition; each value's recorded type is what its operator yields.
// Test: graph_test.cc.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/tensor.h"
#include "ir/ops.h"

namespace graupel::ir {

using NodeId = Id<struct NodeTag>;
using ValueId = Id<struct ValueTag>;

struct Value {
  std::string name;
  DType dtype = DType::kFloat32;
  std::optional<Shape> shape;      // known statically, or not yet
  std::optional<Tensor> constant;  // weights and other compile-time values
};

struct Node {
  std::string name;
  Op op;
  std::vector<ValueId> inputs;   // an omitted optional input is an invalid id
  std::vector<ValueId> outputs;  // likewise
  bool dead = false;             // erased; skipped by every loop until compact()
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;    // indexed by NodeId, in topological order
  std::vector<Value> values;  // indexed by ValueId
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::map<std::string, std::string> metadata;  // ONNX metadata_props, producer, ...
  int64_t source_opset = 17;                    // what the file declared
  int64_t source_ir_version = 8;

  Node& node(NodeId id) { return nodes[id.index()]; }
  const Node& node(NodeId id) const { return nodes[id.index()]; }
  Value& value(ValueId id) { return values[id.index()]; }
  const Value& value(ValueId id) const { return values[id.index()]; }

  // The tensor of a constant value, or nullptr if `id` is omitted or not a constant.
  const Tensor* constant(ValueId id) const {
    return id.valid() && value(id).constant ? &*value(id).constant : nullptr;
  }
  // Only for values whose shape is known (every value, once a graph has passed `read`).
  const Shape& shape(ValueId id) const { return *value(id).shape; }
};

// Live nodes in order: for (NodeId id : live_nodes(graph)).
std::vector<NodeId> live_nodes(const Graph& graph);

// ---- building ----

ValueId add_value(Graph& graph, Value value);
ValueId add_input(Graph& graph, std::string name, DType dtype, Shape shape);
// A constant value; `name` is made unique by a suffix if taken.
ValueId add_constant(Graph& graph, std::string name, Tensor tensor);
// Appends a node with fresh outputs named after it (name_output_0, ...), types inferred where
// possible. Error if the operator refuses its inputs.
Result<NodeId> add_node(Graph& graph, std::string name, Op op, std::vector<ValueId> inputs,
                        size_t output_count = 1);
// A name not yet used by any node or value: `wanted`, or `wanted` with _1, _2, ...
// Linear in the graph; a pass that makes many names keeps its own NameSet.
std::string unique_name(const Graph& graph, std::string wanted);

// ---- looking ----

// For every value: the node that makes it (invalid for inputs and constants), and its readers.
struct Uses {
  std::vector<NodeId> producer;  // indexed by value
  std::vector<std::vector<NodeId>>
      readers;                  // indexed by value; a node reading twice is listed twice
  std::vector<bool> is_output;  // indexed by value: is a graph output
};
Uses find_uses(const Graph& graph);

std::optional<ValueId> find_value(const Graph& graph, std::string_view name);
std::optional<NodeId> find_node(const Graph& graph, std::string_view name);

// ---- changing ----

// Every reader of `from` (and the list of graph outputs) reads `to` instead.
void replace_uses(Graph& graph, ValueId from, ValueId to);
// Sorts nodes topologically, drops dead nodes, nodes no output needs, and values nobody names.
// Graph inputs stay even if unused. Error kInvalidInput if the graph has a cycle.
Result<Graph> compact(Graph graph);

// ---- types ----

struct ValueType {
  DType dtype = DType::kFloat32;
  std::optional<Shape> shape;
  bool operator==(const ValueType&) const = default;
};
// An operator's view of one input: its type and, where known, its contents.
struct OperandType {
  DType dtype = DType::kFloat32;
  std::optional<Shape> shape;
  const Tensor* constant = nullptr;
  bool omitted = false;
};
// Types of an operator's outputs. A shape that depends on unknown contents is nullopt. Errors:
// kInvalidInput when the inputs break the operator's rules (count, rank, sizes, dtype).
// `where` of the error is empty: the caller knows the node's name.
Result<std::vector<ValueType>> infer_types(const Op& op, std::span<const OperandType> inputs,
                                           size_t output_count);
// Re-derives every value's type in node order, propagating contents through integer shape
// arithmetic (Shape, Gather, Concat, ...) so that most shapes become static.
// Errors name the node. Shapes declared by the file stay where inference gives none.
Result<Graph> infer_shapes(Graph graph);

enum class ShapeRule { kStatic, kMayBeUnknown };
// All invariants above; kStatic also demands a known shape for every value.
// Errors are kInternal, or kInvalidInput for a graph as read, and name node and value.
Result<void> verify(const Graph& graph, ShapeRule rule = ShapeRule::kStatic);

// Explicit pads (begins, then ends) of a window over `spatial` sizes with `kernel` (dilated by
// window.dilations), with auto_pad resolved.
Ints resolve_pads(const Window& window, const Ints& kernel, std::span<const int64_t> spatial);

// ---- counting ----

// Multiply-adds of one node (Conv, Gemm, MatMul, ...; 0 for the rest), with static shapes.
int64_t multiply_adds(const Graph& graph, NodeId id);
int64_t multiply_adds(const Graph& graph);
int64_t parameter_count(const Graph& graph);  // elements of float constants read by nodes

// ---- text form ----

// A readable form that parses back to the same graph; large constants are hex blobs or elided.
enum class Constants { kFull, kElided };
std::string print(const Graph& graph, Constants constants = Constants::kFull);
Result<Graph> parse(std::string_view text);

}  // namespace graupel::ir
