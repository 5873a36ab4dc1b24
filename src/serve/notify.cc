// The supervisor's datagrams. See notify.h. Reference: sd_notify(3). Test: notify_test.cc.
#include "serve/notify.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace graupel::serve {
namespace {

int64_t number_or_zero(const char* text) {
  int64_t number = 0;
  if (text == nullptr) return 0;
  const char* const end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  return error == std::errc() && stop == end && number > 0 ? number : 0;
}

// What the watchdog remembers from one beat to the next.
struct Heart {
  NotifyOptions options;
  uint64_t jobs_done = 0;
  bool failed = false;
};

void send_or_log(Service& service, Heart& heart, std::string_view message) {
  const Result<void> sent = notify(heart.options, message);
  if (sent.ok() || heart.failed) return;
  heart.failed = true;
  service.log("warning", R"({"event":"notify_failed","detail":"the supervisor does not listen"})");
}

void beat(EventLoop& loop, Server& server, const std::shared_ptr<Heart>& heart) {
  Service& service = server.service();
  const uint64_t done = service.workers.done();
  const bool stuck = service.workers.waiting() > 0 && done == heart->jobs_done;
  heart->jobs_done = done;
  if (stuck) {
    service.log("error", R"({"event":"stuck","detail":"windows wait and none is finished"})");
  } else {
    send_or_log(service, *heart, "WATCHDOG=1");
  }
  const auto half =
      std::chrono::duration_cast<std::chrono::milliseconds>(heart->options.watchdog / 2);
  loop.after(std::max(half, std::chrono::milliseconds(1)),
             [&loop, &server, heart] { beat(loop, server, heart); });
}

}  // namespace

NotifyOptions notify_options(const char* socket, const char* watchdog_usec,
                             const char* watchdog_pid, int64_t process) {
  NotifyOptions options;
  if (socket != nullptr) options.socket = socket;
  const bool other = watchdog_pid != nullptr && number_or_zero(watchdog_pid) != process;
  if (!other) options.watchdog = std::chrono::microseconds(number_or_zero(watchdog_usec));
  return options;
}

Result<void> notify(const NotifyOptions& options, std::string_view message) {
  const std::string& name = options.socket;
  if (name.empty()) return ok();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() >= sizeof(address.sun_path) || (name[0] != '/' && name[0] != '@')) {
    return io_error(name, "is no path of a socket (NOTIFY_SOCKET)");
  }
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return io_error(name, std::string("has no socket: ") + std::strerror(errno));
  const ssize_t sent = sendto(fd, message.data(), message.size(), MSG_NOSIGNAL,
                              reinterpret_cast<const sockaddr*>(&address), length);
  const int failure = errno;
  close(fd);
  if (sent == static_cast<ssize_t>(message.size())) return ok();
  return io_error(name, std::string("takes no message: ") + std::strerror(failure));
}

void notify_supervisor(EventLoop& loop, Server& server, NotifyOptions options) {
  if (options.socket.empty()) return;
  const auto heart = std::make_shared<Heart>();
  heart->options = std::move(options);
  Service& service = server.service();
  service.stopping = [&service, heart] {
    send_or_log(service, *heart, "STOPPING=1\nSTATUS=answering what was received");
  };
  send_or_log(
      service, *heart,
      fmt::format("READY=1\nSTATUS={} models, port {}", service.models.count(), server.port()));
  if (heart->options.watchdog.count() > 0) beat(loop, server, heart);
}

}  // namespace graupel::serve
