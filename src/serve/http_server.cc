// The listener, and one connection from its first byte to its last. See http_server.h.
//
// A connection reads a header, then its body, waits for the handler's answer, writes it and starts
// again; there is one operation under way at a time, each with a deadline, so a peer that sends
// slowly or never reads is cut off. Deadlines are plain times that one timer looks through every
// tenth of a second: setting and cancelling a timer for each operation costs more than the rest of
// it. Test: server_test.cc.
#include "serve/http_server.h"

#include "serve/event_loop_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <map>
#include <utility>

#include "serve/web_socket.h"

namespace graupel::serve {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;

struct HttpServer::State {
  EventLoop* loop = nullptr;
  HttpOptions options;
  HttpHandlers handlers;
  std::unique_ptr<asio::ssl::context> tls;
  std::unique_ptr<tcp::acceptor> acceptor;
  bool draining = false;
  uint64_t next_id = 1;
  // What closes each open connection if it is idle; the connection removes itself.
  std::map<uint64_t, std::function<void()>> close_if_idle;
  // Until when each may take for what it is doing, and what closes it.
  struct Timed {
    const TimePoint* deadline = nullptr;
    std::function<void()> close;
  };
  std::map<uint64_t, Timed> timed;
  bool is_watching = false;  // whether a timer is set, which it is while there is any
};

namespace {

using PlainStream = beast::tcp_stream;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;

constexpr std::chrono::seconds kLinger{2};
constexpr size_t kLingerBytes = size_t{64} << 20;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::string common_name(PlainStream&) { return {}; }
std::string common_name(TlsStream& stream) {
  X509* certificate = SSL_get_peer_certificate(stream.native_handle());
  if (certificate == nullptr) return {};
  char name[256] = {};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof(name));
  X509_free(certificate);
  return name;
}

int status_of(const error_code& error) {
  if (error == http::error::body_limit) return 413;
  if (error == http::error::header_limit) return 431;
  return 400;
}

constexpr std::chrono::milliseconds kWatch{100};

void watch_deadlines(const std::shared_ptr<HttpServer::State>& state) {
  if (state->timed.empty() || state->is_watching) return;
  state->is_watching = true;
  state->loop->after(kWatch, [weak = std::weak_ptr(state)] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->is_watching = false;
    std::vector<std::function<void()>> late;  // closing removes entries
    const TimePoint now = Clock::now();
    for (const auto& [id, each] : self->timed) {
      if (*each.deadline <= now) late.push_back(each.close);
    }
    for (const auto& close : late) close();
    watch_deadlines(self);
  });
}

// Errors after which nobody listens any more.
bool is_gone(const error_code& error) {
  return error == http::error::end_of_stream || error == asio::error::eof ||
         error == asio::error::connection_reset || error == asio::error::operation_aborted ||
         error == asio::ssl::error::stream_truncated || error == asio::error::broken_pipe;
}

// Of an answer: status line and header. Names and values are the server's own or safe tokens.
std::string head_of(const Reply& reply, bool closes, bool empty) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", reply.status,
                                 std::string_view(http::obsolete_reason(
                                     http::int_to_status(static_cast<unsigned>(reply.status)))));
  const auto line = [&](std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
  };
  if (closes) line("Connection", "close");
  if (!reply.content_type.empty()) line("Content-Type", reply.content_type);
  for (const Header& header : reply.headers) line(header.name, header.value);
  if (!empty) line("Content-Length", std::to_string(reply.body.size()));
  return head += "\r\n";
}

template <class Stream>
class Connection : public std::enable_shared_from_this<Connection<Stream>> {
 public:
  Connection(Stream stream, std::shared_ptr<HttpServer::State> state, std::string peer)
      : stream_(std::move(stream)),
        state_(std::move(state)),
        peer_(std::move(peer)),
        id_(state_->next_id++) {
    buffer_.reserve(16 * 1024);
  }
  ~Connection() {
    state_->close_if_idle.erase(id_);
    state_->timed.erase(id_);
  }

  void start() {
    state_->close_if_idle[id_] = [weak = this->weak_from_this()] {
      if (const auto self = weak.lock(); self && !self->busy_) self->close();
    };
    state_->timed[id_] = {&deadline_, [weak = this->weak_from_this()] {
                            if (const auto self = weak.lock()) self->close();
                          }};
    watch_deadlines(state_);
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      allow(state_->options.limits.request);
      stream_.async_handshake(asio::ssl::stream_base::server,
                              [self = this->shared_from_this()](const error_code& error) {
                                if (!error) self->read_header();
                              });
    } else {
      read_header();
    }
  }

 private:
  beast::tcp_stream& lowest() { return beast::get_lowest_layer(stream_); }

  void allow(std::chrono::milliseconds time) { deadline_ = Clock::now() + time; }

  void close() {
    deadline_ = TimePoint::max();
    error_code ignored;
    lowest().socket().shutdown(tcp::socket::shutdown_both, ignored);
    lowest().close();
  }

  void read_header() {
    busy_ = false;
    if (state_->draining) return close();
    parser_.emplace();
    parser_->header_limit(state_->options.limits.header_bytes);
    parser_->body_limit(state_->options.limits.body_bytes);
    allow(state_->options.limits.idle);
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = this->shared_from_this()](error_code error, size_t bytes) {
                              // The parser's own limit begins anew in the middle of a header.
                              if (!error && bytes > self->state_->options.limits.header_bytes) {
                                error = http::error::header_limit;
                              }
                              if (error) return self->refuse(error, "header");
                              self->busy_ = true;
                              self->read_body();
                            });
  }

  void read_body() {
    if (websocket_upgrade()) return;
    allow(state_->options.limits.request);
    if (lower(std::string(parser_->get()[http::field::expect])) == "100-continue") {
      continue_ = {http::status::continue_, 11};
      http::async_write(stream_, continue_,
                        [self = this->shared_from_this()](const error_code& error, size_t) {
                          if (!error) self->read_rest();
                        });
      return;
    }
    read_rest();
  }

  void read_rest() {
    http::async_read(stream_, buffer_, *parser_,
                     [self = this->shared_from_this()](const error_code& error, size_t) {
                       if (error) return self->refuse(error, "body");
                       self->handle();
                     });
  }

  // A request that cannot be read: answered once, then the connection closes, because where the
  // next request begins is not known.
  void refuse(const error_code& error, std::string_view part) {
    if (is_gone(error)) return close();
    lingers_ = true;
    keep_alive_ = false;
    head_ = false;
    write(state_->handlers.malformed(status_of(error), sentence_of(error, part),
                                     std::string(parser_->get().target())));
  }

  std::string sentence_of(const error_code& error, std::string_view part) const {
    const HttpLimits& limits = state_->options.limits;
    if (error == http::error::body_limit) {
      return fmt::format("the request's body has more than {} bytes", limits.body_bytes);
    }
    if (error == http::error::header_limit) {
      return fmt::format("the request's header has more than {} bytes", limits.header_bytes);
    }
    return fmt::format("the request's {} could not be read: {}", part, error.message());
  }

  std::shared_ptr<Request> take_request() {
    auto& message = parser_->get();
    auto request = std::make_shared<Request>();
    request->method = std::string(message.method_string());
    for (const auto& field : message) {
      request->headers.push_back(
          {lower(std::string(field.name_string())), std::string(field.value())});
    }
    request->body = std::move(message.body());
    request->peer = peer_;
    request->certificate_common_name = common_name(stream_);
    return request;
  }

  void handle() {
    keep_alive_ = parser_->get().keep_alive();
    const std::string target(parser_->get().target());
    const std::shared_ptr<Request> request = take_request();
    head_ = request->method == "HEAD";
    if (const Result<void> parsed = parse_target(target, *request); !parsed.ok()) {
      keep_alive_ = false;
      return write(state_->handlers.malformed(400, parsed.error().message(), target));
    }
    // While a handler thinks, nothing times out here; deadlines of work are the handler's.
    deadline_ = TimePoint::max();
    // The answer may be given, and dropped, on another thread; whoever drops it last hands the
    // connection back to the loop, where it ends.
    std::shared_ptr<Connection> self = this->shared_from_this();
    Connection* const connection = self.get();
    const std::shared_ptr<Connection> kept(
        connection, [self = std::move(self), loop = state_->loop](Connection*) mutable {
          loop->post([self = std::move(self)] {});
        });
    state_->handlers.request(request, [kept, loop = state_->loop](Reply reply) {
      loop->post([kept, reply = std::move(reply)]() mutable { kept->write(std::move(reply)); });
    });
  }

  void write(Reply reply) {
    const bool closes = !keep_alive_ || state_->draining;
    const bool empty = reply.status == 204 || reply.status == 304;
    reply_head_ = head_of(reply, closes, empty);
    reply_body_ = head_ || empty ? std::string() : std::move(reply.body);
    allow(state_->options.limits.write);
    const std::array<asio::const_buffer, 2> parts = {asio::buffer(reply_head_),
                                                     asio::buffer(reply_body_)};
    asio::async_write(stream_, parts,
                      [self = this->shared_from_this(), closes](const error_code& error, size_t) {
                        if (error || closes) return self->finish();
                        self->read_header();
                      });
  }

  // A client that is still sending when the connection closes loses the answer too: what it sends
  // is thrown away for a moment, so that it gets to read why it was refused.
  void linger(size_t left) {
    stream_.async_read_some(asio::buffer(waste_), [self = this->shared_from_this(), left](
                                                      const error_code& error, size_t bytes) {
      if (error || bytes >= left) return self->close();
      self->linger(left - bytes);
    });
  }

  void finish() {
    if (lingers_) {
      allow(kLinger);
      if constexpr (std::is_same_v<Stream, PlainStream>) {
        error_code ignored;
        lowest().socket().shutdown(tcp::socket::shutdown_send, ignored);
      }
      return linger(kLingerBytes);
    }
    if constexpr (std::is_same_v<Stream, TlsStream>) {
      stream_.async_shutdown(
          [self = this->shared_from_this()](const error_code&) { self->close(); });
    } else {
      close();
    }
  }

  bool websocket_upgrade() {
    if (!beast::websocket::is_upgrade(parser_->get())) return false;
    http::request<http::string_body> upgrade = parser_->get();
    keep_alive_ = false;
    head_ = false;
    const std::string target(upgrade.target());
    const std::shared_ptr<Request> request = take_request();
    if (const Result<void> parsed = parse_target(target, *request); !parsed.ok()) {
      write(state_->handlers.malformed(400, parsed.error().message(), target));
      return true;
    }
    if (std::optional<Reply> refusal = state_->handlers.may_upgrade(*request)) {
      write(*std::move(refusal));
      return true;
    }
    state_->timed.erase(id_);  // the WebSocket keeps its own time
    open_web_socket(std::move(stream_), std::move(upgrade), request, id_, state_->options.limits,
                    state_->handlers, [state = state_, id = id_](std::function<void()> closer) {
                      if (closer) {
                        state->close_if_idle[id] = std::move(closer);
                      } else {
                        state->close_if_idle.erase(id);
                      }
                    });
    id_ = 0;  // the entry now belongs to the WebSocket
    return true;
  }

  Stream stream_;
  std::shared_ptr<HttpServer::State> state_;
  std::string peer_;
  uint64_t id_;
  bool busy_ = false;
  bool keep_alive_ = false;
  bool head_ = false;
  bool lingers_ = false;
  std::array<char, 4096> waste_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  TimePoint deadline_ = TimePoint::max();
  std::string reply_head_, reply_body_;
  http::response<http::empty_body> continue_;
};

void accept_next(const std::shared_ptr<HttpServer::State>& state) {
  state->acceptor->async_accept([state](const error_code& error, tcp::socket socket) {
    if (error == asio::error::operation_aborted || !state->acceptor->is_open()) return;
    if (error) {
      // Out of file descriptors or the like: try again in a moment instead of spinning.
      return state->loop->after(std::chrono::milliseconds(50), [state] { accept_next(state); });
    }
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    const auto endpoint = socket.remote_endpoint(ignored);
    const std::string peer = ignored ? "" : endpoint.address().to_string();
    if (state->close_if_idle.size() >= state->options.limits.connections) {
      socket.close(ignored);
    } else if (state->tls) {
      std::make_shared<Connection<TlsStream>>(
          TlsStream(beast::tcp_stream(std::move(socket)), *state->tls), state, peer)
          ->start();
    } else {
      std::make_shared<Connection<PlainStream>>(beast::tcp_stream(std::move(socket)), state, peer)
          ->start();
    }
    accept_next(state);
  });
}

Result<void> load_tls(HttpServer::State& state) {
  const TlsOptions& options = state.options.tls;
  if (options.certificate_file.empty()) return ok();
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  error_code error;
  context->use_certificate_chain_file(options.certificate_file, error);
  if (error)
    return invalid_input(options.certificate_file,
                         "is no PEM certificate chain: " + error.message());
  context->use_private_key_file(options.key_file, asio::ssl::context::pem, error);
  if (error)
    return invalid_input(options.key_file, "is not the certificate's PEM key: " + error.message());
  if (!options.client_ca_file.empty()) {
    context->load_verify_file(options.client_ca_file, error);
    if (error)
      return invalid_input(options.client_ca_file, "is no PEM certificate: " + error.message());
    context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert,
                             error);
  }
  state.tls = std::move(context);
  return ok();
}

Result<void> open_acceptor(HttpServer::State& state) {
  const HttpOptions& options = state.options;
  const std::string where = fmt::format("{}:{}", options.address, options.port);
  error_code error;
  const asio::ip::address address = asio::ip::make_address(options.address, error);
  if (error) return invalid_input(where, "is no IP address; 127.0.0.1 is this machine only");
  const tcp::endpoint endpoint(address, options.port);
  state.acceptor = std::make_unique<tcp::acceptor>(state.loop->state().context);
  state.acceptor->open(endpoint.protocol(), error);
  if (!error) state.acceptor->set_option(asio::socket_base::reuse_address(true), error);
  if (!error) state.acceptor->bind(endpoint, error);
  if (!error) state.acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) return io_error(where, "cannot be listened on: " + error.message());
  return ok();
}

}  // namespace

HttpServer::HttpServer(std::shared_ptr<State> state) : state_(std::move(state)) {}

HttpServer::~HttpServer() {
  error_code ignored;
  state_->acceptor->close(ignored);
}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(EventLoop& loop, HttpOptions options,
                                                       HttpHandlers handlers) {
  auto state = std::make_shared<State>();
  state->loop = &loop;
  state->options = std::move(options);
  state->handlers = std::move(handlers);
  TRY(load_tls(*state));
  TRY(open_acceptor(*state));
  accept_next(state);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

uint16_t HttpServer::port() const {
  error_code ignored;
  return state_->acceptor->local_endpoint(ignored).port();
}

size_t HttpServer::connections() const { return state_->close_if_idle.size(); }

void HttpServer::drain() {
  state_->draining = true;
  error_code ignored;
  state_->acceptor->close(ignored);
  const auto closers = state_->close_if_idle;  // closing removes entries
  for (const auto& [id, close] : closers) close();
}

}  // namespace graupel::serve
