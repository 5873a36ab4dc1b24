// Counters, histograms and their text form. See metrics.h. Reference: Prometheus exposition format
// 0.0.4 and its naming rules. Test: metrics_test.cc; `promtool check metrics` on a live server.
#include "serve/metrics.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <deque>
#include <iterator>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "base/text.h"

namespace graupel::serve {
namespace {

using prometheus::ClientMetric;
using prometheus::Labels;
using prometheus::MetricFamily;
using prometheus::MetricType;

// From 50 us, because a small network takes less than a millisecond.
const prometheus::Histogram::BucketBoundaries& seconds_buckets() {
  static const prometheus::Histogram::BucketBoundaries kBuckets = {
      50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 1, 2.5};
  return kBuckets;
}

const prometheus::Histogram::BucketBoundaries& size_buckets() {
  static const prometheus::Histogram::BucketBoundaries kBuckets = {0, 1, 2, 3, 5, 10};
  return kBuckets;
}

constexpr std::array<std::string_view, 7> kMethods = {"GET",   "HEAD",    "POST",  "PUT",
                                                      "PATCH", "OPTIONS", "DELETE"};
constexpr std::array<std::string_view, 4> kEngineStates = {"healthy", "suspect", "broken",
                                                           "probing"};

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

std::string escaped(std::string_view text, bool quote) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || (c == '"' && quote)) out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::string label_text(const std::vector<ClientMetric::Label>& labels, std::string_view extra) {
  std::string out;
  for (const ClientMetric::Label& label : labels) {
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", label.name,
                       escaped(clean_utf8(label.value), true));
  }
  if (!extra.empty()) out += (out.empty() ? "" : ",") + std::string(extra);
  return out.empty() ? "" : "{" + out + "}";
}

void append_metric(std::string& text, const MetricFamily& family, const ClientMetric& metric) {
  const auto line = [&](std::string_view suffix, std::string_view extra, double value) {
    text += fmt::format("{}{}{} {}\n", family.name, suffix, label_text(metric.label, extra),
                        number(value));
  };
  if (family.type == MetricType::Counter) line("", "", metric.counter.value);
  if (family.type == MetricType::Gauge) line("", "", metric.gauge.value);
  if (family.type != MetricType::Histogram) return;
  for (const ClientMetric::Bucket& bucket : metric.histogram.bucket) {
    line("_bucket", fmt::format("le=\"{}\"", number(bucket.upper_bound)),
         static_cast<double>(bucket.cumulative_count));
  }
  line("_sum", "", metric.histogram.sample_sum);
  line("_count", "", static_cast<double>(metric.histogram.sample_count));
}

std::string family_text(MetricFamily family) {
  static constexpr std::array<std::string_view, 5> kTypes = {"counter", "gauge", "summary",
                                                             "untyped", "histogram"};
  std::string text =
      fmt::format("# HELP {} {}\n# TYPE {} {}\n", family.name, escaped(family.help, false),
                  family.name, kTypes[static_cast<size_t>(family.type)]);
  std::sort(family.metric.begin(), family.metric.end(),
            [](const ClientMetric& a, const ClientMetric& b) {
              return label_text(a.label, "") < label_text(b.label, "");
            });
  for (const ClientMetric& metric : family.metric) append_metric(text, family, metric);
  return text;
}

std::string single_text(std::string_view name, std::string_view help, std::string_view type,
                        double value) {
  return fmt::format("# HELP {} {}\n# TYPE {} {}\n{} {}\n", name, help, name, type, name,
                     number(value));
}

std::string gauge_text(std::string_view name, std::string_view help, double value) {
  return single_text(name, help, "gauge", value);
}

std::string process_text(const ProcessUse& use) {
  const auto count = [](int64_t value) { return static_cast<double>(value); };
  std::string text =
      single_text("process_cpu_seconds_total", "User and system time", "counter", use.cpu_seconds);
  text += gauge_text("process_resident_memory_bytes", "Memory held", count(use.resident_bytes));
  text += gauge_text("process_virtual_memory_bytes", "Memory mapped", count(use.virtual_bytes));
  text += gauge_text("process_open_fds", "Open files and sockets", count(use.open_files));
  text += gauge_text("process_max_fds", "Most files it may open", count(use.open_files_limit));
  text += gauge_text("process_threads", "Threads", count(use.threads));
  return text + gauge_text("edgeinfer_memory_usage_bytes", "As process_resident_memory_bytes",
                           count(use.resident_bytes));
}

// Adds the family's histograms, or those of one model, bucket by bucket.
void add_family(const MetricFamily& family, std::string_view model, HistogramView& view) {
  for (const ClientMetric& metric : family.metric) {
    const bool wanted =
        model.empty() || std::any_of(metric.label.begin(), metric.label.end(), [&](const auto& l) {
          return l.name == "model" && l.value == model;
        });
    if (!wanted) continue;
    const auto& buckets = metric.histogram.bucket;
    view.counts.resize(buckets.size());
    view.bounds.clear();
    uint64_t below = 0;
    for (size_t i = 0; i < buckets.size(); ++i) {
      view.counts[i] += buckets[i].cumulative_count - below;
      below = buckets[i].cumulative_count;
      if (std::isfinite(buckets[i].upper_bound)) view.bounds.push_back(buckets[i].upper_bound);
    }
    view.count += metric.histogram.sample_count;
    view.sum += metric.histogram.sample_sum;
  }
}

// One family of the engines: a line for each model that has a value.
template <class Value>
std::string engine_family(std::string_view name, std::string_view type, std::string_view help,
                          const std::vector<EngineGauges>& engines, const Value& value) {
  std::string lines;
  for (const EngineGauges& engine : engines) {
    const std::optional<double> number_of = value(engine);
    if (!engine.asks_device || !number_of) continue;
    lines +=
        fmt::format("{}{{model=\"{}\",version=\"{}\"}} {}\n", name, escaped(engine.model, true),
                    escaped(engine.version, true), number(*number_of));
  }
  if (lines.empty()) return lines;
  return fmt::format("# HELP {} {}\n# TYPE {} {}\n{}", name, help, name, type, lines);
}

std::string engine_text(const std::vector<EngineGauges>& engines) {
  using Maybe = std::optional<double>;
  std::string text;
  if (!engines.empty()) {
    text =
        "# HELP graupel_engine_state_info 1 for the state a model's engine is in\n"
        "# TYPE graupel_engine_state_info gauge\n";
  }
  for (const EngineGauges& engine : engines) {
    for (const std::string_view each : kEngineStates) {
      text +=
          fmt::format("graupel_engine_state_info{{model=\"{}\",version=\"{}\",state=\"{}\"}} {}\n",
                      escaped(engine.model, true), escaped(engine.version, true), each,
                      each == engine.state ? 1 : 0);
    }
  }
  const auto count = [](uint64_t value) { return Maybe(static_cast<double>(value)); };
  text +=
      engine_family("graupel_device_temperature_celsius", "gauge", "Of the device's chip", engines,
                    [](const EngineGauges& e) { return Maybe(e.temperature_celsius); });
  text += engine_family(
      "graupel_device_hung_threads", "gauge", "Given up inside the driver", engines,
      [](const EngineGauges& e) { return Maybe(static_cast<double>(e.hung_threads)); });
  text += engine_family("graupel_device_openings_total", "counter", "Openings of the device, tried",
                        engines, [&](const EngineGauges& e) { return count(e.openings); });
  text += engine_family("graupel_shadow_windows_total", "counter",
                        "Windows of the device that the CPU answered too", engines,
                        [&](const EngineGauges& e) { return count(e.shadow_windows); });
  text += engine_family("graupel_shadow_disagreements_total", "counter",
                        "Of these, those of another class", engines,
                        [&](const EngineGauges& e) { return count(e.shadow_disagreements); });
  text += engine_family("graupel_shadow_snr_db", "gauge", "The device's noise against the CPU",
                        engines, [](const EngineGauges& e) { return e.shadow_snr_db; });
  return text;
}

}  // namespace

struct Metrics::State {
  prometheus::Registry registry;
  std::atomic<int64_t> in_flight = 0;
  // Taken once: a start that moves with the clock would look like a restart.
  const double start_time_seconds =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  using Counters = prometheus::Family<prometheus::Counter>;
  using Histograms = prometheus::Family<prometheus::Histogram>;
  using GaugesOf = prometheus::Family<prometheus::Gauge>;

  Counters& counters(std::string_view name, std::string_view help) {
    return prometheus::BuildCounter()
        .Name(std::string(name))
        .Help(std::string(help))
        .Register(registry);
  }
  Histograms& histograms(std::string_view name, std::string_view help) {
    return prometheus::BuildHistogram()
        .Name(std::string(name))
        .Help(std::string(help))
        .Register(registry);
  }
  GaugesOf& gauges(std::string_view name, std::string_view help) {
    return prometheus::BuildGauge()
        .Name(std::string(name))
        .Help(std::string(help))
        .Register(registry);
  }

  Counters& requests = counters("graupel_http_requests_total", "HTTP requests answered");
  Histograms& request_seconds = histograms("graupel_http_request_duration_seconds",
                                           "From the last byte of a request to its answer");
  Counters& windows = counters("graupel_windows_total", "Windows answered, by engine");
  Histograms& queue_seconds =
      histograms("graupel_queue_duration_seconds", "Time a window waited for a worker");
  Histograms& parse_seconds =
      histograms("graupel_parse_duration_seconds", "Time to read a request's body, by its form");
  Histograms& infer_seconds =
      histograms("graupel_infer_duration_seconds", "Time of the network for one window");
  Histograms& decide_seconds = histograms("graupel_decide_duration_seconds",
                                          "Time from logits to a decision for one window");
  Counters& fallbacks = counters("graupel_fallbacks_total",
                                 "Windows that the preferred engine did not answer, by reason");
  Counters& refusals = counters("graupel_refused_total", "Requests refused, by reason");
  Histograms& set_size = histograms("graupel_conformal_set_classes", "Classes in a conformal set");
  GaugesOf& wealth = gauges("graupel_drift_wealth_ratio",
                            "Exchangeability martingale of the last stream that was judged");
  Counters& sessions = counters("graupel_sessions_total", "Sessions, by stage");
  prometheus::Counter& samples =
      counters("graupel_samples_total", "Samples that sessions received").Add({});
  Counters& samples_dropped =
      counters("graupel_samples_dropped_total", "Samples that no window can use, by reason");
  Counters& windows_skipped =
      counters("graupel_windows_skipped_total", "Windows of sessions without an answer, by reason");
  Histograms& session_seconds =
      histograms("graupel_session_window_duration_seconds",
                 "From the arrival of a window's last sample to its answer");
  // The series of what happens thousands of times a second, found once: Add() builds a map of
  // labels and checks each. There are as many as there are series, which is bounded.
  struct RequestSeries {
    prometheus::Counter* requests = nullptr;
    prometheus::Histogram* seconds = nullptr;
    prometheus::Counter* edgeinfer_requests = nullptr;
    prometheus::Histogram* edgeinfer_seconds = nullptr;
  };
  struct WindowSeries {
    prometheus::Counter* windows = nullptr;
    prometheus::Histogram* queue = nullptr;
    prometheus::Histogram* infer = nullptr;
    prometheus::Histogram* decide = nullptr;
    prometheus::Histogram* edgeinfer = nullptr;
    prometheus::Counter* hailo_requests = nullptr;
    prometheus::Histogram* hailo_seconds = nullptr;
  };
  std::mutex series_mutex;
  // Route, method, status; looked up by views. clang 14 compares no tuples of different types.
  struct SeriesLess {
    using is_transparent = void;
    using View = std::tuple<std::string_view, std::string_view, int>;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return View(a) < View(b);
    }
  };
  std::map<std::tuple<std::string, std::string, int>, RequestSeries, SeriesLess> request_series;
  // By model, then engine.
  std::map<std::string, std::map<std::string, WindowSeries, std::less<>>, std::less<>>
      window_series;
  std::map<std::string, prometheus::Histogram*, std::less<>> parse_series, session_series;

  RequestSeries request_of(std::string_view route, std::string_view method, int status);
  WindowSeries window_of(std::string_view model, std::string_view engine);
  prometheus::Histogram& histogram_of(
      std::map<std::string, prometheus::Histogram*, std::less<>>& known, Histograms& family,
      const char* label, std::string_view value);

  mutable std::mutex events_mutex;
  std::deque<FallbackEvent> events;
  Counters& loads = counters("graupel_model_loads_total", "Loads of a model, by result");
  GaugesOf& model_info = gauges("graupel_model_info", "1 for each model that was loaded");
  GaugesOf& build = gauges("graupel_build_info", "1, with the version of this program");
  // Names of existing EdgeInfer dashboards.
  GaugesOf& hailo_build = gauges("hailo_build_info", "As graupel_build_info");
  Counters& hailo_health =
      counters("hailo_health_checks_total", "Answers of /healthz, by what they said");
  Counters& hailo_errors =
      counters("hailo_errors_total", "As graupel_refused_total, by error_type");
  Counters& edgeinfer_requests =
      counters("edgeinfer_http_requests_total", "As graupel_http_requests_total");
  Histograms& edgeinfer_seconds = histograms("edgeinfer_http_request_duration_seconds",
                                             "As graupel_http_request_duration_seconds");
  Counters& edgeinfer_errors =
      counters("edgeinfer_http_errors_total", "HTTP requests answered with 400 or above");
  Counters& edgeinfer_sessions = counters("edgeinfer_sessions_total", "As graupel_sessions_total");
  Histograms& edgeinfer_inference =
      histograms("edgeinfer_inference_duration_seconds", "As graupel_infer_duration_seconds");
  Counters& hailo_requests =
      counters("hailo_inference_requests_total", "Windows answered, by any engine");
  Histograms& hailo_seconds =
      histograms("hailo_inference_duration_seconds", "As graupel_infer_duration_seconds");
  GaugesOf& hailo_info = gauges("hailo_model_info", "As graupel_model_info");
};

Metrics::State::RequestSeries Metrics::State::request_of(std::string_view route,
                                                         std::string_view method, int status) {
  const std::lock_guard lock(series_mutex);
  const auto found = request_series.find(std::tuple(route, method, status));
  if (found != request_series.end()) return found->second;
  const std::string name(route), verb(method), code = std::to_string(status);
  const Labels all = {{"route", name}, {"method", verb}, {"status", code}};
  const RequestSeries series = {
      &requests.Add(all), &request_seconds.Add({{"route", name}}, seconds_buckets()),
      &edgeinfer_requests.Add(all), &edgeinfer_seconds.Add({{"route", name}}, seconds_buckets())};
  request_series.emplace(std::tuple(name, verb, status), series);
  return series;
}

Metrics::State::WindowSeries Metrics::State::window_of(std::string_view model,
                                                       std::string_view engine) {
  const std::lock_guard lock(series_mutex);
  if (const auto engines = window_series.find(model); engines != window_series.end()) {
    const auto found = engines->second.find(engine);
    if (found != engines->second.end()) return found->second;
  }
  const std::string name(model), by(engine);
  const Labels of_model = {{"model", name}};
  const Labels of_engine = {{"model", name}, {"engine", by}};
  const WindowSeries series = {
      &windows.Add(of_engine),
      &queue_seconds.Add(of_model, seconds_buckets()),
      &infer_seconds.Add(of_engine, seconds_buckets()),
      &decide_seconds.Add(of_model, seconds_buckets()),
      &edgeinfer_inference.Add({{"operation", "window"}}, seconds_buckets()),
      &hailo_requests.Add({{"model", name}, {"status", "success"}}),
      &hailo_seconds.Add(of_model, seconds_buckets())};
  window_series[name].emplace(by, series);
  return series;
}

prometheus::Histogram& Metrics::State::histogram_of(
    std::map<std::string, prometheus::Histogram*, std::less<>>& known, Histograms& family,
    const char* label, std::string_view value) {
  const std::lock_guard lock(series_mutex);
  const auto found = known.find(value);
  if (found != known.end()) return *found->second;
  const std::string text(value);
  return *known.emplace(text, &family.Add({{label, text}}, seconds_buckets())).first->second;
}

Metrics::Metrics() : state_(std::make_unique<State>()) {
  const Labels version = {{"version", std::string(kVersion)}};
  state_->build.Add(version).Set(1);
  state_->hailo_build.Add(version).Set(1);
  // A rate over a counter that appears with its first event misses that event.
  for (const char* reason : {"queue_full", "deadline", "rate_limit", "unauthorised", "malformed"}) {
    state_->refusals.Add({{"reason", reason}});
  }
}
Metrics::~Metrics() = default;

void Metrics::begun() { ++state_->in_flight; }

void Metrics::request(std::string_view route, std::string_view method, int status, double seconds) {
  // A client may call its method anything.
  const bool known = std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
  const State::RequestSeries series =
      state_->request_of(route, known ? method : std::string_view("other"), status);
  --state_->in_flight;
  series.requests->Increment();
  series.seconds->Observe(seconds);
  series.edgeinfer_requests->Increment();
  series.edgeinfer_seconds->Observe(seconds);
  if (status >= 400) {
    state_->edgeinfer_errors.Add({{"status", std::to_string(status)}}).Increment();
  }
}

void Metrics::window(std::string_view model, std::string_view engine, double queue_seconds,
                     double infer_seconds, double decide_seconds) {
  const State::WindowSeries series = state_->window_of(model, engine);
  series.windows->Increment();
  series.queue->Observe(queue_seconds);
  series.infer->Observe(infer_seconds);
  series.decide->Observe(decide_seconds);
  series.edgeinfer->Observe(infer_seconds);
  series.hailo_requests->Increment();
  series.hailo_seconds->Observe(infer_seconds);
}

void Metrics::parsed(std::string_view form, double seconds) {
  state_->histogram_of(state_->parse_series, state_->parse_seconds, "form", form).Observe(seconds);
}

void Metrics::health_check(bool healthy) {
  state_->hailo_health.Add({{"status", healthy ? "healthy" : "unhealthy"}}).Increment();
}

void Metrics::fallback(std::string_view model, std::string_view reason, std::string_view engine) {
  state_->fallbacks.Add({{"model", std::string(model)}, {"reason", std::string(reason)}})
      .Increment();
  const auto now = std::chrono::system_clock::now();
  const std::lock_guard lock(state_->events_mutex);
  auto& events = state_->events;
  if (!events.empty() && events.back().model == model && events.back().reason == reason &&
      events.back().engine == engine) {
    events.back().last_at = now;
    ++events.back().count;
    return;
  }
  if (events.size() >= kFallbackEvents) events.pop_front();
  events.push_back({now, now, 1, std::string(model), std::string(reason), std::string(engine)});
}

void Metrics::refused(std::string_view reason) {
  state_->refusals.Add({{"reason", std::string(reason)}}).Increment();
  state_->hailo_errors.Add({{"error_type", std::string(reason)}}).Increment();
}

void Metrics::conformal_set(std::string_view model, size_t size) {
  state_->set_size.Add({{"model", std::string(model)}}, size_buckets())
      .Observe(static_cast<double>(size));
}

void Metrics::drift(std::string_view model, double wealth) {
  state_->wealth.Add({{"model", std::string(model)}}).Set(wealth);
}

void Metrics::session(std::string_view stage) {
  state_->sessions.Add({{"stage", std::string(stage)}}).Increment();
  state_->edgeinfer_sessions.Add({{"stage", std::string(stage)}}).Increment();
}

void Metrics::samples(uint64_t count) { state_->samples.Increment(static_cast<double>(count)); }

void Metrics::samples_dropped(std::string_view reason, uint64_t count) {
  state_->samples_dropped.Add({{"reason", std::string(reason)}})
      .Increment(static_cast<double>(count));
}

void Metrics::windows_skipped(std::string_view reason, uint64_t count) {
  state_->windows_skipped.Add({{"reason", std::string(reason)}})
      .Increment(static_cast<double>(count));
}

void Metrics::session_window(std::string_view model, double latency_seconds) {
  state_->histogram_of(state_->session_series, state_->session_seconds, "model", model)
      .Observe(latency_seconds);
}

void Metrics::model_loaded(std::string_view model, std::string_view version,
                           std::string_view sha256, bool succeeded) {
  state_->loads.Add({{"model", std::string(model)}, {"result", succeeded ? "success" : "failure"}})
      .Increment();
  if (!succeeded) return;
  const Labels labels = {{"model", std::string(model)},
                         {"version", std::string(version)},
                         {"sha256", std::string(sha256.substr(0, 12))}};
  state_->model_info.Add(labels).Set(1);
  state_->hailo_info.Add(labels).Set(1);
}

std::vector<FallbackEvent> Metrics::fallback_events() const {
  const std::lock_guard lock(state_->events_mutex);
  return {state_->events.begin(), state_->events.end()};
}

HistogramView Metrics::histogram(std::string_view family, std::string_view model) const {
  HistogramView view;
  for (const MetricFamily& each : state_->registry.Collect()) {
    if (each.name == family) add_family(each, model, view);
  }
  return view;
}

double quantile(const HistogramView& histogram, double share) {
  const double wanted = share * static_cast<double>(histogram.count);
  double below = 0.0;
  for (size_t i = 0; i < histogram.bounds.size(); ++i) {
    const auto here = static_cast<double>(histogram.counts[i]);
    if (below + here >= wanted && here > 0.0) {
      const double low = i > 0 ? histogram.bounds[i - 1] : 0.0;
      return low + (histogram.bounds[i] - low) * (wanted - below) / here;
    }
    below += here;
  }
  return histogram.count > 0 && !histogram.bounds.empty() ? histogram.bounds.back() : 0.0;
}

std::string Metrics::text(const Gauges& gauges) const {
  std::vector<MetricFamily> families = state_->registry.Collect();
  std::sort(families.begin(), families.end(),
            [](const MetricFamily& a, const MetricFamily& b) { return a.name < b.name; });
  std::string text;
  for (MetricFamily& family : families) {
    if (!family.metric.empty()) text += family_text(std::move(family));
  }
  const auto count = [](int64_t value) { return static_cast<double>(value); };
  text += gauge_text("graupel_queue_waiting_windows", "Jobs that wait for a worker",
                     count(gauges.queue_waiting));
  text += gauge_text("graupel_connections", "Open connections", count(gauges.connections));
  text += gauge_text("graupel_sessions", "Open sessions", count(gauges.sessions));
  text += gauge_text("graupel_models", "Loaded models", count(gauges.models_loaded));
  text += gauge_text("graupel_uptime_seconds", "Since the server started", gauges.uptime_seconds);
  text +=
      gauge_text("edgeinfer_uptime_seconds", "As graupel_uptime_seconds", gauges.uptime_seconds);
  text += gauge_text("hailo_model_loaded", "1 if any model is loaded",
                     gauges.models_loaded > 0 ? 1 : 0);
  text += engine_text(gauges.engines);
  text += gauge_text("graupel_requests_in_flight", "Requests that are being answered",
                     count(state_->in_flight));
  text += gauge_text("process_start_time_seconds", "Since 1970", state_->start_time_seconds);
  return text + process_text(gauges.process);
}

}  // namespace graupel::serve
