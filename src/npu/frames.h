// Between a network's floats and a device stream's integers, order of elements included.
//
// Idea: one pass per frame. A tensor [1, C, H, W] in ONNX's order becomes the frame [H][W][C] in
// the stream's integers, as HailoRT itself would quantise it, and back. Reference: HailoRT's
// host-side quantisation: q = round_half_even(clip(x, low, high) / scale + zero_point); x = (q -
// zero_point) * scale; scale 1 with zero point 0 is no quantisation, and clips nothing. Test:
// frames_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace graupel::npu {

struct FrameLayout {
  int64_t height = 1, width = 1, channels = 1;
  int element_bytes = 1;  // 1: uint8, 2: uint16 in the machine's order
  float scale = 1.0f;
  float zero_point = 0.0f;
  float low = 0.0f, high = 0.0f;  // limits of an input; low == high: none
};

size_t frame_bytes(const FrameLayout& layout);

// `values` are row-major [C][H][W]. NaN becomes the zero point. Errors: kInvalidInput if the sizes
// or the layout do not fit.
Result<std::vector<std::byte>> quantized_frame(std::span<const float> values,
                                               const FrameLayout& layout);
Result<std::vector<float>> dequantized_frame(std::span<const std::byte> frame,
                                             const FrameLayout& layout);

// How many of `values` the limits would change: a HEF calibrated on other data shows here.
size_t clipped_values(std::span<const float> values, const FrameLayout& layout);

}  // namespace graupel::npu
