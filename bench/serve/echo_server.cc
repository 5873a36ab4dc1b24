// What the machine and the load tools cost: an HTTP server that gives every POST its body back, and
// a WebSocket that gives every message back.
//
//   echo_server PORT
//
// Idea: one thread, epoll, no parsing beyond what is needed: where the header ends and
// Content-Length, where a message ends. Whatever a server that computes takes beyond this is its
// own. Reference: RFC 9112, RFC 6455; the handshake's answer is that to its own example's key,
// which stream_load sends.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "load_tool.h"

namespace {

using namespace graupel::bench;

// The value of Content-Length in a header, or 0.
size_t content_length(const std::string& head) {
  std::string lower;
  for (const char c : head) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const size_t at = lower.find("content-length:");
  return at == std::string::npos ? 0 : std::strtoul(lower.c_str() + at + 15, nullptr, 10);
}

// Gives every whole message back. The client masks with zeros.
bool echo_messages(int fd, std::string& pending) {
  std::string reply;
  size_t at = 0;
  while (pending.size() - at >= 8) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(pending[at + i]); };
    const bool is_long = (byte(1) & 0x7f) == 126;
    const size_t length = is_long ? static_cast<size_t>(byte(2)) << 8 | byte(3) : byte(1) & 0x7f;
    const size_t head = is_long ? 4 : 2;
    if (pending.size() - at < head + 4 + length) break;
    reply += pending[at];
    reply += static_cast<char>(byte(1) & 0x7f);
    reply.append(pending, at + 2, head - 2).append(pending, at + head + 4, length);
    at += head + 4 + length;
  }
  pending.erase(0, at);
  return send_all(fd, reply);
}

constexpr const char* kHandshake =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct Client {
  std::string pending;
  bool is_web_socket = false;
};

// Answers everything whole that came; false if the connection failed.
bool answer(int fd, Client& client) {
  std::string& pending = client.pending;
  if (client.is_web_socket) return echo_messages(fd, pending);
  while (true) {
    const size_t end = pending.find("\r\n\r\n");
    if (end == std::string::npos) return true;
    if (pending.find("Upgrade: websocket") < end) {
      client.is_web_socket = true;
      pending.erase(0, end + 4);
      return send_all(fd, kHandshake) && echo_messages(fd, pending);
    }
    const size_t length = content_length(pending.substr(0, end));
    if (pending.size() < end + 4 + length) return true;
    const std::string reply =
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
        "Content-Length: " +
        std::to_string(length) + "\r\n\r\n" + pending.substr(end + 4, length);
    pending.erase(0, end + 4 + length);
    if (!send_all(fd, reply)) return false;
  }
}

int listening(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return -1;
  return listen(fd, SOMAXCONN) == 0 ? fd : -1;
}

}  // namespace

int main(int argc, char** argv) {
  const int listener = argc == 2 ? listening(static_cast<uint16_t>(std::atoi(argv[1]))) : -1;
  if (listener < 0) {
    std::fprintf(stderr, "usage: echo_server PORT, a free one\n");
    return 2;
  }
  const int poll = epoll_create1(0), yes = 1;
  epoll_event event{EPOLLIN, {.fd = listener}};
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  std::map<int, Client> clients;
  epoll_event ready[64];
  char block[1 << 16];
  while (true) {
    const int count = epoll_wait(poll, ready, 64, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = ready[i].data.fd;
      if (fd == listener) {
        const int client = accept(listener, nullptr, nullptr);
        if (client < 0) continue;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        epoll_event of_client{EPOLLIN, {.fd = client}};
        epoll_ctl(poll, EPOLL_CTL_ADD, client, &of_client);
        continue;
      }
      const ssize_t got = recv(fd, block, sizeof(block), 0);
      if (got > 0) clients[fd].pending.append(block, static_cast<size_t>(got));
      if (got <= 0 || !answer(fd, clients[fd])) {
        clients.erase(fd);
        close(fd);
      }
    }
  }
}
