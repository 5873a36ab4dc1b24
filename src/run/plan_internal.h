// What the files of src/run share about plans. Private to src/run.
#pragma once

#include <cstdint>
#include <span>

#include "run/plan.h"

namespace graupel::run {

// The contents of a constant buffer; T fits its dtype.
template <class T>
std::span<const T> constant_data(const Plan& plan, BufferId id) {
  const Buffer& buffer = plan.buffers[id.index()];
  // Offsets are aligned from the start of the constants, and a std::string's heap block is too.
  return {reinterpret_cast<const T*>(plan.constants.data() + buffer.offset),
          static_cast<size_t>(buffer_elements(buffer))};
}

// Columns of an input row that a convolution reads, padding included.
inline int64_t padded_width(const Window2d& w) {
  return int64_t{w.out_w - 1} * w.stride_w + int64_t{w.kernel_w - 1} * w.dilation_w + 1;
}

}  // namespace graupel::run
