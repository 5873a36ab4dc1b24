// Bounded little-endian reading and writing of binary formats.
//
// Idea: a ByteReader never reads past its span; after the first short read every later read gives
// zero and ok() is false, so a parser checks once per record instead of once per field.
// Test: base_test.cc.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace graupel {

static_assert(std::endian::native == std::endian::little, "graupel's targets are little-endian");

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }
  bool at_end() const { return offset_ == bytes_.size(); }

  template <class T>
  T read() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    const std::string_view chunk = take(sizeof(T));
    if (!chunk.empty()) std::memcpy(&value, chunk.data(), sizeof(T));
    return value;
  }
  // The next `size_bytes` bytes, or empty and !ok() if fewer remain.
  std::string_view take(size_t size_bytes) {
    if (!ok_ || size_bytes > remaining()) {
      ok_ = false;
      return {};
    }
    const std::string_view chunk = bytes_.substr(offset_, size_bytes);
    offset_ += size_bytes;
    return chunk;
  }
  // A string written by ByteWriter::text: 32-bit length, then the bytes.
  std::string text() { return std::string(take(read<uint32_t>())); }

 private:
  std::string_view bytes_;
  size_t offset_ = 0;
  bool ok_ = true;
};

class ByteWriter {
 public:
  template <class T>
  void write(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes_.append(raw, sizeof(T));
  }
  void append(std::string_view bytes) { bytes_.append(bytes); }
  void text(std::string_view value) {
    write(static_cast<uint32_t>(value.size()));
    append(value);
  }
  void align(size_t alignment_bytes) {
    while (bytes_.size() % alignment_bytes != 0) bytes_.push_back('\0');
  }
  size_t size() const { return bytes_.size(); }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

}  // namespace graupel
