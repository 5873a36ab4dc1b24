// One window of a set. Test: base_test.cc.
#pragma once

#include <algorithm>

#include "base/tensor.h"

namespace graupel {

// Window `index` of [N, ...] as [1, ...], a copy; index < N.
inline Tensor window_at(const Tensor& windows, size_t index) {
  Shape shape = windows.shape();
  shape[0] = 1;
  Tensor window(windows.dtype(), shape);
  const size_t size_bytes = window.size_bytes();
  std::copy_n(windows.bytes() + index * size_bytes, size_bytes, window.mutable_bytes());
  return window;
}

}  // namespace graupel
