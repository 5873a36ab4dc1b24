// Ranks against whole-number arithmetic, scores against the formulas by hand, coverage by trial.
#include "decide/conformal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"

namespace graupel::decide {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

TEST(Conformal, RankIsExactForEveryAlphaInThousandths) {
  for (int64_t n = 0; n <= 2500; ++n) {
    for (const int64_t a : {1, 5, 7, 10, 25, 50, 100, 123, 200, 300, 333, 500, 667, 900, 999}) {
      const int64_t k = ((n + 1) * (1000 - a) + 999) / 1000;
      const std::optional<size_t> rank =
          conformal_rank(static_cast<size_t>(n), static_cast<double>(a) / 1000.0);
      if (k > n) {
        EXPECT_EQ(rank, std::nullopt) << n << " " << a;
      } else {
        ASSERT_TRUE(rank) << n << " " << a;
        EXPECT_EQ(*rank, static_cast<size_t>(std::max<int64_t>(1, k))) << n << " " << a;
      }
    }
  }
}

TEST(Conformal, QuantileIsTheKthSmallestOrInfinite) {
  std::vector<double> scores = {5, 1, 4, 2, 3, 9, 7, 8, 6};
  EXPECT_EQ(conformal_quantile(scores, 0.1), 9.0);  // n = 9 is the smallest for 10 %
  EXPECT_EQ(conformal_quantile(scores, 0.5), 5.0);
  EXPECT_EQ(conformal_quantile(std::span<double>(scores).first(8), 0.1), kNoThreshold);
  EXPECT_EQ(conformal_quantile({}, 0.1), kNoThreshold);
}

std::vector<double> scores_of(const Conformal& conformal, const std::vector<double>& p, double u) {
  std::vector<int32_t> order(p.size());
  std::vector<double> scores(p.size());
  rank_classes(p, order);
  class_scores(conformal, p, order, u, scores);
  return scores;
}

TEST(Conformal, ScoresByHand) {
  const std::vector<double> p = {0.2, 0.5, 0.2, 0.1};
  Conformal c;
  const auto near = [](double x) { return DoubleNear(x, 1e-15); };
  EXPECT_THAT(scores_of(c, p, 0.25), ElementsAre(near(.8), near(.5), near(.8), near(.9)));
  c.method = ConformalMethod::kAps;
  EXPECT_THAT(scores_of(c, p, 0.25), ElementsAre(near(.7), near(.5), near(.9), near(1.)));
  c.randomised = true;
  EXPECT_THAT(scores_of(c, p, 0.25), ElementsAre(near(.55), near(.125), near(.75), near(.925)));
  c.method = ConformalMethod::kRaps;
  c.raps_free_ranks = 1;
  c.raps_lambda = 0.1;
  EXPECT_THAT(scores_of(c, p, 0.25), ElementsAre(near(.65), near(.125), near(.95), near(1.225)));
  c.method = ConformalMethod::kSaps;
  c.saps_weight = 0.3;
  EXPECT_THAT(scores_of(c, p, 0.25), ElementsAre(near(.575), near(.125), near(.875), near(1.175)));
  c.randomised = false;
  EXPECT_THAT(scores_of(c, p, 0.25), ElementsAre(near(.8), near(.5), near(1.1), near(1.4)));
}

// Probabilities drawn at random and a label drawn from them: a perfectly calibrated classifier.
struct Drawn {
  std::vector<double> p;
  size_t label = 0;
};
Drawn draw(Rng& rng, size_t classes) {
  Drawn drawn;
  drawn.p.resize(classes);
  double sum = 0.0;
  for (double& p : drawn.p) sum += p = std::exp(1.5 * rng.normal());
  for (double& p : drawn.p) p /= sum;
  double left = rng.uniform();
  while (drawn.label + 1 < classes && left >= drawn.p[drawn.label]) left -= drawn.p[drawn.label++];
  return drawn;
}

TEST(Conformal, CoverageFollowsItsLaw) {
  // The coverage of one threshold is Beta(k, n + 1 - k); over calibration sets and test windows
  // its mean is k / (n + 1).
  Rng rng(17);
  constexpr size_t kCount = 49, kTrials = 3000;
  for (const ConformalMethod method : {ConformalMethod::kLac, ConformalMethod::kAps,
                                       ConformalMethod::kRaps, ConformalMethod::kSaps}) {
    for (const bool randomised : {false, true}) {
      Conformal c;
      c.method = method;
      c.randomised = randomised;
      c.raps_free_ranks = 1;
      size_t covered = 0;
      for (size_t trial = 0; trial < kTrials; ++trial) {
        std::vector<double> scores;
        double last = 0.0;
        for (size_t i = 0; i <= kCount; ++i) {
          const Drawn drawn = draw(rng, 5);
          last = scores_of(c, drawn.p, rng.uniform())[drawn.label];
          if (i < kCount) scores.push_back(last);
        }
        covered += last <= conformal_quantile(scores, 0.1) ? 1 : 0;
      }
      const double expected = 45.0 / 50.0;
      const double error = std::sqrt(expected * (1 - expected) / kTrials);
      EXPECT_NEAR(static_cast<double>(covered) / kTrials, expected, 4 * error)
          << to_string(method) << randomised;
    }
  }
}

TEST(Conformal, ThresholdsByClassAndGroup) {
  Conformal c;
  c.threshold = 0.5;
  EXPECT_EQ(threshold_of(c, 1, 7), 0.5);
  c.condition = Condition::kClass;
  c.class_thresholds = {0.1, 0.2};
  EXPECT_EQ(threshold_of(c, 1, 7), 0.2);
  c = Conformal{};
  c.threshold = 0.5;
  c.condition = Condition::kGroup;
  c.groups = {-1, 7};
  c.group_thresholds = {0.3, 0.4};
  EXPECT_EQ(threshold_of(c, 1, 7), 0.4);
  EXPECT_EQ(threshold_of(c, 1, 8), 0.5);
  EXPECT_EQ(threshold_of(c, 1, std::nullopt), 0.5);
}

TEST(Conformal, UniformNumbersAreUniformAndOfTheWindow) {
  EXPECT_EQ(uniform_of(1, 5), uniform_of(1, 5));
  EXPECT_NE(uniform_of(1, 5), uniform_of(2, 5));
  double sum = 0.0, squares = 0.0;
  for (uint64_t i = 0; i < 20000; ++i) {
    const double u = uniform_of(3, i);
    ASSERT_TRUE(u >= 0.0 && u < 1.0);
    sum += u, squares += u * u;
  }
  EXPECT_NEAR(sum / 20000, 0.5, 0.01);
  EXPECT_NEAR(squares / 20000, 1.0 / 3.0, 0.01);
}

}  // namespace
}  // namespace graupel::decide
