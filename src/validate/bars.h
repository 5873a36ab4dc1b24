// The bars a bundle has to clear, as data: what is measured, the limit, and the verdict.
// Test: bars_test.cc.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace graupel::validate {

enum class Comparison { kBelow, kAtMost, kAtLeast, kAbove };

struct Bar {
  std::string id;     // as in --bar ID=LIMIT
  std::string title;  // for people
  std::string unit;   // "", "%", "dB", "ms", "MB", "windows/s"
  Comparison comparison = Comparison::kAtMost;
  double limit = 0.0;
};

// One bar with what was measured; no value means it could not be measured, which `detail` explains.
struct Judgement {
  Bar bar;
  std::optional<double> value;
  std::string detail;
};
enum class Outcome { kPass, kFail, kNotMeasured };
Outcome outcome(const Judgement& judgement);
std::string_view to_string(Outcome outcome);  // "pass", "fail", "not measured"

std::string value_text(const Judgement& judgement);  // "0.41 ms", "exact", "—"
std::string limit_text(const Bar& bar);              // "< 15 ms"

// Every bar with its default limit, in the order they are shown.
std::vector<Bar> default_bars();
// Applies "id=limit" settings. Errors: unknown id (all ids are listed), or not a number.
Result<std::vector<Bar>> with_limits(std::vector<Bar> bars, std::span<const std::string> settings);

}  // namespace graupel::validate
