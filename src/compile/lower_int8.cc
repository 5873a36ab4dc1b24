// A QuantizeLinear and what lies in front of it, as one step on bytes. See docs/formats/int8.md.
//
// Idea: multipliers, bounds and bias are computed here exactly as the rules say, in float32 and in
// the order given; the accumulator's bound is proved from the actual weights and the input's
// range. Tables of element-wise regions are filled by evaluating the region's own nodes on all 256
// bytes. Test: compile_test.cc.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "compile/lowering.h"
#include "ir/eval.h"

namespace graupel::compile {
namespace {

using run::Layout;

struct ByteLimits {
  int32_t low, high;
};
ByteLimits limits_of(DType dtype) {
  return dtype == DType::kInt8 ? ByteLimits{-128, 127} : ByteLimits{0, 255};
}

// saturate(round_half_even(value / scale) + zero_point)
int32_t quantized(float value, const Quantization& q) {
  const ByteLimits limits = limits_of(q.dtype);
  float v = value / q.scale;
  if (std::isnan(v)) v = 0.0f;
  const double rounded = std::nearbyint(static_cast<double>(v)) + q.zero_point;
  return static_cast<int32_t>(
      std::clamp(rounded, static_cast<double>(limits.low), static_cast<double>(limits.high)));
}

// Bounds of the output: the byte's range, narrowed by Relu or Clip.
Result<run::Requantize> requantize_of(const Lowering& l, const Quantization& q,
                                      ir::NodeId activation) {
  const ByteLimits limits = limits_of(q.dtype);
  run::Requantize r{q.zero_point, limits.low, limits.high};
  if (!activation.valid()) return r;
  const ir::Node& node = l.node(activation);
  if (std::holds_alternative<ir::Unary>(node.op)) {
    r.low = std::max(r.low, q.zero_point);
    return r;
  }
  const Tensor* low = l.constant(input_of(node, 1));
  const Tensor* high = l.constant(input_of(node, 2));
  if (low != nullptr) r.low = quantized(low->data<float>()[0], q);
  if (high != nullptr) r.high = quantized(high->data<float>()[0], q);
  if (r.low > r.high) return cannot(node, "has bounds that cross");
  return r;
}

// The bytes of a weight with their zero point taken off; they have to stay int8.
Result<std::vector<int8_t>> centered_weight(const Lowering& l, const ir::Node& node,
                                            const ir::Node& dequantize, size_t axis) {
  const Tensor& values = *l.constant(input_of(dequantize, 0));
  const Tensor* zero = l.constant(input_of(dequantize, 2));
  const std::vector<int64_t> zeros = zero != nullptr ? zero->to_int64s() : std::vector<int64_t>{0};
  const int64_t features = values.shape()[axis];
  const int64_t inner = row_major_strides(values.shape())[axis];
  const std::vector<int64_t> wide = values.to_int64s();
  std::vector<int8_t> out(wide.size());
  for (size_t i = 0; i < wide.size(); ++i) {
    const auto feature = static_cast<size_t>(static_cast<int64_t>(i) / inner % features);
    const int64_t w = wide[i] - zeros[zeros.size() == 1 ? 0 : feature];
    if (w < -128 || w > 127) {
      return cannot(node, "has a weight of " + std::to_string(w) +
                              " after its zero point; use symmetric int8 weights");
    }
    out[i] = static_cast<int8_t>(w);
  }
  return out;
}

// A convolution or matrix product on its way to a ConvInt8.
struct Linear {
  const ir::Node& head;
  Quantization x, y;
  std::vector<int8_t> weights;  // [out_channels][taps][channels / groups]
  std::vector<int32_t> bias;
  run::ConvInt8 step;
};

Result<void> check_accumulator(const Linear& linear) {
  const ByteLimits limits = limits_of(linear.x.dtype);
  const int64_t reach = std::max(std::abs(limits.low - linear.x.zero_point),
                                 std::abs(limits.high - linear.x.zero_point));
  const auto features = static_cast<size_t>(linear.step.out_channels);
  const size_t each = linear.weights.size() / features;
  for (size_t m = 0; m < features; ++m) {
    int64_t total = 0;
    for (size_t i = m * each; i < (m + 1) * each; ++i) total += std::abs(linear.weights[i]);
    const int64_t bound = total * reach + std::abs(int64_t{linear.bias[m]});
    if (bound > std::numeric_limits<int32_t>::max()) {
      return cannot(linear.head, "could sum up to " + std::to_string(bound) + " in channel " +
                                     std::to_string(m) +
                                     ", more than int32 holds; use larger weight scales");
    }
  }
  return ok();
}

Result<void> take_bias(const Lowering& l, Linear& linear) {
  linear.bias.assign(static_cast<size_t>(linear.step.out_channels), 0);
  if (std::holds_alternative<ir::MatMul>(linear.head.op)) return ok();
  const ir::ValueId id = input_of(linear.head, 2);
  if (!id.valid()) return ok();
  const ir::Node* dequantize = l.producer(id);
  const Tensor* bias = dequantize != nullptr ? l.constant(input_of(*dequantize, 0)) : nullptr;
  if (bias == nullptr || bias->dtype() != DType::kInt32 || bias->size() != linear.bias.size()) {
    return internal_error(linear.head.name, "has no int32 bias although it is an integer group");
  }
  const std::span<const int32_t> values = bias->data<int32_t>();
  linear.bias.assign(values.begin(), values.end());
  return ok();
}

// (s_x * s_w) / s_y per output channel, float32, in this order.
Tensor multipliers(const Lowering& l, const Linear& linear, const ir::Node& dequantize) {
  const std::span<const float> scales = l.constant(input_of(dequantize, 1))->data<float>();
  Tensor out(DType::kFloat32, {linear.step.out_channels});
  const std::span<float> values = out.mutable_data<float>();
  for (size_t m = 0; m < values.size(); ++m) {
    values[m] = (linear.x.scale * scales[scales.size() == 1 ? 0 : m]) / linear.y.scale;
  }
  return out;
}

// ONNX [M][C / g][k...] to [M][k...][C / g].
std::vector<int8_t> channels_last_weight(const std::vector<int8_t>& weights, int64_t features,
                                         int64_t channels, int64_t taps) {
  std::vector<int8_t> out(weights.size());
  for (int64_t m = 0; m < features; ++m) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t t = 0; t < taps; ++t) {
        out[static_cast<size_t>((m * taps + t) * channels + c)] =
            weights[static_cast<size_t>((m * channels + c) * taps + t)];
      }
    }
  }
  return out;
}

Result<Layout> lower_conv(Lowering& l, Linear& linear, const ir::Node& dequantize) {
  const ir::Conv& conv = std::get<ir::Conv>(linear.head.op);
  const Shape& x = l.graph->shape(linear.head.inputs[0]);
  const Shape& weight = l.graph->shape(input_of(dequantize, 0));
  if (x.empty() || x[0] != 1) return cannot(linear.head, "has a batch other than 1");
  TRY_ASSIGN(linear.step.window,
             window_of(linear.head, conv.window, Shape(weight.begin() + 2, weight.end()), x,
                       l.graph->shape(linear.head.outputs[0])));
  linear.step.out_channels = static_cast<int32_t>(weight[0]);
  linear.step.groups = static_cast<int32_t>(conv.group);
  TRY_ASSIGN(const std::vector<int8_t> raw, centered_weight(l, linear.head, dequantize, 0));
  linear.weights = channels_last_weight(raw, weight[0], weight[1],
                                        elements_of(Shape(weight.begin() + 2, weight.end())));
  return Layout::kChannelsLast;
}

// Rows of the left side are positions of a 1x1 convolution.
Result<Layout> lower_matrix(Lowering& l, Linear& linear, const ir::Node& dequantize) {
  const ir::Gemm* gemm = std::get_if<ir::Gemm>(&linear.head.op);
  const bool transposed = gemm != nullptr && gemm->transpose_b;
  const Shape& x = l.graph->shape(linear.head.inputs[0]);
  const Shape& weight = l.graph->shape(input_of(dequantize, 0));
  const int64_t depth = weight[transposed ? 1 : 0], features = weight[transposed ? 0 : 1];
  const int64_t rows = elements_of(x) / depth;
  if (depth > (1 << 20) || features > (1 << 20) || rows > (1 << 20)) {
    return cannot(linear.head, "has a matrix dimension over 2^20");
  }
  linear.step.window.channels = static_cast<int32_t>(depth);
  linear.step.window.in_w = linear.step.window.out_w = static_cast<int32_t>(rows);
  linear.step.out_channels = static_cast<int32_t>(features);
  TRY_ASSIGN(const std::vector<int8_t> raw,
             centered_weight(l, linear.head, dequantize, transposed ? 0 : 1));
  linear.weights = transposed ? raw : channels_last_weight(raw, 1, depth, features);
  return Layout::kRowMajor;
}

// The buffer a byte step writes, in the layout its operator works in.
BufferId byte_output(Lowering& l, const ir::Node& quantize, Layout layout) {
  const bool can = l.graph->shape(quantize.outputs[0]).size() >= 3 &&
                   l.graph->shape(quantize.outputs[0])[0] == 1;
  return output_buffer(l, quantize, 0, can ? layout : Layout::kRowMajor);
}

Result<void> emit_linear_group(Lowering& l, const ir::Node& quantize, const Decision& d,
                               const Quantization& x, const Quantization& y) {
  Linear linear{l.node(d.head), x, y, {}, {}, {}};
  const ir::Node& dequantize = *l.producer(linear.head.inputs[1]);
  Layout layout = Layout::kRowMajor;
  if (std::holds_alternative<ir::Conv>(linear.head.op)) {
    TRY_ASSIGN(layout, lower_conv(l, linear, dequantize));
  } else {
    TRY_ASSIGN(layout, lower_matrix(l, linear, dequantize));
  }
  TRY(take_bias(l, linear));
  TRY(check_accumulator(linear));
  run::ConvInt8& step = linear.step;
  TRY_ASSIGN(step.requantize, requantize_of(l, y, d.activation));
  TRY_ASSIGN(const BufferId source, operand(l, d.sources[0]));
  step.x = in_layout(l, source, layout);
  step.x_zero_point = x.zero_point;
  const int64_t features = step.out_channels;
  const int64_t each = static_cast<int64_t>(linear.weights.size()) / features;
  step.weights = constant_buffer(l, linear.head.name + " weights",
                                 Tensor::of<int8_t>({features, each}, linear.weights));
  step.bias =
      constant_buffer(l, linear.head.name + " bias", Tensor::of<int32_t>({features}, linear.bias));
  const Tensor multiplier = multipliers(l, linear, dequantize);
  for (const float value : multiplier.data<float>()) {
    if (!std::isfinite(value)) return cannot(linear.head, "has scales whose quotient overflows");
  }
  step.multiplier = constant_buffer(l, linear.head.name + " multiplier", multiplier);
  step.y = byte_output(l, quantize, layout);
  emit(l, linear.head, step, ir::multiply_adds(*l.graph, d.head));
  return ok();
}

Result<void> emit_average_group(Lowering& l, const ir::Node& quantize, const Decision& d,
                                const Quantization& x, const Quantization& y) {
  const ir::Node& head = l.node(d.head);
  const Shape& shape = l.graph->shape(head.inputs[0]);
  if (shape.empty() || shape[0] != 1) return cannot(head, "has a batch other than 1");
  run::AveragePoolInt8 step;
  TRY_ASSIGN(step.window, pool_window(l, head, shape));
  TRY_ASSIGN(std::vector<float> values, pool_counts(head, step.window, shape));
  for (float& value : values) {
    value = x.scale / (y.scale * value);
    if (!std::isfinite(value)) return cannot(head, "has scales whose quotient overflows");
  }
  if (int64_t{step.window.kernel_h} * step.window.kernel_w > (int64_t{1} << 20)) {
    return cannot(head, "averages over more than 2^20 elements");
  }
  TRY_ASSIGN(step.requantize, requantize_of(l, y, d.activation));
  TRY_ASSIGN(const BufferId source, operand(l, d.sources[0]));
  step.x = in_layout(l, source, Layout::kChannelsLast);
  step.x_zero_point = x.zero_point;
  step.multiplier =
      constant_buffer(l, head.name + " multiplier",
                      Tensor::of<float>({step.window.out_h, step.window.out_w}, values));
  step.y = byte_output(l, quantize, Layout::kChannelsLast);
  emit(l, head, step);
  return ok();
}

}  // namespace

Result<void> emit_group(Lowering& l, const ir::Node& quantize, const Decision& d) {
  const ir::Node& head = l.node(d.head);
  const std::optional<Quantization> x = dequantized_from(l, head.inputs[0]);
  const std::optional<Quantization> y = quantization_of(l, quantize);
  if (!x || !y) return cannot(head, "has a scale that is not a positive number");
  if (std::holds_alternative<ir::AveragePool>(head.op) ||
      std::holds_alternative<ir::GlobalPool>(head.op)) {
    return emit_average_group(l, quantize, d, *x, *y);
  }
  return emit_linear_group(l, quantize, d, *x, *y);
}

Result<void> emit_max_pool_bytes(Lowering& l, const ir::Node& quantize, const Decision& d) {
  const ir::Node& head = l.node(d.head);
  run::MaxPoolInt8 step;
  TRY_ASSIGN(step.window, pool_window(l, head, l.graph->shape(head.inputs[0])));
  TRY_ASSIGN(const BufferId source, operand(l, d.sources[0]));
  step.x = in_layout(l, source, Layout::kChannelsLast);
  step.y = byte_output(l, quantize, Layout::kChannelsLast);
  emit(l, head, step);
  return ok();
}

Result<void> emit_binary_bytes(Lowering& l, const ir::Node& quantize, const Decision& d) {
  const ir::Node& head = l.node(d.head);
  const std::optional<Quantization> a = dequantized_from(l, head.inputs[0]);
  const std::optional<Quantization> b = dequantized_from(l, head.inputs[1]);
  const std::optional<Quantization> y = quantization_of(l, quantize);
  if (!a || !b || !y) return internal_error(head.name, "has lost its quantisation");
  run::BinaryInt8 step;
  const ir::BinaryKind kind = std::get<ir::Binary>(head.op).kind;
  step.op = kind == ir::BinaryKind::kAdd   ? run::ByteOp::kAdd
            : kind == ir::BinaryKind::kSub ? run::ByteOp::kSub
                                           : run::ByteOp::kMul;
  TRY_ASSIGN(step.requantize, requantize_of(l, *y, d.activation));
  TRY_ASSIGN(step.a, operand(l, d.sources[0]));
  TRY_ASSIGN(const BufferId other, operand(l, d.sources[1]));
  const Layout layout = l.plan.buffers[step.a.index()].layout;
  step.b = in_layout(l, other, layout);
  step.a_scale = a->scale;
  step.b_scale = b->scale;
  step.a_zero_point = a->zero_point;
  step.b_zero_point = b->zero_point;
  step.scale = y->scale;
  step.y = output_buffer(l, quantize, 0, layout);
  emit(l, head, step);
  return ok();
}

namespace {

// Evaluates the region that ends in `id`, with `leaf` standing for its quantised input.
struct Region {
  const Lowering& l;
  ir::ValueId leaf;
  Tensor values;  // of the leaf
  std::map<int32_t, Tensor> known;

  Result<Tensor> evaluate(ir::ValueId id) {
    if (id == leaf) return values;
    if (const Tensor* constant = l.constant(id)) return *constant;
    if (const auto found = known.find(id.value); found != known.end()) return found->second;
    const ir::Node& node = *l.producer(id);
    std::vector<Tensor> tensors(node.inputs.size());
    std::vector<const Tensor*> inputs(node.inputs.size(), nullptr);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (!node.inputs[i].valid()) continue;
      TRY_ASSIGN(tensors[i], evaluate(node.inputs[i]));
      inputs[i] = &tensors[i];
    }
    Result<std::vector<Tensor>> outputs = ir::evaluate_op(node.op, inputs, node.outputs.size());
    if (!outputs.ok()) return std::move(outputs).error().within(node.name);
    known[id.value] = (*outputs)[0];
    return (*outputs)[0];
  }
  // Whether any constant of the region differs between channels.
  bool is_per_channel(ir::ValueId id) const {
    if (id == leaf) return false;
    if (const Tensor* constant = l.constant(id)) return constant->size() > 1;
    const ir::Node& node = *l.producer(id);
    return std::any_of(node.inputs.begin(), node.inputs.end(),
                       [&](ir::ValueId input) { return input.valid() && is_per_channel(input); });
  }
};

}  // namespace

Result<void> emit_lookup(Lowering& l, const ir::Node& quantize, const Decision& d) {
  const Shape& shape = l.graph->shape(quantize.outputs[0]);
  Region region{l, d.sources[1], {}, {}};
  const size_t rank = shape.size();
  const bool per_channel = rank >= 2 && region.is_per_channel(quantize.inputs[0]);
  const int64_t tables = per_channel ? shape[1] : 1;
  // All 256 bytes along a dimension that is not the channel's.
  Shape sample(std::max<size_t>(rank, 1), 1);
  const bool bytes_first = per_channel && rank == 2;
  if (per_channel) sample[1] = tables;
  (bytes_first ? sample.front() : sample.back()) = 256;
  Tensor bytes(l.graph->value(d.sources[0]).dtype, sample);
  for (int64_t i = 0; i < 256 * tables; ++i) {
    bytes.mutable_bytes()[i] = static_cast<std::byte>(bytes_first ? i / tables : i % 256);
  }
  const ir::Node& dequantize = *l.producer(d.sources[1]);
  const Tensor* const source[] = {&bytes, l.constant(input_of(dequantize, 1)),
                                  l.constant(input_of(dequantize, 2))};
  TRY_ASSIGN(const std::vector<Tensor> floats, ir::evaluate_op(dequantize.op, source, 1));
  region.values = floats[0];
  TRY_ASSIGN(const Tensor answers, region.evaluate(quantize.inputs[0]));
  const Tensor* const result[] = {&answers, l.constant(input_of(quantize, 1)),
                                  l.constant(input_of(quantize, 2))};
  TRY_ASSIGN(const std::vector<Tensor> codes, ir::evaluate_op(quantize.op, result, 1));
  Tensor table(codes[0].dtype(), {tables, 256});
  if (codes[0].size() != table.size()) {
    return internal_error(quantize.name, "has a region of another shape than its input");
  }
  for (int64_t c = 0; c < tables; ++c) {
    for (int64_t i = 0; i < 256; ++i) {
      table.mutable_bytes()[c * 256 + i] =
          codes[0].bytes()[bytes_first ? i * tables + c : c * 256 + i];
    }
  }
  run::Lookup step;
  TRY_ASSIGN(step.x, operand(l, d.sources[0]));
  const Layout layout = l.plan.buffers[step.x.index()].layout;
  step.table = constant_buffer(l, quantize.name + " table", table);
  step.tables = static_cast<int32_t>(tables);
  step.inner = layout == Layout::kChannelsLast || rank < 3
                   ? 1
                   : elements_of(Shape(shape.begin() + 2, shape.end()));
  step.y = output_buffer(l, quantize, 0, layout);
  emit(l, l.producer(quantize.inputs[0]) != nullptr ? *l.producer(quantize.inputs[0]) : quantize,
       step);
  return ok();
}

}  // namespace graupel::compile
