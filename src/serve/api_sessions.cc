// Starting, feeding and stopping a session, and which models there are. See api.h.
// Reference: the EdgeInfer contract, forms A and B; docs/sessions.md. Test: sessions_test.cc.
#include <fmt/format.h>

#include <filesystem>

#include "serve/api.h"
#include "serve/api_sessions.h"
#include "serve/json.h"
#include "serve/session_write.h"

namespace graupel::serve {
namespace {

constexpr size_t kMaxStreamBytes = size_t{2} << 20;

Result<SessionMessage> message_of(const Service& service, const Call& call) {
  const std::string& body = call.request->body;
  if (body.empty()) return SessionMessage{};
  return parse_session_message(body, service.options.sessions.ring_samples * kMaxSensors);
}

void write_window_shape(JsonWriter& json, const Service& service, const Model& model) {
  const Shape shape = model.window_shape();
  if (shape.size() != 3) return;
  json.key("window").begin_object().field("channels", shape[0]).field("sensors", shape[1]);
  json.field("samples", shape[2]).field("rate_hz", service.options.sessions.rate_hz).end_object();
}

// When the bundle's file was written; nothing if it is not there any more.
std::optional<WallTime> file_time(const std::string& path) {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(path, error);
  if (error) return std::nullopt;
  return std::chrono::time_point_cast<std::chrono::system_clock::duration>(
      std::chrono::file_clock::to_sys(time));
}

void write_model(JsonWriter& json, const Service& service, const Model& model) {
  json.begin_object().field("id", model.name + ":" + model.version);
  json.field("name", model.name).field("version", model.version);
  if (const auto created = file_time(model.path)) json.field("created_at", iso_time(*created));
  json.field("backend", model.engine_name()).field("status", "ready");
  json.field("sha256", model.sha256);
  json.field("calibrated", model.decider.has_value());
  write_window_shape(json, service, model);
  json.list("labels", model.labels);
  const HistogramView latency =
      service.metrics.histogram("graupel_infer_duration_seconds", model.name);
  if (latency.count > 0) {
    json.key("performance").begin_object();
    json.field("latency_p50_ms", quantile(latency, 0.5) * 1e3);
    json.field("latency_p99_ms", quantile(latency, 0.99) * 1e3);
    json.field("windows", latency.count).end_object();
  }
  json.end_object();
}

}  // namespace

Reply refusal_reply(const Call& call, const Refusal& refusal) {
  Reply reply =
      error_reply(call.form, refusal.status, refusal.code, refusal.detail, call.request_id);
  if (refusal.retry_after_s > 0) {
    reply.headers.push_back({"Retry-After", std::to_string(refusal.retry_after_s)});
  }
  return reply;
}

Asker asker_of(const Service& service, const Call& call) {
  const auto& keys = service.options.keys;
  if (keys.empty()) return {"", true};
  const Access admin = judge_access(keys, *call.request, Role::kAdmin);
  return {call.who, admin.verdict == Verdict::kAllowed};
}

Refusal unknown_session(int status) {
  return {status, "unknown_session",
          "there is no such session; it may have ended, or belong to another key"};
}

std::string accepted_json(const Session& session, SessionForm form, const Accepted& accepted,
                          std::string_view type, std::optional<uint64_t> sequence_number) {
  JsonWriter json;
  json.begin_object();
  if (!type.empty()) json.field("type", type);
  json.field(Names{form}("sessionId", "session_id"), session.id);
  if (sequence_number) json.field("seq", *sequence_number);
  json.field("status", "accepted").field("samples_received", accepted.received);
  json.field("samples_dropped", accepted.dropped);
  json.field("buffer_fullness", fullness(session.timeline));
  if (const auto next = next_end_us(session.timeline)) {
    json.field("next_analysis_at", milliseconds(*next));
  }
  json.field("windows_answered", session.windows_answered);
  return json.end_object().take();
}

void post_session_start(Service& service, Call call) {
  const Result<SessionMessage> message = message_of(service, call);
  if (!message.ok()) return call.respond(error_reply(call, message.error()));
  const std::string owner = service.options.keys.empty() ? "" : call.who;
  const Outcome<SessionPointer> started = start_session(service, owner, *message);
  if (const auto* refused = std::get_if<Refusal>(&started)) {
    return call.respond(refusal_reply(call, *refused));
  }
  const Session& session = *std::get<SessionPointer>(started);
  call.respond(json_reply(message->form == SessionForm::kA ? 200 : 201,
                          started_json(session, message->form, service.options.sessions.idle)));
}

void put_session_stream(Service& service, Call call) {
  if (call.request->body.size() > kMaxStreamBytes) {
    return call.respond(error_reply(call.form, 413, "too_large",
                                    "a request takes at most 2 MiB of samples", call.request_id));
  }
  const Result<SessionMessage> message = message_of(service, call);
  if (!message.ok()) return call.respond(error_reply(call, message.error()));
  const Asker asker = asker_of(service, call);
  const SessionPointer session = find_session(service, asker, message->session_id);
  if (session == nullptr || session->owner != asker.owner) {
    return call.respond(
        refusal_reply(call, unknown_session(message->form == SessionForm::kA ? 400 : 404)));
  }
  if (!message->has_samples) {
    return call.respond(error_reply(call.form, 400, "invalid_input",
                                    "body: needs \"samples\", an array", call.request_id));
  }
  const Outcome<Accepted> fed = feed_session(service, session, message->samples);
  if (const auto* refused = std::get_if<Refusal>(&fed)) {
    return call.respond(refusal_reply(call, *refused));
  }
  call.respond(json_reply(
      202, accepted_json(*session, message->form, std::get<Accepted>(fed), {}, std::nullopt)));
}

void post_session_stop(Service& service, Call call) {
  const Result<SessionMessage> message = message_of(service, call);
  if (!message.ok()) return call.respond(error_reply(call, message.error()));
  const SessionPointer session =
      find_session(service, asker_of(service, call), message->session_id);
  if (session == nullptr) return call.respond(refusal_reply(call, unknown_session(404)));
  end_session(service, session, "stopped");
  call.respond(json_reply(200, stopped_json(*session, message->form)));
}

void get_api_models(Service& service, Call call) {
  JsonWriter json;
  json.begin_object().key("models").begin_array();
  for (const auto& [name, versions] : service.models.loaded) {
    for (const auto& [version, model] : versions) write_model(json, service, *model);
  }
  call.respond(json_reply(200, json.end_array().end_object().take()));
}

}  // namespace graupel::serve
