// Gemm and MatMul against triple loops in double, over all small sizes, transposes and broadcasts.
#include <cmath>

#include "ir/eval_testing.h"

namespace graupel::ir {
namespace {

double at(const Tensor& matrix, bool transposed, int64_t row, int64_t column) {
  const int64_t width = matrix.shape()[1];
  const int64_t index = transposed ? column * width + row : row * width + column;
  return static_cast<double>(matrix.data<float>()[static_cast<size_t>(index)]);
}

TEST(EvalMatMul, GemmEqualsTheTripleLoop) {
  Rng rng(21);
  for (const int64_t m : {1, 3, 5})
    for (const int64_t k : {1, 4, 7})
      for (const int64_t n : {1, 2, 16, 17})
        for (int flags = 0; flags < 4; ++flags)
          for (const Shape& bias_shape :
               {Shape{}, Shape{n}, Shape{m, 1}, Shape{1, n}, Shape{m, n}}) {
            Gemm op;
            op.transpose_a = (flags & 1) != 0;
            op.transpose_b = (flags & 2) != 0;
            op.alpha = 0.5;
            op.beta = -2.0;
            const Tensor a = random_floats(rng, op.transpose_a ? Shape{k, m} : Shape{m, k});
            const Tensor b = random_floats(rng, op.transpose_b ? Shape{n, k} : Shape{k, n});
            const Tensor c = random_floats(rng, bias_shape);
            std::vector<double> want;
            for (int64_t i = 0; i < m; ++i) {
              for (int64_t j = 0; j < n; ++j) {
                double sum = 0;
                for (int64_t t = 0; t < k; ++t) {
                  sum += at(a, op.transpose_a, i, t) * at(b, op.transpose_b, t, j);
                }
                const size_t rank = bias_shape.size();
                const int64_t rows = rank == 2 ? bias_shape[0] : 1;
                const int64_t columns = rank == 0 ? 1 : bias_shape[rank - 1];
                const int64_t index = (rows == 1 ? 0 : i) * columns + (columns == 1 ? 0 : j);
                const double bias = c.to_doubles()[static_cast<size_t>(index)];
                want.push_back(0.5 * sum - 2.0 * bias);
              }
            }
            expect_near(result_of(op, {&a, &b, &c}), want, 1e-5, to_string(bias_shape));
          }
}

// numpy.matmul: the batch of each side, broadcast.
TEST(EvalMatMul, StacksBroadcast) {
  struct Row {
    Shape a, b, out;
  };
  const Row rows[] = {{{3}, {3}, {}},
                      {{3}, {3, 2}, {2}},
                      {{2, 3}, {3}, {2}},
                      {{4, 2, 3}, {3, 5}, {4, 2, 5}},
                      {{4, 1, 2, 3}, {5, 3, 2}, {4, 5, 2, 2}},
                      {{2, 3}, {2, 3, 1}, {2, 2, 1}}};
  Rng rng(22);
  for (const Row& row : rows) {
    const Tensor a = random_floats(rng, row.a), b = random_floats(rng, row.b);
    const int64_t m = row.a.size() == 1 ? 1 : row.a[row.a.size() - 2], k = row.a.back();
    const int64_t n = row.b.size() == 1 ? 1 : row.b.back();
    const int64_t a_count = static_cast<int64_t>(a.size()) / (m * k);
    const int64_t b_count = static_cast<int64_t>(b.size()) / (k * n);
    // In the rows above, either one side has a single matrix, or the batch is [a_count, b_count].
    std::vector<double> want;
    for (int64_t p = 0; p < a_count; ++p)
      for (int64_t q = 0; q < b_count; ++q)
        for (int64_t i = 0; i < m; ++i)
          for (int64_t j = 0; j < n; ++j) {
            double sum = 0;
            for (int64_t t = 0; t < k; ++t) {
              sum += a.to_doubles()[static_cast<size_t>((p * m + i) * k + t)] *
                     b.to_doubles()[static_cast<size_t>((q * k + t) * n + j)];
            }
            want.push_back(sum);
          }
    const Tensor y = result_of(MatMul{}, {&a, &b});
    EXPECT_EQ(y.shape(), row.out);
    expect_near(y, want, 1e-5, to_string(row.a) + " * " + to_string(row.b));
  }
}

template <class T>
void expect_sums_in_order(int64_t rows) {
  Rng rng(23);
  Tensor a(dtype_of<T>(), {rows, 200}), b(dtype_of<T>(), {200, 33});
  for (Tensor* const each : {&a, &b}) {
    for (T& value : each->mutable_data<T>()) value = static_cast<T>(100 * rng.normal());
  }
  const Tensor y = result_of(MatMul{}, {&a, &b});
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < 33; ++j) {
      T sum = 0;
      for (int64_t k = 0; k < 200; ++k) {
        sum += a.data<T>()[static_cast<size_t>(i * 200 + k)] *
               b.data<T>()[static_cast<size_t>(k * 33 + j)];
      }
      ASSERT_EQ(y.data<T>()[static_cast<size_t>(i * 33 + j)], sum) << rows;
    }
  }
}

TEST(EvalMatMul, SumsRunInOrderWhateverTheSize) {
  for (const int64_t rows : {1, 2, 3, 4, 7, 8}) {
    expect_sums_in_order<float>(rows);
    expect_sums_in_order<double>(rows);
    expect_sums_in_order<int64_t>(rows);
  }
}

TEST(EvalMatMul, EmptyAndIllFittingOperands) {
  const Tensor a(DType::kFloat32, {2, 0}), b(DType::kFloat32, {0, 3}), c(DType::kFloat32, {2, 3});
  EXPECT_EQ(result_of(MatMul{}, {&a, &b}).to_doubles(), std::vector<double>(6, 0.0));
  EXPECT_TRUE(fails(MatMul{}, {&a, &c}));
  EXPECT_TRUE(fails(Gemm{}, {&a, &b, &b}));
  const Tensor scalar = Tensor::scalar(1.0f);
  EXPECT_TRUE(fails(MatMul{}, {&scalar, &scalar}));
}

}  // namespace
}  // namespace graupel::ir
