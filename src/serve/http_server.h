// HTTP/1.1 and WebSocket over TCP or TLS: bytes in, Request values out.
//
// Idea: everything that a hostile or slow peer can do is bounded here, before any handler runs:
// header and body size, time per request and between requests, connections, messages waiting to
// be sent. A handler is called on the loop's thread and may answer later, from any thread.
// Reference: RFC 9112, RFC 6455. Library: Boost.Beast 1.81. Test: server_test.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "serve/event_loop.h"
#include "serve/http.h"

namespace graupel::serve {

struct HttpLimits {
  uint32_t header_bytes = 16 * 1024;
  uint64_t body_bytes = uint64_t{8} << 20;
  size_t connections = 1024;
  size_t message_bytes = size_t{1} << 20;    // of one WebSocket message from a client
  size_t waiting_messages = 256;             // to one WebSocket client; more closes it
  std::chrono::milliseconds idle{30000};     // until the whole header of a request is there
  std::chrono::milliseconds request{15000};  // for its body
  std::chrono::milliseconds write{15000};
};

struct TlsOptions {
  std::string certificate_file;  // PEM, with its chain; empty: plain HTTP
  std::string key_file;
  std::string client_ca_file;  // clients have to show a certificate of this CA; empty: none asked
};

struct HttpOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;  // 0: any free one
  HttpLimits limits;
  TlsOptions tls;
};

// One open WebSocket; copies mean the same one. Both functions belong to the loop's thread and do
// nothing once it has closed.
struct Socket {
  uint64_t id = 0;
  std::function<void(std::string text)> send;
  std::function<void()> close;
};

struct HttpHandlers {
  std::function<void(std::shared_ptr<const Request>, Respond)> request;
  // The answer to what is not HTTP or too large: 400, 413 or 431 and a sentence. `target` is empty
  // if it is not known.
  std::function<Reply(int status, std::string what, std::string target)> malformed;
  // A request to become a WebSocket: nullopt to accept it, else the answer.
  std::function<std::optional<Reply>(const Request&)> may_upgrade;
  std::function<void(std::shared_ptr<const Request>, Socket)> socket_opened;
  std::function<void(uint64_t socket, std::string bytes, bool binary)> socket_message;
  std::function<void(uint64_t socket)> socket_closed;
};

class HttpServer {
 public:
  // Listens at once; requests come when `loop` runs. `loop` has to outlive the server.
  // Errors: kIo with address and port if they cannot be had, kInvalidInput naming a certificate
  // file that cannot be used.
  static Result<std::unique_ptr<HttpServer>> listen(EventLoop& loop, HttpOptions options,
                                                    HttpHandlers handlers);
  ~HttpServer();

  uint16_t port() const;
  size_t connections() const;  // open now; loop's thread
  // No new connections; open ones are closed as soon as nothing of theirs is being answered.
  void drain();

  struct State;

 private:
  explicit HttpServer(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace graupel::serve
