// A POSIX file descriptor that closes itself, and the error of a system call that failed.
// Test: base_test.cc (through files.h).
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/result.h"

namespace graupel {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// kIo with the text of errno: "PATH: opening failed: No such file or directory".
inline Error system_error(const std::string& path, const char* action) {
  return io_error(path, std::string(action) + " failed: " + std::strerror(errno));
}

}  // namespace graupel
