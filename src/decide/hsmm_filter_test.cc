// The filter, the elapsed time and the fixed-lag answer against every segmentation of what has
// been seen so far; long runs against the offline posterior.
#include "decide/hsmm_filter.h"

#include <gtest/gtest.h>

#include "decide/hsmm_test_support.h"

namespace graupel::decide {
namespace {

TEST(HsmmFilter, AgreesWithEverySegmentationOfThePast) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    const size_t states = 2 + rng.below(2), windows = states == 2 ? 9 : 7, contexts = 2;
    const Hsmm model = random_hsmm(rng, states, 2 + rng.below(6), contexts);
    const auto tables = std::make_shared<HsmmTables>(make_hsmm_tables(model).value());
    const std::vector<double> emissions = random_emissions(rng, windows, states);
    std::vector<int32_t> context;
    for (size_t t = 0; t < windows; ++t) context.push_back(static_cast<int32_t>(rng.below(2)));
    const size_t lag = rng.below(5);
    HsmmFilter filter = make_filter(tables, lag).value();
    for (size_t t = 0; t < windows; ++t) {
      const std::span<const double> seen(emissions);
      step(filter, seen.subspan(t * states, states), static_cast<uint32_t>(context[t]));
      const Enumerated all = enumerate_all(
          *tables, {seen.first((t + 1) * states), std::span(context).first(t + 1), End::kOpen});
      EXPECT_NEAR(filter.log_likelihood, std::log(all.likelihood), 1e-10);
      for (size_t s = 0; s < states; ++s) {
        const double now = all.state[t * states + s];
        EXPECT_NEAR(filter.probability[s], now / all.likelihood, 1e-11);
        if (t >= lag) {
          EXPECT_NEAR(filter.lagged[s], all.state[(t - lag) * states + s] / all.likelihood, 1e-11);
        }
        if (now == 0.0 || tables->begin == Begin::kInside) continue;
        const Elapsed elapsed = elapsed_in(filter, s);
        if (elapsed.at_least) continue;  // D stands for all longer ones
        double highest = 0.0;
        for (const double p : all.elapsed[s]) highest = std::max(highest, p);
        EXPECT_NEAR(all.elapsed[s][elapsed.windows - 1], highest, 1e-11 * highest);
        EXPECT_NEAR(elapsed.probability, highest / now, 1e-10);
      }
    }
    if (HasFailure()) return;
  }
}

// The model forbids what windows show, so that a state's windows are far beyond their likelihood.
TEST(HsmmFilter, ForcedWaysAreLookedBackOnInLogarithms) {
  Rng rng(3);
  Hsmm model = random_hsmm(rng, 2, 8);
  model.begin = Begin::kOnset;
  model.initial = {1.0, 0.0};
  model.transitions = {{0, 1, 1, 0}};
  model.durations.assign(2, {DurationFamily::kTable, {0, 0, 0, 0, 0, 1.0}});
  const auto tables = std::make_shared<HsmmTables>(make_hsmm_tables(model).value());
  HsmmFilter filter = make_filter(tables, 5).value();
  std::vector<double> emissions;
  double most = 0.0;
  for (size_t t = 0; t < 30; ++t) {
    emissions.insert(emissions.end(), {-800.0, 0.0});  // state 1 always; the law says turns of six
    step(filter, std::span<const double>(emissions).subspan(2 * t, 2));
    double surprise = 0.0;
    for (const double nats : filter.surprise) surprise += nats;
    most = std::max(most, surprise);
    if (t < 5) continue;
    const Posterior whole = posterior(*tables, {emissions, {}, End::kOpen}).value();
    for (size_t s = 0; s < 2; ++s) {
      EXPECT_NEAR(filter.lagged[s], whole.probability[(t - 5) * 2 + s], 1e-9) << t;
    }
  }
  EXPECT_GT(most, kMostSurprise);
}

TEST(HsmmFilter, TheLastAnswerOfALongRunIsThePosteriors) {
  Rng rng(11);
  const size_t states = 4, windows = 3000;
  const Hsmm model = random_hsmm(rng, states, 50);
  const auto tables = std::make_shared<HsmmTables>(make_hsmm_tables(model).value());
  const std::vector<double> emissions = random_emissions(rng, windows, states, 8.0);
  HsmmFilter filter = make_filter(tables, 20).value();
  for (size_t t = 0; t < windows; ++t) {
    step(filter, std::span<const double>(emissions).subspan(t * states, states));
  }
  const Posterior whole = posterior(*tables, {emissions, {}, End::kOpen}).value();
  EXPECT_NEAR(filter.log_likelihood, whole.log_likelihood, 1e-7);
  for (size_t s = 0; s < states; ++s) {
    EXPECT_NEAR(filter.probability[s], whole.probability[(windows - 1) * states + s], 1e-10);
    EXPECT_NEAR(filter.lagged[s], whole.probability[(windows - 21) * states + s], 1e-9);
  }
  restart(filter);
  EXPECT_EQ(filter.windows, 0u);
}

TEST(HsmmFilter, AMillionWindowsDoNotUnderflow) {
  Rng rng(6);
  Hsmm model = random_hsmm(rng, 2, 20);
  model.begin = Begin::kOnset;
  model.initial = {1, 0};
  model.transitions = {{0, 1, 1, 0}};
  model.durations.assign(2, {DurationFamily::kPoisson, {7.0}});
  const size_t windows = 1000000, period = 8, lag = 4;
  HsmmFilter filter =
      make_filter(std::make_shared<HsmmTables>(make_hsmm_tables(model).value()), lag).value();
  const std::vector<double> first = {-0.01, -30.0}, second = {-30.0, -0.01};
  for (size_t t = 0; t < windows; ++t) {
    step(filter, (t / period) % 2 == 0 ? first : second);
    if (t < 100 || t % 1001 != 0) continue;
    const size_t now = (t / period) % 2, before = ((t - lag) / period) % 2;
    ASSERT_NEAR(filter.probability[now], 1.0, 1e-9) << t;
    ASSERT_NEAR(filter.lagged[before], 1.0, 1e-9) << t;
    ASSERT_EQ(elapsed_in(filter, now).windows, t % period + 1);
  }
  EXPECT_TRUE(std::isfinite(filter.log_likelihood));
}

TEST(HsmmFilter, ASegmentOfTheFirstWindowHasLastedAtLeastThatLong) {
  Rng rng(2);
  Hsmm model = random_hsmm(rng, 2, 30);
  model.begin = Begin::kInside;
  model.durations.assign(2, {DurationFamily::kPoisson, {10.0}});
  model.transitions = {{0, 1, 1, 0}};
  HsmmFilter filter =
      make_filter(std::make_shared<HsmmTables>(make_hsmm_tables(model).value())).value();
  const std::vector<double> first = {0.0, -20.0}, second = {-20.0, 0.0};
  for (int t = 0; t < 5; ++t) step(filter, first);
  EXPECT_TRUE(elapsed_in(filter, 0).at_least);
  EXPECT_EQ(elapsed_in(filter, 0).windows, 5u);
  for (int t = 0; t < 4; ++t) step(filter, second);
  EXPECT_FALSE(elapsed_in(filter, 1).at_least);
  EXPECT_EQ(elapsed_in(filter, 1).windows, 4u);
  EXPECT_FALSE(make_filter(filter.tables, kMaxLag + 1).ok());
}

}  // namespace
}  // namespace graupel::decide
