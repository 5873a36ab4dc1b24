// WebSocket clients of sessions: samples in, answers out, and the feed of a dashboard.
//
// Idea: a message does what a route does, through the same functions; an answer is pushed to every
// socket that subscribed to its session. Rights come from the key of the upgrade request or of the
// first message that shows one. Messages: docs/sessions.md. Test: sessions_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "serve/http_server.h"
#include "serve/sessions.h"

namespace graupel::serve {

inline constexpr std::string_view kSocketPath = "/ws/v1/analysis";

struct SocketClient {
  Socket socket;
  Asker asker;
  bool may_read = false, may_stream = false;
  std::string who;  // for rate limits
  std::set<std::string, std::less<>> sessions;
  bool status_feed = false;
  TimePoint opened;
};

struct Sockets {
  std::map<uint64_t, SocketClient> clients;
};

// The handlers of HttpServer; all on the loop's thread. A page of another origin than the server's
// own may only connect if it is allowed like for CORS (403).
std::optional<Reply> judge_upgrade(Service& service, const Request& request);
void open_socket(Service& service, const Request& request, Socket socket);
void receive_message(Service& service, uint64_t socket, const std::string& bytes, bool binary);
void forget_socket(Service& service, uint64_t socket);

// Each second: the status feed, and sockets that showed no key.
void tend_sockets(Service& service);
// Sets service.session_events, so that answers reach the sockets.
void connect_sockets(Service& service);

}  // namespace graupel::serve
