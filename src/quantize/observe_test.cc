// The observers against plain loops over all values.
#include "quantize/observe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quantize/test_support.h"

namespace graupel::quantize {
namespace {

ir::Graph one_relu() { return body("input x: float32[1x3x5]\nrelu: Relu(x) -> y\noutput y"); }

// Channel 0 is large, channel 1 quiet, channel 2 has one enormous value now and then.
Tensor uneven_windows(int64_t count) {
  Tensor windows = random_tensor(5, {count, 3, 5});
  const std::span<float> values = windows.mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t channel = i / 5 % 3;
    values[i] *= channel == 0 ? 20.0f : channel == 1 ? 0.2f : 1.0f;
    if (channel == 2 && i % 997 == 0) values[i] = 900.0f;
  }
  return windows;
}

ScaleChoice chosen(const Tensor& windows, Calibrator calibrator) {
  const ir::Graph graph = one_relu();
  const Points points = find_points(graph);
  const Result<Observation> seen = observe(graph, points, windows, calibrator);
  EXPECT_TRUE(seen.ok());
  QuantizeOptions options;
  options.calibrator = calibrator;
  const auto scales = choose_scales(graph, points, *seen, options);
  EXPECT_TRUE(scales.ok());
  return (*scales)[graph.inputs[0].index()];
}

TEST(Observe, MovingAverageFollowsTheWindowsInOrder) {
  const Tensor windows = uneven_windows(100);
  double low = 0, high = 0;
  for (size_t n = 0; n < 100; ++n) {
    const auto values = windows.data<float>().subspan(n * 15, 15);
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const double a = std::min(0.0, double{*least}), b = std::max(0.0, double{*most});
    low = n == 0 ? a : 0.99 * low + 0.01 * a;
    high = n == 0 ? b : 0.99 * high + 0.01 * b;
  }
  const ScaleChoice choice = chosen(windows, Calibrator::kMovingAverage);
  EXPECT_NEAR(choice.scale, std::max(-low, high) / 127.0, 1e-5 * choice.scale);
}

TEST(Observe, ChannelStatisticsAreThoseOfTheValues) {
  const ir::Graph graph = one_relu();
  const Points points = find_points(graph);
  const Tensor windows = uneven_windows(200);
  const Result<Observation> seen = observe(graph, points, windows, Calibrator::kMse);
  ASSERT_TRUE(seen.ok());
  const ChannelStats& stats = seen->channels[graph.inputs[0].index()];
  ASSERT_EQ(stats.sum.size(), 3u);
  EXPECT_EQ(stats.count, 1000.0);
  double sum = 0, largest = 0;
  for (size_t i = 0; i < windows.size(); ++i) {
    if (i / 5 % 3 != 1) continue;
    sum += static_cast<double>(windows.data<float>()[i]);
    largest = std::max(largest, std::abs(static_cast<double>(windows.data<float>()[i])));
  }
  EXPECT_NEAR(stats.sum[1], sum, 1e-9 * (1 + std::abs(sum)));
  EXPECT_EQ(stats.largest[1], largest);
}

TEST(Observe, EveryCalibratorIsADecisionOfItsOwnOnHeavyTails) {
  const Tensor windows = uneven_windows(400);
  const double minmax = chosen(windows, Calibrator::kMinMax).scale;
  EXPECT_NEAR(minmax, 900.0 / 127.0, 1e-3);
  EXPECT_LT(chosen(windows, Calibrator::kEntropy).scale, 0.5 * minmax) << "KL is not minmax";
  EXPECT_LT(chosen(windows, Calibrator::kPercentile).scale, 1.01 * minmax);
  // mse-channel has the smaller sum of the channels' relative errors, mse the smaller error.
  const auto relative = [&](const ScaleChoice& choice) {
    double errors[3] = {}, powers[3] = {};
    for (size_t i = 0; i < windows.size(); ++i) {
      const double x = windows.data<float>()[i];
      const double code = std::clamp(std::nearbyint(x / choice.scale), -128.0, 127.0);
      const double error = x - code * choice.scale;
      errors[i / 5 % 3] += error * error;
      powers[i / 5 % 3] += x * x;
    }
    return errors[0] / powers[0] + errors[1] / powers[1] + errors[2] / powers[2];
  };
  const ScaleChoice mse = chosen(windows, Calibrator::kMse);
  const ScaleChoice channel = chosen(windows, Calibrator::kMseChannel);
  EXPECT_LE(relative(channel), 1.02 * relative(mse));
}

TEST(Observe, FewBinsAreStillEnough) {
  EXPECT_GE(Histogram::kFewBins, 2048u);
  Histogram few(Histogram::kFewBins), many;
  const Tensor values = random_tensor(8, {20000});
  few.add(values.data<float>());
  many.add(values.data<float>());
  const ScaleChoice choice = choose_scale({-3.0, 3.0}, Scheme::kSymmetric);
  EXPECT_NEAR(quantization_error(few, choice), quantization_error(many, choice),
              0.05 * quantization_error(many, choice));
}

}  // namespace
}  // namespace graupel::quantize
