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

// What is known of public rules: the reference code of RAPS, np.quantile(scores, 1 - alpha,
// "higher"), is one rank too low for 80 % of all n at alpha 0.1 and for 98 % at 0.01; MAPIE's,
// np.quantile(scores, (n + 1)(1 - alpha) / n, "higher"), one too high for 10 % at 0.1.
TEST(Conformal, PublicRulesAreOffByOneAsOftenAsPublished) {
  const auto ceil_of = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  for (const int64_t percent : {10, 1}) {
    double counted = 0.0, too_low = 0.0, too_high = 0.0;
    for (int64_t n = 1; n <= 20000; ++n) {
      const auto exact =
          conformal_rank(static_cast<size_t>(n), static_cast<double>(percent) / 100.0);
      if (!exact) continue;
      const auto rank = static_cast<int64_t>(*exact);
      const int64_t raps = ceil_of((n - 1) * (100 - percent), 100) + 1;
      const int64_t mapie = ceil_of((n - 1) * (n + 1) * (100 - percent), 100 * n) + 1;
      ++counted;
      too_low += static_cast<double>(rank - raps);
      too_high += static_cast<double>(mapie - rank);
      ASSERT_TRUE(rank - raps == 0 || rank - raps == 1) << n;
      ASSERT_TRUE(mapie - rank == 0 || mapie - rank == 1) << n;
    }
    EXPECT_NEAR(too_low / counted, percent == 10 ? 0.80 : 0.98, 0.001);
    EXPECT_NEAR(too_high / counted, percent == 10 ? 0.10 : 0.01, 0.001);
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
