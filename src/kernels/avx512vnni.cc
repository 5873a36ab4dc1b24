// The kernels for x86-64 with AVX-512 VNNI (Intel Cascade Lake, AMD Zen 4 and later).
//
// Idea: one vpdpbusd adds four products of bytes to each of sixteen int32, exactly and without
// saturation. A tile of positions times blocks of sixteen channels stays in registers over the
// whole sum: each load of weights serves all positions, each broadcast input all blocks. Tiles are
// as large as 32 registers hold. The instruction is written as assembly because g++ 12 spills
// accumulators around the intrinsic. Sums leave the registers as bytes: bias in the start value,
// max pool on int32, rounding by vcvtps2dq, half to even.
// Reference: docs/formats/int8.md. Test: kernels_test.cc (equal to scalar, bit for bit).
#if defined(__x86_64__)

// The undefined sources inside g++ 12's own AVX-512 header are no fault of this file.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <immintrin.h>

#include "kernels/kernels.h"

namespace graupel::kernels::avx512vnni {
namespace {

struct Epilogue {
  __m512 low;
  __m512 high;
  __m512i zero_point;
};

inline Epilogue epilogue_of(const ByteRange& range) {
  return {_mm512_set1_ps(static_cast<float>(range.low - range.zero_point)),
          _mm512_set1_ps(static_cast<float>(range.high - range.zero_point)),
          _mm512_set1_epi32(range.zero_point)};
}

// Sixteen bytes, each in the low part of an int32, from sixteen floats that are not NaN.
inline __m512i to_bytes(__m512 v, const Epilogue& e) {
  v = _mm512_min_ps(_mm512_max_ps(v, e.low), e.high);
  return _mm512_add_epi32(_mm512_cvtps_epi32(v), e.zero_point);
}

// Lanes 0 .. count - 1, for any count.
inline __mmask16 first_lanes(int32_t count) {
  return count >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>((1u << count) - 1);
}

inline void store(uint8_t* y, __m512i bytes, int32_t count) {
  if (count >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y), _mm512_cvtepi32_epi8(bytes));
  } else {
    _mm512_mask_cvtepi32_storeu_epi8(y, first_lanes(count), bytes);
  }
}

inline __m512i load(const void* p) { return _mm512_loadu_si512(p); }

inline __m512i load_quad(const uint8_t* x) {
  int32_t quad;
  __builtin_memcpy(&quad, x, sizeof quad);
  return _mm512_set1_epi32(quad);
}

inline void add_dot(__m512i& sum, __m512i x, __m512i w) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}

// Positions first .. first + kPositions - 1 of kBlocks blocks of channels.
template <int kPositions, int kBlocks>
inline void sum_tile(const DotRowArgs& args, int32_t first, __m512i (&sum)[kPositions][kBlocks]) {
#pragma GCC unroll 4
  for (int b = 0; b < kBlocks; ++b) {
    const __m512i bias = load(args.bias + b * kConvBlock);
#pragma GCC unroll 14
    for (int p = 0; p < kPositions; ++p) sum[p][b] = bias;
  }
  const ptrdiff_t block = args.block_step;
  const uint8_t* origin = args.x + first * args.x_step;
  const int8_t* w = args.weights;
  for (int32_t r = 0; r < args.runs; ++r) {
    const uint8_t* x = origin + args.run_offsets[r];
    for (int32_t k = 0; k < args.quads; ++k, x += 4, w += 4 * kConvBlock) {
      __m512i weights[kBlocks];
#pragma GCC unroll 4
      for (int b = 0; b < kBlocks; ++b) weights[b] = load(w + b * block);
#pragma GCC unroll 14
      for (int p = 0; p < kPositions; ++p) {
        const __m512i quad = load_quad(x + p * args.x_step);
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) add_dot(sum[p][b], quad, weights[b]);
      }
    }
  }
}

template <int kPositions, int kBlocks>
void dot_tile(const DotRowArgs& args, int32_t first, const Epilogue& e) {
  __m512i sum[kPositions][kBlocks];
  sum_tile<kPositions, kBlocks>(args, first, sum);
  if constexpr (kPositions % 2 == 0) {
    if (args.pool == 2) {
      uint8_t* const y = args.y + first / 2 * args.y_step;
#pragma GCC unroll 4
      for (int b = 0; b < kBlocks; ++b) {
        const __m512 multiplier = _mm512_loadu_ps(args.multiplier + b * kConvBlock);
#pragma GCC unroll 7
        for (int p = 0; p < kPositions; p += 2) {
          const __m512i best = _mm512_max_epi32(sum[p][b], sum[p + 1][b]);
          const __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(best), multiplier);
          store(y + p / 2 * args.y_step + b * kConvBlock, to_bytes(v, e),
                args.channels - b * kConvBlock);
        }
      }
      return;
    }
  }
  uint8_t* const y = args.y + first * args.y_step;
#pragma GCC unroll 4
  for (int b = 0; b < kBlocks; ++b) {
    const __m512 multiplier = _mm512_loadu_ps(args.multiplier + b * kConvBlock);
#pragma GCC unroll 14
    for (int p = 0; p < kPositions; ++p) {
      const __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[p][b]), multiplier);
      store(y + p * args.y_step + b * kConvBlock, to_bytes(v, e), args.channels - b * kConvBlock);
    }
  }
}

using Tile = void (*)(const DotRowArgs&, int32_t, const Epilogue&);

// The row in as few tiles as possible, of nearly equal size.
template <int kMost>
inline void walk(const DotRowArgs& args, const Tile (&tiles)[kMost]) {
  const Epilogue e = epilogue_of(args.range);
  const int32_t step = args.pool;
  const int32_t units = args.positions / step, most = kMost / step;
  const int32_t count = (units + most - 1) / most;
  int32_t first = 0;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t size = (units / count + (i < units % count ? 1 : 0)) * step;
    tiles[size - 1](args, first, e);
    first += size;
  }
}

constexpr Tile kOne[14] = {&dot_tile<1, 1>,  &dot_tile<2, 1>,  &dot_tile<3, 1>,  &dot_tile<4, 1>,
                           &dot_tile<5, 1>,  &dot_tile<6, 1>,  &dot_tile<7, 1>,  &dot_tile<8, 1>,
                           &dot_tile<9, 1>,  &dot_tile<10, 1>, &dot_tile<11, 1>, &dot_tile<12, 1>,
                           &dot_tile<13, 1>, &dot_tile<14, 1>};
constexpr Tile kTwo[14] = {&dot_tile<1, 2>,  &dot_tile<2, 2>,  &dot_tile<3, 2>,  &dot_tile<4, 2>,
                           &dot_tile<5, 2>,  &dot_tile<6, 2>,  &dot_tile<7, 2>,  &dot_tile<8, 2>,
                           &dot_tile<9, 2>,  &dot_tile<10, 2>, &dot_tile<11, 2>, &dot_tile<12, 2>,
                           &dot_tile<13, 2>, &dot_tile<14, 2>};
constexpr Tile kThree[8] = {&dot_tile<1, 3>, &dot_tile<2, 3>, &dot_tile<3, 3>, &dot_tile<4, 3>,
                            &dot_tile<5, 3>, &dot_tile<6, 3>, &dot_tile<7, 3>, &dot_tile<8, 3>};
constexpr Tile kFour[6] = {&dot_tile<1, 4>, &dot_tile<2, 4>, &dot_tile<3, 4>,
                           &dot_tile<4, 4>, &dot_tile<5, 4>, &dot_tile<6, 4>};

}  // namespace

void dot_row(const DotRowArgs& args) {
  switch ((args.channels + kConvBlock - 1) / kConvBlock) {
    case 1: walk(args, kOne); break;
    case 2: walk(args, kTwo); break;
    case 3: walk(args, kThree); break;
    default: walk(args, kFour); break;
  }
}

}  // namespace graupel::kernels::avx512vnni

#endif
