// Conv against a literal loop, over all small kernels, strides, pads, dilations and groups; speed
// is printed by the benchmark, not here.
#include <gtest/gtest.h>

#include "base/rng.h"
#include "ir/eval.h"

namespace graupel::ir {
namespace {

Tensor random_tensor(Rng& rng, const Shape& shape) {
  Tensor tensor(DType::kFloat32, shape);
  for (float& value : tensor.mutable_data<float>()) value = static_cast<float>(rng.normal());
  return tensor;
}

// One output of a 2-D convolution, summed as documented: channel, row, column ascending, bias last.
float literal(const Tensor& x, const Tensor& w, float bias, int64_t group, int64_t m, int64_t oy,
              int64_t ox, int64_t stride, int64_t dilation, int64_t pad) {
  const Shape &xs = x.shape(), &ws = w.shape();
  const int64_t first = m / (ws[0] / group) * ws[1];
  float sum = 0;
  for (int64_t c = 0; c < ws[1]; ++c) {
    for (int64_t ky = 0; ky < ws[2]; ++ky) {
      for (int64_t kx = 0; kx < ws[3]; ++kx) {
        const int64_t iy = oy * stride + ky * dilation - pad;
        const int64_t ix = ox * stride + kx * dilation - pad;
        if (iy < 0 || ix < 0 || iy >= xs[2] || ix >= xs[3]) continue;
        const auto at = static_cast<size_t>(((first + c) * xs[2] + iy) * xs[3] + ix);
        const auto wat = static_cast<size_t>(((m * ws[1] + c) * ws[2] + ky) * ws[3] + kx);
        sum += w.data<float>()[wat] * x.data<float>()[at];
      }
    }
  }
  return sum + bias;
}

TEST(EvalConv, EqualsTheLiteralLoopBitForBit) {
  Rng rng(1);
  for (int64_t k = 1; k <= 3; ++k)
    for (int64_t stride = 1; stride <= 2; ++stride)
      for (int64_t dilation = 1; dilation <= 2; ++dilation)
        for (int64_t pad = 0; pad <= 2; ++pad)
          for (int64_t group : {1, 2, 4}) {
            const Tensor x = random_tensor(rng, {1, 4, 7, 9});
            const Tensor w = random_tensor(rng, {8, 4 / group, k, k});
            const Tensor b = random_tensor(rng, {8});
            Conv op;
            op.group = group;
            op.window = {{k, k}, {stride, stride}, {dilation, dilation}, {pad, pad, pad, pad}, {}};
            const Tensor* inputs[] = {&x, &w, &b};
            const auto y = evaluate_op(op, inputs, 1);
            ASSERT_TRUE(y.ok()) << y.error().message();
            const Shape& s = y.value()[0].shape();
            ASSERT_EQ(s[2], (7 + 2 * pad - dilation * (k - 1) - 1) / stride + 1);
            for (int64_t i = 0; i < s[1] * s[2] * s[3]; ++i) {
              const int64_t m = i / (s[2] * s[3]);
              ASSERT_EQ(y.value()[0].data<float>()[static_cast<size_t>(i)],
                        literal(x, w, b.data<float>()[static_cast<size_t>(m)], group, m,
                                i / s[3] % s[2], i % s[3], stride, dilation, pad));
            }
          }
}

TEST(EvalHostile, BadOperandsAreErrors) {
  const Tensor x(DType::kFloat32, {1, 4, 7, 9});
  const Tensor big = Tensor::of<int64_t>({2}, {int64_t{1} << 40, int64_t{1} << 40});
  const Tensor zero = Tensor::of<int32_t>({1}, {0}), seven = Tensor::of<int32_t>({1}, {7});
  const Tensor far = Tensor::of<int64_t>({1}, {9});
  const auto fails = [](const Op& op, std::vector<const Tensor*> inputs) {
    return !evaluate_op(op, inputs, 1).ok();
  };
  EXPECT_TRUE(fails(ConstantOfShape{}, {&big}));
  EXPECT_TRUE(fails(Binary{BinaryKind::kDiv}, {&seven, &zero}));
  EXPECT_TRUE(fails(Binary{BinaryKind::kMod}, {&seven, &zero}));
  EXPECT_TRUE(fails(Softmax{SoftmaxKind::kSoftmax, 7}, {&x}));
  EXPECT_TRUE(fails(Gather{0}, {&x, &far}));
  EXPECT_TRUE(fails(Conv{}, {&x}));
  EXPECT_TRUE(fails(Conv{}, {&x, &zero}));
  EXPECT_TRUE(fails(Opaque{"", "LSTM", 14, "", false}, {&x}));
  MaxPool pool;
  pool.window.kernel = {int64_t{1} << 62, 1};
  EXPECT_TRUE(fails(pool, {&x}));
  const Tensor low = Tensor::of<int32_t>({1}, {INT32_MIN}), minus = Tensor::of<int32_t>({1}, {-1});
  const Tensor* pair[] = {&low, &minus};
  EXPECT_EQ(evaluate_op(Binary{BinaryKind::kDiv}, pair, 1).value()[0].data<int32_t>()[0],
            INT32_MIN);
}

}  // namespace
}  // namespace graupel::ir
