// Tensor bytes that lie in files beside the model.
//
// Idea: the location comes from an untrusted file, so it is resolved like a web server resolves a
// path: relative only, no "..", and after following links still below the model's folder. The
// range is checked against the file's size before anything is allocated.
// Reference: https://github.com/onnx/onnx/blob/main/docs/ExternalData.md.
// Test: hostile_test.cc.
#include "onnx/external_data.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/file_descriptor.h"
#include "base/files.h"

namespace graupel::onnx {
namespace {

struct Range {
  std::string location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
};

Result<uint64_t> parse_number(const std::string& key, const std::string& text) {
  uint64_t value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size()) {
    return corrupt("", fmt::format("external data has {} '{}', expected a number", key, text));
  }
  return value;
}

Result<Range> parse_range(const ::onnx::TensorProto& proto) {
  Range range;
  for (const ::onnx::StringStringEntryProto& entry : proto.external_data()) {
    if (entry.key() == "location") range.location = entry.value();
    if (entry.key() == "offset") {
      TRY_ASSIGN(range.offset, parse_number("offset", entry.value()));
    }
    if (entry.key() == "length") {
      TRY_ASSIGN(range.length, parse_number("length", entry.value()));
    }
  }
  return range;
}

// The real path of `location` below `folder`.
Result<std::string> resolve(const std::string& location, const DataFolder& folder) {
  namespace fs = std::filesystem;
  if (folder.path.empty()) {
    return invalid_input("", fmt::format("its data lies in the file '{}', but the model was not "
                                         "read from a folder",
                                         location));
  }
  const auto refuse = [&](const char* why) {
    return invalid_input("", fmt::format("external data location '{}' {}; it has to be a relative "
                                         "path inside the model's folder",
                                         location, why));
  };
  if (location.empty() || location.find('\0') != std::string::npos) return refuse("is no path");
  const fs::path relative(location);
  if (relative.is_absolute()) return refuse("is absolute");
  for (const fs::path& part : relative) {
    if (part == "..") return refuse("contains '..'");
  }
  std::error_code status;
  const fs::path root = fs::canonical(folder.path, status);
  if (status) return io_error(folder.path, "resolving failed: " + status.message());
  const fs::path target = fs::canonical(root / relative, status);
  if (status) {
    return io_error((root / relative).string(),
                    "external data cannot be opened: " + status.message());
  }
  const fs::path inside = target.lexically_relative(root);
  if (inside.empty() || *inside.begin() == "..") return refuse("leaves the folder by a link");
  return target.string();
}

Result<std::string> read_range(const std::string& path, uint64_t offset, uint64_t size_bytes) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return system_error(path, "opening");
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error(path, "reading");
  if (!S_ISREG(info.st_mode)) return invalid_input(path, "is not a regular file");
  const uint64_t available = static_cast<uint64_t>(info.st_size);
  if (offset > available || size_bytes > available - offset) {
    return corrupt("", fmt::format("external data needs bytes {} to {} of '{}', which has {}",
                                   offset, offset + size_bytes, path, available));
  }
  std::string bytes(size_bytes, '\0');
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = ::pread(file.get(), bytes.data() + filled, bytes.size() - filled,
                                static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(path, "reading");
    if (got == 0) return corrupt(path, "became shorter while it was read");
    filled += static_cast<size_t>(got);
  }
  return bytes;
}

}  // namespace

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(fallback_, other.fallback_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

Result<MappedFile> map_file(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return system_error(path, "opening");
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error(path, "reading");
  if (S_ISREG(info.st_mode) && info.st_size > 0) {
    const size_t size = static_cast<size_t>(info.st_size);
    void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (data == MAP_FAILED) return system_error(path, "mapping");
    return MappedFile(static_cast<const char*>(data), size);
  }
  TRY_ASSIGN(std::string bytes, read_file(path));
  return MappedFile(std::move(bytes));
}

Result<std::string> read_external(const ::onnx::TensorProto& proto, const DataFolder& folder,
                                  uint64_t expected_bytes) {
  TRY_ASSIGN(const Range range, parse_range(proto));
  TRY_ASSIGN(const std::string path, resolve(range.location, folder));
  if (range.length && *range.length != expected_bytes) {
    return corrupt("", fmt::format("external data has length {}, expected {} for its shape",
                                   *range.length, expected_bytes));
  }
  return read_range(path, range.offset, expected_bytes);
}

}  // namespace graupel::onnx
