// The convolution for 64-bit ARM with dot products (Raspberry Pi 5: Cortex-A76).
//
// Idea: one sdot adds four products of int8 to each of four int32, exactly. Sixteen channels are
// four registers; five positions of them and the weights fill 32 registers' worth of work, and each
// load of weights serves all positions. Inputs are int8: the caller has flipped uint8 ones.
// Reference: docs/formats/int8.md. Test: kernels_test.cc (equal to scalar, bit for bit).
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

// One block of sixteen channels at `lane`, positions first .. first + kPositions - 1.
template <int kPositions>
void dot_tile(const DotRowArgs& args, int32_t lane, int32_t first, const Epilogue& e) {
  int32x4_t sum[kPositions][4];
#pragma GCC unroll 6
  for (int p = 0; p < kPositions; ++p) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sum[p][i] = vld1q_s32(args.bias + lane + 4 * i);
  }
  const int8_t* w = args.weights + lane / kConvBlock * args.block_step;
  for (int32_t r = 0; r < args.runs; ++r) {
    const uint8_t* x = args.x + first * args.x_step + args.run_offsets[r];
    for (int32_t k = 0; k < args.quads; ++k, x += 4, w += 4 * kConvBlock) {
      const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16);
      const int8x16_t w2 = vld1q_s8(w + 32), w3 = vld1q_s8(w + 48);
#pragma GCC unroll 6
      for (int p = 0; p < kPositions; ++p) {
        const int8x16_t quad = load_quad(x + p * args.x_step);
        sum[p][0] = vdotq_s32(sum[p][0], w0, quad);
        sum[p][1] = vdotq_s32(sum[p][1], w1, quad);
        sum[p][2] = vdotq_s32(sum[p][2], w2, quad);
        sum[p][3] = vdotq_s32(sum[p][3], w3, quad);
      }
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
