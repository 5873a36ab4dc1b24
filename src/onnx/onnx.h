// ONNX files in and out: ModelProto <-> ir::Graph.
//
// Idea: reading brings every opset to the IR's one form (ir/ops.h, which is opset 17's), node by
// node and with the semantics of the operator's own version; writing takes that form to any opset
// from 11 to 17. Protobuf stays behind this header.
// Reference: https://github.com/onnx/onnx/blob/main/docs/IR.md and docs/Changelog.md.
// Test: reader_test.cc, versions_test.cc, hostile_test.cc, corpus_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "ir/graph.h"

namespace graupel::onnx {

// What happens to an operator the IR has no semantics for.
enum class OpaquePolicy { kRefuse, kKeep };

struct ReadOptions {
  // Full shapes of graph inputs, by name; they replace what the file declares.
  std::map<std::string, Shape> shapes;
  // Size of a first dimension the file leaves open.
  int64_t batch = 1;
  // kStatic: every value's shape must come out known. kMayBeUnknown: shapes that stay open are
  // kept so, for `check` and the conformance tests.
  ir::ShapeRule rule = ir::ShapeRule::kStatic;
  OpaquePolicy opaque = OpaquePolicy::kRefuse;
};

// A model's file, its external data included. Peak memory is about the size of the weights plus
// the size of the graph's structure. Errors: kIo (the file cannot be read), kCorrupt (not a
// protobuf model, or sizes that contradict each other), kUnsupported (names node and operator),
// kInvalidInput (open dimensions, broken graphs).
Result<ir::Graph> read_model(const std::string& path, const ReadOptions& options = {});
// The same from memory. External data is looked up below `data_folder`; empty refuses it.
Result<ir::Graph> parse_model(std::string_view bytes, const ReadOptions& options = {},
                              const std::string& data_folder = "");

struct WriteOptions {
  int64_t opset = 0;  // 11..17; 0 keeps the source's if it is in that range, else takes 17
  int64_t ir_version = 8;
  std::string producer = "graupel";
};

// The graph as a serialised ModelProto; the same graph gives the same bytes. Errors:
// kInvalidInput for an opset out of range, kUnsupported (names the node) for an operator that has
// no form in the opset, or a model above protobuf's 2 GiB.
Result<std::string> format_model(const ir::Graph& graph, const WriteOptions& options = {});
// The same into a file, atomically.
Result<void> write_model(const std::string& path, const ir::Graph& graph,
                         const WriteOptions& options = {});

// A serialised TensorProto, as in the standard's test data (input_0.pb).
Result<Tensor> parse_tensor(std::string_view bytes);
std::string format_tensor(const Tensor& tensor, const std::string& name);

// What `inspect` shows; made without reading the model into a Graph, so it also works for models
// that cannot be.
struct ModelSummary {
  struct Port {
    std::string name;
    std::string dtype;              // "float32", or ONNX's number if the IR has none
    std::vector<std::string> dims;  // a number, a symbol, or "?"
    bool has_shape = false;
  };
  std::string name;
  std::string producer;  // name and version
  int64_t ir_version = 0;
  std::map<std::string, int64_t> opsets;  // by domain; "" is the standard's own
  std::vector<Port> inputs;               // without those that are initializers
  std::vector<Port> outputs;
  std::map<std::string, int64_t> operators;  // "Conv" or "domain.Type" -> nodes in the main graph
  int64_t node_count = 0;
  int64_t initializer_count = 0;
  uint64_t initializer_bytes = 0;  // as declared by type and shape
  uint64_t external_bytes = 0;     // of these, in other files
  std::vector<std::string> external_files;
  int64_t function_count = 0;
  std::map<std::string, std::string> metadata;
  std::set<std::string> unnamed_node_outputs;  // first output of each node without a name
};
Result<ModelSummary> summarize(const std::string& path);
Result<ModelSummary> summarize_bytes(std::string_view bytes);

}  // namespace graupel::onnx
