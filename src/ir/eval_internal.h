// Shared ground of the evaluator's families (eval_*.cc); private to src/ir.
//
// Idea: every operator is one function eval(op, call). A Call carries the inputs and what is left
// of the memory budget; every output and every large scratch array is drawn from it first, so a
// hostile graph ends in an error, not in an allocation failure.
// Arithmetic families compute in four types only (float, double, int64, uint64): the dispatcher
// widens the other dtypes before the call and narrows the results after it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "ir/graph.h"
#include "ir/ops.h"

namespace graupel::ir::evaluator {

using Outputs = std::vector<Tensor>;

struct Call {
  std::span<const Tensor* const> inputs;
  size_t output_count = 1;
  mutable uint64_t remaining_bytes = 0;

  const Tensor* input(size_t index) const {
    return index < inputs.size() ? inputs[index] : nullptr;
  }
};

// ---- checks ----

// The first `least` inputs are present and there are at most `most`.
Result<void> need(const Call& call, size_t least, size_t most);
// A negative axis counts from the end; error outside [-rank, rank).
Result<size_t> resolve_axis(int64_t axis, size_t rank);
// An input holding int64 (or int32) numbers: shape, axes, pads, ... 1-D or a scalar, at most 64Ki.
Result<Ints> int_list(const Tensor& tensor, const char* what);
// Axes of an optional input, resolved, each at most once; nullopt when the input is absent.
Result<std::optional<std::vector<size_t>>> axes_input(const Tensor* tensor, size_t rank);

// ---- memory ----

// Takes `count * size_bytes` from the budget, or says that it does not fit.
Result<void> reserve(const Call& call, uint64_t count, uint64_t size_bytes);
// Zero-filled tensor of the budget. Error when the shape is negative or does not fit.
Result<Tensor> allocate(const Call& call, DType dtype, const Shape& shape);
template <class T>
Result<std::vector<T>> scratch(const Call& call, uint64_t count) {
  TRY(reserve(call, count, sizeof(T)));
  return std::vector<T>(count);
}

// Single outputs.
inline Outputs one(Tensor tensor) {
  Outputs outputs;
  outputs.push_back(std::move(tensor));
  return outputs;
}
// Booleans are read as bytes: a file may hold other values than 0 and 1.
inline const uint8_t* raw_bytes(const Tensor& tensor) {
  return reinterpret_cast<const uint8_t*>(tensor.bytes());
}
inline uint8_t* raw_bytes(Tensor& tensor) {
  return reinterpret_cast<uint8_t*>(tensor.mutable_bytes());
}

// ---- dtypes ----

DType widened(DType dtype);  // float32, float64, int64 or uint64
Result<Tensor> cast(const Call& call, const Tensor& tensor, DType dtype);
template <class F>
Result<Outputs> with_compute_type(DType dtype, F body) {
  switch (dtype) {
    case DType::kFloat32: return body.template operator()<float>();
    case DType::kFloat64: return body.template operator()<double>();
    case DType::kInt64: return body.template operator()<int64_t>();
    case DType::kUInt64: return body.template operator()<uint64_t>();
    default: return unsupported("", "has no arithmetic for " + std::string(to_string(dtype)));
  }
}
template <class F>
Result<Outputs> with_float_type(DType dtype, F body) {
  switch (dtype) {
    case DType::kFloat32: return body.template operator()<float>();
    case DType::kFloat64: return body.template operator()<double>();
    default:
      return invalid_input("",
                           "takes floating-point inputs, but got " + std::string(to_string(dtype)));
  }
}
// Saturating, with NaN -> 0: a conversion without undefined cases.
template <class Out, class In>
Out saturate_cast(In value) {
  if constexpr (std::is_floating_point_v<Out>) {
    return static_cast<Out>(value);
  } else if constexpr (std::is_floating_point_v<In>) {
    if (!(value == value)) return 0;
    const double wide = static_cast<double>(value);
    // 2^63 and 2^64 are exact in double; max() of the 64-bit types is not.
    const double above = std::ldexp(1.0, std::numeric_limits<Out>::digits);
    if (wide >= above) return std::numeric_limits<Out>::max();
    if (wide <= static_cast<double>(std::numeric_limits<Out>::min())) {
      return std::numeric_limits<Out>::min();
    }
    return static_cast<Out>(wide);
  } else {
    return static_cast<Out>(value);
  }
}

// ---- shapes ----

Result<Shape> broadcast(const Shape& a, const Shape& b);
// Strides of a tensor of `shape` walked as `out`: 0 where a dimension is repeated.
std::vector<int64_t> broadcast_strides(const Shape& shape, const Shape& out);
// Of dimensions [begin, end); saturates. 0 if one of them is 0.
int64_t product(const Shape& shape, size_t begin, size_t end);
inline int64_t product(const Shape& shape) { return product(shape, 0, shape.size()); }

// Calls row(first output element, first element of each operand) for every innermost row of
// `out`; operand i moves by strides[i].
template <size_t N, class F>
void for_each_row(const Shape& out, const std::array<std::vector<int64_t>, N>& strides, F row) {
  if (product(out) == 0) return;
  const size_t outer = out.empty() ? 0 : out.size() - 1;
  const int64_t length = out.empty() ? 1 : out.back();
  std::vector<int64_t> index(outer, 0);
  std::array<int64_t, N> at{};
  for (int64_t start = 0;; start += length) {
    row(start, at);
    size_t d = outer;
    while (d > 0) {
      --d;
      for (size_t i = 0; i < N; ++i) at[i] += strides[i][d];
      if (++index[d] < out[d]) break;
      for (size_t i = 0; i < N; ++i) at[i] -= strides[i][d] * out[d];
      index[d] = 0;
      if (d == 0) return;
    }
    if (outer == 0) return;
  }
}

// ---- sliding windows ----

struct WindowAxis {
  int64_t in = 0, out = 0, kernel = 1, stride = 1, dilation = 1, pad_begin = 0, pad_end = 0;
};
enum class Rounding { kFloor, kCeil };
// One entry per spatial dimension; checks the attributes against `spatial` sizes.
Result<std::vector<WindowAxis>> window_axes(const Window& window, const Ints& kernel,
                                            std::span<const int64_t> spatial,
                                            Rounding rounding = Rounding::kFloor);
// Checks x [N,C,...], weight [M,C/group,k...] and gives the windows.
Result<std::vector<WindowAxis>> conv_axes(const Window& window, int64_t group, const Shape& x,
                                          const Shape& weight);
Shape conv_output_shape(const Shape& x, const Shape& weight, const std::vector<WindowAxis>& axes);
// y[n,m,...] = sum over (c, kernel position) ascending of x * weight, from zero; padding counts as
// x = 0. T: float, double, uint32, uint64 (integers wrap). y has conv_output_shape.
template <class T>
Result<void> convolve(const Call& call, const T* x, const Shape& x_shape, const T* weight,
                      const Shape& weight_shape, const std::vector<WindowAxis>& axes, T* y);
// For every window of every [N,C] plane: visit(plane, output position, input offsets in the plane,
// number of kernel elements that fall inside the padded area).
struct WindowVisit {
  int64_t plane = 0, position = 0;
  std::span<const int64_t> offsets;
  int64_t padded_count = 0;
};
template <class F>
void for_each_window(int64_t planes, const std::vector<WindowAxis>& axes, F visit);

// ---- matrices ----

struct MatrixView {  // element (i, j) is data[i * row_stride + j * column_stride]
  int64_t rows = 0, columns = 0, row_stride = 0, column_stride = 0;
};
constexpr int64_t kPanel = 16;
// out[r * 16 + j] = sum over k ascending of a[r * a_stride + k] * panel[16 * k + j], from zero, for
// r < rows. Vectorised over j; each sum keeps its own order.
template <class T>
void multiply_panel(const T* a, int64_t a_stride, int64_t rows, const T* panel, int64_t depth,
                    T* out);
template <>
void multiply_panel<float>(const float*, int64_t, int64_t, const float*, int64_t, float*);
template <>
void multiply_panel<double>(const double*, int64_t, int64_t, const double*, int64_t, double*);
template <>
void multiply_panel<uint32_t>(const uint32_t*, int64_t, int64_t, const uint32_t*, int64_t,
                              uint32_t*);
template <>
void multiply_panel<uint64_t>(const uint64_t*, int64_t, int64_t, const uint64_t*, int64_t,
                              uint64_t*);
// c[i * b.columns + j] = sum over k ascending of a(i, k) * b(k, j).
template <class T>
void multiply(const T* a, const MatrixView& a_view, const T* b, const MatrixView& b_view, T* c);
// numpy's matmul on stacks of matrices; c has matmul_shape.
struct MatMulShape {
  Shape out;
  Shape batch;
  Shape a_full, b_full;  // 1-D operands made 2-D
};
Result<MatMulShape> matmul_shape(const Shape& a, const Shape& b);
template <class T>
void matmul(const T* a, const T* b, const MatMulShape& shape, T* c);

// ---- quantised numbers ----

// round half to even of a float whose magnitude only matters up to 2^21 (NaN counts as 0).
inline float round_clamped(float value) {
  if (!(value == value)) return 0.0f;
  const float bounded = std::clamp(value, -2097152.0f, 2097152.0f);
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: the sum has no fraction bits left
  return (bounded + kShift) - kShift;
}
// saturate(round_half_even(value) + zero_point) into [low, high], at most 16-bit bounds.
inline int32_t quantize_value(float value, int32_t zero_point, int32_t low, int32_t high) {
  return std::clamp(static_cast<int32_t>(round_clamped(value)) + zero_point, low, high);
}
struct IntRange {
  int32_t low = 0, high = 0;
};
inline bool is_byte(DType dtype) { return dtype == DType::kInt8 || dtype == DType::kUInt8; }
inline IntRange range_of(DType dtype) {
  return dtype == DType::kInt8 ? IntRange{-128, 127} : IntRange{0, 255};
}

// Numbers along one axis: element i belongs to entry i / inner % count of a per-axis list.
struct AxisBlocks {
  int64_t count = 1, inner = 1;
};
// tensor - zero point, exact. `zero_point` has 1 or `blocks.count` elements, or is absent (0).
// int8 and uint8 only.
Result<std::vector<int32_t>> centered(const Call& call, const Tensor& tensor,
                                      const Tensor* zero_point, AxisBlocks blocks);
// Integer convolution and matrix product that never wrap: an accumulator (with its bias, when
// given, one per feature or column) outside int32 is an error. Inputs are at most 255 in magnitude.
Result<std::vector<int32_t>> exact_convolution(const Call& call, std::span<const int32_t> x,
                                               const Shape& x_shape,
                                               std::span<const int32_t> weight,
                                               const Shape& weight_shape,
                                               const std::vector<WindowAxis>& axes,
                                               std::span<const int32_t> bias);
Result<std::vector<int32_t>> exact_matmul(const Call& call, std::span<const int32_t> a,
                                          std::span<const int32_t> b, const MatMulShape& shape,
                                          std::span<const int32_t> bias);
// y = quantize_value(float(accumulator) * multiplier), in `range`: `multipliers` has one entry or
// blocks.count.
void requantize(std::span<const int32_t> accumulators, std::span<const float> multipliers,
                AxisBlocks blocks, int32_t zero_point, IntRange range, Tensor& y);
// The value of a scalar (or one-element) int8, uint8 or int32 zero point; 0 if absent.
Result<int32_t> scalar_zero_point(const Tensor* tensor);
Result<float> scalar_scale(const Tensor* tensor);

// ---- operators ----

#define OP(name) Result<Outputs> eval(const name& op, const Call& call);
#include "ir/ops.def"
#undef OP
Result<Outputs> eval(const Opaque& op, const Call& call);

// ---- definitions of templates ----

template <class F>
void for_each_window(int64_t planes, const std::vector<WindowAxis>& axes, F visit) {
  if (planes == 0) return;  // else the caller has allocated an output per position
  const size_t rank = axes.size();
  int64_t positions = 1;
  for (const WindowAxis& axis : axes) positions *= axis.out;
  std::vector<int64_t> index(rank, 0), offsets, next;
  for (int64_t position = 0; position < positions; ++position) {
    int64_t rest = position;
    for (size_t d = rank; d-- > 0;) {
      index[d] = rest % axes[d].out;
      rest /= axes[d].out;
    }
    offsets.assign(1, 0);
    int64_t padded_count = 1;
    for (size_t d = 0; d < rank; ++d) {
      const WindowAxis& axis = axes[d];
      const int64_t start = index[d] * axis.stride - axis.pad_begin;
      const auto below = [&](int64_t limit) {  // kernel steps that stay under `limit`
        if (start >= limit) return int64_t{0};
        return std::min(axis.kernel, (limit - start - 1) / axis.dilation + 1);
      };
      const int64_t first = std::max<int64_t>(0, below(0));
      const int64_t last = below(axis.in);
      padded_count *= below(axis.in + axis.pad_end);
      next.clear();
      for (const int64_t offset : offsets) {
        for (int64_t k = first; k < last; ++k) {
          next.push_back(offset * axis.in + start + k * axis.dilation);
        }
      }
      offsets.swap(next);
    }
    for (int64_t plane = 0; plane < planes; ++plane) {
      visit(WindowVisit{plane, position, offsets, padded_count});
    }
  }
}

}  // namespace graupel::ir::evaluator
