// Decisions of single windows: calibrated class and probability, sets, and no allocation.
#include "decide/decider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>

#include "base/rng.h"
#include "decide/hsmm_test_support.h"
#include "decide/stream.h"

namespace {
std::atomic<size_t> allocations{0};
}
// Counted for the test that deciding allocates nothing.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* block = std::malloc(size == 0 ? 1 : size)) return block;
  std::abort();
}
void* operator new[](size_t size) { return operator new(size); }
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, size_t) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete[](void* block, size_t) noexcept { std::free(block); }

namespace graupel::decide {
namespace {

using ::testing::ElementsAre;

Decider decider_with(Confidence confidence, std::optional<Conformal> conformal) {
  Block block;
  block.classes = 3;
  block.confidence = std::move(confidence);
  block.conformal = std::move(conformal);
  return make_decider(std::move(block), 3).value();
}

Confidence temperature(double t) {
  Confidence confidence;
  confidence.method = ConfidenceMethod::kTemperature;
  confidence.temperature = t;
  return confidence;
}

TEST(Decider, ScalesByTheTemperatureOfTheGroup) {
  Confidence confidence = temperature(2.0);
  confidence.method = ConfidenceMethod::kPerGroup;
  confidence.groups = {{4, 0.5}};
  const std::vector<float> logits = {1.0f, 3.0f, 2.0f};
  std::vector<double> p(3);
  EXPECT_TRUE(calibrated_probabilities(confidence, logits, std::nullopt, p));
  EXPECT_NEAR(p[1], 1.0 / (1.0 + std::exp(-0.5) + std::exp(-1.0)), 1e-15);
  EXPECT_TRUE(calibrated_probabilities(confidence, logits, 4, p));
  EXPECT_NEAR(p[1], 1.0 / (1.0 + std::exp(-2.0) + std::exp(-4.0)), 1e-15);
}

TEST(Decider, VectorScalingMayChangeTheClass) {
  Confidence confidence;
  confidence.method = ConfidenceMethod::kVector;
  confidence.scale = {1.0, 0.5, 1.0};
  confidence.bias = {0.0, 0.0, 0.25};
  const Decider decider = decider_with(confidence, std::nullopt);
  Workspace workspace = make_workspace(decider);
  const std::vector<float> logits = {1.0f, 3.0f, 2.0f};
  const Decision decision = decide_window(decider, logits, {}, workspace);
  EXPECT_EQ(decision.class_index, 2);
  EXPECT_FALSE(decision.set);
  EXPECT_NEAR(decision.probability,
              std::exp(2.25) / (std::exp(1.0) + std::exp(1.5) + std::exp(2.25)), 1e-15);
}

TEST(Decider, SetsHoldTheLikelyClassesFirst) {
  Conformal conformal;
  conformal.threshold = 0.8;  // LAC: p >= 0.2
  const Decider decider = decider_with({}, conformal);
  Workspace workspace = make_workspace(decider);
  const std::vector<float> logits = {std::log(0.3f), std::log(0.6f), std::log(0.1f)};
  EXPECT_THAT(*decide_window(decider, logits, {}, workspace).set, ElementsAre(1, 0));
  WindowContext full;
  full.threshold = kNoThreshold;
  EXPECT_THAT(*decide_window(decider, logits, full, workspace).set, ElementsAre(1, 0, 2));
}

TEST(Decider, EmptySetsFollowThePolicy) {
  Conformal conformal;
  conformal.threshold = 0.1;
  Decider decider = decider_with({}, conformal);
  Workspace workspace = make_workspace(decider);
  const std::vector<float> logits = {0.0f, 0.1f, 0.2f};
  EXPECT_THAT(*decide_window(decider, logits, {}, workspace).set, ElementsAre(2));
  decider.block.conformal->empty_sets = EmptySets::kKeep;
  EXPECT_TRUE(decide_window(decider, logits, {}, workspace).set->empty());
}

TEST(Decider, LogitsThatAreNoNumbersGiveEveryClass) {
  Conformal conformal;
  conformal.threshold = 0.1;
  const Decider decider = decider_with(temperature(1.5), conformal);
  Workspace workspace = make_workspace(decider);
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    const std::vector<float> logits = {0.0f, bad, 0.2f};
    const Decision decision = decide_window(decider, logits, {}, workspace);
    EXPECT_FALSE(decision.finite);
    EXPECT_NEAR(decision.probability, 1.0 / 3.0, 1e-15);
    EXPECT_EQ(decision.set->size(), 3u);
  }
}

TEST(Decider, RefusesABlockForOtherClasses) {
  Block block;
  block.classes = 3;
  EXPECT_EQ(make_decider(block, 4).error().code, ErrorCode::kInvalidInput);
}

TEST(Decider, DecidingAllocatesNothing) {
  Conformal conformal;
  conformal.method = ConformalMethod::kRaps;
  conformal.randomised = true;
  conformal.threshold = 0.7;
  Block block;
  block.classes = 10;
  block.confidence = temperature(1.3);
  block.conformal = conformal;
  block.adaptive = Adaptive{0.01, 4, {0.1, 0.4, 0.8, 0.9}};
  block.drift = Drift{{0.1, 0.2}, {5, 5, 5}, 100.0, 1e5};
  Rng models(3);
  block.hsmm = format_hsmm(random_hsmm(models, 10, 60)).value();
  const Decider decider = make_decider(block, 10).value();
  SequenceOptions options;
  options.lag = 5;
  Stream stream = start_recording(decider, options).value();
  Rng rng(2);
  std::vector<float> logits(10);
  const size_t before = allocations;
  for (int i = 0; i < 1000; ++i) {
    for (float& logit : logits) logit = static_cast<float>(rng.normal());
    const StreamDecision answer = decide_next(decider, logits, std::nullopt, stream);
    tell_truth(decider, 3, answer.decision, stream);
  }
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(stream.windows, 1000u);
}

}  // namespace
}  // namespace graupel::decide
