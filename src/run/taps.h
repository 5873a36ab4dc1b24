// Which taps of a sliding window lie inside its image. Private to src/run.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/kernels.h"
#include "run/plan.h"

namespace graupel::run {

inline kernels::ByteType byte_type(const Buffer& buffer) {
  return buffer.dtype == DType::kInt8 ? kernels::ByteType::kInt8 : kernels::ByteType::kUInt8;
}
inline kernels::ByteRange byte_range(const Requantize& r) { return {r.zero_point, r.low, r.high}; }

inline int64_t rounded_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Kernel steps [first, last) whose tap start + k * dilation lies inside [0, in).
struct Taps {
  int32_t first = 0, last = 0;
};
inline Taps taps_inside(int64_t start, int64_t kernel, int64_t dilation, int64_t in) {
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

}  // namespace graupel::run
