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

#include "kernels/avx512_bytes.h"

namespace graupel::kernels::avx512vnni {
namespace {

inline __m512i load(const void* p) { return _mm512_loadu_si512(p); }

inline __m512i load_quad(const uint8_t* x) {
  int32_t quad;
  __builtin_memcpy(&quad, x, sizeof quad);
  return _mm512_set1_epi32(quad);
}

inline void add_dot(__m512i& sum, __m512i x, __m512i w) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}

// From so many blocks on, a tile has few enough positions to hold a pointer for each, so that it
// can run over the end of a row.
constexpr int kRowsOfBlocks = 3;

template <int kPositions, int kBlocks>
inline void sum_scattered(const DotRowArgs& args, int32_t first,
                          __m512i (&sum)[kPositions][kBlocks]) {
  const uint8_t* x[kPositions];
  int32_t column = first % args.row_positions;
  const uint8_t* at = args.x + first / args.row_positions * args.x_row_step + column * args.x_step;
#pragma GCC unroll 8
  for (int p = 0; p < kPositions; ++p) {
    x[p] = at;
    at += args.x_step;
    if (++column == args.row_positions) {
      column = 0;
      at += args.x_row_step - args.row_positions * args.x_step;
    }
  }
  const int8_t* w = args.weights;
  for (int32_t r = 0; r < args.runs; ++r) {
    const ptrdiff_t start = args.run_offsets[r], end = start + ptrdiff_t{4} * args.quads;
    for (ptrdiff_t k = start; k < end; k += 4, w += 4 * kConvBlock) {
      __m512i weights[kBlocks];
#pragma GCC unroll 4
      for (int b = 0; b < kBlocks; ++b) weights[b] = load(w + b * args.block_step);
#pragma GCC unroll 8
      for (int p = 0; p < kPositions; ++p) {
        const __m512i quad = load_quad(x[p] + k);
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) add_dot(sum[p][b], quad, weights[b]);
      }
    }
  }
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
  if constexpr (kBlocks >= kRowsOfBlocks) {
    sum_scattered<kPositions, kBlocks>(args, first, sum);
    return;
  }
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

// Sums of kBlocks whole blocks to bytes in one go: a sum far above every byte is cut to 2^30 so
// that its conversion stays in range, then saturating packs, the zero point and byte bounds do the
// rest.
struct Packing {
  __m512i zero_point;  // int16
  __m512i low;
  __m512i high;
  bool is_signed;
};

inline Packing packing_of(const ByteRange& range) {
  return {_mm512_set1_epi16(static_cast<int16_t>(range.zero_point)),
          _mm512_set1_epi8(static_cast<char>(range.low)),
          _mm512_set1_epi8(static_cast<char>(range.high)), range.low < 0};
}

struct Ending {
  Epilogue epilogue;
  bool is_plain;
};

template <bool kPlain>
inline __m512i rounded(__m512i sum, __m512 multiplier) {
  __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), multiplier);
  if constexpr (!kPlain) v = _mm512_min_ps(v, _mm512_set1_ps(1073741824.0f));
  return _mm512_cvtps_epi32(v);
}

template <bool kPlain, int kBlocks>
inline void store_blocks(uint8_t* y, const __m512i (&sum)[kBlocks],
                         const __m512 (&multiplier)[kBlocks], const Packing& packing) {
  __m512i q[4];
#pragma GCC unroll 4
  for (int b = 0; b < 4; ++b) {
    q[b] = b < kBlocks ? rounded<kPlain>(sum[b < kBlocks ? b : 0], multiplier[b < kBlocks ? b : 0])
                       : q[0];
  }
  const __m512i words_low = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), packing.zero_point);
  const __m512i words_high =
      kBlocks > 2 ? _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), packing.zero_point)
                  : words_low;
  __m512i bytes;
  if (packing.is_signed) {
    bytes = _mm512_packs_epi16(words_low, words_high);
    if constexpr (!kPlain)
      bytes = _mm512_min_epi8(_mm512_max_epi8(bytes, packing.low), packing.high);
  } else {
    bytes = _mm512_packus_epi16(words_low, words_high);
    if constexpr (!kPlain)
      bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, packing.low), packing.high);
  }
  // Each 128-bit part holds four channels of every block.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  bytes = _mm512_permutexvar_epi32(order, bytes);
  if constexpr (kBlocks == 4) {
    _mm512_storeu_si512(y, bytes);
  } else if constexpr (kBlocks == 1) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y), _mm512_castsi512_si128(bytes));
  } else {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), _mm512_castsi512_si256(bytes));
    if constexpr (kBlocks == 3) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y + 32), _mm512_extracti32x4_epi32(bytes, 2));
    }
  }
}

// The tile's bytes where all its channels are real.
template <bool kPlain, int kPositions, int kBlocks>
inline void store_whole(const DotRowArgs& args, int32_t first,
                        const __m512i (&sum)[kPositions][kBlocks]) {
  const Packing packing = packing_of(args.range);
  __m512 multiplier[kBlocks];
#pragma GCC unroll 4
  for (int b = 0; b < kBlocks; ++b) {
    multiplier[b] = _mm512_loadu_ps(args.multiplier + b * kConvBlock);
  }
  if constexpr (kPositions % 2 == 0) {
    if (args.pool == 2) {
      uint8_t* const y = args.y + first / 2 * args.y_step;
#pragma GCC unroll 7
      for (int p = 0; p < kPositions; p += 2) {
        __m512i best[kBlocks];
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) best[b] = _mm512_max_epi32(sum[p][b], sum[p + 1][b]);
        store_blocks<kPlain, kBlocks>(y + p / 2 * args.y_step, best, multiplier, packing);
      }
      return;
    }
  }
#pragma GCC unroll 14
  for (int p = 0; p < kPositions; ++p) {
    store_blocks<kPlain, kBlocks>(args.y + (first + p) * args.y_step, sum[p], multiplier, packing);
  }
}

template <int kPositions, int kBlocks>
void dot_tile(const DotRowArgs& args, int32_t first, const Ending& e) {
  __m512i sum[kPositions][kBlocks];
  sum_tile<kPositions, kBlocks>(args, first, sum);
  if (args.channels == kBlocks * kConvBlock) {
    if (e.is_plain) return store_whole<true, kPositions, kBlocks>(args, first, sum);
    return store_whole<false, kPositions, kBlocks>(args, first, sum);
  }
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
          store(y + p / 2 * args.y_step + b * kConvBlock, to_bytes(v, e.epilogue),
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
      store(y + p * args.y_step + b * kConvBlock, to_bytes(v, e.epilogue),
            args.channels - b * kConvBlock);
    }
  }
}

using Tile = void (*)(const DotRowArgs&, int32_t, const Ending&);

// The row in as few tiles as possible, of nearly equal size.
template <int kMost>
inline void walk(const DotRowArgs& args, const Tile (&tiles)[kMost], const Ending& e) {
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
  const int32_t blocks = (args.channels + kConvBlock - 1) / kConvBlock;
  const Ending e = {epilogue_of(args.range), is_plain(args)};
  if (blocks >= 4) return walk(args, kFour, e);
  if (blocks == 3) return walk(args, kThree, e);
  DotRowArgs row = args;
  row.positions = args.row_positions;
  for (int32_t first = 0; first < args.positions; first += args.row_positions) {
    if (blocks == 2) {
      walk(row, kTwo, e);
    } else {
      walk(row, kOne, e);
    }
    row.x += args.x_row_step;
    row.y += args.row_positions / args.pool * args.y_step;
  }
}

namespace {

// Thirty-two channels' sum less the zero points as bytes; at most 255 taps, whose sum an int16
// (int8) or uint16 (uint8) holds.
inline void average32(const AveragePoolRowArgs& args, const uint8_t* x, uint8_t* y,
                      const Epilogue& e) {
  const bool is_signed = args.type == ByteType::kInt8;
  __m512i sum = _mm512_setzero_si512();
  for (int32_t t = 0; t < args.taps; ++t) {
    const __m256i bytes =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + args.tap_offsets[t]));
    sum = _mm512_add_epi16(sum,
                           is_signed ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes));
  }
  const __m512i zero_point = _mm512_set1_epi32(args.taps * args.zero_point);
  for (int half = 0; half < 2; ++half) {
    const __m256i words =
        half == 0 ? _mm512_castsi512_si256(sum) : _mm512_extracti64x4_epi64(sum, 1);
    const __m512i wide = is_signed ? _mm512_cvtepi16_epi32(words) : _mm512_cvtepu16_epi32(words);
    const __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(wide, zero_point)),
                                   _mm512_set1_ps(args.multiplier));
    store(y + 16 * half, to_bytes(v, e), 16);
  }
}

}  // namespace

void average_pool_row(const AveragePoolRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  const __m512i zero_point = _mm512_set1_epi32(args.taps * args.zero_point);
  const __m512 multiplier = _mm512_set1_ps(args.multiplier);
  for (int32_t p = 0; p < args.positions; ++p) {
    int32_t c = 0;
    for (; args.taps <= 255 && c + 32 <= args.channels; c += 32) {
      average32(args, args.x + p * args.x_step + c, args.y + p * args.y_step + c, e);
    }
    for (; c < args.channels; c += 16) {
      const __mmask16 lanes = first_lanes(args.channels - c);
      const uint8_t* x = args.x + p * args.x_step + c;
      __m512i sum = _mm512_setzero_si512();
      for (int32_t t = 0; t < args.taps; ++t) {
        sum = _mm512_add_epi32(sum, widen(x + args.tap_offsets[t], lanes, args.type));
      }
      sum = _mm512_sub_epi32(sum, zero_point);
      const __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), multiplier);
      store(args.y + p * args.y_step + c, to_bytes(v, e), args.channels - c);
    }
  }
}

}  // namespace graupel::kernels::avx512vnni

#endif
