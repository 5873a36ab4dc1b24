// Quantising the shipped model from end to end, and what is refused.
#include "quantize/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "ir/eval.h"
#include "quantize/test_support.h"

namespace graupel::quantize {
namespace {

using ::testing::HasSubstr;

std::string error_of(const ir::Graph& graph, const Tensor& windows) {
  const Result<Quantized> result = quantize(graph, windows, {});
  EXPECT_FALSE(result.ok());
  return result.ok() ? "" : result.error().message();
}

TEST(Quantize, ShippedModelKeepsItsSignal) {
  const ir::Graph device = shipped_device();
  const Tensor windows = shipped_windows(64);
  for (const Scheme scheme : {Scheme::kSymmetric, Scheme::kAsymmetric}) {
    QuantizeOptions options;
    options.scheme = scheme;
    options.level = 0;
    options.sensitivity_windows = 4;
    const Result<Quantized> result = quantize(device, windows, options);
    ASSERT_TRUE(result.ok()) << result.error().message();
    ASSERT_FALSE(result->noise.empty());
    for (const LayerNoise& row : result->noise) {
      EXPECT_GT(row.snr_db, 25.0) << row.node;
      EXPECT_LT(row.snr_db, 100.0) << row.node << ": an exact layer was not measured";
      EXPECT_GE(row.snr_db, result->noise[0].snr_db);
    }
    EXPECT_EQ(result->graph.value(result->graph.outputs[0]).name,
              device.value(device.outputs[0]).name);
    const Result<Quantized> again = quantize(device, windows, options);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(onnx::format_model(again->graph).value(), onnx::format_model(result->graph).value());
  }
}

TEST(Quantize, IntegersAreWithinOneStepOfTheLiteralForm) {
  const ir::Graph device = shipped_device();
  const Tensor windows = shipped_windows(64);
  QuantizeOptions bytes_only;
  bytes_only.wide_ends = false;
  const Result<Quantized> result = quantize(device, windows, bytes_only);
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_EQ(ir::integer_group_heads(result->graph).size(), 5u);
  ir::EvalOptions integer;
  integer.qdq = ir::QdqMode::kInteger;
  const auto exact = ir::evaluate_windows(result->graph, windows);
  const auto found = ir::evaluate_windows(result->graph, windows, integer);
  ASSERT_TRUE(exact.ok() && found.ok());
  const auto a = (*exact)[0].to_doubles(), b = (*found)[0].to_doubles();
  size_t different = 0;
  for (size_t i = 0; i < a.size(); ++i) different += a[i] == b[i] ? 0 : 1;
  EXPECT_LE(different, a.size() / 100);
}

TEST(Quantize, MseClipsWhereTheRegionIsFlat) {
  const ir::Graph graph = body(R"(
    input x: float32[1x4]
    const w: float32[4x4] = [8, 0, 0, 0, 0, 8, 0, 0, 0, 0, 8, 0, 0, 0, 0, 8]
    gemm: Gemm(x, w) -> z
    tanh: Tanh(z) -> y
    output y)");
  const Tensor windows = random_tensor(4, {200, 4});
  const auto scale_of = [&](Calibrator calibrator) {
    QuantizeOptions options;
    options.calibrator = calibrator;
    options.wide_ends = false;
    const Result<Quantized> result = quantize(graph, windows, options);
    EXPECT_TRUE(result.ok());
    for (const Point& point : result->points) {
      if (point.value == "z") return point.scale;
    }
    return 0.0f;
  };
  EXPECT_GT(scale_of(Calibrator::kMinMax) * 127, 15.0f);
  EXPECT_LT(scale_of(Calibrator::kMse) * 127, 6.0f) << "tanh is 1 from there on";
  EXPECT_GT(scale_of(Calibrator::kMse) * 127, 1.5f);
}

TEST(Quantize, WindowsThatDoNotFitAreRefused) {
  const ir::Graph graph = body("input x: float32[1x2x3]\nrelu: Relu(x) -> y\noutput y");
  EXPECT_THAT(error_of(graph, random_tensor(1, {63, 2, 3})), HasSubstr("at least 64"));
  EXPECT_THAT(error_of(graph, random_tensor(1, {64, 3, 2})), HasSubstr("expected float32 Nx2x3"));
  EXPECT_THAT(error_of(graph, Tensor(DType::kFloat32, {})), HasSubstr("expected"));
  EXPECT_THAT(error_of(graph, Tensor(DType::kInt8, {64, 2, 3})), HasSubstr("int8"));
  Tensor broken = random_tensor(1, {64, 2, 3});
  broken.mutable_data<float>()[5] = NAN;
  EXPECT_THAT(error_of(graph, broken), HasSubstr("NaN"));
  EXPECT_THAT(error_of(body("input x: float32[2x3]\nrelu: Relu(x) -> y\noutput y"),
                       random_tensor(1, {64, 3})),
              HasSubstr("batch 1"));
  EXPECT_THAT(error_of(body("input x: float32[1x3]\ncast: Cast{to=float64}(x) -> y\noutput y"),
                       random_tensor(1, {64, 3})),
              HasSubstr("only float32"));
}

}  // namespace
}  // namespace graupel::quantize
