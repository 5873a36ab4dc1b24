// The attributes of every operator, once: visit_fields(op, f) calls f(name, field) for each, with
// ONNX's attribute name and a reference to the field. Printing, parsing, reading and writing share
// this list. Which of a family an operator is (Relu, Tanh, ...) is its name, not an attribute.
//
// A field is an int64_t, double, bool, Ints, optional<int64_t>, DType, Tensor, std::string or one
// of the enumerations of ops.h.
#pragma once

#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ir/ops.h"

namespace graupel::ir {

// The operator ONNX calls `type` with default attributes; nullopt if graupel has no semantics for
// it.
std::optional<Op> make_op(std::string_view type);
// Every operator graupel has semantics for, with default attributes, in the order of ops.def.
std::vector<Op> default_ops();

template <class T, class F>
void visit_fields(T&, F&) {
  static_assert(std::is_empty_v<T>, "an operator with attributes needs an overload below");
}
template <class F>
void visit_fields(Unary&, F&) {}
template <class F>
void visit_fields(Variadic&, F&) {}
template <class F>
void visit_fields(GlobalPool&, F&) {}

template <class F>
void visit_fields(Binary& op, F& f) {
  if (op.kind != BinaryKind::kMod && op.kind != BinaryKind::kFmod) return;
  bool fmod = op.kind == BinaryKind::kFmod;
  f("fmod", fmod);
  op.kind = fmod ? BinaryKind::kFmod : BinaryKind::kMod;
}

template <class F>
void visit_fields(LeakyRelu& op, F& f) {
  f("alpha", op.alpha);
}
template <class F>
void visit_fields(Elu& op, F& f) {
  f("alpha", op.alpha);
}
template <class F>
void visit_fields(Selu& op, F& f) {
  f("alpha", op.alpha);
  f("gamma", op.gamma);
}
template <class F>
void visit_fields(Celu& op, F& f) {
  f("alpha", op.alpha);
}
template <class F>
void visit_fields(ThresholdedRelu& op, F& f) {
  f("alpha", op.alpha);
}
template <class F>
void visit_fields(HardSigmoid& op, F& f) {
  f("alpha", op.alpha);
  f("beta", op.beta);
}

template <class F>
void visit_fields(Window& window, F& f) {
  f("kernel_shape", window.kernel);
  f("strides", window.strides);
  f("dilations", window.dilations);
  f("pads", window.pads);
  f("auto_pad", window.auto_pad);
}
template <class F>
void visit_fields(Conv& op, F& f) {
  visit_fields(op.window, f);
  f("group", op.group);
}
template <class F>
void visit_fields(ConvTranspose& op, F& f) {
  visit_fields(op.window, f);
  f("group", op.group);
  f("output_padding", op.output_padding);
  f("output_shape", op.output_shape);
}
template <class F>
void visit_fields(MaxPool& op, F& f) {
  visit_fields(op.window, f);
  f("ceil_mode", op.ceil_mode);
  f("storage_order", op.column_major_indices);
}
template <class F>
void visit_fields(AveragePool& op, F& f) {
  visit_fields(op.window, f);
  f("ceil_mode", op.ceil_mode);
  f("count_include_pad", op.count_include_pad);
}
template <class F>
void visit_fields(Gemm& op, F& f) {
  f("alpha", op.alpha);
  f("beta", op.beta);
  f("transA", op.transpose_a);
  f("transB", op.transpose_b);
}

template <class F>
void visit_fields(BatchNormalization& op, F& f) {
  f("epsilon", op.epsilon);
  f("momentum", op.momentum);
  f("training_mode", op.training);
}
template <class F>
void visit_fields(InstanceNormalization& op, F& f) {
  f("epsilon", op.epsilon);
}
template <class F>
void visit_fields(LayerNormalization& op, F& f) {
  f("axis", op.axis);
  f("epsilon", op.epsilon);
}
template <class F>
void visit_fields(LRN& op, F& f) {
  f("alpha", op.alpha);
  f("beta", op.beta);
  f("bias", op.bias);
  f("size", op.size);
}
template <class F>
void visit_fields(Softmax& op, F& f) {
  f("axis", op.axis);
}
template <class F>
void visit_fields(ArgReduce& op, F& f) {
  f("axis", op.axis);
  f("keepdims", op.keepdims);
  f("select_last_index", op.select_last_index);
}
template <class F>
void visit_fields(Reduce& op, F& f) {
  f("keepdims", op.keepdims);
  f("noop_with_empty_axes", op.noop_with_empty_axes);
}

template <class F>
void visit_fields(Flatten& op, F& f) {
  f("axis", op.axis);
}
template <class F>
void visit_fields(Reshape& op, F& f) {
  f("allowzero", op.allow_zero);
}
template <class F>
void visit_fields(Transpose& op, F& f) {
  f("perm", op.perm);
}
template <class F>
void visit_fields(Concat& op, F& f) {
  f("axis", op.axis);
}
template <class F>
void visit_fields(Split& op, F& f) {
  f("axis", op.axis);
}
template <class F>
void visit_fields(Gather& op, F& f) {
  f("axis", op.axis);
}
template <class F>
void visit_fields(GatherElements& op, F& f) {
  f("axis", op.axis);
}
template <class F>
void visit_fields(Pad& op, F& f) {
  f("mode", op.mode);
}
template <class F>
void visit_fields(ConstantOfShape& op, F& f) {
  f("value", op.value);
}
template <class F>
void visit_fields(ShapeOf& op, F& f) {
  f("start", op.start);
  f("end", op.end);
}
template <class F>
void visit_fields(Cast& op, F& f) {
  f("to", op.to);
}
template <class F>
void visit_fields(CumSum& op, F& f) {
  f("exclusive", op.exclusive);
  f("reverse", op.reverse);
}
template <class F>
void visit_fields(TopK& op, F& f) {
  f("axis", op.axis);
  f("largest", op.largest);
  f("sorted", op.sorted);
}

template <class F>
void visit_fields(Resize& op, F& f) {
  f("mode", op.mode);
  f("coordinate_transformation_mode", op.coordinates);
  f("nearest_mode", op.nearest);
  f("cubic_coeff_a", op.cubic_coefficient);
  f("extrapolation_value", op.extrapolation_value);
  f("exclude_outside", op.exclude_outside);
}
template <class F>
void visit_fields(DepthToSpace& op, F& f) {
  f("blocksize", op.block);
  f("mode", op.order);
}
template <class F>
void visit_fields(SpaceToDepth& op, F& f) {
  f("blocksize", op.block);
}

template <class F>
void visit_fields(QuantizeLinear& op, F& f) {
  f("axis", op.axis);
}
template <class F>
void visit_fields(DequantizeLinear& op, F& f) {
  f("axis", op.axis);
}
template <class F>
void visit_fields(QLinearConv& op, F& f) {
  visit_fields(op.window, f);
  f("group", op.group);
}
template <class F>
void visit_fields(ConvInteger& op, F& f) {
  visit_fields(op.window, f);
  f("group", op.group);
}

// Not attributes of the ONNX node itself, but what has to be kept beside its type.
template <class F>
void visit_fields(Opaque& op, F& f) {
  f("domain", op.domain);
  f("opset", op.opset);
  f("attributes", op.attributes);
  f("has_subgraph", op.has_subgraph);
}

template <class F>
void visit_fields(Op& op, F& f) {
  std::visit([&](auto& concrete) { visit_fields(concrete, f); }, op);
}

}  // namespace graupel::ir
