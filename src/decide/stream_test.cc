// The drift martingale against its guarantees, adaptive sets against their theorem.
#include "decide/stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "decide/conformal.h"

namespace graupel::decide {
namespace {

// Equal bins of [0, 1) and the counts of `count` draws.
Drift uniform_bins(size_t bins, size_t count, Rng& rng) {
  Drift drift;
  for (size_t b = 1; b < bins; ++b) {
    drift.edges.push_back(static_cast<double>(b) / static_cast<double>(bins));
  }
  drift.counts.assign(bins, 0);
  for (size_t i = 0; i < count; ++i) ++drift.counts[rng.below(bins)];
  drift.alarm = 20.0;
  drift.run_length = 1e12;
  return drift;
}

TEST(Drift, PValuesOfExchangeableWindowsAreUniform) {
  Rng rng(4);
  std::vector<double> p;
  for (int trial = 0; trial < 400; ++trial) {
    const Drift drift = uniform_bins(8, 30, rng);
    DriftState state = start_drift(drift, rng.next_u64());
    for (int i = 0; i < 25; ++i) p.push_back(observe_drift(drift, rng.uniform(), state));
  }
  std::sort(p.begin(), p.end());
  double largest = 0.0;  // Kolmogorov-Smirnov
  for (size_t i = 0; i < p.size(); ++i) {
    largest =
        std::max(largest, std::abs(p[i] - static_cast<double>(i) / static_cast<double>(p.size())));
  }
  EXPECT_LT(largest, 1.95 / std::sqrt(static_cast<double>(p.size())));  // 0.1 %
}

TEST(Drift, FalseAlarmsAreAsRareAsVilleSays) {
  Rng rng(8);
  int alarms = 0;
  constexpr int kTrials = 1500;
  for (int trial = 0; trial < kTrials; ++trial) {
    const Drift drift = uniform_bins(10, 50, rng);
    DriftState state = start_drift(drift, rng.next_u64());
    for (int i = 0; i < 300; ++i) observe_drift(drift, rng.uniform(), state);
    alarms += state.alarm ? 1 : 0;
  }
  EXPECT_LE(alarms, kTrials / 20);  // wealth reaches 20 with probability at most 1 / 20
}

TEST(Drift, AShiftRaisesTheAlarmAndItStays) {
  Rng rng(9);
  Drift drift = uniform_bins(20, 400, rng);
  drift.alarm = 1000.0;
  DriftState state = start_drift(drift);
  for (int i = 0; i < 200; ++i) observe_drift(drift, rng.uniform(), state);
  EXPECT_FALSE(state.alarm);
  int windows = 0;
  while (!state.alarm && windows < 2000) {
    observe_drift(drift, 0.7 + 0.3 * rng.uniform(), state);
    ++windows;
  }
  EXPECT_LT(windows, 200);
  for (int i = 0; i < 500; ++i) observe_drift(drift, rng.uniform(), state);
  EXPECT_TRUE(state.alarm);
}

TEST(Drift, TheRestartingFormFindsAChangeAfterALongCalm) {
  Rng rng(10);
  Drift drift = uniform_bins(20, 400, rng);
  drift.alarm = 1e300;
  drift.run_length = 1e5;
  DriftState state = start_drift(drift);
  for (int i = 0; i < 20000; ++i) observe_drift(drift, rng.uniform(), state);
  EXPECT_FALSE(state.alarm);
  int windows = 0;
  while (!state.alarm && windows < 5000) {
    observe_drift(drift, 0.8 + 0.2 * rng.uniform(), state);
    ++windows;
  }
  EXPECT_LT(windows, 200);
}

TEST(Drift, NotANumberIsNotCounted) {
  Rng rng(1);
  const Drift drift = uniform_bins(4, 10, rng);
  DriftState state = start_drift(drift);
  EXPECT_EQ(observe_drift(drift, std::nan(""), state), 1.0);
  EXPECT_EQ(state.windows, 0);
}

TEST(Adaptive, ThresholdIsTheConformalQuantileAtItsAlpha) {
  Rng rng(11);
  Adaptive adaptive;
  adaptive.calibration_count = 137;
  for (int i = 0; i < 137; ++i) adaptive.scores.push_back(rng.uniform());
  std::sort(adaptive.scores.begin(), adaptive.scores.end());
  for (double alpha = 0.001; alpha < 1.0; alpha += 0.0037) {
    std::vector<double> scores = adaptive.scores;
    EXPECT_EQ(adaptive_threshold(adaptive, {alpha, 0, 0}), conformal_quantile(scores, alpha));
  }
  EXPECT_EQ(adaptive_threshold(adaptive, {-0.1, 0, 0}), kNoThreshold);
  EXPECT_EQ(adaptive_threshold(adaptive, {1.1, 0, 0}), -kNoThreshold);
}

TEST(Adaptive, ThinnedScoresErrToLargerSets) {
  Adaptive thinned;
  thinned.calibration_count = 1000;
  std::vector<double> all;
  for (int i = 1; i <= 1000; ++i) all.push_back(i);
  for (int64_t i = 0; i < 64; ++i) {
    thinned.scores.push_back(all[static_cast<size_t>((i + 1) * 1000 + 63) / 64 - 1]);
  }
  for (double alpha = 0.002; alpha < 1.0; alpha += 0.01) {
    std::vector<double> scores = all;
    const double exact = conformal_quantile(scores, alpha);
    const double found = adaptive_threshold(thinned, {alpha, 0, 0});
    EXPECT_GE(found, exact);
    EXPECT_LE(found, exact + 1000.0 / 64.0 + 1.0);
  }
}

TEST(Adaptive, MissesTendToAlphaWhateverHappens) {
  // Gibbs and Candes 2021, proposition 4.1: |misses / T - alpha| <= (max(a, 1 - a) + g) / (g T).
  Conformal conformal;
  conformal.alpha = 0.1;
  Adaptive adaptive;
  adaptive.step = 0.02;
  Rng rng(12);
  for (int i = 0; i < 500; ++i) adaptive.scores.push_back(rng.uniform());
  std::sort(adaptive.scores.begin(), adaptive.scores.end());
  adaptive.calibration_count = 500;
  AdaptiveState state = start_adaptive(conformal);
  constexpr int kSteps = 5000;
  for (int t = 0; t < kSteps; ++t) {
    // Scores that jump and creep: nothing like the calibration scores.
    const double score = 0.5 + 0.45 * std::sin(t / 200.0) + (t % 1000 < 300 ? 0.4 : 0.0);
    observe_adaptive(adaptive, conformal.alpha, score > adaptive_threshold(adaptive, state), state);
  }
  const double share = static_cast<double>(state.misses) / kSteps;
  EXPECT_LE(std::abs(share - 0.1), (0.9 + adaptive.step) / (adaptive.step * kSteps));
}

TEST(Stream, CountsDecidesAndAdapts) {
  Block block;
  block.classes = 2;
  block.conformal = Conformal{};
  block.conformal->threshold = 0.6;
  block.adaptive = Adaptive{0.05, 3, {0.1, 0.3, 0.6}};
  block.drift = Drift{{0.2}, {10, 10}, 1000.0, 1e5};
  const Decider decider = make_decider(block, 2).value();
  Stream stream = start_stream(decider);
  const std::vector<float> logits = {2.0f, 0.0f};
  const StreamDecision first = decide_next(decider, logits, std::nullopt, stream);
  EXPECT_EQ(first.decision.set->size(), 1u);
  EXPECT_EQ(stream.drift.windows, 1);
  tell_truth(decider, 1, first.decision, stream);  // a miss
  EXPECT_DOUBLE_EQ(stream.adaptive.alpha, 0.1 + 0.05 * (0.1 - 1.0));
  const StreamDecision second = decide_next(decider, logits, std::nullopt, stream);
  EXPECT_EQ(second.decision.set->size(), 2u);  // too few scores for so small an alpha: every class
  EXPECT_EQ(stream.windows, 2u);
}

}  // namespace
}  // namespace graupel::decide
