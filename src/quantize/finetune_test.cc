// Finetuning end to end: it lessens the noise that coarse weights make, on windows it never saw.
#include "quantize/finetune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantize/levels.h"
#include "quantize/test_nets.h"
#include "quantize/test_support.h"

namespace graupel::quantize {
namespace {

TEST(Finetune, TakesNoiseFromFourBitWeightsOnUnseenWindows) {
  const ir::Graph device = shipped_device();
  const Tensor windows = shipped_windows(256);
  QuantizeOptions options;
  options.level = kRoundOnly;
  options.four_bit_share = 1.0;
  Result<Optimised> start = optimise(device, windows, options);
  ASSERT_TRUE(start.ok()) << start.error().message();
  const Result<Reference> unseen = make_reference(device, shipped_windows(700), 64);
  const auto noise = [&](const Choices& choices) {
    return output_noise(build_qdq(start->graph, start->points, choices)->graph, *unseen).value();
  };
  const double before = noise(start->choices);
  FinetuneOptions few;
  few.steps = 60;
  few.rate = 0.02;
  const Result<Finetuned> done =
      finetune(start->graph, start->points, {}, windows, few, start->choices);
  ASSERT_TRUE(done.ok()) << done.error().message();
  EXPECT_EQ(done->left_out, "");
  EXPECT_EQ(done->steps, few.steps);
  EXPECT_GT(done->layers, 3u);
  EXPECT_LT(noise(start->choices), 0.7 * before);
}

TEST(Finetune, SaysWhichOperatorKeepsItFromIt) {
  ir::Graph device = body(R"(
    input x: float32[1x2x4x4]
    const w: float32[2x2x1x1] = splat 0.5
    conv: Conv(x, w) -> a
    soft: Softmax(a) -> y
    output y)");
  QuantizeOptions options;
  options.level = kRoundOnly;
  const Tensor windows = random_tensor(1, {64, 2, 4, 4});
  Result<Optimised> start = optimise(device, windows, options);
  ASSERT_TRUE(start.ok()) << start.error().message();
  const Choices before = start->choices;
  const Result<Finetuned> done =
      finetune(start->graph, start->points, {}, windows, {}, start->choices);
  ASSERT_TRUE(done.ok()) << done.error().message();
  EXPECT_THAT(done->left_out, ::testing::HasSubstr("soft"));
  EXPECT_EQ(start->choices.weights.begin()->second.codes, before.weights.begin()->second.codes);
}

}  // namespace
}  // namespace graupel::quantize
