// ir::Graph -> ModelProto bytes.
//
// Idea: structure goes through protobuf; weights are appended to the output directly from the
// graph's tensors, so that writing needs the memory of the result and little more.
// Reference: onnx.proto, https://protobuf.dev/programming-guides/encoding.
// Test: versions_test.cc, corpus_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/files.h"
#include "onnx/node_writer.h"
#include "onnx/onnx.h"

namespace graupel::onnx {
namespace {

using ir::ValueId;

// ---- wire format by hand: fields that hold weights ----

constexpr uint8_t kModelGraph = 7;
constexpr uint8_t kGraphInitializer = 5;
constexpr uint8_t kTensorRawData = 9;

void append_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

size_t varint_size(uint64_t value) {
  size_t size = 1;
  while (value >= 0x80) {
    value >>= 7;
    ++size;
  }
  return size;
}

void append_header(std::string& out, uint8_t field, uint64_t size_bytes) {
  out.push_back(static_cast<char>(field << 3 | 2));
  append_varint(out, size_bytes);
}

uint64_t field_size(uint64_t size_bytes) { return 1 + varint_size(size_bytes) + size_bytes; }

// A TensorProto but for its raw data.
struct TensorField {
  const Tensor* tensor;
  std::string head;

  uint64_t body_size() const { return head.size() + field_size(tensor->size_bytes()); }
};

TensorField tensor_field(const std::string& name, const Tensor& tensor) {
  ::onnx::TensorProto head;
  head.set_name(name);
  head.set_data_type(dtype_to_onnx(tensor.dtype()));
  for (const int64_t dim : tensor.shape()) head.add_dims(dim);
  return {&tensor, serialize(head)};
}

// ---- graph ----

void put_type(const ir::Value& value, ::onnx::ValueInfoProto& info) {
  info.set_name(value.name);
  ::onnx::TypeProto::Tensor& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(dtype_to_onnx(value.dtype));
  if (!value.shape) return;
  ::onnx::TensorShapeProto& shape = *type.mutable_shape();
  for (const int64_t dim : *value.shape) shape.add_dim()->set_dim_value(dim);
}

Result<void> write_node(GraphWriter& writer, const ir::Node& node) {
  NodeWriter item{writer, node, {}, {}, {}, std::nullopt};
  item.proto.set_name(node.name);
  for (const ValueId id : node.inputs) {
    item.inputs.push_back(id.valid() ? writer.graph.value(id).name : "");
  }
  write_op(item);
  if (item.refusal) {
    return unsupported(
        fmt::format("node '{}' ({})", node.name, ir::op_type(node.op)),
        fmt::format("cannot be written in opset {}: {}", writer.opset, *item.refusal));
  }
  while (!item.inputs.empty() && item.inputs.back().empty()) item.inputs.pop_back();
  for (std::string& input : item.inputs) item.proto.add_input(std::move(input));
  for (const ValueId id : node.outputs) {
    item.proto.add_output(id.valid() ? writer.graph.value(id).name : "");
  }
  *writer.proto.add_node() = std::move(item.proto);
  return ok();
}

// A graph output that is a constant has to be made by a node.
void write_constant_outputs(GraphWriter& writer, std::unordered_set<std::string>& written) {
  for (const ValueId id : writer.graph.outputs) {
    const ir::Value& value = writer.graph.value(id);
    if (!value.constant || !written.insert(value.name).second) continue;
    ::onnx::NodeProto& node = *writer.proto.add_node();
    node.set_name(fresh_name(writer, value.name + "_constant"));
    node.set_op_type("Constant");
    node.add_output(value.name);
    ::onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name("value");
    attribute.set_type(::onnx::AttributeProto::TENSOR);
    put_tensor(*value.constant, "", *attribute.mutable_t());
  }
}

void write_values(GraphWriter& writer) {
  for (const ValueId id : writer.graph.inputs) {
    put_type(writer.graph.value(id), *writer.proto.add_input());
  }
  for (const ValueId id : writer.graph.outputs) {
    put_type(writer.graph.value(id), *writer.proto.add_output());
  }
  std::vector<bool> is_output(writer.graph.values.size());
  for (const ValueId id : writer.graph.outputs) is_output[id.index()] = true;
  for (const ir::NodeId node : ir::live_nodes(writer.graph)) {
    for (const ValueId id : writer.graph.node(node).outputs) {
      if (!id.valid() || is_output[id.index()]) continue;
      const ir::Value& value = writer.graph.value(id);
      if (value.shape) put_type(value, *writer.proto.add_value_info());
    }
  }
}

Result<void> write_graph(GraphWriter& writer, std::unordered_set<std::string>& made) {
  for (const ir::Value& value : writer.graph.values) writer.names.insert(value.name);
  for (const ir::Node& node : writer.graph.nodes) writer.names.insert(node.name);
  writer.proto.set_name(writer.graph.name.empty() ? "graph" : writer.graph.name);
  write_constant_outputs(writer, made);
  for (const ir::NodeId id : ir::live_nodes(writer.graph)) {
    TRY(write_node(writer, writer.graph.node(id)));
  }
  write_values(writer);
  return ok();
}

// Constants some written node reads; all of them where subgraphs may read them unseen.
std::vector<TensorField> needed_constants(const GraphWriter& writer,
                                          const std::unordered_set<std::string>& made) {
  std::unordered_set<std::string_view> read;
  for (const ::onnx::NodeProto& node : writer.proto.node()) {
    for (const std::string& input : node.input()) read.insert(input);
  }
  const auto holds_subgraph = [&](ir::NodeId id) {
    const auto* const opaque = std::get_if<ir::Opaque>(&writer.graph.node(id).op);
    return opaque != nullptr && opaque->has_subgraph;
  };
  const std::vector<ir::NodeId> nodes = ir::live_nodes(writer.graph);
  const bool all = std::any_of(nodes.begin(), nodes.end(), holds_subgraph);
  std::vector<TensorField> fields;
  for (const ir::Value& value : writer.graph.values) {
    if (!value.constant || made.contains(value.name)) continue;
    if (all || read.contains(value.name)) {
      fields.push_back(tensor_field(value.name, *value.constant));
    }
  }
  for (const auto& [name, tensor] : writer.extra_constants) {
    fields.push_back(tensor_field(name, tensor));
  }
  return fields;
}

std::string model_head(const GraphWriter& writer, const WriteOptions& options) {
  ::onnx::ModelProto model;
  model.set_ir_version(options.ir_version);
  model.set_producer_name(options.producer);
  ::onnx::OperatorSetIdProto& standard = *model.add_opset_import();
  standard.set_domain("");
  standard.set_version(writer.opset);
  for (const auto& [domain, version] : writer.domains) {
    ::onnx::OperatorSetIdProto& import = *model.add_opset_import();
    import.set_domain(domain);
    import.set_version(version);
  }
  for (const auto& [key, value] : writer.graph.metadata) {
    ::onnx::StringStringEntryProto& entry = *model.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  return serialize(model);
}

Result<std::string> assemble(const std::string& head, const std::string& structure,
                             const std::vector<TensorField>& constants) {
  uint64_t graph_bytes = structure.size();
  for (const TensorField& field : constants) graph_bytes += field_size(field.body_size());
  const uint64_t total = head.size() + field_size(graph_bytes);
  if (total > std::numeric_limits<int32_t>::max()) {
    return unsupported("model",
                       fmt::format("takes {} bytes, above the 2 GiB protobuf allows", total));
  }
  std::string out;
  out.reserve(total);
  out += head;
  append_header(out, kModelGraph, graph_bytes);
  out += structure;
  for (const TensorField& field : constants) {
    append_header(out, kGraphInitializer, field.body_size());
    out += field.head;
    append_header(out, kTensorRawData, field.tensor->size_bytes());
    if (field.tensor->size_bytes() > 0) {
      out.append(reinterpret_cast<const char*>(field.tensor->bytes()), field.tensor->size_bytes());
    }
  }
  return out;
}

}  // namespace

Result<std::string> format_model(const ir::Graph& graph, const WriteOptions& options) {
  int64_t opset = options.opset;
  if (opset == 0) {
    opset = graph.source_opset >= 11 && graph.source_opset <= 17 ? graph.source_opset : 17;
  }
  if (opset < 11 || opset > 17) {
    return invalid_input("opset", fmt::format("is {}, expected 11 to 17", opset));
  }
  TRY(ir::verify(graph, ir::ShapeRule::kMayBeUnknown));
  GraphWriter writer{graph, opset, {}, {}, {}, {}};
  std::unordered_set<std::string> made;
  TRY(write_graph(writer, made));
  return assemble(model_head(writer, options), serialize(writer.proto),
                  needed_constants(writer, made));
}

Result<void> write_model(const std::string& path, const ir::Graph& graph,
                         const WriteOptions& options) {
  TRY_ASSIGN(const std::string bytes, format_model(graph, options));
  return write_file_atomic(path, bytes);
}

}  // namespace graupel::onnx
