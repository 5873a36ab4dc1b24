// From exact sums to bytes, as neon.cc and neondot.cc share it. Everything is static inline: the
// two files are compiled for different instruction sets.
#pragma once

#include <arm_neon.h>

#include "kernels/kernels.h"

namespace graupel::kernels {

struct Epilogue {
  float low;
  float high;
  int32_t zero_point;
};

static inline Epilogue epilogue_of(const ByteRange& range) {
  return {static_cast<float>(range.low - range.zero_point),
          static_cast<float>(range.high - range.zero_point), range.zero_point};
}

static inline float32x4_t nan_to_zero(float32x4_t v) {
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), vceqq_f32(v, v)));
}

// Four bytes, each in the low part of an int32, from floats that are not NaN.
static inline int32x4_t bytes4(float32x4_t v, const Epilogue& e) {
  v = vminq_f32(vmaxq_f32(v, vdupq_n_f32(e.low)), vdupq_n_f32(e.high));
  return vaddq_s32(vcvtnq_s32_f32(v), vdupq_n_s32(e.zero_point));
}

static inline void store4(uint8_t* y, float32x4_t v, const Epilogue& e) {
  const uint16x4_t words = vreinterpret_u16_s16(vmovn_s32(bytes4(v, e)));
  const uint32_t four =
      vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(words, words))), 0);
  __builtin_memcpy(y, &four, sizeof four);
}

static inline uint8_t byte1(float v, const Epilogue& e) {
  v = v > e.low ? v : e.low;
  v = v < e.high ? v : e.high;
  return static_cast<uint8_t>(vcvtns_s32_f32(v) + e.zero_point);
}

// Sixteen channels' sums as bytes, the first `channels` of them stored.
static inline void store_block(uint8_t* y, const int32x4_t (&sum)[4], const float* multiplier,
                               const Epilogue& e, int32_t channels) {
  int16x4_t words[4];
  for (int i = 0; i < 4; ++i) {
    const float32x4_t v = vmulq_f32(vcvtq_f32_s32(sum[i]), vld1q_f32(multiplier + 4 * i));
    words[i] = vmovn_s32(bytes4(v, e));
  }
  const uint8x16_t bytes =
      vcombine_u8(vmovn_u16(vreinterpretq_u16_s16(vcombine_s16(words[0], words[1]))),
                  vmovn_u16(vreinterpretq_u16_s16(vcombine_s16(words[2], words[3]))));
  if (channels >= 16) {
    vst1q_u8(y, bytes);
    return;
  }
  uint8_t all[16];
  vst1q_u8(all, bytes);
  for (int32_t i = 0; i < channels; ++i) y[i] = all[i];
}

}  // namespace graupel::kernels
