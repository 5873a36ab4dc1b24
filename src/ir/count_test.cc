// Multiply-adds against counts done by hand.
#include <gtest/gtest.h>

#include <limits>

#include "ir/graph.h"
#include "ir/testing.h"

namespace graupel::ir {
namespace {

int64_t count(std::string_view statements) {
  return multiply_adds(graph_of("graph g opset 17 ir 8 {" + std::string(statements) + "\n}"));
}

TEST(Count, MultiplyAddsPerOperator) {
  // 1x32x2x100 outputs, each 9 channels x 7 taps.
  EXPECT_EQ(count(R"(input x: float32[1x9x2x100]  const w: float32[32x9x1x7] = splat 1
                     n: Conv{pads=[0, 3, 0, 3]}(x, w) -> y)"),
            32 * 2 * 100 * 9 * 7);
  // Depthwise: one channel per group.
  EXPECT_EQ(count(R"(input x: float32[1x8x10]  const w: float32[8x1x3] = splat 1
                     n: Conv{group=8}(x, w) -> y)"),
            8 * 8 * 3);
  // Every input element meets 5 output channels x 3 taps.
  EXPECT_EQ(count(R"(input x: float32[1x4x10]  const w: float32[4x5x3] = splat 1
                     n: ConvTranspose{strides=[2]}(x, w) -> y)"),
            4 * 10 * 5 * 3);
  EXPECT_EQ(count(R"(input a: float32[3x4]  input b: float32[5x4]
                     n: Gemm{transB=1}(a, b) -> y)"),
            3 * 5 * 4);
  EXPECT_EQ(count(R"(input a: float32[4x3]  input b: float32[4x5]
                     n: Gemm{transA=1}(a, b) -> y)"),
            3 * 5 * 4);
  EXPECT_EQ(count("input a: float32[2x3x4] input b: float32[4x5] n: MatMul(a, b) -> y"),
            2 * 3 * 5 * 4);
  EXPECT_EQ(count("input a: float32[4] input b: float32[4] n: MatMul(a, b) -> y"), 4);
  EXPECT_EQ(count("input a: uint8[1x2x5] input w: uint8[3x2x2] n: ConvInteger(a, w) -> y"),
            3 * 4 * 2 * 2);
  EXPECT_EQ(count("input a: float32[2x3] n: Relu(a) -> y"), 0);
}

TEST(Count, SumsOverTheGraphAndSaturates) {
  const Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input a: float32[2x4]
    const w: float32[4x4] = splat 1
    const s: float32[4] = [1, 1, 1, 1]
    const q: int8[4] = [1, 1, 1, 1]
    m: MatMul(a, w) -> b
    n: MatMul(b, w) -> c
    p: Add(c, s) -> d
    output d
  })");
  EXPECT_EQ(multiply_adds(graph), 2 * 2 * 4 * 4);
  EXPECT_EQ(parameter_count(graph), 16 + 4);  // w once, though two nodes read it
  EXPECT_EQ(count(R"(input a: float32[1048576x1048576] input b: float32[1048576x1048576]
                     n: MatMul(a, b) -> c  m: MatMul(a, c) -> d  k: MatMul(a, d) -> e
                     j: MatMul(a, d) -> f  i: MatMul(a, d) -> g  h: MatMul(a, d) -> q
                     o: MatMul(a, d) -> r  l: MatMul(a, d) -> s)"),
            std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace graupel::ir
