// The default bars and their verdicts. See bars.h. Test: bars_test.cc.
#include "validate/bars.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace graupel::validate {
namespace {

std::string_view symbol(Comparison comparison) {
  switch (comparison) {
    case Comparison::kBelow: return "<";
    case Comparison::kAtMost: return "≤";
    case Comparison::kAtLeast: return "≥";
    case Comparison::kAbove: return ">";
  }
  return "";
}

// Four significant digits, without an exponent in the range people read easily.
std::string number(double value) {
  if (value == 0.0) return "0";
  const double magnitude = std::abs(value);
  if (magnitude < 1e-3 || magnitude >= 1e7) return fmt::format("{:.2g}", value);
  if (magnitude >= 1000.0) return fmt::format("{:.0f}", value);
  return fmt::format("{:.4g}", value);
}

std::string with_unit(const std::string& text, const std::string& unit) {
  if (unit.empty()) return text;
  return unit == "%" ? text + "%" : text + " " + unit;
}

}  // namespace

Outcome outcome(const Judgement& judgement) {
  if (!judgement.value) return Outcome::kNotMeasured;
  const double value = *judgement.value;
  bool met = false;
  switch (judgement.bar.comparison) {
    case Comparison::kBelow: met = value < judgement.bar.limit; break;
    case Comparison::kAtMost: met = value <= judgement.bar.limit; break;
    case Comparison::kAtLeast: met = value >= judgement.bar.limit; break;
    case Comparison::kAbove: met = value > judgement.bar.limit; break;
  }
  return met ? Outcome::kPass : Outcome::kFail;
}

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPass: return "pass";
    case Outcome::kFail: return "fail";
    case Outcome::kNotMeasured: return "not measured";
  }
  return "";
}

std::string value_text(const Judgement& judgement) {
  if (!judgement.value) return "—";
  if (std::isinf(*judgement.value)) {
    return judgement.bar.comparison == Comparison::kAtLeast ? "exact" : "infinite";
  }
  return with_unit(number(*judgement.value), judgement.bar.unit);
}

std::string limit_text(const Bar& bar) {
  return fmt::format("{} {}", symbol(bar.comparison), with_unit(number(bar.limit), bar.unit));
}

std::vector<Bar> default_bars() {
  using enum Comparison;
  return {
      {"simplified_difference", "original vs simplified, largest change", "", kBelow, 1e-3},
      {"recombined_mismatches", "whole vs halves, differing outputs", "", kAtMost, 0},
      {"preprocess_mismatches", "preprocessing in plan, differing bytes", "", kAtMost, 0},
      {"plan_mismatches", "CPU plan vs INT8 graph, differing bytes", "", kAtMost, 0},
      {"read_back_mismatches", "bundle read back, differing members", "", kAtMost, 0},
      {"calibration_doubts", "doubts about the calibration windows", "", kAtMost, 0},
      {"device_snr", "INT8 vs float at the device outputs", "dB", kAtLeast, 20},
      {"worst_layer_snr", "INT8 vs float at the worst layer", "dB", kAtLeast, 10},
      {"logits_snr", "INT8 vs float at the first output", "dB", kAtLeast, 25},
      {"argmax_agreement", "INT8 and float choose the same class", "%", kAtLeast, 99.5},
      {"code_flips", "windows whose FSQ code INT8 changes", "%", kAtMost, 10},
      {"digit_flips", "FSQ digits that INT8 changes", "%", kAtMost, 2},
      {"accuracy", "accuracy of INT8", "%", kAtLeast, 85},
      {"accuracy_drop", "accuracy lost by INT8", "points", kAtMost, 0.5},
      {"macro_f1_drop", "macro F1 lost by INT8", "points", kAtMost, 0.3},
      {"latency_p95", "P95 latency end to end, this CPU", "ms", kBelow, 100},
      {"core_latency_p95", "P95 latency of the device part, this CPU", "ms", kBelow, 15},
      {"throughput", "throughput, this CPU, one thread", "windows/s", kAbove, 10},
      {"peak_memory", "memory of the running engine", "MB", kBelow, 32},
      {"artefact_size", "size of the bundle", "MB", kBelow, 10},
  };
}

Result<std::vector<Bar>> with_limits(std::vector<Bar> bars, std::span<const std::string> settings) {
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    const std::string id = setting.substr(0, equals);
    Bar* found = nullptr;
    std::string known;
    for (Bar& bar : bars) {
      known += (known.empty() ? "" : ", ") + bar.id;
      if (bar.id == id) found = &bar;
    }
    if (equals == std::string::npos || found == nullptr) {
      return invalid_input("--bar " + setting, "names no bar; write ID=LIMIT with one of " + known);
    }
    const char* const begin = setting.data() + equals + 1;
    const char* const end = setting.data() + setting.size();
    const auto [next, status] = std::from_chars(begin, end, found->limit);
    if (status != std::errc() || next != end || !std::isfinite(found->limit)) {
      return invalid_input("--bar " + setting, "has no number behind '='");
    }
  }
  return bars;
}

}  // namespace graupel::validate
