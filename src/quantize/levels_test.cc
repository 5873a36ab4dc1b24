// The levels on the shipped network: each does what it is for; what it cannot do is refused.
#include "quantize/levels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/metrics.h"
#include "ir/eval.h"
#include "quantize/correct_bias.h"
#include "quantize/learn.h"
#include "quantize/precision.h"
#include "quantize/test_nets.h"
#include "quantize/test_support.h"

namespace graupel::quantize {
namespace {

using ::testing::HasSubstr;

QuantizeOptions at_level(int level) {
  QuantizeOptions options;
  options.level = level;
  options.noise_windows = 32;
  options.sensitivity_windows = 0;
  return options;
}

TEST(Levels, HigherLevelsLessNoiseOnUnseenWindows) {
  const ir::Graph device = shipped_device();
  const Tensor windows = shipped_windows(256);
  const Result<Reference> unseen = make_reference(device, shipped_windows(700), 64);
  ASSERT_TRUE(unseen.ok());
  const auto noise_at = [&](int level) {
    const Result<Quantized> result = quantize(device, windows, at_level(level));
    EXPECT_TRUE(result.ok()) << result.error().message();
    if (!result.ok()) return 1.0;
    for (const LevelStep& step : result->steps) EXPECT_FALSE(step.what.empty());
    return output_noise(result->graph, *unseen).value();
  };
  const double rounded = noise_at(kRoundOnly);
  EXPECT_GT(noise_db(rounded), 25.0);
  // On this network the activations make the noise; a level must not add to it beyond chance.
  EXPECT_LT(noise_at(1), 1.1 * rounded);
  EXPECT_LT(noise_at(3), 1.1 * rounded);
}

TEST(Levels, TooFewWindowsAreAnErrorWithTheNumberNeeded) {
  const ir::Graph device = shipped_device();
  const Tensor windows = shipped_windows(100);
  for (const auto& [level, needed] : {std::pair{2, "1024"}, {3, "256"}, {4, "1024"}}) {
    const Result<Quantized> result = quantize(device, windows, at_level(level));
    ASSERT_FALSE(result.ok());
    EXPECT_THAT(result.error().message(), HasSubstr(needed));
    EXPECT_THAT(result.error().message(), HasSubstr("--level"));
  }
}

// y = Wx where rounding W shifts the mean: all inputs are positive, all weights lie just above the
// middle between two codes.
struct Shifted {
  ir::Graph graph;
  Tensor windows;
};
Shifted shifted() {
  Shifted net;
  net.graph = body(R"(
    input x: float32[1x16]
    const w: float32[16x3] = splat 0.1236
    const one: float32[3] = [0.1, 0.2, 0.3]
    gemm: Gemm(x, w, one) -> y
    output y)");
  Tensor weights = *net.graph.constant(*ir::find_value(net.graph, "w"));
  for (size_t m = 0; m < 3; ++m) weights.mutable_data<float>()[m] = 12.7f;  // scale 0.1
  for (size_t i = 3; i < weights.size(); ++i) weights.mutable_data<float>()[i] = 0.14f;
  net.graph.value(*ir::find_value(net.graph, "w")).constant = weights;
  net.windows = random_tensor(2, {128, 16}, 0.2);
  for (float& value : net.windows.mutable_data<float>()) value = std::abs(value) + 1.0f;
  return net;
}

double mean_error(const ir::Graph& exact, const ir::Graph& qdq, const Tensor& windows) {
  const auto x = ir::evaluate_windows(exact, windows), y = ir::evaluate_windows(qdq, windows);
  const std::vector<double> a = (*x)[0].to_doubles(), b = (*y)[0].to_doubles();
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += b[i] - a[i];
  return std::abs(sum) / static_cast<double>(a.size());
}

TEST(CorrectBias, BothWaysTakeTheShiftBack) {
  const Shifted net = shifted();
  const Points points = find_points(net.graph);
  const Result<Observation> seen = observe(net.graph, points, net.windows, Calibrator::kMinMax);
  ASSERT_TRUE(seen.ok());
  Choices choices;
  choices.scales = choose_scales(net.graph, points, *seen, {}).value();
  const Layer layer = find_layers(net.graph, points).at(0);
  choices.weights[layer.node.index()] =
      round_weights(net.graph, layer, choices.scales[layer.input.index()].scale, Bits::kEight,
                    WeightRange::kMax)
          .value();
  const auto error = [&](const Choices& some) {
    return mean_error(net.graph, build_qdq(net.graph, points, some)->graph, net.windows);
  };
  const double before = error(choices);
  ASSERT_GT(before, 0.3);
  Choices analytic = choices, empirical = choices;
  correct_biases_analytically(net.graph, points, seen->channels, analytic);
  ASSERT_TRUE(correct_biases_empirically(net.graph, points, net.windows, nullptr, empirical).ok());
  EXPECT_LT(error(analytic), 0.1 * before);
  EXPECT_LT(error(empirical), 0.1 * before);
}

TEST(Learn, SumsOfALayerComeNearer) {
  const ir::Graph device = shipped_device();
  const Tensor windows = shipped_windows(96);
  QuantizeOptions rounded = at_level(kRoundOnly);
  rounded.four_bit_share = 1.0;
  const Result<Optimised> start = optimise(device, windows, rounded);
  ASSERT_TRUE(start.ok());
  const Result<Reference> unseen = make_reference(device, shipped_windows(500), 64);
  const double before =
      output_noise(build_qdq(start->graph, start->points, start->choices)->graph, *unseen).value();
  for (const Learning learning : {Learning::kFinetune, Learning::kAdaRound, Learning::kBest}) {
    Choices choices = start->choices;
    const Result<Learned> learned =
        learn_weights(start->graph, start->points, windows, {learning, 100, nullptr}, choices);
    ASSERT_TRUE(learned.ok());
    EXPECT_EQ(learned->kept, 4u);
    EXPECT_TRUE(learned->left_out.empty());
    const double after =
        output_noise(build_qdq(start->graph, start->points, choices)->graph, *unseen).value();
    EXPECT_LT(after, 0.6 * before) << static_cast<int>(learning);
  }
}

TEST(Compression, FourBitWeightsAreInt8InASmallRange) {
  QuantizeOptions options = at_level(0);
  options.four_bit_share = 0.5;
  const Result<Quantized> result = quantize(shipped_device(), shipped_windows(64), options);
  ASSERT_TRUE(result.ok()) << result.error().message();
  size_t four = 0;
  for (const LayerWeights& layer : result->layers) {
    const auto codes = ir::find_value(result->graph, layer.node + "_weight_quantized");
    if (!codes) continue;  // a layer that ends in 16 bits holds its codes in float
    EXPECT_EQ(result->graph.value(*codes).dtype, DType::kInt8);
    int64_t largest = 0;
    for (const int64_t code : result->graph.constant(*codes)->to_int64s()) {
      largest = std::max(largest, std::abs(code));
    }
    EXPECT_EQ(largest <= 7, layer.bits == 4) << layer.node;
    four += layer.bits == 4 ? 1 : 0;
  }
  EXPECT_GE(four, 1u);
}

TEST(Precision, ANamedLayerComputesInSixteenBits) {
  const ir::Graph device = shipped_device();
  const Tensor windows = shipped_windows(64);
  QuantizeOptions options = at_level(0);
  const Result<Quantized> bytes = quantize(device, windows, options);
  ASSERT_TRUE(bytes.ok());
  for (const LayerWeights& layer : bytes->layers) options.wide_layers.push_back(layer.node);
  const Result<Quantized> wide = quantize(device, windows, options);
  ASSERT_TRUE(wide.ok()) << wide.error().message();
  EXPECT_GT(wide->output_snr_db, bytes->output_snr_db + 3);
  for (const LayerWeights& layer : wide->layers) EXPECT_EQ(layer.bits, 16);
  EXPECT_TRUE(onnx::format_model(wide->graph).ok()) << "standard operators only";
  options.wide_layers = {"nothing"};
  const Result<Quantized> refused = quantize(device, windows, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr(bytes->layers[0].node));
}

TEST(Precision, StoringAnAlignedOutputMovesNoNumberAcrossAThreshold) {
  const ir::Graph graph = body("input x: float32[1x64]\nrelu: Relu(x) -> y\noutput y");
  std::vector<ScaleChoice> scales(graph.values.size(), {DType::kInt8, 4.003f / 127.0f, 0});
  const ir::ValueId y = *ir::find_value(graph, "y");
  align_rounded_outputs(graph, find_points(graph), {"y"}, {}, scales);
  const float scale = scales[find_points(graph).same_scale[y.index()].index()].scale;
  Rng rng(4);
  for (int i = 0; i < 20000; ++i) {
    const auto value = static_cast<float>(rng.uniform(-4.0, 3.0));
    const float stored = std::nearbyint(value / scale) * scale;
    EXPECT_EQ(std::nearbyint(stored), std::nearbyint(value)) << value;
  }
}

TEST(Automatic, GoalsAreReachedOrMissedOpenly) {
  const ir::Graph device = shipped_device();
  const Tensor windows = shipped_windows(256);
  QuantizeOptions options = at_level(kRoundOnly);
  options.sensitivity_windows = 32;
  options.calibrator = Calibrator::kMinMax;
  const Result<Quantized> plain = quantize(device, windows, options);
  ASSERT_TRUE(plain.ok());
  Goals goals;
  EXPECT_EQ(missed_goals(*plain, goals), "");
  const Result<Quantized> enough = quantize_automatically(device, windows, options, goals);
  ASSERT_TRUE(enough.ok());
  EXPECT_EQ(enough->steps.size(), plain->steps.size()) << "nothing is tried without need";
  goals.output_snr_db = plain->output_snr_db + 1.5;
  const Result<Quantized> better = quantize_automatically(device, windows, options, goals);
  ASSERT_TRUE(better.ok()) << better.error().message();
  EXPECT_EQ(missed_goals(*better, goals), "");
  EXPECT_GT(better->steps.size(), plain->steps.size());
  for (const LevelStep& step : better->steps) {
    EXPECT_EQ(step.what.find("a16_w16") != std::string::npos, !step.cost.empty()) << step.what;
  }
  QuantizeOptions given = options;
  given.given = encodings_of(*plain);
  const Result<Quantized> kept = quantize_automatically(device, windows, given, goals);
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(encodings_of(*kept), given.given);
  EXPECT_THAT(kept->steps.back().what, HasSubstr("scales were given"));
}

// Sixteen bits are not enough for 300 dB; what came nearest is the result, and it says what it is.
TEST(Automatic, WhatIsOutOfReachIsTriedAndNamed) {
  ir::Graph graph = body(R"(
    input x: float32[1x8]
    const a: float32[8x8] = splat 1
    const b: float32[8x4] = splat 1
    x_reader: Gemm(x, a) -> p
    relu: Relu(p) -> q
    q: Gemm(q, b) -> y
    output y)");
  randomize(graph, "a", 1);
  randomize(graph, "b", 2);
  const Tensor windows = random_tensor(3, {256, 8});
  Goals goals;
  goals.output_snr_db = 300;
  const Result<Quantized> result =
      quantize_automatically(graph, windows, at_level(kRoundOnly), goals);
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_THAT(missed_goals(*result, goals), HasSubstr("300.0 wanted"));
  QuantizeOptions counted = at_level(kRoundOnly);
  counted.sensitivity_windows = 64;
  const Result<Quantized> tried = quantize_automatically(graph, windows, counted, goals);
  ASSERT_TRUE(tried.ok()) << tried.error().message();
  std::map<std::string, bool> wide;
  for (const LevelStep& step : tried->steps) {
    const size_t at = step.what.find("a16_w16 for ");
    if (at != std::string::npos) wide[step.what.substr(at + 12)] |= step.kept;
  }
  EXPECT_EQ(wide.size(), 2u) << "both layers, once each";
  for (const LayerWeights& layer : tried->layers) {
    EXPECT_EQ(layer.bits == 16, wide.at(layer.node)) << layer.node;
  }
  EXPECT_GT(tried->output_snr_db, result->output_snr_db);
}

TEST(Automatic, FourBitsBecomeEightBeforeSixteen) {
  const ir::Graph device = shipped_device();
  const Tensor windows = shipped_windows(256);
  QuantizeOptions options = at_level(kRoundOnly);
  options.sensitivity_windows = 64;
  options.four_bit_share = 1.0;
  const Result<Quantized> four = quantize(device, windows, options);
  ASSERT_TRUE(four.ok());
  Goals goals;
  goals.output_snr_db = four->output_snr_db + 3.0;
  goals.layer_snr_db = -100.0;
  const Result<Quantized> better = quantize_automatically(device, windows, options, goals);
  ASSERT_TRUE(better.ok()) << better.error().message();
  EXPECT_EQ(missed_goals(*better, goals), "");
  size_t eight = 0, sixteen = 0;
  for (const LayerWeights& layer : better->layers) {
    eight += layer.bits == 8 ? 1 : 0;
    sixteen += layer.bits == 16 ? 1 : 0;
  }
  EXPECT_GE(eight, 1u);
  EXPECT_EQ(sixteen, 0u) << "8 bits are enough for 3 dB";
}

TEST(Automatic, LabelsAreJudgedAndHaveToFit) {
  // Logits are the device's own outputs through a host part that changes nothing.
  const ir::Graph device = body(R"(
    input x: float32[1x4]
    relu: Relu(x) -> y
    output y)");
  const ir::Graph host = body("input y: float32[1x4]\nid: Identity(y) -> logits\noutput logits");
  const Tensor windows = random_tensor(8, {64, 4});
  QuantizeOptions options = at_level(kRoundOnly);
  options.host = host;
  options.noise_windows = 64;
  const Result<Quantized> unknown = quantize(device, windows, options);
  ASSERT_TRUE(unknown.ok()) << unknown.error().message();
  EXPECT_FALSE(unknown->macro_f1_drop_points.has_value());
  EXPECT_GT(unknown->logits_snr_db.value_or(0.0), 30.0);
  // Labels are the float network's own answers: its macro F1 is 100.
  options.labels = argmax_rows(ir::evaluate_windows(device, windows).value()[0]);
  const Result<Quantized> known = quantize(device, windows, options);
  ASSERT_TRUE(known.ok());
  ASSERT_TRUE(known->macro_f1_drop_points.has_value());
  EXPECT_EQ(*known->macro_f1_drop_points > 0.0, *known->agreement_percent < 100.0);
  // Labels that no answer meets: float and INT8 are equally wrong.
  QuantizeOptions shifted = options;
  for (int64_t& label : shifted.labels) label = (label + 1) % 4;
  const Result<Quantized> never = quantize(device, windows, shifted);
  ASSERT_TRUE(never.ok());
  EXPECT_NEAR(never->macro_f1_drop_points.value_or(-1.0), 0.0, 5.0);
  options.labels[5] = 4;
  const Result<Quantized> wrong = quantize(device, windows, options);
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(wrong.error().message(), HasSubstr("label 5"));
}

TEST(Generality, DepthwiseAndResidualNetworksKeepTheirSignal) {
  uint64_t seed = 0;
  for (const ir::Graph& net : {mobilenet_like(), resnet_like()}) {
    Shape shape = net.shape(net.inputs[0]);
    shape[0] = kMinimumWindows;
    const Tensor windows = random_tensor(++seed, shape);
    const Result<Quantized> rounded = quantize(net, windows, at_level(kRoundOnly));
    const Result<Quantized> equal = quantize(net, windows, at_level(0));
    ASSERT_TRUE(rounded.ok() && equal.ok());
    EXPECT_GT(equal->output_snr_db, 20.0);
    EXPECT_GT(equal->output_snr_db, rounded->output_snr_db + 3.0) << "rows spread over 2 orders";
    EXPECT_GT(equal->noise.front().snr_db, 10.0) << equal->noise.front().node;
  }
}

TEST(Given, ScalesComeBackAsTheyWent) {
  const ir::Graph device = shipped_device();
  const Tensor windows = shipped_windows(64);
  QuantizeOptions options = at_level(kRoundOnly);
  const Result<Quantized> first = quantize(device, windows, options);
  ASSERT_TRUE(first.ok());
  QuantizeOptions again = at_level(1);
  again.given = encodings_of(*first);
  const Result<Quantized> second = quantize(device, shipped_windows(90), again);
  ASSERT_TRUE(second.ok()) << second.error().message();
  EXPECT_EQ(encodings_of(*second), again.given);
  EXPECT_EQ(onnx::format_model(second->graph).value(), onnx::format_model(first->graph).value())
      << "other windows change nothing";
}

}  // namespace
}  // namespace graupel::quantize
