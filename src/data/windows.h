// Windows and labels from any file a user may have, brought to the model's shape.
// Test: windows_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/tensor.h"

namespace graupel::data {

struct WindowSet {
  Tensor windows;                  // float32 N x window shape
  std::optional<Tensor> labels;    // int64 N, when the file carries them
  std::optional<Tensor> subjects;  // int64 N, likewise

  int64_t count() const { return windows.shape()[0]; }
};

// Reads windows for a model whose input is 1 x `window_shape` (batch left out; any rank).
// The content decides how the file is read: npy and npz by their first bytes, all else as CSV.
// npz: the array "windows", "x" or "data", else the only one; "labels"/"y" and "subjects" too.
// Every float or integer type becomes float32; one window without N is taken.
// Memory: below eight times the file, or what an npz unpacks to.
// Errors: kInvalidInput for a wrong shape (with a hint when it is channels last), no window, keys
// that do not say which array; and those of the readers. Every error names the file.
Result<WindowSet> load_windows(const std::string& path, const Shape& window_shape);

// The same from bytes; `name` is what errors call them.
Result<WindowSet> parse_windows(std::string_view bytes, const Shape& window_shape,
                                const std::string& name);

// Labels of `expected_count` windows from .npy, .npz ("labels", "y" or the only array) or text (one
// per line, an optional header "label"): int64 N in [0, class_count). Integer arrays and floats
// that hold whole numbers are taken, N x 1 too. Error kInvalidInput names the first bad label.
Result<Tensor> load_labels(const std::string& path, int64_t expected_count, int64_t class_count);

// The same test for labels that came with the windows.
Result<Tensor> check_labels(const Tensor& labels, int64_t expected_count, int64_t class_count,
                            const std::string& name);

// Window `index` as 1 x window shape, a copy. Error kInvalidInput outside [0, count()).
Result<Tensor> window(const WindowSet& set, int64_t index);

}  // namespace graupel::data
