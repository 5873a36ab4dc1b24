// Running another program: no shell, a bounded wait, its output line by line, nothing left behind.
//
// Idea: the child leads a process group of its own and reads /dev/null. On a timeout or an
// interrupt the whole group gets SIGTERM and, two seconds later, SIGKILL; it is always waited for.
// Test: process_test.cc.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace graupel::hailo {

struct Command {
  std::vector<std::string> words;  // the program first: a path, or a name looked for on PATH
  std::string folder;              // working folder; empty: this process's
};

struct RunOptions {
  std::chrono::seconds timeout{0};  // 0: none
  // Called with each line of stdout and stderr as it comes, without its end; a progress bar's
  // '\r' ends a line too. A line is cut at 64 KiB.
  std::function<void(std::string_view line)> on_line;
  int interrupt_fd = -1;  // readable: stop (an Interrupts below); -1: cannot be interrupted
};

enum class Ending { kExited, kSignal, kTimeout, kInterrupted };

struct Finished {
  Ending ending = Ending::kExited;
  int code = 0;  // exit status, or the signal's number
};

// Error kDevice if the program cannot be started (not there, not executable); kIo if the system
// refuses a pipe or a process.
Result<Finished> run_command(const Command& command, const RunOptions& options);

// The program's path if PATH, or `name` itself when it has a '/', leads to an executable file.
std::optional<std::string> find_program(const std::string& name);

// SIGINT, SIGTERM and SIGHUP held back from this thread while it lives; fd() becomes readable when
// one has come. What is started meanwhile still gets them.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace graupel::hailo
