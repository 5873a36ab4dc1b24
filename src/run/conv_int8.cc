// The convolution on bytes: how its rows are walked and what follows them. Packing: conv_pack.cc.
//
// Idea: the input is laid out in strips of rows with its side padding, as bytes for a dot product
// or as int16 with the zero point off; an input that needs neither is read where it lies. Kernel
// rows above and below the image are left out instead of padded: an output row has its own first
// weights and, where the bias takes off a zero point, its own bias. Then each group of output
// channels walks the strip's rows while its weights stay in the cache.
// A max pool over pairs of neighbours is taken on the sums. What else follows - other max pools, an
// average over the image, the sum with another tensor - takes the strip's bytes while they are in
// the cache. A batch's windows pass through each group while its weights are there; where a window
// is one position, as in fully connected layers, windows are the positions. Threads take rows of
// the result, or groups of channels where it has too few. Reference: docs/formats/int8.md,
// kernels/kernels.h. Test: engine_test.cc, batch_test.cc.
#include "run/conv_int8.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "run/engine_internal.h"
#include "run/taps.h"

namespace graupel::run {
namespace {

using kernels::ByteRange;
using kernels::kConvBlock;

// [first, last): rows, and elsewhere blocks or channels.
struct Rows {
  int32_t first = 0, last = 0;
};

int32_t within(int64_t row, int32_t rows) {
  return static_cast<int32_t>(std::clamp<int64_t>(row, 0, rows));
}

// Rows of the convolution that result rows `rows` are made of.
Rows conv_rows(const ConvInt8& step, const PackedConv& packed, const Rows& rows) {
  const int32_t out_h = step.window.out_h;
  if (step.average.valid()) return {0, out_h};
  if (!packed.held) return rows;
  const Window2d& p = *step.pool;
  return {within(int64_t{rows.first} * p.stride_h - p.pad_top, out_h),
          within(int64_t{rows.last - 1} * p.stride_h - p.pad_top + p.kernel_h, out_h)};
}

// Rows of the input that the convolution's rows `rows` read. A depthwise convolution on bytes reads
// rows above and below the image too.
Rows input_rows(const PackedConv& packed, const Rows& rows) {
  if (rows.first >= rows.last) return {};
  const Window2d& w = packed.window;
  const int64_t first = int64_t{rows.first} * w.stride_h - w.pad_top;
  const int64_t last =
      int64_t{rows.last - 1} * w.stride_h - w.pad_top + int64_t{w.kernel_h - 1} * w.dilation_h + 1;
  if (packed.depthwise && packed.dot) {
    return {static_cast<int32_t>(first), static_cast<int32_t>(last)};
  }
  return {within(first, w.in_h), within(last, w.in_h)};
}

// How many of the rows from oy on, up to `end`, have the same kernel rows inside the image.
int32_t rows_alike(const Window2d& w, int32_t oy, int32_t end) {
  const Taps taps = rows_inside(w, oy);
  int32_t next = oy + 1;
  for (; next < end; ++next) {
    const Taps other = rows_inside(w, next);
    if (other.first != taps.first || other.last != taps.last) break;
  }
  return next - oy;
}

// Rows of the image as bytes, padded with the zero point.
void lay_out_bytes(const Frame& frame, const ConvInt8& step, const PackedConv& packed,
                   const Rows& rows) {
  const Window2d& w = packed.window;
  const uint8_t* x = frame.read<uint8_t>(step.x);
  auto* to = reinterpret_cast<uint8_t*>(frame.scratch);
  const auto row = static_cast<size_t>(packed.row_w * w.channels);
  const size_t left = static_cast<size_t>(std::min<int64_t>(w.pad_left, packed.row_w)) *
                      static_cast<size_t>(w.channels);
  const size_t inner =
      std::min(static_cast<size_t>(w.in_w) * static_cast<size_t>(w.channels), row - left);
  const auto zero = static_cast<uint8_t>(packed.zero_point);
  for (int32_t iy = rows.first; iy < rows.last; ++iy, to += row) {
    if (iy < 0 || iy >= w.in_h) {
      std::memset(to, zero, row);
      continue;
    }
    const uint8_t* from = x + int64_t{iy} * w.in_w * w.channels;
    std::memset(to, zero, left);
    if (packed.flip == 0) {
      std::memcpy(to + left, from, inner);
    } else {
      frame.program.kernels->flip_row({from, packed.flip, to + left, inner});
    }
    std::memset(to + left + inner, zero, row - left - inner);
  }
}

// Rows of the image as int16 less the zero point, padded left and right with zeros.
void lay_out_words(const Frame& frame, const ConvInt8& step, const PackedConv& packed,
                   const Rows& rows) {
  const Window2d& w = packed.window;
  const uint8_t* x = frame.read<uint8_t>(step.x);
  auto* to = reinterpret_cast<int16_t*>(frame.scratch);
  const int64_t row = packed.row_w * w.channels;
  const int64_t left = std::min<int64_t>(w.pad_left, packed.row_w) * w.channels;
  const int64_t inner = std::min<int64_t>(int64_t{w.in_w} * w.channels, row - left);
  for (int32_t iy = rows.first; iy < rows.last; ++iy, to += row) {
    std::fill_n(to, left, int16_t{0});
    frame.program.kernels->widen_row({x + int64_t{iy} * w.in_w * w.channels,
                                      byte_type(frame.buffer(step.x)), step.x_zero_point, to + left,
                                      static_cast<size_t>(inner)});
    std::fill_n(to + left + inner, row - left - inner, int16_t{0});
  }
  std::fill_n(to, kernels::kReadSlack, int16_t{0});
}

// Output channels computed together.
struct Block {
  int64_t lane = 0;      // first of its lanes in bias, multiplier and (by 16) weights
  int32_t input = 0;     // first input channel
  int32_t first = 0;     // output channel
  int32_t channels = 1;  // real ones
};

int32_t block_count(const ConvInt8& step, const PackedConv& packed) {
  if (packed.depthwise) return 1;
  const int32_t each = step.out_channels / step.groups;
  return step.groups * ((each + packed.block_channels - 1) / packed.block_channels);
}

Block block_at(const ConvInt8& step, const PackedConv& packed, int32_t index) {
  if (packed.depthwise) return {0, 0, 0, packed.window.channels};
  const int32_t each = step.out_channels / step.groups;
  const int32_t per_group = (each + packed.block_channels - 1) / packed.block_channels;
  const int32_t group = index / per_group;
  const int32_t m = index % per_group * packed.block_channels;
  return {group * rounded_up(each, kConvBlock) + m, group * (packed.window.channels / step.groups),
          group * each + m, std::min(packed.block_channels, each - m)};
}

// One call of a kernel: positions in rows of `row_positions`.
struct Stretch {
  int64_t x_at = 0;  // elements from the laid-out input to the first tap of the first position
  ptrdiff_t x_step = 0, x_row_step = 0;
  int32_t positions = 1, row_positions = 1;
  int32_t pool = 1;
  uint8_t* y = nullptr;
  ptrdiff_t y_step = 0;
};

// What a step's rows need beside their kernels' own operands.
struct Call {
  const Frame& frame;
  const ConvInt8& step;
  const PackedConv& packed;

  const kernels::KernelTable& kernels() const { return *frame.program.kernels; }
};

void depthwise_stretch(const Call& call, const void* x, const Taps& rows, const Block& block,
                       const Stretch& s) {
  const PackedConv& packed = call.packed;
  const int64_t wide = rounded_up(packed.window.channels, kConvBlock);
  const int32_t taps = (rows.last - rows.first) * packed.runs_per_row;
  call.kernels().depthwise_row(
      {static_cast<const int16_t*>(x) + s.x_at, s.x_step, packed.offsets.data(), taps,
       packed.weights.data() + int64_t{rows.first} * packed.runs_per_row * wide, wide,
       packed.bias.data(), packed.multiplier.data(), byte_range(call.step.requantize),
       block.channels, s.positions, s.y, s.y_step});
}

// Positions of output rows that have kernel rows `rows` inside the image, like row oy.
void run_stretch(const Call& call, const void* x, const Block& block, int32_t oy, const Taps& rows,
                 const Stretch& s) {
  const PackedConv& packed = call.packed;
  if (packed.depthwise) return depthwise_stretch(call, x, rows, block, s);
  const ByteRange range = byte_range(call.step.requantize);
  const int32_t runs = (rows.last - rows.first) * packed.runs_per_row;
  const int64_t run_size = int64_t{packed.units} * (packed.dot ? 4 : 2) * kConvBlock;
  const int64_t block_size = int64_t{packed.window.kernel_h} * packed.runs_per_row * run_size;
  const int64_t origin =
      block.lane / kConvBlock * block_size + int64_t{rows.first} * packed.runs_per_row * run_size;
  const int32_t* bias =
      packed.bias.data() + packed.bias_of_row[static_cast<size_t>(oy)] + block.lane;
  const float* multiplier = packed.multiplier.data() + block.lane;
  if (packed.dot) {
    call.kernels().dot_row({static_cast<const uint8_t*>(x) + s.x_at, call.kernels().dot_form,
                            s.x_step, s.x_row_step, packed.offsets.data(), runs, packed.units,
                            packed.bytes.data() + origin, block_size, bias, multiplier, range,
                            block.channels, s.positions, s.row_positions, s.pool, s.y, s.y_step});
    return;
  }
  call.kernels().conv_row({static_cast<const int16_t*>(x) + s.x_at, s.x_step, packed.offsets.data(),
                           runs, packed.units, packed.weights.data() + origin, bias, multiplier,
                           range, block.channels, s.positions, s.pool, s.y, s.y_step});
}

uint8_t* held_bytes(const Call& call) {
  return reinterpret_cast<uint8_t*>(call.frame.scratch) + call.packed.input_bytes;
}
int32_t* tap_offsets(const Call& call) {
  return reinterpret_cast<int32_t*>(held_bytes(call) + call.packed.held_bytes);
}

void depthwise_bytes_row(const Call& call, const uint8_t* x, uint8_t* y) {
  const PackedConv& packed = call.packed;
  const DepthwiseBytes& d = packed.depthwise_bytes;
  const Window2d& w = packed.window;
  call.kernels().depthwise_dot_row({x, call.kernels().dot_form, ptrdiff_t{w.stride_w} * w.channels,
                                    packed.offsets.data(), d.groups, d.column_step, d.columns,
                                    packed.bytes.data(), packed.bias.data(),
                                    packed.multiplier.data(), byte_range(call.step.requantize),
                                    w.channels, w.out_w, y, w.channels});
}

// The convolution's rows `rows` of one block; `x` holds the input's rows from first_input on.
void run_rows(const Call& call, const void* x, int32_t first_input, const Block& block,
              const Rows& rows) {
  const PackedConv& packed = call.packed;
  const Window2d& w = packed.window;
  const int32_t stored = packed.pair_pool ? call.step.pool->out_w : w.out_w;
  const int64_t row_bytes = int64_t{stored} * call.step.out_channels;
  uint8_t* const y = packed.held ? held_bytes(call) : call.frame.write<uint8_t>(call.step.y);
  const int64_t input_row = packed.row_w * w.channels;
  for (int32_t oy = rows.first; oy < rows.last;) {
    const int32_t at = packed.held ? oy % packed.held_rows : oy;
    if (packed.depthwise && packed.dot) {
      const int64_t row = int64_t{oy} * w.stride_h - w.pad_top - first_input;
      depthwise_bytes_row(call, static_cast<const uint8_t*>(x) + row * input_row,
                          y + at * row_bytes);
      ++oy;
      continue;
    }
    int32_t end = packed.dot || packed.rows_joined ? rows.last : oy + 1;
    if (packed.held) end = std::min(end, oy + packed.held_rows - at);
    const int32_t count = rows_alike(w, oy, end);
    const Taps taps = rows_inside(w, oy);
    Stretch s;
    if (taps.first < taps.last) {
      const int64_t row = int64_t{oy} * w.stride_h - w.pad_top + int64_t{taps.first} * w.dilation_h;
      s.x_at = (row - first_input) * input_row + block.input;
    }
    s.x_step = ptrdiff_t{w.stride_w} * w.channels;
    s.x_row_step = ptrdiff_t{w.stride_h} * input_row;
    s.pool = packed.pair_pool ? 2 : 1;
    s.positions = count * stored * s.pool;
    s.row_positions = packed.rows_joined ? s.positions : stored * s.pool;
    s.y = y + at * row_bytes + block.first;
    s.y_step = call.step.out_channels;
    run_stretch(call, x, block, oy, taps, s);
    oy += count;
  }
}

// Result rows [rows) of the max pool over the held rows, channels [channels).
void pool_rows(const Call& call, const Rows& rows, const Rows& channels) {
  const Frame& frame = call.frame;
  const Window2d& p = *call.step.pool;
  const int64_t row_bytes = int64_t{p.in_w} * p.channels;
  const uint8_t* const held = held_bytes(call) + channels.first;
  int32_t* const offsets = tap_offsets(call);
  uint8_t* const y = frame.write<uint8_t>(call.step.y) + channels.first;
  for (int32_t py = rows.first; py < rows.last; ++py) {
    const int64_t start = int64_t{py} * p.stride_h - p.pad_top;
    const Taps inside = taps_inside(start, p.kernel_h, 1, p.in_h);
    for_each_stretch(p, [&](int32_t ox, int32_t positions, const Taps& columns) {
      int32_t taps = 0;
      for (int64_t r = start + inside.first; r < start + inside.last; ++r) {
        for (int32_t kx = 0; kx < columns.last - columns.first; ++kx) {
          offsets[taps++] = static_cast<int32_t>(r % call.packed.held_rows * row_bytes +
                                                 int64_t{kx} * p.dilation_w * p.channels);
        }
      }
      const int64_t column =
          int64_t{ox} * p.stride_w - p.pad_left + int64_t{columns.first} * p.dilation_w;
      call.kernels().max_pool_row({held + column * p.channels, byte_type(frame.buffer(call.step.y)),
                                   ptrdiff_t{p.stride_w} * p.channels, offsets, taps,
                                   channels.last - channels.first, positions,
                                   y + (int64_t{py} * p.out_w + ox) * p.channels, p.channels});
    });
  }
}

// The convolution's own bytes, where something follows them.
kernels::ByteType between_type(const ConvInt8& step) {
  return step.requantize.low < 0 ? kernels::ByteType::kInt8 : kernels::ByteType::kUInt8;
}

void average_image(const Call& call, const Rows& channels) {
  const Frame& frame = call.frame;
  const ConvInt8& step = call.step;
  int32_t* const offsets = tap_offsets(call);
  const int32_t taps = step.window.out_h * step.window.out_w;
  for (int32_t t = 0; t < taps; ++t) offsets[t] = t * step.out_channels;
  call.kernels().average_pool_row(
      {held_bytes(call) + channels.first, between_type(step), step.requantize.zero_point, 0,
       offsets, taps, channels.last - channels.first, 1, *frame.read<float>(step.average),
       byte_range(step.last), frame.write<uint8_t>(step.y) + channels.first, step.out_channels});
}

// Adds the residual to the bytes that lie in y, in place.
void add_residual(const Call& call, const Rows& rows) {
  const Frame& frame = call.frame;
  const ConvInt8& step = call.step;
  const int64_t row = int64_t{step.window.out_w} * step.out_channels;
  uint8_t* y = frame.write<uint8_t>(step.y) + rows.first * row;
  call.kernels().binary_row(
      {kernels::ByteOp::kAdd,
       {y, between_type(step), step.requantize.zero_point, step.q_scale},
       {frame.read<uint8_t>(step.residual) + rows.first * row,
        byte_type(frame.buffer(step.residual)), step.residual_zero_point, step.residual_scale},
       step.sum_scale,
       byte_range(step.last),
       y,
       static_cast<size_t>((rows.last - rows.first) * row)});
}

void lay_out(const Call& call, const Rows& rows) {
  if (call.packed.in_place) return;
  if (call.packed.dot) {
    lay_out_bytes(call.frame, call.step, call.packed, rows);
  } else {
    lay_out_words(call.frame, call.step, call.packed, rows);
  }
}

const void* input_of(const Call& call) {
  if (call.packed.in_place) return call.frame.read<uint8_t>(call.step.x);
  return call.frame.scratch;
}

// What of a step one thread computes: these result rows of these blocks.
struct Share {
  Rows rows, blocks;
};

Rows part_of(int32_t total, const StepPart& part) {
  return {static_cast<int32_t>(int64_t{total} * part.index / part.of),
          static_cast<int32_t>(int64_t{total} * (part.index + 1) / part.of)};
}

Share share_of(const ConvInt8& step, const PackedConv& packed, const StepPart& part) {
  const int32_t results = result_rows(step), blocks = block_count(step, packed);
  // A sum with the residual runs over whole rows.
  if (results >= part.of || step.residual.valid()) return {part_of(results, part), {0, blocks}};
  return {{0, results}, part_of(blocks, part)};
}

// A window that is one position: the batch's windows as one row of positions.
bool windows_are_positions(const ConvInt8& step, const PackedConv& packed) {
  return packed.rows_joined && !packed.depthwise && step.window.out_h == 1 &&
         step.window.out_w == 1 && !packed.held && !step.residual.valid();
}

void run_across(const Frames& frames, const ConvInt8& step, const PackedConv& packed,
                const Rows& blocks) {
  for (size_t i = 0; i < frames.count; ++i) {
    const Frame frame = frames[i];
    lay_out({frame, step, packed}, {0, 1});
  }
  const Program& program = frames.program;
  const size_t value_bytes = packed.dot ? 1 : sizeof(int16_t);
  const size_t stride = packed.in_place ? program.arena_stride : program.scratch_stride;
  const Frame frame = frames[0];
  const Call call{frame, step, packed};
  for (int32_t b = blocks.first; b < blocks.last; ++b) {
    const Block block = block_at(step, packed, b);
    Stretch s;
    s.x_at = block.input;
    s.x_step = static_cast<ptrdiff_t>(stride / value_bytes);
    s.positions = s.row_positions = static_cast<int32_t>(frames.count);
    s.y = frame.write<uint8_t>(step.y) + block.first;
    s.y_step = static_cast<ptrdiff_t>(program.arena_stride);
    run_stretch(call, input_of(call), block, 0, rows_inside(packed.window, 0), s);
  }
}

// What follows the convolution's bytes in result rows `strip`.
void finish_strip(const Call& call, const Rows& strip, const Rows& blocks) {
  const ConvInt8& step = call.step;
  if (step.residual.valid()) return add_residual(call, strip);
  if (!call.packed.held) return;
  const Block last = block_at(step, call.packed, blocks.last - 1);
  const Rows channels{block_at(step, call.packed, blocks.first).first, last.first + last.channels};
  if (step.average.valid()) {
    average_image(call, channels);
  } else {
    pool_rows(call, strip, channels);
  }
}

}  // namespace

void execute(const Frames& frames, const ConvInt8& step, const PackedConv& packed,
             const StepPart& part) {
  const Share share = share_of(step, packed, part);
  const Rows &all = share.rows, &blocks = share.blocks;
  if (all.first == all.last || blocks.first == blocks.last) return;
  if (frames.count > 1 && windows_are_positions(step, packed)) {
    return run_across(frames, step, packed, blocks);
  }
  int32_t next = 0;  // row of the convolution; those before it are computed
  for (int32_t first = all.first; first < all.last; first += packed.strip_rows) {
    const Rows strip{first, std::min(first + packed.strip_rows, all.last)};
    Rows fresh = conv_rows(step, packed, strip);
    fresh.first = std::max(fresh.first, next);
    next = std::max(next, fresh.last);
    const Rows input = input_rows(packed, fresh);
    const int32_t first_input = packed.in_place ? 0 : input.first;
    const auto for_each_window = [&](auto body) {
      for (size_t i = 0; i < frames.count; ++i) {
        const Frame frame = frames[i];
        body(Call{frame, step, packed});
      }
    };
    if (fresh.first < fresh.last) {
      for_each_window([&](const Call& call) { lay_out(call, input); });
      for (int32_t b = blocks.first; b < blocks.last; ++b) {
        const Block block = block_at(step, packed, b);
        for_each_window(
            [&](const Call& call) { run_rows(call, input_of(call), first_input, block, fresh); });
      }
    }
    for_each_window([&](const Call& call) { finish_strip(call, strip, blocks); });
  }
}

}  // namespace graupel::run
