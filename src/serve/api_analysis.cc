// What is known of a session: motifs, synchrony, behaviour. See api.h.
// Reference: the EdgeInfer contract; docs/sessions.md. Test: sessions_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "serve/api.h"
#include "serve/api_sessions.h"
#include "serve/json.h"
#include "serve/session_write.h"
#include "serve/synchrony.h"

namespace graupel::serve {
namespace {

constexpr double kDefaultTopK = 12;
constexpr double kSynchronyMs = 5000.0, kMaxLagMs = 500.0;
constexpr size_t kMaxSynchronySamples = 4000;

// A session of a query, and the form that asked.
struct Asked {
  SessionPointer session;
  SessionForm form = SessionForm::kA;
};

Outcome<Asked> asked_session(const Service& service, const Call& call) {
  Asked asked;
  auto id = call.request->query_value("sessionId");
  if (!id) {
    asked.form = SessionForm::kB;
    id = call.request->query_value("session_id");
  }
  if (!id || id->empty()) {
    return Refusal{400, "missing_session", "the query needs sessionId= or session_id="};
  }
  asked.session = find_session(service, asker_of(service, call), *id);
  if (asked.session == nullptr) return unknown_session(404);
  return asked;
}

// A number of the query within [low, high]; `otherwise` if it is not there.
Result<double> query_number(const Call& call, std::string_view a, std::string_view b, double low,
                            double high, double otherwise) {
  auto text = call.request->query_value(a);
  if (!text) text = call.request->query_value(b);
  if (!text) return otherwise;
  double value = 0.0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() ||
      !(value >= low && value <= high)) {
    return invalid_input(std::string(a), fmt::format("has to be from {} to {}", low, high));
  }
  return value;
}

void begin_answer(JsonWriter& json, const Names& names, const Session& session) {
  json.begin_object().field(names("sessionId", "session_id"), session.id);
  json.field("timestamp", iso_time(std::chrono::system_clock::now()));
}

int64_t window_us(const Session& session) {
  const TimelineOptions& options = session.timeline.options;
  return std::llround(static_cast<double>(options.window_samples) * 1e6 / options.rate_hz);
}

// ---- motifs ----

void write_motif(JsonWriter& json, const Names& names, const Session& session,
                 const WindowRecord& last, size_t index) {
  const auto state = static_cast<int64_t>(index);
  json.begin_object().field("id", motif_id(state));
  json.field(names("description", "type"), class_name(*session.model, state));
  json.field("score", last.probabilities[index]);
  const bool followed = last.state.has_value() && index < last.state->probabilities.size();
  json.field("confidence", followed ? last.state->probabilities[index] : last.probabilities[index]);
  if (followed && last.state->state == state) {
    json.field("duration_ms", milliseconds(last.state->elapsed_us));
    json.field("duration_at_least", last.state->at_least);
    json.field("start_time", milliseconds(last.end_us - last.state->elapsed_us));
    json.field("end_time", milliseconds(last.end_us));
  }
  json.end_object();
}

std::vector<size_t> by_score(const WindowRecord& record, size_t top_k) {
  std::vector<size_t> order(record.probabilities.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return record.probabilities[a] > record.probabilities[b];
  });
  order.resize(std::min(order.size(), top_k));
  return order;
}

std::string motifs_json(const Asked& asked, size_t top_k) {
  const Session& session = *asked.session;
  const Names names{asked.form};
  JsonWriter json;
  begin_answer(json, names, session);
  write_status(json, waiting_reason(session));
  json.field(names("topK", "top_k"), top_k);
  json.field(names("analysisWindowMs", "analysis_window_ms"), milliseconds(window_us(session)));
  json.key("motifs").begin_array();
  if (!session.records.empty()) {
    const WindowRecord& last = session.records.back();
    for (const size_t index : by_score(last, top_k)) {
      write_motif(json, names, session, last, index);
    }
  }
  json.end_array();
  if (!session.records.empty() && session.records.back().conformal_set) {
    json.key(names("conformalSet", "conformal_set")).begin_array();
    for (const int64_t each : *session.records.back().conformal_set) json.value(motif_id(each));
    json.end_array();
  }
  write_engine(json, names, session);
  return json.end_object().take();
}

// ---- synchrony ----

struct Series {
  std::vector<double> a, b;
  std::string missing;  // why there are none
};

// Magnitude of acceleration of the first two sensors over the last `count` instants.
Series series_of(const Session& session, size_t count) {
  const Timeline& timeline = session.timeline;
  Series series;
  if (timeline.options.sensors < 2) {
    series.missing = "the model has one sensor; synchrony is between two";
    return series;
  }
  const uint64_t known = known_instants(timeline);
  if (known < count) {
    series.missing = known == 0 ? waiting_for(timeline)
                                : fmt::format("{} of {} samples are there", known, count);
    return series;
  }
  for (size_t sensor = 0; sensor < 2; ++sensor) {
    std::vector<double>& values = sensor == 0 ? series.a : series.b;
    for (const auto& each : values_at(timeline, sensor, known - count, 1, count)) {
      if (!each) {
        series.missing = fmt::format("sensor {} has a gap in the last {} samples", sensor, count);
        return series;
      }
      values.push_back(std::sqrt(double{(*each)[0]} * (*each)[0] + double{(*each)[1]} * (*each)[1] +
                                 double{(*each)[2]} * (*each)[2]));
    }
  }
  return series;
}

std::string synchrony_json(const Names& names, const std::string& session_id, const Series& series,
                           double rate_hz, size_t count, size_t max_lag) {
  std::optional<Synchrony> found;
  std::string waiting = series.missing;
  if (waiting.empty()) found = synchrony(series.a, series.b, max_lag);
  if (waiting.empty() && !found) waiting = "a sensor does not move";
  JsonWriter json;
  json.begin_object().field(names("sessionId", "session_id"), session_id);
  json.field("timestamp", iso_time(std::chrono::system_clock::now()));
  write_status(json, waiting);
  json.field("window_ms", static_cast<double>(count) * 1e3 / rate_hz);
  if (found) {
    json.field("r", found->r);
    json.field("lag_ms", static_cast<double>(found->lag) * 1e3 / rate_hz);
    json.field("confidence", found->confidence).field("samples", count);
    json.field("effective_samples", found->effective_samples);
  }
  return json.end_object().take();
}

// ---- behaviour ----

void write_codes(JsonWriter& json, const Session& session, size_t windows) {
  const size_t first = session.records.size() - std::min(session.records.size(), windows);
  std::map<int64_t, size_t> counts;
  std::vector<int64_t> sequence;
  for (size_t i = first; i < session.records.size(); ++i) {
    if (!session.records[i].fsq_code) return;
    sequence.push_back(*session.records[i].fsq_code);
    ++counts[sequence.back()];
  }
  double entropy = 0.0;
  for (const auto& [code, count] : counts) {
    const double p = static_cast<double>(count) / static_cast<double>(sequence.size());
    entropy -= p * std::log(p);
  }
  json.key("vq_codes").begin_object().list("sequence", sequence);
  json.list("digits", session.records.back().fsq_digits);
  if (session.model->decider && session.model->decider->block.fsq) {
    double codes = 1.0;
    for (const int64_t levels : session.model->decider->block.fsq->levels) {
      codes *= static_cast<double>(levels);
    }
    json.field("codebook_utilization", static_cast<double>(counts.size()) / codes);
  }
  json.field("perplexity", std::exp(entropy)).end_object();
}

void write_behaviour(JsonWriter& json, const Session& session, size_t windows, bool raw) {
  const WindowRecord& last = session.records.back();
  json.key("behavioral_state").begin_object();
  json.field("primary", class_name(*session.model, last.class_index));
  json.field("confidence", last.confidence).field("entropy", last.entropy);
  const double most = std::log(static_cast<double>(std::max<size_t>(last.probabilities.size(), 2)));
  json.key("uncertainty").begin_object().field("total", last.entropy / most).end_object();
  json.end_object();
  if (last.conformal_set) {
    json.key("conformal_set").begin_array();
    for (const int64_t each : *last.conformal_set) json.value(class_name(*session.model, each));
    json.end_array();
  }
  write_codes(json, session, windows);
  if (last.state) {
    json.key("hsmm_states").begin_object();
    json.field("current_state", class_name(*session.model, last.state->state));
    json.field("probability", last.state->probability);
    json.field("elapsed_ms", milliseconds(last.state->elapsed_us));
    json.field("elapsed_at_least", last.state->at_least);
    if (last.state->remaining_us) {
      json.field("duration_remaining", milliseconds(*last.state->remaining_us));
    }
    json.field("transition_probability", last.state->end_probability).end_object();
  }
  if (last.has_drift) {
    json.key("drift").begin_object().field("log_wealth", last.drift_log_wealth);
    json.field("alarm", last.drift_alarm).end_object();
  }
  if (raw) write_window(json.key("raw"), last);
}

std::string behavioural_json(const Asked& asked, size_t windows, bool raw) {
  const Session& session = *asked.session;
  const Names names{asked.form};
  JsonWriter json;
  begin_answer(json, names, session);
  write_status(json, waiting_reason(session));
  json.key("analysis").begin_object();
  if (!session.records.empty()) write_behaviour(json, session, windows, raw);
  json.end_object();
  write_engine(json, names, session);
  return json.end_object().take();
}

// The session, or nullptr after having answered.
std::optional<Asked> asked_or_refused(const Service& service, const Call& call) {
  Outcome<Asked> asked = asked_session(service, call);
  if (const auto* refused = std::get_if<Refusal>(&asked)) {
    call.respond(refusal_reply(call, *refused));
    return std::nullopt;
  }
  return std::get<Asked>(std::move(asked));
}

}  // namespace

void get_session_motifs(Service& service, Call call) {
  const std::optional<Asked> asked = asked_or_refused(service, call);
  if (!asked) return;
  const Result<double> top_k = query_number(call, "topK", "top_k", 1, 4096, kDefaultTopK);
  if (!top_k.ok()) return call.respond(error_reply(call, top_k.error()));
  call.respond(json_reply(200, motifs_json(*asked, static_cast<size_t>(*top_k))));
}

void get_session_synchrony(Service& service, Call call) {
  const std::optional<Asked> asked = asked_or_refused(service, call);
  if (!asked) return;
  const TimelineOptions& options = asked->session->timeline.options;
  const double most_ms = 1e3 / options.rate_hz *
                         static_cast<double>(std::min(options.ring_samples, kMaxSynchronySamples));
  const Result<double> span_ms =
      query_number(call, "windowMs", "window_ms", 100.0, most_ms, std::min(kSynchronyMs, most_ms));
  if (!span_ms.ok()) return call.respond(error_reply(call, span_ms.error()));
  const Result<double> lag_ms = query_number(call, "maxLagMs", "max_lag_ms", 0.0, *span_ms / 4.0,
                                             std::min(kMaxLagMs, *span_ms / 4.0));
  if (!lag_ms.ok()) return call.respond(error_reply(call, lag_ms.error()));
  const auto samples = [&](double ms) {
    return static_cast<size_t>(std::llround(ms * options.rate_hz / 1e3));
  };
  const size_t count = samples(*span_ms), max_lag = samples(*lag_ms);
  compute(service, call, service.options.deadline,
          [names = Names{asked->form}, id = asked->session->id,
           series = series_of(*asked->session, count), rate_hz = options.rate_hz, count,
           max_lag](size_t, double) {
            return json_reply(200, synchrony_json(names, id, series, rate_hz, count, max_lag));
          });
}

void get_session_behavioural(Service& service, Call call) {
  const std::optional<Asked> asked = asked_or_refused(service, call);
  if (!asked) return;
  const Result<double> windows =
      query_number(call, "window_size", "windowSize", 1, kKeptRecords, 20);
  if (!windows.ok()) return call.respond(error_reply(call, windows.error()));
  const auto raw = call.request->query_value("include_raw");
  call.respond(json_reply(200, behavioural_json(*asked, static_cast<size_t>(*windows),
                                                raw && (*raw == "true" || *raw == "1"))));
}

}  // namespace graupel::serve
