// Numbers as people read them, and what all bars together say. See parts.h.
// Test: report_test.cc.
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "report/parts.h"

namespace graupel::report {
namespace {

// Three significant digits without an exponent, for 0 <= value < 1000.
std::string three_digits(double value) {
  const int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

std::string human_time_us(double time_us) {
  if (!std::isfinite(time_us) || time_us < 0) return std::string(kNothing);
  if (time_us == 0) return "0 µs";
  if (time_us < 0.9995) return three_digits(time_us * 1e3) + " ns";
  if (time_us < 999.5) return three_digits(time_us) + " µs";
  if (time_us < 999.5e3) return three_digits(time_us / 1e3) + " ms";
  if (time_us < 999.5e6) return three_digits(time_us / 1e6) + " s";
  return fmt::format("{:.0f} s", time_us / 1e6);
}

std::string human_bytes(int64_t size_bytes) {
  if (size_bytes < 0) return std::string(kNothing);
  if (size_bytes < 1024) return fmt::format("{} B", size_bytes);
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(size_bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_count(int64_t count) {
  if (count < 0) return std::string(kNothing);
  if (count < 1000) return fmt::format("{}", count);
  constexpr std::array kUnits = {"k", "M", "G", "T", "P", "E"};
  double value = static_cast<double>(count) / 1e3;
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1e3;
    ++unit;
  }
  return fmt::format("{} {}", three_digits(value), kUnits[unit]);
}

std::string human_db(double snr_db) {
  if (std::isnan(snr_db)) return "unknown";
  if (std::isinf(snr_db)) return snr_db > 0 ? "exact" : "−∞ dB";
  return fmt::format("{:.1f} dB", snr_db);
}

std::string human_percent(double percent) {
  if (!std::isfinite(percent)) return std::string(kNothing);
  if (percent == 0) return "0 %";
  if (percent > 0 && percent < 0.01) return "< 0.01 %";
  return fmt::format("{:.{}f} %", percent, percent < 10 ? 2 : 1);
}

std::string human_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "∞" : "−∞";
  return fmt::format("{:.4g}", value);
}

std::string counted(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

Verdict judge(const std::vector<Bar>& bars) {
  Verdict verdict;
  std::string missed;
  for (const Bar& bar : bars) {
    if (bar.status == Status::kPass) ++verdict.passed;
    if (bar.status == Status::kNotMeasured) ++verdict.not_measured;
    if (bar.status != Status::kFail) continue;
    ++verdict.failed;
    missed += (missed.empty() ? "" : ", ") + bar.title;
  }
  const size_t measured = verdict.passed + verdict.failed;
  if (measured == 0) {
    verdict.sentence = "No bar was measured";
    return verdict;
  }
  if (verdict.failed > 0) {
    verdict.sentence =
        fmt::format("{} of {} missed: {}", verdict.failed, counted(measured, "bar"), missed);
  } else {
    verdict.sentence =
        measured == 1 ? "The one bar is met" : fmt::format("All {} bars met", measured);
  }
  if (verdict.not_measured > 0) {
    verdict.sentence += fmt::format("; {} not measured", verdict.not_measured);
  }
  return verdict;
}

}  // namespace graupel::report
