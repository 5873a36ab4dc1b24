// Loading windows and labels.
//
// Idea: what the file holds decides how it is read, and what the model wants decides whether the
// shape is right. A channels-last array is recognised by its dimensions and refused with the
// transpose to use: converting it silently would be wrong whenever the guess is.
// Test: windows_test.cc.
#include "data/windows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "base/files.h"
#include "data/csv.h"
#include "data/npy.h"

namespace graupel::data {
namespace {

std::string tuple(const Shape& shape) {
  std::string text;
  for (const int64_t dim : shape) text += (text.empty() ? "" : ", ") + std::to_string(dim);
  return text;
}

template <class T>
void copy_as_float(const Tensor& from, std::span<float> to) {
  const std::span<const T> values = from.data<T>();
  std::transform(values.begin(), values.end(), to.begin(),
                 [](T value) { return static_cast<float>(value); });
}

// Element by element: by way of doubles, a file of bytes would grow to eight times its size.
Tensor as_float32(const Tensor& tensor) {
  if (tensor.dtype() == DType::kFloat32) return tensor;
  Tensor converted(DType::kFloat32, tensor.shape());
  const std::span<float> out = converted.mutable_data<float>();
  switch (tensor.dtype()) {
    case DType::kFloat64: copy_as_float<double>(tensor, out); break;
    case DType::kInt8: copy_as_float<int8_t>(tensor, out); break;
    case DType::kInt16: copy_as_float<int16_t>(tensor, out); break;
    case DType::kInt32: copy_as_float<int32_t>(tensor, out); break;
    case DType::kInt64: copy_as_float<int64_t>(tensor, out); break;
    case DType::kUInt8: copy_as_float<uint8_t>(tensor, out); break;
    case DType::kUInt16: copy_as_float<uint16_t>(tensor, out); break;
    case DType::kUInt32: copy_as_float<uint32_t>(tensor, out); break;
    case DType::kUInt64: copy_as_float<uint64_t>(tensor, out); break;
    case DType::kFloat16: {
      const auto* const bits = reinterpret_cast<const uint16_t*>(tensor.bytes());
      std::transform(bits, bits + tensor.size(), out.begin(), half_to_float);
      break;
    }
    case DType::kFloat32:
    case DType::kBFloat16:
    case DType::kBool: break;  // returned above; no npy holds it; refused by to_windows
  }
  return converted;
}

// C x H x W -> H x W x C.
Shape channels_last(const Shape& window_shape) {
  Shape shape = window_shape;
  if (shape.size() > 1) std::rotate(shape.begin(), shape.begin() + 1, shape.end());
  return shape;
}

Error wrong_shape(const Shape& found, const Shape& window_shape, const std::string& name) {
  const Shape last = channels_last(window_shape);
  const bool has_count = found.size() == window_shape.size() + 1;
  const Shape per_window(found.begin() + (has_count ? 1 : 0), found.end());
  std::string what = "has the shape " + to_string(found) + ", expected Nx" +
                     to_string(window_shape) + " (windows, channels, ...)";
  if (per_window == last && last != window_shape) {
    // numpy's order of axes: N, channels (the last), then the others.
    std::string axes = has_count ? "0, " : "";
    const size_t first = has_count ? 1 : 0;
    axes += std::to_string(found.size() - 1);
    for (size_t d = first; d + 1 < found.size(); ++d) axes += ", " + std::to_string(d);
    what += "; this is channels last: save numpy.ascontiguousarray(x.transpose(" + axes + "))";
  } else {
    what += "; reshape or cut the windows to (N, " + tuple(window_shape) + ")";
  }
  return invalid_input(name, std::move(what));
}

// Adds the leading N where one window came alone, checks the rest.
Result<Tensor> to_windows(const Tensor& array, const Shape& window_shape, const std::string& name) {
  if (array.dtype() == DType::kBool) {
    return invalid_input(name, "holds booleans, expected floats or integers");
  }
  Shape batched = array.shape();
  if (batched == window_shape) batched.insert(batched.begin(), 1);
  if (batched.size() != window_shape.size() + 1 ||
      !std::equal(window_shape.begin(), window_shape.end(), batched.begin() + 1)) {
    return wrong_shape(array.shape(), window_shape, name);
  }
  if (batched.front() < 1) return invalid_input(name, "holds no window");
  return as_float32(array.reshaped(std::move(batched)));
}

const NamedTensor* find(const std::vector<NamedTensor>& arrays,
                        std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    for (const NamedTensor& array : arrays) {
      if (array.name == name) return &array;
    }
  }
  return nullptr;
}

// The array with one of `names`, else the only array.
Result<Tensor> choose(const std::vector<NamedTensor>& arrays,
                      std::initializer_list<std::string_view> names, const std::string& file) {
  if (const NamedTensor* const array = find(arrays, names)) return array->tensor;
  if (arrays.size() == 1) return arrays.front().tensor;
  constexpr size_t kShown = 8;
  std::string keys, wanted;
  for (size_t i = 0; i < std::min(arrays.size(), kShown); ++i) {
    keys += (i == 0 ? "" : ", ") + arrays[i].name;
  }
  if (arrays.size() > kShown) keys += ", ...";
  for (const std::string_view name : names)
    wanted += (wanted.empty() ? "" : " or ") + std::string(name);
  return invalid_input(file, "holds the arrays " + keys + "; expected one named " + wanted);
}

// int64 N of a side array; its values are checked where they are used.
Result<Tensor> to_ids(const Tensor& array, const std::string& name) {
  Shape shape = array.shape();
  if (shape.size() == 2 && shape[1] == 1) shape.pop_back();
  if (shape.size() != 1) {
    return invalid_input(name, "has the shape " + to_string(array.shape()) +
                                   ", expected one whole number per window");
  }
  if (is_float(array.dtype())) {
    for (const double value : array.to_doubles()) {
      if (!(std::abs(value) < 0x1p53) || value != std::floor(value)) {
        return invalid_input(name, "holds a value that is no whole number");
      }
    }
  }
  return Tensor::of<int64_t>(std::move(shape), array.to_int64s());
}

Result<void> check_count(const Tensor& ids, int64_t expected, const std::string& name) {
  if (static_cast<int64_t>(ids.size()) == expected) return ok();
  return invalid_input(name, "holds " + std::to_string(ids.size()) + " values for " +
                                 std::to_string(expected) + " windows, expected one for each");
}

Result<WindowSet> from_npz(std::string_view bytes, const Shape& window_shape,
                           const std::string& name) {
  TRY_ASSIGN(const std::vector<NamedTensor> arrays, parse_npz(bytes));
  TRY_ASSIGN(const Tensor array, choose(arrays, {"windows", "x", "data"}, name));
  WindowSet set;
  TRY_ASSIGN(set.windows, to_windows(array, window_shape, name));
  const auto side = [&](std::initializer_list<std::string_view> names,
                        std::optional<Tensor>& out) -> Result<void> {
    const NamedTensor* const found = find(arrays, names);
    if (found == nullptr) return ok();
    const std::string where = name + ", array " + found->name;
    TRY_ASSIGN(Tensor ids, to_ids(found->tensor, where));
    TRY(check_count(ids, set.count(), where));
    out = std::move(ids);
    return ok();
  };
  TRY(side({"labels", "y"}, set.labels));
  TRY(side({"subjects"}, set.subjects));
  return set;
}

Result<WindowSet> from_csv(std::string_view bytes, const Shape& window_shape,
                           int64_t values_per_window) {
  TRY_ASSIGN(CsvWindows csv, parse_csv_windows(bytes, values_per_window));
  Shape shape = window_shape;
  shape.insert(shape.begin(), csv.values.shape()[0]);
  return WindowSet{csv.values.reshaped(std::move(shape)), std::move(csv.labels),
                   std::move(csv.subjects)};
}

template <class T>
Result<T> named(Result<T> result, const std::string& name) {
  if (result.ok() || result.error().where.starts_with(name)) return result;
  return std::move(result).error().within(name);
}

Result<Tensor> parse_labels(std::string_view bytes, const std::string& name) {
  if (looks_like_npy(bytes)) {
    TRY_ASSIGN(const Tensor array, parse_npy(bytes));
    return to_ids(array, name);
  }
  if (looks_like_zip(bytes)) {
    TRY_ASSIGN(const std::vector<NamedTensor> arrays, parse_npz(bytes));
    TRY_ASSIGN(const Tensor array, choose(arrays, {"labels", "y"}, name));
    return to_ids(array, name);
  }
  // A lone header "label" would promise a column of values beside it.
  const std::string_view first = bytes.substr(0, bytes.find_first_of("\r\n"));
  if (first == "label" || first == "labels") bytes.remove_prefix(first.size());
  TRY_ASSIGN(const CsvWindows csv, parse_csv_windows(bytes, 1));
  return to_ids(csv.values, name);
}

}  // namespace

Result<WindowSet> parse_windows(std::string_view bytes, const Shape& window_shape,
                                const std::string& name) {
  constexpr int64_t kMaximumValues = int64_t{1} << 31;
  const std::optional<int64_t> values = element_count(window_shape, kMaximumValues);
  if (!values || *values < 1) {
    return invalid_input(name, "is read for a model input of shape 1x" + to_string(window_shape) +
                                   ", which no window can have");
  }
  if (looks_like_npy(bytes)) {
    const Result<Tensor> array = parse_npy(bytes);
    if (!array.ok()) return named<WindowSet>(array.error(), name);
    TRY_ASSIGN(Tensor windows, to_windows(*array, window_shape, name));
    return WindowSet{std::move(windows), std::nullopt, std::nullopt};
  }
  if (looks_like_zip(bytes)) return named(from_npz(bytes, window_shape, name), name);
  return named(from_csv(bytes, window_shape, *values), name);
}

Result<WindowSet> load_windows(const std::string& path, const Shape& window_shape) {
  TRY_ASSIGN(const std::string bytes, read_file(path, kNpyLimitBytes));
  return parse_windows(bytes, window_shape, path);
}

Result<Tensor> check_labels(const Tensor& labels, int64_t expected_count, int64_t class_count,
                            const std::string& name) {
  TRY_ASSIGN(Tensor ids, to_ids(labels, name));
  TRY(check_count(ids, expected_count, name));
  const std::span<const int64_t> values = ids.data<int64_t>();
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= 0 && values[i] < class_count) continue;
    return invalid_input(name, "has the label " + std::to_string(values[i]) + " at window " +
                                   std::to_string(i) + ", expected 0 to " +
                                   std::to_string(class_count - 1));
  }
  return ids;
}

Result<Tensor> load_labels(const std::string& path, int64_t expected_count, int64_t class_count) {
  TRY_ASSIGN(const std::string bytes, read_file(path, kNpyLimitBytes));
  TRY_ASSIGN(const Tensor labels, named(parse_labels(bytes, path), path));
  return check_labels(labels, expected_count, class_count, path);
}

Result<Tensor> window(const WindowSet& set, int64_t index) {
  if (set.windows.rank() < 1 || index < 0 || index >= set.count()) {
    return invalid_input("window " + std::to_string(index), "is not in the set");
  }
  Shape shape = set.windows.shape();
  const size_t values = set.windows.size() / static_cast<size_t>(shape.front());
  shape.front() = 1;
  const std::span<const float> all = set.windows.data<float>();
  return Tensor::of<float>(std::move(shape),
                           all.subspan(static_cast<size_t>(index) * values, values));
}

}  // namespace graupel::data
