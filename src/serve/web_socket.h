// A connection that became a WebSocket; for http_server.cc only. Reference: RFC 6455.
//
// Messages to a client wait in a bounded queue. A client that does not read for so long that it
// is full is closed: the sender never waits, and memory stays bounded.
// Test: tests/operations/sessions_test.py.
#pragma once

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "serve/event_loop_state.h"
#include "serve/http_server.h"

namespace graupel::serve {

// Registers what closes the socket, or with an empty function removes it.
using RegisterCloser = std::function<void(std::function<void()>)>;

template <class Stream>
class WebSocket : public std::enable_shared_from_this<WebSocket<Stream>> {
 public:
  WebSocket(Stream stream, std::shared_ptr<const Request> request, uint64_t id,
            const HttpLimits& limits, const HttpHandlers& handlers, RegisterCloser register_closer)
      : stream_(std::move(stream)),
        request_(std::move(request)),
        id_(id),
        limits_(limits),
        handlers_(handlers),
        register_closer_(std::move(register_closer)) {}
  ~WebSocket() {
    register_closer_({});
    if (opened_) handlers_.socket_closed(id_);
  }

  void accept(boost::beast::http::request<boost::beast::http::string_body> upgrade) {
    namespace websocket = boost::beast::websocket;
    upgrade_ = std::move(upgrade);
    stream_.set_option(websocket::stream_base::timeout::suggested(boost::beast::role_type::server));
    stream_.read_message_max(limits_.message_bytes);
    register_closer_([weak = this->weak_from_this()] {
      if (const auto self = weak.lock()) self->close(websocket::close_code::going_away);
    });
    stream_.async_accept(upgrade_,
                         [self = this->shared_from_this()](const boost::system::error_code& error) {
                           if (!error) self->open();
                         });
  }

 private:
  void open() {
    opened_ = true;
    const std::weak_ptr<WebSocket> weak = this->weak_from_this();
    Socket socket;
    socket.id = id_;
    socket.send = [weak](std::string text) {
      if (const auto self = weak.lock()) self->send(std::move(text));
    };
    socket.close = [weak] {
      if (const auto self = weak.lock()) self->close(boost::beast::websocket::close_code::normal);
    };
    handlers_.socket_opened(request_, std::move(socket));
    read();
  }

  void read() {
    stream_.async_read(
        buffer_, [self = this->shared_from_this()](const boost::system::error_code& error, size_t) {
          if (error) return;
          std::string bytes = boost::beast::buffers_to_string(self->buffer_.data());
          self->buffer_.consume(self->buffer_.size());
          self->handlers_.socket_message(self->id_, std::move(bytes), self->stream_.got_binary());
          if (self->closing_) return;
          self->read();
        });
  }

  void send(std::string text) {
    if (closing_) return;
    // A client that does not read would not answer a close either.
    if (waiting_.size() >= limits_.waiting_messages) return cut_off();
    waiting_.push_back(std::move(text));
    if (waiting_.size() == 1) write();
  }

  void write() {
    stream_.text(true);
    stream_.async_write(
        boost::asio::buffer(waiting_.front()),
        [self = this->shared_from_this()](const boost::system::error_code& error, size_t) {
          if (error) return;
          self->waiting_.pop_front();
          if (!self->waiting_.empty()) return self->write();
          if (self->closing_) self->say_goodbye();
        });
  }

  void cut_off() {
    closing_ = true;
    boost::beast::get_lowest_layer(stream_).close();
  }

  // What waits is sent first.
  void close(boost::beast::websocket::close_code code) {
    if (closing_) return;
    closing_ = true;
    code_ = code;
    if (waiting_.empty()) say_goodbye();
  }

  void say_goodbye() {
    stream_.async_close(code_,
                        [self = this->shared_from_this()](const boost::system::error_code&) {});
  }

  boost::beast::websocket::stream<Stream> stream_;
  std::shared_ptr<const Request> request_;
  uint64_t id_;
  HttpLimits limits_;
  HttpHandlers handlers_;
  RegisterCloser register_closer_;
  boost::beast::http::request<boost::beast::http::string_body> upgrade_;
  boost::beast::flat_buffer buffer_;
  std::deque<std::string> waiting_;
  bool opened_ = false;
  bool closing_ = false;
  boost::beast::websocket::close_code code_ = boost::beast::websocket::close_code::normal;
};

template <class Stream>
void open_web_socket(Stream stream,
                     boost::beast::http::request<boost::beast::http::string_body> upgrade,
                     std::shared_ptr<const Request> request, uint64_t id, const HttpLimits& limits,
                     const HttpHandlers& handlers, RegisterCloser register_closer) {
  std::make_shared<WebSocket<Stream>>(std::move(stream), std::move(request), id, limits, handlers,
                                      std::move(register_closer))
      ->accept(std::move(upgrade));
}

}  // namespace graupel::serve
