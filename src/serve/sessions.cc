// From samples to answered windows. See sessions.h. Test: sessions_test.cc.
#include "serve/sessions.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"
#include "serve/api.h"

namespace graupel::serve {
namespace {

constexpr size_t kWindowsPerJob = 4;
constexpr std::chrono::milliseconds kRetry{5};
constexpr double kMaxHopMs = 60'000.0;

// A version 4 UUID; empty if there is no randomness.
std::string random_uuid() {
  std::string bytes(16, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), 16) != 1) return {};
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  return uuid_text(bytes);
}

// Why a model cannot answer a session of this shape; empty if it can.
std::string unfit(const Model& model) {
  const Shape shape = model.window_shape();
  const bool fits = shape.size() == 3 && (shape[0] == 3 || shape[0] == 6 || shape[0] == 9) &&
                    shape[1] >= 1 && shape[1] <= kMaxSensors && shape[2] >= 2;
  if (fits && model.decides) return {};
  return fmt::format(
      "model {} takes windows [{}]{}; a session needs 3, 6 or 9 channels x 1 to {} sensors x "
      "samples, and class scores",
      model.name, fmt::join(shape, ","), model.decides ? "" : " and gives no class scores",
      kMaxSensors);
}

bool same_shape(const Session& session, const Model& model) {
  const Shape shape = model.window_shape();
  return unfit(model).empty() && static_cast<size_t>(shape[0]) == session.channels &&
         static_cast<size_t>(shape[1]) == session.timeline.options.sensors &&
         static_cast<size_t>(shape[2]) == session.timeline.options.window_samples;
}

// The model that answers now; a reload may have put another one in its place.
std::shared_ptr<Model> current_model(const Service& service, Session& session) {
  const std::shared_ptr<Model> model =
      service.models.find(session.model_name, session.pinned_version);
  session.trouble.clear();
  if (model == nullptr) {
    session.trouble = "its model is not loaded any more";
  } else if (!same_shape(session, *model)) {
    session.trouble = "its model was replaced by one for other windows; start a new session";
  } else {
    session.model = model;
    return model;
  }
  return nullptr;
}

const char* quantity_name(size_t triplet) {
  constexpr std::array<const char*, 3> kNames = {"acceleration", "rotation", "field"};
  return kNames[triplet];
}

std::optional<Refusal> judge(const SensorLimits& limits, const Session& session,
                             const SessionSample& sample, size_t index) {
  const std::array<double, 3> of_triplet = {limits.acceleration_m_s2, limits.rotation_rad_s,
                                            limits.field_ut};
  if (sample.sensor >= session.timeline.options.sensors) {
    return Refusal{422, "unknown_sensor",
                   fmt::format("samples[{}]: is of sensor {}, the model has {}", index,
                               sample.sensor, session.timeline.options.sensors)};
  }
  for (size_t triplet = 0; triplet * 3 < session.channels; ++triplet) {
    if ((sample.given >> triplet & 1) == 0) {
      return Refusal{422, "missing_channel",
                     fmt::format("samples[{}]: has no {}, which the model needs", index,
                                 quantity_name(triplet))};
    }
    for (size_t axis = 0; axis < 3; ++axis) {
      const float value = sample.sample.values[triplet * 3 + axis];
      if (std::abs(static_cast<double>(value)) <= of_triplet[triplet]) continue;
      return Refusal{422, "out_of_range",
                     fmt::format("samples[{}]: has a {} of {}, beyond the limit of {}; is it in "
                                 "another unit?",
                                 index, quantity_name(triplet), value, of_triplet[triplet])};
    }
  }
  return std::nullopt;
}

// The longest request, a ring full of samples, is always taken after a pause.
std::optional<Refusal> judge_pace(Service& service, Session& session, size_t samples) {
  const SessionOptions& options = service.options.sessions;
  if (options.speed <= 0.0) return std::nullopt;
  const auto sensors = static_cast<double>(session.timeline.options.sensors);
  const double seconds = static_cast<double>(samples) / (sensors * options.rate_hz);
  const double burst = static_cast<double>(options.ring_samples) / options.rate_hz;
  const auto wait = take_tokens(session.pace, seconds, options.speed, burst, Clock::now());
  if (!wait) return std::nullopt;
  service.metrics.refused("session_rate");
  return Refusal{429, "session_rate",
                 fmt::format("{} samples come faster than {} times the {} Hz of this session; "
                             "see Retry-After and send them again",
                             samples, options.speed, options.rate_hz),
                 static_cast<int>(std::ceil(*wait))};
}

// When the sample came that completed the window that ends before `instant`.
TimePoint arrival_of(Session& session, uint64_t instant) {
  TimePoint arrived = Clock::now();
  for (const auto& [known, when] : session.arrivals) {
    if (known < instant) continue;
    arrived = when;
    break;
  }
  while (!session.arrivals.empty() && session.arrivals.front().first < instant) {
    session.arrivals.pop_front();
  }
  return arrived;
}

std::vector<WindowTask> cut_tasks(Service& service, Session& session) {
  std::vector<WindowTask> tasks;
  while (tasks.size() < kWindowsPerJob) {
    std::optional<Cut> cut = cut_window(session.timeline, session.channels);
    if (!cut) break;
    session.missing += cut->skipped;
    if (cut->skipped > 0) service.metrics.windows_skipped("gap", cut->skipped);
    if (cut->values.empty()) break;
    WindowTask task;
    task.number = session.windows_begun++;
    task.start_us = cut->start_us;
    task.end_us = cut->end_us;
    task.missing = std::exchange(session.missing, 0);
    task.restarts = std::exchange(session.restarts, false);
    const TimelineOptions& options = session.timeline.options;
    task.arrived = arrival_of(
        session, session.timeline.next_start - options.hop_samples + options.window_samples);
    task.values = std::move(cut->values);
    tasks.push_back(std::move(task));
  }
  return tasks;
}

void pump(Service& service, const SessionPointer& session);

void take_records(Service& service, const SessionPointer& session,
                  std::vector<WindowRecord> records) {
  session->computing = false;
  for (WindowRecord& record : records) {
    ++session->windows_answered;
    ++session->windows_by_label[record.label.empty() ? fmt::format("m{}", record.class_index + 1)
                                                     : record.label];
    if (session->records.size() >= kKeptRecords) session->records.pop_front();
    session->records.push_back(std::move(record));
    if (!session->ended && service.session_events.answered) {
      service.session_events.answered(*session, session->records.back());
    }
  }
  if (!session->ended) pump(service, session);
}

// On a worker.
std::vector<WindowRecord> compute_tasks(Service& service, Model& model, size_t worker,
                                        const std::vector<WindowTask>& tasks, const HopOptions& hop,
                                        StreamMemory& memory, TimePoint submitted) {
  const double queue_s = seconds_since(submitted);
  std::vector<WindowRecord> records;
  for (const WindowTask& task : tasks) {
    WindowAnswer answered;
    Result<WindowRecord> record = answer_in_stream(model, worker, task, hop, memory, answered);
    if (!record.ok()) {
      service.metrics.windows_skipped("error", 1);
      continue;
    }
    record->answered_at = std::chrono::system_clock::now();
    record->latency_s = seconds_since(task.arrived);
    observe(service.metrics, model, answered, queue_s);
    model.statistics.answered({1, queue_s, 0.0, answered.infer_seconds, answered.decide_seconds},
                              record->latency_s, record->answered_at);
    service.metrics.session_window(model.name, record->latency_s);
    if (record->has_drift) service.metrics.drift(model.name, std::exp(record->drift_log_wealth));
    records.push_back(*std::move(record));
  }
  return records;
}

// Cuts what can be cut and gives it to a worker, unless one has the session's memory already.
void pump(Service& service, const SessionPointer& session) {
  if (session->computing || session->retrying || session->ended) return;
  const std::shared_ptr<Model> model = current_model(service, *session);
  if (service.workers.is_full()) {
    session->retrying = true;
    return service.loop.after(kRetry, [&service, session] {
      session->retrying = false;
      pump(service, session);
    });
  }
  std::vector<WindowTask> tasks = cut_tasks(service, *session);
  while (model == nullptr && !tasks.empty()) {
    for (const WindowTask& task : tasks) {
      session->missing += task.missing + 1;
      session->restarts |= task.restarts;
    }
    service.metrics.windows_skipped("no_model", tasks.size());
    tasks = cut_tasks(service, *session);
  }
  if (tasks.empty()) return;
  session->computing = true;
  Job job;
  job.deadline = TimePoint::max();
  job.run = [&service, session, model, submitted = Clock::now(), hop = session->hop,
             memory = session->memory, tasks = std::move(tasks)](size_t worker) {
    std::vector<WindowRecord> records =
        compute_tasks(service, *model, worker, tasks, hop, *memory, submitted);
    service.loop.post([&service, session, records = std::move(records)]() mutable {
      take_records(service, session, std::move(records));
    });
  };
  job.expired = [] {};
  // Jobs only come from this thread, so the queue still has the place seen above.
  if (!service.workers.submit(std::move(job))) session->computing = false;
}

void count_drops(Service& service, const SampleCounts& before, const SampleCounts& after) {
  service.metrics.samples(after.received - before.received);
  const std::pair<const char*, uint64_t> reasons[] = {
      {"duplicate", after.duplicate - before.duplicate},
      {"late", after.late - before.late},
      {"overflow", after.overflow - before.overflow},
      {"clock_jump", after.clock_jump - before.clock_jump}};
  for (const auto& [reason, count] : reasons) {
    if (count > 0) service.metrics.samples_dropped(reason, count);
  }
}

Outcome<SessionPointer> make_session(const Service& service, const std::shared_ptr<Model>& model,
                                     const SessionMessage& message) {
  const SessionOptions& options = service.options.sessions;
  auto session = std::make_shared<Session>();
  session->id = random_uuid();
  if (session->id.empty()) return Refusal{500, "no_randomness", "the system gives no random bytes"};
  const double hop_ms = message.hop_ms.value_or(options.hop_ms);
  if (!(hop_ms >= 1000.0 / options.rate_hz && hop_ms <= kMaxHopMs)) {
    return Refusal{422, "bad_hop",
                   fmt::format("a hop of {} ms is not between one sample and 60,000 ms", hop_ms)};
  }
  const Shape shape = model->window_shape();
  TimelineOptions timeline;
  timeline.sensors = static_cast<size_t>(shape[1]);
  timeline.window_samples = static_cast<size_t>(shape[2]);
  timeline.rate_hz = options.rate_hz;
  timeline.hop_samples = static_cast<size_t>(std::llround(hop_ms * options.rate_hz / 1e3));
  // What a window to come needs has its place beside a request of the largest size.
  timeline.ring_samples = options.ring_samples + 2 * timeline.window_samples;
  timeline.gap_us = std::llround(options.gap_ms * 1e3);
  session->channels = static_cast<size_t>(shape[0]);
  session->timeline = make_timeline(timeline);
  session->hop = {static_cast<int64_t>(timeline.hop_samples), timeline.rate_hz};
  session->model_name = model->name;
  session->pinned_version = message.model_version;
  session->model = model;
  session->created = std::chrono::system_clock::now();
  session->last_used = Clock::now();
  session->pace = {static_cast<double>(options.ring_samples) / options.rate_hz, session->last_used};
  return session;
}

}  // namespace

Outcome<SessionPointer> start_session(Service& service, std::string owner,
                                      const SessionMessage& message) {
  if (service.draining) {
    return Refusal{503, "draining", "the server is shutting down", 1};
  }
  if (service.sessions.open.size() >= service.options.sessions.limit) {
    service.metrics.refused("too_many_sessions");
    return Refusal{
        503, "too_many_sessions",
        fmt::format("{} sessions are open, which is the limit", service.sessions.open.size()), 30};
  }
  const std::shared_ptr<Model> model =
      message.model.empty() ? service.models.first()
                            : service.models.find(message.model, message.model_version);
  if (model == nullptr && message.model.empty()) {
    return Refusal{503, "not_ready", "no model is ready", 1};
  }
  if (model == nullptr ||
      (!message.model_version.empty() && model->version != message.model_version)) {
    return Refusal{404, "no_model",
                   fmt::format("no model '{}' of version '{}' is loaded; GET /api/v1/models lists "
                               "them",
                               shortened(message.model, 64), shortened(message.model_version, 64))};
  }
  if (std::string reason = unfit(*model); !reason.empty()) {
    return Refusal{422, "unfit_model", std::move(reason)};
  }
  Outcome<SessionPointer> made = make_session(service, model, message);
  if (const auto* session = std::get_if<SessionPointer>(&made)) {
    (*session)->owner = std::move(owner);
    service.sessions.open[(*session)->id] = *session;
    service.metrics.session("started");
  }
  return made;
}

SessionPointer find_session(const Service& service, const Asker& asker, std::string_view id) {
  const auto found = service.sessions.open.find(id);
  if (found == service.sessions.open.end()) return nullptr;
  const bool visible = asker.sees_all || found->second->owner == asker.owner;
  return visible ? found->second : nullptr;
}

Outcome<Accepted> feed_session(Service& service, const SessionPointer& session,
                               std::span<const SessionSample> samples) {
  std::array<size_t, kMaxSensors> count{};
  for (size_t i = 0; i < samples.size(); ++i) {
    if (auto refused = judge(service.options.sensor_limits, *session, samples[i], i)) {
      service.metrics.refused(refused->code);
      return *std::move(refused);
    }
    ++count[samples[i].sensor];
  }
  for (size_t sensor = 0; sensor < session->timeline.options.sensors; ++sensor) {
    if (count[sensor] > service.options.sessions.ring_samples) {
      return Refusal{413, "too_many_samples",
                     fmt::format("{} samples of sensor {}, at most {} are taken at once",
                                 count[sensor], sensor, service.options.sessions.ring_samples)};
    }
    if (count[sensor] == 0 || !is_full(session->timeline, sensor, count[sensor])) continue;
    service.metrics.refused("session_full");
    return Refusal{503, "session_full",
                   "answers are as far behind as the session's memory reaches; send this again", 1};
  }
  if (auto refused = judge_pace(service, *session, samples.size())) return *std::move(refused);
  const SampleCounts before = session->timeline.counts;
  for (const SessionSample& each : samples) insert(session->timeline, each.sensor, each.sample);
  const SampleCounts& after = session->timeline.counts;
  count_drops(service, before, after);
  if (session->timeline.restarts != session->seen_restarts) {
    session->seen_restarts = session->timeline.restarts;
    session->restarts = true;
    session->arrivals.clear();
  }
  session->last_used = Clock::now();
  session->last_sample_at = std::chrono::system_clock::now();
  session->arrivals.emplace_back(known_instants(session->timeline), session->last_used);
  if (session->arrivals.size() > session->timeline.options.ring_samples) {
    session->arrivals.pop_front();
  }
  pump(service, session);
  return Accepted{samples.size(), static_cast<size_t>(after.dropped() - before.dropped())};
}

void end_session(Service& service, const SessionPointer& session, std::string_view reason) {
  if (session->ended) return;
  session->ended = true;
  service.sessions.open.erase(session->id);
  service.metrics.session(reason);
  if (service.session_events.ended) service.session_events.ended(*session, reason);
}

void end_all_sessions(Service& service, std::string_view reason) {
  while (!service.sessions.open.empty()) {
    // A copy: the entry goes while the session is told.
    const SessionPointer session = service.sessions.open.begin()->second;
    end_session(service, session, reason);
  }
}

void sweep_sessions(Service& service) {
  const TimePoint oldest = Clock::now() - service.options.sessions.idle;
  std::vector<SessionPointer> idle;
  for (const auto& [id, session] : service.sessions.open) {
    if (session->last_used < oldest) idle.push_back(session);
  }
  for (const SessionPointer& session : idle) end_session(service, session, "expired");
}

std::string waiting_reason(const Session& session) {
  if (!session.trouble.empty()) return session.trouble;
  if (!session.records.empty()) return {};
  if (session.windows_begun > 0) return "the first window is being computed";
  return waiting_for(session.timeline);
}

}  // namespace graupel::serve
