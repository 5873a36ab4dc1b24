// What a model's file declares, without building a Graph. See ModelSummary in onnx.h.
// Test: hostile_test.cc (FlippedBitsNeverCrash).
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "onnx/onnx.h"
#include "onnx/proto.h"

namespace graupel::onnx {
namespace {

ModelSummary::Port make_port(const ::onnx::ValueInfoProto& info) {
  ModelSummary::Port port;
  port.name = info.name();
  if (!info.type().has_tensor_type()) {
    port.dtype = "no tensor";
    return port;
  }
  const ::onnx::TypeProto::Tensor& type = info.type().tensor_type();
  port.dtype = onnx_type_name(type.elem_type());
  port.has_shape = type.has_shape();
  for (const auto& dim : type.shape().dim()) {
    if (!dim.dim_param().empty()) {
      port.dims.push_back(dim.dim_param());
    } else {
      port.dims.push_back(dim.has_dim_value() ? std::to_string(dim.dim_value()) : "?");
    }
  }
  return port;
}

void add_initializer(ModelSummary& summary, const ::onnx::TensorProto& proto) {
  const Shape shape(proto.dims().begin(), proto.dims().end());
  const std::optional<DType> dtype = dtype_from_onnx(proto.data_type());
  const uint64_t count = static_cast<uint64_t>(element_count(shape).value_or(0));
  const uint64_t size_bytes = count * (dtype ? element_size_bytes(*dtype) : 0);
  ++summary.initializer_count;
  summary.initializer_bytes += size_bytes;
  if (proto.data_location() != ::onnx::TensorProto::EXTERNAL) return;
  summary.external_bytes += size_bytes;
  for (const ::onnx::StringStringEntryProto& entry : proto.external_data()) {
    if (entry.key() == "location") summary.external_files.push_back(entry.value());
  }
}

ModelSummary summarize_proto(const ::onnx::ModelProto& model) {
  ModelSummary summary;
  const ::onnx::GraphProto& graph = model.graph();
  summary.name = graph.name();
  summary.producer = model.producer_name();
  if (!model.producer_version().empty()) summary.producer += " " + model.producer_version();
  summary.ir_version = model.ir_version();
  for (const ::onnx::OperatorSetIdProto& import : model.opset_import()) {
    summary.opsets[import.domain() == "ai.onnx" ? "" : import.domain()] = import.version();
  }
  std::set<std::string> constants;
  for (const ::onnx::TensorProto& proto : graph.initializer()) {
    constants.insert(proto.name());
    add_initializer(summary, proto);
  }
  std::sort(summary.external_files.begin(), summary.external_files.end());
  summary.external_files.erase(
      std::unique(summary.external_files.begin(), summary.external_files.end()),
      summary.external_files.end());
  for (const ::onnx::ValueInfoProto& info : graph.input()) {
    if (!constants.contains(info.name())) summary.inputs.push_back(make_port(info));
  }
  for (const ::onnx::ValueInfoProto& info : graph.output()) {
    summary.outputs.push_back(make_port(info));
  }
  summary.node_count = graph.node_size();
  for (const ::onnx::NodeProto& node : graph.node()) {
    const bool standard = node.domain().empty() || node.domain() == "ai.onnx";
    if (node.name().empty() && node.output_size() > 0) {
      summary.unnamed_node_outputs.insert(node.output(0));
    }
    ++summary.operators[standard ? node.op_type() : node.domain() + "." + node.op_type()];
  }
  summary.function_count = model.functions_size();
  for (const ::onnx::StringStringEntryProto& entry : model.metadata_props()) {
    summary.metadata[entry.key()] = entry.value();
  }
  return summary;
}

}  // namespace

Result<ModelSummary> summarize(const std::string& path) {
  TRY_ASSIGN(const ::onnx::ModelProto model, read_model_proto(path));
  return summarize_proto(model);
}

Result<ModelSummary> summarize_bytes(std::string_view bytes) {
  TRY_ASSIGN(const ::onnx::ModelProto model, parse_model_proto(bytes));
  return summarize_proto(model);
}

}  // namespace graupel::onnx
