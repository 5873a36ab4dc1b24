// What packing and running a ConvInt8 share. Private to src/run. Test: engine_test.cc.
#pragma once

#include "run/plan.h"
#include "run/taps.h"

namespace graupel::run {

// The kernel rows of output row oy that lie inside the image.
inline Taps rows_inside(const Window2d& w, int32_t oy) {
  const Taps rows =
      taps_inside(int64_t{oy} * w.stride_h - w.pad_top, w.kernel_h, w.dilation_h, w.in_h);
  return rows.first < rows.last ? rows : Taps{};
}

// Rows of what the step writes, over which strips run.
inline int32_t result_rows(const ConvInt8& step) {
  return step.average.valid() ? 1 : step.pool ? step.pool->out_h : step.window.out_h;
}

}  // namespace graupel::run
