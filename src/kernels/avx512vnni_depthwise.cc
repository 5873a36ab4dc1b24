// Depthwise convolution on bytes for AVX-512 VNNI.
//
// Idea: four rows of one column are interleaved, so that each int32 lane holds four taps of its own
// channel and one vpdpbusd multiplies them all. Going along a row, an interleaved column is added
// to the sums of every position it is a tap of; each step finishes one position, so that its way to
// bytes overlaps with the next one's products. Sixty-four channels at a time, thirty-two where
// fewer are left. The interleaving of the unpacks is undone when the sums are packed to bytes.
// Reference: docs/formats/int8.md, kernels/kernels.h. Test: kernels_test.cc (equal to scalar, bit
// for bit).
#if defined(__x86_64__)

#include "kernels/avx512_bytes.h"

#define GRAUPEL_INLINE __attribute__((always_inline)) inline

namespace graupel::kernels::avx512vnni {
namespace {

// The instructions by register: Wide is 64 channels, Narrow 32.
struct Wide {
  using Bytes = __m512i;
  using Floats = __m512;
  static constexpr int32_t kChannels = 64;
};
struct Narrow {
  using Bytes = __m256i;
  using Floats = __m256;
  static constexpr int32_t kChannels = 32;
};

// Into a register: g++ would rather load again for a second use.
inline void load(const void* p, __m512i& v) {
  v = _mm512_loadu_si512(p);
  asm("" : "+v"(v));
}
inline void load(const void* p, __m256i& v) {
  v = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  asm("" : "+v"(v));
}
inline void interleave_bytes(__m512i a, __m512i b, __m512i& low, __m512i& high) {
  low = _mm512_unpacklo_epi8(a, b);
  high = _mm512_unpackhi_epi8(a, b);
}
inline void interleave_bytes(__m256i a, __m256i b, __m256i& low, __m256i& high) {
  low = _mm256_unpacklo_epi8(a, b);
  high = _mm256_unpackhi_epi8(a, b);
}
inline void interleave_words(__m512i a, __m512i b, __m512i& low, __m512i& high) {
  low = _mm512_unpacklo_epi16(a, b);
  high = _mm512_unpackhi_epi16(a, b);
}
inline void interleave_words(__m256i a, __m256i b, __m256i& low, __m256i& high) {
  low = _mm256_unpacklo_epi16(a, b);
  high = _mm256_unpackhi_epi16(a, b);
}
template <class Bytes>
inline void add_column(Bytes (&sum)[4], const Bytes (&column)[4], const int8_t* w) {
#pragma GCC unroll 4
  for (size_t q = 0; q < 4; ++q) {
    asm("vpdpbusd %2, %1, %0"
        : "+v"(sum[q])
        : "v"(column[q]), "m"(*reinterpret_cast<const Bytes*>(w + q * sizeof(Bytes))));
  }
}

// What turns sums into bytes. A sum far above every byte is cut to 2^30 so that its conversion
// stays in range, then saturating packs, the zero point and byte bounds do the rest.
struct Packing {
  __m512i zero_point;  // int16
  __m512i low;
  __m512i high;
  bool is_signed;
};

inline __m512 cut(__m512 v) { return _mm512_min_ps(v, _mm512_set1_ps(1073741824.0f)); }
inline __m256 cut(__m256 v) { return _mm256_min_ps(v, _mm256_set1_ps(1073741824.0f)); }
inline __m512 product(__m512i sum, __m512 multiplier) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), multiplier);
}
inline __m256 product(__m256i sum, __m256 multiplier) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier);
}
inline __m512i rounded(__m512 v) { return _mm512_cvtps_epi32(v); }
inline __m256i rounded(__m256 v) { return _mm256_cvtps_epi32(v); }

inline __m512i packed(const Packing& p, const __m512i (&q)[4]) {
  const __m512i a = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), p.zero_point);
  const __m512i b = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), p.zero_point);
  return p.is_signed ? _mm512_packs_epi16(a, b) : _mm512_packus_epi16(a, b);
}
inline __m256i packed(const Packing& p, const __m256i (&q)[4]) {
  const __m256i zero_point = _mm512_castsi512_si256(p.zero_point);
  const __m256i a = _mm256_adds_epi16(_mm256_packs_epi32(q[0], q[1]), zero_point);
  const __m256i b = _mm256_adds_epi16(_mm256_packs_epi32(q[2], q[3]), zero_point);
  return p.is_signed ? _mm256_packs_epi16(a, b) : _mm256_packus_epi16(a, b);
}
inline __m512i bounded(const Packing& p, __m512i v) {
  return p.is_signed ? _mm512_min_epi8(_mm512_max_epi8(v, p.low), p.high)
                     : _mm512_min_epu8(_mm512_max_epu8(v, p.low), p.high);
}
inline __m256i bounded(const Packing& p, __m256i v) {
  const __m256i low = _mm512_castsi512_si256(p.low), high = _mm512_castsi512_si256(p.high);
  return p.is_signed ? _mm256_min_epi8(_mm256_max_epi8(v, low), high)
                     : _mm256_min_epu8(_mm256_max_epu8(v, low), high);
}

// One block of channels of a call. Quarter q of its registers has channels 4q .. 4q + 3 of every
// sixteen.
template <class V>
struct Block {
  const uint8_t* x;
  const int8_t* weights;
  uint8_t* y;
  __mmask64 lanes;  // channels to store
  bool is_whole;
  typename V::Bytes bias[4];
  typename V::Floats multiplier[4];
};

inline void store(const Block<Wide>& block, uint8_t* y, __m512i bytes) {
  if (block.is_whole) {
    _mm512_storeu_si512(y, bytes);
  } else {
    _mm512_mask_storeu_epi8(y, block.lanes, bytes);
  }
}
inline void store(const Block<Narrow>& block, uint8_t* y, __m256i bytes) {
  if (block.is_whole) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), bytes);
  } else {
    _mm256_mask_storeu_epi8(y, static_cast<__mmask32>(block.lanes), bytes);
  }
}

template <bool kPlain, class V>
inline void finish(const Block<V>& block, const Packing& packing, const typename V::Bytes (&sum)[4],
                   uint8_t* y) {
  typename V::Bytes q[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    typename V::Floats v = product(sum[i], block.multiplier[i]);
    if constexpr (!kPlain) v = cut(v);
    q[i] = rounded(v);
  }
  const typename V::Bytes bytes = packed(packing, q);
  if constexpr (kPlain) {
    store(block, y, bytes);
  } else {
    store(block, y, bounded(packing, bytes));
  }
}

inline void set_quarter(const void* values, int q, __m512i& v) {
  const char* from = static_cast<const char*>(values) + 16 * q;
  const auto four = [&](int i) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 64 * i));
  };
  v = _mm512_inserti32x4(_mm512_castsi128_si512(four(0)), four(1), 1);
  v = _mm512_inserti32x4(_mm512_inserti32x4(v, four(2), 2), four(3), 3);
}
inline void set_quarter(const void* values, int q, __m256i& v) {
  const char* from = static_cast<const char*>(values) + 16 * q;
  v = _mm256_inserti128_si256(
      _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))),
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 64)), 1);
}
inline void set_quarter(const void* values, int q, __m512& v) {
  __m512i bits;
  set_quarter(values, q, bits);
  v = _mm512_castsi512_ps(bits);
}
inline void set_quarter(const void* values, int q, __m256& v) {
  __m256i bits;
  set_quarter(values, q, bits);
  v = _mm256_castsi256_ps(bits);
}

template <class V>
inline Block<V> block_at(const DepthwiseDotArgs& args, int32_t c) {
  Block<V> block;
  block.x = args.x + c;
  block.weights = args.weights + ptrdiff_t{c} * args.groups * args.columns * 4;
  block.y = args.y + c;
  const int32_t left = args.channels - c;
  block.is_whole = left >= V::kChannels;
  block.lanes = block.is_whole ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
  for (int q = 0; q < 4; ++q) {
    set_quarter(args.bias + c, q, block.bias[q]);
    set_quarter(args.multiplier + c, q, block.multiplier[q]);
  }
  return block;
}

// One column of four rows.
template <class V>
inline void interleaved(const uint8_t* const (&rows)[4], typename V::Bytes (&quarter)[4]) {
  typename V::Bytes a, b, c, d, ab_low, ab_high, cd_low, cd_high;
  load(rows[0], a);
  load(rows[1], b);
  load(rows[2], c);
  load(rows[3], d);
  interleave_bytes(a, b, ab_low, ab_high);
  interleave_bytes(c, d, cd_low, cd_high);
  interleave_words(ab_low, cd_low, quarter[0], quarter[1]);
  interleave_words(ab_high, cd_high, quarter[2], quarter[3]);
}

template <class V>
inline void start(const Block<V>& block, typename V::Bytes (&sum)[4]) {
#pragma GCC unroll 4
  for (int q = 0; q < 4; ++q) sum[q] = block.bias[q];
}

// A kernel of one group and kColumns that moves by kStride of them from position to position. The
// sums of kAlive positions are not finished at a time; that of position p is at p % kAlive. Places
// are template arguments, so that the sums are registers; what the loop needs is copied out of the
// call's arguments, which its stores might overwrite for all the compiler knows.
template <class V, int kColumns, int kStride>
struct Slide {
  static constexpr int kAlive = (kColumns + kStride - 1) / kStride;
  static constexpr int kEarly = kColumns - kStride;  // columns before a position's last ones
  using Sums = typename V::Bytes[kAlive][4];

  const uint8_t* rows[4];  // at the next column
  ptrdiff_t x_step;
  const int8_t* weights;
  uint8_t* y;
  ptrdiff_t y_step;
  int32_t left;  // positions
};

// Adds the next column to the sums of all positions that it is a tap of. It is kReach columns after
// the first one of a position whose sum is at kPlace, and starts the sum of which it is the first.
template <int kReach, int kPlace, class V, int kColumns, int kStride>
GRAUPEL_INLINE void add_next(Slide<V, kColumns, kStride>& s, const Block<V>& block,
                             typename Slide<V, kColumns, kStride>::Sums& sum) {
  constexpr int kAlive = Slide<V, kColumns, kStride>::kAlive;
  if constexpr (kReach % kStride == 0) start(block, sum[(kPlace + kReach / kStride) % kAlive]);
  typename V::Bytes column[4];
  interleaved<V>(s.rows, column);
#pragma GCC unroll 8
  for (int k = kReach % kStride; k < kColumns && k <= kReach; k += kStride) {
    add_column(sum[(kPlace + (kReach - k) / kStride) % kAlive], column,
               s.weights + 4 * k * V::kChannels);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) s.rows[j] += s.x_step;
}

template <int kFirst, int kEnd, int kPlace, class V, int kColumns, int kStride>
GRAUPEL_INLINE void add_columns(Slide<V, kColumns, kStride>& s, const Block<V>& block,
                                typename Slide<V, kColumns, kStride>::Sums& sum) {
  if constexpr (kFirst < kEnd) {
    add_next<kFirst, kPlace>(s, block, sum);
    add_columns<kFirst + 1, kEnd, kPlace>(s, block, sum);
  }
}

// Finishes the positions at kPlace and after it; whether there were so many.
template <bool kPlain, int kPlace, class V, int kColumns, int kStride>
GRAUPEL_INLINE bool finish_round(Slide<V, kColumns, kStride>& s, const Block<V>& block,
                                 const Packing& packing,
                                 typename Slide<V, kColumns, kStride>::Sums& sum) {
  if constexpr (kPlace < Slide<V, kColumns, kStride>::kAlive) {
    if (s.left-- == 0) return false;
    add_columns<Slide<V, kColumns, kStride>::kEarly, kColumns, kPlace>(s, block, sum);
    finish<kPlain>(block, packing, sum[kPlace], s.y);
    s.y += s.y_step;
    return finish_round<kPlain, kPlace + 1>(s, block, packing, sum);
  }
  return true;
}

template <bool kPlain, class V, int kColumns, int kStride>
void slide(const DepthwiseDotArgs& args, const Block<V>& at, const Packing& packing) {
  const Block<V> block = at;
  const Packing p = packing;
  const int32_t* const offsets = args.row_offsets;
  Slide<V, kColumns, kStride> s = {
      {at.x + offsets[0], at.x + offsets[1], at.x + offsets[2], at.x + offsets[3]},
      args.column_step,
      at.weights,
      at.y,
      args.y_step,
      args.positions};
  typename Slide<V, kColumns, kStride>::Sums sum;
  add_columns<0, Slide<V, kColumns, kStride>::kEarly, 0>(s, block, sum);
  while (finish_round<kPlain, 0>(s, block, p, sum)) {
  }
}

// Any kernel: every position by itself.
template <bool kPlain, class V>
void apart(const DepthwiseDotArgs& args, const Block<V>& block, const Packing& packing) {
  for (int32_t p = 0; p < args.positions; ++p) {
    typename V::Bytes sum[4];
    start(block, sum);
    const uint8_t* const x = block.x + p * args.x_step;
    const int8_t* w = block.weights;
    for (int32_t g = 0; g < args.groups; ++g) {
      const int32_t* const offsets = args.row_offsets + 4 * g;
      for (int32_t k = 0; k < args.columns; ++k, w += 4 * V::kChannels) {
        const uint8_t* const at = x + k * args.column_step;
        const uint8_t* const rows[4] = {at + offsets[0], at + offsets[1], at + offsets[2],
                                        at + offsets[3]};
        typename V::Bytes column[4];
        interleaved<V>(rows, column);
        add_column(sum, column, w);
      }
    }
    finish<kPlain>(block, packing, sum, block.y + p * args.y_step);
  }
}

template <bool kPlain, class V>
inline void run_block(const DepthwiseDotArgs& args, const Packing& packing, int32_t c) {
  const Block<V> block = block_at<V>(args, c);
  const int32_t columns = args.groups == 1 ? args.columns : 0;
  const bool by_one = args.x_step == args.column_step;
  const bool by_two = args.x_step == 2 * args.column_step;
  if (columns == 3 && by_one) return slide<kPlain, V, 3, 1>(args, block, packing);
  if (columns == 3 && by_two) return slide<kPlain, V, 3, 2>(args, block, packing);
  if (columns == 5 && by_one) return slide<kPlain, V, 5, 1>(args, block, packing);
  if (columns == 5 && by_two) return slide<kPlain, V, 5, 2>(args, block, packing);
  apart<kPlain, V>(args, block, packing);
}

template <bool kPlain>
inline void run(const DepthwiseDotArgs& args, const Packing& packing) {
  for (int32_t c = 0; c < args.channels;) {
    const int32_t width = depthwise_lane(args.channels, c).width;
    if (width == Wide::kChannels) {
      run_block<kPlain, Wide>(args, packing, c);
    } else {
      run_block<kPlain, Narrow>(args, packing, c);
    }
    c += width;
  }
}

}  // namespace

void depthwise_dot_row(const DepthwiseDotArgs& args) {
  const Packing packing = {_mm512_set1_epi16(static_cast<int16_t>(args.range.zero_point)),
                           _mm512_set1_epi8(static_cast<char>(args.range.low)),
                           _mm512_set1_epi8(static_cast<char>(args.range.high)),
                           args.range.low < 0};
  if (is_plain(args)) {
    run<true>(args, packing);
  } else {
    run<false>(args, packing);
  }
}

#undef GRAUPEL_INLINE
}  // namespace graupel::kernels::avx512vnni

#endif
