// From exact sums to bytes on 256 bits, as avx2.cc and avxvnni.cc share it. Everything is static
// inline: the files are compiled for different instruction sets.
#pragma once

#include <immintrin.h>

#include "kernels/kernels.h"

namespace graupel::kernels {

struct Epilogue {
  __m256 low;
  __m256 high;
  __m256i zero_point;
};

static inline Epilogue epilogue_of(const ByteRange& range) {
  return {_mm256_set1_ps(static_cast<float>(range.low - range.zero_point)),
          _mm256_set1_ps(static_cast<float>(range.high - range.zero_point)),
          _mm256_set1_epi32(range.zero_point)};
}

static inline __m256i load(const void* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// Eight bytes, each in the low part of an int32, from eight floats that are not NaN.
static inline __m256i to_bytes(__m256 v, const Epilogue& e) {
  v = _mm256_min_ps(_mm256_max_ps(v, e.low), e.high);
  const __m256i q = _mm256_add_epi32(_mm256_cvtps_epi32(v), e.zero_point);
  return _mm256_and_si256(q, _mm256_set1_epi32(0xFF));
}

// Sixteen bytes in order from two registers of eight.
static inline __m128i pack16(__m256i a, __m256i b) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
  return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

static inline void store(uint8_t* y, __m128i bytes, int32_t count) {
  if (count >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y), bytes);
    return;
  }
  uint8_t all[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(all), bytes);
  for (int32_t i = 0; i < count; ++i) y[i] = all[i];
}

}  // namespace graupel::kernels
