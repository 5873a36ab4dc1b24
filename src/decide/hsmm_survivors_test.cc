// What is committed early is what Viterbi over the whole recording says, and it comes early.
#include "decide/hsmm_survivors.h"

#include <gtest/gtest.h>

#include "decide/hsmm_test_support.h"

namespace graupel::decide {
namespace {

struct Streamed {
  std::vector<Segment> segments;
  size_t early = 0;      // committed before the end
  double latency = 0.0;  // windows from the end of a segment to its commit, mean
  uint64_t forced = 0;
};

Streamed stream(std::shared_ptr<const HsmmTables> tables, const Observations& seen) {
  HsmmSurvivors survivors = make_survivors(tables).value();
  Streamed out;
  const size_t states = tables->states;
  for (size_t t = 0; t * states < seen.log_emission.size(); ++t) {
    step(survivors, seen.log_emission.subspan(t * states, states),
         seen.contexts.empty() ? 0 : static_cast<uint32_t>(seen.contexts[t]));
    for (const Segment& segment : survivors.committed) {
      out.segments.push_back(segment);
      out.latency += static_cast<double>(t + 1 - (segment.start + segment.length));
      ++out.early;
    }
  }
  if (out.early > 0) out.latency /= static_cast<double>(out.early);
  for (const Segment& segment : finish(survivors)) out.segments.push_back(segment);
  out.forced = survivors.forced;
  return out;
}

TEST(HsmmSurvivors, CommitWhatViterbiOverTheWholeSays) {
  size_t early = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    const size_t states = 2 + rng.below(3), windows = 1 + rng.below(60);
    const Hsmm model = random_hsmm(rng, states, 2 + rng.below(12), 2);
    const auto tables = std::make_shared<HsmmTables>(make_hsmm_tables(model).value());
    const std::vector<double> emissions = random_emissions(rng, windows, states, 6.0);
    std::vector<int32_t> contexts;
    for (size_t t = 0; t < windows; ++t) contexts.push_back(static_cast<int32_t>(rng.below(2)));
    const Observations seen{emissions, contexts, End::kOpen};
    const Path path = viterbi(*tables, seen).value();
    if (path.log_probability == -INFINITY) continue;
    const Streamed streamed = stream(tables, seen);
    EXPECT_EQ(streamed.forced, 0u);
    EXPECT_EQ(streamed.segments, path.segments);
    early += streamed.early;
    if (HasFailure()) return;
  }
  EXPECT_GT(early, 400u);
}

TEST(HsmmSurvivors, ClearSegmentsAreFinalSoonAndMemoryIsBounded) {
  Rng rng(5);
  const size_t states = 4, windows = 20000;
  Hsmm model = random_hsmm(rng, states, 60);
  model.durations.assign(states, {DurationFamily::kNegativeBinomial, {2.0, 18.0}});
  model.transitions.assign(1, std::vector<double>(16, 1.0 / 3.0));
  for (size_t s = 0; s < states; ++s) model.transitions[0][s * 5] = 0.0;
  const auto tables = std::make_shared<HsmmTables>(make_hsmm_tables(model).value());
  std::vector<double> emissions;
  for (size_t t = 0; t < windows; ++t) {
    for (size_t s = 0; s < states; ++s) {
      emissions.push_back((t / 20) % states == s ? 0.0 : -2.0 - rng.uniform());
    }
  }
  const Observations seen{emissions, {}, End::kOpen};
  const Streamed streamed = stream(tables, seen);
  EXPECT_EQ(streamed.segments, viterbi(*tables, seen)->segments);
  EXPECT_EQ(streamed.forced, 0u);
  EXPECT_LT(streamed.latency, 20.0);
  // Without any evidence nothing is ever agreed on: the bound holds, and it is said.
  const std::vector<double> nothing(windows * states, 0.0);
  HsmmSurvivors survivors = make_survivors(tables).value();
  for (size_t t = 0; t < 3000; ++t) step(survivors, std::span(nothing).first(states));
  EXPECT_LE(survivors.nodes.size(), survivors.most_nodes + states);
}

}  // namespace
}  // namespace graupel::decide
