// The convolution for 64-bit ARM with dot products (Raspberry Pi 5: Cortex-A76).
//
// Idea: one sdot adds four products of int8 to each of four int32, exactly. Sixteen channels are
// four registers; each load of weights serves six positions, and each load of sixteen input bytes
// four quads, by lane. Inputs are int8: the caller has flipped uint8 ones. Reference:
// docs/formats/int8.md. Test: kernels_test.cc (equal to scalar, bit for bit).
#if defined(__aarch64__)

#include <arm_neon.h>

#include "kernels/kernels.h"
#include "kernels/neon_bytes.h"

namespace graupel::kernels::neondot {
namespace {

constexpr int kMostPositions = 6;

inline int8x16_t load_quad(const uint8_t* x) {
  int32_t quad;
  __builtin_memcpy(&quad, x, sizeof quad);
  return vreinterpretq_s8_s32(vdupq_n_s32(quad));
}

inline int8x16_t load(const uint8_t* x) { return vreinterpretq_s8_u8(vld1q_u8(x)); }

// The products of quad number kQuad of each position with the sixteen channels' weights at w.
template <int kPositions, int kQuad>
inline const int8_t* add_quad(int32x4_t (&sum)[kPositions][4], const int8_t* w,
                              const int8x16_t (&quads)[kPositions]) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const int8x16_t weights = vld1q_s8(w + 16 * i);
#pragma GCC unroll 6
    for (int p = 0; p < kPositions; ++p) {
      sum[p][i] = vdotq_laneq_s32(sum[p][i], weights, quads[p], kQuad);
    }
  }
  return w + 4 * kConvBlock;
}

// One block of sixteen channels at `lane`, positions first .. first + kPositions - 1.
template <int kPositions>
void dot_tile(const DotRowArgs& args, int32_t lane, int32_t first, const Epilogue& e) {
  int32x4_t sum[kPositions][4];
#pragma GCC unroll 6
  for (int p = 0; p < kPositions; ++p) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sum[p][i] = vld1q_s32(args.bias + lane + 4 * i);
  }
  const uint8_t* x[kPositions];
  for (int p = 0; p < kPositions; ++p) {
    x[p] = args.x + (first + p) / args.row_positions * args.x_row_step +
           (first + p) % args.row_positions * args.x_step;
  }
  const int8_t* w = args.weights + lane / kConvBlock * args.block_step;
  for (int32_t r = 0; r < args.runs; ++r) {
    ptrdiff_t at = args.run_offsets[r];
    int32_t k = 0;
    for (; k + 4 <= args.quads; k += 4, at += 16) {
      int8x16_t quads[kPositions];
#pragma GCC unroll 6
      for (int p = 0; p < kPositions; ++p) quads[p] = load(x[p] + at);
      w = add_quad<kPositions, 0>(sum, w, quads);
      w = add_quad<kPositions, 1>(sum, w, quads);
      w = add_quad<kPositions, 2>(sum, w, quads);
      w = add_quad<kPositions, 3>(sum, w, quads);
    }
    for (; k < args.quads; ++k, at += 4) {
      int8x16_t quads[kPositions];
#pragma GCC unroll 6
      for (int p = 0; p < kPositions; ++p) quads[p] = load_quad(x[p] + at);
      w = add_quad<kPositions, 0>(sum, w, quads);
    }
  }
  const int32_t channels = args.channels - lane;
  uint8_t* const y = args.y + first / args.pool * args.y_step + lane;
  if constexpr (kPositions % 2 == 0) {
    if (args.pool == 2) {
#pragma GCC unroll 3
      for (int q = 0; q < kPositions / 2; ++q) {
        int32x4_t best[4];
        for (int i = 0; i < 4; ++i) best[i] = vmaxq_s32(sum[2 * q][i], sum[2 * q + 1][i]);
        store_block(y + q * args.y_step, best, args.multiplier + lane, e, channels);
      }
      return;
    }
  }
#pragma GCC unroll 6
  for (int p = 0; p < kPositions; ++p) {
    store_block(y + p * args.y_step, sum[p], args.multiplier + lane, e, channels);
  }
}

using Tile = void (*)(const DotRowArgs&, int32_t, int32_t, const Epilogue&);
constexpr Tile kTiles[kMostPositions] = {&dot_tile<1>, &dot_tile<2>, &dot_tile<3>,
                                         &dot_tile<4>, &dot_tile<5>, &dot_tile<6>};

}  // namespace

void dot_row(const DotRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  for (int32_t lane = 0; lane < args.channels; lane += kConvBlock) {
    int32_t first = 0;
    while (first < args.positions) {
      const int32_t left = args.positions - first;
      const int32_t size = left < kMostPositions ? left : kMostPositions;
      kTiles[size - 1](args, lane, first, e);
      first += size;
    }
  }
}

}  // namespace graupel::kernels::neondot

#endif
