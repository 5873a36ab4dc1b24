// All sessions: starting, feeding, ending, and the windows in between.
//
// Everything here belongs to the loop's thread. What is refused says so with a status, a code for
// machines and a sentence, whichever way it came. Rules: docs/sessions.md. Test: sessions_test.cc.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "serve/session.h"
#include "serve/session_json.h"

namespace graupel::serve {

struct Service;

struct SessionOptions {
  size_t limit = 1000;
  size_t ring_samples = 2000;  // per sensor
  double hop_ms = 500.0;
  double rate_hz = 100.0;  // of models that do not say
  double gap_ms = 50.0;
  double speed = 20.0;  // a session may send this many seconds of signal per second; 0: any
  std::chrono::seconds idle{3600};
};

struct Refusal {
  int status = 400;
  std::string code;
  std::string detail;
  int retry_after_s = 0;  // 0: trying again does not help
};
template <class T>
using Outcome = std::variant<T, Refusal>;

using SessionPointer = std::shared_ptr<Session>;

struct Sessions {
  std::map<std::string, SessionPointer, std::less<>> open;  // by id
};

// `message` holds model, version and hop, if they are asked for.
Outcome<SessionPointer> start_session(Service& service, std::string owner,
                                      const SessionMessage& message);

// Who asks for a session: the key's name, and whether it is an admin's.
struct Asker {
  std::string owner;  // empty without keys
  bool sees_all = false;
};
// nullptr if there is none, or if it is somebody else's.
SessionPointer find_session(const Service& service, const Asker& asker, std::string_view id);

struct Accepted {
  size_t received = 0, dropped = 0;
};
// Takes all samples or, if it refuses, none.
Outcome<Accepted> feed_session(Service& service, const SessionPointer& session,
                               std::span<const SessionSample> samples);

// `reason`: stopped, expired or draining.
void end_session(Service& service, const SessionPointer& session, std::string_view reason);
void end_all_sessions(Service& service, std::string_view reason);
// Ends sessions that have had no sample for too long.
void sweep_sessions(Service& service);

// Told of each new record and of the end; set by the WebSocket side.
struct SessionEvents {
  std::function<void(const Session& session, const WindowRecord& record)> answered;
  std::function<void(const Session& session, std::string_view reason)> ended;
};

// Why there is no answer yet, in words; empty if there is one.
std::string waiting_reason(const Session& session);

}  // namespace graupel::serve
