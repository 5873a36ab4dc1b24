// Float matrix products, convolutions and pools. See lowering.h. Test: compile_test.cc.
#include <algorithm>

#include "compile/lowering.h"

namespace graupel::compile {
namespace {

int64_t macs_of(const Lowering& l, const ir::Node& node) {
  return ir::multiply_adds(*l.graph, l.uses.producer[node.outputs[0].index()]);
}

Result<void> emit_gemm(Lowering& l, const ir::Node& node, const ir::Gemm& op) {
  const Shape& a = l.graph->shape(node.inputs[0]);
  const Shape& b = l.graph->shape(node.inputs[1]);
  const Shape& y = l.graph->shape(node.outputs[0]);
  run::MatMul step;
  TRY_ASSIGN(step.a, row_major_operand(l, node.inputs[0]));
  TRY_ASSIGN(step.b, row_major_operand(l, node.inputs[1]));
  step.m = y[0];
  step.n = y[1];
  step.k = a[op.transpose_a ? 0 : 1];
  step.a_row = op.transpose_a ? 1 : a[1];
  step.a_column = op.transpose_a ? a[1] : 1;
  step.b_row = op.transpose_b ? 1 : b[1];
  step.b_column = op.transpose_b ? b[1] : 1;
  step.alpha = static_cast<float>(op.alpha);
  step.beta = static_cast<float>(op.beta);
  if (input_of(node, 2).valid()) {
    TRY_ASSIGN(step.c, row_major_operand(l, node.inputs[2]));
    const run::Strides strides = broadcast_strides(l.graph->shape(node.inputs[2]), y);
    step.c_row = strides[0];
    step.c_column = strides[1];
  }
  step.y = output_buffer(l, node);
  emit(l, node, step, macs_of(l, node));
  return ok();
}

Result<void> emit_matmul(Lowering& l, const ir::Node& node) {
  Shape a = l.graph->shape(node.inputs[0]), b = l.graph->shape(node.inputs[1]);
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  run::MatMul step;
  TRY_ASSIGN(step.a, row_major_operand(l, node.inputs[0]));
  TRY_ASSIGN(step.b, row_major_operand(l, node.inputs[1]));
  step.m = a[a.size() - 2];
  step.k = a.back();
  step.n = b.back();
  step.a_row = step.k;
  step.b_row = step.n;
  const Shape a_batch(a.begin(), a.end() - 2), b_batch(b.begin(), b.end() - 2);
  step.batch.assign(std::max(a_batch.size(), b_batch.size()), 1);
  const auto widen = [&](const Shape& shape) {
    const size_t lead = step.batch.size() - shape.size();
    for (size_t d = 0; d < shape.size(); ++d) {
      step.batch[lead + d] = std::max(step.batch[lead + d], shape[d]);
    }
  };
  widen(a_batch);
  widen(b_batch);
  step.a_batch = broadcast_strides(a_batch, step.batch);
  step.b_batch = broadcast_strides(b_batch, step.batch);
  for (int64_t& stride : step.a_batch) stride *= step.m * step.k;
  for (int64_t& stride : step.b_batch) stride *= step.k * step.n;
  step.y = output_buffer(l, node);
  emit(l, node, step, macs_of(l, node));
  return ok();
}

Result<void> emit_conv(Lowering& l, const ir::Node& node, run::ConvKind kind,
                       const ir::Window& window, int64_t groups) {
  const Shape& x = l.graph->shape(node.inputs[0]);
  const Shape& weight = l.graph->shape(node.inputs[1]);
  const Shape& y = l.graph->shape(node.outputs[0]);
  run::ConvF32 step;
  step.kind = kind;
  TRY_ASSIGN(step.window, window_of(node, window, Shape(weight.begin() + 2, weight.end()), x, y));
  TRY_ASSIGN(step.x, row_major_operand(l, node.inputs[0]));
  TRY_ASSIGN(step.weights, row_major_operand(l, node.inputs[1]));
  if (input_of(node, 2).valid()) {
    TRY_ASSIGN(step.bias, row_major_operand(l, node.inputs[2]));
  }
  step.batch = x[0];
  step.out_channels = static_cast<int32_t>(y[1]);
  step.groups = static_cast<int32_t>(groups);
  step.y = output_buffer(l, node);
  emit(l, node, step, macs_of(l, node));
  return ok();
}

// The pads that a transposed convolution really cuts: auto_pad and output_shape share the cut
// between both ends, so the begin pad follows from the output's size.
ir::Window transposed_window(const ir::ConvTranspose& op, const Shape& x, const Shape& weight,
                             const Shape& y) {
  ir::Window window = op.window;
  const size_t spatial = x.size() - 2;
  const bool same = op.window.auto_pad == ir::AutoPad::kSameUpper ||
                    op.window.auto_pad == ir::AutoPad::kSameLower;
  window.auto_pad = ir::AutoPad::kNotSet;
  if (window.pads.empty()) window.pads.assign(2 * spatial, 0);
  for (size_t d = 0; d < spatial && (same || !op.output_shape.empty()); ++d) {
    const int64_t stride = window.strides.empty() ? 1 : window.strides[d];
    const int64_t dilation = window.dilations.empty() ? 1 : window.dilations[d];
    const int64_t full = stride * (x[2 + d] - 1) + (weight[2 + d] - 1) * dilation + 1 +
                         (op.output_padding.empty() ? 0 : op.output_padding[d]);
    const int64_t cut = std::max<int64_t>(0, full - y[2 + d]);
    window.pads[d] = op.window.auto_pad == ir::AutoPad::kSameUpper ? cut / 2 : cut - cut / 2;
    window.pads[spatial + d] = 0;
  }
  return window;
}

Result<void> emit_pool(Lowering& l, const ir::Node& node, run::PoolOp op) {
  const Shape& x = l.graph->shape(node.inputs[0]);
  run::PoolF32 step;
  step.op = op;
  TRY_ASSIGN(step.window, pool_window(l, node, x));
  step.window.channels = static_cast<int32_t>(x[0] * x[1]);
  TRY_ASSIGN(step.x, row_major_operand(l, node.inputs[0]));
  if (op == run::PoolOp::kAverage) {
    TRY_ASSIGN(const std::vector<float> counts, pool_counts(node, step.window, x));
    step.divisor =
        constant_buffer(l, node.name + " counts",
                        Tensor::of<float>({step.window.out_h, step.window.out_w}, counts));
  }
  step.y = output_buffer(l, node);
  emit(l, node, step);
  return ok();
}

}  // namespace

Result<void> emit_linear(Lowering& l, const ir::Node& node) {
  for (const ir::ValueId id : node.inputs) {
    if (id.valid() && l.graph->value(id).dtype != DType::kFloat32) {
      return cannot(node, "reads " + std::string(to_string(l.graph->value(id).dtype)) +
                              "; the engine has no step for it");
    }
  }
  if (const ir::Gemm* gemm = std::get_if<ir::Gemm>(&node.op)) return emit_gemm(l, node, *gemm);
  if (std::holds_alternative<ir::MatMul>(node.op)) return emit_matmul(l, node);
  if (const ir::Conv* conv = std::get_if<ir::Conv>(&node.op)) {
    return emit_conv(l, node, run::ConvKind::kForward, conv->window, conv->group);
  }
  if (const ir::ConvTranspose* conv = std::get_if<ir::ConvTranspose>(&node.op)) {
    return emit_conv(
        l, node, run::ConvKind::kTransposed,
        transposed_window(*conv, l.graph->shape(node.inputs[0]), l.graph->shape(node.inputs[1]),
                          l.graph->shape(node.outputs[0])),
        conv->group);
  }
  const bool one_output = node.outputs.size() == 1 || !node.outputs[1].valid() ||
                          l.uses.readers[node.outputs[1].index()].empty();
  if (std::holds_alternative<ir::MaxPool>(node.op) && one_output) {
    return emit_pool(l, node, run::PoolOp::kMax);
  }
  if (std::holds_alternative<ir::AveragePool>(node.op)) {
    return emit_pool(l, node, run::PoolOp::kAverage);
  }
  if (const ir::GlobalPool* pool = std::get_if<ir::GlobalPool>(&node.op)) {
    return emit_pool(l, node,
                     pool->kind == ir::PoolKind::kMax ? run::PoolOp::kMax : run::PoolOp::kAverage);
  }
  return cannot(node, "has no step in the CPU engine; keep it out of the deployed graph");
}

}  // namespace graupel::compile
