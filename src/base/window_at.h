// Some windows of a set, or one. Test: base_test.cc.
#pragma once

#include <algorithm>
#include <span>

#include "base/tensor.h"

namespace graupel {

// The windows of [N, ...] at `indices`, in their order, a copy; each index < N.
inline Tensor windows_at(const Tensor& windows, std::span<const size_t> indices) {
  Shape shape = windows.shape();
  shape[0] = static_cast<int64_t>(indices.size());
  Tensor chosen(windows.dtype(), std::move(shape));
  if (chosen.size() == 0) return chosen;
  const size_t size_bytes = chosen.size_bytes() / indices.size();
  std::byte* to = chosen.mutable_bytes();
  for (const size_t index : indices) {
    to = std::copy_n(windows.bytes() + index * size_bytes, size_bytes, to);
  }
  return chosen;
}

// Window `index` of [N, ...] as [1, ...], a copy; index < N.
inline Tensor window_at(const Tensor& windows, size_t index) {
  return windows_at(windows, {&index, 1});
}

}  // namespace graupel
