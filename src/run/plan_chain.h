// A plan of convolutions joined with everything that may be joined to one, for tests: pools over
// held rows and over pairs, a residual, the average of an image, depthwise, grouped, strided, one
// position.
#pragma once

#include <cmath>
#include <utility>

#include "run/plan_builder.h"

namespace graupel::run {

// Convolutions one behind the other. Every step says that it is worth sharing.
struct Chain {
  PlanBuilder builder;
  Rng rng{21};
  BufferId x;
  Shape shape;  // [1, C, H, W]
  DType dtype;
  int32_t zero_point = 0;

  Chain(DType type, Shape input) : shape(input), dtype(type) {
    const int64_t inner = *element_count(input) / input[1];
    const BufferId window = builder.input(input);
    x = builder.buffer(type, input, Layout::kChannelsLast);
    zero_point = type == DType::kInt8 ? -3 : 120;
    const Requantize bytes =
        type == DType::kInt8 ? Requantize{-3, -128, 127} : Requantize{120, 0, 255};
    builder.step(Quantize{window,
                          x,
                          {},
                          {},
                          ByteOrder::kChannelsLast,
                          static_cast<int32_t>(input[1]),
                          inner,
                          0.02f,
                          bytes});
  }

  // A convolution of the same size (stride 1) or half, and what is joined to it.
  ConvInt8 conv(int32_t channels, int32_t kernel, int32_t stride, int32_t groups) {
    ConvInt8 s;
    const auto in = static_cast<int32_t>(shape[1]), h = static_cast<int32_t>(shape[2]),
               w = static_cast<int32_t>(shape[3]);
    s.x = x;
    s.x_zero_point = zero_point;
    s.window = {in,
                h,
                w,
                (h - 1) / stride + 1,
                (w - 1) / stride + 1,
                kernel,
                kernel,
                stride,
                stride,
                1,
                1,
                kernel / 2,
                kernel / 2};
    s.out_channels = channels;
    s.groups = groups;
    s.weights = builder.constant(random_int8(rng, {channels, kernel, kernel, in / groups}));
    s.bias = builder.constant(random_int32(rng, {channels}, 3000));
    // Keeps the bytes spread over their range.
    const double norm = std::sqrt(double(kernel) * kernel * in / groups);
    s.multiplier = builder.constant(random_float(rng, {channels}, 0.003 / norm, 0.015 / norm));
    s.requantize = {dtype == DType::kInt8 ? -3 : 120, dtype == DType::kInt8 ? -128 : 0,
                    dtype == DType::kInt8 ? 127 : 255};
    zero_point = s.requantize.zero_point;
    return s;
  }
  void add(ConvInt8 s, Shape out) {
    s.y = builder.buffer(dtype, out, Layout::kChannelsLast);
    builder.step(s);
    builder.plan.steps.back().macs = int64_t{1} << 32;
    x = s.y;
    shape = std::move(out);
  }
  void plain(int32_t channels, int32_t kernel, int32_t stride = 1, int32_t groups = 1) {
    const ConvInt8 s = conv(channels, kernel, stride, groups);
    add(s, {1, channels, s.window.out_h, s.window.out_w});
  }
  void pooled(int32_t channels, int32_t height) {  // pairs of neighbours, or 3 x 3
    ConvInt8 s = conv(channels, 3, 1, 1);
    const Window2d& w = s.window;
    Window2d p{channels, w.out_h, w.out_w, w.out_h, w.out_w / 2, 1, 2, 1, 2, 1, 1, 0, 0};
    if (height > 1) {
      p = {channels, w.out_h, w.out_w, (w.out_h - 1) / 2 + 1, (w.out_w - 1) / 2 + 1, 3, 3, 2, 2, 1,
           1,        1,       1};
    }
    s.pool = p;
    add(s, {1, channels, p.out_h, p.out_w});
  }
  void with_residual() {
    ConvInt8 s = conv(static_cast<int32_t>(shape[1]), 3, 1, 1);
    s.residual = x;
    s.residual_zero_point = zero_point;
    s.last = s.requantize;
    add(s, shape);
  }
  void averaged(int32_t channels) {
    ConvInt8 s = conv(channels, 1, 1, 1);
    s.average =
        builder.constant(Tensor::of<float>({1}, {6.0f / static_cast<float>(shape[2] * shape[3])}));
    s.last = s.requantize;
    add(s, {1, channels, 1, 1});
  }
  Plan finish() {
    builder.output(x, "bytes");
    Plan plan = builder.plan;
    plan.buffers[x.index()].layout = Layout::kRowMajor;  // one position: the same bytes
    return plan;
  }
};

inline Plan chain(DType dtype) {
  Chain c(dtype, {1, 3, 19, 22});
  c.pooled(20, 3);        // held rows
  c.plain(24, 3);         //
  c.plain(24, 3, 1, 24);  // depthwise
  c.with_residual();      //
  c.plain(70, 1);         // rows joined, more than one group of blocks
  c.pooled(33, 1);        // pairs
  c.plain(36, 3, 2, 3);   // strided, grouped
  c.averaged(130);        // whole image held, three groups of blocks
  c.plain(70, 1);         // one position
  c.plain(9, 1);
  return c.finish();
}

}  // namespace graupel::run
