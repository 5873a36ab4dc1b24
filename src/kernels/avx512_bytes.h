// From exact sums to bytes and back on 512 bits, as the two files for AVX-512 share it. Everything
// is static inline.
#pragma once

// The undefined sources inside g++ 12's own AVX-512 header are no fault of this file.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <immintrin.h>

#include "kernels/kernels.h"

namespace graupel::kernels::avx512vnni {

struct Epilogue {
  __m512 low;
  __m512 high;
  __m512i zero_point;
};

static inline Epilogue epilogue_of(const ByteRange& range) {
  return {_mm512_set1_ps(static_cast<float>(range.low - range.zero_point)),
          _mm512_set1_ps(static_cast<float>(range.high - range.zero_point)),
          _mm512_set1_epi32(range.zero_point)};
}

// Sixteen bytes, each in the low part of an int32, from sixteen floats that are not NaN.
static inline __m512i to_bytes(__m512 v, const Epilogue& e) {
  v = _mm512_min_ps(_mm512_max_ps(v, e.low), e.high);
  return _mm512_add_epi32(_mm512_cvtps_epi32(v), e.zero_point);
}

// Lanes 0 .. count - 1, for any count.
static inline __mmask16 first_lanes(int32_t count) {
  return count >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>((1u << count) - 1);
}

static inline void store(uint8_t* y, __m512i bytes, int32_t count) {
  if (count >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y), _mm512_cvtepi32_epi8(bytes));
  } else {
    _mm512_mask_cvtepi32_storeu_epi8(y, first_lanes(count), bytes);
  }
}

static inline __m512i widen(const uint8_t* x, __mmask16 lanes, ByteType type) {
  const __m128i bytes = _mm_maskz_loadu_epi8(lanes, x);
  return type == ByteType::kInt8 ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes);
}

// Whether neither the cut nor the bounds do anything: no multiplier lifts a sum above 2^30, and the
// bounds are those of the type.
template <class Args>
static inline bool is_plain(const Args& args) {
  if (args.range.low != (args.range.low < 0 ? -128 : 0)) return false;
  if (args.range.high - args.range.low != 255) return false;
  __mmask16 large = 0;
  for (int32_t m = 0; m < args.channels; m += kConvBlock) {
    const __m512 size = _mm512_abs_ps(_mm512_loadu_ps(args.multiplier + m));
    large |= _mm512_cmp_ps_mask(size, _mm512_set1_ps(0.5f), _CMP_NLE_UQ);
  }
  return large == 0;
}

}  // namespace graupel::kernels::avx512vnni
