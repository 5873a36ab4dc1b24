// Protobuf's wire format, read in place: fields in the order they stand in, nothing copied.
//
// Idea: a HEF's protobuf is mostly one field that nobody needs, so messages are walked lazily; a
// length-delimited field is a view that the caller may walk in turn.
// Reference: Protocol Buffers encoding. Test: hef_test.cc, fuzz/hef_fuzz.cc.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace graupel::hef {

struct Field {
  uint32_t number = 0;
  uint64_t value = 0;      // varint, fixed32 or fixed64
  std::string_view bytes;  // length-delimited

  float as_float() const { return std::bit_cast<float>(static_cast<uint32_t>(value)); }
  double as_double() const { return std::bit_cast<double>(value); }
};

class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}
  // False at the end or at the first broken byte, which broken() tells apart.
  bool next(Field& field) {
    if (rest_.empty() || broken_) return false;
    uint64_t key = 0;
    if (!varint(key) || (key >> 3) == 0 || (key >> 3) > 0x1fffffff) return fail();
    field = {static_cast<uint32_t>(key >> 3), 0, {}};
    switch (key & 7) {
      case 0: return varint(field.value) || fail();
      case 1: return fixed(8, field.value) || fail();
      case 5: return fixed(4, field.value) || fail();
      case 2: break;
      default: return fail();
    }
    uint64_t size = 0;
    if (!varint(size) || size > rest_.size()) return fail();
    field.bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }
  bool broken() const { return broken_; }

 private:
  bool fail() {
    broken_ = true;
    return false;
  }
  bool varint(uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return false;
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool fixed(size_t size, uint64_t& value) {
    if (rest_.size() < size) return false;
    value = 0;
    std::memcpy(&value, rest_.data(), size);
    rest_.remove_prefix(size);
    return true;
  }

  std::string_view rest_;
  bool broken_ = false;
};

}  // namespace graupel::hef
