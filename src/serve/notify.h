// Tells the supervisor (systemd, or who speaks its protocol) how the server is.
//
// Idea: one datagram per message to the socket that NOTIFY_SOCKET names: READY=1 once requests are
// taken, WATCHDOG=1 while work gets done, STOPPING=1 when draining. The watchdog message comes
// from the loop's thread, so a loop that hangs falls silent; it is also withheld while windows wait
// and none is finished, so that workers that hang are noticed too. Nobody listening changes
// nothing. Reference: sd_notify(3), systemd.service(5) WatchdogSec. Test: notify_test.cc.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "serve/server.h"

namespace graupel::serve {

struct NotifyOptions {
  std::string socket;                     // a path, or '@' and an abstract name; empty: nobody
  std::chrono::microseconds watchdog{0};  // killed when silent for so long; 0: no watchdog
};

// Of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; null means not set. A watchdog meant for
// another process than `process` is none. Values that are no numbers count as not set.
NotifyOptions notify_options(const char* socket, const char* watchdog_usec,
                             const char* watchdog_pid, int64_t process);

// Sends one message, lines "NAME=value". Errors: kIo naming the socket.
Result<void> notify(const NotifyOptions& options, std::string_view message);

// Says READY=1 now and the rest as it happens. Loop's thread, or before the loop runs; `server`
// has to outlive the loop. A message that cannot be sent is logged once.
void notify_supervisor(EventLoop& loop, Server& server, NotifyOptions options);

}  // namespace graupel::serve
