// Running another program. See process.h. Test: process_test.cc.
#include "hailo/process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "base/file_descriptor.h"

namespace graupel::hailo {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kLongestLine = size_t{64} << 10;
constexpr std::chrono::seconds kGrace{2};
constexpr std::chrono::milliseconds kAfterExit{200};
constexpr int kPollMs = 50;

sigset_t interrupting_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  return signals;
}

// Splits at '\n' and '\r'; an empty line is not reported.
class Lines {
 public:
  explicit Lines(const std::function<void(std::string_view)>& on_line) : on_line_(on_line) {}
  void add(std::string_view bytes) {
    for (const char c : bytes) {
      if (c == '\n' || c == '\r') {
        flush();
      } else if (line_.size() < kLongestLine) {
        line_ += c;
      }
    }
  }
  void flush() {
    if (!line_.empty() && on_line_) on_line_(line_);
    line_.clear();
  }

 private:
  const std::function<void(std::string_view)>& on_line_;
  std::string line_;
};

Result<pid_t> spawn(const Command& command, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_adddup2(&actions, output, 2);
  if (!command.folder.empty()) {
    posix_spawn_file_actions_addchdir_np(&actions, command.folder.c_str());
  }
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  const sigset_t defaults = interrupting_signals();
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<std::string> words = command.words;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    return device_error(command.words[0],
                        std::string("cannot be started: ") + std::strerror(failed));
  }
  return child;
}

bool has_ended(pid_t child, int& status) {
  pid_t found = 0;
  do {
    found = ::waitpid(child, &status, WNOHANG);
  } while (found < 0 && errno == EINTR);
  return found != 0;
}

class Watch {
 public:
  Watch(pid_t child, int output, const RunOptions& options)
      : child_(child), output_(output), options_(options), lines_(options.on_line) {}

  Finished wait() {
    const Clock::time_point deadline = Clock::now() + options_.timeout;
    int status = 0;
    Clock::time_point ended{};
    bool is_ended = false;
    while (!is_ended || (is_open_ && Clock::now() < ended + kAfterExit)) {
      read_some();
      if (!is_ended && has_ended(child_, status)) {
        is_ended = true;
        ended = Clock::now();
      }
      if (is_ended) continue;
      if (options_.timeout.count() > 0 && Clock::now() >= deadline) stop(Ending::kTimeout);
      if (stopped_ && Clock::now() >= kill_at_) ::kill(-child_, SIGKILL);
    }
    // What the child left running in its group goes with it.
    if (stopped_) ::kill(-child_, SIGKILL);
    lines_.flush();
    if (stopped_) return {*stopped_, SIGTERM};
    if (WIFSIGNALED(status)) return {Ending::kSignal, WTERMSIG(status)};
    return {Ending::kExited, WEXITSTATUS(status)};
  }

 private:
  void stop(Ending why) {
    if (stopped_) return;
    stopped_ = why;
    kill_at_ = Clock::now() + kGrace;
    ::kill(-child_, SIGTERM);
  }

  void read_some() {
    std::array<pollfd, 2> polled = {pollfd{is_open_ ? output_ : -1, POLLIN, 0},
                                    pollfd{stopped_ ? -1 : options_.interrupt_fd, POLLIN, 0}};
    if (::poll(polled.data(), polled.size(), kPollMs) <= 0) return;
    if (polled[1].revents != 0) stop(Ending::kInterrupted);
    if (polled[0].revents == 0) return;
    char buffer[16384];
    const ssize_t count = ::read(output_, buffer, sizeof(buffer));
    if (count > 0) lines_.add({buffer, static_cast<size_t>(count)});
    if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)) is_open_ = false;
  }

  pid_t child_;
  int output_;
  const RunOptions& options_;
  Lines lines_;
  bool is_open_ = true;
  std::optional<Ending> stopped_;
  Clock::time_point kill_at_{};
};

}  // namespace

Result<Finished> run_command(const Command& command, const RunOptions& options) {
  if (command.words.empty() || command.words[0].empty()) {
    return internal_error("process", "no program was named");
  }
  std::error_code ignored;
  if (!command.folder.empty() && !std::filesystem::is_directory(command.folder, ignored)) {
    return io_error(command.folder, "is no folder to run " + command.words[0] + " in");
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("pipe", "opening");
  const FileDescriptor reading(ends[0]);
  Result<pid_t> child = [&]() -> Result<pid_t> {
    const FileDescriptor writing(ends[1]);
    return spawn(command, writing.get());
  }();
  if (!child.ok()) return std::move(child).error();
  ::fcntl(reading.get(), F_SETFL, O_NONBLOCK);
  return Watch(*child, reading.get(), options).wait();
}

std::optional<std::string> find_program(const std::string& name) {
  namespace fs = std::filesystem;
  const auto is_program = [](const fs::path& path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != name.npos) {
    return is_program(name) ? std::optional(name) : std::nullopt;
  }
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (!folder.empty() && is_program(fs::path(folder) / name)) {
      return (fs::path(folder) / name).string();
    }
  }
  return std::nullopt;
}

Interrupts::Interrupts() {
  const sigset_t signals = interrupting_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  fd_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

Interrupts::~Interrupts() {
  signalfd_siginfo taken;
  while (fd_ >= 0 && ::read(fd_, &taken, sizeof(taken)) == sizeof(taken)) {
  }
  if (fd_ >= 0) ::close(fd_);
  const sigset_t signals = interrupting_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace graupel::hailo
