// Against NumPy 2.4 and SciPy 1.17: scipy.stats.pearsonr at every lag, numpy.correlate for the
// autocorrelations, scipy.stats.norm for the probability.
#include "serve/synchrony.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace graupel::serve {
namespace {

enum class Kind { kDelayed, kOpposed, kMixed, kUnrelated, kSlow };

struct Series {
  std::vector<double> a, b;
};

double base_at(double i) {
  return std::sin(0.13 * i) + 0.4 * std::sin(0.71 * i + 1) + 0.2 * std::sin(1.9 * i + 2);
}

Series series_of(Kind kind, size_t count) {
  Series series;
  double sum_a = 0.0, sum_b = 0.0;
  for (size_t index = 0; index < count; ++index) {
    const auto i = static_cast<double>(index);
    const double base = base_at(i), delayed = base_at(i - 7);
    const double other =
        std::sin(0.31 * i + 0.5) + 0.5 * std::sin(1.07 * i) + 0.3 * std::sin(2.3 * i + 1);
    sum_a += std::sin(0.05 * i * i);
    sum_b += std::sin(0.037 * i * i + 1);
    const std::pair<double, double> of_kind[] = {{base, delayed},
                                                 {delayed, -base},
                                                 {base, 0.5 * delayed + other},
                                                 {base, other},
                                                 {sum_a, sum_b}};
    series.a.push_back(of_kind[static_cast<size_t>(kind)].first);
    series.b.push_back(of_kind[static_cast<size_t>(kind)].second);
  }
  return series;
}

TEST(Synchrony, IsThatOfScipy) {
  struct Row {
    Kind kind;
    size_t count, max_lag;
    double r;
    int64_t lag;
    double samples, confidence;
  };
  const Row rows[] = {
      {Kind::kDelayed, 300, 20, 1.000000000000, 7, 8.194674416, 1},
      {Kind::kDelayed, 500, 50, 1.000000000000, 7, 8.103184210, 1},
      {Kind::kOpposed, 300, 20, -1.000000000000, -7, 8.194674416, 1},
      {Kind::kOpposed, 500, 50, -1.000000000000, -7, 8.103184210, 1},
      {Kind::kMixed, 300, 20, 0.414911351141, 7, 39.597041826, 0.732572032},
      {Kind::kMixed, 500, 50, 0.425584746388, 7, 47.450830095, 0.781011841},
      {Kind::kUnrelated, 300, 20, 0.040459276637, -9, 291.000000000, 8.65623788e-13},
      {Kind::kUnrelated, 500, 50, -0.025764198360, -35, 215.877385751, 1.46242775e-54},
      {Kind::kSlow, 300, 20, 0.774283861220, 20, 8.861014129, 0.595441309},
      {Kind::kSlow, 500, 50, 0.371357190984, 26, 17.212446841, 2.03356274e-07},
  };
  for (const Row& row : rows) {
    const Series series = series_of(row.kind, row.count);
    const auto found = synchrony(series.a, series.b, row.max_lag);
    ASSERT_TRUE(found.has_value());
    EXPECT_NEAR(found->r, row.r, 1e-10);
    EXPECT_EQ(found->lag, row.lag);
    EXPECT_NEAR(found->effective_samples, row.samples, 1e-6);
    EXPECT_NEAR(found->confidence, row.confidence, 1e-7);
  }
}

TEST(Synchrony, SaysNothingOfTooLittleOrOfASensorThatRests) {
  std::vector<double> moving, resting(100, 9.80665);
  for (int i = 0; i < 100; ++i) moving.push_back(std::sin(0.3 * i));
  EXPECT_TRUE(synchrony(moving, moving, 20).has_value());
  EXPECT_FALSE(synchrony(moving, resting, 20).has_value());
  EXPECT_FALSE(synchrony(moving, moving, 46).has_value());
  EXPECT_FALSE(synchrony({}, {}, 0).has_value());
  EXPECT_FALSE(synchrony(moving, std::span(moving).first(50), 2).has_value());
}

}  // namespace
}  // namespace graupel::serve
