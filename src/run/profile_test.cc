// The profile's arithmetic and its consistency; no bounds on time.
#include "run/profile.h"

#include <gtest/gtest.h>

#include "run/plan_builder.h"

namespace graupel::run {
namespace {

TEST(Profile, PercentilesAreNearestRanks) {
  std::vector<double> samples;
  for (int i = 1; i <= 200; ++i) samples.push_back(i);
  EXPECT_EQ(percentile(samples, 0.50), 100.0);
  EXPECT_EQ(percentile(samples, 0.95), 190.0);
  EXPECT_EQ(percentile(samples, 0.99), 198.0);
  EXPECT_EQ(percentile(samples, 0.0), 1.0);
  EXPECT_EQ(percentile(samples, 1.0), 200.0);
  EXPECT_EQ(percentile({}, 0.5), 0.0);
}

TEST(Profile, AccountsForEveryStep) {
  Plan plan = sample_plan();
  plan.steps[1].macs = 1234;
  Result<Engine> engine = load_engine(plan);
  ASSERT_TRUE(engine.ok());
  const std::vector<float> window(144, 0.5f);
  const Result<Profile> profile = profile_engine(*engine, window, {5, 50, 10.0});
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  EXPECT_EQ(profile->runs, 50u);
  EXPECT_EQ(profile->steps.size(), plan.steps.size());
  EXPECT_EQ(profile->macs, 1234);
  EXPECT_EQ(profile->plan_bytes, format_plan(plan).size());
  EXPECT_EQ(profile->arena_bytes, plan.arena_size_bytes);
  EXPECT_LE(profile->latency_us_min, profile->latency_us_p50);
  EXPECT_LE(profile->latency_us_p50, profile->latency_us_p95);
  EXPECT_LE(profile->latency_us_p95, profile->latency_us_max);
  EXPECT_GT(profile->peak_rss_bytes, 0u);
  double share = 0.0;
  for (const StepProfile& step : profile->steps) share += step.share;
  EXPECT_NEAR(share, 1.0, 1e-6);
}

TEST(Profile, ABatchIsOneRunAndItsStepsCountPerWindow) {
  Plan plan = sample_plan();
  Result<Engine> engine = load_engine(plan, {.batch = 4, .threads = 2});
  ASSERT_TRUE(engine.ok());
  const std::vector<float> windows(3 * 144, 0.5f);  // fewer than a batch, taken in turn
  const Result<Profile> profile = profile_engine(*engine, windows, {.warmup_runs = 2, .runs = 30});
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  EXPECT_EQ(profile->batch, 4u);
  EXPECT_EQ(profile->threads, 1u);  // no step of it is worth a second one
  EXPECT_NEAR(profile->windows_per_s * profile->latency_us_mean, 4e6, 1.0);
  EXPECT_NEAR(
      profile->device_us + profile->host_us,
      [&] {
        double sum = 0.0;
        for (const StepProfile& step : profile->steps) sum += step.time_us;
        return sum;
      }(),
      1e-6);
  EXPECT_FALSE(profile_engine(*engine, std::span(windows).first(145)).ok());
  EXPECT_FALSE(profile_engine(*engine, {}).ok());
}

TEST(Profile, StopsAtTheTimeLimitAndNeedsRuns) {
  Result<Engine> engine = load_engine(sample_plan());
  ASSERT_TRUE(engine.ok());
  const std::vector<float> window(144, 0.5f);
  EXPECT_EQ(profile_engine(*engine, window, {0, 100, 0.0})->runs, 1u);
  EXPECT_FALSE(profile_engine(*engine, window, {0, 0, 1.0}).ok());
  EXPECT_FALSE(profile_engine(*engine, std::vector<float>(3), {0, 1, 1.0}).ok());
}

}  // namespace
}  // namespace graupel::run
