// Quantised operators: QuantizeLinear, DequantizeLinear, QLinearConv, QLinearMatMul, ConvInteger,
// MatMulInteger, DynamicQuantizeLinear.
//
// Idea: zero points are subtracted first; products are then summed exactly (32-bit arithmetic when
// the weights prove that it cannot wrap, else 64-bit with a check), and requantised with one
// float32 multiplication. Reference: docs/formats/int8.md, ONNX QLinearConv-10, QuantizeLinear-13.
// Test: eval_integer_test.cc.
#include "ir/eval_internal.h"

namespace graupel::ir::evaluator {
namespace {

int32_t byte_at(const Tensor& tensor, size_t i) {
  return tensor.dtype() == DType::kInt8 ? static_cast<int32_t>(tensor.data<int8_t>()[i])
                                        : static_cast<int32_t>(tensor.data<uint8_t>()[i]);
}

// How `scale` (scalar, or 1-D along `axis`) and its zero point lie over x.
Result<AxisBlocks> scale_blocks(const Tensor& x, const Tensor& scale, const Tensor* zero_point,
                                int64_t wanted_axis) {
  if (scale.dtype() != DType::kFloat32) {
    return unsupported(
        "", "has a scale of " + std::string(to_string(scale.dtype())) + "; float32 is needed");
  }
  if (zero_point != nullptr && zero_point->size() != scale.size()) {
    return invalid_input("", "zero point " + to_string(zero_point->shape()) +
                                 " does not match scale " + to_string(scale.shape()));
  }
  if (scale.size() == 1) return AxisBlocks{1, std::max<int64_t>(1, product(x.shape()))};
  TRY_ASSIGN(const size_t axis, resolve_axis(wanted_axis, x.rank()));
  if (scale.rank() != 1 || scale.shape()[0] != x.shape()[axis]) {
    return invalid_input("", "scale " + to_string(scale.shape()) + " does not fit axis " +
                                 std::to_string(axis) + " of " + to_string(x.shape()));
  }
  return AxisBlocks{x.shape()[axis], std::max<int64_t>(1, product(x.shape(), axis + 1, x.rank()))};
}

// body(first element, one behind the last, entry of the list) for every run that has one entry.
template <class F>
void for_each_block(size_t count, AxisBlocks blocks, F body) {
  const auto inner = static_cast<size_t>(blocks.count == 1 ? count : blocks.inner);
  const auto entries = static_cast<size_t>(blocks.count);
  for (size_t begin = 0, run = 0; begin < count; begin += inner, ++run) {
    body(begin, std::min(count, begin + inner), run % entries);
  }
}

template <class T>
void quantize(std::span<const float> x, std::span<const float> scale, const Tensor* zero_point,
              AxisBlocks blocks, std::span<T> y) {
  constexpr int32_t kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  for_each_block(x.size(), blocks, [&](size_t begin, size_t end, size_t entry) {
    const int32_t zero = zero_point != nullptr ? zero_point->data<T>()[entry] : 0;
    const float step = scale[entry];
    for (size_t i = begin; i < end; ++i) {
      y[i] = static_cast<T>(quantize_value(x[i] / step, zero, kLow, kHigh));
    }
  });
}

template <class T>
void dequantize(const Tensor& x, std::span<const float> scale, const Tensor* zero_point,
                AxisBlocks blocks, std::span<float> y) {
  const std::span<const T> in = x.data<T>();
  for_each_block(in.size(), blocks, [&](size_t begin, size_t end, size_t entry) {
    const int64_t zero = zero_point != nullptr ? zero_point->data<T>()[entry] : 0;
    const float step = scale[entry];
    for (size_t i = begin; i < end; ++i) {
      y[i] = static_cast<float>(static_cast<int64_t>(in[i]) - zero) * step;
    }
  });
}

// `out` of bytes without their zero point.
template <class T>
void subtract_zero(const Tensor& x, const Tensor* zero_point, AxisBlocks blocks,
                   std::span<int32_t> out) {
  const std::span<const T> in = x.data<T>();
  for_each_block(in.size(), blocks, [&](size_t begin, size_t end, size_t entry) {
    const int32_t zero = zero_point != nullptr ? zero_point->data<T>()[entry] : 0;
    for (size_t i = begin; i < end; ++i) out[i] = int32_t{in[i]} - zero;
  });
}

// Largest accumulator magnitude that weights of one output can make from inputs up to 255.
int64_t reach(const int32_t* weights, int64_t count, int64_t step, int64_t bias) {
  int64_t total = 0;
  for (int64_t i = 0; i < count; ++i) total += std::abs(static_cast<int64_t>(weights[i * step]));
  return total * 255 + std::abs(bias);
}

Result<std::vector<int32_t>> narrowed(const std::vector<uint64_t>& wide, AxisBlocks blocks,
                                      std::span<const int32_t> bias) {
  std::vector<int32_t> narrow(wide.size());
  for (size_t i = 0; i < wide.size(); ++i) {
    const auto entry = static_cast<size_t>(static_cast<int64_t>(i) / blocks.inner % blocks.count);
    const int64_t sum = static_cast<int64_t>(wide[i]) + (bias.empty() ? 0 : bias[entry]);
    if (sum < std::numeric_limits<int32_t>::min() || sum > std::numeric_limits<int32_t>::max()) {
      return invalid_input(
          "", "accumulator wraps: a sum of " + std::to_string(sum) + " does not fit into int32");
    }
    narrow[i] = static_cast<int32_t>(sum);
  }
  return narrow;
}

void add_integer_bias(std::vector<int32_t>& sums, AxisBlocks blocks,
                      std::span<const int32_t> bias) {
  if (bias.empty()) return;
  for_each_block(sums.size(), blocks, [&](size_t begin, size_t end, size_t entry) {
    for (size_t i = begin; i < end; ++i) sums[i] += bias[entry];
  });
}

std::vector<uint64_t> sign_extended(std::span<const int32_t> values) {
  std::vector<uint64_t> out(values.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint64_t>(int64_t{values[i]});
  return out;
}

const uint32_t* as_unsigned(std::span<const int32_t> values) {
  return reinterpret_cast<const uint32_t*>(values.data());
}

Result<void> check_bytes(std::initializer_list<const Tensor*> tensors) {
  for (const Tensor* tensor : tensors) {
    if (!is_byte(tensor->dtype())) {
      return invalid_input(
          "", "takes int8 or uint8, but got " + std::string(to_string(tensor->dtype())));
    }
  }
  return ok();
}

Result<std::vector<float>> multipliers(const Tensor* x_scale, const Tensor& w_scale,
                                       const Tensor* y_scale, int64_t features) {
  TRY_ASSIGN(const float scale_x, scalar_scale(x_scale));
  TRY_ASSIGN(const float scale_y, scalar_scale(y_scale));
  if (w_scale.dtype() != DType::kFloat32 ||
      (w_scale.size() != 1 && static_cast<int64_t>(w_scale.size()) != features)) {
    return invalid_input("", "weight scale " + to_string(w_scale.shape()) + " does not fit " +
                                 std::to_string(features) + " features");
  }
  std::vector<float> result;
  for (const float scale_w : w_scale.data<float>()) result.push_back((scale_x * scale_w) / scale_y);
  return result;
}

}  // namespace

Result<int32_t> scalar_zero_point(const Tensor* tensor) {
  if (tensor == nullptr) return 0;
  if (tensor->size() != 1) return invalid_input("", "takes a scalar zero point");
  if (tensor->dtype() == DType::kInt32) return tensor->data<int32_t>()[0];
  TRY(check_bytes({tensor}));
  return byte_at(*tensor, 0);
}

Result<float> scalar_scale(const Tensor* tensor) {
  if (tensor == nullptr || tensor->size() != 1 || tensor->dtype() != DType::kFloat32) {
    return invalid_input("", "takes a scalar float32 scale");
  }
  return tensor->data<float>()[0];
}

Result<std::vector<int32_t>> centered(const Call& call, const Tensor& tensor,
                                      const Tensor* zero_point, AxisBlocks blocks) {
  TRY(check_bytes({&tensor}));
  if (zero_point != nullptr &&
      (zero_point->dtype() != tensor.dtype() ||
       (zero_point->size() != 1 && static_cast<int64_t>(zero_point->size()) != blocks.count))) {
    return invalid_input("", "zero point " + to_string(zero_point->shape()) + " of " +
                                 std::string(to_string(zero_point->dtype())) + " does not fit " +
                                 to_string(tensor.shape()) + " of " +
                                 std::string(to_string(tensor.dtype())));
  }
  TRY_ASSIGN(std::vector<int32_t> values, scratch<int32_t>(call, tensor.size()));
  const bool per_axis = zero_point != nullptr && zero_point->size() > 1;
  if (!per_axis) blocks = {};
  if (tensor.dtype() == DType::kInt8) {
    subtract_zero<int8_t>(tensor, zero_point, blocks, values);
  } else {
    subtract_zero<uint8_t>(tensor, zero_point, blocks, values);
  }
  return values;
}

Result<std::vector<int32_t>> exact_convolution(const Call& call, std::span<const int32_t> x,
                                               const Shape& x_shape,
                                               std::span<const int32_t> weight,
                                               const Shape& weight_shape,
                                               const std::vector<WindowAxis>& axes,
                                               std::span<const int32_t> bias) {
  const Shape shape = conv_output_shape(x_shape, weight_shape, axes);
  const std::optional<int64_t> count = element_count(shape);
  if (!count) return invalid_input("", "would yield an impossible shape " + to_string(shape));
  const AxisBlocks blocks = {shape[1], std::max<int64_t>(1, product(shape, 2, shape.size()))};
  const int64_t depth = product(weight_shape, 1, weight_shape.size());
  bool fits = true;
  for (int64_t m = 0; m < shape[1]; ++m) {
    const int64_t added = bias.empty() ? 0 : bias[static_cast<size_t>(m)];
    fits = fits && reach(weight.data() + m * depth, depth, 1, added) <= INT32_MAX;
  }
  if (fits) {
    TRY_ASSIGN(std::vector<int32_t> sums, scratch<int32_t>(call, static_cast<uint64_t>(*count)));
    TRY(convolve<uint32_t>(call, as_unsigned(x), x_shape, as_unsigned(weight), weight_shape, axes,
                           reinterpret_cast<uint32_t*>(sums.data())));
    add_integer_bias(sums, blocks, bias);
    return sums;
  }
  TRY(reserve(call, x.size() + weight.size() + static_cast<uint64_t>(*count), 12));
  std::vector<uint64_t> wide(static_cast<size_t>(*count));
  TRY(convolve<uint64_t>(call, sign_extended(x).data(), x_shape, sign_extended(weight).data(),
                         weight_shape, axes, wide.data()));
  return narrowed(wide, blocks, bias);
}

Result<std::vector<int32_t>> exact_matmul(const Call& call, std::span<const int32_t> a,
                                          std::span<const int32_t> b, const MatMulShape& shape,
                                          std::span<const int32_t> bias) {
  const std::optional<int64_t> count = element_count(shape.out);
  if (!count) return invalid_input("", "would yield an impossible shape " + to_string(shape.out));
  const int64_t columns = shape.b_full.back(), depth = shape.a_full.back();
  const AxisBlocks blocks = {std::max<int64_t>(1, columns), 1};
  TRY(reserve(call, static_cast<uint64_t>(depth + shape.a_full[shape.a_full.size() - 2]),
              kPanel * sizeof(uint64_t)));
  bool fits = true;
  const int64_t matrix = depth * columns;
  for (int64_t start = 0; matrix > 0 && start < static_cast<int64_t>(b.size()); start += matrix) {
    for (int64_t j = 0; j < columns; ++j) {
      const int64_t added = bias.empty() ? 0 : bias[static_cast<size_t>(j)];
      fits = fits && reach(b.data() + start + j, depth, columns, added) <= INT32_MAX;
    }
  }
  if (fits) {
    TRY_ASSIGN(std::vector<int32_t> sums, scratch<int32_t>(call, static_cast<uint64_t>(*count)));
    matmul<uint32_t>(as_unsigned(a), as_unsigned(b), shape,
                     reinterpret_cast<uint32_t*>(sums.data()));
    add_integer_bias(sums, blocks, bias);
    return sums;
  }
  TRY(reserve(call, a.size() + b.size() + static_cast<uint64_t>(*count), 12));
  std::vector<uint64_t> wide(static_cast<size_t>(*count));
  matmul<uint64_t>(sign_extended(a).data(), sign_extended(b).data(), shape, wide.data());
  return narrowed(wide, blocks, bias);
}

void requantize(std::span<const int32_t> accumulators, std::span<const float> multipliers,
                AxisBlocks blocks, int32_t zero_point, IntRange range, Tensor& y) {
  uint8_t* out = raw_bytes(y);
  const auto count = static_cast<int64_t>(accumulators.size());
  for (int64_t start = 0; start < count; start += blocks.inner) {
    const float multiplier = multipliers[static_cast<size_t>(
        multipliers.size() == 1 ? 0 : start / blocks.inner % blocks.count)];
    for (int64_t i = start; i < std::min(count, start + blocks.inner); ++i) {
      const float scaled = static_cast<float>(accumulators[static_cast<size_t>(i)]) * multiplier;
      out[i] = static_cast<uint8_t>(quantize_value(scaled, zero_point, range.low, range.high));
    }
  }
}

Result<Outputs> eval(const QuantizeLinear& op, const Call& call) {
  TRY(need(call, 2, 3));
  const Tensor& scale = *call.input(1);
  const Tensor* zero_point = call.input(2);
  if (call.input(0)->dtype() != DType::kFloat32 && call.input(0)->dtype() != DType::kInt32) {
    return unsupported("", "quantises " + std::string(to_string(call.input(0)->dtype())) +
                               "; float32 or int32 is needed");
  }
  TRY_ASSIGN(const Tensor x, cast(call, *call.input(0), DType::kFloat32));
  TRY_ASSIGN(const AxisBlocks blocks, scale_blocks(x, scale, zero_point, op.axis));
  const DType dtype = zero_point != nullptr ? zero_point->dtype() : DType::kUInt8;
  if (!is_byte(dtype)) {
    return unsupported(
        "", "quantises to " + std::string(to_string(dtype)) + "; int8 or uint8 is needed");
  }
  TRY_ASSIGN(Tensor y, allocate(call, dtype, x.shape()));
  if (dtype == DType::kInt8) {
    quantize(x.data<float>(), scale.data<float>(), zero_point, blocks, y.mutable_data<int8_t>());
  } else {
    quantize(x.data<float>(), scale.data<float>(), zero_point, blocks, y.mutable_data<uint8_t>());
  }
  return one(std::move(y));
}

Result<Outputs> eval(const DequantizeLinear& op, const Call& call) {
  TRY(need(call, 2, 3));
  const Tensor& x = *call.input(0);
  const Tensor& scale = *call.input(1);
  const Tensor* zero_point = call.input(2);
  if (zero_point != nullptr && zero_point->dtype() != x.dtype()) {
    return invalid_input("", "zero point and input differ in dtype");
  }
  TRY_ASSIGN(const AxisBlocks blocks, scale_blocks(x, scale, zero_point, op.axis));
  TRY_ASSIGN(Tensor y, allocate(call, DType::kFloat32, x.shape()));
  const std::span<const float> scales = scale.data<float>();
  const std::span<float> out = y.mutable_data<float>();
  switch (x.dtype()) {
    case DType::kInt8: dequantize<int8_t>(x, scales, zero_point, blocks, out); break;
    case DType::kUInt8: dequantize<uint8_t>(x, scales, zero_point, blocks, out); break;
    case DType::kInt32: dequantize<int32_t>(x, scales, zero_point, blocks, out); break;
    default:
      return unsupported("", "dequantises " + std::string(to_string(x.dtype())) +
                                 "; int8, uint8 or int32 is needed");
  }
  return one(std::move(y));
}

Result<Outputs> eval(const QLinearConv& op, const Call& call) {
  TRY(need(call, 8, 9));
  const Tensor& x = *call.input(0);
  const Tensor& weight = *call.input(3);
  const Tensor& y_zero = *call.input(7);
  const Tensor* bias = call.input(8);
  TRY(check_bytes({&x, &weight, &y_zero}));
  TRY_ASSIGN(const std::vector<WindowAxis> axes,
             conv_axes(op.window, op.group, x.shape(), weight.shape()));
  const int64_t features = weight.shape()[0];
  if (bias != nullptr &&
      (bias->dtype() != DType::kInt32 || static_cast<int64_t>(bias->size()) != features)) {
    return invalid_input("", "bias has to be int32, one per feature");
  }
  TRY_ASSIGN(const int32_t zero_y, scalar_zero_point(&y_zero));
  TRY_ASSIGN(const std::vector<float> scales,
             multipliers(call.input(1), *call.input(4), call.input(6), features));
  TRY_ASSIGN(const std::vector<int32_t> x_values, centered(call, x, call.input(2), {}));
  const AxisBlocks w_blocks = {std::max<int64_t>(1, features),
                               std::max<int64_t>(1, product(weight.shape(), 1, weight.rank()))};
  TRY_ASSIGN(const std::vector<int32_t> w_values, centered(call, weight, call.input(5), w_blocks));
  TRY_ASSIGN(
      const std::vector<int32_t> sums,
      exact_convolution(call, x_values, x.shape(), w_values, weight.shape(), axes,
                        bias != nullptr ? bias->data<int32_t>() : std::span<const int32_t>()));
  TRY_ASSIGN(Tensor y,
             allocate(call, y_zero.dtype(), conv_output_shape(x.shape(), weight.shape(), axes)));
  const int64_t plane = product(y.shape(), 2, y.rank());
  requantize(sums, scales, {std::max<int64_t>(1, features), std::max<int64_t>(1, plane)}, zero_y,
             range_of(y.dtype()), y);
  return one(std::move(y));
}

Result<Outputs> eval(const QLinearMatMul&, const Call& call) {
  TRY(need(call, 8, 8));
  const Tensor& a = *call.input(0);
  const Tensor& b = *call.input(3);
  const Tensor& y_zero = *call.input(7);
  TRY(check_bytes({&a, &b, &y_zero}));
  TRY_ASSIGN(const MatMulShape shape, matmul_shape(a.shape(), b.shape()));
  const int64_t columns = std::max<int64_t>(1, shape.b_full.back());
  if (call.input(1)->size() != 1 || call.input(2)->size() != 1) {
    return unsupported("", "has a scale per row of its left side");
  }
  TRY_ASSIGN(const int32_t zero_y, scalar_zero_point(&y_zero));
  TRY_ASSIGN(const std::vector<float> scales,
             multipliers(call.input(1), *call.input(4), call.input(6), columns));
  TRY_ASSIGN(const std::vector<int32_t> a_values, centered(call, a, call.input(2), {}));
  TRY_ASSIGN(const std::vector<int32_t> b_values, centered(call, b, call.input(5), {columns, 1}));
  TRY_ASSIGN(const std::vector<int32_t> sums, exact_matmul(call, a_values, b_values, shape, {}));
  TRY_ASSIGN(Tensor y, allocate(call, y_zero.dtype(), shape.out));
  requantize(sums, scales, {columns, 1}, zero_y, range_of(y.dtype()), y);
  return one(std::move(y));
}

Result<Outputs> eval(const ConvInteger& op, const Call& call) {
  TRY(need(call, 2, 4));
  const Tensor& x = *call.input(0);
  const Tensor& weight = *call.input(1);
  TRY_ASSIGN(const std::vector<WindowAxis> axes,
             conv_axes(op.window, op.group, x.shape(), weight.shape()));
  const AxisBlocks w_blocks = {std::max<int64_t>(1, weight.shape()[0]),
                               std::max<int64_t>(1, product(weight.shape(), 1, weight.rank()))};
  TRY_ASSIGN(const std::vector<int32_t> x_values, centered(call, x, call.input(2), {}));
  TRY_ASSIGN(const std::vector<int32_t> w_values, centered(call, weight, call.input(3), w_blocks));
  TRY_ASSIGN(const std::vector<int32_t> sums,
             exact_convolution(call, x_values, x.shape(), w_values, weight.shape(), axes, {}));
  TRY_ASSIGN(Tensor y,
             allocate(call, DType::kInt32, conv_output_shape(x.shape(), weight.shape(), axes)));
  std::copy(sums.begin(), sums.end(), y.mutable_data<int32_t>().begin());
  return one(std::move(y));
}

Result<Outputs> eval(const MatMulInteger&, const Call& call) {
  TRY(need(call, 2, 4));
  const Tensor& a = *call.input(0);
  const Tensor& b = *call.input(1);
  TRY_ASSIGN(const MatMulShape shape, matmul_shape(a.shape(), b.shape()));
  const int64_t columns = std::max<int64_t>(1, shape.b_full.back());
  const AxisBlocks rows = {std::max<int64_t>(1, shape.a_full[shape.a_full.size() - 2]),
                           std::max<int64_t>(1, shape.a_full.back())};
  TRY_ASSIGN(const std::vector<int32_t> a_values, centered(call, a, call.input(2), rows));
  TRY_ASSIGN(const std::vector<int32_t> b_values, centered(call, b, call.input(3), {columns, 1}));
  TRY_ASSIGN(const std::vector<int32_t> sums, exact_matmul(call, a_values, b_values, shape, {}));
  TRY_ASSIGN(Tensor y, allocate(call, DType::kInt32, shape.out));
  std::copy(sums.begin(), sums.end(), y.mutable_data<int32_t>().begin());
  return one(std::move(y));
}

Result<Outputs> eval(const DynamicQuantizeLinear&, const Call& call) {
  TRY(need(call, 1, 1));
  const Tensor& x = *call.input(0);
  if (x.dtype() != DType::kFloat32) return invalid_input("", "takes float32");
  float low = 0.0f, high = 0.0f;  // the range always holds zero
  for (const float value : x.data<float>()) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  const float scale = (high - low) / 255.0f;
  const auto zero =
      static_cast<uint8_t>(scale > 0.0f ? quantize_value(-low / scale, 0, 0, 255) : 0);
  TRY_ASSIGN(Tensor y, allocate(call, DType::kUInt8, x.shape()));
  const std::span<uint8_t> out = y.mutable_data<uint8_t>();
  for (size_t i = 0; i < out.size(); ++i) {
    const float ratio = scale > 0.0f ? x.data<float>()[i] / scale : 0.0f;
    out[i] = static_cast<uint8_t>(quantize_value(ratio, zero, 0, 255));
  }
  Outputs outputs = one(std::move(y));
  outputs.push_back(Tensor::scalar<float>(scale));
  outputs.push_back(Tensor::scalar<uint8_t>(zero));
  return outputs;
}

}  // namespace graupel::ir::evaluator
