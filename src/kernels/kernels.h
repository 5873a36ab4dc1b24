// The inner loops of the CPU engine: contracts. Every kernel has one implementation per
// instruction set; all of them give the same bits (docs/formats/int8.md), the scalar one by
// plain loops.
//
// Idea: activations lie channels-last (position, then channel). A convolution first widens its
// input to int16 with the zero point taken off and the side padding written as zeros; then each
// output is a sum over "runs", stretches of consecutive int16 values. A 1-row kernel over all
// channels is one run of kernel_w * channels values, so narrow inputs waste nothing. Products of
// pairs of int16 are summed exactly in int32: no instruction here saturates on the way.
// Where the processor multiplies bytes in fours (dot_row), the input stays bytes; the padding is
// then the zero point, and the bias takes the zero point off.
// Sums wrap modulo 2^32; the compiler has proved that they do not.
//
// This header and the files that implement it are freestanding (no C++ library), so that no
// inline function compiled with raised instruction-set flags can reach the rest of the program.
// Reference: docs/formats/int8.md. Test: kernels_test.cc (every kernel of kernels.def, every
// instruction set against scalar, scalar against brute force).
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace graupel::kernels {

enum class ByteType : uint8_t { kInt8, kUInt8 };

// How an exact sum becomes a byte:
//   round_half_even(clamp(v, low - zero_point, high - zero_point)) + zero_point
// with v a float32. low and high are quantised values (Relu, Clip or the byte's own range) with
// low <= high, -128 <= low, high <= 255, and low - zero_point, high - zero_point in +-2^16. As
// the bounds are integers this equals clamping after rounding. A NaN counts as 0.
struct ByteRange {
  int32_t zero_point = 0;
  int32_t low = -128;
  int32_t high = 127;
};

// y[i] = x[i] - zero_point, for i < count.
struct WidenArgs {
  const uint8_t* x;
  ByteType type;
  int32_t zero_point;
  int16_t* y;
  size_t count;
};

// y[i] = x[i] ^ flip: between int8 and uint8 with the zero point moved along.
struct FlipArgs {
  const uint8_t* x;
  uint8_t flip;
  uint8_t* y;
  size_t count;
};

constexpr int32_t kConvBlock = 16;  // output channels whose weights lie together
constexpr int32_t kDotBlocks = 4;   // most blocks per call of dot_row
// Values that conv_row, dot_row and the depthwise rows may read (and multiply by zero) past the
// last.
constexpr size_t kReadSlack = 64;

// One block of output channels along one row of positions:
//   acc[p][m] = bias[m] + sum over r < runs, k < 2 * pairs of
//               x[p * x_step + run_offsets[r] + k] * weights[r][k / 2][m][k % 2]
//   best[q][m] = max over j < pool of acc[q * pool + j][m]
//   y[q * y_step + m] = byte of float32(best) * multiplier[m],
//                       for q < positions / pool and m < channels <= kConvBlock
// pool is 1 or 2 and divides positions; with 2, multipliers are not negative, so that the largest
// sum gives the largest byte. weights are [runs][pairs][kConvBlock][2]; a run of odd length is
// filled up with zero weights; bias and multiplier hold kConvBlock values. All pointers may be
// unaligned.
struct ConvRowArgs {
  const int16_t* x;
  ptrdiff_t x_step;
  const int32_t* run_offsets;
  int32_t runs;
  int32_t pairs;
  const int16_t* weights;
  const int32_t* bias;
  const float* multiplier;
  ByteRange range;
  int32_t channels;
  int32_t positions;
  int32_t pool;
  uint8_t* y;
  ptrdiff_t y_step;
};

// Which bytes dot_row multiplies with its int8 weights; kNone: the set has no such instruction, and
// conv_row is the faster one.
enum class DotForm : uint8_t { kNone, kUnsigned, kSigned };

// Up to kDotBlocks blocks of output channels along rows of positions, on bytes:
//   at[p] = p / row_positions * x_row_step + p % row_positions * x_step
//   acc[p][m] = bias[m] + sum over r < runs, k < 4 * quads of
//               x[at[p] + run_offsets[r] + k] *
//               weights[m / 16 * block_step + ((r * quads + k / 4) * 16 + m % 16) * 4 + k % 4]
// and from there as conv_row, for m < channels <= kDotBlocks * kConvBlock. Weights past the real
// ones are zeros; bias and multiplier hold a multiple of kConvBlock values; pool divides
// row_positions, row_positions divides positions. x is uint8 (kUnsigned) or int8 (kSigned), as the
// table's dot_form says; padding and zero point are the caller's business.
struct DotRowArgs {
  const uint8_t* x;
  DotForm form;
  ptrdiff_t x_step;
  ptrdiff_t x_row_step;
  const int32_t* run_offsets;
  int32_t runs;
  int32_t quads;
  const int8_t* weights;
  ptrdiff_t block_step;
  const int32_t* bias;
  const float* multiplier;
  ByteRange range;
  int32_t channels;
  int32_t positions;
  int32_t row_positions;
  int32_t pool;
  uint8_t* y;
  ptrdiff_t y_step;
};

// Each channel by itself:
//   acc[p][c] = bias[c] + sum over t < taps of
//               x[p * x_step + tap_offsets[t] + c] * weights[t * weight_step + c]
//   y[p * y_step + c] = byte of float32(acc) * multiplier[c]
// weights, bias and multiplier are readable up to the next multiple of 16 channels.
struct DepthwiseRowArgs {
  const int16_t* x;
  ptrdiff_t x_step;
  const int32_t* tap_offsets;
  int32_t taps;
  const int16_t* weights;
  ptrdiff_t weight_step;
  const int32_t* bias;
  const float* multiplier;
  ByteRange range;
  int32_t channels;
  int32_t positions;
  uint8_t* y;
  ptrdiff_t y_step;
};

// Where the weights of channel c lie in depthwise_dot_row: in blocks of 64 channels, or of 32 where
// no more are left; a block starts at the weights of its first channel. Inside, channels go in
// fours of every sixteen.
struct DepthwiseLane {
  int32_t first;  // channel of the block
  int32_t width;  // channels of the block, those past the last included
  int32_t lane;   // place in it
};
constexpr DepthwiseLane depthwise_lane(int32_t channels, int32_t c) {
  const int32_t first = c / 64 * 64, width = channels - first > 32 ? 64 : 32;
  return {first, width, c % 16 / 4 * (width / 4) + (c - first) / 16 * 4 + c % 4};
}
// All channels with those past the last.
constexpr int32_t depthwise_width(int32_t channels) { return (channels + 31) / 32 * 32; }

// The same on bytes, with kernel rows in groups of four:
//   acc[p][c] = bias[c] + sum over g < groups, k < columns, j < 4 of
//               x[p * x_step + row_offsets[4 * g + j] + k * column_step + c] *
//               weights[(first * groups * columns + (g * columns + k) * width + lane) * 4 + j]
//               with first, width and lane of depthwise_lane(channels, c)
//   y[p * y_step + c] = byte of float32(acc) * multiplier[c]
// bias and multiplier are readable up to the end of the last block, so are the weights. x is uint8
// or int8, as in dot_row.
struct DepthwiseDotArgs {
  const uint8_t* x;
  DotForm form;
  ptrdiff_t x_step;
  const int32_t* row_offsets;
  int32_t groups;
  ptrdiff_t column_step;
  int32_t columns;
  const int8_t* weights;
  const int32_t* bias;
  const float* multiplier;
  ByteRange range;
  int32_t channels;
  int32_t positions;
  uint8_t* y;
  ptrdiff_t y_step;
};

// y[p * y_step + c] = max over t < taps of x[p * x_step + tap_offsets[t] + c]; taps >= 1.
struct MaxPoolRowArgs {
  const uint8_t* x;
  ByteType type;
  ptrdiff_t x_step;
  const int32_t* tap_offsets;
  int32_t taps;
  int32_t channels;
  int32_t positions;
  uint8_t* y;
  ptrdiff_t y_step;
};

// acc[p][c] = sum over t < taps of (x[p * x_step + tap_offsets[t] + c] - zero_point)
// y[p * y_step + c] = byte of float32(acc) * multiplier
struct AveragePoolRowArgs {
  const uint8_t* x;
  ByteType type;
  int32_t zero_point;
  ptrdiff_t x_step;
  const int32_t* tap_offsets;
  int32_t taps;
  int32_t channels;
  int32_t positions;
  float multiplier;
  ByteRange range;
  uint8_t* y;
  ptrdiff_t y_step;
};

// y[i * y_step] = byte of v[i] / scale, where v[i] = x[i], or with `normalize`
// v[i] = float32((double(x[i]) - mean) / deviation).
struct QuantizeRowArgs {
  const float* x;
  size_t count;
  bool normalize;
  double mean;
  double deviation;
  float scale;
  ByteRange range;
  uint8_t* y;
  ptrdiff_t y_step;
};

// The same for a whole image, channels-last: y[i * channels + c] from x[c * inner + i], with
// mean[c] and deviation[c] if mean is not null.
struct QuantizeImageArgs {
  const float* x;
  int32_t channels;
  size_t inner;
  const double* mean;
  const double* deviation;
  float scale;
  ByteRange range;
  uint8_t* y;
};

// y[i] = float32(x[i * x_step] - zero_point) * scale.
struct DequantizeRowArgs {
  const uint8_t* x;
  ByteType type;
  ptrdiff_t x_step;
  int32_t zero_point;
  float scale;
  float* y;
  size_t count;
};

enum class ByteOp : uint8_t { kAdd, kSub, kMul };
struct ByteOperand {
  const uint8_t* x;
  ByteType type;
  int32_t zero_point;
  float scale;
};
// y[i] = byte of (da op db) / scale, where da = float32(a[i] - zero_point) * scale of a. y may be
// a.x or b.x: an element is read before it is written.
struct BinaryRowArgs {
  ByteOp op;
  ByteOperand a;
  ByteOperand b;
  float scale;
  ByteRange range;
  uint8_t* y;
  size_t count;
};

// Every name in every namespace; dispatch.cc says which of them a set implements itself.
#define KERNEL(name, Args)     \
  namespace scalar {           \
  void name(const Args& args); \
  }                            \
  namespace sse41 {            \
  void name(const Args& args); \
  }                            \
  namespace avx2 {             \
  void name(const Args& args); \
  }                            \
  namespace avxvnni {          \
  void name(const Args& args); \
  }                            \
  namespace avx512vnni {       \
  void name(const Args& args); \
  }                            \
  namespace neon {             \
  void name(const Args& args); \
  }                            \
  namespace neondot {          \
  void name(const Args& args); \
  }
#include "kernels/kernels.def"
#undef KERNEL

// The kernels of one instruction set.
struct KernelTable {
#define KERNEL(name, Args) void (*name)(const Args&);
#include "kernels/kernels.def"
#undef KERNEL
  DotForm dot_form = DotForm::kNone;
  bool has_depthwise_dot = false;  // depthwise_dot_row is faster than depthwise_row
};

}  // namespace graupel::kernels
