// From a request to its handler and back. See service.h. References: RFC 9457 (problem details),
// W3C Trace Context, the Fetch standard's CORS protocol. Test: server_test.cc.
#include "serve/service.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/text.h"
#include "serve/api.h"
#include "serve/json.h"
#include "serve/trace.h"

namespace graupel::serve {
namespace {

constexpr Route kRoutes[] = {
    {"GET", "/", Role::kAnyone, ErrorForm::kProblem, &get_page},
    {"GET", "/page/{file}", Role::kAnyone, ErrorForm::kProblem, &get_page_file},
    {"GET", "/healthz", Role::kAnyone, ErrorForm::kSidecar, &get_healthz},
    {"GET", "/livez", Role::kAnyone, ErrorForm::kProblem, &get_livez},
    {"GET", "/readyz", Role::kAnyone, ErrorForm::kProblem, &get_readyz},
    {"GET", "/metrics", Role::kRead, ErrorForm::kProblem, &get_metrics},
    {"GET", "/openapi.yaml", Role::kAnyone, ErrorForm::kProblem, &get_openapi},
    {"POST", "/infer", Role::kRead, ErrorForm::kSidecar, &post_sidecar_infer},
    {"POST", "/api/v1/analysis/start", Role::kStream, ErrorForm::kProblem, &post_session_start},
    {"PUT", "/api/v1/analysis/stream", Role::kStream, ErrorForm::kProblem, &put_session_stream},
    {"POST", "/api/v1/analysis/stop", Role::kStream, ErrorForm::kProblem, &post_session_stop},
    {"GET", "/api/v1/analysis/motifs", Role::kRead, ErrorForm::kProblem, &get_session_motifs},
    {"GET", "/api/v1/analysis/synchrony", Role::kRead, ErrorForm::kProblem, &get_session_synchrony},
    {"GET", "/api/v1/analysis/behavioral", Role::kRead, ErrorForm::kProblem,
     &get_session_behavioural},
    {"GET", kSocketPath, Role::kAnyone, ErrorForm::kProblem, &get_socket},
    {"GET", "/api/v1/models", Role::kRead, ErrorForm::kProblem, &get_api_models},
    {"GET", "/api/v1/sessions", Role::kRead, ErrorForm::kProblem, &get_sessions},
    {"GET", "/api/v1/sessions/{session}", Role::kRead, ErrorForm::kProblem, &get_session},
    {"GET", "/api/v1/status", Role::kRead, ErrorForm::kProblem, &get_status},
    {"GET", "/v2", Role::kAnyone, ErrorForm::kInference, &get_oip_server},
    {"GET", "/v2/health/live", Role::kAnyone, ErrorForm::kInference, &get_livez},
    {"GET", "/v2/health/ready", Role::kAnyone, ErrorForm::kInference, &get_readyz},
    {"GET", "/v2/models/stats", Role::kRead, ErrorForm::kInference, &get_oip_statistics},
    {"GET", "/v2/models/{model}/stats", Role::kRead, ErrorForm::kInference, &get_oip_statistics},
    {"GET", "/v2/models/{model}/versions/{version}/stats", Role::kRead, ErrorForm::kInference,
     &get_oip_statistics},
    {"GET", "/v2/models/{model}", Role::kRead, ErrorForm::kInference, &get_oip_model},
    {"GET", "/v2/models/{model}/versions/{version}", Role::kRead, ErrorForm::kInference,
     &get_oip_model},
    {"GET", "/v2/models/{model}/ready", Role::kRead, ErrorForm::kInference, &get_oip_ready},
    {"GET", "/v2/models/{model}/versions/{version}/ready", Role::kRead, ErrorForm::kInference,
     &get_oip_ready},
    {"POST", "/v2/models/{model}/infer", Role::kRead, ErrorForm::kInference, &post_oip_infer},
    {"POST", "/v2/models/{model}/versions/{version}/infer", Role::kRead, ErrorForm::kInference,
     &post_oip_infer},
    {"POST", "/v2/repository/index", Role::kRead, ErrorForm::kInference, &post_oip_index},
    {"POST", "/v2/repository/models/{model}/load", Role::kAdmin, ErrorForm::kInference,
     &post_oip_load},
    {"POST", "/v2/repository/models/{model}/unload", Role::kAdmin, ErrorForm::kInference,
     &post_oip_unload},
};

// What {…} of `pattern` match in `path`, or nullopt.
std::optional<std::vector<std::string>> match(std::string_view pattern, std::string_view path) {
  std::vector<std::string> parameters;
  while (true) {
    const size_t pattern_end = std::min(pattern.find('/', 1), pattern.size());
    const size_t path_end = std::min(path.find('/', 1), path.size());
    const std::string_view wanted = pattern.substr(0, pattern_end);
    const std::string_view found = path.substr(0, path_end);
    if (wanted.starts_with("/{")) {
      if (found.size() < 2) return std::nullopt;
      parameters.emplace_back(found.substr(1));
    } else if (wanted != found) {
      return std::nullopt;
    }
    pattern.remove_prefix(pattern_end);
    path.remove_prefix(path_end);
    if (pattern.empty() || path.empty()) break;
  }
  if (!pattern.empty() || !path.empty()) return std::nullopt;
  return parameters;
}

std::string random_hex(size_t bytes) {
  std::array<unsigned char, 16> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) random = {};
  return hex_text({reinterpret_cast<const char*>(random.data()), bytes});
}

std::string request_id_of(const Request& request) {
  for (const std::string_view name : {"x-correlation-id", "x-request-id"}) {
    if (const auto id = safe_token(request.header(name), 64)) return *id;
  }
  return random_hex(16);
}

void add_cors(const Service& service, const Request& request, Reply& reply) {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) return;
  const auto& allowed = service.options.cors_origins;
  if (std::find(allowed.begin(), allowed.end(), origin) == allowed.end()) return;
  reply.headers.push_back({"Access-Control-Allow-Origin", std::string(origin)});
  reply.headers.push_back({"Vary", "Origin"});
  if (request.method != "OPTIONS") return;
  reply.headers.push_back({"Access-Control-Allow-Methods", "GET, POST, PUT"});
  reply.headers.push_back(
      {"Access-Control-Allow-Headers",
       "Authorization, Content-Type, Inference-Header-Content-Length, X-API-Key"});
  reply.headers.push_back({"Access-Control-Max-Age", "600"});
}

// Wraps `respond`: headers every answer has, metrics, and one line of log.
Respond observed(Service& service, const Call& call, std::string_view pattern, Respond respond) {
  return [&service, request = call.request, id = call.request_id, received = call.received, pattern,
          respond = std::move(respond)](Reply reply) {
    const double seconds = seconds_since(received);
    service.metrics.request(pattern, request->method, reply.status, seconds);
    const std::optional<Trace> trace = trace_of(*request);
    if (trace) {
      reply.headers.push_back(
          {"traceparent", fmt::format("00-{}-{}-{}", trace->id, random_hex(8), trace->flags)});
    }
    if (service.options.log_requests || reply.status >= 500) {
      std::string line = fmt::format(
          R"({{"event":"request","method":"{}","route":"{}","status":{},"duration_ms":{:.3f},)"
          R"("request_id":"{}")",
          request->method, pattern, reply.status, seconds * 1e3, id);
      if (trace) line += fmt::format(R"(,"trace_id":"{}")", trace->id);
      service.log(reply.status >= 500 ? "warning" : "info", line + "}");
    }
    reply.headers.push_back({"X-Correlation-ID", id});
    reply.headers.push_back({"X-Content-Type-Options", "nosniff"});
    reply.headers.push_back({"Cache-Control", "no-store"});
    add_cors(service, *request, reply);
    respond(std::move(reply));
  };
}

// The answer of a request that may not go on, or nullopt.
std::optional<Reply> refusal(Service& service, const Route& route, Call& call) {
  const Access access = judge_access(service.options.keys, *call.request, route.role);
  call.who = access.who;
  if (access.verdict == Verdict::kUnauthorised) {
    service.metrics.refused("unauthorised");
    Reply reply = error_reply(route.form, 401, "unauthorised",
                              "a valid key is needed: Authorization: Bearer KEY", call.request_id);
    reply.headers.push_back({"WWW-Authenticate", "Bearer"});
    return reply;
  }
  if (access.verdict == Verdict::kForbidden) {
    service.metrics.refused("forbidden");
    return error_reply(route.form, 403, "forbidden",
                       fmt::format("this key may not; role {} is needed", to_string(route.role)),
                       call.request_id);
  }
  if (route.role == Role::kAnyone) return std::nullopt;
  if (const auto wait = take_token(service.rate_limits, call.who, call.received)) {
    service.metrics.refused("rate_limit");
    Reply reply = error_reply(route.form, 429, "rate_limit", "too many requests; see Retry-After",
                              call.request_id);
    reply.headers.push_back({"Retry-After", fmt::format("{}", std::ceil(*wait))});
    return reply;
  }
  return std::nullopt;
}

std::string allowed_methods(std::string_view path) {
  std::string methods;
  for (const Route& route : kRoutes) {
    if (match(route.pattern, path))
      methods += (methods.empty() ? "" : ", ") + std::string(route.method);
  }
  return methods;
}

}  // namespace

Service::Service(EventLoop& loop_, ServeOptions options_, Log log_)
    : loop(loop_),
      options(std::move(options_)),
      log(std::move(log_)),
      sequences(options.sessions.limit, options.sessions.idle),
      workers(std::max<size_t>(options.workers, 1), options.queue_limit) {
  rate_limits.per_second = options.rate_per_second;
  rate_limits.burst = options.rate_burst;
}

ErrorForm form_of(std::string_view path) {
  path = path.substr(0, path.find('?'));
  if (path == "/v2" || path.starts_with("/v2/")) return ErrorForm::kInference;
  return path == "/infer" || path == "/healthz" ? ErrorForm::kSidecar : ErrorForm::kProblem;
}

std::span<const Route> routes() { return kRoutes; }

void dispatch(Service& service, std::shared_ptr<const Request> request, Respond respond) {
  Call call;
  call.request = std::move(request);
  call.received = Clock::now();
  service.metrics.begun();
  call.request_id = request_id_of(*call.request);
  const std::string_view sent = call.request->method;
  const std::string_view method = sent == "HEAD" ? "GET" : sent;
  for (const Route& route : kRoutes) {
    if (route.method != method) continue;
    std::optional<std::vector<std::string>> parameters = match(route.pattern, call.request->path);
    if (!parameters) continue;
    call.parameters = *std::move(parameters);
    call.form = route.form;
    call.respond = observed(service, call, route.pattern, std::move(respond));
    if (std::optional<Reply> refused = refusal(service, route, call)) {
      return call.respond(*std::move(refused));
    }
    return route.handle(service, std::move(call));
  }
  call.respond = observed(service, call, "other", std::move(respond));
  const std::string methods = allowed_methods(call.request->path);
  if (methods.empty()) {
    return call.respond(error_reply(form_of(call.request->path), 404, "not_found",
                                    "there is nothing at this path", call.request_id));
  }
  Reply reply = method == "OPTIONS"
                    ? Reply{204, "", "", {}}
                    : error_reply(form_of(call.request->path), 405, "method_not_allowed",
                                  "this path takes " + methods, call.request_id);
  reply.headers.push_back({"Allow", methods + ", OPTIONS"});
  call.respond(std::move(reply));
}

Reply json_reply(int status, std::string json) {
  return {status, "application/json", std::move(json), {}};
}

Reply error_reply(ErrorForm form, int status, std::string_view code, std::string_view detail,
                  const std::string& request_id, bool model_available) {
  std::string json;
  if (form == ErrorForm::kInference) {
    json = "{\"error\":";
    append_text(json, detail);
    json += ",\"code\":";
    append_text(json, code);
    return json_reply(status, json + "}");
  }
  if (form == ErrorForm::kSidecar) {
    json = "{\"error\":";
    append_text(json, code);
    json += ",\"detail\":";
    append_text(json, detail);
    json += fmt::format(",\"model_available\":{}}}", model_available);
    return json_reply(status, std::move(json));
  }
  json = fmt::format(R"({{"type":"urn:graupel:error:{}","title":"{}","status":{},"detail":)", code,
                     code, status);
  append_text(json, detail);
  if (!request_id.empty()) {
    json += ",\"correlation_id\":";
    append_text(json, request_id);
  }
  return {status, "application/problem+json", json + "}", {}};
}

Reply error_reply(const Call& call, const Error& error, int status) {
  const bool ours = error.code == ErrorCode::kInternal || error.code == ErrorCode::kIo;
  return error_reply(call.form, ours ? 500 : status, to_string(error.code), error.message(),
                     call.request_id);
}

void compute(Service& service, const Call& call, std::chrono::milliseconds deadline,
             std::function<Reply(size_t worker, double queue_seconds)> work) {
  const auto busy = [&service, form = call.form, id = call.request_id](std::string_view code,
                                                                       std::string_view detail) {
    service.metrics.refused(code);
    Reply reply = error_reply(form, 503, code, detail, id);
    reply.headers.push_back({"Retry-After", "1"});
    return reply;
  };
  const TimePoint begun = Clock::now();
  Job job;
  job.deadline = begun + deadline;
  job.run = [respond = call.respond, begun, work = std::move(work)](size_t worker) {
    respond(work(worker, seconds_since(begun)));
  };
  job.expired = [respond = call.respond, busy] {
    respond(busy("deadline", "the window waited past its deadline and was not computed"));
  };
  if (!service.workers.submit(std::move(job))) {
    call.respond(busy("queue_full", "as many windows wait as may; try again in a moment"));
  }
}

}  // namespace graupel::serve
