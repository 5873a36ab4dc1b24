// Networks quantised elsewhere: ONNX Runtime's, our own exports, and what is refused.
#include "quantize/lift_qdq.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "data/npy.h"
#include "ir/eval.h"
#include "quantize/test_nets.h"
#include "quantize/test_support.h"

namespace graupel::quantize {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kFixtures = GRAUPEL_SOURCE_DIR "/tests/data/qdq/";

QuantizeOptions with(const Encodings& given) {
  QuantizeOptions options;
  options.given = given;
  options.noise_windows = 1;
  options.sensitivity_windows = 0;
  return options;
}

// Made by tests/onnxruntime/make_qdq.py: ONNX Runtime 1.32 quantised, and answered.
TEST(LiftQdq, OnnxRuntimesNetworksAnswerAsThere) {
  for (const std::string name : {"ort_int8", "ort_uint8"}) {
    const Result<ir::Graph> read = onnx::read_model(kFixtures + name + ".onnx");
    const Result<Tensor> windows = data::read_npy(kFixtures + name + ".input.npy");
    const Result<Tensor> expected = data::read_npy(kFixtures + name + ".output.npy");
    ASSERT_TRUE(read.ok() && windows.ok() && expected.ok());
    ASSERT_TRUE(is_qdq(*read));
    const Result<Lifted> lifted = lift_qdq(*read);
    ASSERT_TRUE(lifted.ok()) << lifted.error().message();
    EXPECT_FALSE(is_qdq(lifted->graph));
    const Result<GivenUse> use = judge_given(lifted->graph, lifted->given);
    ASSERT_TRUE(use.ok()) << use.error().message();
    EXPECT_THAT(use->missing, IsEmpty());
    EXPECT_EQ(use->layers, 3u);
    // The Relus that saturation stood for are back: the float network is a network again.
    size_t relus = 0;
    for (const ir::Node& node : lifted->graph.nodes) relus += ir::op_type(node.op) == "Relu";
    EXPECT_EQ(relus, 2u);
    const Result<Quantized> ours = quantize(lifted->graph, *windows, with(lifted->given));
    ASSERT_TRUE(ours.ok()) << ours.error().message();
    ir::EvalOptions integer;
    integer.qdq = ir::QdqMode::kInteger;
    const auto found = ir::evaluate_windows(ours->graph, *windows, integer);
    const std::vector<double> x = expected->to_doubles(), y = (*found)[0].to_doubles();
    ASSERT_EQ(x.size(), y.size());
    const double step = lifted->given.tensors.at("y").scale;
    size_t different = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_LE(std::abs(x[i] - y[i]), 1.01 * step) << name;
      different += std::abs(x[i] - y[i]) > 0.01 * step ? 1 : 0;
    }
    // In int8 it rounds in front of a Relu once more than is done here.
    EXPECT_LE(different, name == "ort_int8" ? x.size() / 20 : 0) << name;
  }
}

std::string exported(const ir::Graph& graph) { return onnx::format_model(graph).value(); }

// What was exported comes in again and answers as before.
void expect_round_trip(const ir::Graph& float_graph, const Tensor& windows,
                       const QuantizeOptions& options, const std::string& what) {
  const Result<Quantized> first = quantize(float_graph, windows, options);
  ASSERT_TRUE(first.ok()) << what << ": " << first.error().message();
  const Result<ir::Graph> read = onnx::parse_model(exported(first->graph));
  ASSERT_TRUE(read.ok());
  const Result<Lifted> lifted = lift_qdq(*read);
  ASSERT_TRUE(lifted.ok()) << what << ": " << lifted.error().message();
  const Result<GivenUse> use = judge_given(lifted->graph, lifted->given);
  ASSERT_TRUE(use.ok()) << what << ": " << use.error().message();
  EXPECT_THAT(use->missing, IsEmpty()) << what;
  QuantizeOptions again = with(lifted->given);
  again.rounded_outputs = options.rounded_outputs;
  // Other windows change nothing: no scale is chosen.
  Tensor other = windows;
  for (float& value : other.mutable_data<float>()) value *= 0.25f;
  const Result<Quantized> second = quantize(lifted->graph, other, again);
  ASSERT_TRUE(second.ok()) << what << ": " << second.error().message();
  // Names may differ, and a Relu may stand where saturation does its work; no answer differs.
  for (const ir::QdqMode mode : {ir::QdqMode::kFloat, ir::QdqMode::kInteger}) {
    for (const Tensor& each : {windows, other}) {
      ir::EvalOptions options_of_mode;
      options_of_mode.qdq = mode;
      const auto a = ir::evaluate_windows(first->graph, each, options_of_mode);
      const auto b = ir::evaluate_windows(second->graph, each, options_of_mode);
      ASSERT_TRUE(a.ok() && b.ok()) << what;
      EXPECT_EQ((*a)[0], (*b)[0]) << what << ": other answers";
    }
  }
}

TEST(LiftQdq, OurExportsComeBackWithTheSameAnswers) {
  QuantizeOptions options;
  options.noise_windows = 1;
  options.sensitivity_windows = 0;
  options.level = 0;
  const ir::Graph device = shipped_device();
  options.rounded_outputs = {device.value(device.outputs[0]).name};
  expect_round_trip(device, shipped_windows(64), options, "shipped, level 0");
  options.wide_ends = false;
  options.level = kRoundOnly;
  options.scheme = Scheme::kAsymmetric;
  expect_round_trip(device, shipped_windows(64), options, "shipped, bytes only");
  options.rounded_outputs = {};
  Rng rng(3);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const ir::Graph net = random_net(seed);
    Shape shape = net.shape(net.inputs[0]);
    shape[0] = kMinimumWindows;
    options.scheme = seed % 2 == 0 ? Scheme::kAsymmetric : Scheme::kSymmetric;
    options.four_bit_share = seed % 3 == 0 ? 0.5 : 0.0;
    expect_round_trip(net, random_tensor_of(rng, shape, 1.5), options,
                      "random net " + std::to_string(seed));
  }
}

std::string refusal(const std::string& text) {
  const Result<Lifted> lifted = lift_qdq(body(text));
  return lifted.ok() ? "" : lifted.error().message();
}

// x rounded with s and z, read with the scale `read`: v. Then `rest`.
struct Pair {
  std::string scale = "float32[] = [0.1]", zero = "int8[] = [0]", read = "s";
  std::string rest = "neg: Neg(v) -> y";
  std::string input = "float32[1x2]";
};
std::string text_of(const Pair& pair) {
  return "input x: " + pair.input + "\nconst s: " + pair.scale + "\nconst z: " + pair.zero + R"(
    const t: float32[] = [0.2]
    const one: float32[] = [1]
    q: QuantizeLinear{axis=1}(x, s, z) -> c
    d: DequantizeLinear{axis=1}(c, )" +
         pair.read + ", z) -> v\n" + pair.rest + "\noutput y";
}

TEST(LiftQdq, WhatThePlanCannotComputeIsRefusedByName) {
  EXPECT_THAT(refusal(text_of({.scale = "float32[2] = [0.1, 0.2]", .zero = "int8[2] = [0, 0]"})),
              HasSubstr("q: has 2 scales"));
  EXPECT_THAT(refusal(R"(
    input x: float32[1x2]
    const w: uint8[2x2] = [1, 2, 3, 255]
    const s: float32[] = [0.1]
    const z: uint8[] = [3]
    d: DequantizeLinear(w, s, z) -> v
    gemm: Gemm(x, v) -> y
    output y)"),
              HasSubstr("d: holds weights with a zero point"));
  EXPECT_THAT(refusal(R"(
    input x: float32[1x2]
    input s: float32[]
    const z: int8[] = [0]
    q: QuantizeLinear(x, s, z) -> c
    d: DequantizeLinear(c, s, z) -> y
    output y)"),
              HasSubstr("computed"));
  EXPECT_THAT(refusal(text_of({.read = "t"})), HasSubstr("another scale"));
  EXPECT_THAT(refusal(text_of({.scale = "float32[] = [-0.1]"})), HasSubstr("positive"));
  EXPECT_THAT(refusal(text_of({.rest = R"(
    r: QuantizeLinear(x, t, z) -> e
    f: DequantizeLinear(e, t, z) -> w
    add: Add(v, w) -> y)"})),
              HasSubstr("two different scales"));
  EXPECT_THAT(refusal(R"(
    input x: int8[1x2]
    const s: float32[] = [0.1]
    const z: int8[] = [0]
    d: DequantizeLinear(x, s, z) -> y
    output y)"),
              HasSubstr("no QuantizeLinear"));
  EXPECT_THAT(refusal(text_of({.input = "float16[1x2]"})), HasSubstr("q: rounds float16 numbers"));
  EXPECT_THAT(refusal(R"(
    input x: float32[1x2]
    const w: float64[2x2] = [1, 2, 3, 4]
    const s: float32[] = [0.1]
    const z: int8[] = [0]
    q: QuantizeLinear(w, s, z) -> c
    d: DequantizeLinear(c, s, z) -> v
    gemm: Gemm(x, v) -> y
    output y)"),
              HasSubstr("q: rounds float64 numbers"));
}

TEST(LiftQdq, Int8WithAZeroPointIsUint8) {
  const Result<Lifted> lifted = lift_qdq(body(text_of({.zero = "int8[] = [-3]"})));
  ASSERT_TRUE(lifted.ok()) << lifted.error().message();
  EXPECT_EQ(lifted->given.tensors.at("x"), (Encoding{DType::kUInt8, 0.1f, 125}));
}

// Codes of two windows summed in float32 by a layer of two output channels, then multiplied.
std::string summed(const std::string& factor, const std::string& bias) {
  return text_of({.read = "one",
                  .rest = "const w: float32[2x2] = [1, -2, 3, 127]\nconst f: " + factor +
                          "\nconst b: " + bias +
                          "\ngemm: Gemm(v, w, b) -> g\nscaled: Mul(g, f) -> y",
                  .input = "float32[2x2]"});
}

TEST(LiftQdq, SummedCodesWithOneFactorOrOnePerChannelAreALayerOfFloats) {
  const Tensor window = Tensor::of<float>({2, 2}, {0.3f, -1.2f, 12.7f, 0.1f});
  for (const auto& [factor, bias] : {std::pair{"float32[] = [0.05]", "float32[2] = [7, -9]"},
                                     {"float32[2] = [0.05, 0.025]", "float32[2] = [7, -9]"},
                                     {"float32[1x2] = [0.05, 0.025]", "float32[1x2] = [7, -9]"},
                                     {"float32[1] = [0.05]", "float32[2x2] = [1, 2, 3, 4]"}}) {
    const ir::Graph graph = body(summed(factor, bias));
    const Result<Lifted> lifted = lift_qdq(graph);
    ASSERT_TRUE(lifted.ok()) << factor << bias << ": " << lifted.error().message();
    EXPECT_NEAR(lifted->given.layers.at("gemm").scales.back(),
                graph.constant(*ir::find_value(graph, "f"))->data<float>().back() / 0.1f, 1e-6f);
    const auto codes = ir::evaluate(graph, std::array{window});
    const auto floats = ir::evaluate(lifted->graph, std::array{window});
    ASSERT_TRUE(codes.ok() && floats.ok());
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR((*codes)[0].data<float>()[i], (*floats)[0].data<float>()[i], 1e-4) << factor;
    }
  }
}

TEST(LiftQdq, SummedCodesWithOtherFactorsOrBiasesAreRefused) {
  const std::string bias = "float32[2] = [7, -9]", factor = "float32[2] = [0.05, 0.025]";
  // Per window, for more windows than there are, and biases that are not one per channel.
  EXPECT_THAT(refusal(summed("float32[2x1] = [0.05, 0.025]", bias)), HasSubstr("another scale"));
  EXPECT_THAT(refusal(summed("float32[3x1x1] = splat 0.05", bias)), HasSubstr("another scale"));
  EXPECT_THAT(refusal(summed(factor, "float32[2x2] = [1, 2, 3, 4]")), HasSubstr("another scale"));
  EXPECT_THAT(refusal(summed(factor, "float32[2x1] = [7, -9]")), HasSubstr("another scale"));
  EXPECT_THAT(refusal(summed(factor, "float32[1] = [7]")), HasSubstr("another scale"));
  for (const char* number : {"0", "-0.05", "nan", "inf", "1e-40"}) {
    EXPECT_THAT(refusal(summed("float32[2] = [0.05, " + std::string(number) + "]", bias)),
                HasSubstr("positive"))
        << number;
  }
}

// A layer without one scale per channel (groups of a ConvTranspose) that reads a 16-bit tensor.
TEST(LiftQdq, ALayerWithOneScaleBehindSixteenBitsIsJudgedAsRounded) {
  const Result<Lifted> lifted = lift_qdq(body(R"(
    input x: float32[1x4x3]
    const s: float32[] = [0.001]
    const low: float32[] = [-32768]
    const high: float32[] = [32767]
    const w: float32[4x2x1] = [0.5, 1, -2, 0.25, 1, 1, 1, 1]
    div: Div(x, s) -> a
    round: Round(a) -> b
    clip: Clip(b, low, high) -> c
    mul: Mul(c, s) -> v
    deconv: ConvTranspose{group=2}(v, w) -> y
    output y)"));
  ASSERT_TRUE(lifted.ok()) << lifted.error().message();
  EXPECT_EQ(lifted->given.tensors.at("x").dtype, DType::kInt16);
  EXPECT_THAT(lifted->given.layers.at("deconv").scales, ElementsAre(2.0f / 32767.0f));
}

TEST(JudgeGiven, WeightsChangedBehindTheirScalesAreFound) {
  ir::Graph graph = body(R"(
    input x: float32[1x2]
    const w: float32[2x2] = [1, 2, 3, 4]
    gemm: Gemm(x, w) -> z
    flatten: Flatten(z) -> y
    output y)");
  Encodings given;
  given.layers["gemm"] = {8, {0.5f}};
  given.tensors["z"] = {DType::kInt8, 0.1f, 0};
  const Result<GivenUse> use = judge_given(graph, given);
  ASSERT_TRUE(use.ok()) << use.error().message();
  EXPECT_THAT(use->missing, ElementsAre("x"));
  given.layers["gemm"] = {8, {0.3f}};
  EXPECT_THAT(judge_given(graph, given).error().message(), HasSubstr("fold it"));
  given.layers["gemm"] = {8, {0.5f, 0.5f, 0.5f}};
  EXPECT_THAT(judge_given(graph, given).error().message(), HasSubstr("3 weight scales"));
  given.layers["gemm"] = {8, {0.5f}};
  given.tensors["y"] = {DType::kInt8, 0.2f, 0};
  EXPECT_THAT(judge_given(graph, given).error().message(), HasSubstr("share one scale"));
}

}  // namespace
}  // namespace graupel::quantize
