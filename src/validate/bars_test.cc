// Bars: every comparison at, below and above its limit; settings; the texts people read.
#include "validate/bars.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "base/text.h"

namespace graupel::validate {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Judgement judged(Comparison comparison, double limit, std::optional<double> value,
                 const std::string& unit = "") {
  return {{"id", "title", unit, comparison, limit}, value, ""};
}

TEST(Bars, ComparisonsAtTheLimit) {
  using enum Comparison;
  struct Case {
    Comparison comparison;
    bool below, at, above;
  };
  for (const Case& c : {Case{kBelow, true, false, false}, Case{kAtMost, true, true, false},
                        Case{kAtLeast, false, true, true}, Case{kAbove, false, false, true}}) {
    const auto passes = [&](double value) {
      return outcome(judged(c.comparison, 5.0, value)) == Outcome::kPass;
    };
    EXPECT_EQ(passes(4.9), c.below);
    EXPECT_EQ(passes(5.0), c.at);
    EXPECT_EQ(passes(5.1), c.above);
    EXPECT_FALSE(passes(kNan)) << "NaN meets no bar";
    EXPECT_EQ(outcome(judged(c.comparison, 5.0, std::nullopt)), Outcome::kNotMeasured);
  }
}

TEST(Bars, Texts) {
  using enum Comparison;
  EXPECT_EQ(value_text(judged(kBelow, 15, 0.41234, "ms")), "0.4123 ms");
  EXPECT_EQ(value_text(judged(kAtLeast, 98, 99.5, "%")), "99.5%");
  EXPECT_EQ(value_text(judged(kAtLeast, 20, kInfinity, "dB")), "exact");
  EXPECT_EQ(value_text(judged(kAtMost, 0, kInfinity)), "infinite");
  EXPECT_EQ(value_text(judged(kAtMost, 0, std::nullopt)), "—");
  EXPECT_EQ(value_text(judged(kAbove, 10, 11428.4, "windows/s")), "11428 windows/s");
  EXPECT_EQ(value_text(judged(kBelow, 1e-3, 4.8e-7)), "4.8e-07");
  EXPECT_EQ(limit_text(judged(kBelow, 15, 0, "ms").bar), "< 15 ms");
  EXPECT_EQ(limit_text(judged(kAtMost, 0.5, 0, "points").bar), "≤ 0.5 points");
  EXPECT_EQ(limit_text(judged(kAtLeast, 98, 0, "%").bar), "≥ 98%");
  EXPECT_EQ(limit_text(judged(kAbove, 10, 0).bar), "> 10");
  EXPECT_EQ(to_string(Outcome::kPass), "pass");
  EXPECT_EQ(to_string(Outcome::kFail), "fail");
  EXPECT_EQ(to_string(Outcome::kNotMeasured), "not measured");
}

TEST(Bars, DefaultsHaveUniqueIdsAndTitlesThatFitTheTable) {
  std::set<std::string> ids;
  for (const Bar& bar : default_bars()) {
    EXPECT_TRUE(ids.insert(bar.id).second) << bar.id;
    EXPECT_LE(display_columns(bar.title), 40u) << bar.title << ": the terminal's table cuts it";
  }
  EXPECT_EQ(ids.size(), 20u);
}

TEST(Bars, SettingsChangeLimits) {
  const std::vector<std::string> settings = {"accuracy=95.5", "latency_p95=2e1", "accuracy=90"};
  const Result<std::vector<Bar>> bars = with_limits(default_bars(), settings);
  ASSERT_TRUE(bars.ok()) << bars.error().message();
  for (const Bar& bar : *bars) {
    if (bar.id == "accuracy") {
      EXPECT_EQ(bar.limit, 90.0) << "the last one counts";
    } else if (bar.id == "latency_p95") {
      EXPECT_EQ(bar.limit, 20.0);
    }
  }
}

TEST(Bars, BadSettingsSayWhatIsWrong) {
  for (const std::string bad : {"", "=", "accuracy", "speed=3", "=3", "Accuracy=3"}) {
    const Result<std::vector<Bar>> bars = with_limits(default_bars(), {&bad, 1});
    ASSERT_FALSE(bars.ok()) << bad;
    EXPECT_EQ(bars.error().code, ErrorCode::kInvalidInput);
    EXPECT_NE(bars.error().message().find("argmax_agreement"), std::string::npos)
        << "all ids are listed: " << bars.error().message();
  }
  for (const std::string bad :
       {"accuracy=", "accuracy=high", "accuracy=9x", "accuracy= 9", "accuracy=inf", "accuracy=nan",
        "accuracy=1e999", "accuracy=9,5", "accuracy=9=9"}) {
    const Result<std::vector<Bar>> bars = with_limits(default_bars(), {&bad, 1});
    ASSERT_FALSE(bars.ok()) << bad;
    EXPECT_NE(bars.error().message().find(bad), std::string::npos);
  }
}

}  // namespace
}  // namespace graupel::validate
