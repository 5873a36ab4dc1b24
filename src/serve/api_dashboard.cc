// What a dashboard reads: sessions, one session whole, and how the server does. See api.h.
// Fields: docs/sessions.md. Test: sessions_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "serve/api.h"
#include "serve/api_sessions.h"
#include "serve/json.h"
#include "serve/openapi.h"
#include "serve/session_write.h"

namespace graupel::serve {
namespace {

// An integer of the query up to `most`; anything else is `otherwise`.
uint64_t query_integer(const Call& call, std::string_view name, uint64_t most, uint64_t otherwise) {
  const auto text = call.request->query_value(name);
  if (!text) return otherwise;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) return otherwise;
  return std::min(value, most);
}

void write_counts(JsonWriter& json, const SampleCounts& counts) {
  json.key("samples").begin_object().field("received", counts.received);
  json.field("duplicate", counts.duplicate).field("late", counts.late);
  json.field("overflow", counts.overflow).field("clock_jump", counts.clock_jump);
  json.field("interpolated", counts.interpolated).end_object();
}

std::string session_json(const Session& session, uint64_t windows, uint64_t signal_ms) {
  const Timeline& timeline = session.timeline;
  JsonWriter json;
  json.begin_object().field("id", session.id).field("model", session.model->name);
  json.field("model_version", session.model->version).list("labels", session.model->labels);
  json.field("created_at", iso_time(session.created)).field("rate_hz", timeline.options.rate_hz);
  json.field("hop_ms",
             static_cast<double>(timeline.options.hop_samples) * 1e3 / timeline.options.rate_hz);
  json.field("window_ms",
             static_cast<double>(timeline.options.window_samples) * 1e3 / timeline.options.rate_hz);
  write_status(json, waiting_reason(session));
  write_counts(json, timeline.counts);
  json.field("windows_answered", session.windows_answered);
  json.field("windows_skipped", timeline.windows_skipped).key("windows").begin_array();
  const size_t kept = session.records.size();
  for (size_t i = kept - std::min<size_t>(kept, windows); i < kept; ++i) {
    write_window(json, session.records[i]);
  }
  json.end_array().key("signals");
  const uint64_t known = known_instants(timeline);
  const auto wanted =
      static_cast<uint64_t>(static_cast<double>(signal_ms) * timeline.options.rate_hz / 1e3);
  const uint64_t instants = std::min(known, wanted);
  write_signals(json, session, known - instants, instants);
  return json.end_object().take();
}

void write_engines(JsonWriter& json, const Service& service) {
  json.key("engines").begin_array();
  for (const auto& [name, versions] : service.models.loaded) {
    for (const auto& [version, model] : versions) {
      json.begin_object().field("model", name).field("version", version);
      const EngineView view = engine_view(*model);
      json.field("engine", view.engine).field("state", view.state).field("reason", view.reason);
      json.end_object();
    }
  }
  json.end_array();
}

void write_events(JsonWriter& json, const Metrics& metrics) {
  json.key("fallback_events").begin_array();
  for (const FallbackEvent& event : metrics.fallback_events()) {
    json.begin_object().field("at", iso_time(event.at)).field("last_at", iso_time(event.last_at));
    json.field("count", event.count).field("model", event.model);
    json.field("engine", event.engine).field("reason", event.reason).end_object();
  }
  json.end_array();
}

}  // namespace

std::string sessions_json(const Service& service, const Asker& asker) {
  JsonWriter json;
  json.begin_object().field("timestamp", iso_time(std::chrono::system_clock::now()));
  json.key("sessions").begin_array();
  for (const auto& [id, session] : service.sessions.open) {
    if (asker.sees_all || session->owner == asker.owner) write_session_line(json, *session);
  }
  return json.end_array().end_object().take();
}

std::string status_json(const Service& service) {
  JsonWriter json;
  json.begin_object().field("timestamp", iso_time(std::chrono::system_clock::now()));
  json.field("uptime_s", uptime_seconds(service));
  json.field("ready", is_ready(service));
  json.field("draining", service.draining).field("sessions", service.sessions.open.size());
  json.field("connections", service.connections());
  json.field("queue_waiting", service.workers.waiting());
  json.field("workers", service.workers.threads());
  write_engines(json, service);
  write_events(json, service.metrics);
  json.key("latency").begin_object();
  const std::pair<const char*, const char*> histograms[] = {
      {"window", "graupel_session_window_duration_seconds"},
      {"infer", "graupel_infer_duration_seconds"},
      {"queue", "graupel_queue_duration_seconds"},
      {"decide", "graupel_decide_duration_seconds"}};
  for (const auto& [name, family] : histograms) {
    write_histogram(json.key(name), service.metrics.histogram(family));
  }
  return json.end_object().end_object().take();
}

void get_sessions(Service& service, Call call) {
  call.respond(json_reply(200, sessions_json(service, asker_of(service, call))));
}

void get_session(Service& service, Call call) {
  const SessionPointer session = find_session(service, asker_of(service, call), call.parameters[0]);
  if (session == nullptr) return call.respond(refusal_reply(call, unknown_session(404)));
  const uint64_t windows = query_integer(call, "windows", kKeptRecords, kKeptRecords);
  const uint64_t signal_ms = query_integer(call, "signal_ms", 60'000, 5'000);
  call.respond(json_reply(200, session_json(*session, windows, signal_ms)));
}

void get_openapi(Service&, Call call) {
  call.respond({200, "application/yaml", std::string(openapi_text()), {}});
}

void get_status(Service& service, Call call) {
  call.respond(json_reply(200, status_json(service)));
}

}  // namespace graupel::serve
