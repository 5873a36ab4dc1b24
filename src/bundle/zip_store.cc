// Reads and writes the stored zip of a bundle.
//
// Idea: every header is determined by name, size, CRC and offset. The reader takes those four from
// the central directory, builds the headers that write_zip would have written, and demands that
// the file holds exactly them. What is left over (zip64, prefixed or trailing data, overlapping
// entries, two disagreeing headers, comments) cannot occur in an accepted file, so no two zip
// readers can disagree about one. This is also why it is own code: a general zip library accepts
// all of that, and what it writes depends on its version and the local time zone.
// Reference: PKWARE APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12, 4.3.16.
// Test: zip_store_test.cc, with unzip and Python's zipfile as outside readers and writers.
#include "bundle/zip_store.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"
#include "bundle/bundle.h"

namespace graupel::bundle {
namespace {

constexpr uint32_t kLocalMagic = 0x04034b50;
constexpr uint32_t kCentralMagic = 0x02014b50;
constexpr uint32_t kEndMagic = 0x06054b50;
constexpr uint64_t kLocalHeaderBytes = 30;
constexpr uint64_t kCentralHeaderBytes = 46;
constexpr uint64_t kEndBytes = 22;
constexpr uint16_t kVersionNeeded = 20;
constexpr uint16_t kMadeBy = (3 << 8) | 20;  // Unix, so that unzip honours the permissions
constexpr uint16_t kDosTime = 0;
constexpr uint16_t kDosDate = (1 << 5) | 1;              // 1980-01-01, the earliest a zip can say
constexpr uint32_t kFileMode = uint32_t{0100644} << 16;  // a regular file, rw-r--r--
constexpr uint16_t kEncryptedFlag = 1;

// The end record: where the central directory lies.
struct EndRecord {
  uint16_t count = 0;
  uint32_t directory_bytes = 0;
  uint32_t directory_offset = 0;
};

std::string local_header(const ZipEntry& entry) {
  ByteWriter out;
  out.write(kLocalMagic);
  out.write(kVersionNeeded);
  out.write(uint16_t{0});  // flags
  out.write(uint16_t{0});  // method: stored
  out.write(kDosTime);
  out.write(kDosDate);
  out.write(entry.crc32);
  out.write(entry.size_bytes);  // compressed
  out.write(entry.size_bytes);
  out.write(static_cast<uint16_t>(entry.name.size()));
  out.write(uint16_t{0});  // extra field
  out.append(entry.name);
  return out.take();
}

std::string central_header(const ZipEntry& entry) {
  ByteWriter out;
  out.write(kCentralMagic);
  out.write(kMadeBy);
  out.write(kVersionNeeded);
  out.write(uint16_t{0});  // flags
  out.write(uint16_t{0});  // method: stored
  out.write(kDosTime);
  out.write(kDosDate);
  out.write(entry.crc32);
  out.write(entry.size_bytes);  // compressed
  out.write(entry.size_bytes);
  out.write(static_cast<uint16_t>(entry.name.size()));
  out.write(uint16_t{0});  // extra field
  out.write(uint16_t{0});  // comment
  out.write(uint16_t{0});  // disk
  out.write(uint16_t{0});  // internal attributes
  out.write(kFileMode);
  out.write(static_cast<uint32_t>(entry.header_offset));
  out.append(entry.name);
  return out.take();
}

std::string end_record(const EndRecord& end) {
  ByteWriter out;
  out.write(kEndMagic);
  out.write(uint16_t{0});  // this disk
  out.write(uint16_t{0});  // disk of the directory
  out.write(end.count);
  out.write(end.count);
  out.write(end.directory_bytes);
  out.write(end.directory_offset);
  out.write(uint16_t{0});  // comment
  return out.take();
}

std::string at_offset(uint64_t offset) { return "offset " + std::to_string(offset); }

Error truncated_file() {
  return corrupt("",
                 "does not end with a zip end record: the file is truncated or something was "
                 "appended to it; copy it again");
}

// `bytes` are the file's last kEndBytes bytes, which begin at `end_offset`.
Result<EndRecord> parse_end(std::string_view bytes, uint64_t end_offset) {
  ByteReader reader(bytes);
  if (reader.read<uint32_t>() != kEndMagic) return truncated_file();
  reader.take(6);  // disk numbers and the count on this disk: compared as a whole below
  EndRecord end;
  end.count = reader.read<uint16_t>();
  end.directory_bytes = reader.read<uint32_t>();
  end.directory_offset = reader.read<uint32_t>();
  if (end.count == 0 || end.count > kMaxEntries) {
    return corrupt(at_offset(end_offset), "declares " + std::to_string(end.count) +
                                              " entries, a bundle has 1 to " +
                                              std::to_string(kMaxEntries));
  }
  if (uint64_t{end.directory_offset} + end.directory_bytes != end_offset ||
      end.directory_bytes > end.count * (kCentralHeaderBytes + kMaxNameBytes)) {
    return corrupt(at_offset(end_offset),
                   "the central directory does not reach from the data to the end record");
  }
  if (bytes != end_record(end)) {
    return corrupt(at_offset(end_offset), "the end record is not one that graupel writes");
  }
  return end;
}

Result<EndRecord> read_end(const ByteSource& source) {
  if (source.size_bytes > kMaxFileBytes) {
    return invalid_input(
        "", "is larger than the " + std::to_string(kMaxFileBytes) + " bytes a bundle may have");
  }
  constexpr std::string_view kMagic("PK\x03\x04", 4);
  std::array<char, kMagic.size()> head{};
  const size_t head_bytes = std::min<uint64_t>(source.size_bytes, head.size());
  TRY(source.read(0, std::span(head).first(head_bytes)));
  if (head_bytes == 0 ||
      kMagic.substr(0, head_bytes) != std::string_view(head.data(), head_bytes)) {
    return invalid_input("", "is not a graupel bundle: it does not start with the zip magic 'PK'");
  }
  if (source.size_bytes < kEndBytes) return truncated_file();
  std::array<char, kEndBytes> tail{};
  const uint64_t end_offset = source.size_bytes - kEndBytes;
  TRY(source.read(end_offset, tail));
  return parse_end({tail.data(), tail.size()}, end_offset);
}

// Takes one central header; `entry_offset` is where the entry's local header has to lie.
Result<ZipEntry> read_central(ByteReader& reader, std::string_view directory,
                              uint64_t entry_offset) {
  const size_t start = reader.offset();
  const bool is_header = reader.read<uint32_t>() == kCentralMagic;
  reader.take(4);  // versions
  const uint16_t flags = reader.read<uint16_t>();
  const uint16_t method = reader.read<uint16_t>();
  reader.take(4);  // time and date
  ZipEntry entry;
  entry.crc32 = reader.read<uint32_t>();
  const uint32_t stored_bytes = reader.read<uint32_t>();
  entry.size_bytes = reader.read<uint32_t>();
  const uint16_t name_bytes = reader.read<uint16_t>();
  reader.take(kCentralHeaderBytes - 30);
  entry.name = std::string(reader.take(name_bytes));
  entry.header_offset = entry_offset;
  if (!reader.ok() || !is_header) {
    return corrupt("directory " + at_offset(start), "holds no complete directory entry");
  }
  if (Result<void> name = check_member_name(entry.name); !name.ok()) {
    return corrupt(name.error().where, name.error().what);
  }
  if ((flags & kEncryptedFlag) != 0) return corrupt(entry.name, "is encrypted, expected plain");
  if (method != 0) {
    return corrupt(entry.name, "is compressed (method " + std::to_string(method) + ", " +
                                   std::to_string(stored_bytes) + " bytes declared to become " +
                                   std::to_string(entry.size_bytes) +
                                   "), a bundle has only stored entries");
  }
  const std::string_view raw = directory.substr(start, reader.offset() - start);
  if (stored_bytes != entry.size_bytes || raw != central_header(entry)) {
    return corrupt(entry.name,
                   "its directory entry is not one that graupel writes: the file was "
                   "damaged or packed by another tool");
  }
  return entry;
}

Result<void> check_order(const std::vector<ZipEntry>& entries, const std::string& name) {
  if (entries.empty()) {
    if (name == kManifestName) return ok();
    return corrupt(name, "is the first entry, expected " + std::string(kManifestName));
  }
  if (name == kManifestName) return corrupt(name, "appears twice");
  if (entries.size() == 1 || entries.back().name < name) return ok();
  if (entries.back().name == name) return corrupt(name, "appears twice");
  return corrupt(name, "comes after '" + entries.back().name + "', expected ascending names");
}

}  // namespace

uint64_t ZipEntry::data_offset() const { return header_offset + kLocalHeaderBytes + name.size(); }

uint32_t crc32_of(std::string_view bytes) {
  return static_cast<uint32_t>(
      ::crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

Result<void> check_member_name(std::string_view name) {
  const auto refuse = [&](const char* what) {
    std::string shown(name.substr(0, kMaxNameBytes));
    for (char& c : shown) {
      if (c < 0x20 || c > 0x7e) c = '?';  // an error stays one printable line
    }
    return invalid_input("'" + shown + "'", std::string("is no member name: it ") + what);
  };
  if (name.empty()) return refuse("is empty");
  if (name.size() > kMaxNameBytes) return refuse("is longer than 200 bytes");
  if (name.front() == '/') return refuse("is an absolute path");
  if (name.find('\\') != name.npos) return refuse("holds a backslash, expected '/'");
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    if (!letter && !digit && c != '.' && c != '_' && c != '-' && c != '/') {
      return refuse("holds a character other than letters, digits and ._-/");
    }
  }
  for (std::string_view rest = name;;) {
    const size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == "..")
      return refuse("has an empty, '.' or '..' part");
    if (slash == rest.npos) return ok();
    rest.remove_prefix(slash + 1);
  }
}

Result<std::vector<ZipEntry>> read_directory(const ByteSource& source) {
  TRY_ASSIGN(const EndRecord end, read_end(source));
  std::string directory(end.directory_bytes, '\0');
  TRY(source.read(end.directory_offset, directory));
  ByteReader reader(directory);
  std::vector<ZipEntry> entries;
  uint64_t entry_offset = 0;
  for (size_t i = 0; i < end.count; ++i) {
    TRY_ASSIGN(ZipEntry entry, read_central(reader, directory, entry_offset));
    TRY(check_order(entries, entry.name));
    const uint64_t data_end = entry.data_offset() + entry.size_bytes;
    if (data_end > end.directory_offset) {
      return corrupt(entry.name, "declares " + std::to_string(entry.size_bytes) +
                                     " bytes, more than the file holds for it");
    }
    const std::string expected = local_header(entry);
    std::string found(expected.size(), '\0');
    TRY(source.read(entry_offset, found));
    if (found != expected) {
      return corrupt(entry.name, "its header at offset " + std::to_string(entry_offset) +
                                     " does not agree with the directory");
    }
    entry_offset = data_end;
    entries.push_back(std::move(entry));
  }
  if (entry_offset != end.directory_offset || !reader.at_end()) {
    return corrupt("",
                   "holds bytes that belong to no entry at offset " + std::to_string(entry_offset));
  }
  return entries;
}

Result<std::string> write_zip(const std::vector<NamedBytes>& entries) {
  if (entries.empty() || entries.size() > kMaxEntries) {
    return invalid_input("", "a bundle has 1 to " + std::to_string(kMaxEntries) + " entries, not " +
                                 std::to_string(entries.size()));
  }
  uint64_t total_bytes = kEndBytes;
  for (const NamedBytes& entry : entries) {
    TRY(check_member_name(entry.name));
    const uint64_t headers_bytes = kLocalHeaderBytes + kCentralHeaderBytes + 2 * entry.name.size();
    if (entry.bytes.size() > kMaxFileBytes ||
        (total_bytes += headers_bytes + entry.bytes.size()) > kMaxFileBytes) {
      return invalid_input(std::string(entry.name), "makes the bundle larger than " +
                                                        std::to_string(kMaxFileBytes) + " bytes");
    }
  }
  std::string file, directory;
  file.reserve(total_bytes);  // one allocation: the peak is the members and the file
  for (const NamedBytes& entry : entries) {
    const ZipEntry header{std::string(entry.name), crc32_of(entry.bytes),
                          static_cast<uint32_t>(entry.bytes.size()), file.size()};
    file += local_header(header);
    file += entry.bytes;
    directory += central_header(header);
  }
  const EndRecord end{static_cast<uint16_t>(entries.size()),
                      static_cast<uint32_t>(directory.size()), static_cast<uint32_t>(file.size())};
  file += directory;
  file += end_record(end);
  return file;
}

}  // namespace graupel::bundle
