// What the server counts, and how Prometheus reads it.
//
// Idea: one object with a function per event; handlers never see a registry. Names follow
// Prometheus's rules (prefix, base units, _total, no label without a bound: never a session, a
// peer or a request). The names that existing EdgeInfer dashboards use are written beside ours
// from the same numbers. Thread-safe. Library: prometheus-cpp core 1.0. Test: metrics_test.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/process.h"

namespace graupel::serve {

// Of one loaded model.
struct EngineGauges {
  std::string model, version, state;  // state: one of npu::Health's
  bool asks_device = false;           // what follows is then written
  std::optional<float> temperature_celsius;
  int64_t hung_threads = 0;
  uint64_t openings = 0, shadow_windows = 0, shadow_disagreements = 0;
  std::optional<double> shadow_snr_db;
};

// Numbers that are read when Prometheus asks, on the loop's thread.
struct Gauges {
  int64_t queue_waiting = 0;
  int64_t connections = 0;
  int64_t sessions = 0;
  int64_t models_loaded = 0;
  double uptime_seconds = 0.0;
  ProcessUse process;
  std::vector<EngineGauges> engines;
};

struct HistogramView {
  std::vector<double> bounds;    // ascending
  std::vector<uint64_t> counts;  // per bound, not cumulative, and above the last
  uint64_t count = 0;
  double sum = 0.0;
};
// Between the bounds of its bucket, linearly; 0 without entries, the last bound above it.
double quantile(const HistogramView& histogram, double share);

struct FallbackEvent {
  std::chrono::system_clock::time_point at, last_at;
  uint64_t count = 1;
  std::string model, reason, engine;
};
inline constexpr size_t kFallbackEvents = 100;

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  void begun();  // a request is being answered; request() ends it
  // `route` is a route's pattern, never a path.
  void request(std::string_view route, std::string_view method, int status, double seconds);
  void window(std::string_view model, std::string_view engine, double queue_seconds,
              double infer_seconds, double decide_seconds);
  void parsed(std::string_view form, double seconds);  // "json" or "binary"
  void health_check(bool healthy);
  void fallback(std::string_view model, std::string_view reason, std::string_view engine = {});
  void refused(std::string_view reason);  // queue_full, deadline, rate_limit, unauthorised, ...
  void conformal_set(std::string_view model, size_t size);
  void drift(std::string_view model, double wealth);  // of the last stream that was judged
  void session(std::string_view stage);               // started, stopped, expired
  void samples(uint64_t count);                       // that sessions received
  void samples_dropped(std::string_view reason, uint64_t count);  // duplicate, late, ...
  void windows_skipped(std::string_view reason, uint64_t count);  // gap, no_model, error
  // From the arrival of a session's window's last sample to its answer.
  void session_window(std::string_view model, double latency_seconds);
  void model_loaded(std::string_view model, std::string_view version, std::string_view sha256,
                    bool succeeded);

  // What a status page shows: one of our histograms over all its labels, or those with this model.
  HistogramView histogram(std::string_view family, std::string_view model = {}) const;
  // The last kFallbackEvents, oldest first; equal ones that follow each other are one.
  std::vector<FallbackEvent> fallback_events() const;

  // Text format 0.0.4, families and labels in a fixed order.
  std::string text(const Gauges& gauges) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

inline constexpr std::string_view kVersion = "0.1.0";
inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace graupel::serve
