// The whole server: sockets, service, signals; from start to a drained stop.
// Test: server_test.cc, tests/operations.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "serve/http_server.h"
#include "serve/service.h"

namespace graupel::serve {

class Server {
 public:
  // Loads every model and listens. Errors: a model or certificate that cannot be loaded, an
  // address that cannot be had; each names the file or address.
  static Result<std::unique_ptr<Server>> start(EventLoop& loop, ServeOptions options, Log log);

  uint16_t port() const { return http_->port(); }
  Service& service() { return *service_; }

  // Loop's thread. Loads every model's file again; requests under way keep what they have, and a
  // file that cannot be loaded leaves the model as it was.
  void reload();
  // Loop's thread. Answers what was received, takes nothing new, then stops the loop; at the
  // latest after options.drain.
  void drain();

 private:
  Server() = default;
  void stop_when_idle(TimePoint deadline);
  void sweep();  // each second: sessions that nobody uses any more

  std::unique_ptr<Service> service_;
  std::unique_ptr<HttpServer> http_;
};

// SIGTERM and SIGINT drain, SIGHUP reloads.
void handle_signals(EventLoop& loop, Server& server);

}  // namespace graupel::serve
