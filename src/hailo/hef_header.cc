// The first facts of a HEF. See hef_header.h. Test: hef_header_test.cc.
//
// Reference: HailoRT (MIT), hef_internal.hpp for the headers (big-endian) and hef.proto:
// ProtoHEFHef.header = 1 { hw_arch = 1, timestamp = 2, sdk_version = 3 }.
#include "hailo/hef_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace graupel::hailo {
namespace {

uint64_t big_endian(std::string_view bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

// Protobuf's wire format, as far as one message deep is needed.
class Wire {
 public:
  explicit Wire(std::string_view bytes) : rest_(bytes) {}

  struct Field {
    uint64_t number = 0, value = 0;
    std::string_view bytes;
  };
  // The next field; nothing at the end or where the bytes are no fields.
  std::optional<Field> next() {
    const std::optional<uint64_t> key = varint();
    if (!key) return std::nullopt;
    Field field{*key >> 3, 0, {}};
    switch (*key & 7) {
      case 0: {
        const std::optional<uint64_t> value = varint();
        if (!value) return std::nullopt;
        field.value = *value;
        return field;
      }
      case 1: return take(field, 8);
      case 2: {
        const std::optional<uint64_t> size = varint();
        return size ? take(field, *size) : std::nullopt;
      }
      case 5: return take(field, 4);
      default: return std::nullopt;
    }
  }

 private:
  std::optional<uint64_t> varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const uint8_t byte = static_cast<uint8_t>(rest_[0]);
      rest_.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }
  std::optional<Field> take(Field field, uint64_t size) {
    if (size > rest_.size()) return std::nullopt;
    field.bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return field;
  }
  std::string_view rest_;
};

std::string device_of(uint64_t arch) {
  if (arch <= 2) return "hailo8";
  if (arch == 3) return "hailo8l";
  return fmt::format("arch {}", arch);
}

}  // namespace

Result<HefHeader> read_hef_header(std::string_view bytes) {
  constexpr size_t kHeaderBytes[] = {32, 28, 44, 56};
  if (bytes.size() < 12 || !bytes.starts_with("\x01HEF")) {
    const bool is_text = !bytes.empty() && std::all_of(bytes.begin(), bytes.end(), [](char c) {
      return c == '\n' || c == '\r' || c == '\t' || (c >= ' ' && c <= '~');
    });
    return invalid_input(
        "", is_text ? "is a text file, a placeholder for a HEF and not one" : "is no HEF");
  }
  HefHeader header;
  header.version = static_cast<uint32_t>(big_endian(bytes, 4, 4));
  if (header.version > 3) {
    return unsupported(
        "", fmt::format("is a HEF of container version {}; known are 0 to 3", header.version));
  }
  const size_t header_bytes = kHeaderBytes[header.version];
  if (bytes.size() < header_bytes) return corrupt("", "is a HEF that ends within its header");
  const uint64_t proto = big_endian(bytes, 8, 4);
  uint64_t behind = 0, padding = 0;
  if (header.version == 1) behind = big_endian(bytes, 16, 8);
  if (header.version >= 2) behind = big_endian(bytes, 20, 8);
  if (header.version == 3) {
    padding = big_endian(bytes, 28, 4);
    const uint64_t additional = big_endian(bytes, 32, 8);
    behind = additional > UINT64_MAX - behind ? UINT64_MAX : behind + additional;
  }
  const uint64_t there = bytes.size() - header_bytes;
  if (proto > there || behind != there - proto || padding > there - proto) {
    return corrupt("", fmt::format("is a HEF of {} bytes, but its header promises {} + {} + {}",
                                   bytes.size(), header_bytes, proto, behind));
  }
  Wire wire(bytes.substr(header_bytes, proto));
  while (const std::optional<Wire::Field> field = wire.next()) {
    if (field->number != 1) continue;
    Wire inner(field->bytes);
    while (const std::optional<Wire::Field> fact = inner.next()) {
      if (fact->number == 1) header.arch = fact->value;
      if (fact->number == 3) header.compiler_version = std::string(fact->bytes.substr(0, 64));
    }
    break;
  }
  header.device = device_of(header.arch);
  return header;
}

}  // namespace graupel::hailo
