// Viterbi, posterior and expected counts against the enumeration of every segmentation; long
// recordings against each other and against what cannot be otherwise.
#include "decide/hsmm_offline.h"

#include <gtest/gtest.h>

#include "decide/hsmm_sums.h"
#include "decide/hsmm_test_support.h"

namespace graupel::decide {
namespace {

struct Case {
  Hsmm model;
  HsmmTables tables;
  std::vector<double> emissions;
  std::vector<int32_t> contexts;
  Observations seen;
};

void make_case(uint64_t seed, Case& made) {
  Rng rng(seed);
  const size_t states = 2 + rng.below(2), windows = 1 + rng.below(states == 2 ? 10 : 8);
  const size_t maximum = 2 + rng.below(6), contexts = 1 + rng.below(2);
  made.model = random_hsmm(rng, states, maximum, contexts);
  Result<HsmmTables> tables = make_hsmm_tables(made.model);
  ASSERT_TRUE(tables.ok()) << tables.error().message();
  made.tables = *std::move(tables);
  made.emissions = random_emissions(rng, windows, states, seed % 5 == 0 ? 40.0 : 3.0);
  for (size_t t = 0; t < windows; ++t) {
    made.contexts.push_back(static_cast<int32_t>(rng.below(contexts)));
  }
  made.seen = {made.emissions, made.contexts, rng.below(3) ? End::kOpen : End::kComplete};
}

void expect_near(const std::vector<double>& got, const std::vector<double>& joint, double whole,
                 const char* what) {
  ASSERT_EQ(got.size(), joint.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], joint[i] / whole, 1e-10) << what << " " << i;
  }
}

TEST(HsmmOffline, AgreesWithEverySegmentation) {
  size_t long_segments = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Case made;
    make_case(seed, made);
    const Enumerated all = enumerate_all(made.tables, made.seen);
    if (all.likelihood == 0.0) continue;  // zeros of the transitions may forbid a complete end
    const Result<Path> path = viterbi(made.tables, made.seen);
    ASSERT_TRUE(path.ok());
    EXPECT_NEAR(path->log_probability, all.best, 1e-9);
    EXPECT_EQ(path->segments, all.best_segments);
    for (const Segment& segment : path->segments) {
      long_segments += segment.length > made.tables.maximum_duration;
    }
    ExpectedCounts counts;
    const Result<Posterior> found = posterior(made.tables, made.seen, &counts);
    ASSERT_TRUE(found.ok());
    EXPECT_NEAR(found->log_likelihood, std::log(all.likelihood), 1e-9);
    expect_near(found->probability, all.state, all.likelihood, "state");
    expect_near(counts.first, all.counts.first, all.likelihood, "first");
    expect_near(counts.windows, all.counts.windows, all.likelihood, "windows");
    expect_near(counts.transitions, all.counts.transitions, all.likelihood, "transitions");
    for (size_t s = 0; s < made.tables.states; ++s) {
      expect_near(counts.complete[s], all.counts.complete[s], all.likelihood, "complete");
      expect_near(counts.cut_at_start[s], all.counts.cut_at_start[s], all.likelihood, "start");
      expect_near(counts.cut_at_end[s], all.counts.cut_at_end[s], all.likelihood, "end");
      expect_near(counts.cut_at_both[s], all.counts.cut_at_both[s], all.likelihood, "both");
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(long_segments, 5u);  // longer than D: the tail was exercised
}

// The literal O(T S^2 D) recursion in the log domain, for recordings too long to enumerate.
double plain_likelihood(const HsmmTables& tables, const Observations& seen) {
  const size_t states = tables.states, windows = seen.log_emission.size() / states;
  std::vector<std::vector<double>> ends(windows + 1, std::vector<double>(states, -INFINITY));
  std::vector<double> last;
  for (size_t t = 1; t <= windows; ++t) {
    for (size_t s = 0; s < states; ++s) {
      const DurationTable& law = tables.durations[s];
      double emitted = 0.0;
      for (size_t d = 1; d <= t; ++d) {
        emitted += seen.log_emission[(t - d) * states + s];
        const bool first = d == t && tables.begin == Begin::kInside;
        double enters = d == t ? tables.log_initial[s] : -INFINITY;
        for (size_t r = 0; d < t && r < states; ++r) {
          enters = log_add(enters, ends[t - d][r] + tables.log_transition[r * states + s]);
        }
        ends[t][s] = log_add(ends[t][s], enters + emitted +
                                             (first ? log_survivor_at(law, d) - law.log_mean
                                                    : log_probability_at(law, d)));
        if (t == windows) {
          last.push_back(enters + emitted +
                         (first ? log_remaining_at(law, d) : log_survivor_at(law, d)));
        }
      }
    }
  }
  return log_sum(last);
}

TEST(HsmmOffline, LongRecordingsKeepTheirLikelihood) {
  for (const double spread : {0.5, 5.0, 40.0}) {  // 40 a window: e^-640 within one block
    Rng rng(7);
    Hsmm model = random_hsmm(rng, 3, 70);
    model.durations = {{DurationFamily::kGaussian, {40.0, 2.0}},
                       {DurationFamily::kPoisson, {25.0}},
                       {DurationFamily::kLogNormal, {4.0, 0.5}}};
    const HsmmTables tables = make_hsmm_tables(model).value();
    const std::vector<double> emissions = random_emissions(rng, 400, 3, spread);
    const Observations seen{emissions, {}, End::kOpen};
    const double expected = plain_likelihood(tables, seen);
    EXPECT_NEAR(posterior(tables, seen)->log_likelihood, expected, 1e-8 * std::abs(expected));
  }
}

TEST(HsmmOffline, AMillionWindowsNeitherUnderflowNorDrift) {
  Rng rng(3);
  const size_t states = 3, windows = 1000000, period = 50;
  Hsmm model = random_hsmm(rng, states, 60);
  model.begin = Begin::kOnset;
  model.durations.assign(states, {DurationFamily::kPoisson, {static_cast<double>(period - 1)}});
  model.transitions = {{0, 1, 0, 0, 0, 1, 1, 0, 0}};
  model.initial = {1, 0, 0};
  const HsmmTables tables = make_hsmm_tables(model).value();
  std::vector<double> emissions(windows * states);
  for (size_t t = 0; t < windows; ++t) {
    for (size_t s = 0; s < states; ++s) {
      emissions[t * states + s] = (t / period) % states == s ? -0.1 * rng.uniform() : -6.0;
    }
  }
  const Observations seen{emissions, {}, End::kOpen};
  const Result<Path> path = viterbi(tables, seen);
  const Result<Posterior> found = posterior(tables, seen);
  ASSERT_TRUE(path.ok() && found.ok());
  ASSERT_EQ(path->segments.size(), windows / period);
  for (size_t i = 0; i < path->segments.size(); ++i) {
    ASSERT_EQ(path->segments[i].start, i * period);
    ASSERT_EQ(path->segments[i].state, i % states);
  }
  EXPECT_TRUE(std::isfinite(found->log_likelihood));
  EXPECT_GT(found->log_likelihood, path->log_probability);
  // Far from a border nothing is in doubt, at the start as at the end.
  for (size_t t = 25; t < windows; t += period) {
    ASSERT_NEAR(found->probability[t * states + (t / period) % states], 1.0, 1e-9) << t;
  }
}

TEST(HsmmOffline, RefusesWhatDoesNotFit) {
  Rng rng(1);
  const HsmmTables tables = make_hsmm_tables(random_hsmm(rng, 2, 4)).value();
  const std::vector<double> three(3, 0.0), nan = {0.0, NAN};
  const std::vector<int32_t> context = {1};
  EXPECT_FALSE(viterbi(tables, {{}, {}, End::kOpen}).ok());
  EXPECT_FALSE(posterior(tables, {three, {}, End::kOpen}).ok());
  EXPECT_FALSE(viterbi(tables, {nan, {}, End::kOpen}).ok());
  EXPECT_FALSE(viterbi(tables, {std::span(three).first(2), context, End::kOpen}).ok());
}

}  // namespace
}  // namespace graupel::decide
