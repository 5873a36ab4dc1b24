// The IR's operators as ONNX nodes of opset 11 to 17.
//
// Idea: one overload per operator struct; where opsets 11 to 16 know another form (attributes for
// inputs, no per-axis softmax), the overload writes that form or refuses.
// Reference: ONNX Changelog. Test: versions_test.cc, corpus_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "onnx/node_writer.h"

namespace graupel::onnx {
namespace {

using ir::Ints;

void since(NodeWriter& node, int64_t opset) {
  if (node.writer.opset < opset) {
    node.refuse(fmt::format("{} exists since opset {}", ir::op_type(node.node.op), opset));
  }
}

// ---- elementwise ----

void write(NodeWriter& node, const ir::Unary& op) {
  if (op.kind != ir::UnaryKind::kHardSwish || node.writer.opset >= 14) return;
  const std::string x = node.inputs[0];
  node.proto.set_op_type("Mul");
  const std::string gate = node.emit("gate", "HardSigmoid", {x});
  ::onnx::NodeProto& helper = *node.writer.proto.mutable_node()->rbegin();
  for (const auto& [name, value] : {std::pair("alpha", 1.0f / 6.0f), std::pair("beta", 0.5f)}) {
    ::onnx::AttributeProto& attribute = *helper.add_attribute();
    attribute.set_name(name);
    attribute.set_type(::onnx::AttributeProto::FLOAT);
    attribute.set_f(value);
  }
  node.inputs = {x, gate};
}
void write(NodeWriter& node, const ir::Binary& op) {
  if (op.kind == ir::BinaryKind::kLessOrEqual || op.kind == ir::BinaryKind::kGreaterOrEqual) {
    since(node, 12);
  }
  if (op.kind != ir::BinaryKind::kMod && op.kind != ir::BinaryKind::kFmod) return;
  node.proto.set_op_type("Mod");
  node.set("fmod", int64_t{op.kind == ir::BinaryKind::kFmod});
}
void write(NodeWriter&, const ir::Variadic&) {}
void write(NodeWriter& node, const ir::LeakyRelu& op) { node.set("alpha", op.alpha); }
void write(NodeWriter&, const ir::PRelu&) {}
void write(NodeWriter& node, const ir::Elu& op) { node.set("alpha", op.alpha); }
void write(NodeWriter& node, const ir::Selu& op) {
  node.set("alpha", op.alpha);
  node.set("gamma", op.gamma);
}
void write(NodeWriter& node, const ir::Celu& op) {
  since(node, 12);
  node.set("alpha", op.alpha);
}
void write(NodeWriter& node, const ir::ThresholdedRelu& op) { node.set("alpha", op.alpha); }
void write(NodeWriter& node, const ir::HardSigmoid& op) {
  node.set("alpha", op.alpha);
  node.set("beta", op.beta);
}
void write(NodeWriter&, const ir::Clip&) {}

// ---- layers ----

void write_window(NodeWriter& node, const ir::Window& window, bool dilations = true) {
  if (!window.kernel.empty()) node.set("kernel_shape", window.kernel);
  if (!window.strides.empty()) node.set("strides", window.strides);
  if (window.auto_pad != ir::AutoPad::kNotSet) {
    node.set("auto_pad", to_string(window.auto_pad));
  } else if (!window.pads.empty()) {
    node.set("pads", window.pads);
  }
  if (dilations && !window.dilations.empty()) node.set("dilations", window.dilations);
}
void write(NodeWriter& node, const ir::Conv& op) {
  write_window(node, op.window);
  node.set("group", op.group);
}
void write(NodeWriter& node, const ir::ConvInteger& op) {
  write_window(node, op.window);
  node.set("group", op.group);
}
void write(NodeWriter& node, const ir::QLinearConv& op) {
  write_window(node, op.window);
  node.set("group", op.group);
}
void write(NodeWriter& node, const ir::ConvTranspose& op) {
  write_window(node, op.window);
  node.set("group", op.group);
  if (!op.output_padding.empty()) node.set("output_padding", op.output_padding);
  if (!op.output_shape.empty()) node.set("output_shape", op.output_shape);
}
void write(NodeWriter& node, const ir::MaxPool& op) {
  write_window(node, op.window);
  node.set("ceil_mode", int64_t{op.ceil_mode});
  if (op.column_major_indices) node.set("storage_order", int64_t{1});
}
void write(NodeWriter& node, const ir::AveragePool& op) {
  write_window(node, op.window, false);
  const auto not_one = [](int64_t dilation) { return dilation != 1; };
  if (std::any_of(op.window.dilations.begin(), op.window.dilations.end(), not_one)) {
    node.refuse("AveragePool has dilations only since opset 19");
  }
  node.set("ceil_mode", int64_t{op.ceil_mode});
  node.set("count_include_pad", int64_t{op.count_include_pad});
}
void write(NodeWriter&, const ir::GlobalPool&) {}
void write(NodeWriter& node, const ir::Gemm& op) {
  node.set("alpha", op.alpha);
  node.set("beta", op.beta);
  node.set("transA", int64_t{op.transpose_a});
  node.set("transB", int64_t{op.transpose_b});
}
void write(NodeWriter&, const ir::MatMul&) {}
void write(NodeWriter& node, const ir::BatchNormalization& op) {
  node.set("epsilon", op.epsilon);
  node.set("momentum", op.momentum);
  if (!op.training) return;
  since(node, 14);
  node.set("training_mode", int64_t{1});
}
void write(NodeWriter& node, const ir::InstanceNormalization& op) {
  node.set("epsilon", op.epsilon);
}
void write(NodeWriter& node, const ir::LayerNormalization& op) {
  since(node, 17);
  node.set("axis", op.axis);
  node.set("epsilon", op.epsilon);
}
void write(NodeWriter& node, const ir::LRN& op) {
  node.set("alpha", op.alpha);
  node.set("beta", op.beta);
  node.set("bias", op.bias);
  node.set("size", op.size);
}
// Before opset 13 softmax covers all dimensions from its axis on, so the axis is moved to the end.
void write(NodeWriter& node, const ir::Softmax& op) {
  if (node.writer.opset >= 13) return node.set("axis", op.axis);
  const ir::Value* const x = node.value(0);
  if (x == nullptr || !x->shape || x->shape->empty()) {
    return node.refuse("softmax along one axis needs opset 13 or an input of known rank");
  }
  const int64_t last = static_cast<int64_t>(x->shape->size()) - 1;
  const int64_t axis = op.axis < 0 ? op.axis + last + 1 : op.axis;
  if (axis == last) return node.set("axis", axis);
  Ints perm;
  for (int64_t i = 0; i <= last; ++i) perm.push_back(i);
  std::swap(perm[static_cast<size_t>(axis)], perm[static_cast<size_t>(last)]);
  const std::string moved = node.emit("moved", "Transpose", {node.inputs[0]}, "perm", perm);
  const std::string type = node.proto.op_type();
  const std::string soft = node.emit("rows", type, {moved});
  ::onnx::AttributeProto& attribute = *node.writer.proto.mutable_node()->rbegin()->add_attribute();
  attribute.set_name("axis");
  attribute.set_type(::onnx::AttributeProto::INT);
  attribute.set_i(last);
  node.proto.set_op_type("Transpose");
  node.inputs = {soft};
  node.set("perm", perm);
}
void write(NodeWriter& node, const ir::Dropout&) {
  if (node.writer.opset >= 12) return;
  const Tensor* const ratio = node.constant(1);
  if (ratio != nullptr && ratio->size() == 1) node.set("ratio", ratio->to_doubles()[0]);
  node.inputs.resize(1);
}

// ---- reductions ----

void write(NodeWriter& node, const ir::ArgReduce& op) {
  node.set("axis", op.axis);
  node.set("keepdims", int64_t{op.keepdims});
  if (!op.select_last_index) return;
  since(node, 12);
  node.set("select_last_index", int64_t{1});
}
void write(NodeWriter& node, const ir::Reduce& op) {
  if (op.kind == ir::ReduceKind::kSum && node.writer.opset >= 13) {
    node.set("keepdims", int64_t{op.keepdims});
    if (op.noop_with_empty_axes) node.set("noop_with_empty_axes", int64_t{1});
    return;
  }
  const Tensor* const axes = node.constant(1);
  const bool no_axes = !node.has_input(1) || (axes != nullptr && axes->size() == 0);
  if (no_axes && op.noop_with_empty_axes) {
    node.proto.set_op_type("Identity");
    node.inputs.resize(1);
    return;
  }
  node.set("keepdims", int64_t{op.keepdims});
  if (no_axes) {
    node.inputs.resize(1);
  } else {
    node.input_to_attribute(1, "axes");
  }
}
void write(NodeWriter& node, const ir::CumSum& op) {
  node.set("exclusive", int64_t{op.exclusive});
  node.set("reverse", int64_t{op.reverse});
}
void write(NodeWriter& node, const ir::TopK& op) {
  node.set("axis", op.axis);
  node.set("largest", int64_t{op.largest});
  node.set("sorted", int64_t{op.sorted});
}

// ---- shapes ----

void write(NodeWriter& node, const ir::Flatten& op) { node.set("axis", op.axis); }
void write(NodeWriter& node, const ir::Reshape& op) {
  if (!op.allow_zero) return;
  if (node.writer.opset < 14) {  // without a 0 in the shape the flag says nothing
    const Tensor* const shape = node.constant(1);
    const std::vector<int64_t> dims = shape == nullptr ? Ints{0} : shape->to_int64s();
    if (std::find(dims.begin(), dims.end(), 0) == dims.end()) return;
  }
  since(node, 14);
  node.set("allowzero", int64_t{1});
}
void write(NodeWriter& node, const ir::Transpose& op) {
  if (!op.perm.empty()) node.set("perm", op.perm);
}
void write(NodeWriter& node, const ir::Concat& op) { node.set("axis", op.axis); }
void write(NodeWriter& node, const ir::Split& op) {
  node.set("axis", op.axis);
  if (node.writer.opset < 13 && node.has_input(1)) node.input_to_attribute(1, "split");
}
void write_axes(NodeWriter& node) {
  if (node.writer.opset < 13 && node.has_input(1)) node.input_to_attribute(1, "axes");
}
void write(NodeWriter& node, const ir::Squeeze&) { write_axes(node); }
void write(NodeWriter& node, const ir::Unsqueeze&) { write_axes(node); }
void write(NodeWriter&, const ir::Slice&) {}
void write(NodeWriter& node, const ir::Gather& op) { node.set("axis", op.axis); }
void write(NodeWriter& node, const ir::GatherElements& op) { node.set("axis", op.axis); }
void write(NodeWriter& node, const ir::Pad& op) { node.set("mode", to_string(op.mode)); }
void write(NodeWriter&, const ir::Expand&) {}
void write(NodeWriter&, const ir::Tile&) {}
void write(NodeWriter& node, const ir::ConstantOfShape& op) {
  ::onnx::AttributeProto& attribute = *node.proto.add_attribute();
  attribute.set_name("value");
  attribute.set_type(::onnx::AttributeProto::TENSOR);
  put_tensor(op.value.reshaped({1}), "", *attribute.mutable_t());
}
void write(NodeWriter& node, const ir::ShapeOf& op) {
  if (op.start == 0 && !op.end) return;
  if (node.writer.opset < 15) {
    const std::string whole = node.emit("whole", "Shape", {node.inputs[0]});
    const int64_t end = op.end.value_or(std::numeric_limits<int64_t>::max());
    node.proto.set_op_type("Slice");
    node.inputs = {whole, node.add_constant("start", Tensor::of<int64_t>({1}, {op.start})),
                   node.add_constant("end", Tensor::of<int64_t>({1}, {end}))};
    return;
  }
  node.set("start", op.start);
  if (op.end) node.set("end", *op.end);
}
void write(NodeWriter&, const ir::SizeOf&) {}
void write(NodeWriter& node, const ir::Cast& op) {
  if (op.to == DType::kBFloat16) since(node, 13);
  node.set("to", int64_t{dtype_to_onnx(op.to)});
}
void write(NodeWriter&, const ir::Where&) {}
void write(NodeWriter&, const ir::Range&) {}
void write(NodeWriter& node, const ir::Resize& op) {
  node.set("mode", to_string(op.mode));
  node.set("coordinate_transformation_mode", to_string(op.coordinates));
  node.set("nearest_mode", to_string(op.nearest));
  node.set("cubic_coeff_a", op.cubic_coefficient);
  node.set("extrapolation_value", op.extrapolation_value);
  node.set("exclude_outside", int64_t{op.exclude_outside});
  if (node.writer.opset >= 13) return;
  // Opset 11 omits roi and scales by empty tensors.
  node.inputs.resize(std::max<size_t>(node.inputs.size(), 3));
  for (size_t i = 1; i <= 2; ++i) {
    if (node.inputs[i].empty()) {
      node.inputs[i] = node.add_constant(i == 1 ? "roi" : "scales", Tensor(DType::kFloat32, {0}));
    }
  }
}
void write(NodeWriter& node, const ir::DepthToSpace& op) {
  node.set("blocksize", op.block);
  node.set("mode", op.order == ir::DepthOrder::kDepthColumnRow ? "DCR" : "CRD");
}
void write(NodeWriter& node, const ir::SpaceToDepth& op) { node.set("blocksize", op.block); }

// ---- quantisation ----

void write_quantize(NodeWriter& node, int64_t axis, DType quantised) {
  if (quantised == DType::kInt16 || quantised == DType::kUInt16) {
    node.refuse(fmt::format("quantises to {}, which opset 21 introduced", to_string(quantised)));
  }
  if (node.writer.opset >= 13) return node.set("axis", axis);
  const ir::Value* const scale = node.value(1);
  if (scale == nullptr || !scale->shape || element_count(*scale->shape) != 1) {
    node.refuse("quantises per channel, which needs opset 13");
  }
}
void write(NodeWriter& node, const ir::QuantizeLinear& op) {
  const ir::Value* const zero_point = node.value(2);
  write_quantize(node, op.axis, zero_point == nullptr ? DType::kUInt8 : zero_point->dtype);
}
void write(NodeWriter& node, const ir::DequantizeLinear& op) {
  const ir::Value* const x = node.value(0);
  write_quantize(node, op.axis, x == nullptr ? DType::kUInt8 : x->dtype);
}
void write(NodeWriter&, const ir::QLinearMatMul&) {}
void write(NodeWriter&, const ir::MatMulInteger&) {}
void write(NodeWriter&, const ir::DynamicQuantizeLinear&) {}

// ---- the rest ----

void write(NodeWriter& node, const ir::Opaque& op) {
  node.proto.set_op_type(op.type);
  node.proto.set_domain(op.domain);
  ::onnx::NodeProto attributes;
  if (!attributes.ParsePartialFromString(op.attributes)) {
    return node.refuse("its stored attributes cannot be decoded");
  }
  *node.proto.mutable_attribute() = std::move(*attributes.mutable_attribute());
  if (!op.domain.empty()) {
    int64_t& version = node.writer.domains[op.domain];
    version = std::max(version, op.opset);
  } else if (op.opset > node.writer.opset) {
    node.refuse(fmt::format("{} was read from opset {} and has no known form before it", op.type,
                            op.opset));
  }
}

}  // namespace

void NodeWriter::set(std::string_view name, int64_t value) {
  ::onnx::AttributeProto& attribute = *proto.add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(::onnx::AttributeProto::INT);
  attribute.set_i(value);
}

void NodeWriter::set(std::string_view name, double value) {
  ::onnx::AttributeProto& attribute = *proto.add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(::onnx::AttributeProto::FLOAT);
  attribute.set_f(static_cast<float>(value));
}

void NodeWriter::set(std::string_view name, std::string_view value) {
  ::onnx::AttributeProto& attribute = *proto.add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(::onnx::AttributeProto::STRING);
  attribute.set_s(std::string(value));
}

void NodeWriter::set(std::string_view name, const Ints& values) {
  ::onnx::AttributeProto& attribute = *proto.add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(::onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute.add_ints(value);
}

void NodeWriter::input_to_attribute(size_t index, std::string_view name) {
  const Tensor* const tensor = constant(index);
  if (tensor == nullptr) {
    return refuse(
        fmt::format("its {} are computed, which opset {} cannot express", name, writer.opset));
  }
  set(name, tensor->to_int64s());
  inputs.resize(index);
}

std::string NodeWriter::add_constant(std::string_view suffix, Tensor tensor) {
  std::string name = fresh_name(writer, fmt::format("{}_{}", node.name, suffix));
  writer.extra_constants.emplace_back(name, std::move(tensor));
  return name;
}

std::string NodeWriter::emit(std::string_view suffix, std::string_view type,
                             std::vector<std::string> op_inputs, std::string_view attribute,
                             const Ints& values) {
  ::onnx::NodeProto& helper = *writer.proto.add_node();
  helper.set_name(fresh_name(writer, fmt::format("{}_{}", node.name, suffix)));
  helper.set_op_type(std::string(type));
  for (std::string& input : op_inputs) helper.add_input(std::move(input));
  const std::string output = fresh_name(writer, helper.name() + "_output");
  helper.add_output(output);
  if (!attribute.empty()) {
    ::onnx::AttributeProto& list = *helper.add_attribute();
    list.set_name(std::string(attribute));
    list.set_type(::onnx::AttributeProto::INTS);
    for (const int64_t value : values) list.add_ints(value);
  }
  return output;
}

std::string fresh_name(GraphWriter& writer, const std::string& wanted) {
  std::string name = wanted;
  for (int64_t suffix = 1; !writer.names.insert(name).second; ++suffix) {
    name = fmt::format("{}_{}", wanted, suffix);
  }
  return name;
}

void write_op(NodeWriter& node) {
  node.proto.set_op_type(std::string(ir::op_type(node.node.op)));
  std::visit([&](const auto& op) { write(node, op); }, node.node.op);
}

}  // namespace graupel::onnx
