// The QDQ graph: standard ONNX, weights and biases within half a step, layers of every layout.
#include "quantize/build_qdq.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "quantize/test_support.h"

namespace graupel::quantize {
namespace {

using ::testing::HasSubstr;

Result<Qdq> built(const ir::Graph& graph) {
  Choices choices;
  choices.scales.assign(graph.values.size(), {DType::kInt8, 0.05f, 0});
  return build_qdq(graph, find_points(graph), choices);
}

Tensor constant(const ir::Graph& graph, const std::string& name) {
  const std::optional<ir::ValueId> id = ir::find_value(graph, name);
  EXPECT_TRUE(id && graph.constant(*id) != nullptr) << name;
  return id && graph.constant(*id) != nullptr ? *graph.constant(*id) : Tensor();
}

// Every dequantised weight within half a step of the float one; one scale per entry of `axis`.
void expect_weights(const ir::Graph& graph, const ir::Graph& qdq, const std::string& weight,
                    const std::string& node, size_t axis) {
  const Tensor exact = constant(graph, weight);
  const std::vector<double> w = exact.to_doubles();
  const std::vector<int64_t> q = constant(qdq, node + "_weight_quantized").to_int64s();
  const std::vector<double> s = constant(qdq, node + "_weight_scale").to_doubles();
  ASSERT_EQ(static_cast<int64_t>(s.size()), exact.shape()[axis]);
  size_t stride = 1;
  for (size_t i = axis + 1; i < exact.rank(); ++i) {
    stride *= static_cast<size_t>(exact.shape()[i]);
  }
  for (size_t i = 0; i < w.size(); ++i) {
    const double scale = s[i / stride % s.size()];
    EXPECT_LE(std::abs(w[i] - static_cast<double>(q[i]) * scale), 0.5001 * scale);
    EXPECT_LE(std::abs(q[i]), 127);
  }
}

TEST(BuildQdq, LayersOfEveryLayoutAreStandardOnnx) {
  ir::Graph graph = body(R"(
    input x: float32[1x2x4x4]
    const w: float32[4x2x3x3] = splat 1
    const depth: float32[4x1x1x1] = splat 1
    const up: float32[4x3x2x2] = splat 1
    const g: float32[12x5] = splat 1
    const h: float32[3x5] = splat 1
    const m: float32[3x2] = splat 1
    const b: float32[4] = [1, -2, 0.5, 0]
    const c: float32[5] = splat 1
    const one: float32[] = [0.5]
    conv: Conv(x, w, b) -> a
    relu: Relu(a) -> r
    depthwise: Conv{group=4}(r, depth) -> d
    transposed: ConvTranspose(d, up) -> t
    pool: AveragePool{kernel_shape=[2, 2]}(t) -> p0
    cut: MaxPool{kernel_shape=[2, 2], strides=[2, 2]}(p0) -> p
    flat: Flatten(p) -> f
    const lift: float32[3x12] = splat 1
    up12: MatMul(f, lift) -> f12
    gemm: Gemm(f12, g, c) -> e
    turned: Gemm{transB=1}(e, h, one) -> y
    matmul: MatMul(y, m) -> z
    output z
    output r)");
  for (const char* name : {"w", "depth", "up", "g", "h", "m", "c", "lift"}) {
    randomize(graph, name, 3);
  }
  const Result<Qdq> qdq = built(graph);
  ASSERT_TRUE(qdq.ok()) << qdq.error().message();
  expect_weights(graph, qdq->graph, "w", "conv", 0);
  expect_weights(graph, qdq->graph, "depth", "depthwise", 0);
  expect_weights(graph, qdq->graph, "up", "transposed", 1);
  expect_weights(graph, qdq->graph, "g", "gemm", 1);
  expect_weights(graph, qdq->graph, "h", "turned", 0);
  expect_weights(graph, qdq->graph, "m", "matmul", 1);
  const Tensor bias = constant(qdq->graph, "conv_bias_quantized");
  EXPECT_EQ(bias.dtype(), DType::kInt32);
  const std::vector<double> w_scale = constant(qdq->graph, "conv_weight_scale").to_doubles();
  const std::vector<double> exact = constant(graph, "b").to_doubles();
  for (size_t i = 0; i < exact.size(); ++i) {
    const double step = 0.05f * w_scale[i];
    EXPECT_NEAR(static_cast<double>(bias.to_int64s()[i]) * step, exact[i], 0.51 * step);
  }
  EXPECT_EQ(constant(qdq->graph, "turned_bias_quantized").size(), 3u) << "one number for all";
  ASSERT_EQ(qdq->graph.outputs.size(), 2u);
  EXPECT_EQ(qdq->graph.value(qdq->graph.outputs[0]).name, "z");
  EXPECT_EQ(qdq->graph.value(qdq->graph.outputs[1]).name, "r");
  for (const int64_t opset : {13, 17}) {
    const Result<std::string> bytes = onnx::format_model(qdq->graph, {opset, 8, "graupel"});
    ASSERT_TRUE(bytes.ok()) << bytes.error().message();
    const Result<ir::Graph> back = onnx::parse_model(*bytes);
    EXPECT_TRUE(back.ok()) << back.error().message();
  }
}

TEST(BuildQdq, SharedWeightsGetAConstantPerReader) {
  const ir::Graph two = body(R"(
    input x: float32[1x2x4x4]
    const w: float32[2x2x1x1] = [1, 2, 3, 4]
    const b: float32[2] = [1, 2]
    first: Conv(x, w, b) -> a
    second: Conv(a, w, b) -> y
    output y)");
  Choices two_scales;
  two_scales.scales.assign(two.values.size(), {DType::kInt8, 0.05f, 0});
  two_scales.scales[ir::find_value(two, "a")->index()].scale = 0.1f;
  const Result<Qdq> qdq = build_qdq(two, find_points(two), two_scales);
  ASSERT_TRUE(qdq.ok()) << qdq.error().message();
  const auto first = constant(qdq->graph, "first_bias_quantized").to_int64s();
  const auto second = constant(qdq->graph, "second_bias_quantized").to_int64s();
  EXPECT_NEAR(static_cast<double>(first[1]), 2.0 * static_cast<double>(second[1]), 1.0);
}

TEST(BuildQdq, ABiasPerRowStaysInFloat) {
  const ir::Graph graph = body(R"(
    input x: float32[3x2]
    const w: float32[2x2] = [1, 2, 3, 4]
    const c: float32[3x1] = [10, 20, 30]
    gemm: Gemm(x, w, c) -> y
    output y)");
  const Result<Qdq> qdq = built(graph);
  ASSERT_TRUE(qdq.ok()) << qdq.error().message();
  EXPECT_FALSE(ir::find_value(qdq->graph, "gemm_bias_quantized"));
  EXPECT_TRUE(ir::find_value(qdq->graph, "c"));
}

TEST(BuildQdq, HugeBiasesFitAndBrokenWeightsAreNamed) {
  const auto graph = [](const std::string& weight) {
    return body(R"(
    input x: float32[1x1x2x2]
    const w: float32[1x1x1x1] = [)" +
                weight + R"(]
    const b: float32[1] = [1000]
    conv: Conv(x, w, b) -> y
    output y)");
  };
  const Result<Qdq> huge = built(graph("1e-9"));
  ASSERT_TRUE(huge.ok()) << huge.error().message();
  EXPECT_LE(constant(huge->graph, "conv_bias_quantized").to_int64s()[0], (1 << 30) + 1000);
  ir::Graph broken = graph("1");
  broken.value(*ir::find_value(broken, "w")).constant =
      Tensor::of<float>({1, 1, 1, 1}, {std::nanf("")});
  const Result<Qdq> refused = built(broken);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("conv"));
}

}  // namespace
}  // namespace graupel::quantize
