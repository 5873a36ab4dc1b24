// DType, Shape, Buffer and Tensor: dense row-major arrays with shared, copy-on-write storage.
//
// Idea: a tensor is a value. Copies share bytes until one of them is written, so weights of a
// 100 MB network are held once however many graphs refer to them.
// Test: tensor_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace graupel {

enum class DType : uint8_t {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUInt8,
  kUInt16,
  kUInt32,
  kUInt64,
  kBool,
};

std::string_view to_string(DType dtype);  // "float32", ... (numpy's names)
std::optional<DType> parse_dtype(std::string_view name);
size_t element_size_bytes(DType dtype);
bool is_float(DType dtype);
bool is_integer(DType dtype);  // signed or unsigned; not bool

// The element type of C++ type T: dtype_of<float>() == DType::kFloat32. bool maps to kBool.
// float16 and bfloat16 have no C++ type; use to_float_vector / from_floats.
template <class T>
constexpr DType dtype_of();

using Shape = std::vector<int64_t>;

std::string to_string(const Shape& shape);  // "1x9x2x100"; a scalar is "scalar"
// Parses "1x9x2x100" or "1,9,2,100"; dimensions must be positive.
Result<Shape> parse_shape(std::string_view text);
// Product of the dimensions, or nullopt if negative or above `limit`.
std::optional<int64_t> element_count(const Shape& shape, int64_t limit = int64_t{1} << 48);
std::vector<int64_t> row_major_strides(const Shape& shape);  // in elements

// Reference-counted bytes. Reading never copies; mutable_data() copies first when shared.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size_bytes) : bytes_(std::make_shared<std::string>(size_bytes, '\0')) {}
  explicit Buffer(std::string bytes) : bytes_(std::make_shared<std::string>(std::move(bytes))) {}

  size_t size() const { return bytes_ ? bytes_->size() : 0; }
  const std::byte* data() const {
    return bytes_ ? reinterpret_cast<const std::byte*>(bytes_->data()) : nullptr;
  }
  std::byte* mutable_data();
  bool shares_with(const Buffer& other) const { return bytes_ == other.bytes_; }

 private:
  std::shared_ptr<std::string> bytes_;
};

class Tensor {
 public:
  Tensor() = default;
  // Zero-filled. The caller has checked element_count(shape).
  Tensor(DType dtype, Shape shape);
  // Adopts bytes; error kCorrupt if the size does not fit the shape.
  static Result<Tensor> adopt(DType dtype, Shape shape, Buffer bytes);

  template <class T>
  static Tensor of(Shape shape, std::span<const T> values);
  template <class T>
  static Tensor of(Shape shape, std::initializer_list<T> values) {
    return of<T>(std::move(shape), std::span<const T>(values.begin(), values.size()));
  }
  template <class T>
  static Tensor of(Shape shape, const std::vector<T>& values) {
    return of<T>(std::move(shape), std::span<const T>(values));
  }
  template <class T>
  static Tensor scalar(T value) {
    return of<T>({}, std::span<const T>(&value, 1));
  }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  size_t rank() const { return shape_.size(); }
  size_t size() const { return size_; }  // elements
  size_t size_bytes() const { return size_ * element_size_bytes(dtype_); }
  const std::byte* bytes() const { return buffer_.data(); }
  std::byte* mutable_bytes() { return buffer_.mutable_data(); }
  const Buffer& buffer() const { return buffer_; }

  // T must match dtype() (checked in debug builds).
  template <class T>
  std::span<const T> data() const;
  template <class T>
  std::span<T> mutable_data();

  // Same bytes, other shape with the same number of elements.
  Tensor reshaped(Shape shape) const;
  // Every element as double / int64 whatever the dtype (float16 and bfloat16 included).
  std::vector<double> to_doubles() const;
  std::vector<int64_t> to_int64s() const;

  // Bitwise: same dtype, shape and bytes.
  bool operator==(const Tensor& other) const;

 private:
  DType dtype_ = DType::kFloat32;
  Shape shape_;
  size_t size_ = 0;
  Buffer buffer_;
};

float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);  // round half to even
float bfloat16_to_float(uint16_t bits);
uint16_t float_to_bfloat16(float value);  // round half to even

// ---- templates ----

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::kFloat32;
  else if constexpr (std::is_same_v<T, double>)
    return DType::kFloat64;
  else if constexpr (std::is_same_v<T, int8_t>)
    return DType::kInt8;
  else if constexpr (std::is_same_v<T, int16_t>)
    return DType::kInt16;
  else if constexpr (std::is_same_v<T, int32_t>)
    return DType::kInt32;
  else if constexpr (std::is_same_v<T, int64_t>)
    return DType::kInt64;
  else if constexpr (std::is_same_v<T, uint8_t>)
    return DType::kUInt8;
  else if constexpr (std::is_same_v<T, uint16_t>)
    return DType::kUInt16;
  else if constexpr (std::is_same_v<T, uint32_t>)
    return DType::kUInt32;
  else if constexpr (std::is_same_v<T, uint64_t>)
    return DType::kUInt64;
  else if constexpr (std::is_same_v<T, bool>)
    return DType::kBool;
  else
    static_assert(sizeof(T) == 0, "no dtype for this type");
}

template <class T>
Tensor Tensor::of(Shape shape, std::span<const T> values) {
  Tensor tensor(dtype_of<T>(), std::move(shape));
  assert(tensor.size() == values.size());
  std::span<T> out = tensor.mutable_data<T>();
  for (size_t i = 0; i < values.size() && i < out.size(); ++i) out[i] = values[i];
  return tensor;
}

template <class T>
std::span<const T> Tensor::data() const {
  assert(dtype_of<T>() == dtype_);
  return {reinterpret_cast<const T*>(buffer_.data()), size_};
}

template <class T>
std::span<T> Tensor::mutable_data() {
  assert(dtype_of<T>() == dtype_);
  return {reinterpret_cast<T*>(buffer_.mutable_data()), size_};
}

}  // namespace graupel
