// POSIX file reading and atomic replacement. See files.h. Test: base_test.cc.
#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/file_descriptor.h"

namespace graupel {
Result<std::string> read_file(const std::string& path, uint64_t limit_bytes) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return system_error(path, "opening");
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error(path, "reading");
  if (S_ISDIR(info.st_mode)) return io_error(path, "is a folder, expected a file");
  const auto too_large = [&] {
    return invalid_input(path, "is larger than the " + std::to_string(limit_bytes) +
                                   " bytes accepted for this kind of file");
  };
  if (S_ISREG(info.st_mode) && static_cast<uint64_t>(info.st_size) > limit_bytes) {
    return too_large();
  }
  std::string bytes(static_cast<size_t>(S_ISREG(info.st_mode) ? info.st_size : 0), '\0');
  size_t filled = 0;
  while (true) {
    if (filled == bytes.size()) {
      // A pipe or a growing file: continue in steps, up to the limit.
      char probe[1 << 16];
      const ssize_t got = ::read(file.get(), probe, sizeof probe);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_error(path, "reading");
      if (got == 0) return bytes;
      if (filled + static_cast<size_t>(got) > limit_bytes) return too_large();
      bytes.append(probe, static_cast<size_t>(got));
      filled = bytes.size();
      continue;
    }
    const ssize_t got = ::read(file.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(path, "reading");
    if (got == 0) {
      bytes.resize(filled);
      return bytes;
    }
    filled += static_cast<size_t>(got);
  }
}

Result<void> write_file_atomic(const std::string& path, std::string_view bytes) {
  std::string temporary = path + ".XXXXXX";
  const FileDescriptor file(::mkstemp(temporary.data()));
  if (file.get() < 0) return system_error(path, "creating");
  const auto fail = [&](const char* action) {
    const Error error = system_error(path, action);
    ::unlink(temporary.c_str());
    return error;
  };
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail("writing");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fchmod(file.get(), 0666 & ~mask) != 0) return fail("writing");
  if (::fsync(file.get()) != 0 && errno != EINVAL) return fail("writing");
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return fail("writing");
  return ok();
}

}  // namespace graupel
