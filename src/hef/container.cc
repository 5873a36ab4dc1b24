// Header versions 0 to 3 of a HEF, their length rules and checksums. See container.h.
//
//   0: 32 bytes, MD5       1: 28 bytes, CRC-32       2: 44 bytes, XXH3-64
//   3: 56 bytes, XXH3-64, with padding and an additional part; HailoRT 5.2 may hash the
//      protobuf alone (the field at 40 is then not zero)
// All integers are big-endian. Sizes come from the file, so sums are checked for overflow.
// Test: hef_test.cc.
#include "hef/container.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <xxhash.h>
#include <zlib.h>

#include <array>

namespace graupel::hef {
namespace {

constexpr uint32_t kMagic = 0x01484546;
constexpr std::array<size_t, 4> kHeaderBytes = {32, 28, 44, 56};

uint64_t big_endian(std::string_view bytes, size_t offset, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[offset + i]);
  }
  return value;
}

bool looks_like_text(std::string_view bytes) {
  const std::string_view start = bytes.substr(0, 256);
  for (const char c : start) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 && c != '\n' && c != '\r' && c != '\t') return false;
  }
  return !start.empty();
}

std::string md5_of(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_md5(), nullptr) != 1) {
    return {};
  }
  return {reinterpret_cast<const char*>(digest.data()), size};
}

uint64_t crc32_of(std::string_view bytes) {
  return crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

// What the header promises to lie behind it.
struct Sizes {
  uint64_t protobuf = 0, padding = 0, config = 0, additional = 0;
};

Result<void> check_length(std::string_view bytes, size_t header, const Sizes& sizes) {
  const uint64_t parts[] = {sizes.protobuf, sizes.config, sizes.additional};
  uint64_t expected = header;
  for (const uint64_t part : parts) {
    if (part > kMaxFileBytes) return corrupt("header", fmt::format("gives a part {} bytes", part));
    expected += part;
  }
  if (sizes.padding > sizes.config) {
    return corrupt("header", "gives more padding than configuration data");
  }
  if (expected == bytes.size()) return ok();
  return corrupt("file", fmt::format("has {} bytes, its header says {}; it was {}; copy it again",
                                     bytes.size(), expected,
                                     bytes.size() < expected ? "cut off" : "appended to"));
}

Result<void> mismatch(std::string_view kind) {
  return corrupt("file", fmt::format("does not match its {} checksum; it was damaged after it was "
                                     "compiled; copy it again or compile it again",
                                     kind));
}

Result<void> verify(std::string_view bytes, uint32_t version, const Sizes& sizes) {
  const std::string_view body = bytes.substr(kHeaderBytes[version]);
  if (version == 0 && md5_of(body) != bytes.substr(16, 16)) return mismatch("MD5");
  if (version == 1 && crc32_of(body) != big_endian(bytes, 12, 4)) return mismatch("CRC-32");
  if (version < 2) return ok();
  const uint64_t protobuf_hash = version == 3 ? big_endian(bytes, 40, 8) : 0;
  if (protobuf_hash != 0 && XXH3_64bits(body.data(), sizes.protobuf) == protobuf_hash) {
    return ok();
  }
  if (XXH3_64bits(body.data(), body.size()) != big_endian(bytes, 12, 8)) return mismatch("XXH3");
  return ok();
}

Sizes sizes_of(std::string_view bytes, uint32_t version) {
  Sizes sizes;
  sizes.protobuf = big_endian(bytes, 8, 4);
  if (version == 1) sizes.config = big_endian(bytes, 16, 8);
  if (version >= 2) sizes.config = big_endian(bytes, 20, 8);
  if (version == 3) {
    sizes.padding = big_endian(bytes, 28, 4);
    sizes.additional = big_endian(bytes, 32, 8);
  }
  return sizes;
}

}  // namespace

Result<std::string_view> open_container(std::string_view bytes, Hef& hef) {
  if (bytes.size() < 12 || big_endian(bytes, 0, 4) != kMagic) {
    if (looks_like_text(bytes)) {
      return invalid_input(
          "file", "is text, a placeholder and no HEF: it begins '" +
                      std::string(bytes.substr(0, bytes.find_first_of("\r\n"))).substr(0, 40) +
                      "'; the compiled file has to be put in its place");
    }
    return invalid_input("file", "does not begin with 01 'HEF'; it is no HEF");
  }
  hef.header_version = static_cast<uint32_t>(big_endian(bytes, 4, 4));
  if (hef.header_version >= kHeaderBytes.size()) {
    return unsupported("header",
                       fmt::format("is version {}, 0 to 3 are known", hef.header_version));
  }
  const size_t header = kHeaderBytes[hef.header_version];
  if (bytes.size() < header) {
    return corrupt("file", fmt::format("has {} bytes, its header alone takes {}; it was cut off",
                                       bytes.size(), header));
  }
  const Sizes sizes = sizes_of(bytes, hef.header_version);
  TRY(check_length(bytes, header, sizes));
  TRY(verify(bytes, hef.header_version, sizes));
  hef.file_bytes = bytes.size();
  hef.protobuf_bytes = sizes.protobuf;
  hef.config_bytes = sizes.config - sizes.padding;
  hef.checksum = hef.header_version == 0 ? "MD5" : hef.header_version == 1 ? "CRC-32" : "XXH3-64";
  return bytes.substr(header, sizes.protobuf);
}

}  // namespace graupel::hef
