// The convolution for x86-64 with AVX-VNNI and no AVX-512 (Intel Alder Lake and later).
//
// Idea: as avx512vnni.cc, on sixteen registers of eight int32: sixteen channels are two of them,
// six positions fill twelve. The instruction is written as assembly: VEX-encoded here; with
// GRAUPEL_EVEX_ENCODING, in avxvnni_evex_test.cc, in AVX-512's encoding, which computes the same,
// so that a machine with AVX-512 VNNI tests this code. Reference: docs/formats/int8.md. Test:
// kernels_test.cc (equal to scalar, bit for bit).
#if defined(__x86_64__)

#include "kernels/avx2_bytes.h"

#if defined(GRAUPEL_EVEX_ENCODING)
#define GRAUPEL_DOT "%{evex%} vpdpbusd %2, %1, %0"
namespace graupel::kernels::avxvnni_evex {
#else
#define GRAUPEL_DOT "%{vex%} vpdpbusd %2, %1, %0"
namespace graupel::kernels::avxvnni {
#endif
namespace {

constexpr int32_t kMostPositions = 6;

inline __m256i load_quad(const uint8_t* x) {
  int32_t quad;
  __builtin_memcpy(&quad, x, sizeof quad);
  return _mm256_set1_epi32(quad);
}

inline void add_dot(__m256i& sum, __m256i x, __m256i w) {
  asm(GRAUPEL_DOT : "+x"(sum) : "x"(x), "x"(w));
}

inline __m256 product(__m256i sum, const float* multiplier) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(multiplier));
}

inline void store_block(uint8_t* y, __m256i low, __m256i high, const float* multiplier,
                        const Epilogue& e, int32_t channels) {
  store(y,
        pack16(to_bytes(product(low, multiplier), e), to_bytes(product(high, multiplier + 8), e)),
        channels);
}

// One block of sixteen channels at `lane`, positions first .. first + kPositions - 1 of one row.
template <int kPositions>
void dot_tile(const DotRowArgs& args, int32_t lane, int32_t first, const Epilogue& e) {
  __m256i low[kPositions];
  __m256i high[kPositions];
#pragma GCC unroll 6
  for (int p = 0; p < kPositions; ++p) {
    low[p] = load(args.bias + lane);
    high[p] = load(args.bias + lane + 8);
  }
  const uint8_t* origin = args.x + first / args.row_positions * args.x_row_step +
                          first % args.row_positions * args.x_step;
  const int8_t* w = args.weights + lane / kConvBlock * args.block_step;
  for (int32_t r = 0; r < args.runs; ++r) {
    const uint8_t* x = origin + args.run_offsets[r];
    for (int32_t k = 0; k < args.quads; ++k, x += 4, w += 4 * kConvBlock) {
      const __m256i w_low = load(w);
      const __m256i w_high = load(w + 32);
#pragma GCC unroll 6
      for (int p = 0; p < kPositions; ++p) {
        const __m256i quad = load_quad(x + p * args.x_step);
        add_dot(low[p], quad, w_low);
        add_dot(high[p], quad, w_high);
      }
    }
  }
  const float* multiplier = args.multiplier + lane;
  const int32_t channels = args.channels - lane;
  uint8_t* const y = args.y + first / args.pool * args.y_step + lane;
  if constexpr (kPositions % 2 == 0) {
    if (args.pool == 2) {
#pragma GCC unroll 3
      for (int q = 0; q < kPositions / 2; ++q) {
        store_block(y + q * args.y_step, _mm256_max_epi32(low[2 * q], low[2 * q + 1]),
                    _mm256_max_epi32(high[2 * q], high[2 * q + 1]), multiplier, e, channels);
      }
      return;
    }
  }
#pragma GCC unroll 6
  for (int p = 0; p < kPositions; ++p) {
    store_block(y + p * args.y_step, low[p], high[p], multiplier, e, channels);
  }
}

using Tile = void (*)(const DotRowArgs&, int32_t, int32_t, const Epilogue&);
constexpr Tile kTiles[kMostPositions] = {&dot_tile<1>, &dot_tile<2>, &dot_tile<3>,
                                         &dot_tile<4>, &dot_tile<5>, &dot_tile<6>};

}  // namespace

void dot_row(const DotRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  for (int32_t lane = 0; lane < args.channels; lane += kConvBlock) {
    for (int32_t first = 0; first < args.positions;) {
      const int32_t left = args.row_positions - first % args.row_positions;
      const int32_t size = left < kMostPositions ? left : kMostPositions;
      kTiles[size - 1](args, lane, first, e);
      first += size;
    }
  }
}

#undef GRAUPEL_DOT
}  // namespace graupel::kernels::avxvnni

#endif
