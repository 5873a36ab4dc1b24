// Operators computed as they stand, in float32 and int64. See run/plan.h for the steps.
//
// Idea: one small rule per operator family; where the evaluator's definition is a chain of simple
// expressions (normalisations, Mean), the rule emits the same chain.
// Test: compile_test.cc (bits equal to the evaluator's).
#include <algorithm>
#include <cmath>
#include <limits>

#include "compile/lowering.h"

namespace graupel::compile {
namespace {

using run::Layout;

struct Scalars {
  run::UnaryOp op;
  float a = 0.0f, b = 0.0f;
};

std::optional<run::UnaryOp> unary_op(ir::UnaryKind kind) {
  using K = ir::UnaryKind;
  using O = run::UnaryOp;
  switch (kind) {
    case K::kIdentity: return O::kIdentity;
    case K::kRelu: return O::kRelu;
    case K::kSigmoid: return O::kSigmoid;
    case K::kTanh: return O::kTanh;
    case K::kNeg: return O::kNeg;
    case K::kAbs: return O::kAbs;
    case K::kSqrt: return O::kSqrt;
    case K::kExp: return O::kExp;
    case K::kLog: return O::kLog;
    case K::kRound: return O::kRound;
    case K::kFloor: return O::kFloor;
    case K::kCeil: return O::kCeil;
    case K::kSign: return O::kSign;
    case K::kErf: return O::kErf;
    case K::kReciprocal: return O::kReciprocal;
    case K::kNot: return O::kNot;
    case K::kSoftplus: return O::kSoftplus;
    case K::kSoftsign: return O::kSoftsign;
    case K::kHardSwish: return O::kHardSwish;
    case K::kSin: return O::kSin;
    case K::kCos: return O::kCos;
    case K::kTan: return O::kTan;
    case K::kAsin: return O::kAsin;
    case K::kAcos: return O::kAcos;
    case K::kAtan: return O::kAtan;
    case K::kSinh: return O::kSinh;
    case K::kCosh: return O::kCosh;
    case K::kAsinh: return O::kAsinh;
    case K::kAcosh: return O::kAcosh;
    case K::kAtanh: return O::kAtanh;
    case K::kIsNaN: return O::kIsNaN;
  }
  return std::nullopt;
}

std::optional<run::BinaryOp> binary_op(ir::BinaryKind kind) {
  using K = ir::BinaryKind;
  using O = run::BinaryOp;
  switch (kind) {
    case K::kAdd: return O::kAdd;
    case K::kSub: return O::kSub;
    case K::kMul: return O::kMul;
    case K::kDiv: return O::kDiv;
    case K::kPow: return O::kPow;
    case K::kMod: return O::kMod;
    case K::kFmod: return O::kFmod;
    case K::kEqual: return O::kEqual;
    case K::kLess: return O::kLess;
    case K::kLessOrEqual: return O::kLessOrEqual;
    case K::kGreater: return O::kGreater;
    case K::kGreaterOrEqual: return O::kGreaterOrEqual;
    case K::kAnd: return O::kAnd;
    case K::kOr: return O::kOr;
    case K::kXor: return O::kXor;
  }
  return std::nullopt;
}

// The scalar function of an activation with parameters.
std::optional<Scalars> activation_of(const ir::Op& op) {
  using O = run::UnaryOp;
  const auto f = [](double value) { return static_cast<float>(value); };
  if (const auto* leaky = std::get_if<ir::LeakyRelu>(&op))
    return Scalars{O::kLeakyRelu, f(leaky->alpha)};
  if (const auto* elu = std::get_if<ir::Elu>(&op)) return Scalars{O::kElu, f(elu->alpha)};
  if (const auto* selu = std::get_if<ir::Selu>(&op)) {
    return Scalars{O::kSelu, f(selu->alpha), f(selu->gamma)};
  }
  if (const auto* celu = std::get_if<ir::Celu>(&op)) return Scalars{O::kCelu, f(celu->alpha)};
  if (const auto* threshold = std::get_if<ir::ThresholdedRelu>(&op)) {
    return Scalars{O::kThresholdedRelu, f(threshold->alpha)};
  }
  if (const auto* hard = std::get_if<ir::HardSigmoid>(&op)) {
    return Scalars{O::kHardSigmoid, f(hard->alpha), f(hard->beta)};
  }
  return std::nullopt;
}

Result<void> emit_unary(Lowering& l, const ir::Node& node, const Scalars& scalars) {
  run::Unary step;
  step.op = scalars.op;
  step.a = scalars.a;
  step.b = scalars.b;
  TRY_ASSIGN(step.x, row_major_operand(l, node.inputs[0]));
  step.y = output_buffer(l, node);
  emit(l, node, step);
  return ok();
}

Result<void> emit_clip(Lowering& l, const ir::Node& node) {
  Scalars scalars{run::UnaryOp::kClip, -std::numeric_limits<float>::infinity(),
                  std::numeric_limits<float>::infinity()};
  for (size_t i = 1; i <= 2; ++i) {
    if (!input_of(node, i).valid()) continue;
    const Tensor* bound = l.constant(node.inputs[i]);
    if (bound == nullptr || bound->size() != 1 || bound->dtype() != DType::kFloat32) {
      return cannot(node, "has bounds that are not constant float32 numbers");
    }
    (i == 1 ? scalars.a : scalars.b) = bound->data<float>()[0];
  }
  return emit_unary(l, node, scalars);
}

Result<void> emit_pair(Lowering& l, const ir::Node& node, run::BinaryOp op) {
  TRY_ASSIGN(const BufferId a, row_major_operand(l, node.inputs[0]));
  TRY_ASSIGN(const BufferId b, row_major_operand(l, node.inputs[1]));
  emit_binary(l, node, op, a, b, l.graph->shape(node.inputs[0]), l.graph->shape(node.inputs[1]),
              output_buffer(l, node));
  return ok();
}

Result<void> emit_variadic(Lowering& l, const ir::Node& node, ir::VariadicKind kind) {
  const run::BinaryOp op = kind == ir::VariadicKind::kMin   ? run::BinaryOp::kMin
                           : kind == ir::VariadicKind::kMax ? run::BinaryOp::kMax
                                                            : run::BinaryOp::kAdd;
  const ir::Value& value = l.graph->value(node.outputs[0]);
  TRY_ASSIGN(BufferId total, row_major_operand(l, node.inputs[0]));
  Shape shape = l.graph->shape(node.inputs[0]);
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    TRY_ASSIGN(const BufferId next, row_major_operand(l, node.inputs[i]));
    const BufferId sum = new_buffer(l, value.name, value.dtype, *value.shape);
    // Partial results in the final shape: repeating elements early changes none of them.
    total = emit_binary(l, node, op, total, next, shape, l.graph->shape(node.inputs[i]), sum);
    shape = *value.shape;
  }
  if (kind == ir::VariadicKind::kMean) {
    if (value.dtype != DType::kFloat32) return cannot(node, "averages integers");
    const BufferId count = constant_buffer(l, node.name + " count",
                                           Tensor::scalar(static_cast<float>(node.inputs.size())));
    const BufferId mean = new_buffer(l, value.name, value.dtype, *value.shape);
    total = emit_binary(l, node, run::BinaryOp::kDiv, total, count, shape, {}, mean);
  }
  l.buffers[node.outputs[0].index()] = total;
  return ok();
}

Result<void> emit_where(Lowering& l, const ir::Node& node) {
  run::Where step;
  TRY_ASSIGN(step.condition, row_major_operand(l, node.inputs[0]));
  TRY_ASSIGN(step.a, row_major_operand(l, node.inputs[1]));
  TRY_ASSIGN(step.b, row_major_operand(l, node.inputs[2]));
  step.y = output_buffer(l, node);
  step.dims = l.graph->shape(node.outputs[0]);
  step.condition_strides = broadcast_strides(l.graph->shape(node.inputs[0]), step.dims);
  step.a_strides = broadcast_strides(l.graph->shape(node.inputs[1]), step.dims);
  step.b_strides = broadcast_strides(l.graph->shape(node.inputs[2]), step.dims);
  emit(l, node, step);
  return ok();
}

Result<void> emit_reduce(Lowering& l, const ir::Node& node, const ir::Reduce& op) {
  static_assert(static_cast<int>(run::ReduceOp::kSumSquare) ==
                static_cast<int>(ir::ReduceKind::kSumSquare));
  run::Reduce step;
  step.op = static_cast<run::ReduceOp>(op.kind);
  const Shape& x = l.graph->shape(node.inputs[0]);
  const auto rank = static_cast<int64_t>(x.size());
  std::vector<bool> reduced(x.size(), true);
  if (input_of(node, 1).valid()) {
    const Tensor* axes = l.constant(node.inputs[1]);
    if (axes == nullptr) return cannot(node, "has axes that are not constant");
    if (axes->size() > 0) reduced.assign(x.size(), false);
    for (const int64_t axis : axes->to_int64s()) {
      reduced[static_cast<size_t>(axis < 0 ? axis + rank : axis)] = true;
    }
  }
  const bool all = !input_of(node, 1).valid() || l.constant(node.inputs[1])->size() == 0;
  if (all && op.noop_with_empty_axes) return emit_unary(l, node, {run::UnaryOp::kIdentity});
  const std::vector<int64_t> strides = row_major_strides(x);
  for (size_t d = 0; d < x.size(); ++d) {
    (reduced[d] ? step.inner : step.outer).push_back(x[d]);
    (reduced[d] ? step.inner_strides : step.outer_strides).push_back(strides[d]);
  }
  TRY_ASSIGN(step.x, row_major_operand(l, node.inputs[0]));
  step.y = output_buffer(l, node);
  emit(l, node, step);
  return ok();
}

struct AxisView {
  int64_t outer = 1, axis = 1, inner = 1;
};
AxisView axis_view(const Shape& shape, int64_t axis) {
  const auto at = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis);
  AxisView view;
  for (size_t d = 0; d < shape.size(); ++d) {
    (d < at ? view.outer : d == at ? view.axis : view.inner) *= shape[d];
  }
  return view;
}

Result<void> emit_softmax(Lowering& l, const ir::Node& node, const ir::Softmax& op) {
  const AxisView view = axis_view(l.graph->shape(node.inputs[0]), op.axis);
  run::Softmax step;
  step.op = op.kind == ir::SoftmaxKind::kSoftmax      ? run::SoftmaxOp::kSoftmax
            : op.kind == ir::SoftmaxKind::kLogSoftmax ? run::SoftmaxOp::kLogSoftmax
                                                      : run::SoftmaxOp::kHardmax;
  TRY_ASSIGN(step.x, row_major_operand(l, node.inputs[0]));
  step.y = output_buffer(l, node);
  step.outer = view.outer;
  step.axis = view.axis;
  step.inner = view.inner;
  emit(l, node, step);
  return ok();
}

Result<void> emit_arg_reduce(Lowering& l, const ir::Node& node, const ir::ArgReduce& op) {
  const AxisView view = axis_view(l.graph->shape(node.inputs[0]), op.axis);
  run::ArgReduce step;
  step.op = op.kind == ir::ArgKind::kMax ? run::ArgOp::kMax : run::ArgOp::kMin;
  step.tie = op.select_last_index ? run::Tie::kLast : run::Tie::kFirst;
  TRY_ASSIGN(step.x, row_major_operand(l, node.inputs[0]));
  step.y = output_buffer(l, node);
  step.outer = view.outer;
  step.axis = view.axis;
  step.inner = view.inner;
  emit(l, node, step);
  return ok();
}

// Bytes of a rank-4 image lie channels-last from the start, as convolutions want them.
bool is_image(const Shape& shape) { return shape.size() == 4 && shape[0] == 1; }

Result<void> emit_quantize(Lowering& l, const ir::Node& node) {
  const std::optional<Quantization> q = quantization_of(l, node);
  if (!q) return cannot(node, "needs one constant positive scale and an int8 or uint8 zero point");
  const Shape& shape = l.graph->shape(node.inputs[0]);
  if (l.graph->value(node.inputs[0]).dtype != DType::kFloat32) {
    return cannot(node, "quantises other than float32");
  }
  run::Quantize step;
  TRY_ASSIGN(step.x, row_major_operand(l, node.inputs[0]));
  const bool image = is_image(shape);
  step.y = output_buffer(l, node, 0, image ? Layout::kChannelsLast : Layout::kRowMajor);
  step.order = image ? run::ByteOrder::kChannelsLast : run::ByteOrder::kSame;
  if (shape.size() >= 2 && shape[0] == 1) step.channels = static_cast<int32_t>(shape[1]);
  step.inner = elements_of(shape) / step.channels;
  step.scale = q->scale;
  const int32_t low = q->dtype == DType::kInt8 ? -128 : 0;
  step.requantize = {q->zero_point, low, low + 255};
  emit(l, node, step);
  return ok();
}

Result<void> emit_dequantize(Lowering& l, const ir::Node& node) {
  const std::optional<Quantization> q = dequantized_from(l, node.outputs[0]);
  if (!q) return cannot(node, "needs one constant positive scale and int8 or uint8 values");
  const Shape& shape = l.graph->shape(node.inputs[0]);
  run::Dequantize step;
  TRY_ASSIGN(step.x, operand(l, node.inputs[0]));
  const bool last = l.plan.buffers[step.x.index()].layout == Layout::kChannelsLast;
  step.y = output_buffer(l, node);
  step.order = last ? run::ByteOrder::kChannelsLast : run::ByteOrder::kSame;
  if (last) step.channels = static_cast<int32_t>(shape[1]);
  step.inner = elements_of(shape) / step.channels;
  step.scale = q->scale;
  step.zero_point = q->zero_point;
  emit(l, node, step);
  return ok();
}

Result<void> emit_cast(Lowering& l, const ir::Node& node) {
  run::Cast step;
  TRY_ASSIGN(step.x, row_major_operand(l, node.inputs[0]));
  step.y = output_buffer(l, node);
  emit(l, node, step);
  return ok();
}

Result<void> emit_all_movement(Lowering& l, const ir::Node& node) {
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (!node.outputs[i].valid()) continue;
    const bool read = !l.uses.readers[node.outputs[i].index()].empty() ||
                      l.uses.is_output[node.outputs[i].index()];
    if (i > 0 && std::holds_alternative<ir::Dropout>(node.op)) {
      if (read) return cannot(node, "has its mask read");
      continue;
    }
    if (read) TRY(emit_movement(l, node, node, i));
  }
  return ok();
}

}  // namespace

Result<void> emit_literal(Lowering& l, const ir::Node& node) {
  if (is_movement(node.op)) return emit_all_movement(l, node);
  if (const std::optional<Scalars> scalars = activation_of(node.op)) {
    return emit_unary(l, node, *scalars);
  }
  if (const ir::Unary* unary = std::get_if<ir::Unary>(&node.op)) {
    return emit_unary(l, node, {*unary_op(unary->kind)});
  }
  if (const ir::Binary* binary = std::get_if<ir::Binary>(&node.op)) {
    return emit_pair(l, node, *binary_op(binary->kind));
  }
  if (const ir::Variadic* variadic = std::get_if<ir::Variadic>(&node.op)) {
    return emit_variadic(l, node, variadic->kind);
  }
  if (std::holds_alternative<ir::PRelu>(node.op)) {
    return emit_pair(l, node, run::BinaryOp::kPRelu);
  }
  if (std::holds_alternative<ir::Clip>(node.op)) return emit_clip(l, node);
  if (std::holds_alternative<ir::Where>(node.op)) return emit_where(l, node);
  if (std::holds_alternative<ir::Cast>(node.op)) return emit_cast(l, node);
  if (const ir::Reduce* reduce = std::get_if<ir::Reduce>(&node.op)) {
    return emit_reduce(l, node, *reduce);
  }
  if (const ir::Softmax* softmax = std::get_if<ir::Softmax>(&node.op)) {
    return emit_softmax(l, node, *softmax);
  }
  if (const ir::ArgReduce* arg = std::get_if<ir::ArgReduce>(&node.op)) {
    return emit_arg_reduce(l, node, *arg);
  }
  if (std::holds_alternative<ir::QuantizeLinear>(node.op)) return emit_quantize(l, node);
  if (std::holds_alternative<ir::DequantizeLinear>(node.op)) return emit_dequantize(l, node);
  if (std::holds_alternative<ir::Resize>(node.op)) return emit_resize(l, node);
  if (std::holds_alternative<ir::BatchNormalization>(node.op) ||
      std::holds_alternative<ir::InstanceNormalization>(node.op) ||
      std::holds_alternative<ir::LayerNormalization>(node.op) ||
      std::holds_alternative<ir::LRN>(node.op)) {
    return emit_normalization(l, node);
  }
  return emit_linear(l, node);
}

}  // namespace graupel::compile
