// The service: what every request handler works with, and how a request finds its handler.
//
// Idea: a route is a row of a table: method, pattern, role, the form its errors take, a function.
// Access, rate limits, request ids, metrics and the log are done once, around every route.
// Everything here belongs to the loop's thread, but for `metrics` and `workers`.
// Test: server_test.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "serve/access.h"
#include "serve/event_loop.h"
#include "serve/http.h"
#include "serve/http_server.h"
#include "serve/metrics.h"
#include "serve/models.h"
#include "serve/sequences.h"
#include "serve/session_socket.h"
#include "serve/sessions.h"
#include "serve/workers.h"

namespace graupel::serve {

// Largest magnitude of a channel that /infer takes, by position within a sensor's nine channels.
struct SensorLimits {
  double acceleration_m_s2 = 500.0;
  double rotation_rad_s = 35.0;
  double field_ut = 2000.0;
};

struct ServeOptions {
  HttpOptions http;
  std::vector<ModelSource> models;
  std::string model_directory;  // empty: none; new files in it can be loaded while running
  size_t workers = 1;
  size_t queue_limit = 256;
  size_t windows_per_request = 256;
  npu::EngineOptions engine;  // a model loaded later falls back where the first ones have to open
  std::chrono::milliseconds deadline{1000};  // for a window to be begun
  std::chrono::milliseconds drain{10000};
  bool edgeinfer_compat = true;  // /infer answers 64 latents and 12 scores
  bool mirror_sensor = false;    // /infer with one sensor: feed it to both of a two-sensor model
  SensorLimits sensor_limits;
  bool log_requests = true;  // a line for each; failures of ours (5xx) always have one
  SessionOptions sessions;
  std::vector<ApiKey> keys;
  double rate_per_second = 0.0, rate_burst = 0.0;  // per key, or per peer without keys
  std::vector<std::string> cors_origins;           // exact origins that may read answers
};

// One line of the log: a JSON object. Never holds sensor data, keys or bodies.
using Log = std::function<void(std::string_view level, std::string line)>;

struct Service {
  Service(EventLoop& loop_, ServeOptions options_, Log log_);

  EventLoop& loop;
  const ServeOptions options;
  const Log log;
  const TimePoint started = Clock::now();
  Metrics metrics;
  Models models;
  RateLimits rate_limits;
  Sessions sessions;
  SessionEvents session_events;
  Sockets sockets;
  Sequences sequences;
  bool draining = false;
  std::function<size_t()> connections = [] { return size_t{0}; };
  std::function<void()> stopping = [] {};  // told once, when draining begins
  Workers loader{1, 64};  // loads models; with `workers` last, so that threads end before the rest
  Workers workers;
};

// Which shape errors have: {"error": "..."} of the Open Inference Protocol, the sidecar's
// {"error", "detail", "model_available"}, or RFC 9457 problem details.
enum class ErrorForm : uint8_t { kInference, kSidecar, kProblem };

// The form of errors about a path or target that has no route.
ErrorForm form_of(std::string_view path);

struct Call {
  std::shared_ptr<const Request> request;
  std::vector<std::string> parameters;  // what the pattern's {…} matched, in order
  std::string request_id;
  std::string who;  // key name or peer
  TimePoint received;
  ErrorForm form = ErrorForm::kProblem;
  Respond respond;
};

struct Route {
  std::string_view method;
  std::string_view pattern;  // "/v2/models/{model}/infer"
  Role role = Role::kRead;
  ErrorForm form = ErrorForm::kProblem;
  void (*handle)(Service& service, Call call) = nullptr;
};

// Every route, in one table; docs and tests go through it too.
std::span<const Route> routes();

// Finds the route of a request and calls it; `respond` is called exactly once, at some time.
void dispatch(Service& service, std::shared_ptr<const Request> request, Respond respond);

// ---- replies ----

Reply json_reply(int status, std::string json);
// `code` is for machines ("queue_full"), `detail` a sentence for people. From any thread.
Reply error_reply(ErrorForm form, int status, std::string_view code, std::string_view detail,
                  const std::string& request_id = {}, bool model_available = true);
// `status` for bad input, 500 for what is not the client's doing.
Reply error_reply(const Call& call, const Error& error, int status = 400);

// Runs `work` on a worker before the deadline and responds with what it gives; refuses with 503
// and Retry-After when the queue is full or the deadline passes first.
void compute(Service& service, const Call& call, std::chrono::milliseconds deadline,
             std::function<Reply(size_t worker, double queue_seconds)> work);

}  // namespace graupel::serve
