// The event loop. See event_loop.h. Reference: Boost.Asio 1.81, io_context.
// Test: server_test.cc.
#include "serve/event_loop.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "serve/event_loop_state.h"

namespace graupel::serve {
namespace asio = boost::asio;

namespace {

void wait_for_signal(asio::signal_set& signals,
                     const std::shared_ptr<std::function<void(int)>>& handle) {
  signals.async_wait([&signals, handle](const boost::system::error_code& error, int signal) {
    if (error) return;
    (*handle)(signal);
    wait_for_signal(signals, handle);
  });
}

}  // namespace

EventLoop::EventLoop() : state_(std::make_unique<State>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::run() { state_->context.run(); }
void EventLoop::stop() { state_->context.stop(); }

void EventLoop::post(std::function<void()> task) { asio::post(state_->context, std::move(task)); }

void EventLoop::after(std::chrono::milliseconds delay, std::function<void()> task) {
  const auto timer = std::make_shared<asio::steady_timer>(state_->context, delay);
  timer->async_wait([timer, task = std::move(task)](const boost::system::error_code& error) {
    if (!error) task();
  });
}

void EventLoop::on_signals(const std::vector<int>& signals, std::function<void(int)> handle) {
  state_->signals = std::make_unique<asio::signal_set>(state_->context);
  for (const int signal : signals) {
    boost::system::error_code ignored;  // a number that is no signal is simply never raised
    state_->signals->add(signal, ignored);
  }
  wait_for_signal(*state_->signals, std::make_shared<std::function<void(int)>>(std::move(handle)));
}

}  // namespace graupel::serve
