// The kernels for x86-64 with AVX2 (Intel Haswell, AMD Zen and later).
//
// Idea: sixteen output channels are two registers of eight int32. One step broadcasts a pair of
// neighbouring int16 inputs and multiplies it with the pairs of sixteen channels by vpmaddwd,
// whose int32 sums are exact: |x| <= 255 and |w| <= 128 stay far from its one overflow. The
// eight-bit vpmaddubsw would saturate and is not used. Several positions share each load of
// weights: six are as many as sixteen registers hold. Rounding is vcvtps2dq, half to even.
// Reference: docs/formats/int8.md. Test: kernels_test.cc (equal to scalar, bit for bit).
#if defined(__x86_64__)

#include "kernels/avx2_bytes.h"

namespace graupel::kernels::avx2 {
namespace {

constexpr int32_t kMostPositions = 6;

inline __m256 nan_to_zero(__m256 v) { return _mm256_and_ps(v, _mm256_cmp_ps(v, v, _CMP_ORD_Q)); }

inline __m256i load_pair(const int16_t* x) {
  int32_t pair;
  __builtin_memcpy(&pair, x, sizeof pair);
  return _mm256_set1_epi32(pair);
}

inline __m256i widen8(const uint8_t* x, ByteType type) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
  return type == ByteType::kInt8 ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
}

inline int32_t widen1(uint8_t x, ByteType type) {
  return type == ByteType::kInt8 ? static_cast<int8_t>(x) : x;
}

// Sums of sixteen channels to bytes: a sum far above every byte is cut to 2^30 so that its
// conversion stays in range, then saturating packs, the zero point and byte bounds do the rest.
struct Packing {
  __m256i zero_point;  // int16
  __m256i low;
  __m256i high;
  bool is_signed;
};

inline Packing packing_of(const ByteRange& range) {
  return {_mm256_set1_epi16(static_cast<int16_t>(range.zero_point)),
          _mm256_set1_epi8(static_cast<char>(range.low)),
          _mm256_set1_epi8(static_cast<char>(range.high)), range.low < 0};
}

struct Multiplier {
  __m256 low;
  __m256 high;
};

inline __m256i rounded(__m256i sum, __m256 multiplier) {
  const __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier);
  return _mm256_cvtps_epi32(_mm256_min_ps(v, _mm256_set1_ps(1073741824.0f)));
}

inline __m256i rounded_words(__m256i low, __m256i high, const Multiplier& m, const Packing& p) {
  return _mm256_adds_epi16(_mm256_packs_epi32(rounded(low, m.low), rounded(high, m.high)),
                           p.zero_point);
}

// Two positions' words, interleaved by the packs in fours, as two times sixteen bytes.
inline __m256i two_rows(__m256i a, __m256i b, const Packing& p) {
  __m256i bytes;
  if (p.is_signed) {
    bytes = _mm256_packs_epi16(a, b);
    bytes = _mm256_min_epi8(_mm256_max_epi8(bytes, p.low), p.high);
  } else {
    bytes = _mm256_packus_epi16(a, b);
    bytes = _mm256_min_epu8(_mm256_max_epu8(bytes, p.low), p.high);
  }
  // Fours: a0 a2 b0 b2 | a1 a3 b1 b3, where a0 are the first four channels.
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// Sums of kCount positions, y_step apart.
template <int kCount>
inline void store_rows(const ConvRowArgs& args, uint8_t* y, const __m256i (&low)[kCount],
                       const __m256i (&high)[kCount]) {
  const Packing packing = packing_of(args.range);
  const Multiplier m = {_mm256_loadu_ps(args.multiplier), _mm256_loadu_ps(args.multiplier + 8)};
#pragma GCC unroll 3
  for (int p = 0; p < kCount; p += 2) {
    const int next = p + 1 < kCount ? p + 1 : p;
    const __m256i bytes = two_rows(rounded_words(low[p], high[p], m, packing),
                                   rounded_words(low[next], high[next], m, packing), packing);
    store(y + p * args.y_step, _mm256_castsi256_si128(bytes), args.channels);
    if (next != p) {
      store(y + next * args.y_step, _mm256_extracti128_si256(bytes, 1), args.channels);
    }
  }
}

template <int kPositions>
inline void conv_tile(const ConvRowArgs& args, int32_t first) {
  __m256i low[kPositions];
  __m256i high[kPositions];
  // Unrolled, as otherwise the sums take the way through memory.
#pragma GCC unroll 6
  for (int p = 0; p < kPositions; ++p) {
    low[p] = load(args.bias);
    high[p] = load(args.bias + 8);
  }
  const int16_t* origin = args.x + first * args.x_step;
  const int16_t* w = args.weights;
  for (int32_t r = 0; r < args.runs; ++r) {
    const int16_t* x = origin + args.run_offsets[r];
    for (int32_t k = 0; k < args.pairs; ++k, x += 2, w += 2 * kConvBlock) {
      const __m256i w_low = load(w);
      const __m256i w_high = load(w + 16);
#pragma GCC unroll 6
      for (int p = 0; p < kPositions; ++p) {
        const __m256i pair = load_pair(x + p * args.x_step);
        low[p] = _mm256_add_epi32(low[p], _mm256_madd_epi16(pair, w_low));
        high[p] = _mm256_add_epi32(high[p], _mm256_madd_epi16(pair, w_high));
      }
    }
  }
  uint8_t* const y = args.y + first / args.pool * args.y_step;
  if constexpr (kPositions % 2 == 0) {
    if (args.pool == 2) {
      __m256i best_low[kPositions / 2];
      __m256i best_high[kPositions / 2];
#pragma GCC unroll 3
      for (int q = 0; q < kPositions / 2; ++q) {
        best_low[q] = _mm256_max_epi32(low[2 * q], low[2 * q + 1]);
        best_high[q] = _mm256_max_epi32(high[2 * q], high[2 * q + 1]);
      }
      store_rows<kPositions / 2>(args, y, best_low, best_high);
      return;
    }
  }
  store_rows<kPositions>(args, y, low, high);
}

inline uint8_t scalar_byte(float v, const ByteRange& range) {
  const float low = static_cast<float>(range.low - range.zero_point);
  const float high = static_cast<float>(range.high - range.zero_point);
  if (!(v == v)) v = 0.0f;
  v = v > low ? v : low;
  v = v < high ? v : high;
  v = (v + 12582912.0f) - 12582912.0f;  // half to even, as in scalar.cc
  return static_cast<uint8_t>(static_cast<int32_t>(v) + range.zero_point);
}

inline void store_strided(const QuantizeRowArgs& args, size_t i, __m256i bytes) {
  const __m128i packed = pack16(bytes, bytes);
  uint64_t eight = static_cast<uint64_t>(_mm_cvtsi128_si64(packed));
  uint8_t* y = args.y + static_cast<ptrdiff_t>(i) * args.y_step;
  for (int j = 0; j < 8; ++j, y += args.y_step, eight >>= 8) *y = static_cast<uint8_t>(eight);
}

inline __m128 normalized4(const float* x, __m256d mean, __m256d deviation) {
  const __m256d wide = _mm256_cvtps_pd(_mm_loadu_ps(x));
  return _mm256_cvtpd_ps(_mm256_div_pd(_mm256_sub_pd(wide, mean), deviation));
}

inline __m256 dequantized8(const ByteOperand& operand, size_t i) {
  const __m256i q =
      _mm256_sub_epi32(widen8(operand.x + i, operand.type), _mm256_set1_epi32(operand.zero_point));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(q), _mm256_set1_ps(operand.scale));
}

inline float dequantized1(const ByteOperand& operand, size_t i) {
  return static_cast<float>(widen1(operand.x[i], operand.type) - operand.zero_point) *
         operand.scale;
}

}  // namespace

void widen_row(const WidenArgs& args) {
  const __m256i zero_point = _mm256_set1_epi16(static_cast<int16_t>(args.zero_point));
  size_t i = 0;
  for (; i + 16 <= args.count; i += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(args.x + i));
    const __m256i wide =
        args.type == ByteType::kInt8 ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(args.y + i), _mm256_sub_epi16(wide, zero_point));
  }
  for (; i < args.count; ++i) {
    args.y[i] = static_cast<int16_t>(widen1(args.x[i], args.type) - args.zero_point);
  }
}

void flip_row(const FlipArgs& args) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(args.flip));
  size_t i = 0;
  for (; i + 32 <= args.count; i += 32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(args.y + i),
                        _mm256_xor_si256(load(args.x + i), flip));
  }
  for (; i < args.count; ++i) args.y[i] = args.x[i] ^ args.flip;
}

void conv_row(const ConvRowArgs& args) {
  // As few tiles as possible, of nearly equal size.
  const int32_t step = args.pool;
  const int32_t units = args.positions / step, most = kMostPositions / step;
  const int32_t count = (units + most - 1) / most;
  int32_t first = 0;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t size = (units / count + (i < units % count ? 1 : 0)) * step;
    switch (size) {
      case 6: conv_tile<6>(args, first); break;
      case 5: conv_tile<5>(args, first); break;
      case 4: conv_tile<4>(args, first); break;
      case 3: conv_tile<3>(args, first); break;
      case 2: conv_tile<2>(args, first); break;
      default: conv_tile<1>(args, first); break;
    }
    first += size;
  }
}

void depthwise_row(const DepthwiseRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  for (int32_t p = 0; p < args.positions; ++p) {
    for (int32_t c = 0; c < args.channels; c += 16) {
      __m256i low = load(args.bias + c);
      __m256i high = load(args.bias + c + 8);
      for (int32_t t = 0; t < args.taps; ++t) {
        const __m256i x = load(args.x + p * args.x_step + args.tap_offsets[t] + c);
        const __m256i w = load(args.weights + t * args.weight_step + c);
        const __m256i x_low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(x));
        const __m256i w_low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(w));
        const __m256i x_high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(x, 1));
        const __m256i w_high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(w, 1));
        low = _mm256_add_epi32(low, _mm256_madd_epi16(x_low, w_low));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(x_high, w_high));
      }
      const __m256 m_low = _mm256_loadu_ps(args.multiplier + c);
      const __m256 m_high = _mm256_loadu_ps(args.multiplier + c + 8);
      const __m256i a = to_bytes(_mm256_mul_ps(_mm256_cvtepi32_ps(low), m_low), e);
      const __m256i b = to_bytes(_mm256_mul_ps(_mm256_cvtepi32_ps(high), m_high), e);
      store(args.y + p * args.y_step + c, pack16(a, b), args.channels - c);
    }
  }
}

void max_pool_row(const MaxPoolRowArgs& args) {
  for (int32_t p = 0; p < args.positions; ++p) {
    const uint8_t* x = args.x + p * args.x_step;
    uint8_t* y = args.y + p * args.y_step;
    int32_t c = 0;
    for (; c + 16 <= args.channels; c += 16) {
      __m128i best = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + args.tap_offsets[0] + c));
      for (int32_t t = 1; t < args.taps; ++t) {
        const __m128i value =
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + args.tap_offsets[t] + c));
        best = args.type == ByteType::kInt8 ? _mm_max_epi8(best, value) : _mm_max_epu8(best, value);
      }
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y + c), best);
    }
    for (; c < args.channels; ++c) {
      uint8_t best = x[args.tap_offsets[0] + c];
      for (int32_t t = 1; t < args.taps; ++t) {
        const uint8_t value = x[args.tap_offsets[t] + c];
        if (widen1(value, args.type) > widen1(best, args.type)) best = value;
      }
      y[c] = best;
    }
  }
}

void average_pool_row(const AveragePoolRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  const __m256i zero_point = _mm256_set1_epi32(args.zero_point);
  const __m256 multiplier = _mm256_set1_ps(args.multiplier);
  for (int32_t p = 0; p < args.positions; ++p) {
    const uint8_t* x = args.x + p * args.x_step;
    uint8_t* y = args.y + p * args.y_step;
    int32_t c = 0;
    for (; c + 8 <= args.channels; c += 8) {
      __m256i sum = _mm256_setzero_si256();
      for (int32_t t = 0; t < args.taps; ++t) {
        const __m256i q = widen8(x + args.tap_offsets[t] + c, args.type);
        sum = _mm256_add_epi32(sum, _mm256_sub_epi32(q, zero_point));
      }
      const __m256i q = to_bytes(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier), e);
      store(y + c, pack16(q, q), 8);
    }
    for (; c < args.channels; ++c) {
      uint32_t sum = 0;
      for (int32_t t = 0; t < args.taps; ++t) {
        sum +=
            static_cast<uint32_t>(widen1(x[args.tap_offsets[t] + c], args.type) - args.zero_point);
      }
      y[c] =
          scalar_byte(static_cast<float>(static_cast<int32_t>(sum)) * args.multiplier, args.range);
    }
  }
}

void quantize_row(const QuantizeRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  const __m256 scale = _mm256_set1_ps(args.scale);
  const __m256d mean = _mm256_set1_pd(args.mean);
  const __m256d deviation = _mm256_set1_pd(args.deviation);
  size_t i = 0;
  for (; i + 8 <= args.count; i += 8) {
    __m256 v = _mm256_loadu_ps(args.x + i);
    if (args.normalize) {
      v = _mm256_set_m128(normalized4(args.x + i + 4, mean, deviation),
                          normalized4(args.x + i, mean, deviation));
    }
    store_strided(args, i, to_bytes(nan_to_zero(_mm256_div_ps(v, scale)), e));
  }
  for (; i < args.count; ++i) {
    float v = args.x[i];
    if (args.normalize) {
      v = static_cast<float>((static_cast<double>(v) - args.mean) / args.deviation);
    }
    args.y[static_cast<ptrdiff_t>(i) * args.y_step] = scalar_byte(v / args.scale, args.range);
  }
}

void quantize_image(const QuantizeImageArgs& args) {
  for (int32_t c = 0; c < args.channels; ++c) quantize_row(row_of(args, c));
}

void dequantize_row(const DequantizeRowArgs& args) {
  const __m256i zero_point = _mm256_set1_epi32(args.zero_point);
  const __m256 scale = _mm256_set1_ps(args.scale);
  size_t i = 0;
  for (; args.x_step == 1 && i + 8 <= args.count; i += 8) {
    const __m256i q = _mm256_sub_epi32(widen8(args.x + i, args.type), zero_point);
    _mm256_storeu_ps(args.y + i, _mm256_mul_ps(_mm256_cvtepi32_ps(q), scale));
  }
  for (; i < args.count; ++i) {
    const int32_t q = widen1(args.x[static_cast<ptrdiff_t>(i) * args.x_step], args.type);
    args.y[i] = static_cast<float>(q - args.zero_point) * args.scale;
  }
}

void binary_row(const BinaryRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  const __m256 scale = _mm256_set1_ps(args.scale);
  size_t i = 0;
  for (; i + 8 <= args.count; i += 8) {
    const __m256 a = dequantized8(args.a, i);
    const __m256 b = dequantized8(args.b, i);
    const __m256 v = args.op == ByteOp::kAdd   ? _mm256_add_ps(a, b)
                     : args.op == ByteOp::kSub ? _mm256_sub_ps(a, b)
                                               : _mm256_mul_ps(a, b);
    const __m256i q = to_bytes(nan_to_zero(_mm256_div_ps(v, scale)), e);
    store(args.y + i, pack16(q, q), 8);
  }
  for (; i < args.count; ++i) {
    const float a = dequantized1(args.a, i);
    const float b = dequantized1(args.b, i);
    const float v = args.op == ByteOp::kAdd ? a + b : args.op == ByteOp::kSub ? a - b : a * b;
    args.y[i] = scalar_byte(v / args.scale, args.range);
  }
}

}  // namespace graupel::kernels::avx2

#endif
