// Rows to runs to an even grid, with holes, jitter and clocks that misbehave.
#include "prepare/runs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace graupel::prepare {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Recipe recipe(double source_rate_hz = 10.0) {
  Recipe recipe;
  recipe.sensors = {"one"};
  recipe.source_rate_hz = source_rate_hz;
  recipe.gap_s = 0.35;
  return recipe;
}

// A run of one sensor whose channel c is c + time.
RawRun ramp(const std::vector<double>& times_s) {
  RawRun raw;
  raw.sensors.resize(1);
  for (const double time_s : times_s) {
    raw.sensors[0].time_s.push_back(time_s);
    for (size_t c = 0; c < kAxes; ++c) {
      raw.sensors[0].values.push_back(static_cast<double>(c) + time_s);
    }
  }
  return raw;
}

std::vector<double> steps(double rate_hz, int count) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) times.push_back(100.0 + i / rate_hz);
  return times;
}

TEST(EvenRuns, LeaveWhatIsEvenAsItIs) {
  const RawRun raw = ramp(steps(10.0, 50));
  Tally tally;
  const std::vector<EvenRun> runs = even_runs(raw, recipe(), tally).value();
  ASSERT_EQ(runs.size(), 1u);
  ASSERT_EQ(runs[0].samples, 50u);
  for (size_t c = 0; c < kAxes; ++c) {
    for (size_t i = 0; i < 50; ++i) {
      EXPECT_EQ(runs[0].channel(c)[i], raw.sensors[0].values[i * kAxes + c]);
    }
  }
  EXPECT_EQ(tally[Reason::kInterpolated], 0);
}

TEST(EvenRuns, FillShortGapsAndCutLongOnes) {
  RawRun raw = ramp(steps(10.0, 40));
  std::vector<double>& values = raw.sensors[0].values;
  values[10 * kAxes + 2] = kNan;  // a reading: filled in
  values[11 * kAxes + 2] = kNan;
  for (size_t row = 20; row < 26; ++row) values[row * kAxes + 8] = kNan;  // 0.7 s: cut
  Tally tally;
  const std::vector<EvenRun> runs = even_runs(raw, recipe(), tally).value();
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].samples, 20u);
  EXPECT_EQ(runs[1].samples, 14u);
  EXPECT_EQ(tally[Reason::kInterpolated], 2);
  EXPECT_EQ(tally[Reason::kGapCut], 1);
  EXPECT_EQ(tally[Reason::kNoPartner], 6);
  EXPECT_NEAR(runs[0].channel(2)[10], 2.0 + 101.0, 1e-9) << "on the line between its neighbours";
  EXPECT_EQ(runs[1].channel(0)[0], raw.sensors[0].values[26 * kAxes]);
}

TEST(EvenRuns, MissingRowsAreGapsToo) {
  std::vector<double> times = steps(10.0, 40);
  times.erase(times.begin() + 30, times.begin() + 36);
  times.erase(times.begin() + 5);
  Tally tally;
  const std::vector<EvenRun> runs = even_runs(ramp(times), recipe(), tally).value();
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].samples, 30u);
  EXPECT_EQ(runs[1].samples, 4u);
  EXPECT_EQ(tally[Reason::kInterpolated], 9) << "one row of nine channels";
}

TEST(EvenRuns, JitterIsInterpolatedAtTheMedianRate) {
  std::vector<double> times = steps(50.0, 101);
  for (size_t i = 1; i < times.size(); i += 3) times[i] += 0.004;
  Tally tally;
  const std::vector<EvenRun> runs = even_runs(ramp(times), recipe(0.0), tally).value();
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].rate_hz, 50.0);
  for (size_t i = 0; i < runs[0].samples; ++i) {
    EXPECT_NEAR(runs[0].channel(4)[i], 4.0 + 100.0 + static_cast<double>(i) / 50.0, 1e-9);
  }
  EXPECT_EQ(tally[Reason::kInterpolated], 0) << "nothing was missing";
}

TEST(EvenRuns, SensorsShareTheGridAndOnlyWhatBothCover) {
  RawRun raw = ramp(steps(10.0, 30));
  raw.sensors.push_back(ramp(steps(10.0, 30)).sensors[0]);
  for (double& time : raw.sensors[1].time_s) time += 0.55;  // starts later, off the grid
  Recipe two = recipe();
  two.sensors = {"one", "two"};
  Tally tally;
  const std::vector<EvenRun> runs = even_runs(raw, two, tally).value();
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].samples, 24u) << "the first six have no partner";
  EXPECT_EQ(runs[0].values.size(), 2 * kAxes * 24);
  EXPECT_NEAR(runs[0].channel(0)[0], 100.6, 1e-9);
  EXPECT_NEAR(runs[0].channel(kAxes)[0], 100.05, 1e-9);
}

TEST(EvenRuns, RefuseTimesThatCannotBeSeconds) {
  Tally tally;
  const Result<std::vector<EvenRun>> fast =
      even_runs(ramp({0, 1e-6, 2e-6, 3e-6}), recipe(0.0), tally);
  ASSERT_FALSE(fast.ok());
  EXPECT_NE(fast.error().what.find("units.time"), std::string::npos);
  std::vector<double> sparse;
  for (int i = 0; i < 1000; ++i) sparse.push_back(i * 9.0);
  EXPECT_FALSE(even_runs(ramp(sparse), recipe(1000.0), tally).ok());
}

struct Collected {
  std::vector<RawRun> runs;
  RunSink sink = [this](RawRun&& run) {
    runs.push_back(std::move(run));
    return ok();
  };
};

TEST(RunBuilder, EndsRunsWherePersonLabelOrClockChange) {
  const Recipe one = recipe();
  Tally tally;
  Collected collected;
  RunBuilder builder(one, tally, collected.sink);
  const std::vector<double> values(kAxes, 1.0);
  const auto add = [&](int64_t subject, int32_t label, double time_s) {
    ASSERT_TRUE(builder.add(subject, label, time_s, values, "here").ok());
  };
  add(1, 0, 0.0), add(1, 0, 0.1);
  add(1, 1, 0.2), add(1, 1, 0.2), add(1, 1, 0.15), add(1, 1, 0.3);  // duplicate, backward
  add(1, -1, 0.4);                                                  // left out
  add(2, 1, 0.5);
  add(2, 1, 30.0);  // far too long a gap
  add(2, 1, 5.0);   // the clock restarts
  ASSERT_TRUE(builder.close().ok());
  std::vector<size_t> rows;
  for (const RawRun& run : collected.runs) rows.push_back(run.sensors[0].rows());
  EXPECT_EQ(rows, (std::vector<size_t>{2, 2, 1, 1, 1}));
  EXPECT_EQ(tally[Reason::kDuplicateTime], 1);
  EXPECT_EQ(tally[Reason::kBackwardTime], 1);
  EXPECT_EQ(tally[Reason::kLeftOutLabel], 1);
  EXPECT_EQ(tally[Reason::kGapCut], 1);
  EXPECT_EQ(tally[Reason::kClockRestart], 1);
}

TEST(RunBuilder, DividesVeryLongRuns) {
  const Recipe one = recipe();
  Tally tally;
  Collected collected;
  RunBuilder builder(one, tally, collected.sink);
  const std::vector<double> values(kAxes, 1.0);
  for (size_t i = 0; i < kMaximumRunRows + 10; ++i) {
    ASSERT_TRUE(builder.add(1, 0, static_cast<double>(i) * 0.01, values, "here").ok());
  }
  ASSERT_TRUE(builder.close().ok());
  ASSERT_EQ(collected.runs.size(), 2u);
  EXPECT_EQ(collected.runs[1].sensors[0].rows(), 10u);
  EXPECT_EQ(tally[Reason::kLongRun], 1);
}

TEST(Units, BecomeTargetUnitsWithoutTheirOffsets) {
  Recipe one = recipe();
  one.units = {"g", "deg/s", "uT", "s"};
  one.offsets["one"] = {0.1, 0, 0, 0, 0.5, 0, 0, 0, 0.25};
  std::vector<double> axes = {1, 2, 0, 180, 90, 0, 50, 25, 100};
  to_target_units(one, "one", axes);
  const std::vector<double> expected = {
      9.70665, 19.6133, 0, 3.14159265358979, 1.07079632679490, 0, 1, 0.5, 1.75};
  for (size_t i = 0; i < kAxes; ++i) EXPECT_NEAR(axes[i], expected[i], 1e-12);
}

}  // namespace
}  // namespace graupel::prepare
