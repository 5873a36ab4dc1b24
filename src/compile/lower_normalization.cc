// Normalisations as chains of element-wise steps and reductions, and interpolating Resize.
//
// Idea: the evaluator defines each normalisation by plain sums and a few element-wise
// expressions; the same expressions in the same order give the same bits. Resize's taps depend on
// shapes only, so they are tables. Reference: ONNX operator semantics, opset 17.
// Test: compile_test.cc.
#include <algorithm>
#include <cmath>

#include "compile/lowering.h"

namespace graupel::compile {
namespace {

using run::BinaryOp;

// Builds chains of float32 steps for one node.
struct Chain {
  Lowering& l;
  const ir::Node& node;

  BufferId constant(const Tensor& tensor) {
    return constant_buffer(l, node.name + " constant", tensor);
  }
  BufferId fresh(const Shape& shape) { return new_buffer(l, node.name, DType::kFloat32, shape); }
  const Shape& shape_of(BufferId id) const { return l.plan.buffers[id.index()].shape; }
  BufferId binary(BinaryOp op, BufferId a, BufferId b, const Shape& out) {
    const Shape a_shape = shape_of(a), b_shape = shape_of(b);
    return emit_binary(l, node, op, a, b, a_shape, b_shape, fresh(out));
  }
  BufferId unary(run::UnaryOp op, BufferId x) {
    run::Unary step;
    step.op = op;
    step.x = x;
    step.y = fresh(Shape(shape_of(x)));
    emit(l, node, step);
    return step.y;
  }
  // Mean over all dimensions from `axis` on, with those dimensions kept as 1.
  BufferId mean_from(BufferId x, size_t axis) {
    const Shape shape = shape_of(x);
    const std::vector<int64_t> strides = row_major_strides(shape);
    run::Reduce step;
    step.op = run::ReduceOp::kMean;
    Shape kept = shape;
    for (size_t d = 0; d < shape.size(); ++d) {
      (d < axis ? step.outer : step.inner).push_back(shape[d]);
      (d < axis ? step.outer_strides : step.inner_strides).push_back(strides[d]);
      if (d >= axis) kept[d] = 1;
    }
    step.x = x;
    step.y = fresh(kept);
    emit(l, node, step);
    return step.y;
  }
  void finish(BufferId y) { l.buffers[node.outputs[0].index()] = y; }
};

// A vector [C] seen as [1, C, 1, ...] of the given rank.
Result<BufferId> channel_vector(Lowering& l, ir::ValueId id, size_t rank) {
  TRY_ASSIGN(const BufferId buffer, row_major_operand(l, id));
  Shape shape(rank, 1);
  shape[1] = elements_of(l.graph->shape(id));
  return alias(l, buffer, l.graph->value(id).name, shape, run::Layout::kRowMajor);
}

Result<void> emit_batch(Chain& c, const ir::BatchNormalization& op, const Shape& shape) {
  if (op.training) return cannot(c.node, "is in training mode");
  TRY_ASSIGN(const BufferId x, row_major_operand(c.l, c.node.inputs[0]));
  BufferId v[4];
  for (size_t i = 0; i < 4; ++i) {
    TRY_ASSIGN(v[i], channel_vector(c.l, c.node.inputs[i + 1], shape.size()));
  }
  const Shape channel = c.shape_of(v[0]);
  const BufferId epsilon = c.constant(Tensor::scalar(static_cast<float>(op.epsilon)));
  const BufferId root =
      c.unary(run::UnaryOp::kSqrt, c.binary(BinaryOp::kAdd, v[3], epsilon, channel));
  const BufferId scale = c.binary(BinaryOp::kDiv, v[0], root, channel);
  const BufferId centred = c.binary(BinaryOp::kSub, x, v[2], shape);
  const BufferId scaled = c.binary(BinaryOp::kMul, centred, scale, shape);
  c.finish(c.binary(BinaryOp::kAdd, scaled, v[1], shape));
  return ok();
}

// Mean, and the mean of squared differences, over the dimensions from `axis` on.
struct Moments {
  BufferId centred, variance;
};
Moments moments(Chain& c, BufferId x, size_t axis, const Shape& shape) {
  const BufferId mean = c.mean_from(x, axis);
  const BufferId centred = c.binary(BinaryOp::kSub, x, mean, shape);
  const BufferId squares = c.binary(BinaryOp::kMul, centred, centred, shape);
  return {centred, c.mean_from(squares, axis)};
}

Result<void> emit_instance(Chain& c, const ir::InstanceNormalization& op, const Shape& shape) {
  TRY_ASSIGN(const BufferId x, row_major_operand(c.l, c.node.inputs[0]));
  TRY_ASSIGN(const BufferId gain, channel_vector(c.l, c.node.inputs[1], shape.size()));
  TRY_ASSIGN(const BufferId bias, channel_vector(c.l, c.node.inputs[2], shape.size()));
  const Moments m = moments(c, x, 2, shape);
  const Shape kept = c.shape_of(m.variance);
  const BufferId epsilon = c.constant(Tensor::scalar(static_cast<float>(op.epsilon)));
  const BufferId root =
      c.unary(run::UnaryOp::kSqrt, c.binary(BinaryOp::kAdd, m.variance, epsilon, kept));
  const BufferId scale = c.binary(BinaryOp::kDiv, gain, root, kept);
  const BufferId scaled = c.binary(BinaryOp::kMul, m.centred, scale, shape);
  c.finish(c.binary(BinaryOp::kAdd, scaled, bias, shape));
  return ok();
}

Result<void> emit_layer(Chain& c, const ir::LayerNormalization& op, const Shape& shape) {
  for (size_t i = 1; i < c.node.outputs.size(); ++i) {
    const ir::ValueId id = c.node.outputs[i];
    if (id.valid() && (!c.l.uses.readers[id.index()].empty() || c.l.uses.is_output[id.index()])) {
      return cannot(c.node, "has its statistics read");
    }
  }
  const auto rank = static_cast<int64_t>(shape.size());
  const auto axis = static_cast<size_t>(op.axis < 0 ? op.axis + rank : op.axis);
  TRY_ASSIGN(const BufferId x, row_major_operand(c.l, c.node.inputs[0]));
  TRY_ASSIGN(const BufferId gain, row_major_operand(c.l, c.node.inputs[1]));
  BufferId bias;
  if (input_of(c.node, 2).valid()) {
    TRY_ASSIGN(bias, row_major_operand(c.l, c.node.inputs[2]));
  } else {
    bias = c.constant(Tensor::scalar(0.0f));
  }
  const Moments m = moments(c, x, axis, shape);
  const BufferId epsilon = c.constant(Tensor::scalar(static_cast<float>(op.epsilon)));
  const BufferId one = c.constant(Tensor::scalar(1.0f));
  const Shape kept = c.shape_of(m.variance);
  const BufferId root =
      c.unary(run::UnaryOp::kSqrt, c.binary(BinaryOp::kAdd, m.variance, epsilon, kept));
  const BufferId factor = c.binary(BinaryOp::kDiv, one, root, kept);
  const BufferId scaled = c.binary(BinaryOp::kMul, m.centred, factor, shape);
  const BufferId gained = c.binary(BinaryOp::kMul, scaled, gain, shape);
  c.finish(c.binary(BinaryOp::kAdd, gained, bias, shape));
  return ok();
}

// Squares of the neighbouring channels are gathered beside each other (0 outside) and summed.
Result<void> emit_lrn(Chain& c, const ir::LRN& op, const Shape& shape) {
  TRY_ASSIGN(const BufferId x, row_major_operand(c.l, c.node.inputs[0]));
  const int64_t channels = shape[1], plane = elements_of(shape) / (shape[0] * channels);
  const int64_t before = (op.size - 1) / 2, count = elements_of(shape);
  if (op.size > 2 * channels || count * op.size > (int64_t{1} << 28)) {
    return cannot(c.node, "has a size beyond what the engine tabulates");
  }
  const BufferId squares = c.binary(BinaryOp::kMul, x, x, shape);
  std::vector<int32_t> table;
  for (int64_t k = 0; k < op.size; ++k) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t channel = i / plane % channels + k - before;
      table.push_back(
          channel < 0 || channel >= channels ? -1 : static_cast<int32_t>(i + (k - before) * plane));
    }
  }
  run::Move gather;
  gather.x = squares;
  gather.y = c.fresh({op.size, count});
  gather.table = c.constant(Tensor::of<int32_t>({op.size * count}, table));
  emit(c.l, c.node, gather);
  run::Reduce sum;
  sum.op = run::ReduceOp::kSum;
  sum.x = gather.y;
  sum.y = c.fresh(shape);
  sum.outer = {count};
  sum.outer_strides = {1};
  sum.inner = {op.size};
  sum.inner_strides = {count};
  emit(c.l, c.node, sum);
  const BufferId alpha =
      c.constant(Tensor::scalar(static_cast<float>(op.alpha) / static_cast<float>(op.size)));
  const BufferId bias = c.constant(Tensor::scalar(static_cast<float>(op.bias)));
  const BufferId beta = c.constant(Tensor::scalar(static_cast<float>(op.beta)));
  const BufferId weighted = c.binary(BinaryOp::kMul, alpha, sum.y, shape);
  const BufferId base = c.binary(BinaryOp::kAdd, bias, weighted, shape);
  const BufferId power = c.binary(BinaryOp::kPow, base, beta, shape);
  c.finish(c.binary(BinaryOp::kDiv, x, power, shape));
  return ok();
}

struct Axis {
  int64_t in = 1, out = 1;
  double scale = 1.0;
};

double source_coordinate(ir::ResizeCoordinates mode, const Axis& axis, int64_t at) {
  const auto x = static_cast<double>(at);
  switch (mode) {
    case ir::ResizeCoordinates::kPytorchHalfPixel:
      return axis.out > 1 ? (x + 0.5) / axis.scale - 0.5 : 0.0;
    case ir::ResizeCoordinates::kAlignCorners:
      return axis.out > 1
                 ? x * (static_cast<double>(axis.in) - 1.0) / (static_cast<double>(axis.out) - 1.0)
                 : 0.0;
    case ir::ResizeCoordinates::kAsymmetric: return x / axis.scale;
    default: return (x + 0.5) / axis.scale - 0.5;
  }
}

double cubic_weight(double distance, double a) {
  const double d = std::abs(distance);
  if (d <= 1.0) return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
  if (d < 2.0) return ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
  return 0.0;
}

// Appends the taps of one output coordinate; a kept dimension has one tap of weight 1.
void append_taps(const ir::Resize& op, const Axis& axis, int64_t at, int32_t taps,
                 std::vector<int32_t>& index, std::vector<double>& weight) {
  std::vector<std::pair<int32_t, double>> found;
  if (axis.in == axis.out && axis.scale == 1.0) {
    found.emplace_back(static_cast<int32_t>(at), 1.0);
  } else {
    const auto last = static_cast<double>(axis.in - 1);
    const double x = std::clamp(source_coordinate(op.coordinates, axis, at), -4.0, last + 4.0);
    const int first = op.mode == ir::ResizeMode::kLinear ? 0 : -1;
    double total = 0.0;
    for (int k = first; k < first + taps; ++k) {
      const double place = std::floor(x) + k;
      double w = op.mode == ir::ResizeMode::kLinear ? 1.0 - std::abs(x - place)
                                                    : cubic_weight(x - place, op.cubic_coefficient);
      if (op.exclude_outside && (place < 0.0 || place > last)) w = 0.0;
      total += w;
      found.emplace_back(static_cast<int32_t>(std::clamp(place, 0.0, last)), w);
    }
    if (op.exclude_outside && total != 0.0) {
      for (auto& [place, w] : found) w /= total;
    }
  }
  found.resize(static_cast<size_t>(taps), {0, 0.0});
  for (const auto& [place, w] : found) {
    index.push_back(place);
    weight.push_back(w);
  }
}

}  // namespace

Result<void> emit_normalization(Lowering& l, const ir::Node& node) {
  Chain chain{l, node};
  const Shape shape = l.graph->shape(node.inputs[0]);
  if (l.graph->value(node.inputs[0]).dtype != DType::kFloat32) {
    return cannot(node, "reads other than float32");
  }
  if (const auto* batch = std::get_if<ir::BatchNormalization>(&node.op)) {
    return emit_batch(chain, *batch, shape);
  }
  if (const auto* instance = std::get_if<ir::InstanceNormalization>(&node.op)) {
    return emit_instance(chain, *instance, shape);
  }
  if (const auto* layer = std::get_if<ir::LayerNormalization>(&node.op)) {
    return emit_layer(chain, *layer, shape);
  }
  return emit_lrn(chain, std::get<ir::LRN>(node.op), shape);
}

Result<void> emit_resize(Lowering& l, const ir::Node& node) {
  const ir::Resize& op = std::get<ir::Resize>(node.op);
  const Shape& x = l.graph->shape(node.inputs[0]);
  const Shape& y = l.graph->shape(node.outputs[0]);
  if (op.coordinates == ir::ResizeCoordinates::kCropAndResize ||
      l.graph->value(node.inputs[0]).dtype != DType::kFloat32) {
    return cannot(node, "crops or resizes other than float32");
  }
  const Tensor* scales = l.constant(input_of(node, 2));
  const bool by_scales = scales != nullptr && scales->size() == x.size();
  const std::vector<double> given = by_scales ? scales->to_doubles() : std::vector<double>();
  run::Interpolate step;
  step.taps = op.mode == ir::ResizeMode::kLinear ? 2 : 4;
  std::vector<int32_t> index;
  std::vector<double> weight;
  for (size_t d = 0; d < x.size(); ++d) {
    const Axis axis{x[d], y[d],
                    by_scales ? given[d] : static_cast<double>(y[d]) / static_cast<double>(x[d])};
    for (int64_t at = 0; at < y[d]; ++at) append_taps(op, axis, at, step.taps, index, weight);
  }
  const auto entries = static_cast<int64_t>(index.size());
  step.dims = y;
  step.strides = row_major_strides(x);
  TRY_ASSIGN(step.x, row_major_operand(l, node.inputs[0]));
  step.index = constant_buffer(l, node.name + " index", Tensor::of<int32_t>({entries}, index));
  step.weight = constant_buffer(l, node.name + " weight", Tensor::of<double>({entries}, weight));
  step.y = output_buffer(l, node);
  emit(l, node, step);
  return ok();
}

}  // namespace graupel::compile
