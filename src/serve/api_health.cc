// Health and metrics. See api.h. References: the EdgeInfer contract's /healthz; Kubernetes' names
// for liveness and readiness. Test: server_test.cc.
#include <fmt/format.h>

#include "serve/api.h"
#include "serve/json.h"

namespace graupel::serve {
namespace {

std::string_view reason(const Service& service) {
  return service.draining ? "the server is shutting down" : "no model is loaded";
}

EngineGauges gauge_of(const Model& model) {
  const EngineView view = engine_view(model);
  EngineGauges gauge;
  gauge.model = model.name;
  gauge.version = model.version;
  gauge.state = view.state;
  if (!view.device) return gauge;
  const npu::Counters& counters = view.device->counters;
  gauge.asks_device = true;
  gauge.temperature_celsius = view.device->vitals.temperature_celsius;
  gauge.hung_threads = view.device->hung_threads;
  gauge.openings = counters.openings;
  gauge.shadow_windows = counters.shadow_runs;
  gauge.shadow_disagreements = counters.shadow_disagreements;
  if (counters.shadow_runs > 0) gauge.shadow_snr_db = npu::shadow_snr_db(counters);
  return gauge;
}

}  // namespace

bool is_ready(const Service& service) {
  return !service.draining && service.models.first() != nullptr;
}

double uptime_seconds(const Service& service) { return seconds_since(service.started); }

void get_healthz(Service& service, Call call) {
  const std::shared_ptr<Model> model = service.models.first();
  service.metrics.health_check(is_ready(service));
  if (!is_ready(service)) {
    return call.respond(error_reply(call.form, 503, service.draining ? "draining" : "no_model",
                                    reason(service), call.request_id, model != nullptr));
  }
  std::string json = "{\"ok\":true,\"model\":";
  append_text(json, model->name);
  json += fmt::format(",\"uptime_s\":{:.3f},\"config_version\":\"1\",\"hef_sha256\":",
                      uptime_seconds(service));
  if (model->hef_sha256.empty()) {
    json += "null";
  } else {
    append_text(json, model->hef_sha256);
  }
  json += ",\"version\":";
  append_text(json, model->version);
  json += ",\"model_sha256\":";
  append_text(json, model->sha256);
  const EngineView view = engine_view(*model);
  json += ",\"device\":";
  append_text(json, view.engine);
  json += ",\"engine_state\":";
  append_text(json, view.state);
  if (!view.reason.empty()) {
    json += ",\"fallback_reason\":";
    append_text(json, view.reason);
  }
  call.respond(json_reply(200, json + "}"));
}

void get_livez(Service&, Call call) { call.respond(json_reply(200, "{\"live\":true}")); }

void get_readyz(Service& service, Call call) {
  if (is_ready(service)) return call.respond(json_reply(200, "{\"ready\":true}"));
  std::string json = "{\"ready\":false,\"reason\":";
  append_text(json, reason(service));
  call.respond(json_reply(503, json + "}"));
}

void get_metrics(Service& service, Call call) {
  Gauges gauges;
  gauges.queue_waiting = static_cast<int64_t>(service.workers.waiting());
  gauges.connections = static_cast<int64_t>(service.connections());
  gauges.sessions = static_cast<int64_t>(service.sessions.open.size());
  gauges.models_loaded = static_cast<int64_t>(service.models.count());
  gauges.uptime_seconds = uptime_seconds(service);
  gauges.process = process_use();
  for (const auto& [name, versions] : service.models.loaded) {
    for (const auto& [version, model] : versions) gauges.engines.push_back(gauge_of(*model));
  }
  call.respond({200, std::string(kMetricsContentType), service.metrics.text(gauges), {}});
}

}  // namespace graupel::serve
