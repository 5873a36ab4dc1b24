// The kernels for 64-bit ARM without dot products (Raspberry Pi 3 and 4: Cortex-A53, A72).
//
// Idea: sixteen output channels are four registers of four int32. ld2 splits the pairs of weights
// into those of the first and of the second value of a pair; smlal by lane multiplies int16 and
// adds to int32 exactly. Rounding is fcvtns, half to even. A product and its sum are two
// instructions everywhere (no fmla): floats round as in scalar.cc.
// Reference: docs/formats/int8.md. Test: kernels_test.cc (equal to scalar, bit for bit).
#if defined(__aarch64__)

#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/neon_bytes.h"

namespace graupel::kernels::neon {
namespace {

inline int32x4_t widened4(const uint8_t* x, ByteType type) {
  uint32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  const uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(four));
  return type == ByteType::kInt8 ? vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(bytes))))
                                 : vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))));
}

inline int32_t widened1(uint8_t x, ByteType type) {
  return type == ByteType::kInt8 ? static_cast<int8_t>(x) : x;
}

struct Sums {
  int32x4_t part[4];
};

inline void add_pair(Sums& sums, const int16x8x2_t& w_low, const int16x8x2_t& w_high,
                     int16x4_t pair) {
  sums.part[0] = vmlal_lane_s16(sums.part[0], vget_low_s16(w_low.val[0]), pair, 0);
  sums.part[1] = vmlal_lane_s16(sums.part[1], vget_high_s16(w_low.val[0]), pair, 0);
  sums.part[2] = vmlal_lane_s16(sums.part[2], vget_low_s16(w_high.val[0]), pair, 0);
  sums.part[3] = vmlal_lane_s16(sums.part[3], vget_high_s16(w_high.val[0]), pair, 0);
  sums.part[0] = vmlal_lane_s16(sums.part[0], vget_low_s16(w_low.val[1]), pair, 1);
  sums.part[1] = vmlal_lane_s16(sums.part[1], vget_high_s16(w_low.val[1]), pair, 1);
  sums.part[2] = vmlal_lane_s16(sums.part[2], vget_low_s16(w_high.val[1]), pair, 1);
  sums.part[3] = vmlal_lane_s16(sums.part[3], vget_high_s16(w_high.val[1]), pair, 1);
}

inline int16x4_t load_pair(const int16_t* x) {
  int32_t pair;
  __builtin_memcpy(&pair, x, sizeof pair);
  return vreinterpret_s16_s32(vdup_n_s32(pair));
}

template <int kPositions>
void conv_tile(const ConvRowArgs& args, int32_t first, const Epilogue& e) {
  Sums sums[kPositions];
  for (int p = 0; p < kPositions; ++p) {
    for (int i = 0; i < 4; ++i) sums[p].part[i] = vld1q_s32(args.bias + 4 * i);
  }
  const int16_t* origin = args.x + first * args.x_step;
  const int16_t* w = args.weights;
  for (int32_t r = 0; r < args.runs; ++r) {
    const int16_t* x = origin + args.run_offsets[r];
    for (int32_t k = 0; k < args.pairs; ++k, x += 2, w += 2 * kConvBlock) {
      const int16x8x2_t w_low = vld2q_s16(w);
      const int16x8x2_t w_high = vld2q_s16(w + 16);
#pragma GCC unroll 4
      for (int p = 0; p < kPositions; ++p) {
        add_pair(sums[p], w_low, w_high, load_pair(x + p * args.x_step));
      }
    }
  }
  for (int q = 0; q < kPositions / args.pool; ++q) {
    int32x4_t best[4];
    for (int i = 0; i < 4; ++i) {
      best[i] = sums[q * args.pool].part[i];
      for (int j = 1; j < args.pool; ++j) {
        best[i] = vmaxq_s32(best[i], sums[q * args.pool + j].part[i]);
      }
    }
    store_block(args.y + (first / args.pool + q) * args.y_step, best, args.multiplier, e,
                args.channels);
  }
}

// Weights of the taps times int16 inputs, eight channels at a time.
inline void depthwise8(const DepthwiseRowArgs& args, const int16_t* x, int32_t c,
                       int32x4_t (&sum)[2]) {
  sum[0] = vld1q_s32(args.bias + c);
  sum[1] = vld1q_s32(args.bias + c + 4);
  for (int32_t t = 0; t < args.taps; ++t) {
    const int16x8_t value = vld1q_s16(x + args.tap_offsets[t] + c);
    const int16x8_t weight = vld1q_s16(args.weights + t * args.weight_step + c);
    sum[0] = vmlal_s16(sum[0], vget_low_s16(value), vget_low_s16(weight));
    sum[1] = vmlal_s16(sum[1], vget_high_s16(value), vget_high_s16(weight));
  }
}

inline float32x4_t dequantized4(const ByteOperand& operand, size_t i) {
  const int32x4_t q =
      vsubq_s32(widened4(operand.x + i, operand.type), vdupq_n_s32(operand.zero_point));
  return vmulq_f32(vcvtq_f32_s32(q), vdupq_n_f32(operand.scale));
}

}  // namespace

void widen_row(const WidenArgs& args) {
  const int16x8_t zero_point = vdupq_n_s16(static_cast<int16_t>(args.zero_point));
  size_t i = 0;
  for (; i + 8 <= args.count; i += 8) {
    const uint8x8_t bytes = vld1_u8(args.x + i);
    const int16x8_t wide = args.type == ByteType::kInt8 ? vmovl_s8(vreinterpret_s8_u8(bytes))
                                                        : vreinterpretq_s16_u16(vmovl_u8(bytes));
    vst1q_s16(args.y + i, vsubq_s16(wide, zero_point));
  }
  for (; i < args.count; ++i) {
    args.y[i] = static_cast<int16_t>(widened1(args.x[i], args.type) - args.zero_point);
  }
}

void flip_row(const FlipArgs& args) {
  const uint8x16_t flip = vdupq_n_u8(args.flip);
  size_t i = 0;
  for (; i + 16 <= args.count; i += 16) {
    vst1q_u8(args.y + i, veorq_u8(vld1q_u8(args.x + i), flip));
  }
  for (; i < args.count; ++i) args.y[i] = args.x[i] ^ args.flip;
}

void conv_row(const ConvRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  int32_t first = 0;
  for (; first + 4 <= args.positions; first += 4) conv_tile<4>(args, first, e);
  if (first + 2 <= args.positions) {
    conv_tile<2>(args, first, e);
    first += 2;
  }
  if (first < args.positions) conv_tile<1>(args, first, e);
}

void depthwise_row(const DepthwiseRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  for (int32_t p = 0; p < args.positions; ++p) {
    const int16_t* x = args.x + p * args.x_step;
    for (int32_t c = 0; c < args.channels; c += 16) {
      int32x4_t sum[4];
      int32x4_t half[2];
      depthwise8(args, x, c, half);
      sum[0] = half[0];
      sum[1] = half[1];
      depthwise8(args, x, c + 8, half);
      sum[2] = half[0];
      sum[3] = half[1];
      store_block(args.y + p * args.y_step + c, sum, args.multiplier + c, e, args.channels - c);
    }
  }
}

void max_pool_row(const MaxPoolRowArgs& args) {
  for (int32_t p = 0; p < args.positions; ++p) {
    const uint8_t* x = args.x + p * args.x_step;
    uint8_t* y = args.y + p * args.y_step;
    int32_t c = 0;
    for (; c + 16 <= args.channels; c += 16) {
      uint8x16_t best = vld1q_u8(x + args.tap_offsets[0] + c);
      for (int32_t t = 1; t < args.taps; ++t) {
        const uint8x16_t value = vld1q_u8(x + args.tap_offsets[t] + c);
        best = args.type == ByteType::kInt8
                   ? vreinterpretq_u8_s8(
                         vmaxq_s8(vreinterpretq_s8_u8(best), vreinterpretq_s8_u8(value)))
                   : vmaxq_u8(best, value);
      }
      vst1q_u8(y + c, best);
    }
    for (; c < args.channels; ++c) {
      uint8_t best = x[args.tap_offsets[0] + c];
      for (int32_t t = 1; t < args.taps; ++t) {
        const uint8_t value = x[args.tap_offsets[t] + c];
        if (widened1(value, args.type) > widened1(best, args.type)) best = value;
      }
      y[c] = best;
    }
  }
}

void average_pool_row(const AveragePoolRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  const int32x4_t zero_point = vdupq_n_s32(args.zero_point);
  for (int32_t p = 0; p < args.positions; ++p) {
    const uint8_t* x = args.x + p * args.x_step;
    uint8_t* y = args.y + p * args.y_step;
    int32_t c = 0;
    for (; c + 4 <= args.channels; c += 4) {
      int32x4_t sum = vdupq_n_s32(0);
      for (int32_t t = 0; t < args.taps; ++t) {
        sum =
            vaddq_s32(sum, vsubq_s32(widened4(x + args.tap_offsets[t] + c, args.type), zero_point));
      }
      store4(y + c, vmulq_f32(vcvtq_f32_s32(sum), vdupq_n_f32(args.multiplier)), e);
    }
    for (; c < args.channels; ++c) {
      uint32_t sum = 0;
      for (int32_t t = 0; t < args.taps; ++t) {
        sum += static_cast<uint32_t>(widened1(x[args.tap_offsets[t] + c], args.type) -
                                     args.zero_point);
      }
      y[c] = byte1(static_cast<float>(static_cast<int32_t>(sum)) * args.multiplier, e);
    }
  }
}

void quantize_row(const QuantizeRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  const float64x2_t mean = vdupq_n_f64(args.mean), deviation = vdupq_n_f64(args.deviation);
  const float32x4_t scale = vdupq_n_f32(args.scale);
  size_t i = 0;
  for (; i + 4 <= args.count; i += 4) {
    float32x4_t v = vld1q_f32(args.x + i);
    if (args.normalize) {
      const float64x2_t low = vcvt_f64_f32(vget_low_f32(v)), high = vcvt_high_f64_f32(v);
      v = vcombine_f32(vcvt_f32_f64(vdivq_f64(vsubq_f64(low, mean), deviation)),
                       vcvt_f32_f64(vdivq_f64(vsubq_f64(high, mean), deviation)));
    }
    uint8_t four[4];
    store4(four, nan_to_zero(vdivq_f32(v, scale)), e);
    uint8_t* y = args.y + static_cast<ptrdiff_t>(i) * args.y_step;
    for (int j = 0; j < 4; ++j, y += args.y_step) *y = four[j];
  }
  for (; i < args.count; ++i) {
    float v = args.x[i];
    if (args.normalize) {
      v = static_cast<float>((static_cast<double>(v) - args.mean) / args.deviation);
    }
    v = v / args.scale;
    args.y[static_cast<ptrdiff_t>(i) * args.y_step] = byte1(v == v ? v : 0.0f, e);
  }
}

void quantize_image(const QuantizeImageArgs& args) {
  for (int32_t c = 0; c < args.channels; ++c) quantize_row(row_of(args, c));
}

void dequantize_row(const DequantizeRowArgs& args) {
  const int32x4_t zero_point = vdupq_n_s32(args.zero_point);
  const float32x4_t scale = vdupq_n_f32(args.scale);
  size_t i = 0;
  for (; args.x_step == 1 && i + 4 <= args.count; i += 4) {
    const int32x4_t q = vsubq_s32(widened4(args.x + i, args.type), zero_point);
    vst1q_f32(args.y + i, vmulq_f32(vcvtq_f32_s32(q), scale));
  }
  for (; i < args.count; ++i) {
    const int32_t q = widened1(args.x[static_cast<ptrdiff_t>(i) * args.x_step], args.type);
    args.y[i] = static_cast<float>(q - args.zero_point) * args.scale;
  }
}

void binary_row(const BinaryRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  const float32x4_t scale = vdupq_n_f32(args.scale);
  size_t i = 0;
  for (; i + 4 <= args.count; i += 4) {
    const float32x4_t a = dequantized4(args.a, i), b = dequantized4(args.b, i);
    const float32x4_t v = args.op == ByteOp::kAdd   ? vaddq_f32(a, b)
                          : args.op == ByteOp::kSub ? vsubq_f32(a, b)
                                                    : vmulq_f32(a, b);
    store4(args.y + i, nan_to_zero(vdivq_f32(v, scale)), e);
  }
  for (; i < args.count; ++i) {
    const float a =
        static_cast<float>(widened1(args.a.x[i], args.a.type) - args.a.zero_point) * args.a.scale;
    const float b =
        static_cast<float>(widened1(args.b.x[i], args.b.type) - args.b.zero_point) * args.b.scale;
    const float v = args.op == ByteOp::kAdd ? a + b : args.op == ByteOp::kSub ? a - b : a * b;
    const float u = v / args.scale;
    args.y[i] = byte1(u == u ? u : 0.0f, e);
  }
}

}  // namespace graupel::kernels::neon

#endif
