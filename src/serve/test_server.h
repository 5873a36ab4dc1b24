// For tests: a small bundle, a server on a thread of its own, and a client. The client is plain
// POSIX sockets, so it can send what no library would.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "bundle/bundle.h"
#include "run/load.h"
#include "run/plan_builder.h"
#include "serve/server.h"

namespace graupel::serve {

inline constexpr size_t kChannels = 3, kSensors = 6, kSamples = 8;  // of run::sample_plan

// A bundle of run::sample_plan.
inline void write_sample(const std::string& path, const std::string& labels = "a\nb\nc\nd\ne\n") {
  bundle::Bundle made;
  made.manifest.model_name = "net";
  made.manifest.stage = bundle::Stage::kCompiled;
  made.members["cpu.plan"] = run::format_plan(run::sample_plan());
  made.members["labels"] = labels;
  ASSERT_TRUE(bundle::write_bundle(path, made).ok());
}

inline void log_nothing(std::string_view, const std::string&) {}

// Ends drained.
struct TestServer {
  explicit TestServer(ServeOptions options) {
    Result<std::unique_ptr<Server>> started = Server::start(loop, std::move(options), &log_nothing);
    EXPECT_TRUE(started.ok()) << (started.ok() ? "" : started.error().message());
    server = *std::move(started);
    thread = std::thread([this] { loop.run(); });
  }
  ~TestServer() {
    loop.post([this] { server->drain(); });
    thread.join();
  }
  EventLoop loop;
  std::unique_ptr<Server> server;
  std::thread thread;
};

// Reading from it waits at most 20 s.
inline int connected(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval limit{20, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

// Sends the bytes as they are and reads until the server closes.
inline std::string round_trip(uint16_t port, std::string_view bytes) {
  const int fd = connected(port);
  EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  std::string answer;
  char block[4096];
  for (ssize_t got = 0; (got = recv(fd, block, sizeof(block), 0)) > 0;) {
    answer.append(block, static_cast<size_t>(got));
  }
  close(fd);
  return answer;
}

struct Answer {
  int status = 0;
  std::string head, body;
  nlohmann::json parsed() const { return nlohmann::json::parse(body, nullptr, false); }
};

inline Answer call(uint16_t port, const std::string& method, const std::string& target,
                   const std::string& body = "", const std::string& headers = "") {
  const std::string raw = round_trip(
      port, method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  Answer answer;
  const size_t end = raw.find("\r\n\r\n");
  if (raw.size() < 12 || end == std::string::npos) return answer;
  answer.status = std::atoi(raw.substr(9, 3).c_str());
  answer.head = raw.substr(0, end);
  answer.body = raw.substr(end + 4);
  return answer;
}

}  // namespace graupel::serve
