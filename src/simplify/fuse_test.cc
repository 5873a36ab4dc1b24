// Passes that put one operator into another: before and after, and what must not change.
#include "simplify/test_support.h"

namespace graupel::simplify {
namespace {

// s = scale / sqrt(variance + epsilon) = [2, 4], t = bias - mean s = [-1, -7].
const std::string kNorm = R"(
  const scale: float32[2] = [2, 4]
  const bias: float32[2] = [1, 1]
  const mean: float32[2] = [1, 2]
  const variance: float32[2] = [0.75, 0.75])";

TEST(FuseBatchNorm, BehindLinearOperators) {
  expect_rows(fuse_batch_norm, {{"conv without bias", kNorm + R"(
  input x: float32[1x1x3x3]
  const w: float32[2x1x1x2] = [1, 2, 3, 4]
  c: Conv{kernel_shape=[1, 2]}(x, w) -> a
  n: BatchNormalization{epsilon=0.25}(a, scale, bias, mean, variance) -> y
  output y)",
                                 R"(
  input x: float32[1x1x3x3]
  const w: float32[2x1x1x2] = [2, 4, 12, 16]
  const c.bias: float32[2] = [-1, -7]
  c: Conv{kernel_shape=[1, 2]}(x, w, c.bias) -> y
  output y)"},
                                {"grouped conv with bias and padding", kNorm + R"(
  input x: float32[1x2x3x3]
  const w: float32[2x1x1x2] = [1, 2, 3, 4]
  const b: float32[2] = [1, 1]
  c: Conv{kernel_shape=[1, 2], pads=[0, 1, 0, 1], group=2}(x, w, b) -> a
  n: BatchNormalization{epsilon=0.25}(a, scale, bias, mean, variance) -> y
  output y)",
                                 R"(
  input x: float32[1x2x3x3]
  const w: float32[2x1x1x2] = [2, 4, 12, 16]
  const b: float32[2] = [1, -3]
  c: Conv{kernel_shape=[1, 2], pads=[0, 1, 0, 1], group=2}(x, w, b) -> y
  output y)"},
                                {"transposed conv", kNorm + R"(
  input x: float32[1x2x3x3]
  const w: float32[2x2x1x1] = [1, 2, 3, 4]
  c: ConvTranspose{kernel_shape=[1, 1]}(x, w) -> a
  n: BatchNormalization{epsilon=0.25}(a, scale, bias, mean, variance) -> y
  output y)",
                                 R"(
  input x: float32[1x2x3x3]
  const w: float32[2x2x1x1] = [2, 8, 6, 16]
  const c.bias: float32[2] = [-1, -7]
  c: ConvTranspose{kernel_shape=[1, 1]}(x, w, c.bias) -> y
  output y)"},
                                {"grouped transposed conv", kNorm + R"(
  input x: float32[1x2x3x3]
  const w: float32[2x1x1x1] = [1, 2]
  c: ConvTranspose{kernel_shape=[1, 1], group=2}(x, w) -> a
  n: BatchNormalization{epsilon=0.25}(a, scale, bias, mean, variance) -> y
  output y)",
                                 R"(
  input x: float32[1x2x3x3]
  const w: float32[2x1x1x1] = [2, 8]
  const c.bias: float32[2] = [-1, -7]
  c: ConvTranspose{kernel_shape=[1, 1], group=2}(x, w, c.bias) -> y
  output y)"},
                                {"gemm with transposed weights, alpha and beta", kNorm + R"(
  input x: float32[3x2]
  const w: float32[2x2] = [1, 2, 3, 4]
  const b: float32[2] = [2, 2]
  c: Gemm{alpha=0.5, beta=0.5, transB=1}(x, w, b) -> a
  n: BatchNormalization{epsilon=0.25}(a, scale, bias, mean, variance) -> y
  output y)",
                                 R"(
  input x: float32[3x2]
  const w: float32[2x2] = [2, 4, 12, 16]
  const b: float32[2] = [1, -3]
  c: Gemm{alpha=0.5, transB=1}(x, w, b) -> y
  output y)"},
                                {"matmul becomes gemm", kNorm + R"(
  input x: float32[3x2]
  const w: float32[2x2] = [1, 2, 3, 4]
  c: MatMul(x, w) -> a
  n: BatchNormalization{epsilon=0.25}(a, scale, bias, mean, variance) -> y
  output y)",
                                 R"(
  input x: float32[3x2]
  const w: float32[2x2] = [2, 8, 6, 16]
  const c.bias: float32[2] = [-1, -7]
  c: Gemm(x, w, c.bias) -> y
  output y)"}});
}

TEST(FuseBatchNorm, SharedWeightsAreCopied) {
  expect_row(fuse_batch_norm, {"shared weight and bias", kNorm + R"(
  input x: float32[1x1x3x3]
  const w: float32[2x1x1x1] = [1, 2]
  const b: float32[2] = [1, 1]
  c: Conv{kernel_shape=[1, 1]}(x, w, b) -> a
  n: BatchNormalization{epsilon=0.25}(a, scale, bias, mean, variance) -> y
  d: Conv{kernel_shape=[1, 1]}(x, w, b) -> z
  output y
  output z)",
                               R"(
  input x: float32[1x1x3x3]
  const w: float32[2x1x1x1] = [1, 2]
  const b: float32[2] = [1, 1]
  const w_1: float32[2x1x1x1] = [2, 8]
  const b_1: float32[2] = [1, -3]
  c: Conv{kernel_shape=[1, 1]}(x, w_1, b_1) -> y
  d: Conv{kernel_shape=[1, 1]}(x, w, b) -> z
  output y
  output z)"});
}

TEST(FuseBatchNorm, Declines) {
  expect_rows(fuse_batch_norm, {{"the value between has another reader", kNorm + R"(
  input x: float32[1x1x3x3]
  const w: float32[2x1x1x1] = [1, 2]
  c: Conv{kernel_shape=[1, 1]}(x, w) -> a
  n: BatchNormalization{epsilon=0.25}(a, scale, bias, mean, variance) -> y
  r: Relu(a) -> z
  output y
  output z)",
                                 ""},
                                {"the value between is a graph output", kNorm + R"(
  input x: float32[1x1x3x3]
  const w: float32[2x1x1x1] = [1, 2]
  c: Conv{kernel_shape=[1, 1]}(x, w) -> a
  n: BatchNormalization{epsilon=0.25}(a, scale, bias, mean, variance) -> y
  output a
  output y)",
                                 ""},
                                {"weights are computed", kNorm + R"(
  input x: float32[1x1x3x3]
  input w: float32[2x1x1x1]
  c: Conv{kernel_shape=[1, 1]}(x, w) -> a
  n: BatchNormalization{epsilon=0.25}(a, scale, bias, mean, variance) -> y
  output y)",
                                 ""},
                                {"statistics are computed", R"(
  input x: float32[1x1x3x3]
  input p: float32[2]
  const v: float32[2] = [1, 1]
  const w: float32[2x1x1x1] = [1, 2]
  c: Conv{kernel_shape=[1, 1]}(x, w) -> a
  n: BatchNormalization(a, p, p, p, v) -> y
  output y)",
                                 ""},
                                {"folding would overflow", R"(
  input x: float32[1x1x3x3]
  const s: float32[2] = [1e38, 1e38]
  const v: float32[2] = [1, 1]
  const w: float32[2x1x1x1] = [1e-30, 100]
  c: Conv{kernel_shape=[1, 1]}(x, w) -> a
  n: BatchNormalization{epsilon=0}(a, s, v, v, v) -> y
  k: Sign(y) -> z
  output z)",
                                 ""}});
}

TEST(FuseBatchNorm, TrainingFormStays) {
  const ir::Graph before = parsed(kNorm + R"(
  input x: float32[1x1x3x3]
  const w: float32[2x1x1x1] = [1, 2]
  c: Conv{kernel_shape=[1, 1]}(x, w) -> a
  n: BatchNormalization{training_mode=1}(a, scale, bias, mean, variance) -> y, m, v
  output y)");
  PassLog log;
  Result<ir::Graph> after = fuse_batch_norm(before, log);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(log.edits, 0);
}

TEST(FuseBatchNormBefore, OnlyWhereNoPaddingEnters) {
  expect_rows(fuse_batch_norm_before, {{"conv", kNorm + R"(
  input x: float32[1x2x3x3]
  const w: float32[1x2x1x2] = [1, 2, 3, 4]
  n: BatchNormalization{epsilon=0.25}(x, scale, bias, mean, variance) -> a
  c: Conv{kernel_shape=[1, 2]}(a, w) -> y
  output y)",
                                        R"(
  input x: float32[1x2x3x3]
  const w: float32[1x2x1x2] = [2, 4, 12, 16]
  const c.bias: float32[1] = [-52]
  c: Conv{kernel_shape=[1, 2]}(x, w, c.bias) -> y
  output y)"},
                                       {"gemm", kNorm + R"(
  input x: float32[3x2]
  const w: float32[2x1] = [1, 3]
  const b: float32[1] = [10]
  n: BatchNormalization{epsilon=0.25}(x, scale, bias, mean, variance) -> a
  c: Gemm(a, w, b) -> y
  output y)",
                                        R"(
  input x: float32[3x2]
  const w: float32[2x1] = [2, 12]
  const b: float32[1] = [-12]
  c: Gemm(x, w, b) -> y
  output y)"},
                                       {"padded conv", kNorm + R"(
  input x: float32[1x2x3x3]
  const w: float32[1x2x1x2] = [1, 2, 3, 4]
  n: BatchNormalization{epsilon=0.25}(x, scale, bias, mean, variance) -> a
  c: Conv{kernel_shape=[1, 2], pads=[0, 1, 0, 0]}(a, w) -> y
  output y)",
                                        ""},
                                       {"transposed conv", kNorm + R"(
  input x: float32[1x2x3x3]
  const w: float32[2x1x1x2] = [1, 2, 3, 4]
  n: BatchNormalization{epsilon=0.25}(x, scale, bias, mean, variance) -> a
  c: ConvTranspose{kernel_shape=[1, 2]}(a, w) -> y
  output y)",
                                        ""},
                                       {"gemm of the transposed", kNorm + R"(
  input x: float32[2x2]
  const w: float32[2x1] = [1, 3]
  n: BatchNormalization{epsilon=0.25}(x, scale, bias, mean, variance) -> a
  c: Gemm{transA=1}(a, w) -> y
  output y)",
                                        ""}});
}

TEST(FuseArithmetic, BehindLinearOperators) {
  expect_rows(fuse_arithmetic, {{"mul, add, sub, div in a row", R"(
  input x: float32[1x1x3x3]
  const w: float32[2x1x1x1] = [1, 2]
  const s: float32[1x2x1x1] = [2, 4]
  const t: float32[2x1x1] = [1, 3]
  const u: float32[] = [1]
  const v: float32[1] = [2]
  c: Conv{kernel_shape=[1, 1]}(x, w) -> a
  m: Mul(s, a) -> b
  p: Add(b, t) -> d
  q: Sub(u, d) -> e
  r: Div(e, v) -> y
  output y)",
                                 R"(
  input x: float32[1x1x3x3]
  const w: float32[2x1x1x1] = [-1, -4]
  const c.bias: float32[2] = [0, -1]
  c: Conv{kernel_shape=[1, 1]}(x, w, c.bias) -> y
  output y)"},
                                {"matmul of rank 3 takes factors", R"(
  input x: float32[2x3x2]
  const w: float32[2x2] = [1, 2, 3, 4]
  const s: float32[2] = [2, 4]
  c: MatMul(x, w) -> a
  m: Mul(a, s) -> y
  output y)",
                                 R"(
  input x: float32[2x3x2]
  const w: float32[2x2] = [2, 8, 6, 16]
  c: MatMul(x, w) -> y
  output y)"},
                                {"matmul of rank 3 takes no addend", R"(
  input x: float32[2x3x2]
  const w: float32[2x2] = [1, 2, 3, 4]
  const s: float32[2] = [2, 4]
  c: MatMul(x, w) -> a
  m: Add(a, s) -> y
  output y)",
                                 ""},
                                {"varies along the width", R"(
  input x: float32[1x1x2x2]
  const w: float32[2x1x1x1] = [1, 2]
  const s: float32[2] = [2, 4]
  c: Conv{kernel_shape=[1, 1]}(x, w) -> a
  m: Mul(a, s) -> y
  output y)",
                                 ""},
                                {"enlarges the shape", R"(
  input x: float32[1x1x1x1]
  const w: float32[1x1x1x1] = [2]
  const s: float32[1x2x1x1] = [2, 4]
  c: Conv{kernel_shape=[1, 1]}(x, w) -> a
  m: Mul(a, s) -> y
  output y)",
                                 ""},
                                {"divides by zero", R"(
  input x: float32[1x1x2x2]
  const w: float32[2x1x1x1] = [1, 2]
  const s: float32[2x1x1] = [2, 0]
  c: Conv{kernel_shape=[1, 1]}(x, w) -> a
  m: Div(a, s) -> b
  r: Sign(b) -> y
  output y)",
                                 ""},
                                {"divides by the convolution", R"(
  input x: float32[1x1x2x2]
  const w: float32[1x1x1x1] = [2]
  const b: float32[1] = [100]
  const s: float32[] = [2]
  c: Conv{kernel_shape=[1, 1]}(x, w, b) -> a
  m: Div(s, a) -> y
  output y)",
                                 ""}});
}

TEST(FuseArithmetic, InFront) {
  expect_rows(fuse_arithmetic_before, {{"factor in front of a padded conv", R"(
  input x: float32[1x2x3x3]
  const s: float32[2x1x1] = [2, 4]
  const w: float32[1x2x1x2] = [1, 2, 3, 4]
  m: Mul(x, s) -> a
  c: Conv{kernel_shape=[1, 2], pads=[0, 1, 0, 1]}(a, w) -> y
  output y)",
                                        R"(
  input x: float32[1x2x3x3]
  const w: float32[1x2x1x2] = [2, 4, 12, 16]
  c: Conv{kernel_shape=[1, 2], pads=[0, 1, 0, 1]}(x, w) -> y
  output y)"},
                                       {"addend in front of a padded conv", R"(
  input x: float32[1x2x3x3]
  const s: float32[2x1x1] = [2, 4]
  const w: float32[1x2x1x2] = [1, 2, 3, 4]
  m: Add(x, s) -> a
  c: Conv{kernel_shape=[1, 2], pads=[0, 1, 0, 1]}(a, w) -> y
  output y)",
                                        ""},
                                       {"factor in front of grouped transposed conv", R"(
  input x: float32[1x2x2x2]
  const s: float32[2x1x1] = [2, 4]
  const w: float32[2x1x1x2] = [1, 2, 3, 4]
  m: Mul(x, s) -> a
  c: ConvTranspose{kernel_shape=[1, 2], group=2}(a, w) -> y
  output y)",
                                        R"(
  input x: float32[1x2x2x2]
  const w: float32[2x1x1x2] = [2, 4, 12, 16]
  c: ConvTranspose{kernel_shape=[1, 2], group=2}(x, w) -> y
  output y)"}});
}

TEST(FuseGemm, MatMulAdd) {
  expect_rows(matmul_add_to_gemm, {{"bias first", R"(
  input x: float32[3x2]
  const w: float32[2x2] = [1, 2, 3, 4]
  const b: float32[2] = [1, 2]
  m: MatMul(x, w) -> a
  p: Add(b, a) -> y
  output y)",
                                    R"(
  input x: float32[3x2]
  const w: float32[2x2] = [1, 2, 3, 4]
  const b: float32[2] = [1, 2]
  m: Gemm(x, w, b) -> y
  output y)"},
                                   {"rank 3", R"(
  input x: float32[1x3x2]
  const w: float32[2x2] = [1, 2, 3, 4]
  const b: float32[2] = [1, 2]
  m: MatMul(x, w) -> a
  p: Add(b, a) -> y
  output y)",
                                    ""},
                                   {"the addend enlarges", R"(
  input x: float32[1x2]
  const w: float32[2x2] = [1, 2, 3, 4]
  const b: float32[2x2] = [1, 2, 3, 4]
  m: MatMul(x, w) -> a
  p: Add(b, a) -> y
  output y)",
                                    ""}});
}

TEST(FuseGemm, TransposesAndFactors) {
  expect_row(transpose_into_gemm, {"both sides", R"(
  input x: float32[2x3]
  input w: float32[4x2]
  t: Transpose{perm=[1, 0]}(x) -> a
  u: Transpose{perm=[1, 0]}(w) -> b
  h: Gemm(a, b) -> y
  output y)",
                                   R"(
  input x: float32[2x3]
  input w: float32[4x2]
  h: Gemm{transA=1, transB=1}(x, w) -> y
  output y)"});
  expect_row(normalize_gemm, {"alpha and beta", R"(
  input x: float32[3x2]
  const w: float32[2x2] = [1, 2, 3, 4]
  const b: float32[2] = [1, 2]
  g: Gemm{alpha=2, beta=3}(x, w, b) -> y
  output y)",
                              R"(
  input x: float32[3x2]
  const w: float32[2x2] = [2, 4, 6, 8]
  const b: float32[2] = [3, 6]
  g: Gemm(x, w, b) -> y
  output y)"});
}

const std::string kPad = R"(
  input x: float32[1x1x4x4]
  const p: int64[8] = [0, 0, 1, 0, 0, 0, 0, 1])";

TEST(FusePad, IntoWindows) {
  expect_rows(fuse_pad, {{"conv with pads of its own", kPad + R"(
  const w: float32[1x1x2x2] = [1, 2, 3, 4]
  q: Pad(x, p) -> a
  c: Conv{kernel_shape=[2, 2], pads=[0, 1, 1, 0]}(a, w) -> y
  output y)",
                          R"(
  input x: float32[1x1x4x4]
  const w: float32[1x1x2x2] = [1, 2, 3, 4]
  c: Conv{kernel_shape=[2, 2], pads=[1, 1, 1, 1]}(x, w) -> y
  output y)"},
                         {"average pool counts the padding", kPad + R"(
  q: Pad(x, p) -> a
  c: AveragePool{kernel_shape=[2, 2]}(a) -> y
  output y)",
                          R"(
  input x: float32[1x1x4x4]
  c: AveragePool{kernel_shape=[2, 2], pads=[1, 0, 0, 1], count_include_pad=1}(x) -> y
  output y)"},
                         {"average pool that does not count its own padding", kPad + R"(
  q: Pad(x, p) -> a
  c: AveragePool{kernel_shape=[2, 2], pads=[0, 1, 0, 0]}(a) -> y
  output y)",
                          ""},
                         {"max pool behind relu", kPad + R"(
  r: Relu(x) -> z
  q: Pad(z, p) -> a
  c: MaxPool{kernel_shape=[2, 2]}(a) -> y
  output y)",
                          R"(
  input x: float32[1x1x4x4]
  r: Relu(x) -> z
  c: MaxPool{kernel_shape=[2, 2], pads=[1, 0, 0, 1]}(z) -> y
  output y)"},
                         {"max pool padded with -inf", kPad + R"(
  const v: float32[] = hex:000080ff
  q: Pad(x, p, v) -> a
  c: MaxPool{kernel_shape=[2, 2]}(a) -> y
  output y)",
                          R"(
  input x: float32[1x1x4x4]
  c: MaxPool{kernel_shape=[2, 2], pads=[1, 0, 0, 1]}(x) -> y
  output y)"},
                         {"max pool of values that may be negative", kPad + R"(
  q: Pad(x, p) -> a
  c: MaxPool{kernel_shape=[2, 2]}(a) -> y
  output y)",
                          ""},
                         {"padding as large as the pool's kernel", kPad + R"(
  q: Pad(x, p) -> a
  c: AveragePool{kernel_shape=[1, 2]}(a) -> y
  output y)",
                          ""},
                         {"padding with one", kPad + R"(
  const v: float32[] = [1]
  const w: float32[1x1x2x2] = [1, 2, 3, 4]
  q: Pad(x, p, v) -> a
  c: Conv{kernel_shape=[2, 2]}(a, w) -> y
  output y)",
                          ""},
                         {"padding channels", R"(
  input x: float32[1x1x4x4]
  const p: int64[8] = [0, 1, 0, 0, 0, 0, 0, 0]
  const w: float32[1x2x2x2] = [1, 2, 3, 4, 5, 6, 7, 8]
  q: Pad(x, p) -> a
  c: Conv{kernel_shape=[2, 2]}(a, w) -> y
  output y)",
                          ""}});
}

TEST(GlobalPool, MeansAndWindows) {
  expect_rows(reduce_to_global_pool, {{"mean with negative axes", R"(
  input x: float32[1x2x3x4]
  const axes: int64[2] = [-1, 2]
  m: ReduceMean(x, axes) -> y
  output y)",
                                       R"(
  input x: float32[1x2x3x4]
  m: GlobalAveragePool(x) -> y
  output y)"},
                                      {"maximum without kept axes", R"(
  input x: float32[1x2x3x4]
  const axes: int64[2] = [2, 3]
  m: ReduceMax{keepdims=0}(x, axes) -> y
  output y)",
                                       R"(
  input x: float32[1x2x3x4]
  m.pool: GlobalMaxPool(x) -> m.pool_output_0
  m: Flatten(m.pool_output_0) -> y
  output y)"},
                                      {"only the width", R"(
  input x: float32[1x2x3x4]
  const axes: int64[1] = [3]
  m: ReduceMean(x, axes) -> y
  output y)",
                                       ""},
                                      {"channels too", R"(
  input x: float32[1x2x3x4]
  const axes: int64[3] = [1, 2, 3]
  m: ReduceMean(x, axes) -> y
  output y)",
                                       ""},
                                      {"one window", R"(
  input x: float32[1x2x3x4]
  m: AveragePool{kernel_shape=[3, 4], strides=[3, 4]}(x) -> y
  output y)",
                                       R"(
  input x: float32[1x2x3x4]
  m: GlobalAveragePool(x) -> y
  output y)"},
                                      {"a smaller window", R"(
  input x: float32[1x2x3x4]
  m: MaxPool{kernel_shape=[3, 3]}(x) -> y
  output y)",
                                       ""}});
}

}  // namespace
}  // namespace graupel::simplify
