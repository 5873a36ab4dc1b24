// The calibrators against exhaustive search and sorted values; scales of both schemes.
#include "quantize/choose_range.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace graupel::quantize {
namespace {

Histogram histogram_of(const std::vector<float>& values) {
  Histogram histogram;
  histogram.add(values);
  return histogram;
}

std::vector<float> uniform_values(size_t count, double low, double high) {
  Rng rng(1);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.uniform(low, high));
  return values;
}

// Laplace, with one value in a thousand twenty times as large.
std::vector<float> heavy_values(size_t count) {
  Rng rng(2);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    const double u = rng.uniform(-0.5, 0.5);
    const double value = -std::copysign(std::log(1 - 2 * std::abs(u)), u);
    values[i] = static_cast<float>(i % 1000 == 0 ? 20 * value : value);
  }
  return values;
}

Range range_of(const std::vector<float>& values, Calibrator calibrator,
               Scheme scheme = Scheme::kSymmetric, double percentile = 99.99) {
  QuantizeOptions options;
  options.calibrator = calibrator;
  options.scheme = scheme;
  options.percentile = percentile;
  const Result<Range> range = choose_range(histogram_of(values), options);
  EXPECT_TRUE(range.ok());
  return range.ok() ? *range : Range();
}

double exact_error(const std::vector<float>& values, const ScaleChoice& choice) {
  const double lowest = choice.dtype == DType::kInt8 ? -128 : 0;
  double sum = 0;
  for (const float value : values) {
    const double code =
        std::clamp(std::nearbyint(static_cast<double>(value) / choice.scale) + choice.zero_point,
                   lowest, lowest + 255);
    const double error = value - (code - choice.zero_point) * choice.scale;
    sum += error * error;
  }
  return sum / static_cast<double>(values.size());
}

TEST(ChooseRange, MinMaxKeepsEverythingAndZero) {
  const Range range = range_of({2.0f, 5.0f, 3.0f}, Calibrator::kMinMax);
  EXPECT_EQ(range.low, 0.0);
  EXPECT_EQ(range.high, 5.0);
  EXPECT_EQ(range_of({-2.0f, -5.0f}, Calibrator::kMinMax).high, 0.0);
}

TEST(ChooseRange, PercentileIsWithinABinOfTheSortedValues) {
  std::vector<float> values = heavy_values(20000);
  const double width = histogram_of(values).bin_width();
  for (const double percentile : {99.0, 99.5, 99.75}) {
    const Range range = range_of(values, Calibrator::kPercentile, Scheme::kSymmetric, percentile);
    std::sort(values.begin(), values.end());
    const auto cut = static_cast<size_t>(20000 * (100 - percentile) / 100 + 0.5);
    EXPECT_NEAR(range.high, values[values.size() - 1 - cut], width);
    EXPECT_NEAR(range.low, values[cut], width);
  }
}

TEST(ChooseRange, MseIsNearTheBestOfAFineSearch) {
  for (const Scheme scheme : {Scheme::kSymmetric, Scheme::kAsymmetric}) {
    for (const bool positive : {false, true}) {
      std::vector<float> values = heavy_values(20000);
      if (positive) {
        for (float& value : values) value = std::max(value, 0.0f);
      }
      const Range range = range_of(values, Calibrator::kMse, scheme);
      const double found = exact_error(values, choose_scale(range, scheme));
      const Range full = range_of(values, Calibrator::kMinMax);
      double best = found;
      for (int low = 1; low <= 150; ++low) {
        for (int high = 1; high <= 150; ++high) {
          if (scheme == Scheme::kSymmetric && low != high) continue;
          const Range candidate = {full.low * low / 150, full.high * high / 150};
          best = std::min(best, exact_error(values, choose_scale(candidate, scheme)));
          if (scheme == Scheme::kAsymmetric) high += 9;
        }
        if (scheme == Scheme::kAsymmetric) low += 9;
      }
      EXPECT_LE(found, 1.1 * best);
      EXPECT_LE(found, exact_error(values, choose_scale(full, scheme)));
    }
  }
}

TEST(ChooseRange, EntropyClipsHeavyTailsAndKeepsUniformValues) {
  const std::vector<float> heavy = heavy_values(100000);
  const Range full = range_of(heavy, Calibrator::kMinMax);
  const Range clipped = range_of(heavy, Calibrator::kEntropy);
  EXPECT_LT(clipped.high, 0.5 * full.high);
  EXPECT_GT(clipped.high, 3.0) << "the bulk of a Laplace distribution stays";

  const Range uniform = range_of(uniform_values(100000, -3, 3), Calibrator::kEntropy);
  EXPECT_GT(uniform.high, 0.95 * 3);
  EXPECT_LT(uniform.low, -0.95 * 3);
}

TEST(ChooseRange, EntropyHasEnoughCandidates) {
  // The largest magnitude lies in the upper half of the 4096 bins per sign, and candidates start
  // at 128: always more than 1920.
  for (const float largest : {1.0f, 1.01f, 1.99f}) {
    const Histogram histogram = histogram_of({-largest, 0.5f});
    EXPECT_GE(largest / histogram.bin_width() - 128, 1919);
  }
}

TEST(ChooseRange, EntropyIgnoresThePileOfZeros) {
  std::vector<float> values = uniform_values(50000, 0, 6);
  values.resize(500000, 0.0f);  // a Relu that is mostly off
  EXPECT_GT(range_of(values, Calibrator::kEntropy).high, 0.9 * 6);
}

TEST(ChooseRange, NothingSeenIsAnEmptyRange) {
  for (const Calibrator calibrator :
       {Calibrator::kMinMax, Calibrator::kPercentile, Calibrator::kMse, Calibrator::kEntropy}) {
    const Range empty = range_of({}, calibrator);
    EXPECT_EQ(empty.high - empty.low, 0.0);
    const Range zeros = range_of({0.0f, 0.0f}, calibrator);
    EXPECT_EQ(choose_scale(zeros, Scheme::kSymmetric).scale, 1.0f);
    EXPECT_EQ(choose_scale(zeros, Scheme::kAsymmetric).scale, 1.0f);
  }
}

TEST(ChooseScale, Schemes) {
  const ScaleChoice both = choose_scale({-2.54, 1.0}, Scheme::kSymmetric);
  EXPECT_EQ(both.dtype, DType::kInt8);
  EXPECT_FLOAT_EQ(both.scale, 0.02f);
  EXPECT_EQ(both.zero_point, 0);
  const ScaleChoice positive = choose_scale({0.0, 5.1}, Scheme::kSymmetric);
  EXPECT_EQ(positive.dtype, DType::kUInt8);
  EXPECT_FLOAT_EQ(positive.scale, 0.02f);
  EXPECT_EQ(positive.zero_point, 0);
  const ScaleChoice shifted = choose_scale({-1.0, 4.1}, Scheme::kAsymmetric);
  EXPECT_EQ(shifted.dtype, DType::kUInt8);
  EXPECT_FLOAT_EQ(shifted.scale, 0.02f);
  EXPECT_EQ(shifted.zero_point, 50);
  EXPECT_EQ(choose_scale({-5.1, 0.0}, Scheme::kAsymmetric).zero_point, 255);
  EXPECT_EQ(choose_scale({0.0, 1e-44}, Scheme::kSymmetric).scale, 1.0f) << "denormal";
}

TEST(ChooseScale, HistogramErrorIsThatOfTheValues) {
  const std::vector<float> values = heavy_values(20000);
  for (const Scheme scheme : {Scheme::kSymmetric, Scheme::kAsymmetric}) {
    for (const double high : {2.0, 8.0, 60.0}) {
      const ScaleChoice choice = choose_scale({-high / 2, high}, scheme);
      const double exact = exact_error(values, choice);
      EXPECT_NEAR(quantization_error(histogram_of(values), choice), exact, 0.03 * exact);
    }
  }
}

TEST(Calibrators, AreReadUnderTheNamesTheyAreWrittenWith) {
  for (const Calibrator calibrator :
       {Calibrator::kMinMax, Calibrator::kMovingAverage, Calibrator::kPercentile, Calibrator::kMse,
        Calibrator::kMseChannel, Calibrator::kEntropy, Calibrator::kOutput}) {
    EXPECT_EQ(parse_calibrator(to_string(calibrator)), calibrator);
  }
  EXPECT_FALSE(parse_calibrator("average").has_value());
}

}  // namespace
}  // namespace graupel::quantize
