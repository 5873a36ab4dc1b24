// The convolution on bytes: how its weights are packed and how its rows are walked.
//
// Idea: the input is laid out once with its side padding, as bytes for a dot product or as int16
// with the zero point off; an input that needs neither is read where it lies. Kernel rows above
// and below the image are left out instead of padded: an output row has its own first weights and,
// where the bias takes off a zero point, its own bias. Then each group of output channels walks
// the output rows while its weights stay in the cache. A max pool over pairs of neighbours is
// taken on the sums; any other fused pool takes the rows from a ring as high as its kernel, so
// that every row is computed once and none is stored.
// Reference: docs/formats/int8.md, kernels/kernels.h. Test: engine_test.cc.
#include <algorithm>
#include <cstring>
#include <utility>

#include "run/engine_internal.h"
#include "run/taps.h"

namespace graupel::run {
namespace {

using kernels::ByteRange;
using kernels::DotForm;
using kernels::kConvBlock;

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

// Neighbours in pairs, no overlap, no padding, and a larger sum is a larger byte.
bool pools_pairs(const Plan& plan, const ConvInt8& step) {
  if (!step.pool) return false;
  const Window2d& p = *step.pool;
  if (p.kernel_h != 1 || p.stride_h != 1 || p.pad_top != 0 || p.kernel_w != 2 || p.stride_w != 2 ||
      p.dilation_w != 1 || p.pad_left != 0 || p.out_h != p.in_h || 2 * p.out_w > p.in_w) {
    return false;
  }
  const std::span<const float> multiplier = constant_data<float>(plan, step.multiplier);
  return std::all_of(multiplier.begin(), multiplier.end(), [](float m) { return m >= 0.0f; });
}

Taps rows_inside(const Window2d& w, int32_t oy) {
  const Taps rows =
      taps_inside(int64_t{oy} * w.stride_h - w.pad_top, w.kernel_h, w.dilation_h, w.in_h);
  return rows.first < rows.last ? rows : Taps{};
}

// How many output rows from oy on have the same kernel rows inside the image.
int32_t rows_alike(const Window2d& w, int32_t oy) {
  const Taps taps = rows_inside(w, oy);
  int32_t end = oy + 1;
  while (end < w.out_h) {
    const Taps next = rows_inside(w, end);
    if (next.first != taps.first || next.last != taps.last) break;
    ++end;
  }
  return end - oy;
}

// One block of 16 channels starting at channel `first` of a group, `count` of them real, in units
// of `unit` neighbouring values: [runs][units][16][unit].
template <class T>
void pack_block(std::span<const int8_t> weights, int64_t first, int64_t count, int64_t run,
                const PackedConv& packed, std::vector<T>& out) {
  const int64_t unit = packed.dot ? 4 : 2;
  const int64_t runs = int64_t{packed.window.kernel_h} * packed.runs_per_row;
  const size_t origin = out.size();
  out.resize(origin + static_cast<size_t>(runs * packed.units * unit * kConvBlock), 0);
  for (int64_t m = 0; m < count; ++m) {
    const int8_t* from = weights.data() + (first + m) * runs * run;
    for (int64_t r = 0; r < runs; ++r) {
      for (int64_t k = 0; k < run; ++k) {
        const int64_t to = ((r * packed.units + k / unit) * kConvBlock + m) * unit + k % unit;
        out[origin + static_cast<size_t>(to)] = from[r * run + k];
      }
    }
  }
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

// Bias and multiplier of `count` channels from `first`, filled up to whole blocks.
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

// sum of the packed weights of lane `lane` in kernel rows [rows.first, rows.last), modulo 2^32
uint32_t weight_sum(const PackedConv& packed, int64_t lane, const Taps& rows) {
  const int64_t per_row = int64_t{packed.runs_per_row} * packed.units * 4 * kConvBlock;
  const int8_t* w = packed.bytes.data() + lane / kConvBlock * packed.window.kernel_h * per_row +
                    lane % kConvBlock * 4;
  uint32_t sum = 0;
  for (int64_t i = rows.first * per_row; i < rows.last * per_row; i += int64_t{4} * kConvBlock) {
    for (int k = 0; k < 4; ++k) sum += static_cast<uint32_t>(w[i + k]);
  }
  return sum;
}

// For every set of kernel rows that occurs, the bias less the zero point's share.
void compensate(PackedConv& packed) {
  const Window2d& w = packed.window;
  packed.bias_of_row.assign(static_cast<size_t>(w.out_h), 0);
  if (!packed.dot || packed.zero_point == 0) return;
  const std::vector<int32_t> plain = std::move(packed.bias);
  packed.bias.clear();
  Taps before{-1, -1};
  int32_t start = 0;
  for (int32_t oy = 0; oy < w.out_h; ++oy) {
    // Going down the image, both ends of the set only fall: equal sets are neighbours.
    const Taps rows = rows_inside(w, oy);
    if (rows.first == before.first && rows.last == before.last) {
      packed.bias_of_row[static_cast<size_t>(oy)] = start;
      continue;
    }
    before = rows;
    start = static_cast<int32_t>(packed.bias.size());
    packed.bias_of_row[static_cast<size_t>(oy)] = start;
    for (size_t lane = 0; lane < plain.size(); ++lane) {
      const uint32_t share = static_cast<uint32_t>(packed.zero_point) *
                             weight_sum(packed, static_cast<int64_t>(lane), rows);
      packed.bias.push_back(static_cast<int32_t>(static_cast<uint32_t>(plain[lane]) - share));
    }
  }
}

// What the input has to become, and whether it lies there already.
void plan_input(const Plan& plan, const ConvInt8& step, DotForm form, PackedConv& packed) {
  const Window2d& w = packed.window;
  const Buffer& x = plan.buffers[step.x.index()];
  packed.row_w = padded_width(w);
  if (packed.dot) {
    const bool is_signed = x.dtype == DType::kInt8;
    packed.flip = is_signed == (form == DotForm::kSigned) ? 0 : 0x80;
    const int32_t moved = packed.flip == 0 ? 0 : is_signed ? 128 : -128;
    packed.zero_point = step.x_zero_point + moved;
    packed.in_place =
        packed.flip == 0 && x.place == Place::kArena && w.pad_left == 0 && packed.row_w <= w.in_w;
    if (packed.in_place) packed.row_w = w.in_w;
  }
  const auto values = static_cast<size_t>(w.in_h * packed.row_w * w.channels);
  if (!packed.in_place) {
    packed.input_bytes = static_cast<size_t>(rounded_up(
        static_cast<int64_t>((values + kernels::kReadSlack) * (packed.dot ? 1 : sizeof(int16_t))),
        kAlignmentBytes));
  }
}

// The image as bytes, padded left and right with the zero point.
const uint8_t* lay_out_bytes(const Frame& frame, const ConvInt8& step, const PackedConv& packed) {
  const uint8_t* x = frame.read<uint8_t>(step.x);
  if (packed.in_place) return x;
  const Window2d& w = packed.window;
  auto* const scratch = reinterpret_cast<uint8_t*>(frame.scratch);
  const auto row = static_cast<size_t>(packed.row_w * w.channels);
  const size_t left = static_cast<size_t>(std::min<int64_t>(w.pad_left, packed.row_w)) *
                      static_cast<size_t>(w.channels);
  const size_t inner =
      std::min(static_cast<size_t>(w.in_w) * static_cast<size_t>(w.channels), row - left);
  const auto zero = static_cast<uint8_t>(packed.zero_point);
  for (int32_t iy = 0; iy < w.in_h; ++iy) {
    uint8_t* const to = scratch + static_cast<size_t>(iy) * row;
    const uint8_t* from = x + int64_t{iy} * w.in_w * w.channels;
    std::memset(to, zero, left);
    if (packed.flip == 0) {
      std::memcpy(to + left, from, inner);
    } else {
      frame.program.kernels->flip_row({from, packed.flip, to + left, inner});
    }
    std::memset(to + left + inner, zero, row - left - inner);
  }
  return scratch;
}

// The image as int16 less the zero point, padded left and right with zeros.
const int16_t* lay_out_words(const Frame& frame, const ConvInt8& step, const PackedConv& packed) {
  const Window2d& w = packed.window;
  auto* const scratch = reinterpret_cast<int16_t*>(frame.scratch);
  const int64_t row = packed.row_w * w.channels;
  const int64_t left = std::min<int64_t>(w.pad_left, packed.row_w) * w.channels;
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

// Output channels computed together.
struct Block {
  int64_t lane = 0;      // first of its lanes in bias, multiplier and (by 16) weights
  int32_t input = 0;     // first input channel
  int32_t first = 0;     // output channel
  int32_t channels = 1;  // real ones
};

struct RowTarget {
  uint8_t* y;
  ptrdiff_t y_step;
  int32_t positions;  // of the convolution, per row
  int32_t pool;
  int32_t rows = 1;  // with the same taps, one behind the other
};

// What a row needs beside its kernel's own operands.
struct Call {
  const Frame& frame;
  const ConvInt8& step;
  const PackedConv& packed;
  const void* x;  // laid out
};

void depthwise_row(const Call& call, const Taps& rows, int64_t at, const Block& block,
                   const RowTarget& target) {
  const PackedConv& packed = call.packed;
  const Window2d& w = packed.window;
  const int64_t wide = rounded_up(w.channels, kConvBlock);
  const int32_t taps = (rows.last - rows.first) * packed.runs_per_row;
  call.frame.program.kernels->depthwise_row(
      {static_cast<const int16_t*>(call.x) + at, ptrdiff_t{w.stride_w} * w.channels,
       packed.offsets.data(), taps,
       packed.weights.data() + int64_t{rows.first} * packed.runs_per_row * wide, wide,
       packed.bias.data(), packed.multiplier.data(), byte_range(call.step.requantize),
       block.channels, target.positions, target.y, target.y_step});
}

void conv_row(const Call& call, const Block& block, int32_t oy, const RowTarget& target) {
  const PackedConv& packed = call.packed;
  const Window2d& w = packed.window;
  const Taps rows = rows_inside(w, oy);
  const int32_t runs = (rows.last - rows.first) * packed.runs_per_row;
  int64_t at = 0;
  if (runs > 0) {
    const int64_t row = int64_t{oy} * w.stride_h - w.pad_top + int64_t{rows.first} * w.dilation_h;
    at = row * packed.row_w * w.channels + block.input;
  }
  if (packed.depthwise) return depthwise_row(call, rows, at, block, target);
  const ptrdiff_t x_step = ptrdiff_t{w.stride_w} * w.channels;
  const ByteRange range = byte_range(call.step.requantize);
  const int64_t run_size = int64_t{packed.units} * (packed.dot ? 4 : 2) * kConvBlock;
  const int64_t block_size = int64_t{w.kernel_h} * packed.runs_per_row * run_size;
  const int64_t origin =
      block.lane / kConvBlock * block_size + int64_t{rows.first} * packed.runs_per_row * run_size;
  const int32_t* bias =
      packed.bias.data() + packed.bias_of_row[static_cast<size_t>(oy)] + block.lane;
  const float* multiplier = packed.multiplier.data() + block.lane;
  if (packed.dot) {
    call.frame.program.kernels->dot_row(
        {static_cast<const uint8_t*>(call.x) + at, call.frame.program.kernels->dot_form, x_step,
         ptrdiff_t{w.stride_h} * packed.row_w * w.channels, packed.offsets.data(), runs,
         packed.units, packed.bytes.data() + origin, block_size, bias, multiplier, range,
         block.channels, target.rows * target.positions, target.positions, target.pool, target.y,
         target.y_step});
    return;
  }
  call.frame.program.kernels->conv_row(
      {static_cast<const int16_t*>(call.x) + at, x_step, packed.offsets.data(), runs, packed.units,
       packed.weights.data() + origin, bias, multiplier, range, block.channels, target.positions,
       target.pool, target.y, target.y_step});
}

// The convolution's rows of one block through the ring into the pool's output.
void pooled_block(const Call& call, const Block& block) {
  const Window2d& p = *call.step.pool;
  auto* const ring = reinterpret_cast<uint8_t*>(call.frame.scratch) + call.packed.input_bytes;
  auto* const offsets = reinterpret_cast<int32_t*>(
      ring + rounded_up(static_cast<int64_t>(call.packed.ring_bytes), kAlignmentBytes));
  const int64_t row_bytes = int64_t{p.in_w} * block.channels;
  uint8_t* const y = call.frame.write<uint8_t>(call.step.y) + block.first;
  int32_t next = 0;
  for (int32_t py = 0; py < p.out_h; ++py) {
    const int64_t start = int64_t{py} * p.stride_h - p.pad_top;
    const Taps rows = taps_inside(start, p.kernel_h, 1, p.in_h);
    for (int64_t r = std::max<int64_t>(next, start + rows.first); r < start + rows.last; ++r) {
      conv_row(call, block, static_cast<int32_t>(r),
               {ring + r % p.kernel_h * row_bytes, block.channels, p.in_w, 1});
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
      call.frame.program.kernels->max_pool_row(
          {ring + column * block.channels, byte_type(call.frame.buffer(call.step.y)),
           ptrdiff_t{p.stride_w} * block.channels, offsets, taps, block.channels, positions,
           y + (int64_t{py} * p.out_w + ox) * p.channels, p.channels});
    });
  }
}

void run_block(const Call& call, const Block& block) {
  if (call.step.pool && !call.packed.pair_pool) return pooled_block(call, block);
  const Window2d& w = call.packed.window;
  const int32_t pool = call.packed.pair_pool ? 2 : 1;
  const int32_t stored = call.packed.pair_pool ? call.step.pool->out_w : w.out_w;
  const ptrdiff_t channels = call.step.out_channels;
  uint8_t* const y = call.frame.write<uint8_t>(call.step.y) + block.first;
  for (int32_t oy = 0; oy < w.out_h;) {
    const int32_t rows = call.packed.dot ? rows_alike(w, oy) : 1;
    conv_row(call, block, oy,
             {y + ptrdiff_t{oy} * stored * channels, channels, stored * pool, pool, rows});
    oy += rows;
  }
}

}  // namespace

PackedConv pack_conv(const Plan& plan, const ConvInt8& step, DotForm form) {
  PackedConv packed;
  packed.window = flattened(step);
  const Window2d& w = packed.window;
  const std::span<const int8_t> weights = constant_data<int8_t>(plan, step.weights);
  const int32_t in_per_group = w.channels / step.groups;
  const int32_t out_per_group = step.out_channels / step.groups;
  packed.depthwise = in_per_group == 1 && out_per_group == 1 && w.channels > 1;
  packed.dot = !packed.depthwise && form != DotForm::kNone;
  packed.pair_pool = !packed.depthwise && pools_pairs(plan, step);
  plan_input(plan, step, form, packed);
  const bool folded = !packed.depthwise && step.groups == 1 && w.dilation_w == 1;
  const int64_t run = folded ? int64_t{w.kernel_w} * w.channels : in_per_group;
  packed.runs_per_row = folded ? 1 : w.kernel_w;
  packed.units = static_cast<int32_t>(packed.dot ? (run + 3) / 4 : (run + 1) / 2);
  for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < packed.runs_per_row; ++kx) {
      packed.offsets.push_back(static_cast<int32_t>(
          (ky * w.dilation_h * packed.row_w + kx * w.dilation_w) * w.channels));
    }
  }
  packed.block_channels = packed.depthwise ? w.channels
                          : packed.dot     ? kernels::kDotBlocks * kConvBlock
                                           : kConvBlock;
  if (packed.depthwise) {
    pack_depthwise(step, weights, packed);
    append_padded(plan, step, 0, step.out_channels, packed);
  } else {
    for (int32_t group = 0; group < step.groups; ++group) {
      for (int32_t m = 0; m < out_per_group; m += kConvBlock) {
        const int64_t first = int64_t{group} * out_per_group + m;
        const int64_t count = std::min(kConvBlock, out_per_group - m);
        if (packed.dot) {
          pack_block(weights, first, count, run, packed, packed.bytes);
        } else {
          pack_block(weights, first, count, run, packed, packed.weights);
        }
        append_padded(plan, step, first, count, packed);
      }
    }
  }
  compensate(packed);
  if (step.pool && !packed.pair_pool) {
    packed.ring_bytes = static_cast<size_t>(int64_t{step.pool->kernel_h} * step.pool->in_w *
                                            std::min(packed.block_channels, step.out_channels));
  }
  return packed;
}

size_t conv_scratch_bytes(const PackedConv& packed, const ConvInt8& step) {
  size_t bytes = packed.input_bytes;
  if (packed.ring_bytes > 0) {
    bytes +=
        static_cast<size_t>(rounded_up(static_cast<int64_t>(packed.ring_bytes), kAlignmentBytes)) +
        pool_scratch_bytes(*step.pool);
  }
  return bytes;
}

size_t packed_bytes_of(const PackedConv& packed) {
  return packed.weights.size() * sizeof(int16_t) + packed.bytes.size() +
         packed.bias.size() * sizeof(int32_t) + packed.multiplier.size() * sizeof(float) +
         packed.offsets.size() * sizeof(int32_t) + packed.bias_of_row.size() * sizeof(int32_t);
}

void execute(const Frame& frame, const ConvInt8& step, const PackedConv& packed) {
  const void* x = packed.dot ? static_cast<const void*>(lay_out_bytes(frame, step, packed))
                             : static_cast<const void*>(lay_out_words(frame, step, packed));
  const Call call{frame, step, packed, x};
  if (packed.depthwise) return run_block(call, {0, 0, 0, packed.window.channels});
  const int32_t out_per_group = step.out_channels / step.groups;
  const int64_t lanes = rounded_up(out_per_group, kConvBlock);
  for (int32_t group = 0; group < step.groups; ++group) {
    for (int32_t m = 0; m < out_per_group; m += packed.block_channels) {
      run_block(call,
                {group * lanes + m, group * (packed.window.channels / step.groups),
                 group * out_per_group + m, std::min(packed.block_channels, out_per_group - m)});
    }
  }
}

}  // namespace graupel::run
