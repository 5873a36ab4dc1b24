// The one thread that owns sockets, timers, sessions and the table of models.
//
// Idea: a thin face of Boost.Asio's io_context, so that only the files that talk to sockets pay
// for its headers. Everything that changes while the server runs is touched on this thread only,
// so it needs no lock; other threads hand results over with post(). Test: server_test.cc.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

namespace graupel::serve {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

inline double seconds_since(TimePoint begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs until stop(). Call from one thread.
  void run();
  void stop();  // from any thread
  // `task` runs on the loop's thread, in the order of the calls. From any thread.
  void post(std::function<void()> task);
  // `task` runs once, `delay` from now, on the loop's thread. From any thread.
  void after(std::chrono::milliseconds delay, std::function<void()> task);
  // `handle` runs on the loop's thread for each such signal (SIGTERM, SIGHUP, ...).
  void on_signals(const std::vector<int>& signals, std::function<void(int)> handle);

  struct State;  // the io_context; event_loop_state.h
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

}  // namespace graupel::serve
