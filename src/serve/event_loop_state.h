// What EventLoop keeps of Boost.Asio; for the files that talk to sockets only.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <memory>

#include "serve/event_loop.h"

namespace graupel::serve {

struct EventLoop::State {
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work =
      boost::asio::make_work_guard(context);
  std::unique_ptr<boost::asio::signal_set> signals;
};

}  // namespace graupel::serve
