// Quantising and turning frames. See frames.h. Test: frames_test.cc.
#include "npu/frames.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

namespace graupel::npu {
namespace {

constexpr int64_t kMaxDimension = int64_t{1} << 20;
constexpr int64_t kMaxElements = int64_t{1} << 28;

Result<void> check_layout(const FrameLayout& layout, size_t elements) {
  const auto in_range = [](int64_t d) { return d >= 1 && d <= kMaxDimension; };
  const bool fits = in_range(layout.height) && in_range(layout.width) &&
                    in_range(layout.channels) &&
                    layout.height * layout.width <= kMaxElements / layout.channels &&
                    (layout.element_bytes == 1 || layout.element_bytes == 2);
  if (!fits) return invalid_input("frame", "the stream's shape or type cannot be");
  if (!std::isfinite(layout.scale) || !(layout.scale > 0.0f) || !std::isfinite(layout.zero_point)) {
    return invalid_input("frame", "the stream's scale has to be above zero and finite");
  }
  const int64_t expected = layout.height * layout.width * layout.channels;
  if (static_cast<int64_t>(elements) == expected) return ok();
  return invalid_input("frame", "got " + std::to_string(elements) + " values, the stream takes " +
                                    std::to_string(expected));
}

bool has_limits(const FrameLayout& layout) {
  const bool identity = layout.scale == 1.0f && layout.zero_point == 0.0f;
  return !identity && layout.low < layout.high;
}

template <class T>
T quantized(float value, const FrameLayout& layout, bool limited) {
  if (std::isnan(value)) value = 0.0f;
  if (limited) value = std::clamp(value, layout.low, layout.high);
  const float q = std::nearbyint(value / layout.scale + layout.zero_point);
  return static_cast<T>(std::clamp(q, 0.0f, static_cast<float>(static_cast<T>(~T{0}))));
}

template <class T>
void fill(std::span<const float> values, const FrameLayout& layout, std::byte* out) {
  const int64_t inner = layout.height * layout.width;
  const bool limited = has_limits(layout);
  for (int64_t i = 0; i < inner; ++i) {
    for (int64_t c = 0; c < layout.channels; ++c, out += sizeof(T)) {
      const T q = quantized<T>(values[static_cast<size_t>(c * inner + i)], layout, limited);
      std::memcpy(out, &q, sizeof(T));
    }
  }
}

template <class T>
void unfill(const std::byte* in, const FrameLayout& layout, std::span<float> values) {
  const int64_t inner = layout.height * layout.width;
  for (int64_t i = 0; i < inner; ++i) {
    for (int64_t c = 0; c < layout.channels; ++c, in += sizeof(T)) {
      T q = 0;
      std::memcpy(&q, in, sizeof(T));
      values[static_cast<size_t>(c * inner + i)] =
          (static_cast<float>(q) - layout.zero_point) * layout.scale;
    }
  }
}

}  // namespace

size_t frame_bytes(const FrameLayout& layout) {
  return static_cast<size_t>(layout.height * layout.width * layout.channels * layout.element_bytes);
}

Result<std::vector<std::byte>> quantized_frame(std::span<const float> values,
                                               const FrameLayout& layout) {
  TRY(check_layout(layout, values.size()));
  std::vector<std::byte> frame(frame_bytes(layout));
  if (layout.element_bytes == 1) {
    fill<uint8_t>(values, layout, frame.data());
  } else {
    fill<uint16_t>(values, layout, frame.data());
  }
  return frame;
}

Result<std::vector<float>> dequantized_frame(std::span<const std::byte> frame,
                                             const FrameLayout& layout) {
  const size_t width = layout.element_bytes == 2 ? 2 : 1;
  if (frame.size() % width != 0) return invalid_input("frame", "is no whole number of values");
  TRY(check_layout(layout, frame.size() / width));
  std::vector<float> values(frame.size() / width);
  if (layout.element_bytes == 1) {
    unfill<uint8_t>(frame.data(), layout, values);
  } else {
    unfill<uint16_t>(frame.data(), layout, values);
  }
  return values;
}

size_t clipped_values(std::span<const float> values, const FrameLayout& layout) {
  if (!has_limits(layout)) return 0;
  return static_cast<size_t>(std::count_if(
      values.begin(), values.end(), [&](float v) { return v < layout.low || v > layout.high; }));
}

}  // namespace graupel::npu
