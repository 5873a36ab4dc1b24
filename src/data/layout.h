// Windows [N, C, ...] as [N][C][rows][samples]: what statistics and preprocessing walk over.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "base/tensor.h"

namespace graupel::data {

// `samples` is the last axis, 1 if there is none behind the channels; a window mean is taken over
// one row of it.
struct Layout {
  size_t count = 0, channels = 0, rows = 0, samples = 0;
  size_t per_channel() const { return rows * samples; }
};

// Error kInvalidInput for windows that are not float32, have no channel axis or are empty.
inline Result<Layout> layout_of(const Tensor& windows) {
  if (windows.dtype() != DType::kFloat32 || windows.rank() < 2 || windows.size() == 0) {
    return invalid_input("windows", "are " + std::string(to_string(windows.dtype())) +
                                        " of shape " + to_string(windows.shape()) +
                                        ", expected at least one float32 window as NxCx...");
  }
  Layout layout;
  layout.count = static_cast<size_t>(windows.shape()[0]);
  layout.channels = static_cast<size_t>(windows.shape()[1]);
  layout.samples = windows.rank() > 2 ? static_cast<size_t>(windows.shape().back()) : 1;
  layout.rows = windows.size() / (layout.count * layout.channels * layout.samples);
  return layout;
}

}  // namespace graupel::data
