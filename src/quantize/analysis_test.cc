// Sensitivity, bounds and ties of sums, and odd layers, against plain arithmetic.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ir/eval.h"
#include "quantize/oddities.h"
#include "quantize/proofs.h"
#include "quantize/sensitivity.h"
#include "quantize/test_support.h"

namespace graupel::quantize {
namespace {

using ::testing::HasSubstr;

TEST(Sensitivity, DivergenceIsThatOfTheDefinition) {
  const Tensor p = Tensor::of<float>({1, 2}, {0.0f, 0.0f});
  const Tensor q = Tensor::of<float>({1, 2}, {std::log(3.0f), 0.0f});
  EXPECT_NEAR(mean_divergence(p, q), 0.5 * std::log(0.5 / 0.75) + 0.5 * std::log(0.5 / 0.25), 1e-6);
  EXPECT_EQ(mean_divergence(p, p), 0.0);
}

ir::Graph three_layers() {
  ir::Graph graph = body(R"(
    input x: float32[1x8]
    const a: float32[8x8] = splat 1
    const b: float32[8x8] = splat 1
    const c: float32[8x4] = splat 1
    first: Gemm(x, a) -> p
    relu: Relu(p) -> q
    second: Gemm(q, b) -> r
    relu2: Relu(r) -> s
    third: Gemm(s, c) -> y
    output y)");
  uint64_t seed = 4;
  for (const char* name : {"a", "b", "c"}) randomize(graph, name, ++seed);
  return graph;
}

TEST(Sensitivity, TheLayerWithFourBitsComesFirst) {
  const ir::Graph graph = three_layers();
  const Tensor windows = random_tensor(3, {64, 8});
  QuantizeOptions options;
  options.level = kRoundOnly;
  Result<Optimised> done = optimise(graph, windows, options);
  ASSERT_TRUE(done.ok());
  for (const Layer& layer : find_layers(done->graph, done->points)) {
    if (graph.node(layer.node).name != "second") continue;
    done->choices.weights[layer.node.index()] =
        round_weights(graph, layer, 0.1f, Bits::kFour, WeightRange::kMax).value();
  }
  const auto rows = measure_sensitivity(*done, windows, options);
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 4u) << "the input is one of them";
  const auto input = std::find_if(rows->begin(), rows->end(),
                                  [](const LayerSensitivity& row) { return row.type == "input"; });
  ASSERT_NE(input, rows->end());
  EXPECT_EQ(input->node, "x");
  EXPECT_GT(input->output_snr_db, 25.0);
  EXPECT_EQ(rows->front().node, "second");
  EXPECT_GT(rows->front().divergence_nats, 0.0);
  EXPECT_LT(rows->front().output_snr_db, rows->back().output_snr_db);
}

TEST(Proofs, NoInputExceedsTheBoundAndAWorstInputReachesIt) {
  const ir::Graph graph = three_layers();
  const Tensor windows = random_tensor(3, {64, 8});
  const Result<Quantized> result = quantize(graph, windows, {});
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->layers.size(), 3u);
  const auto codes = ir::find_value(result->graph, "first_weight_quantized");
  const auto bias = ir::find_value(result->graph, "first_bias_quantized");
  ASSERT_TRUE(codes);
  const std::vector<int64_t> w = result->graph.constant(*codes)->to_int64s();
  int64_t largest = 0;
  for (size_t m = 0; m < 8; ++m) {
    int64_t sum = bias ? std::abs(result->graph.constant(*bias)->to_int64s()[m]) : 0;
    for (size_t k = 0; k < 8; ++k) sum += 128 * std::abs(w[k * 8 + m]);
    largest = std::max(largest, sum);
  }
  EXPECT_EQ(result->layers[0].largest_sum, largest);
  EXPECT_LT(result->layers[0].largest_sum, int64_t{1} << 31);
  EXPECT_EQ(result->layers[0].sums, 16 * 8);
}

TEST(Proofs, TiesAreCounted) {
  // Scales of powers of two, so that sums lie on halves of the output's step often.
  const ir::Graph graph = body(R"(
    input x: float32[1x4]
    const w: float32[4x2] = [127, 127, 1, 3, 5, 7, 2, 9]
    gemm: Gemm(x, w) -> y
    output y)");
  QuantizeOptions options;
  options.level = kRoundOnly;
  options.given.tensors["x"] = {DType::kInt8, 1.0f, 0};
  options.given.tensors["y"] = {DType::kInt8, 2.0f, 0};
  options.given.layers["gemm"] = {8, {1.0f, 1.0f}};
  Tensor windows = random_tensor(6, {64, 4}, 3.0);
  const Result<Quantized> result = quantize(graph, windows, options);
  ASSERT_TRUE(result.ok()) << result.error().message();
  const LayerWeights& layer = result->layers.at(0);
  EXPECT_EQ(layer.sums, 16 * 2);
  EXPECT_GT(layer.ties, 4) << "odd sums are half of all";
  EXPECT_LT(layer.ties, 28);
}

std::string findings_text(const ir::Graph& graph, const Tensor& windows) {
  const Result<Quantized> result = quantize(graph, windows, {});
  EXPECT_TRUE(result.ok()) << result.error().message();
  std::string text;
  if (!result.ok()) return text;
  for (const LayerFinding& finding : result->findings) {
    EXPECT_FALSE(finding.remedy.empty());
    text += finding.node + " " + finding.what + "\n";
  }
  ir::EvalOptions integer;
  integer.qdq = ir::QdqMode::kInteger;
  const auto outputs = ir::evaluate_windows(result->graph, windows, integer);
  EXPECT_TRUE(outputs.ok());
  for (const double value : (*outputs)[0].to_doubles()) EXPECT_TRUE(std::isfinite(value));
  return text;
}

TEST(Oddities, DegenerateLayersStayFiniteAndAreReported) {
  ir::Graph graph = three_layers();
  graph.value(*ir::find_value(graph, "b")).constant = Tensor(DType::kFloat32, {8, 8});
  EXPECT_THAT(findings_text(graph, random_tensor(3, {64, 8})), HasSubstr("only zero weights"));

  graph = three_layers();
  Tensor huge = *graph.constant(*ir::find_value(graph, "b"));
  for (size_t k = 0; k < 8; ++k) huge.mutable_data<float>()[k * 8 + 3] *= 1e4f;
  graph.value(*ir::find_value(graph, "b")).constant = huge;
  EXPECT_THAT(findings_text(graph, random_tensor(3, {64, 8})), HasSubstr("times the median"));

  const ir::Graph dead = body(R"(
    input x: float32[1x4]
    const w: float32[4x3] = splat 0.1
    const b: float32[3] = [-100, -100, 1]
    const v: float32[3x2] = splat 1
    first: Gemm(x, w, b) -> p
    relu: Relu(p) -> q
    last: Gemm(q, v) -> y
    output y)");
  EXPECT_THAT(findings_text(dead, random_tensor(3, {64, 4})), HasSubstr("2 of 3 channels"));

  Tensor knocked = random_tensor(3, {512, 8}, 0.1);
  knocked.mutable_data<float>()[160] = 1000.0f;
  EXPECT_THAT(findings_text(three_layers(), knocked), HasSubstr("root mean square"));
}

TEST(Oddities, ConstantChannelsAndConstantWindowsQuantise) {
  Tensor windows = random_tensor(3, {64, 8});
  for (size_t i = 0; i < windows.size(); i += 8) windows.mutable_data<float>()[i] = 2.5f;
  findings_text(three_layers(), windows);
  Tensor same(DType::kFloat32, {64, 8});
  for (float& value : same.mutable_data<float>()) value = 1.0f;
  findings_text(three_layers(), same);
  findings_text(three_layers(), Tensor(DType::kFloat32, {64, 8}));
}

}  // namespace
}  // namespace graupel::quantize
