// A datagram socket in the supervisor's place: what it is told, and when it is told nothing.
#include "serve/notify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <future>
#include <thread>

#include "serve/test_server.h"

namespace graupel::serve {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Listens at a path, as systemd does.
struct Supervisor {
  explicit Supervisor(const std::string& name) : path(testing::TempDir() + name) {
    unlink(path.c_str());
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  ~Supervisor() {
    close(fd);
    unlink(path.c_str());
  }
  // The next message, or "" after `wait_ms`.
  std::string next(int wait_ms) const {
    const timeval limit{wait_ms / 1000, wait_ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    char text[1024];
    const ssize_t got = recv(fd, text, sizeof(text), 0);
    return got > 0 ? std::string(text, static_cast<size_t>(got)) : std::string();
  }
  std::string path;
  int fd = -1;
};

std::unique_ptr<Server> started(EventLoop& loop) {
  const std::string path = testing::TempDir() + "notified.graupel";
  write_sample(path);
  ServeOptions options;
  options.models.push_back({"net", "1", path});
  return *Server::start(loop, std::move(options), &log_nothing);
}

TEST(Notify, TakesTheWatchdogOnlyIfItIsMeantForThisProcess) {
  const NotifyOptions mine = notify_options("/run/n", "2000000", "42", 42);
  EXPECT_EQ(mine.socket, "/run/n");
  EXPECT_EQ(mine.watchdog, std::chrono::seconds(2));
  EXPECT_EQ(notify_options("/run/n", "2000000", nullptr, 42).watchdog, std::chrono::seconds(2));
  EXPECT_EQ(notify_options("/run/n", "2000000", "43", 42).watchdog.count(), 0);
  EXPECT_EQ(notify_options("/run/n", "soon", nullptr, 42).watchdog.count(), 0);
  EXPECT_EQ(notify_options(nullptr, nullptr, nullptr, 42).socket, "");
}

TEST(Notify, SaysWhereNobodyListens) {
  EXPECT_TRUE(notify({}, "READY=1").ok());
  const Result<void> nobody = notify({"/nowhere/notify", {}}, "READY=1");
  ASSERT_FALSE(nobody.ok());
  EXPECT_THAT(nobody.error().message(), HasSubstr("/nowhere/notify"));
  EXPECT_FALSE(notify({"relative", {}}, "READY=1").ok());
  EXPECT_FALSE(notify({"/" + std::string(500, 'a'), {}}, "READY=1").ok());
}

TEST(Notify, ReachesAnAbstractSocket) {
  const std::string name = "graupel-notify-" + std::to_string(getpid());
  const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), length), 0);
  EXPECT_TRUE(notify({"@" + name, {}}, "READY=1").ok());
  char text[16] = {};
  EXPECT_EQ(recv(fd, text, sizeof(text), MSG_DONTWAIT), 7);
  EXPECT_STREQ(text, "READY=1");
  close(fd);
}

TEST(Notify, ReadyThenAliveThenStopping) {
  const Supervisor supervisor("notify_life");
  EventLoop loop;
  const std::unique_ptr<Server> server = started(loop);
  notify_supervisor(loop, *server, {supervisor.path, std::chrono::milliseconds(40)});
  EXPECT_THAT(supervisor.next(5000), StartsWith("READY=1\nSTATUS=1 models"));
  std::thread thread([&] { loop.run(); });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(supervisor.next(5000), "WATCHDOG=1");
  loop.post([&] { server->drain(); });
  thread.join();
  std::string message;
  do {
    message = supervisor.next(1000);
  } while (message == "WATCHDOG=1");
  EXPECT_THAT(message, StartsWith("STOPPING=1"));
}

TEST(Notify, FallsSilentWhenTheLoopOrTheWorkersHang) {
  const Supervisor supervisor("notify_hang");
  EventLoop loop;
  const std::unique_ptr<Server> server = started(loop);
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  // The one worker hangs in the first job; the second waits behind it.
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(server->service().workers.submit(
        {TimePoint::max(), [released](size_t) { released.wait(); }, [] {}}));
  }
  while (server->service().workers.waiting() != 1) std::this_thread::yield();
  notify_supervisor(loop, *server, {supervisor.path, std::chrono::milliseconds(40)});
  EXPECT_THAT(supervisor.next(5000), StartsWith("READY=1"));
  std::thread thread([&] { loop.run(); });
  EXPECT_EQ(supervisor.next(300), "");
  release.set_value();
  EXPECT_EQ(supervisor.next(5000), "WATCHDOG=1");
  loop.post([&] { server->drain(); });
  thread.join();
}

}  // namespace
}  // namespace graupel::serve
