// The paired test beside SciPy's, and how often it errs; which windows are held out.
#include "quantize/held_out.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "quantize/test_support.h"

namespace graupel::quantize {
namespace {

Tensor numbered(size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0f);
  return Tensor::of<float>({static_cast<int64_t>(count), 1}, values);
}

std::vector<double> numbers(const Tensor& tensor) { return tensor.to_doubles(); }

TEST(Split, EveryWindowIsOnOneSide) {
  for (const size_t count : {2u, 3u, 17u, 64u, 1100u}) {
    const Split split = split_windows(numbered(count), {});
    std::vector<double> all = numbers(split.fitting), held = numbers(split.held_out);
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()) && std::is_sorted(held.begin(), held.end()));
    EXPECT_NEAR(static_cast<double>(held.size()), static_cast<double>(count) / 4.0,
                std::max(1.0, static_cast<double>(count) / 16.0));
    all.insert(all.end(), held.begin(), held.end());
    EXPECT_EQ(std::set<double>(all.begin(), all.end()).size(), count);
  }
}

TEST(Split, WholePeopleAreHeldOut) {
  std::vector<int64_t> people;
  for (int64_t i = 0; i < 90; ++i) people.push_back(i % 9 * 10);
  const Split split = split_windows(numbered(90), people);
  std::set<int64_t> fitting, held;
  for (const double at : numbers(split.fitting)) fitting.insert(people[static_cast<size_t>(at)]);
  for (const double at : numbers(split.held_out)) held.insert(people[static_cast<size_t>(at)]);
  EXPECT_EQ(held, (std::set<int64_t>{10, 50}));
  EXPECT_EQ(fitting.size(), 7u);
  // One person says nothing about others: blocks, as if nothing were known.
  EXPECT_EQ(split_windows(numbered(90), std::vector<int64_t>(90, 3)).held_out,
            split_windows(numbered(90), {}).held_out);
}

// scipy.stats.ttest_rel(before, after, alternative="greater"), SciPy 1.16: statistic, p < 0.05.
TEST(Gain, IsThePairedTest) {
  const struct {
    std::vector<double> before, after;
    double statistic;
    bool gain;
  } cases[] = {
      {{3.243, 2.813, 1.275, 4.324, 7.19, 3.013, 1.0, 4.089, 1.922, 2.583, 1.478, 1.803, 3.111,
        0.547, 3.253, 0.701},
       {2.882, 3.19, 1.761, 3.867, 7.638, 3.024, 0.853, 4.162, 1.799, 1.764, 1.586, 2.283, 3.879,
        0.499, 3.279, 0.418},
       -0.32823915321940134,
       false},
      {{1.136, 0.898, 1.882, 1.8, 2.365, 5.056, 0.723, 1.69},
       {1.103, 1.045, 1.508, 0.916, 2.178, 4.496, -0.565, 1.947},
       1.957176626317261,
       true},
      {{2.022, 0.639, 1.647, 1.07}, {1.161, -0.009, 0.713, 0.339}, 12.370657865585951, true},
      {{2.379, 2.608}, {0.524, 1.568}, 3.552147239263804, false},
  };
  for (const auto& each : cases) {
    const BlockNoise before{each.before}, after{each.after};
    EXPECT_NEAR(gain_in_errors(before, after), each.statistic, 1e-9);
    EXPECT_EQ(is_gain(before, after), each.gain) << each.statistic;
  }
  EXPECT_FALSE(is_gain({{1.0, 1.0}}, {{1.0, 1.0}}));
  EXPECT_TRUE(is_gain({{2.0, 3.0}}, {{1.0, 2.0}})) << "every block gains alike";
  EXPECT_FALSE(is_gain({{1.0, 2.0}}, {{2.0, 3.0}}));
}

TEST(Gain, ChanceAloneIsKeptOnceInTwenty) {
  Rng rng(3);
  int kept = 0, found = 0;
  constexpr int kTrials = 4000;
  for (int trial = 0; trial < kTrials; ++trial) {
    BlockNoise before, same, better;
    for (size_t block = 0; block < kMostBlocks; ++block) {
      before.noise.push_back(10.0 + rng.normal());
      same.noise.push_back(10.0 + rng.normal());
      better.noise.push_back(8.0 + rng.normal());
    }
    kept += is_gain(before, same) ? 1 : 0;
    found += is_gain(before, better) ? 1 : 0;
  }
  EXPECT_NEAR(kept / static_cast<double>(kTrials), 0.05, 0.012);
  EXPECT_GT(found, 0.99 * kTrials);
}

// A range too narrow: a little less noise in most blocks, much more in the one that needs it.
TEST(Gain, ManySmallGainsDoNotPayForALargeLoss) {
  BlockNoise before, after;
  for (size_t block = 0; block < kMostBlocks; ++block) {
    const double noise = 1.0 + 0.05 * static_cast<double>(block);
    before.noise.push_back(noise);
    after.noise.push_back(block == 5 ? 4.0 * noise
                                     : (0.9 - 0.001 * static_cast<double>(block)) * noise);
  }
  EXPECT_FALSE(is_gain(before, after));
  after.noise[5] = 0.9 * before.noise[5];
  EXPECT_TRUE(is_gain(before, after));
}

// The exact test, which assumes only that without an effect before and after may change places: the
// share of all 2^n exchanges whose gains sum to as much.
double exchange_probability(const BlockNoise& before, const BlockNoise& after) {
  std::vector<double> gains;
  for (size_t i = 0; i < before.noise.size(); ++i) {
    gains.push_back(before.noise[i] - after.noise[i]);
  }
  const double found = std::accumulate(gains.begin(), gains.end(), 0.0);
  size_t as_much = 0;
  const size_t all = size_t{1} << gains.size();
  for (size_t signs = 0; signs < all; ++signs) {
    double sum = 0.0;
    for (size_t i = 0; i < gains.size(); ++i) sum += (signs >> i & 1) != 0 ? -gains[i] : gains[i];
    as_much += sum >= found - 1e-12 ? 1 : 0;
  }
  return static_cast<double>(as_much) / static_cast<double>(all);
}

TEST(Gain, AgreesWithAllExchanges) {
  Rng rng(5);
  int clear = 0, gained = 0;
  for (int i = 0; i < 60; ++i) {
    BlockNoise before, after;
    for (size_t block = 0; block < kMostBlocks; ++block) {
      before.noise.push_back(10.0 + rng.normal());
      after.noise.push_back((i % 2 == 0 ? 10.0 : 9.3) + rng.normal());
    }
    const double probability = exchange_probability(before, after);
    if (probability > 0.04 && probability < 0.06) continue;
    EXPECT_EQ(is_gain(before, after), probability < 0.05) << probability;
    ++clear;
    gained += probability < 0.05 ? 1 : 0;
  }
  EXPECT_GT(clear, 40);
  EXPECT_GT(gained, 5);
}

TEST(BlockNoise, MeanIsTheNoiseOfAllWindows) {
  const ir::Graph graph = body("input x: float32[1x4]\nrelu: Relu(x) -> y\noutput y");
  const Result<Reference> reference = make_reference(graph, random_tensor(1, {48, 4}), 48);
  const ir::Graph off = body(R"(
    input x: float32[1x4]
    const f: float32[1] = [1.1]
    mul: Mul(x, f) -> z
    relu: Relu(z) -> y
    output y)");
  const Result<BlockNoise> blocks = block_noise(off, *reference);
  ASSERT_TRUE(blocks.ok());
  EXPECT_EQ(blocks->noise.size(), kMostBlocks);
  EXPECT_NEAR(blocks->mean(), output_noise(off, *reference).value(), 1e-12);
}

}  // namespace
}  // namespace graupel::quantize
