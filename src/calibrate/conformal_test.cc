// Thresholds on too little data, sets that are counted by hand, coverage on many draws.
#include "calibrate/conformal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "decide/stream.h"

namespace graupel::calibrate {
namespace {

struct Drawn {
  std::vector<double> p;
  std::vector<int64_t> labels, groups;
  Probabilities table() const { return {3, p, labels}; }
};
// A calibrated classifier of three classes; people differ in how hard they are.
Drawn draw(size_t count, uint64_t seed) {
  Rng rng(seed);
  Drawn drawn;
  for (size_t i = 0; i < count; ++i) {
    const auto person = static_cast<int64_t>(rng.below(4));
    double row[3], sum = 0.0;
    for (double& value : row) {
      sum += value = std::exp(rng.normal() * (0.5 + static_cast<double>(person)));
    }
    double left = rng.uniform() * sum;
    int64_t label = 0;
    while (label < 2 && left >= row[label]) left -= row[label++];
    for (const double value : row) drawn.p.push_back(value / sum);
    drawn.labels.push_back(label);
    drawn.groups.push_back(person);
  }
  return drawn;
}

TEST(FitConformal, TooFewWindowsGiveFullSetsAndSaySo) {
  const Drawn few = draw(8, 1);
  decide::Conformal wanted;  // alpha 0.1 needs nine
  const ConformalFit fit = fit_conformal(wanted, few.table(), {}).value();
  EXPECT_EQ(fit.conformal.threshold, decide::kNoThreshold);
  ASSERT_EQ(fit.warnings.size(), 1u);
  EXPECT_NE(fit.warnings[0].find("has 8 windows"), std::string::npos) << fit.warnings[0];
  EXPECT_NE(fit.warnings[0].find("needs 9"), std::string::npos) << fit.warnings[0];
  const SetMetrics sets = set_metrics(fit.conformal, draw(50, 2).table(), {});
  EXPECT_NEAR(sets.coverage, 1.0, 1e-12);
  EXPECT_NEAR(sets.full_share, 1.0, 1e-12);
  EXPECT_TRUE(coverage_law(8, 0.1, 50).full);
}

TEST(FitConformal, AClassNeverSeenIsInEverySet) {
  Drawn drawn = draw(200, 3);
  for (int64_t& label : drawn.labels) label = std::min<int64_t>(label, 1);
  decide::Conformal wanted;
  wanted.condition = decide::Condition::kClass;
  const ConformalFit fit = fit_conformal(wanted, drawn.table(), {}).value();
  EXPECT_EQ(fit.conformal.class_thresholds[2], decide::kNoThreshold);
  ASSERT_EQ(fit.warnings.size(), 1u);
  EXPECT_NE(fit.warnings[0].find("class 2 has 0 windows"), std::string::npos);
}

TEST(FitConformal, RefusesBadAlphaAndMissingGroups) {
  const Drawn drawn = draw(50, 4);
  decide::Conformal wanted;
  wanted.alpha = 1.0;
  EXPECT_EQ(fit_conformal(wanted, drawn.table(), {}).error().code, ErrorCode::kInvalidInput);
  wanted.alpha = 0.1;
  wanted.condition = decide::Condition::kGroup;
  EXPECT_EQ(fit_conformal(wanted, drawn.table(), {}).error().code, ErrorCode::kInvalidInput);
}

TEST(FitConformal, EveryConditionCoversItsStrata) {
  const Drawn fit = draw(4000, 5), test = draw(20000, 6);
  for (const decide::Condition condition :
       {decide::Condition::kMarginal, decide::Condition::kClass, decide::Condition::kGroup}) {
    for (const decide::ConformalMethod method :
         {decide::ConformalMethod::kLac, decide::ConformalMethod::kAps,
          decide::ConformalMethod::kRaps, decide::ConformalMethod::kSaps}) {
      decide::Conformal wanted;
      wanted.condition = condition;
      wanted.method = method;
      wanted.randomised = true;
      wanted.empty_sets = decide::EmptySets::kKeep;
      const ConformalFit fitted = fit_conformal(wanted, fit.table(), fit.groups).value();
      EXPECT_TRUE(fitted.warnings.empty());
      const SetMetrics sets = set_metrics(fitted.conformal, test.table(), test.groups);
      EXPECT_NEAR(sets.coverage, 0.9, 0.02);
      const auto& strata = condition == decide::Condition::kGroup ? sets.by_group : sets.by_class;
      if (condition == decide::Condition::kMarginal) continue;
      for (const Stratum& stratum : strata) EXPECT_NEAR(stratum.coverage, 0.9, 0.035);
    }
  }
}

TEST(FitConformal, TheLawHoldsTheCoverageItGives) {
  int inside = 0, above = 0;
  constexpr int kTrials = 150;
  for (int trial = 0; trial < kTrials; ++trial) {
    const auto seed = static_cast<uint64_t>(trial);
    const ConformalFit fit = fit_conformal({}, draw(150, 100 + seed).table(), {}).value();
    const SetMetrics sets = set_metrics(fit.conformal, draw(300, 900 + seed).table(), {});
    const CoverageLaw law = coverage_law(150, 0.1, 300);
    inside += sets.coverage_unfilled >= law.low && sets.coverage_unfilled <= law.high ? 1 : 0;
    const SetMetrics many = set_metrics(fit.conformal, draw(3000, 5000 + seed).table(), {});
    above += many.coverage_unfilled >= law.pac_low - 0.01 ? 1 : 0;
  }
  EXPECT_GE(inside, kTrials * 96 / 100);  // 99 % nominal
  EXPECT_GE(above, kTrials * 92 / 100);   // 95 % nominal
}

TEST(SetMetrics, CountsByHand) {
  const std::vector<double> p = {.8, .1, .1, .5, .4, .1, .4, .3, .3, .2, .7, .1};
  const std::vector<int64_t> labels = {0, 1, 2, 0};
  decide::Conformal conformal;
  conformal.threshold = 0.65;  // p >= 0.35
  const SetMetrics sets = set_metrics(conformal, {3, p, labels}, {});
  EXPECT_THAT(sets.sizes, ::testing::ElementsAre(0, 3, 1, 0));
  EXPECT_NEAR(sets.coverage, 0.5, 1e-15);
  EXPECT_NEAR(sets.mean_size, 1.25, 1e-15);
  EXPECT_NEAR(sets.singleton_share, 0.75, 1e-15);
  EXPECT_NEAR(sets.singleton_right, 1.0 / 3.0, 1e-15);
  conformal.threshold = 0.55;  // p >= 0.45: the third set is empty and gets its top class
  const SetMetrics filled = set_metrics(conformal, {3, p, labels}, {});
  EXPECT_NEAR(filled.empty_share, 0.25, 1e-15);
  EXPECT_THAT(filled.sizes, ::testing::ElementsAre(0, 4, 0, 0));
}

TEST(FitDrift, CalibrationWindowsRaiseNoAlarmAndHarderOnesDo) {
  const Drawn fit = draw(600, 7), same = draw(600, 8);
  const decide::Drift drift = fit_drift(fit.table(), 1000.0, 1e5);
  decide::DriftState state = decide::start_drift(drift);
  for (const Event& event : top_events(same.table())) {
    decide::observe_drift(drift, 1.0 - event.confidence, state);
  }
  EXPECT_FALSE(state.alarm);
  for (int i = 0; i < 200; ++i) decide::observe_drift(drift, 0.6, state);
  EXPECT_TRUE(state.alarm);
}

TEST(FitAdaptive, KeepsEveryScoreUpToTheLimit) {
  std::vector<double> scores(10000);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = static_cast<double>(i);
  const decide::Adaptive adaptive = fit_adaptive(scores, 0.01);
  EXPECT_EQ(adaptive.scores.size(), decide::kMaxStoredScores);
  EXPECT_EQ(adaptive.scores.back(), 9999.0);
  EXPECT_EQ(fit_adaptive(std::span(scores).first(100), 0.01).scores.size(), 100u);
}

}  // namespace
}  // namespace graupel::calibrate
