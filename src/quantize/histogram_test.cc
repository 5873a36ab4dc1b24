// Histograms: the same counts for any order, split and merge; growing is exact.
#include "quantize/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"

namespace graupel::quantize {
namespace {

std::vector<float> spread_values(size_t count) {
  Rng rng(3);
  std::vector<float> values(count);
  for (float& value : values) {
    value =
        static_cast<float>(rng.normal() * std::ldexp(1.0, static_cast<int>(rng.below(20)) - 10));
  }
  return values;
}

void expect_same(const Histogram& a, const Histogram& b) {
  EXPECT_EQ(a.bins(), b.bins());
  EXPECT_EQ(a.bin_width(), b.bin_width());
  EXPECT_EQ(a.count(), b.count());
  EXPECT_EQ(a.minimum(), b.minimum());
  EXPECT_EQ(a.maximum(), b.maximum());
}

TEST(Histogram, OrderAndPartsDoNotMatter) {
  std::vector<float> values = spread_values(5000);
  Histogram at_once;
  at_once.add(values);
  Rng rng(4);
  for (int round = 0; round < 5; ++round) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[rng.below(i)]);
    Histogram parts[3];
    for (size_t i = 0; i < values.size(); ++i) parts[rng.below(3)].add({&values[i], 1});
    Histogram merged;
    merged.merge(parts[2]);
    merged.merge(parts[0]);
    merged.merge(Histogram());
    merged.merge(parts[1]);
    expect_same(merged, at_once);
  }
}

TEST(Histogram, EveryValueLiesInItsBin) {
  const std::vector<float> values = spread_values(2000);
  Histogram histogram;
  histogram.add(values);
  std::vector<uint64_t> expected(Histogram::kBins, 0);
  for (const float value : values) {
    // By comparison, not by division.
    for (size_t bin = 0; bin < Histogram::kBins; ++bin) {
      const double low = histogram.bin_center(bin) - histogram.bin_width() / 2;
      if (value >= low && value < low + histogram.bin_width()) ++expected[bin];
    }
  }
  EXPECT_EQ(histogram.bins(), expected);
}

TEST(Histogram, LimitIsTheNextPowerOfTwo) {
  Histogram histogram;
  histogram.add(std::vector<float>{0.75f});
  EXPECT_EQ(histogram.bin_width() * Histogram::kBins, 2.0);
  histogram.add(std::vector<float>{-1.0f});
  EXPECT_EQ(histogram.bin_width() * Histogram::kBins, 4.0);
  histogram.add(std::vector<float>{-std::numeric_limits<float>::max()});
  EXPECT_EQ(histogram.bin_width() * Histogram::kBins, std::ldexp(1.0, 129));
  EXPECT_EQ(histogram.count(), 3u);
}

TEST(Histogram, NonFiniteValuesAreCountedApart) {
  const float infinity = std::numeric_limits<float>::infinity();
  Histogram histogram;
  histogram.add(std::vector<float>{NAN, infinity, -infinity});
  EXPECT_EQ(histogram.count(), 0u);
  histogram.add(std::vector<float>{NAN, 2.0f});
  EXPECT_EQ(histogram.non_finite(), 4u);
  EXPECT_EQ(histogram.count(), 1u);
  EXPECT_EQ(histogram.minimum(), 2.0);
  Histogram other;
  other.merge(histogram);
  EXPECT_EQ(other.non_finite(), 4u);
  EXPECT_EQ(other.minimum(), 2.0);
}

TEST(Histogram, ZerosAndTinyValuesHaveABin) {
  Histogram histogram;
  histogram.add(std::vector<float>{0.0f, 0.0f, std::numeric_limits<float>::denorm_min()});
  EXPECT_EQ(histogram.bins()[Histogram::kBins / 2], 3u);
  EXPECT_GT(histogram.bin_width(), 0.0);
}

}  // namespace
}  // namespace graupel::quantize
