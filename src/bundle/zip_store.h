// The container of a bundle: the narrowest zip there is. Stored entries only, no extra fields, no
// comments, no gaps, fixed time stamps. Test: zip_store_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace graupel::bundle {

// A file or a buffer: fills `out` with the bytes at `offset`, which lie within the size.
struct ByteSource {
  uint64_t size_bytes = 0;
  std::function<Result<void>(uint64_t offset, std::span<char> out)> read;
};

struct ZipEntry {
  std::string name;
  uint32_t crc32 = 0;
  uint32_t size_bytes = 0;
  uint64_t header_offset = 0;

  uint64_t data_offset() const;
};

struct NamedBytes {
  std::string_view name;
  std::string_view bytes;
};

// A relative path of letters, digits and "._-", with '/' between parts, none of them "." or "..":
// safe to unpack on any system. Error kInvalidInput says what is wrong with the name.
Result<void> check_member_name(std::string_view name);

// The entries of a bundle in file order: manifest.json, then strictly ascending names. Reads the
// headers but not the data; memory is bounded by the entry limit. Errors: kInvalidInput if this is
// no zip; kCorrupt, naming the entry or offset, if any header byte differs from what write_zip
// writes.
Result<std::vector<ZipEntry>> read_directory(const ByteSource& source);

// The zip file with `entries` in the order given, which read_directory's rules must allow.
// Error kInvalidInput for a bad name, too many entries or too many bytes.
Result<std::string> write_zip(const std::vector<NamedBytes>& entries);

uint32_t crc32_of(std::string_view bytes);  // the zip polynomial

}  // namespace graupel::bundle
