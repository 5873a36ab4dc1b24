// The steps on bytes: convolution, pools, tables, quantisation. See plan.h for their meaning.
//
// Idea: a convolution widens its whole input to int16 once, zero point off and side padding
// written as zeros; kernel rows above and below the image are left out instead of padded. Then
// each block of output channels walks the output rows while its weights stay in the cache. A fused
// max pool takes the rows from a ring as high as its kernel, so every row is computed once and
// none is stored. Pools split each row into the border and one long inner stretch.
// Reference: docs/formats/int8.md, kernels/kernels.h. Test: engine_test.cc.
#include <algorithm>
#include <cstring>

#include "run/engine_internal.h"

namespace graupel::run {
namespace {

using kernels::ByteRange;
using kernels::ByteType;
using kernels::kConvBlock;

ByteType byte_type(const Buffer& buffer) {
  return buffer.dtype == DType::kInt8 ? ByteType::kInt8 : ByteType::kUInt8;
}

ByteRange byte_range(const Requantize& r) { return {r.zero_point, r.low, r.high}; }

// Kernel steps [first, last) whose tap start + k * dilation lies inside [0, in).
struct Taps {
  int32_t first = 0, last = 0;
};
Taps taps_inside(int64_t start, int64_t kernel, int64_t dilation, int64_t in) {
  const auto below = [&](int64_t limit) {
    return start >= limit ? int64_t{0} : std::min(kernel, (limit - start - 1) / dilation + 1);
  };
  return {static_cast<int32_t>(below(0)), static_cast<int32_t>(below(in))};
}

// Calls visit(first position, positions, taps) so that all positions of a call have the same taps.
template <class F>
void for_each_stretch(const Window2d& w, F visit) {
  int32_t ox = 0;
  while (ox < w.out_w) {
    const Taps taps =
        taps_inside(int64_t{ox} * w.stride_w - w.pad_left, w.kernel_w, w.dilation_w, w.in_w);
    int32_t end = ox + 1;
    if (taps.first == 0 && taps.last == w.kernel_w) {  // all taps: up to where the last falls out
      const int64_t reach = int64_t{w.kernel_w - 1} * w.dilation_w - w.pad_left;
      end = static_cast<int32_t>(std::min<int64_t>(w.out_w, (w.in_w - 1 - reach) / w.stride_w + 1));
    }
    visit(ox, end - ox, taps);
    ox = end;
  }
}

int64_t rounded_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// A 1x1 kernel without padding or stride sees rows of an image as one long row.
Window2d flattened(const ConvInt8& step) {
  Window2d w = step.window;
  const bool pointwise = w.kernel_h == 1 && w.kernel_w == 1 && w.stride_h == 1 && w.stride_w == 1 &&
                         w.pad_top == 0 && w.pad_left == 0 && w.in_h == w.out_h &&
                         w.in_w == w.out_w && !step.pool;
  if (!pointwise) return w;
  w.in_w = w.out_w = w.in_h * w.in_w;
  w.in_h = w.out_h = 1;
  return w;
}

void pack_depthwise(const ConvInt8& step, std::span<const int8_t> weights, PackedConv& packed) {
  const Window2d& w = packed.window;
  const int64_t taps = int64_t{w.kernel_h} * w.kernel_w;
  const int64_t wide = rounded_up(w.channels, kConvBlock);
  packed.weights.assign(static_cast<size_t>(taps * wide), 0);
  for (int64_t c = 0; c < step.out_channels; ++c) {
    for (int64_t t = 0; t < taps; ++t) {
      packed.weights[static_cast<size_t>(t * wide + c)] =
          weights[static_cast<size_t>(c * taps + t)];
    }
  }
}

// One block of 16 channels starting at channel `first` of a group, `count` of them real.
void pack_block(std::span<const int8_t> weights, int64_t first, int64_t count, int64_t run,
                PackedConv& packed) {
  const int64_t runs = int64_t{packed.window.kernel_h} * packed.runs_per_row;
  const size_t origin = packed.weights.size();
  packed.weights.resize(origin + static_cast<size_t>(runs * packed.pairs * 2 * kConvBlock), 0);
  for (int64_t m = 0; m < count; ++m) {
    const int8_t* from = weights.data() + (first + m) * runs * run;
    for (int64_t r = 0; r < runs; ++r) {
      for (int64_t k = 0; k < run; ++k) {
        const int64_t to = ((r * packed.pairs + k / 2) * kConvBlock + m) * 2 + k % 2;
        packed.weights[origin + static_cast<size_t>(to)] = from[r * run + k];
      }
    }
  }
}

void append_padded(const Plan& plan, const ConvInt8& step, int64_t first, int64_t count,
                   PackedConv& packed) {
  const std::span<const int32_t> bias = constant_data<int32_t>(plan, step.bias);
  const std::span<const float> multiplier = constant_data<float>(plan, step.multiplier);
  for (int64_t m = 0; m < rounded_up(count, kConvBlock); ++m) {
    const size_t at = static_cast<size_t>(first + m);
    packed.bias.push_back(m < count ? bias[at] : 0);
    packed.multiplier.push_back(m < count ? multiplier[at] : 0.0f);
  }
}

// Copies the image into scratch as int16, padded left and right with zeros.
const int16_t* widen(const Frame& frame, const ConvInt8& step, const PackedConv& packed) {
  const Window2d& w = packed.window;
  auto* const scratch = reinterpret_cast<int16_t*>(frame.scratch);
  const int64_t row = packed.padded_w * w.channels;
  const int64_t left = std::min<int64_t>(w.pad_left, packed.padded_w) * w.channels;
  const int64_t inner = std::min<int64_t>(int64_t{w.in_w} * w.channels, row - left);
  const uint8_t* x = frame.read<uint8_t>(step.x);
  for (int32_t iy = 0; iy < w.in_h; ++iy) {
    int16_t* const to = scratch + iy * row;
    std::fill_n(to, left, int16_t{0});
    frame.program.kernels->widen_row({x + int64_t{iy} * w.in_w * w.channels,
                                      byte_type(frame.buffer(step.x)), step.x_zero_point, to + left,
                                      static_cast<size_t>(inner)});
    std::fill_n(to + left + inner, row - left - inner, int16_t{0});
  }
  std::fill_n(scratch + w.in_h * row, kernels::kReadSlack, int16_t{0});
  return scratch;
}

// One block of output channels of a convolution.
struct Block {
  int32_t index = 0;     // of its packed weights
  int32_t input = 0;     // first input channel
  int32_t first = 0;     // output channel
  int32_t channels = 1;  // real ones
};

struct RowTarget {
  uint8_t* y;
  ptrdiff_t y_step;
};

void conv_row(const Frame& frame, const ConvInt8& step, const PackedConv& packed, const int16_t* x,
              const Block& block, int32_t oy, const RowTarget& target) {
  const Window2d& w = packed.window;
  const int64_t start = int64_t{oy} * w.stride_h - w.pad_top;
  const Taps rows = taps_inside(start, w.kernel_h, w.dilation_h, w.in_h);
  const int32_t runs = std::max(0, rows.last - rows.first) * packed.runs_per_row;
  if (runs > 0) {
    x += (start + int64_t{rows.first} * w.dilation_h) * packed.padded_w * w.channels + block.input;
  }
  const ptrdiff_t x_step = ptrdiff_t{w.stride_w} * w.channels;
  const int64_t skipped = runs > 0 ? int64_t{rows.first} * packed.runs_per_row : 0;
  const ByteRange range = byte_range(step.requantize);
  const size_t lane = static_cast<size_t>(block.index) * kConvBlock;
  if (packed.depthwise) {
    const int64_t wide = rounded_up(w.channels, kConvBlock);
    frame.program.kernels->depthwise_row({x, x_step, packed.offsets.data(), runs,
                                          packed.weights.data() + skipped * wide, wide,
                                          packed.bias.data(), packed.multiplier.data(), range,
                                          block.channels, w.out_w, target.y, target.y_step});
    return;
  }
  const int64_t run_size = int64_t{packed.pairs} * 2 * kConvBlock;
  const int64_t origin =
      (int64_t{block.index} * w.kernel_h * packed.runs_per_row + skipped) * run_size;
  frame.program.kernels->conv_row({x, x_step, packed.offsets.data(), runs, packed.pairs,
                                   packed.weights.data() + origin, packed.bias.data() + lane,
                                   packed.multiplier.data() + lane, range, block.channels, w.out_w,
                                   target.y, target.y_step});
}

// The convolution's rows of one block through the ring into the pool's output.
void pooled_block(const Frame& frame, const ConvInt8& step, const PackedConv& packed,
                  const int16_t* x, const Block& block) {
  const Window2d& p = *step.pool;
  auto* const ring = reinterpret_cast<uint8_t*>(frame.scratch) +
                     rounded_up(static_cast<int64_t>(packed.widened_values * 2), kAlignmentBytes);
  auto* const offsets = reinterpret_cast<int32_t*>(
      ring + rounded_up(static_cast<int64_t>(packed.ring_bytes), kAlignmentBytes));
  const int64_t row_bytes = int64_t{p.in_w} * block.channels;
  uint8_t* const y = frame.write<uint8_t>(step.y) + block.first;
  int32_t next = 0;
  for (int32_t py = 0; py < p.out_h; ++py) {
    const int64_t start = int64_t{py} * p.stride_h - p.pad_top;
    const Taps rows = taps_inside(start, p.kernel_h, 1, p.in_h);
    for (int64_t r = std::max<int64_t>(next, start + rows.first); r < start + rows.last; ++r) {
      conv_row(frame, step, packed, x, block, static_cast<int32_t>(r),
               {ring + r % p.kernel_h * row_bytes, block.channels});
    }
    next = std::max(next, static_cast<int32_t>(start + rows.last));
    for_each_stretch(p, [&](int32_t ox, int32_t positions, const Taps& columns) {
      int32_t taps = 0;
      for (int64_t r = start + rows.first; r < start + rows.last; ++r) {
        for (int32_t kx = 0; kx < columns.last - columns.first; ++kx) {
          offsets[taps++] = static_cast<int32_t>(r % p.kernel_h * row_bytes +
                                                 int64_t{kx} * p.dilation_w * block.channels);
        }
      }
      const int64_t column =
          int64_t{ox} * p.stride_w - p.pad_left + int64_t{columns.first} * p.dilation_w;
      frame.program.kernels->max_pool_row(
          {ring + column * block.channels, byte_type(frame.buffer(step.y)),
           ptrdiff_t{p.stride_w} * block.channels, offsets, taps, block.channels, positions,
           y + (int64_t{py} * p.out_w + ox) * p.channels, p.channels});
    });
  }
}

// Calls visit(oy, ox, positions, first element, offsets, taps) for every stretch of a pool.
template <class F>
void for_each_pool_stretch(const Frame& frame, const Window2d& w, F visit) {
  auto* const offsets = reinterpret_cast<int32_t*>(frame.scratch);
  for (int32_t oy = 0; oy < w.out_h; ++oy) {
    const int64_t start = int64_t{oy} * w.stride_h - w.pad_top;
    const Taps rows = taps_inside(start, w.kernel_h, w.dilation_h, w.in_h);
    for_each_stretch(w, [&](int32_t ox, int32_t positions, const Taps& columns) {
      int32_t taps = 0;
      for (int32_t ky = 0; ky < rows.last - rows.first; ++ky) {
        for (int32_t kx = 0; kx < columns.last - columns.first; ++kx) {
          offsets[taps++] = static_cast<int32_t>(
              (int64_t{ky} * w.dilation_h * w.in_w + int64_t{kx} * w.dilation_w) * w.channels);
        }
      }
      const int64_t row = start + int64_t{rows.first} * w.dilation_h;
      const int64_t column =
          int64_t{ox} * w.stride_w - w.pad_left + int64_t{columns.first} * w.dilation_w;
      visit(oy, ox, positions, (row * w.in_w + column) * w.channels, offsets, taps);
    });
  }
}

}  // namespace

PackedConv pack_conv(const Plan& plan, const ConvInt8& step) {
  PackedConv packed;
  packed.window = flattened(step);
  packed.padded_w = padded_width(packed.window);
  const Window2d& w = packed.window;
  const std::span<const int8_t> weights = constant_data<int8_t>(plan, step.weights);
  const int32_t in_per_group = w.channels / step.groups;
  const int32_t out_per_group = step.out_channels / step.groups;
  packed.depthwise = in_per_group == 1 && out_per_group == 1 && w.channels > 1;
  const bool folded = !packed.depthwise && step.groups == 1 && w.dilation_w == 1;
  const int64_t run = folded ? int64_t{w.kernel_w} * w.channels : in_per_group;
  packed.runs_per_row = folded ? 1 : w.kernel_w;
  packed.pairs = static_cast<int32_t>((run + 1) / 2);
  for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < packed.runs_per_row; ++kx) {
      packed.offsets.push_back(static_cast<int32_t>(
          (ky * w.dilation_h * packed.padded_w + kx * w.dilation_w) * w.channels));
    }
  }
  int32_t block_channels = kConvBlock;
  if (packed.depthwise) {
    pack_depthwise(step, weights, packed);
    append_padded(plan, step, 0, step.out_channels, packed);
    block_channels = w.channels;
  } else {
    for (int32_t group = 0; group < step.groups; ++group) {
      for (int32_t m = 0; m < out_per_group; m += kConvBlock) {
        const int64_t first = int64_t{group} * out_per_group + m;
        const int64_t count = std::min(kConvBlock, out_per_group - m);
        pack_block(weights, first, count, run, packed);
        append_padded(plan, step, first, count, packed);
      }
    }
  }
  packed.widened_values =
      static_cast<size_t>(w.in_h * packed.padded_w * w.channels) + kernels::kReadSlack;
  if (step.pool) {
    packed.ring_bytes =
        static_cast<size_t>(int64_t{step.pool->kernel_h} * step.pool->in_w * block_channels);
  }
  return packed;
}

size_t conv_scratch_bytes(const PackedConv& packed, const ConvInt8& step) {
  int64_t bytes = rounded_up(static_cast<int64_t>(packed.widened_values * 2), kAlignmentBytes);
  if (step.pool) {
    bytes += rounded_up(static_cast<int64_t>(packed.ring_bytes), kAlignmentBytes) +
             static_cast<int64_t>(pool_scratch_bytes(*step.pool));
  }
  return static_cast<size_t>(bytes);
}

size_t pool_scratch_bytes(const Window2d& w) {
  return static_cast<size_t>(w.kernel_h) * static_cast<size_t>(w.kernel_w) * sizeof(int32_t);
}

void execute(const Frame& frame, const ConvInt8& step, const PackedConv& packed) {
  const Window2d& w = packed.window;
  const int16_t* x = widen(frame, step, packed);
  const auto run_block = [&](const Block& block) {
    if (step.pool) {
      pooled_block(frame, step, packed, x, block);
      return;
    }
    uint8_t* const y = frame.write<uint8_t>(step.y) + block.first;
    for (int32_t oy = 0; oy < w.out_h; ++oy) {
      conv_row(frame, step, packed, x, block, oy,
               {y + int64_t{oy} * w.out_w * step.out_channels, step.out_channels});
    }
  };
  if (packed.depthwise) {
    run_block({0, 0, 0, w.channels});
    return;
  }
  const int32_t out_per_group = step.out_channels / step.groups;
  int32_t index = 0;
  for (int32_t group = 0; group < step.groups; ++group) {
    for (int32_t m = 0; m < out_per_group; m += kConvBlock) {
      run_block({index++, group * (w.channels / step.groups), group * out_per_group + m,
                 std::min(kConvBlock, out_per_group - m)});
    }
  }
}

void execute(const Frame& frame, const MaxPoolInt8& step) {
  const Window2d& w = step.window;
  const uint8_t* x = frame.read<uint8_t>(step.x);
  uint8_t* y = frame.write<uint8_t>(step.y);
  for_each_pool_stretch(
      frame, w,
      [&](int32_t oy, int32_t ox, int32_t positions, int64_t first, const int32_t* offsets,
          int32_t taps) {
        frame.program.kernels->max_pool_row(
            {x + first, byte_type(frame.buffer(step.x)), ptrdiff_t{w.stride_w} * w.channels,
             offsets, taps, w.channels, positions, y + (int64_t{oy} * w.out_w + ox) * w.channels,
             w.channels});
      });
}

void execute(const Frame& frame, const AveragePoolInt8& step) {
  const Window2d& w = step.window;
  const uint8_t* x = frame.read<uint8_t>(step.x);
  const float* multiplier = frame.read<float>(step.multiplier);
  uint8_t* y = frame.write<uint8_t>(step.y);
  for_each_pool_stretch(
      frame, w,
      [&](int32_t oy, int32_t ox, int32_t positions, int64_t first, const int32_t* offsets,
          int32_t taps) {
        const ptrdiff_t x_step = ptrdiff_t{w.stride_w} * w.channels;
        for (int32_t p = 0; p < positions; ++p) {  // each position has its own multiplier
          const int64_t at = int64_t{oy} * w.out_w + ox + p;
          frame.program.kernels->average_pool_row(
              {x + first + p * x_step, byte_type(frame.buffer(step.x)), step.x_zero_point, x_step,
               offsets, taps, w.channels, 1, multiplier[at], byte_range(step.requantize),
               y + at * w.channels, w.channels});
        }
      });
}

namespace {

template <class T>
void look_up(const Frame& frame, const Lookup& step) {
  const uint8_t* x = frame.read<uint8_t>(step.x);
  const T* table = frame.read<T>(step.table);
  T* y = frame.write<T>(step.y);
  const int64_t count = frame.elements(step.x);
  int64_t which = 0;
  for (int64_t i = 0; i < count;) {
    const int64_t end = step.tables == 1 ? count : std::min(count, i + step.inner);
    const T* row = table + which * 256;
    for (; i < end; ++i) y[i] = row[x[i]];
    which = which + 1 == step.tables ? 0 : which + 1;
  }
}

}  // namespace

void execute(const Frame& frame, const Lookup& step) {
  if (frame.buffer(step.y).dtype == DType::kFloat32) {
    look_up<float>(frame, step);
  } else {
    look_up<uint8_t>(frame, step);
  }
}

void execute(const Frame& frame, const BinaryInt8& step) {
  static_assert(static_cast<int>(ByteOp::kMul) == static_cast<int>(kernels::ByteOp::kMul));
  frame.program.kernels->binary_row({static_cast<kernels::ByteOp>(step.op),
                                     {frame.read<uint8_t>(step.a), byte_type(frame.buffer(step.a)),
                                      step.a_zero_point, step.a_scale},
                                     {frame.read<uint8_t>(step.b), byte_type(frame.buffer(step.b)),
                                      step.b_zero_point, step.b_scale},
                                     step.scale,
                                     byte_range(step.requantize),
                                     frame.write<uint8_t>(step.y),
                                     static_cast<size_t>(frame.elements(step.y))});
}

void execute(const Frame& frame, const Quantize& step) {
  const float* x = frame.read<float>(step.x);
  uint8_t* y = frame.write<uint8_t>(step.y);
  const bool normalize = step.mean.valid();
  const double* mean = normalize ? frame.read<double>(step.mean) : nullptr;
  const double* deviation = normalize ? frame.read<double>(step.deviation) : nullptr;
  const bool last = step.order == ByteOrder::kChannelsLast;
  for (int64_t c = 0; c < step.channels; ++c) {
    frame.program.kernels->quantize_row(
        {x + c * step.inner, static_cast<size_t>(step.inner), normalize, normalize ? mean[c] : 0.0,
         normalize ? deviation[c] : 1.0, step.scale, byte_range(step.requantize),
         last ? y + c : y + c * step.inner, last ? step.channels : 1});
  }
}

void execute(const Frame& frame, const Dequantize& step) {
  const uint8_t* x = frame.read<uint8_t>(step.x);
  float* y = frame.write<float>(step.y);
  const bool last = step.order == ByteOrder::kChannelsLast;
  for (int64_t c = 0; c < step.channels; ++c) {
    frame.program.kernels->dequantize_row({last ? x + c : x + c * step.inner,
                                           byte_type(frame.buffer(step.x)),
                                           last ? step.channels : 1, step.zero_point, step.scale,
                                           y + c * step.inner, static_cast<size_t>(step.inner)});
  }
}

}  // namespace graupel::run
