// What augmentation may change and what it has to leave alone, and how large the changes are.
#include "train/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace graupel::train {
namespace {

constexpr WindowShape kShape = {9, 2, 40};
constexpr double kPi = 3.14159265358979323846;

std::vector<float> random_window(uint64_t seed) {
  Rng rng(seed);
  std::vector<float> window(static_cast<size_t>(kShape.size()));
  for (float& value : window) value = static_cast<float>(rng.normal());
  return window;
}
double at(const std::vector<float>& window, int64_t channel, int64_t sensor, int64_t t) {
  return window[static_cast<size_t>((channel * kShape.sensors + sensor) * kShape.samples + t)];
}
double dot(const std::vector<float>& window, int64_t a, int64_t b, int64_t sensor, int64_t t) {
  double sum = 0.0;
  for (int64_t i = 0; i < 3; ++i) {
    sum += at(window, 3 * a + i, sensor, t) * at(window, 3 * b + i, sensor, t);
  }
  return sum;
}

TEST(Augment, RotationKeepsLengthsAndTheAnglesBetweenKindsOfReadings) {
  const std::vector<float> before = random_window(1);
  std::vector<float> after = before;
  Rng rng(2);
  rotate_sensors(after, kShape, 0.8, rng);
  EXPECT_NE(before, after);
  for (int64_t sensor = 0; sensor < 2; ++sensor) {
    for (int64_t t = 0; t < kShape.samples; ++t) {
      for (int64_t a = 0; a < 3; ++a) {
        for (int64_t b = a; b < 3; ++b) {
          EXPECT_NEAR(dot(after, a, b, sensor, t), dot(before, a, b, sensor, t), 1e-5);
        }
      }
    }
  }
}

TEST(Augment, RotationKeepsHandednessAndTurnsEachSensorByItsOwn) {
  // x, y and z as the three kinds of readings: their determinant is 1 before and after.
  std::vector<float> window(static_cast<size_t>(kShape.size()), 0.0f);
  for (int64_t kind = 0; kind < 3; ++kind) {
    for (int64_t sensor = 0; sensor < 2; ++sensor) {
      window[static_cast<size_t>(((4 * kind) * 2 + sensor) * kShape.samples)] = 1.0f;
    }
  }
  Rng rng(3);
  rotate_sensors(window, kShape, 1.0, rng);
  const auto m = [&](int64_t i, int64_t j, int64_t s) { return at(window, 3 * j + i, s, 0); };
  for (int64_t s = 0; s < 2; ++s) {
    const double determinant = m(0, 0, s) * (m(1, 1, s) * m(2, 2, s) - m(1, 2, s) * m(2, 1, s)) -
                               m(0, 1, s) * (m(1, 0, s) * m(2, 2, s) - m(1, 2, s) * m(2, 0, s)) +
                               m(0, 2, s) * (m(1, 0, s) * m(2, 1, s) - m(1, 1, s) * m(2, 0, s));
    EXPECT_NEAR(determinant, 1.0, 1e-5);
  }
  EXPECT_NE(at(window, 0, 0, 0), at(window, 0, 1, 0));
}

// A rotation vector of three normal components of sigma: the squared angle has mean 3 sigma^2.
TEST(Augment, TheAngleOfRotationIsAsAskedFor) {
  const double sigma = 20.0 * kPi / 180.0;
  Rng rng(4);
  double sum = 0.0;
  const int count = 4000;
  for (int i = 0; i < count; ++i) {
    std::vector<float> frame = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    rotate_sensors(frame, {9, 1, 1}, sigma, rng);
    const double trace = frame[0] + frame[4] + frame[8];
    const double angle = std::acos(std::clamp((trace - 1.0) / 2.0, -1.0, 1.0));
    sum += angle * angle;
  }
  EXPECT_NEAR(sum / count, 3.0 * sigma * sigma, 0.03 * 3.0 * sigma * sigma);
}

TEST(Augment, ScalingIsOneGainPerKindAndSensor) {
  const std::vector<float> before = random_window(5);
  double sum = 0.0, squares = 0.0;
  const int count = 1000;
  Rng rng(6);
  for (int i = 0; i < count; ++i) {
    std::vector<float> after = before;
    scale_readings(after, kShape, 0.1, rng);
    for (int64_t kind = 0; kind < 3; ++kind) {
      const double gain = at(after, 3 * kind, 1, 0) / at(before, 3 * kind, 1, 0);
      for (int64_t c = 3 * kind; c < 3 * kind + 3; ++c) {
        EXPECT_NEAR(at(after, c, 1, 17), gain * at(before, c, 1, 17), 1e-5);
      }
      sum += gain - 1.0;
      squares += (gain - 1.0) * (gain - 1.0);
    }
  }
  EXPECT_NEAR(sum / (3 * count), 0.0, 0.006);
  EXPECT_NEAR(std::sqrt(squares / (3 * count)), 0.1, 0.005);
}

TEST(Augment, MagnitudeWarpKeepsDirectionsAndVariesAlongTheWindow) {
  const std::vector<float> before = random_window(7);
  std::vector<float> after = before;
  Rng rng(8);
  warp_magnitude(after, kShape, 0.3, rng);
  const auto gain = [&](int64_t c, int64_t t) { return at(after, c, 0, t) / at(before, c, 0, t); };
  for (int64_t t = 0; t < kShape.samples; ++t) {
    EXPECT_NEAR(gain(1, t), gain(0, t), 1e-4);
    EXPECT_NEAR(gain(2, t), gain(0, t), 1e-4);
  }
  EXPECT_GT(std::abs(gain(0, 0) - gain(0, 20)), 1e-3);
}

TEST(Augment, TimeWarpKeepsTheEndsTheOrderAndWhatIsConstant) {
  std::vector<float> ramp(static_cast<size_t>(kShape.size()));
  for (size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<float>(i % 40);
  std::vector<float> level(static_cast<size_t>(kShape.size()), 2.5f);
  const std::vector<float> level_before = level;
  Rng rng(9);
  double furthest = 0.0;
  for (int i = 0; i < 20; ++i) {
    std::vector<float> after = ramp;
    warp_time(after, kShape, 0.3, rng);
    for (int64_t r = 0; r < 18; ++r) {
      EXPECT_EQ(after[static_cast<size_t>(r * 40)], 0.0f);
      EXPECT_EQ(after[static_cast<size_t>(r * 40 + 39)], 39.0f);
      for (int64_t t = 1; t < 40; ++t) {
        const auto place = static_cast<size_t>(r * 40 + t);
        EXPECT_GT(after[place], after[place - 1]);
        EXPECT_EQ(after[place], after[static_cast<size_t>(t)]);  // the same for every row
        furthest = std::max(furthest, std::abs(static_cast<double>(after[place]) - t));
      }
    }
  }
  EXPECT_GT(furthest, 1.0);
  warp_time(level, kShape, 0.3, rng);
  EXPECT_EQ(level, level_before);
}

TEST(Augment, JitterHasItsSigmaAndNoMean) {
  std::vector<float> values(100001, 1.0f);
  Rng rng(10);
  add_jitter(values, 0.05, rng);
  double sum = 0.0, squares = 0.0, fourths = 0.0;
  for (const float value : values) {
    const double noise = value - 1.0;
    sum += noise;
    squares += noise * noise;
    fourths += noise * noise * noise * noise;
  }
  const auto count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0.0, 7e-4);
  EXPECT_NEAR(std::sqrt(squares / count), 0.05, 5e-4);
  EXPECT_NEAR(fourths / count / std::pow(squares / count, 2), 3.0, 0.1);  // normal, not uniform
}

TEST(Augment, ASensorDropsOutAsOftenAsAskedForAndNeverTheOnlyOne) {
  int dropped[2] = {0, 0};
  Rng rng(11);
  const std::vector<float> before = random_window(12);
  for (int i = 0; i < 2000; ++i) {
    std::vector<float> window = before;
    drop_sensor(window, kShape, 0.3, rng);
    for (int64_t sensor = 0; sensor < 2; ++sensor) {
      bool silent = true;
      for (int64_t c = 0; c < 9; ++c) {
        for (int64_t t = 0; t < 40; ++t) silent = silent && at(window, c, sensor, t) == 0.0;
      }
      dropped[sensor] += silent ? 1 : 0;
    }
  }
  EXPECT_NEAR(dropped[0], 300, 60);
  EXPECT_NEAR(dropped[1], 300, 60);
  std::vector<float> only(9 * 40, 1.0f);
  for (int i = 0; i < 50; ++i) drop_sensor(only, {9, 1, 40}, 0.9, rng);
  EXPECT_EQ(only, std::vector<float>(9 * 40, 1.0f));
}

TEST(Augment, TheSameSeedGivesTheSameWindowAndZeroesChangeNothing) {
  const Augmentation all = {20.0, 0.1, 0.05, 0.1, 0.1, 0.2};
  std::vector<float> first = random_window(13), second = random_window(13);
  Rng one(14), other(14);
  augment_recorded(first, kShape, all, one);
  augment_scaled(first, kShape, all, one);
  augment_recorded(second, kShape, all, other);
  augment_scaled(second, kShape, all, other);
  EXPECT_EQ(first, second);
  std::vector<float> still = random_window(13);
  const Augmentation none = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
  augment_recorded(still, kShape, none, one);
  augment_scaled(still, kShape, none, one);
  EXPECT_EQ(still, random_window(13));
}

}  // namespace
}  // namespace graupel::train
