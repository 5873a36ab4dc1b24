// The steps on bytes other than convolution: pools, tables, quantisation. See plan.h for their
// meaning.
//
// Idea: pools split each row into the border and one long inner stretch with the same taps.
// Reference: docs/formats/int8.md, kernels/kernels.h. Test: engine_test.cc.
#include <algorithm>

#include "run/engine_internal.h"
#include "run/taps.h"

namespace graupel::run {
namespace {

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

size_t pool_scratch_bytes(const Window2d& w) {
  return static_cast<size_t>(w.kernel_h) * static_cast<size_t>(w.kernel_w) * sizeof(int32_t);
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
  if (step.inner == 1 && !normalize) {  // either order is one row
    frame.program.kernels->quantize_row({x, static_cast<size_t>(step.channels), false, 0.0, 1.0,
                                         step.scale, byte_range(step.requantize), y, 1});
    return;
  }
  if (step.order == ByteOrder::kChannelsLast) {
    frame.program.kernels->quantize_image({x, step.channels, static_cast<size_t>(step.inner), mean,
                                           deviation, step.scale, byte_range(step.requantize), y});
    return;
  }
  for (int64_t c = 0; c < step.channels; ++c) {
    frame.program.kernels->quantize_row({x + c * step.inner, static_cast<size_t>(step.inner),
                                         normalize, normalize ? mean[c] : 0.0,
                                         normalize ? deviation[c] : 1.0, step.scale,
                                         byte_range(step.requantize), y + c * step.inner, 1});
  }
}

void execute(const Frame& frame, const Dequantize& step) {
  const uint8_t* x = frame.read<uint8_t>(step.x);
  float* y = frame.write<float>(step.y);
  const bool last = step.order == ByteOrder::kChannelsLast;
  if (step.inner == 1) {
    frame.program.kernels->dequantize_row({x, byte_type(frame.buffer(step.x)), 1, step.zero_point,
                                           step.scale, y, static_cast<size_t>(step.channels)});
    return;
  }
  for (int64_t c = 0; c < step.channels; ++c) {
    frame.program.kernels->dequantize_row({last ? x + c : x + c * step.inner,
                                           byte_type(frame.buffer(step.x)),
                                           last ? step.channels : 1, step.zero_point, step.scale,
                                           y + c * step.inner, static_cast<size_t>(step.inner)});
  }
}

}  // namespace graupel::run
