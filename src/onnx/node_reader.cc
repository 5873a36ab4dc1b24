// What operators' readers may do to the graph, and the dispatch to them. See node_reader.h.
//
// Idea: types are inferred as nodes arrive; a reader that needs a shape only data propagation can
// give asks for a run of shape inference over the graph so far, a bounded number of times.
// Test: reader_test.cc.
#include "onnx/node_reader.h"

#include <fmt/format.h>

#include <cstring>
#include <span>

#include "onnx/read_ops.h"

namespace graupel::onnx {
namespace {

using ir::ValueId;

constexpr int kMaxInferenceRuns = 64;

// Types of the node's outputs where the inputs' types suffice; value_info fills the rest.
void infer_outputs(GraphReader& reader, const ir::Node& node) {
  std::vector<ir::OperandType> operands;
  for (const ValueId id : node.inputs) {
    ir::OperandType operand;
    if (id.valid()) {
      const ir::Value& value = reader.graph.value(id);
      operand = {value.dtype, value.shape, reader.graph.constant(id), false};
    } else {
      operand.omitted = true;
    }
    operands.push_back(std::move(operand));
  }
  const Result<std::vector<ir::ValueType>> types =
      ir::infer_types(node.op, operands, node.outputs.size());
  // A refusal is reported by the inference over the whole graph, which names the node.
  if (!types.ok()) return;
  for (size_t i = 0; i < node.outputs.size() && i < types->size(); ++i) {
    if (!node.outputs[i].valid()) continue;
    ir::Value& value = reader.graph.value(node.outputs[i]);
    if (!std::holds_alternative<ir::Opaque>(node.op)) value.dtype = (*types)[i].dtype;
    if ((*types)[i].shape) value.shape = (*types)[i].shape;
  }
}

const OpReader* find_reader(std::string_view type) {
  for (const std::span<const OpReader> table :
       {math_readers(), layer_readers(), shape_readers(), composite_readers()}) {
    for (const OpReader& reader : table) {
      if (reader.type == type) return &reader;
    }
  }
  return nullptr;
}

}  // namespace

std::string fresh_name(GraphReader& reader, const std::string& wanted) {
  const auto taken = [&](const std::string& name) {
    return reader.value_names.contains(name) || reader.node_names.contains(name);
  };
  if (!wanted.empty() && !taken(wanted)) return wanted;
  int64_t& counter = reader.name_counters[wanted];
  while (true) {
    std::string name = fmt::format("{}_{}", wanted, ++counter);
    if (!taken(name)) return name;
  }
}

Result<void> append_node(GraphReader& reader, ir::Node node) {
  infer_outputs(reader, node);
  reader.graph.nodes.push_back(std::move(node));
  return ok();
}

std::optional<Shape> NodeReader::shape(size_t index) {
  if (!has_input(index)) return std::nullopt;
  const ValueId id = inputs[index];
  if (reader.graph.value(id).shape || reader.inference_runs >= kMaxInferenceRuns) {
    return reader.graph.value(id).shape;
  }
  ++reader.inference_runs;
  Result<ir::Graph> inferred = ir::infer_shapes(reader.graph);
  if (inferred.ok()) reader.graph = std::move(inferred).value();
  return reader.graph.value(id).shape;
}

void NodeReader::set_input(size_t index, ValueId value) {
  if (inputs.size() <= index) inputs.resize(index + 1);
  inputs[index] = value;
}

ValueId NodeReader::add_constant(std::string_view suffix, Tensor tensor) {
  ir::Value value;
  value.name = fresh_name(reader, fmt::format("{}_{}", name, suffix));
  value.dtype = tensor.dtype();
  value.shape = tensor.shape();
  value.constant = std::move(tensor);
  reader.value_names.insert(value.name);
  return ir::add_value(reader.graph, std::move(value));
}

ValueId NodeReader::add_ints(std::string_view suffix, const ir::Ints& values) {
  return add_constant(suffix, Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
}

ValueId NodeReader::add_scalar(std::string_view suffix, DType dtype, double value) {
  return add_constant(suffix, scalar_tensor(dtype, value));
}

ValueId NodeReader::emit(std::string_view suffix, ir::Op op, std::vector<ValueId> op_inputs) {
  ir::Node helper;
  helper.name = fresh_name(reader, fmt::format("{}_{}", name, suffix));
  reader.node_names.insert(helper.name);
  ir::Value output;
  output.name = fresh_name(reader, helper.name + "_output");
  output.dtype = dtype(0);
  reader.value_names.insert(output.name);
  const ValueId id = ir::add_value(reader.graph, std::move(output));
  helper.op = std::move(op);
  helper.inputs = std::move(op_inputs);
  helper.outputs = {id};
  if (Result<void> added = append_node(reader, std::move(helper)); !added.ok() && !error) {
    error = std::move(added).error();
  }
  return id;
}

Result<std::optional<ir::Op>> read_op(NodeReader& node) {
  const OpReader* const reader = find_reader(node.node.op_type());
  if (reader == nullptr) return std::optional<ir::Op>();
  if (node.opset < reader->since) {
    return invalid_input("", fmt::format("{} exists since opset {}, but the model declares {}",
                                         reader->type, reader->since, node.opset));
  }
  ir::Op op = reader->read(node);
  if (node.error) return *node.error;
  TRY(node.attributes.status());
  return std::optional<ir::Op>(std::move(op));
}

Tensor scalar_tensor(DType dtype, double value) {
  switch (dtype) {
    case DType::kFloat32: return Tensor::scalar(static_cast<float>(value));
    case DType::kFloat64: return Tensor::scalar(value);
    case DType::kInt8: return Tensor::scalar(static_cast<int8_t>(value));
    case DType::kInt16: return Tensor::scalar(static_cast<int16_t>(value));
    case DType::kInt32: return Tensor::scalar(static_cast<int32_t>(value));
    case DType::kInt64: return Tensor::scalar(static_cast<int64_t>(value));
    case DType::kUInt8: return Tensor::scalar(static_cast<uint8_t>(value));
    case DType::kUInt16: return Tensor::scalar(static_cast<uint16_t>(value));
    case DType::kUInt32: return Tensor::scalar(static_cast<uint32_t>(value));
    case DType::kUInt64: return Tensor::scalar(static_cast<uint64_t>(value));
    case DType::kBool: return Tensor::scalar(value != 0.0);
    case DType::kFloat16:
    case DType::kBFloat16: {
      Tensor tensor(dtype, {});
      const uint16_t bits = dtype == DType::kFloat16 ? float_to_half(static_cast<float>(value))
                                                     : float_to_bfloat16(static_cast<float>(value));
      std::memcpy(tensor.mutable_bytes(), &bits, sizeof bits);
      return tensor;
    }
  }
  return Tensor();
}

}  // namespace graupel::onnx
