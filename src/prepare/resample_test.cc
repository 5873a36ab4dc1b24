// Expected numbers in tests/data/prepare/resample.npz are scipy 1.11's
// resample_poly(x, up, down, padtype='edge').
#include "prepare/resample.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/npy.h"

namespace graupel::prepare {
namespace {

constexpr double kPi = 3.14159265358979323846;

std::vector<double> sine(double frequency_hz, double rate_hz, size_t samples) {
  std::vector<double> x;
  for (size_t i = 0; i < samples; ++i) {
    x.push_back(std::sin(2.0 * kPi * frequency_hz * static_cast<double>(i) / rate_hz));
  }
  return x;
}

std::vector<double> at_25_hz(const std::vector<double>& x, double rate_hz) {
  const Ratio ratio = rate_ratio(rate_hz, 25.0).value();
  return resample(x, ratio, antialias_filter(ratio));
}

TEST(Resample, AgreesWithScipy) {
  const std::vector<data::NamedTensor> arrays =
      data::read_npz(GRAUPEL_SOURCE_DIR "/tests/data/prepare/resample.npz").value();
  ASSERT_EQ(arrays.size(), 15u);
  for (size_t i = 0; i < arrays.size(); i += 3) {
    const std::vector<int64_t> terms = arrays[i].tensor.to_int64s();
    const Ratio ratio = {terms[0], terms[1]};
    const std::vector<double> x = arrays[i + 1].tensor.to_doubles();
    const std::vector<double> expected = arrays[i + 2].tensor.to_doubles();
    const std::vector<double> y = resample(x, ratio, antialias_filter(ratio));
    ASSERT_EQ(y.size(), expected.size()) << terms[0] << "/" << terms[1];
    for (size_t k = 0; k < y.size(); ++k) EXPECT_NEAR(y[k], expected[k], 1e-9) << k;
  }
}

TEST(Resample, KeepsWhatIsBelowNyquist) {
  for (const double rate : {50.0, 100.0, 102.0, 20.0}) {
    const std::vector<double> y = at_25_hz(sine(3.0, rate, static_cast<size_t>(rate) * 8), rate);
    const std::vector<double> expected = sine(3.0, 25.0, y.size());
    for (size_t i = 25; i + 25 < y.size(); ++i) {
      EXPECT_NEAR(y[i], expected[i], 0.01) << rate << " Hz, sample " << i;
    }
  }
}

TEST(Resample, RemovesWhatWouldAlias) {
  for (const double frequency : {17.0, 21.0, 30.0, 41.0}) {
    const std::vector<double> y = at_25_hz(sine(frequency, 100.0, 800), 100.0);
    double largest = 0.0;
    for (size_t i = 25; i + 25 < y.size(); ++i) largest = std::max(largest, std::abs(y[i]));
    EXPECT_LT(largest, 0.01) << frequency << " Hz";
  }
}

TEST(Resample, AConstantStaysToTheEnds) {
  for (const double value : at_25_hz(std::vector<double>(90, 9.81), 102.0)) {
    EXPECT_NEAR(value, 9.81, 0.02);
  }
}

TEST(Resample, TheRatioOneIsTheSignalItself) {
  const std::vector<double> x = {1.5, -2.25, 1e300};
  EXPECT_EQ(resample(x, Ratio{}, {}), x);
}

TEST(Resample, RatiosAreSmallFractions) {
  EXPECT_EQ(rate_ratio(100, 25).value(), (Ratio{1, 4}));
  EXPECT_EQ(rate_ratio(20, 25).value(), (Ratio{5, 4}));
  EXPECT_EQ(rate_ratio(102, 25).value(), (Ratio{25, 102}));
  EXPECT_EQ(rate_ratio(25, 25).value(), (Ratio{1, 1}));
  EXPECT_EQ(rate_ratio(25, 12.5).value(), (Ratio{1, 2}));
  EXPECT_EQ(rate_ratio(33.3, 25).value(), (Ratio{250, 333}));
  EXPECT_FALSE(rate_ratio(9973, 25).ok());
  EXPECT_FALSE(rate_ratio(10000, 0.1).ok());
}

}  // namespace
}  // namespace graupel::prepare
