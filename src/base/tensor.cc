// Tensor storage and element conversion. See tensor.h. Half formats follow IEEE 754 binary16 and
// the truncated binary32 "bfloat16". Test: tensor_test.cc.
#include "base/tensor.h"

#include <bit>
#include <charconv>
#include <cstring>

namespace graupel {
namespace {

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  size_t size_bytes;
};

constexpr DTypeInfo kDTypes[] = {
    {DType::kFloat32, "float32", 4}, {DType::kFloat64, "float64", 8},
    {DType::kFloat16, "float16", 2}, {DType::kBFloat16, "bfloat16", 2},
    {DType::kInt8, "int8", 1},       {DType::kInt16, "int16", 2},
    {DType::kInt32, "int32", 4},     {DType::kInt64, "int64", 8},
    {DType::kUInt8, "uint8", 1},     {DType::kUInt16, "uint16", 2},
    {DType::kUInt32, "uint32", 4},   {DType::kUInt64, "uint64", 8},
    {DType::kBool, "bool", 1},
};

template <class Out, class In>
std::vector<Out> converted(std::span<const In> values) {
  std::vector<Out> out(values.size());
  for (size_t i = 0; i < values.size(); ++i) out[i] = static_cast<Out>(values[i]);
  return out;
}

template <class Out>
std::vector<Out> all_elements(const Tensor& tensor) {
  const auto half = [&](float (*decode)(uint16_t)) {
    const auto* bits = reinterpret_cast<const uint16_t*>(tensor.bytes());
    std::vector<Out> out(tensor.size());
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<Out>(decode(bits[i]));
    return out;
  };
  switch (tensor.dtype()) {
    case DType::kFloat32: return converted<Out>(tensor.data<float>());
    case DType::kFloat64: return converted<Out>(tensor.data<double>());
    case DType::kFloat16: return half(half_to_float);
    case DType::kBFloat16: return half(bfloat16_to_float);
    case DType::kInt8: return converted<Out>(tensor.data<int8_t>());
    case DType::kInt16: return converted<Out>(tensor.data<int16_t>());
    case DType::kInt32: return converted<Out>(tensor.data<int32_t>());
    case DType::kInt64: return converted<Out>(tensor.data<int64_t>());
    case DType::kUInt8: return converted<Out>(tensor.data<uint8_t>());
    case DType::kUInt16: return converted<Out>(tensor.data<uint16_t>());
    case DType::kUInt32: return converted<Out>(tensor.data<uint32_t>());
    case DType::kUInt64: return converted<Out>(tensor.data<uint64_t>());
    case DType::kBool: return converted<Out>(tensor.data<bool>());
  }
  return {};
}

}  // namespace

std::string_view to_string(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].name; }

std::optional<DType> parse_dtype(std::string_view name) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.name == name) return info.dtype;
  }
  return std::nullopt;
}

size_t element_size_bytes(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].size_bytes; }

bool is_float(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat64 || dtype == DType::kFloat16 ||
         dtype == DType::kBFloat16;
}

bool is_integer(DType dtype) { return !is_float(dtype) && dtype != DType::kBool; }

std::string to_string(const Shape& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += 'x';
    text += std::to_string(shape[i]);
  }
  return text;
}

Result<Shape> parse_shape(std::string_view text) {
  Shape shape;
  const char* cursor = text.data();
  const char* const end = text.data() + text.size();
  while (true) {
    int64_t dim = 0;
    const auto [next, status] = std::from_chars(cursor, end, dim);
    if (status != std::errc() || dim <= 0) break;
    shape.push_back(dim);
    if (next == end) return shape;
    if (*next != 'x' && *next != ',') break;
    cursor = next + 1;
  }
  return invalid_input("shape '" + std::string(text) + "'",
                       "is not a list of positive sizes; write it like 1x9x2x100");
}

std::optional<int64_t> element_count(const Shape& shape, int64_t limit) {
  int64_t count = 1;
  bool has_zero = false;
  for (const int64_t dim : shape) {
    if (dim < 0) return std::nullopt;
    if (dim == 0) {
      has_zero = true;
      continue;
    }
    if (count > limit / dim) return std::nullopt;
    count *= dim;
  }
  return has_zero ? 0 : count;
}

std::vector<int64_t> row_major_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

std::byte* Buffer::mutable_data() {
  if (!bytes_) return nullptr;
  if (bytes_.use_count() > 1) bytes_ = std::make_shared<std::string>(*bytes_);
  return reinterpret_cast<std::byte*>(bytes_->data());
}

Tensor::Tensor(DType dtype, Shape shape)
    : dtype_(dtype),
      shape_(std::move(shape)),
      size_(static_cast<size_t>(element_count(shape_).value_or(0))),
      buffer_(size_ * element_size_bytes(dtype)) {}

Result<Tensor> Tensor::adopt(DType dtype, Shape shape, Buffer bytes) {
  const std::optional<int64_t> count = element_count(shape);
  const size_t expected =
      count ? static_cast<size_t>(*count) * element_size_bytes(dtype) : size_t{0};
  if (!count || bytes.size() != expected) {
    return corrupt("tensor of shape " + to_string(shape),
                   "holds " + std::to_string(bytes.size()) + " bytes, expected " +
                       std::to_string(expected) + " for " + std::string(to_string(dtype)));
  }
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = std::move(shape);
  tensor.size_ = static_cast<size_t>(*count);
  tensor.buffer_ = std::move(bytes);
  return tensor;
}

Tensor Tensor::reshaped(Shape shape) const {
  Tensor tensor = *this;
  assert(element_count(shape) == static_cast<int64_t>(size_));
  tensor.shape_ = std::move(shape);
  return tensor;
}

std::vector<double> Tensor::to_doubles() const { return all_elements<double>(*this); }
std::vector<int64_t> Tensor::to_int64s() const { return all_elements<int64_t>(*this); }

bool Tensor::operator==(const Tensor& other) const {
  return dtype_ == other.dtype_ && shape_ == other.shape_ &&
         (size_ == 0 || std::memcmp(bytes(), other.bytes(), size_bytes()) == 0);
}

float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1Fu;
  uint32_t mantissa = bits & 0x3FFu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  if (exponent != 0) {
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  }
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u);
  if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);
  if (magnitude < 0x38800000u) {  // subnormal half: the float adder rounds for us
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000u));
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xFFFu + odd) >> 13));
}

float bfloat16_to_float(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace graupel
