// Metrics on probabilities that are right by construction, and identities they must keep.
#include "calibrate/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"

namespace graupel::calibrate {
namespace {

// Perfectly calibrated: confidence uniform in [0.5, 1], right with that probability.
std::vector<Event> perfect(size_t count, Rng& rng) {
  std::vector<Event> events;
  for (size_t i = 0; i < count; ++i) {
    const double confidence = rng.uniform(0.5, 1.0);
    events.push_back({confidence, rng.uniform() < confidence});
  }
  return events;
}

TEST(Metrics, PlainErrorsGrowOnSmallSamplesAndTheDebiasedOneDoesNot) {
  Rng rng(21);
  for (const size_t count : {200u, 1000u, 5000u}) {
    double plain = 0.0, debiased = 0.0;
    constexpr int kTrials = 60;
    for (int trial = 0; trial < kTrials; ++trial) {
      const std::vector<Bin> bins = bins_of(perfect(count, rng), Binning::kEqualMass);
      plain += expected_error(bins) / kTrials;
      debiased += debiased_error(bins) / kTrials;
    }
    // A bin of n / 15 windows is off by sqrt(2 p (1 - p) / (pi n / 15)) on average.
    const double chance = std::sqrt(2.0 * 0.167 * 15.0 / (3.14159 * static_cast<double>(count)));
    EXPECT_NEAR(plain / chance, 1.0, 0.15) << count;
    // With no error at all, gaps are normal around 0 and resampling doubles their variance.
    EXPECT_NEAR(debiased / plain, 2.0 - std::sqrt(2.0), 0.06) << count;
  }
}

// The published row "plain ECE of a perfect model, 15 bins of equal mass": 5.9, 2.7, 1.1 and 0.6 %.
// Its toy model is not published; one whose p (1 - p) is 0.079 on average gives the whole row.
TEST(Metrics, PlainErrorsOfPerfectModelsAreThePublishedRow) {
  Rng rng(25);
  const std::pair<size_t, double> rows[] = {
      {200, 0.059}, {1000, 0.027}, {5000, 0.011}, {20000, 0.006}};
  for (const auto& [count, published] : rows) {
    double plain = 0.0;
    constexpr int kTrials = 40;
    for (int trial = 0; trial < kTrials; ++trial) {
      std::vector<Event> events;
      for (size_t i = 0; i < count; ++i) {
        const double confidence = rng.uniform(0.82, 1.0);
        events.push_back({confidence, rng.uniform() < confidence});
      }
      plain += expected_error(bins_of(events, Binning::kEqualMass)) / kTrials;
    }
    EXPECT_NEAR(plain, published, 0.1 * published + 0.0005) << count;
  }
}

TEST(Metrics, IntervalHoldsTheTruthAndShrinks) {
  Rng rng(22);
  // Confidence 0.8 with 0.7 right: the error is 0.1 everywhere.
  double widths[2] = {0.0, 0.0};
  for (int size = 0; size < 2; ++size) {
    int held = 0;
    for (int trial = 0; trial < 40; ++trial) {
      std::vector<Event> events;
      for (int i = 0; i < (size == 0 ? 300 : 1200); ++i) {
        const double confidence = rng.uniform(0.7, 0.9);
        events.push_back({confidence, rng.uniform() < confidence - 0.1});
      }
      const Judged judged = judged_error(events, {}, static_cast<uint64_t>(trial), 100);
      held += judged.low <= 0.1 && 0.1 <= judged.high ? 1 : 0;
      widths[size] += (judged.high - judged.low) / 40.0;
    }
    EXPECT_GE(held, 35) << size;  // 95 % nominal
  }
  EXPECT_LT(widths[1], 0.6 * widths[0]);
}

TEST(Metrics, AFewWindowsThatAreAllRightProveLittle) {
  // 48 of 48 right: the true share may still be 93 % (rule of three).
  const std::vector<Event> events(48, Event{0.97, true});
  const Judged judged = judged_error(events, {}, 1, 100);
  EXPECT_NEAR(judged.value, 0.03, 1e-12);
  EXPECT_GT(judged.high, 0.09);
}

TEST(Metrics, ResamplesWholeGroupsIfThereAreEnough) {
  Rng rng(23);
  const std::vector<Event> events = perfect(200, rng);
  std::vector<int64_t> groups(200);
  for (size_t i = 0; i < 200; ++i) groups[i] = static_cast<int64_t>(i % 10);
  EXPECT_TRUE(judged_error(events, groups, 1, 50).by_group);
  EXPECT_EQ(judged_error(events, groups, 1, 50).clusters, 10u);
  for (int64_t& group : groups) group %= 3;
  EXPECT_FALSE(judged_error(events, groups, 1, 50).by_group);
}

TEST(Metrics, BrierIsTheSumOfItsParts) {
  Rng rng(24);
  std::vector<double> p;
  std::vector<int64_t> labels;
  for (int i = 0; i < 300; ++i) {
    double row[3], sum = 0.0;
    for (double& value : row) sum += value = static_cast<double>(1 + rng.below(4));
    for (const double value : row) p.push_back(value / sum);
    labels.push_back(static_cast<int64_t>(rng.below(3)));
  }
  const Brier brier = brier_of({3, p, labels}, 1000);
  EXPECT_NEAR(brier.score, brier.reliability - brier.resolution + brier.uncertainty, 1e-12);
  EXPECT_NEAR(brier.within_bins, 0.0, 1e-12);  // so fine that a bin holds one value
  EXPECT_GT(std::abs(brier_of({3, p, labels}, 4).within_bins), 1e-6);
}

// The hand-made cases of verified_calibration (Kumar et al. 2019), calibration/util_test.py.
TEST(Metrics, GiveThePublishedCases) {
  const std::vector<double> six = {.8, .1, .1, .6, .2, .2, 0., .9, .1,
                                   0., 1., 0., .3, .3, .4, .2, 0., .85};
  const std::vector<int64_t> six_labels = {0, 0, 1, 1, 0, 2};
  const std::vector<Event> events = top_events({3, six, six_labels});
  EXPECT_NEAR(expected_error(bins_of(events, Binning::kEqualWidth, 3)),
              4.0 / 6.0 * (1.0 - (0.8 + 0.85 + 0.9 + 1.0) / 4.0), 1e-12);
  EXPECT_NEAR(expected_error(bins_of(events, Binning::kEqualMass, 2)),
              0.5 * (2.0 / 3.0 - 0.6) + 0.5 * (1.0 - 2.75 / 3.0), 1e-12);
  const std::vector<double> two = {0.9, 0.1, 0.8, 0.2};
  const std::vector<int64_t> two_labels = {0, 0};
  EXPECT_NEAR(expected_error(bins_of(top_events({2, two, two_labels}), Binning::kEqualWidth)), 0.15,
              1e-12);
  std::vector<double> fourteen;
  for (int i = 0; i < 6; ++i) fourteen.insert(fourteen.end(), {0.6, 0.3, 0.1});
  for (int i = 0; i < 4; ++i) fourteen.insert(fourteen.end(), {0.1, 0.8, 0.1});
  for (int i = 0; i < 4; ++i) fourteen.insert(fourteen.end(), {0.1, 0.0, 0.9});
  const std::vector<int64_t> labels = {0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2};
  const Probabilities table = {3, fourteen, labels};
  EXPECT_NEAR(expected_error(bins_of(top_events(table), Binning::kEqualWidth)),
              6 / 14.0 * (5 / 6.0 - 0.6) + 4 / 14.0 * 0.05 + 4 / 14.0 * 0.1, 1e-12);
  EXPECT_NEAR(classwise_error(table),
              4 / 42.0 * 0.1 + 6 / 42.0 * (5 / 6.0 - 0.6) + 8 / 42.0 * 0.1 + 4 / 42.0 * 0.05 +
                  6 / 42.0 * (0.3 - 1 / 6.0),
              1e-12);
}

TEST(Metrics, BinsHaveTheEdgeRuleOfGuo) {
  const std::vector<Event> events = {{0.0, false}, {0.2, true}, {0.2000001, true}, {1.0, true}};
  const std::vector<Bin> bins = bins_of(events, Binning::kEqualWidth, 5);
  EXPECT_EQ(bins[0].count, 2);
  EXPECT_EQ(bins[1].count, 1);
  EXPECT_EQ(bins[4].count, 1);
}

TEST(Metrics, RiskCoverageByHand) {
  // Surest first: right, wrong, right -> risks 0, 1/2, 1/3.
  const std::vector<Event> events = {{0.9, true}, {0.5, true}, {0.7, false}};
  EXPECT_NEAR(aurc_of(events), (0.0 + 0.5 + 1.0 / 3.0) / 3.0, 1e-15);
  const std::vector<Event> tied = {{0.5, true}, {0.5, false}};
  EXPECT_NEAR(aurc_of(tied), 0.5, 1e-15);
}

}  // namespace
}  // namespace graupel::calibrate
