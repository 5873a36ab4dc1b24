// How a convolution's weights are packed for the kernels, and how its rows are walked.
//
// Idea: blocks of sixteen output channels lie together, in pairs or quads of neighbouring inputs,
// with the zero point taken off in the bias: one bias per set of kernel rows that lie inside the
// image. The image is walked in strips of result rows, so that what is laid out or held between
// the convolution and what follows it stays small, whatever the image's size.
// Reference: docs/formats/int8.md, kernels/kernels.h. Test: engine_test.cc.
#include <algorithm>

#include "run/conv_int8.h"
#include "run/engine_internal.h"
#include "run/taps.h"

namespace graupel::run {
namespace {

using kernels::DotForm;
using kernels::kConvBlock;

// Bytes of a strip: input laid out for it, and what the convolution writes for what follows it. A
// guess: a quarter of a Cortex-A76's second-level cache (512 KiB). Smaller strips read the weights
// of deep layers more often.
constexpr int64_t kStripBytes = 128 * 1024;
// Rows of a strip, a guess: with 3x3 kernels fewer would lay out most rows twice.
constexpr int32_t kLeastRows = 4;

// Whether rows of input and output follow one another without a gap, as positions of one long row.
bool rows_are_joined(const ConvInt8& step) {
  const Window2d& w = step.window;
  return w.kernel_h == 1 && w.kernel_w == 1 && w.stride_h == 1 && w.stride_w == 1 &&
         w.pad_top == 0 && w.pad_left == 0 && w.in_h == w.out_h && w.in_w == w.out_w && !step.pool;
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

// The weights as depthwise_dot_row takes them.
void append_depthwise_bytes(std::span<const int8_t> weights, PackedConv& packed) {
  const Window2d& w = packed.window;
  const DepthwiseBytes& d = packed.depthwise_bytes;
  const int64_t taps = int64_t{w.kernel_h} * w.kernel_w,
                per_channel = int64_t{d.groups} * d.columns;
  packed.bytes.assign(static_cast<size_t>(kernels::depthwise_width(w.channels) * per_channel * 4),
                      0);
  for (int32_t c = 0; c < w.channels; ++c) {
    const kernels::DepthwiseLane lane = kernels::depthwise_lane(w.channels, c);
    for (int32_t t = 0; t < taps; ++t) {
      const int32_t ky = t / w.kernel_w, kx = t % w.kernel_w;
      const int32_t row = w.kernel_h == 1 ? kx % 4 : ky;
      const int32_t column = w.kernel_h == 1 ? kx / 4 : kx;
      const int64_t tap = int64_t{row / 4} * d.columns + column;
      const int64_t to = (lane.first * per_channel + tap * lane.width + lane.lane) * 4 + row % 4;
      packed.bytes[static_cast<size_t>(to)] = weights[static_cast<size_t>(c * taps + t)];
    }
  }
}

// A depthwise convolution on bytes lays out the rows outside the image that its taps meet. Kernels
// that reach far outside are left to the int16 form, which leaves such rows out.
bool lays_out_little(const Window2d& w) {
  constexpr int64_t kMostBytes = int64_t{1} << 28;
  const int64_t rows =
      int64_t{w.kernel_h - 1} * w.dilation_h + 1 + (kLeastRows - 1) * int64_t{w.stride_h};
  return rows <= kMostBytes / (padded_width(w) * w.channels);
}

void pack_depthwise_bytes(std::span<const int8_t> weights, PackedConv& packed) {
  const Window2d& w = packed.window;
  DepthwiseBytes& d = packed.depthwise_bytes;
  const bool is_row = w.kernel_h == 1;
  d.groups = is_row ? 1 : (w.kernel_h + 3) / 4;
  d.columns = is_row ? (w.kernel_w + 3) / 4 : w.kernel_w;
  d.column_step = (is_row ? int64_t{4} : int64_t{1}) * w.dilation_w * w.channels;
  append_depthwise_bytes(weights, packed);
  // Rows past the kernel's last, whose weights are zeros, are that last one.
  const int64_t row = packed.row_w * w.channels * w.dilation_h;
  for (int32_t j = 0; j < 4 * d.groups; ++j) {
    packed.offsets.push_back(static_cast<int32_t>(is_row ? int64_t{j} * w.dilation_w * w.channels
                                                         : std::min(j, w.kernel_h - 1) * row));
  }
  // Rows outside the image are laid out as zero points, so every tap has its share in the bias.
  const int64_t taps = int64_t{w.kernel_h} * w.kernel_w;
  for (int64_t c = 0; c < w.channels; ++c) {
    uint32_t sum = 0;
    for (int64_t t = 0; t < taps; ++t) {
      sum += static_cast<uint32_t>(weights[static_cast<size_t>(c * taps + t)]);
    }
    int32_t& bias = packed.bias[static_cast<size_t>(c)];
    bias = static_cast<int32_t>(static_cast<uint32_t>(bias) -
                                static_cast<uint32_t>(packed.zero_point) * sum);
  }
}

// Bias and multiplier of `count` channels from `first`, filled up to whole blocks.
void append_padded(const Plan& plan, const ConvInt8& step, int64_t first, int64_t count,
                   int64_t block, PackedConv& packed) {
  const std::span<const int32_t> bias = constant_data<int32_t>(plan, step.bias);
  const std::span<const float> multiplier = constant_data<float>(plan, step.multiplier);
  for (int64_t m = 0; m < rounded_up(count, block); ++m) {
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
  if (!packed.dot || packed.depthwise || packed.zero_point == 0) return;
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

// Whether the bytes that a run of `run` values in quads reads past its end belong to the input's
// buffer at the end of it too: its size is filled up to kAlignmentBytes. Past it another thread may
// be writing the step's result.
bool reads_its_own(const Buffer& x, const PackedConv& packed, int64_t run) {
  const int64_t bytes = buffer_bytes(x);
  return bytes + 4 * packed.units - run <= rounded_up(bytes, kAlignmentBytes);
}

// What the input has to become, and whether it lies there already.
void plan_input(const Plan& plan, const ConvInt8& step, DotForm form, int64_t run,
                PackedConv& packed) {
  const Window2d& w = packed.window;
  const Buffer& x = plan.buffers[step.x.index()];
  packed.row_w = padded_width(w);
  if (!packed.dot) return;
  const bool is_signed = x.dtype == DType::kInt8;
  packed.flip = is_signed == (form == DotForm::kSigned) ? 0 : 0x80;
  const int32_t moved = packed.flip == 0 ? 0 : is_signed ? 128 : -128;
  packed.zero_point = step.x_zero_point + moved;
  packed.in_place = !packed.depthwise && packed.flip == 0 && x.place == Place::kArena &&
                    w.pad_left == 0 && packed.row_w <= w.in_w && reads_its_own(x, packed, run);
  if (packed.in_place) packed.row_w = w.in_w;
}

// The height of strips, and the scratch that one takes.
void plan_strips(const ConvInt8& step, PackedConv& packed) {
  const Window2d& w = packed.window;
  const int64_t value_bytes = packed.dot ? 1 : int64_t{sizeof(int16_t)};
  const int64_t input_row = packed.in_place ? 0 : packed.row_w * w.channels;
  const int64_t output_row = int64_t{w.out_w} * step.out_channels;
  packed.held = step.average.valid() || (step.pool && !packed.pair_pool);
  const bool pads_rows = packed.depthwise && packed.dot;
  const auto tallest_input = [&](int64_t rows) {
    const int64_t reach = (rows - 1) * w.stride_h + int64_t{w.kernel_h - 1} * w.dilation_h + 1;
    return pads_rows ? reach : std::min<int64_t>(w.in_h, reach);
  };
  const auto conv_rows = [&](int64_t rows) {
    if (step.average.valid()) return int64_t{w.out_h};
    if (!packed.held) return rows;
    return std::min<int64_t>(w.out_h, (rows - 1) * step.pool->stride_h + step.pool->kernel_h);
  };
  const int64_t kept = packed.held || step.residual.valid() ? output_row : 0;
  const int64_t total = result_rows(step);
  const int64_t least = std::min<int64_t>(packed.held ? 1 : kLeastRows, total);
  const auto fits = [&](int64_t rows) {
    const int64_t inner = conv_rows(rows);
    return tallest_input(inner) * input_row * value_bytes + inner * kept <= kStripBytes;
  };
  int64_t rows = total;
  while (rows > least && !fits(rows)) rows = std::max(least, rows / 2);
  while (rows < total && fits(rows + 1)) ++rows;
  const int64_t strips = (total + rows - 1) / rows;
  rows = (total + strips - 1) / strips;
  packed.strip_rows = static_cast<int32_t>(rows);
  packed.held_rows = packed.held ? static_cast<int32_t>(conv_rows(rows)) : 0;
  const auto aligned = [](int64_t bytes) {
    return static_cast<size_t>(rounded_up(bytes, kAlignmentBytes));
  };
  // A depthwise row's columns in fours may reach three past its last one.
  const int64_t slack = static_cast<int64_t>(kernels::kReadSlack) +
                        (pads_rows ? int64_t{3} * w.dilation_w * w.channels : 0);
  if (!packed.in_place) {
    packed.input_bytes =
        aligned((tallest_input(conv_rows(rows)) * input_row + slack) * value_bytes);
  }
  packed.held_bytes = packed.held ? aligned(packed.held_rows * output_row + slack) : 0;
}

void append_run_offsets(PackedConv& packed) {
  const Window2d& w = packed.window;
  for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < packed.runs_per_row; ++kx) {
      packed.offsets.push_back(static_cast<int32_t>(
          (ky * w.dilation_h * packed.row_w + kx * w.dilation_w) * w.channels));
    }
  }
}

}  // namespace

PackedConv pack_conv(const Plan& plan, const ConvInt8& step, const kernels::KernelTable& kernels) {
  const DotForm form = kernels.dot_form;
  PackedConv packed;
  packed.window = step.window;
  packed.rows_joined = rows_are_joined(step);
  const Window2d& w = packed.window;
  const std::span<const int8_t> weights = constant_data<int8_t>(plan, step.weights);
  const int32_t in_per_group = w.channels / step.groups;
  const int32_t out_per_group = step.out_channels / step.groups;
  packed.depthwise = in_per_group == 1 && out_per_group == 1 && w.channels > 1;
  packed.dot = form != DotForm::kNone &&
               (!packed.depthwise || (kernels.has_depthwise_dot && lays_out_little(w)));
  packed.pair_pool = !packed.depthwise && pools_pairs(plan, step);
  const bool folded = !packed.depthwise && step.groups == 1 && w.dilation_w == 1;
  const int64_t run = folded ? int64_t{w.kernel_w} * w.channels : in_per_group;
  packed.runs_per_row = folded ? 1 : w.kernel_w;
  packed.units = static_cast<int32_t>(packed.dot ? (run + 3) / 4 : (run + 1) / 2);
  plan_input(plan, step, form, run, packed);
  if (!packed.depthwise || !packed.dot) append_run_offsets(packed);
  packed.block_channels = packed.depthwise ? w.channels
                          : packed.dot     ? kernels::kDotBlocks * kConvBlock
                                           : kConvBlock;
  if (packed.depthwise && packed.dot) {
    append_padded(plan, step, 0, step.out_channels, kernels::depthwise_width(w.channels), packed);
    pack_depthwise_bytes(weights, packed);
  } else if (packed.depthwise) {
    pack_depthwise(step, weights, packed);
    append_padded(plan, step, 0, step.out_channels, kConvBlock, packed);
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
        append_padded(plan, step, first, count, kConvBlock, packed);
      }
    }
  }
  compensate(packed);
  plan_strips(step, packed);
  return packed;
}

size_t conv_scratch_bytes(const PackedConv& packed, const ConvInt8& step) {
  const size_t taps = !packed.held ? 0
                      : step.pool  ? pool_scratch_bytes(*step.pool)
                                   : static_cast<size_t>(step.window.out_h) *
                                        static_cast<size_t>(step.window.out_w) * sizeof(int32_t);
  return packed.input_bytes + packed.held_bytes + taps;
}

size_t packed_bytes_of(const PackedConv& packed) {
  return packed.weights.size() * sizeof(int16_t) + packed.bytes.size() +
         packed.bias.size() * sizeof(int32_t) + packed.multiplier.size() * sizeof(float) +
         packed.offsets.size() * sizeof(int32_t) + packed.bias_of_row.size() * sizeof(int32_t);
}

}  // namespace graupel::run
