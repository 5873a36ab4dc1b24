// FSQ against published vectors and thresholds, the definition, and literal counting.
#include "decide/fsq.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"

namespace graupel::decide {
namespace {

using ::testing::ElementsAre;

constexpr FsqVariant kAll[] = {FsqVariant::kLucidrains2024,
                               FsqVariant::kLucidrains2023,
                               FsqVariant::kPaper2023,
                               FsqVariant::kSymmetric,
                               FsqVariant::kHardClamp,
                               FsqVariant::kSigmoid,
                               FsqVariant::kIfsq};

std::vector<int64_t> digits_at(FsqVariant variant, const std::vector<int64_t>& levels,
                               const std::vector<double>& z) {
  std::vector<int64_t> digits;
  for (size_t i = 0; i < levels.size(); ++i) {
    digits.push_back(count_at_most<double>(z_thresholds(variant, levels[i]), z[i]));
    EXPECT_EQ(digits.back(), digit_by_definition(variant, levels[i], static_cast<float>(z[i])));
  }
  return digits;
}

struct Vector {
  std::vector<int64_t> levels;
  std::vector<double> z;
  std::vector<int64_t> digits;
  uint64_t index;
};
// Google's notebook (levels 3, 5, 4) and values computed with vector-quantize-pytorch.
const std::vector<Vector> kPublished = {
    {{3, 5, 4}, {.25, .6, -7}, {1, 3, 0}, 10},
    {{8, 5, 5, 5}, {2.338, -.663, .395, .147}, {7, 1, 3, 2}, 535},
    {{8, 5, 5, 5}, {.835, -1.402, -.415, -.751}, {6, 0, 1, 1}, 246},
    {{8, 5, 5, 5}, {-1.075, -.844, -.512, -.287}, {1, 1, 1, 1}, 249},
    {{8, 5, 5, 5}, {-.907, .422, -.548, -3.198}, {1, 3, 1, 0}, 65},
    {{8, 5, 5, 5}, {1.191, -.392, -.743, .268}, {7, 1, 1, 3}, 655},
    {{8, 5, 5, 5}, {.23, .053, -.854, .192}, {5, 2, 1, 2}, 461},
};

TEST(Fsq, GivesThePublishedDigitsAndIndices) {
  for (const Vector& row : kPublished) {
    EXPECT_EQ(digits_at(FsqVariant::kLucidrains2024, row.levels, row.z), row.digits);
    EXPECT_EQ(code_index(row.digits, row.levels, DigitOrder::kFirstFastest), row.index);
  }
  EXPECT_EQ(digits_at(FsqVariant::kPaper2023, {3, 5, 4}, {.25, .6, -7}),
            (std::vector<int64_t>{1, 3, 0}));
  const std::vector<int64_t> digits = {1, 3, 0};
  std::vector<double> centres;
  for (size_t i = 0; i < 3; ++i) {
    centres.push_back(code_centre(FsqVariant::kLucidrains2024, kPublished[0].levels[i], digits[i]));
  }
  EXPECT_THAT(centres, ElementsAre(0.0, 0.5, -1.0));
}

TEST(Fsq, HasThePublishedThresholds) {
  const std::vector<std::vector<double>> published = {
      {-3.800701},
      {-0.548640, 0.548640},
      {-1.149720, -0.346199, 0.457322},
      {-0.971245, -0.255146, 0.255146, 0.971245},
      {-1.298921, -0.625698, -0.202524, 0.220649, 0.893872},
      {-1.196229, -0.548640, -0.168065, 0.168065, 0.548640, 1.196229},
      {-1.422951, -0.792490, -0.437278, -0.143695, 0.149887, 0.505099, 1.135561}};
  for (size_t i = 0; i < published.size(); ++i) {
    const std::vector<double> found =
        z_thresholds(FsqVariant::kLucidrains2024, static_cast<int64_t>(i) + 2);
    ASSERT_EQ(found.size(), published[i].size());
    for (size_t k = 0; k < found.size(); ++k) EXPECT_NEAR(found[k], published[i][k], 1e-6);
  }
}

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

// Share of N(0,1) on which two variants give another digit.
double disagreement(FsqVariant a, FsqVariant b, int64_t levels) {
  const std::vector<double> x = z_thresholds(a, levels), y = z_thresholds(b, levels);
  double equal = 0.0;
  for (size_t d = 0; d < static_cast<size_t>(levels); ++d) {
    const auto below = [d](const std::vector<double>& t) { return d == 0 ? -1e9 : t[d - 1]; };
    const auto above = [d](const std::vector<double>& t) { return d == t.size() ? 1e9 : t[d]; };
    const double low = std::max(below(x), below(y)), high = std::min(above(x), above(y));
    if (high > low) equal += normal_cdf(high) - normal_cdf(low);
  }
  return 1.0 - equal;
}

TEST(Fsq, VariantsDisagreeAsMuchAsPublished) {
  const FsqVariant reference = FsqVariant::kLucidrains2024;
  const auto percent = [&](FsqVariant variant, int64_t levels) {
    return 100.0 * disagreement(variant, reference, levels);
  };
  EXPECT_NEAR(percent(FsqVariant::kPaper2023, 4), 0.14, 0.006);
  EXPECT_NEAR(percent(FsqVariant::kPaper2023, 8), 0.39, 0.006);
  EXPECT_NEAR(percent(FsqVariant::kSymmetric, 4), 33.4, 0.05);
  EXPECT_NEAR(percent(FsqVariant::kSymmetric, 6), 31.6, 0.05);
  EXPECT_NEAR(percent(FsqVariant::kSymmetric, 8), 31.0, 0.05);
  EXPECT_NEAR(percent(FsqVariant::kHardClamp, 4), 8.5, 0.05);
  EXPECT_NEAR(percent(FsqVariant::kHardClamp, 5), 12.6, 0.05);
  EXPECT_NEAR(percent(FsqVariant::kHardClamp, 8), 24.9, 0.05);
  EXPECT_NEAR(percent(FsqVariant::kIfsq, 5), 15.7, 0.05);
  EXPECT_NEAR(percent(FsqVariant::kIfsq, 8), 36.7, 0.05);
  const double whole =
      1.0 - std::pow(1.0 - disagreement(FsqVariant::kPaper2023, reference, 8), 8.0);
  EXPECT_NEAR(100.0 * whole, 3.1, 0.05);
}

TEST(Fsq, ThresholdsAreTheDefinitionForEveryVariant) {
  Rng rng(5);
  for (const FsqVariant variant : kAll) {
    for (int64_t levels = 2; levels <= 20; ++levels) {
      for (const bool folded : {false, true}) {
        const std::vector<double> thresholds = z_thresholds(variant, levels, folded);
        ASSERT_TRUE(std::is_sorted(thresholds.begin(), thresholds.end()));
        for (int i = 0; i < 300; ++i) {
          const float z = static_cast<float>(3.0 * rng.normal());
          // Within float32's error of a threshold the definition may fall either way.
          bool near = false;
          for (const double t : thresholds)
            near = near || std::abs(z - t) < 1e-5 * (1 + t * t * t * t);
          if (near) continue;
          EXPECT_EQ(count_at_most<double>(thresholds, z),
                    digit_by_definition(variant, levels, z, folded))
              << to_string(variant) << " " << levels << " at " << z;
        }
      }
    }
  }
}

TEST(Fsq, EveryIndexComesBackInBothOrders) {
  const std::vector<int64_t> levels = {3, 2, 5, 4};
  for (const DigitOrder order : {DigitOrder::kFirstFastest, DigitOrder::kLastFastest}) {
    std::vector<int64_t> digits(4, 0);
    for (uint64_t index = 0; index < 120; ++index) {
      digits_of(index, levels, order, digits);
      EXPECT_EQ(code_index(digits, levels, order), index);
      EXPECT_EQ(order == DigitOrder::kFirstFastest ? digits[0] : digits[3],
                static_cast<int64_t>(index % (order == DigitOrder::kFirstFastest ? 3 : 4)));
    }
  }
}

TEST(Fsq, IndicesAreExactBeyondFloat) {
  const std::vector<int64_t> levels(8, 8), last(8, 7);
  EXPECT_EQ(code_index(last, levels, DigitOrder::kFirstFastest), 16777215u);
  const std::vector<int64_t> wide(21, 8), top(21, 7);
  EXPECT_EQ(code_count(wide), uint64_t{1} << 63);
  EXPECT_EQ(code_index(top, wide, DigitOrder::kFirstFastest), (uint64_t{1} << 63) - 1);
  EXPECT_EQ(code_count(std::vector<int64_t>(22, 8)), std::nullopt);
}

TEST(Fsq, CodesComeBackByRoundingForAllLevels) {
  for (int64_t levels = 2; levels <= 128; ++levels) {
    for (int64_t digit = 0; digit < levels; ++digit) {
      const auto half = static_cast<double>(levels / 2);
      const double centre = code_centre(FsqVariant::kLucidrains2024, levels, digit);
      EXPECT_EQ(std::llround(centre * half + half), digit);
      const double grid = code_centre(FsqVariant::kSymmetric, levels, digit);
      EXPECT_EQ(std::llround((grid + 1.0) * static_cast<double>(levels - 1) / 2.0), digit);
    }
  }
}

TEST(Fsq, IntegerThresholdsAreTheFloatFormOnAllBytes) {
  const std::vector<int64_t> levels = {2, 3, 4, 5, 6, 7, 8, 16};
  Rng rng(9);
  for (const FsqVariant variant : kAll) {
    for (int trial = 0; trial < 20; ++trial) {
      const bool is_signed = trial % 2 == 0;
      const int32_t lowest = is_signed ? -128 : 0;
      const auto scale = static_cast<float>(std::exp(rng.uniform(-6.0, -2.0)));
      const int32_t zero_point = is_signed ? 0 : static_cast<int32_t>(rng.below(256));
      std::vector<std::vector<int64_t>> digit_of(levels.size());
      for (size_t d = 0; d < levels.size(); ++d) {
        for (int32_t v = lowest; v < lowest + 256; ++v) {
          const float z = static_cast<float>(v - zero_point) * scale;
          digit_of[d].push_back(digit_by_definition(variant, levels[d], z));
        }
      }
      const auto thresholds = integer_thresholds(levels, digit_of, lowest).value();
      for (size_t d = 0; d < levels.size(); ++d) {
        ASSERT_EQ(thresholds[d].size(), static_cast<size_t>(levels[d]) - 1);
        for (int32_t v = lowest; v < lowest + 256; ++v) {
          EXPECT_EQ(count_at_most<int32_t>(thresholds[d], v),
                    digit_of[d][static_cast<size_t>(v - lowest)]);
        }
      }
    }
  }
}

TEST(Fsq, IntegerThresholdsRefuseWhatIsNoThreshold) {
  const std::vector<int64_t> levels = {3};
  EXPECT_EQ(integer_thresholds(levels, {{0, 1, 0}}, 0).error().code, ErrorCode::kInvalidInput);
  EXPECT_THAT(integer_thresholds(levels, {{-1, 1, 3}}, 0).value()[0], ElementsAre(1, 2));
  EXPECT_THAT(integer_thresholds(levels, {{0, 0, 0}}, 0).value()[0], ElementsAre(256, 256));
  EXPECT_THAT(integer_thresholds(levels, {{0, 2, 2}}, -128).value()[0], ElementsAre(-127, -127));
}

TEST(Fsq, WarnsOfDeadDimensions) {
  Fsq fsq;
  fsq.levels = {5, 2, 3, 2};
  ASSERT_EQ(fsq_warnings(fsq).size(), 2u);
  EXPECT_NE(fsq_warnings(fsq)[0].find("dimension 1 has 2 levels"), std::string::npos);
  EXPECT_NE(fsq_warnings(fsq)[0].find("z = -3.80"), std::string::npos);
  fsq.variant = FsqVariant::kSymmetric;
  EXPECT_TRUE(fsq_warnings(fsq).empty());
}

TEST(Fsq, HostFormulasAreThoseOfTheCodeTheyComeFrom) {
  // Values computed with NumPy from the two published texts.
  EXPECT_EQ(host_formula_digit(HostFormula::kGrid, 8, 0.23f), 4);
  EXPECT_EQ(host_formula_digit(HostFormula::kGrid, 8, 9.0f), 7);
  EXPECT_EQ(host_formula_digit(HostFormula::kLevels, 8, 9.0f), 8);  // one digit too many
  EXPECT_EQ(host_formula_digit(HostFormula::kLevels, 5, -0.4f), 2);
  EXPECT_EQ(host_formula_digit(HostFormula::kGrid, 5, -0.4f), 1);
}

}  // namespace
}  // namespace graupel::decide
