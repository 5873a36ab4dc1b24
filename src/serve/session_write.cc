// JSON of sessions and their windows. See session_write.h. Test: sessions_test.cc.
#include "serve/session_write.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace graupel::serve {
namespace {

constexpr uint64_t kMaxSignalInstants = 500;

double seconds_since(WallTime start) {
  return std::chrono::duration<double>(std::chrono::system_clock::now() - start).count();
}

void write_state(JsonWriter& json, const WindowRecord& record) {
  const StateView& state = *record.state;
  json.key("hsmm").begin_object();
  json.field("state", state.state).field("probability", state.probability);
  json.field("elapsed_ms", milliseconds(state.elapsed_us));
  json.field("elapsed_at_least", state.at_least);
  if (state.remaining_us) json.field("remaining_ms", milliseconds(*state.remaining_us));
  json.field("end_probability", state.end_probability);
  json.list("probabilities", state.probabilities).end_object();
}

using Instant = std::optional<std::array<float, kSensorChannels>>;

// [[x...], [y...], [z...]] of one quantity.
void write_triplet(JsonWriter& json, std::string_view name, const std::vector<Instant>& values,
                   size_t first_channel) {
  json.key(name).begin_array();
  for (size_t axis = 0; axis < 3; ++axis) {
    json.begin_array();
    for (const Instant& each : values) {
      if (each) {
        json.value((*each)[first_channel + axis]);
      } else {
        json.null();
      }
    }
    json.end_array();
  }
  json.end_array();
}

// What came of what the time between the first and the last sample should have brought.
double completeness(const Session& session) {
  const Timeline& timeline = session.timeline;
  const uint64_t known = known_instants(timeline);
  const double expected =
      static_cast<double>(known) * static_cast<double>(timeline.options.sensors);
  if (expected <= 0.0) return 0.0;
  const SampleCounts& counts = timeline.counts;
  const double missing =
      static_cast<double>(counts.interpolated) +
      static_cast<double>(timeline.windows_skipped * timeline.options.hop_samples *
                          timeline.options.sensors);
  return std::clamp(1.0 - missing / expected, 0.0, 1.0);
}

}  // namespace

std::string iso_time(WallTime time) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(ms);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03d}Z", fmt::gmtime(std::time_t{whole.count()}),
                     (ms - whole).count());
}

double milliseconds(int64_t us) { return static_cast<double>(us) / 1e3; }

std::string motif_id(int64_t class_index) { return fmt::format("m{}", class_index + 1); }

std::string class_name(const Model& model, int64_t class_index) {
  const auto index = static_cast<size_t>(class_index);
  return index < model.labels.size() ? model.labels[index] : motif_id(class_index);
}

void write_window(JsonWriter& json, const WindowRecord& record) {
  json.begin_object().field("number", record.number);
  json.field("start_ms", milliseconds(record.start_us));
  json.field("end_ms", milliseconds(record.end_us));
  json.field("answered_at", iso_time(record.answered_at));
  json.field("class", record.class_index).field("label", record.label);
  json.field("confidence", record.confidence).field("entropy", record.entropy);
  json.list("probabilities", record.probabilities);
  if (record.conformal_set) json.list("conformal_set", *record.conformal_set);
  if (!record.fsq_digits.empty()) json.list("fsq_digits", record.fsq_digits);
  if (record.fsq_code) json.field("fsq_code", *record.fsq_code);
  if (record.state) write_state(json, record);
  if (!record.state_trouble.empty()) json.field("hsmm_trouble", record.state_trouble);
  if (record.has_drift) {
    json.key("drift").begin_object().field("log_wealth", record.drift_log_wealth);
    json.field("alarm", record.drift_alarm).end_object();
  }
  json.field("engine", record.engine);
  if (!record.fallback_reason.empty()) json.field("fallback_reason", record.fallback_reason);
  json.field("latency_ms", record.latency_s * 1e3);
  json.field("model_version", record.model_version).end_object();
}

void write_signals(JsonWriter& json, const Session& session, uint64_t first, uint64_t count) {
  const Timeline& timeline = session.timeline;
  const uint64_t step =
      std::max<uint64_t>(1, (count + kMaxSignalInstants - 1) / kMaxSignalInstants);
  json.begin_object().field("start_ms", milliseconds(instant_us(timeline, first)));
  json.field("step_ms", static_cast<double>(step) * 1e3 / timeline.options.rate_hz);
  json.key("sensors").begin_array();
  constexpr std::array<std::string_view, 3> kNames = {"accel", "gyro", "mag"};
  for (size_t sensor = 0; sensor < timeline.options.sensors; ++sensor) {
    const std::vector<Instant> values = values_at(timeline, sensor, first, step, count / step);
    json.begin_object();
    for (size_t triplet = 0; triplet * 3 < session.channels; ++triplet) {
      write_triplet(json, kNames[triplet], values, triplet * 3);
    }
    json.end_object();
  }
  json.end_array().end_object();
}

void write_session_line(JsonWriter& json, const Session& session) {
  json.begin_object().field("id", session.id).field("model", session.model->name);
  json.field("model_version", session.model->version);
  json.field("created_at", iso_time(session.created));
  const SampleCounts& counts = session.timeline.counts;
  if (counts.received > 0) json.field("last_sample_at", iso_time(session.last_sample_at));
  json.field("windows", session.windows_answered).field("samples", counts.received);
  json.field("samples_dropped", counts.dropped());
  if (!session.records.empty()) {
    const WindowRecord& last = session.records.back();
    json.key("state").begin_object().field("class", last.class_index);
    json.field("label", last.label).field("confidence", last.confidence).end_object();
    json.field("engine", last.engine);
    if (!last.fallback_reason.empty()) json.field("fallback_reason", last.fallback_reason);
    json.field("drift_alarm", last.drift_alarm);
  } else {
    json.field("waiting_for", waiting_for(session.timeline));
  }
  json.end_object();
}

void write_histogram(JsonWriter& json, const HistogramView& histogram) {
  json.begin_object().list("bounds_s", histogram.bounds).list("counts", histogram.counts);
  json.field("count", histogram.count).field("sum_s", histogram.sum).end_object();
}

void write_engine(JsonWriter& json, const Names& names, const Session& session) {
  json.field("model", session.model->name);
  if (session.records.empty()) {
    json.field(names("modelVersion", "model_version"), session.model->version);
    json.field("engine", session.model->engine_name());
    return;
  }
  const WindowRecord& last = session.records.back();
  json.field(names("modelVersion", "model_version"), last.model_version);
  json.field("engine", last.engine);
  if (!last.fallback_reason.empty()) {
    json.field(names("fallbackReason", "fallback_reason"), last.fallback_reason);
  }
}

void write_status(JsonWriter& json, const std::string& waiting) {
  json.field("status", waiting.empty() ? "ok" : "waiting");
  if (!waiting.empty()) json.field("reason", waiting);
}

std::string started_json(const Session& session, SessionForm form, std::chrono::seconds idle) {
  const Names names{form};
  const Model& model = *session.model;
  JsonWriter json;
  json.begin_object().field(names("sessionId", "session_id"), session.id);
  if (form == SessionForm::kA) {
    json.field("status", "started").field("timestamp", iso_time(session.created));
    write_engine(json, names, session);
    return json.end_object().take();
  }
  json.field("created_at", iso_time(session.created));
  json.field("expires_at", iso_time(session.created + idle));
  json.field("model", model.name).field("model_version", model.version);
  json.field("inference_backend", model.engine_name());
  json.key("calibration").begin_object().field("calibrated", model.decider.has_value());
  if (model.decider && model.decider->block.conformal) {
    json.field("conformal_alpha", model.decider->block.conformal->alpha);
  }
  json.field("hsmm", model.decider.has_value() && !model.decider->block.hsmm.empty());
  json.field("drift", model.decider.has_value() && model.decider->block.drift.has_value());
  return json.end_object().end_object().take();
}

std::string stopped_json(const Session& session, SessionForm form) {
  const SampleCounts& counts = session.timeline.counts;
  JsonWriter json;
  json.begin_object();
  if (form == SessionForm::kA) {
    json.field("sessionId", session.id).field("status", "stopped");
    json.field("duration_s", seconds_since(session.created));
    json.field("totalSamples", counts.received);
    json.field("timestamp", iso_time(std::chrono::system_clock::now()));
    return json.end_object().take();
  }
  json.field("session_id", session.id).key("summary").begin_object();
  json.field("duration_seconds", seconds_since(session.created));
  json.field("samples_processed", counts.received);
  json.field("windows_answered", session.windows_answered);
  json.key("behavioral_states").begin_object();
  for (const auto& [label, windows] : session.windows_by_label) {
    json.field(label, static_cast<double>(windows) / static_cast<double>(session.windows_answered));
  }
  json.end_object().key("quality_metrics").begin_object();
  json.field("data_completeness", completeness(session));
  json.field("samples_dropped", counts.dropped());
  json.field("windows_skipped", session.timeline.windows_skipped);
  return json.end_object().end_object().end_object().take();
}

}  // namespace graupel::serve
