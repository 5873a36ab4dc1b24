// Frames by hand, against a literal transposition in double, and with the published numbers of a
// real HEF (input scale 0.00392153254, limits 0 to 0.99999; output zero point 128).
#include "npu/frames.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"

namespace graupel::npu {
namespace {

std::vector<int> bytes_of(const std::vector<std::byte>& frame) {
  std::vector<int> values;
  for (const std::byte b : frame) values.push_back(static_cast<int>(b));
  return values;
}

TEST(Frames, ChannelsComeLast) {
  const FrameLayout layout{.height = 2, .width = 2, .channels = 3};
  const std::vector<float> values = {0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23};
  const auto frame = quantized_frame(values, layout);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(bytes_of(*frame), (std::vector<int>{0, 10, 20, 1, 11, 21, 2, 12, 22, 3, 13, 23}));
  EXPECT_EQ(*dequantized_frame(*frame, layout), values);
}

TEST(Frames, RoundsHalfToEvenAndClipsToTheLimits) {
  FrameLayout layout{.width = 8, .scale = 2.0f, .zero_point = 4.0f, .low = -6.0f, .high = 100.0f};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {1, 3, 5, -7, 101, infinite, -infinite, nan};
  EXPECT_EQ(bytes_of(*quantized_frame(values, layout)),
            (std::vector<int>{4, 6, 6, 1, 54, 54, 1, 4}));
  EXPECT_EQ(clipped_values(values, layout), 4u);
  layout.low = layout.high = 0.0f;
  EXPECT_EQ(bytes_of(*quantized_frame(values, layout)),
            (std::vector<int>{4, 6, 6, 0, 54, 255, 0, 4}));
}

TEST(Frames, TheRealHefClipsEveryNegativeReading) {
  const FrameLayout input{
      .width = 4, .scale = 0.00392153254f, .zero_point = 0.0f, .low = 0.0f, .high = 0.999990821f};
  const std::vector<float> window = {-1.5f, -0.01f, 0.5f, 2.0f};
  EXPECT_EQ(bytes_of(*quantized_frame(window, input)), (std::vector<int>{0, 0, 128, 255}));
  EXPECT_EQ(clipped_values(window, input), 3u);
  const FrameLayout output{.channels = 3, .scale = 0.023646228f, .zero_point = 128.0f};
  const std::vector<std::byte> frame = {std::byte{0}, std::byte{128}, std::byte{255}};
  const std::vector<float> values = *dequantized_frame(frame, output);
  EXPECT_NEAR(values[0], -3.02671719, 1e-5);  // the limits that the HEF states itself
  EXPECT_EQ(values[1], 0.0f);
  EXPECT_NEAR(values[2], 3.00307107, 1e-4);
}

TEST(Frames, AgreeWithALiteralLoop) {
  Rng rng(5);
  for (int round = 0; round < 300; ++round) {
    FrameLayout layout{.height = 1 + static_cast<int64_t>(rng.below(5)),
                       .width = 1 + static_cast<int64_t>(rng.below(7)),
                       .channels = 1 + static_cast<int64_t>(rng.below(9)),
                       .element_bytes = 1 + static_cast<int>(rng.below(2)),
                       .scale = 0.125f,  // exact, so that double rounds where float does
                       .zero_point = static_cast<float>(rng.below(200))};
    const int64_t inner = layout.height * layout.width;
    std::vector<float> values(static_cast<size_t>(inner * layout.channels));
    for (float& v : values) v = static_cast<float>(std::round(rng.uniform(-400, 400))) / 16.0f;
    const auto frame = quantized_frame(values, layout);
    ASSERT_TRUE(frame.ok());
    const double top = layout.element_bytes == 1 ? 255.0 : 65535.0;
    for (int64_t at = 0; at < inner * layout.channels; ++at) {
      const int64_t c = at % layout.channels, i = at / layout.channels;
      const double x = values[static_cast<size_t>(c * inner + i)];
      const double q = std::clamp(std::nearbyint(x / 0.125 + layout.zero_point), 0.0, top);
      const auto* bytes = reinterpret_cast<const uint8_t*>(frame->data());
      const size_t b = static_cast<size_t>(at * layout.element_bytes);
      const int got = layout.element_bytes == 1 ? bytes[b] : bytes[b] + 256 * bytes[b + 1];
      ASSERT_EQ(got, q);
    }
  }
}

TEST(Frames, WhatDoesNotFitIsRefused) {
  FrameLayout layout{.width = 3};
  const std::vector<float> two(2);
  EXPECT_FALSE(quantized_frame(two, layout).ok());
  const std::vector<std::byte> bytes(3);
  layout.element_bytes = 2;
  EXPECT_FALSE(dequantized_frame(bytes, layout).ok());
  const std::vector<float> three(3);
  for (const float scale : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN()}) {
    layout.scale = scale;
    EXPECT_FALSE(quantized_frame(three, layout).ok());
  }
  layout = {.height = int64_t{1} << 40};
  EXPECT_FALSE(quantized_frame(three, layout).ok());
}

}  // namespace
}  // namespace graupel::npu
