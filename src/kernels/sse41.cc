// The kernels for x86-64 with SSE4.1 and no AVX2 (Intel before Haswell, many Atoms and Celerons).
//
// Idea: as avx2.cc, on registers of four int32: sixteen output channels are four of them, two
// positions fill eight of the sixteen registers. pmaddwd is exact here as there. What is not
// written out is left to the plain loops. Reference: docs/formats/int8.md. Test: kernels_test.cc
// (equal to scalar, bit for bit).
#if defined(__x86_64__)

#include <smmintrin.h>

#include "kernels/kernels.h"

namespace graupel::kernels::sse41 {
namespace {

struct Epilogue {
  __m128 low;
  __m128 high;
  __m128i zero_point;
};

inline Epilogue epilogue_of(const ByteRange& range) {
  return {_mm_set1_ps(static_cast<float>(range.low - range.zero_point)),
          _mm_set1_ps(static_cast<float>(range.high - range.zero_point)),
          _mm_set1_epi32(range.zero_point)};
}

inline __m128i load(const void* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

// Four bytes, each in the low part of an int32, from a sum.
inline __m128i to_bytes(__m128i sum, const float* multiplier, const Epilogue& e) {
  __m128 v = _mm_mul_ps(_mm_cvtepi32_ps(sum), _mm_loadu_ps(multiplier));
  v = _mm_min_ps(_mm_max_ps(v, e.low), e.high);
  const __m128i q = _mm_add_epi32(_mm_cvtps_epi32(v), e.zero_point);
  return _mm_and_si128(q, _mm_set1_epi32(0xFF));
}

inline void store_block(uint8_t* y, const __m128i (&sum)[4], const float* multiplier,
                        const Epilogue& e, int32_t channels) {
  const __m128i low =
      _mm_packs_epi32(to_bytes(sum[0], multiplier, e), to_bytes(sum[1], multiplier + 4, e));
  const __m128i high =
      _mm_packs_epi32(to_bytes(sum[2], multiplier + 8, e), to_bytes(sum[3], multiplier + 12, e));
  const __m128i bytes = _mm_packus_epi16(low, high);
  if (channels >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y), bytes);
    return;
  }
  uint8_t all[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(all), bytes);
  for (int32_t i = 0; i < channels; ++i) y[i] = all[i];
}

inline __m128i load_pair(const int16_t* x) {
  int32_t pair;
  __builtin_memcpy(&pair, x, sizeof pair);
  return _mm_set1_epi32(pair);
}

template <int kPositions>
inline void conv_tile(const ConvRowArgs& args, int32_t first, const Epilogue& e) {
  __m128i sum[kPositions][4];
#pragma GCC unroll 2
  for (int p = 0; p < kPositions; ++p) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sum[p][i] = load(args.bias + 4 * i);
  }
  const int16_t* origin = args.x + first * args.x_step;
  const int16_t* w = args.weights;
  for (int32_t r = 0; r < args.runs; ++r) {
    const int16_t* x = origin + args.run_offsets[r];
    for (int32_t k = 0; k < args.pairs; ++k, x += 2, w += 2 * kConvBlock) {
#pragma GCC unroll 2
      for (int p = 0; p < kPositions; ++p) {
        const __m128i pair = load_pair(x + p * args.x_step);
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
          sum[p][i] = _mm_add_epi32(sum[p][i], _mm_madd_epi16(pair, load(w + 8 * i)));
        }
      }
    }
  }
  uint8_t* const y = args.y + first / args.pool * args.y_step;
  if (kPositions == 2 && args.pool == 2) {
    __m128i best[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) best[i] = _mm_max_epi32(sum[0][i], sum[kPositions - 1][i]);
    store_block(y, best, args.multiplier, e, args.channels);
    return;
  }
#pragma GCC unroll 2
  for (int p = 0; p < kPositions; ++p) {
    store_block(y + p * args.y_step, sum[p], args.multiplier, e, args.channels);
  }
}

}  // namespace

void widen_row(const WidenArgs& args) {
  const __m128i zero_point = _mm_set1_epi16(static_cast<int16_t>(args.zero_point));
  const bool is_signed = args.type == ByteType::kInt8;
  size_t i = 0;
  for (; i + 8 <= args.count; i += 8) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(args.x + i));
    const __m128i wide = is_signed ? _mm_cvtepi8_epi16(bytes) : _mm_cvtepu8_epi16(bytes);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(args.y + i), _mm_sub_epi16(wide, zero_point));
  }
  for (; i < args.count; ++i) {
    const int32_t x = is_signed ? static_cast<int8_t>(args.x[i]) : args.x[i];
    args.y[i] = static_cast<int16_t>(x - args.zero_point);
  }
}

void conv_row(const ConvRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  int32_t first = 0;
  for (; first + 2 <= args.positions; first += 2) conv_tile<2>(args, first, e);
  if (first < args.positions) conv_tile<1>(args, first, e);
}

void depthwise_row(const DepthwiseRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  const __m128i none = _mm_setzero_si128();
  for (int32_t p = 0; p < args.positions; ++p) {
    for (int32_t c = 0; c < args.channels; c += 16) {
      __m128i sum[4];
      for (int i = 0; i < 4; ++i) sum[i] = load(args.bias + c + 4 * i);
      for (int32_t t = 0; t < args.taps; ++t) {
        for (int half = 0; half < 2; ++half) {
          const __m128i x = load(args.x + p * args.x_step + args.tap_offsets[t] + c + 8 * half);
          const __m128i w = load(args.weights + t * args.weight_step + c + 8 * half);
          sum[2 * half] = _mm_add_epi32(sum[2 * half], _mm_madd_epi16(_mm_unpacklo_epi16(x, none),
                                                                      _mm_unpacklo_epi16(w, none)));
          sum[2 * half + 1] = _mm_add_epi32(
              sum[2 * half + 1],
              _mm_madd_epi16(_mm_unpackhi_epi16(x, none), _mm_unpackhi_epi16(w, none)));
        }
      }
      store_block(args.y + p * args.y_step + c, sum, args.multiplier + c, e, args.channels - c);
    }
  }
}

void max_pool_row(const MaxPoolRowArgs& args) {
  const bool is_signed = args.type == ByteType::kInt8;
  for (int32_t p = 0; p < args.positions; ++p) {
    const uint8_t* x = args.x + p * args.x_step;
    uint8_t* y = args.y + p * args.y_step;
    int32_t c = 0;
    for (; c + 16 <= args.channels; c += 16) {
      __m128i best = load(x + args.tap_offsets[0] + c);
      for (int32_t t = 1; t < args.taps; ++t) {
        const __m128i value = load(x + args.tap_offsets[t] + c);
        best = is_signed ? _mm_max_epi8(best, value) : _mm_max_epu8(best, value);
      }
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y + c), best);
    }
    for (; c < args.channels; ++c) {
      int32_t best = -1000;
      for (int32_t t = 0; t < args.taps; ++t) {
        const uint8_t byte = x[args.tap_offsets[t] + c];
        const int32_t value = is_signed ? static_cast<int8_t>(byte) : byte;
        if (value > best) best = value;
      }
      y[c] = static_cast<uint8_t>(best);
    }
  }
}

}  // namespace graupel::kernels::sse41

#endif
