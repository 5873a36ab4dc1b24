// Matrix products: Gemm, MatMul, and the panel kernel that convolutions use too.
//
// Idea: the right-hand side is packed into panels of 16 columns; a block of rows of the left-hand
// side meets one panel at a time. Each output has one accumulator, which takes its products with
// the inner index ascending, from zero; only independent outputs are computed side by side. So the
// sums are the same on every machine. Bias is added after the sum.
// Reference: numpy.matmul. Test: eval_matmul_test.cc.
#include "ir/eval_internal.h"

// Variants of one function for wider vectors, picked when the program starts. The sanitizers do
// not support the mechanism; without it only speed changes.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define GRAUPEL_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define GRAUPEL_VECTOR_CLONES
#endif

namespace graupel::ir::evaluator {
namespace {

// Vectors of 32 bytes, of T: written out, because compilers leave a two-dimensional array of sums
// in memory otherwise, and every product then waits for the store before it. The loops over rows
// and parts have to be unrolled for the same reason.
template <class T>
struct Lanes {
  typedef T Type __attribute__((vector_size(32)));
  typedef T Loose __attribute__((vector_size(32), aligned(alignof(T)), may_alias));
};

template <class T, int kRows>
[[gnu::always_inline]] inline void block(const T* a, int64_t a_stride, const T* panel,
                                         int64_t depth, T* out) {
  using Vector = typename Lanes<T>::Type;
  using Loose = typename Lanes<T>::Loose;
  constexpr int kLanes = 32 / sizeof(T), kParts = kPanel / kLanes;
  Vector sums[kRows][kParts] = {};
  for (int64_t k = 0; k < depth; ++k) {
    const T* const b = panel + kPanel * k;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const T value = a[r * a_stride + k];
#pragma GCC unroll 4
      for (int part = 0; part < kParts; ++part) {
        sums[r][part] += value * *reinterpret_cast<const Loose*>(b + part * kLanes);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int part = 0; part < kParts; ++part) {
      *reinterpret_cast<Loose*>(out + r * kPanel + part * kLanes) = sums[r][part];
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void all_rows(const T* a, int64_t a_stride, int64_t rows,
                                            const T* panel, int64_t depth, T* out) {
  int64_t row = 0;
  if constexpr (sizeof(T) == 4) {  // of 8 bytes, four rows do not fit into registers
    for (; row + 4 <= rows; row += 4) {
      block<T, 4>(a + row * a_stride, a_stride, panel, depth, out + row * kPanel);
    }
  }
  for (; row + 2 <= rows; row += 2) {
    block<T, 2>(a + row * a_stride, a_stride, panel, depth, out + row * kPanel);
  }
  for (; row < rows; ++row) {
    block<T, 1>(a + row * a_stride, a_stride, panel, depth, out + row * kPanel);
  }
}

}  // namespace

template <>
GRAUPEL_VECTOR_CLONES void multiply_panel<float>(const float* a, int64_t a_stride, int64_t rows,
                                                 const float* panel, int64_t depth, float* out) {
  all_rows(a, a_stride, rows, panel, depth, out);
}
// Wraps modulo 2^32: unsigned arithmetic on the same bits.
template <>
GRAUPEL_VECTOR_CLONES void multiply_panel<uint32_t>(const uint32_t* a, int64_t a_stride,
                                                    int64_t rows, const uint32_t* panel,
                                                    int64_t depth, uint32_t* out) {
  all_rows(a, a_stride, rows, panel, depth, out);
}
template <>
GRAUPEL_VECTOR_CLONES void multiply_panel<double>(const double* a, int64_t a_stride, int64_t rows,
                                                  const double* panel, int64_t depth, double* out) {
  all_rows(a, a_stride, rows, panel, depth, out);
}
template <>
GRAUPEL_VECTOR_CLONES void multiply_panel<uint64_t>(const uint64_t* a, int64_t a_stride,
                                                    int64_t rows, const uint64_t* panel,
                                                    int64_t depth, uint64_t* out) {
  all_rows(a, a_stride, rows, panel, depth, out);
}

template <class T>
void multiply(const T* a, const MatrixView& a_view, const T* b, const MatrixView& b_view, T* c) {
  const int64_t rows = a_view.rows, depth = a_view.columns, columns = b_view.columns;
  if (rows == 0 || columns == 0) return;
  const T* left = a;
  int64_t left_stride = a_view.row_stride;
  std::vector<T> packed_left;
  if (a_view.column_stride != 1) {
    packed_left.resize(static_cast<size_t>(rows * depth));
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t k = 0; k < depth; ++k) {
        packed_left[static_cast<size_t>(i * depth + k)] =
            a[i * a_view.row_stride + k * a_view.column_stride];
      }
    }
    left = packed_left.data();
    left_stride = depth;
  }
  std::vector<T> panel(static_cast<size_t>(depth * kPanel));
  std::vector<T> sums(static_cast<size_t>(rows * kPanel));
  for (int64_t j = 0; j < columns; j += kPanel) {
    const int64_t width = std::min(kPanel, columns - j);
    for (int64_t n = 0; n < width; ++n) {
      const T* column = b + (j + n) * b_view.column_stride;
      for (int64_t k = 0; k < depth; ++k) {
        panel[static_cast<size_t>(k * kPanel + n)] = column[k * b_view.row_stride];
      }
    }
    multiply_panel(left, left_stride, rows, panel.data(), depth, sums.data());
    for (int64_t i = 0; i < rows; ++i) {
      std::copy_n(sums.data() + i * kPanel, width, c + i * columns + j);
    }
  }
}

Result<MatMulShape> matmul_shape(const Shape& a, const Shape& b) {
  if (a.empty() || b.empty()) return invalid_input("", "does not multiply scalars");
  MatMulShape shape{{}, {}, a, b};
  if (a.size() == 1) shape.a_full.insert(shape.a_full.begin(), 1);
  if (b.size() == 1) shape.b_full.push_back(1);
  const size_t rank_a = shape.a_full.size(), rank_b = shape.b_full.size();
  if (shape.a_full[rank_a - 1] != shape.b_full[rank_b - 2]) {
    return invalid_input("", "inner sizes of " + to_string(a) + " and " + to_string(b) + " differ");
  }
  TRY_ASSIGN(shape.batch, broadcast(Shape(shape.a_full.begin(), shape.a_full.end() - 2),
                                    Shape(shape.b_full.begin(), shape.b_full.end() - 2)));
  shape.out = shape.batch;
  if (a.size() > 1) shape.out.push_back(shape.a_full[rank_a - 2]);
  if (b.size() > 1) shape.out.push_back(shape.b_full[rank_b - 1]);
  return shape;
}

template <class T>
void matmul(const T* a, const T* b, const MatMulShape& shape, T* c) {
  const size_t rank_a = shape.a_full.size(), rank_b = shape.b_full.size();
  const int64_t rows = shape.a_full[rank_a - 2], depth = shape.a_full[rank_a - 1];
  const int64_t columns = shape.b_full[rank_b - 1];
  Shape batch = shape.batch;
  batch.push_back(1);  // one matrix product per row of for_each_row
  Shape a_batch(shape.a_full.begin(), shape.a_full.end() - 2);
  Shape b_batch(shape.b_full.begin(), shape.b_full.end() - 2);
  a_batch.push_back(1);
  b_batch.push_back(1);
  const std::array<std::vector<int64_t>, 2> strides = {broadcast_strides(a_batch, batch),
                                                       broadcast_strides(b_batch, batch)};
  for_each_row<2>(batch, strides, [&](int64_t start, const std::array<int64_t, 2>& at) {
    multiply<T>(a + at[0] * rows * depth, {rows, depth, depth, 1}, b + at[1] * depth * columns,
                {depth, columns, columns, 1}, c + start * rows * columns);
  });
}

template void multiply<float>(const float*, const MatrixView&, const float*, const MatrixView&,
                              float*);
template void multiply<double>(const double*, const MatrixView&, const double*, const MatrixView&,
                               double*);
template void multiply<uint32_t>(const uint32_t*, const MatrixView&, const uint32_t*,
                                 const MatrixView&, uint32_t*);
template void multiply<uint64_t>(const uint64_t*, const MatrixView&, const uint64_t*,
                                 const MatrixView&, uint64_t*);
template void matmul<float>(const float*, const float*, const MatMulShape&, float*);
template void matmul<double>(const double*, const double*, const MatMulShape&, double*);
template void matmul<uint32_t>(const uint32_t*, const uint32_t*, const MatMulShape&, uint32_t*);
template void matmul<uint64_t>(const uint64_t*, const uint64_t*, const MatMulShape&, uint64_t*);

namespace {

// Bytes that multiply() packs: one panel, its sums, and the left side if transposed.
Result<void> reserve_packing(const Call& call, int64_t rows, int64_t depth, size_t size_bytes) {
  TRY(reserve(call, static_cast<uint64_t>(rows), kPanel * size_bytes));
  TRY(reserve(call, static_cast<uint64_t>(depth), kPanel * size_bytes));
  return ok();
}

// The calculating type of T: integers wrap, so they are multiplied as unsigned.
template <class T>
using Wrapping = std::conditional_t<std::is_same_v<T, int64_t>, uint64_t, T>;

template <class T>
const Wrapping<T>* elements(const Tensor& tensor) {
  return reinterpret_cast<const Wrapping<T>*>(tensor.data<T>().data());
}

template <class T>
void scale_and_add(const Gemm& op, const Tensor* c, Tensor& y) {
  const std::span<T> out = y.mutable_data<T>();
  if (op.alpha != 1.0) {
    for (T& value : out) value = static_cast<T>(static_cast<T>(op.alpha) * value);
  }
  if (c == nullptr) return;
  const std::array<std::vector<int64_t>, 1> strides = {broadcast_strides(c->shape(), y.shape())};
  const T* bias = c->data<T>().data();
  const T beta = static_cast<T>(op.beta);
  const int64_t length = y.shape().back(), step = strides[0].back();
  for_each_row<1>(y.shape(), strides, [&](int64_t start, const std::array<int64_t, 1>& at) {
    for (int64_t i = 0; i < length; ++i) {
      T& value = out[static_cast<size_t>(start + i)];
      const T added = bias[at[0] + i * step];
      if constexpr (std::is_integral_v<T>) {
        const auto sum = static_cast<uint64_t>(value) +
                         static_cast<uint64_t>(beta) * static_cast<uint64_t>(added);
        value = static_cast<T>(sum);
      } else {
        value += op.beta == 1.0 ? added : beta * added;
      }
    }
  });
}

}  // namespace

Result<Outputs> eval(const Gemm& op, const Call& call) {
  TRY(need(call, 2, 3));
  const Tensor& a = *call.input(0);
  const Tensor& b = *call.input(1);
  const Tensor* c = call.input(2);
  if (a.rank() != 2 || b.rank() != 2) {
    return invalid_input(
        "", "takes matrices, but got " + to_string(a.shape()) + " and " + to_string(b.shape()));
  }
  if (a.dtype() != b.dtype() || (c != nullptr && c->dtype() != a.dtype())) {
    return invalid_input("", "mixes dtypes");
  }
  const auto view = [](const Tensor& tensor, bool transpose) {
    const int64_t rows = tensor.shape()[0], columns = tensor.shape()[1];
    return transpose ? MatrixView{columns, rows, 1, columns}
                     : MatrixView{rows, columns, columns, 1};
  };
  const MatrixView a_view = view(a, op.transpose_a), b_view = view(b, op.transpose_b);
  if (a_view.columns != b_view.rows) {
    return invalid_input(
        "", "inner sizes of " + to_string(a.shape()) + " and " + to_string(b.shape()) + " differ");
  }
  const Shape shape = {a_view.rows, b_view.columns};
  if (c != nullptr) {
    TRY_ASSIGN(const Shape with_bias, broadcast(shape, c->shape()));
    if (with_bias != shape) {
      return invalid_input(
          "", "bias " + to_string(c->shape()) + " does not broadcast to " + to_string(shape));
    }
  }
  return with_compute_type(a.dtype(), [&]<class T>() -> Result<Outputs> {
    if (std::is_integral_v<T> && (op.alpha != std::floor(op.alpha) || std::abs(op.alpha) > 1e9 ||
                                  op.beta != std::floor(op.beta) || std::abs(op.beta) > 1e9)) {
      return unsupported("", "has fractional alpha or beta with integer matrices");
    }
    TRY(reserve_packing(call, a_view.rows, a_view.columns, sizeof(T)));
    if (op.transpose_a) TRY(reserve(call, a.size(), sizeof(T)));
    TRY_ASSIGN(Tensor y, allocate(call, a.dtype(), shape));
    multiply<Wrapping<T>>(elements<T>(a), a_view, elements<T>(b), b_view,
                          reinterpret_cast<Wrapping<T>*>(y.mutable_data<T>().data()));
    scale_and_add<T>(op, c, y);
    return one(std::move(y));
  });
}

Result<Outputs> eval(const MatMul&, const Call& call) {
  TRY(need(call, 2, 2));
  const Tensor& a = *call.input(0);
  const Tensor& b = *call.input(1);
  if (a.dtype() != b.dtype()) return invalid_input("", "mixes dtypes");
  TRY_ASSIGN(const MatMulShape shape, matmul_shape(a.shape(), b.shape()));
  return with_compute_type(a.dtype(), [&]<class T>() -> Result<Outputs> {
    const Shape& left = shape.a_full;
    TRY(reserve_packing(call, left[left.size() - 2], left.back(), sizeof(T)));
    TRY_ASSIGN(Tensor y, allocate(call, a.dtype(), shape.out));
    matmul<Wrapping<T>>(elements<T>(a), elements<T>(b), shape,
                        reinterpret_cast<Wrapping<T>*>(y.mutable_data<T>().data()));
    return one(std::move(y));
  });
}

}  // namespace graupel::ir::evaluator
