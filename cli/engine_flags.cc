// --engine, and what is said about the engine afterwards. See engine_flags.h. Test: tests/device.
#include "cli/engine_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/parallel.h"

namespace graupel::cli {

void add_engine_flags(CLI::App& verb, EngineFlags& flags) {
  const char* const group = "Engine";
  verb.add_option(
          "--engine", flags.engine,
          "auto: the device if bundle and machine have one, else the CPU; hailort: an error "
          "without a device; cpu: the CPU only")
      ->check(CLI::IsMember({"auto", "hailort", "cpu"}))
      ->capture_default_str()
      ->group(group);
  verb.add_option("--shadow-every", flags.options.shadow_every,
                  "run every K-th window of the device on the CPU too and compare; 0: none")
      ->capture_default_str()
      ->group(group);
  verb.add_option("--device-deadline-ms", flags.options.deadline_ms,
                  "of a device call; then the CPU answers")
      ->check(CLI::Range(1, 600000))
      ->capture_default_str()
      ->group(group);
  verb.add_option("--self-test", flags.options.self_test_runs,
                  "runs of one window when the device opens, all alike or it is not asked; 0: none")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str()
      ->group(group);
}

CLI::Option* add_threads_flag(CLI::App& verb, size_t& threads, const std::string& text) {
  const auto check = [](const std::string& value) {
    const size_t cores = std::min(available_cores(), run::kMostThreads);
    size_t count = 0;
    if (CLI::detail::lexical_cast(value, count) && count >= 1 && count <= cores) {
      return std::string();
    }
    return fmt::format("is {}, expected 1 to {}, the cores this process may use", value, cores);
  };
  return verb.add_option("--threads", threads, text)->check(CLI::Validator(check, "1 to cores"));
}

npu::EngineOptions engine_options(const EngineFlags& flags) {
  npu::EngineOptions options = flags.options;
  if (flags.engine == "cpu") options.choice = npu::EngineChoice::kCpu;
  if (flags.engine == "hailort") options.choice = npu::EngineChoice::kHailort;
  return options;
}

Result<npu::Started> start_engine(const Globals& globals, const std::string& bundle,
                                  const run::Engine& engine, const EngineFlags& flags) {
  TRY_ASSIGN(npu::Started started, npu::start_engine(bundle, engine, engine_options(flags)));
  if (!started.warning.empty()) warn(globals, started.warning);
  return started;
}

void show_engine(const Globals& globals, const npu::Started& started) {
  if (!started.has_device) return;
  const npu::Status status = npu::status(started.answerer);
  const std::string text = npu::summary_text(status);
  // Without a device from the start that was the warning already.
  if (status.counters.from_cpu > 0 && started.warning.empty()) {
    warn(globals, text);
  } else {
    note(globals, text);
  }
}

Json engine_json(const npu::Started& started) {
  const npu::Status status = npu::status(started.answerer);
  const npu::Counters& counters = status.counters;
  Json json = {{"from_device", counters.from_device}, {"from_cpu", counters.from_cpu}};
  json["fallbacks"] = Json::object();
  for (size_t i = 0; i < counters.cpu_reasons.size(); ++i) {
    if (counters.cpu_reasons[i] == 0) continue;
    json["fallbacks"][std::string(npu::to_string(static_cast<npu::Reason>(i)))] =
        counters.cpu_reasons[i];
  }
  json["openings"] = counters.openings;
  json["state"] = npu::to_string(status.breaker.health);
  if (!status.last_fault.detail.empty()) json["last_fault"] = status.last_fault.detail;
  if (counters.shadow_runs > 0) {
    const double snr = npu::shadow_snr_db(counters);
    json["shadow"] = {{"windows", counters.shadow_runs},
                      {"other_class", counters.shadow_disagreements},
                      {"snr_db", std::isfinite(snr) ? Json(snr) : Json(nullptr)}};
  }
  if (status.device) {
    json["device"] = {{"name", status.device->name},
                      {"library", status.device->library},
                      {"firmware", status.device->firmware},
                      {"architecture", status.device->architecture},
                      {"id", status.device->id},
                      {"serial", status.device->serial}};
    const auto celsius = status.vitals.temperature_celsius;
    if (celsius) json["device"]["temperature_celsius"] = *celsius;
  }
  return json;
}

}  // namespace graupel::cli
