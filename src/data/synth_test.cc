// The synthesiser: determinism, balance, and readings that a real inertial unit could give.
#include "data/synth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <vector>

namespace graupel::data {
namespace {

constexpr size_t kSamples = static_cast<size_t>(kSynthSamples);

SynthSet make(const SynthOptions& options) {
  Result<SynthSet> set = synth_windows(options);
  EXPECT_TRUE(set.ok()) << set.error().message();
  return std::move(set).value();
}

const float* series(const SynthSet& set, size_t window, size_t channel, size_t sensor) {
  return set.windows.data<float>().data() + ((window * 9 + channel) * 2 + sensor) * kSamples;
}

size_t label(std::string_view name) {
  const auto& names = behaviour_names();
  return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

TEST(Synth, ShapesTypesAndNames) {
  const SynthSet set = make({.windows = 25});
  EXPECT_EQ(set.windows.shape(), (Shape{25, 9, 2, 100}));
  EXPECT_EQ(set.windows.dtype(), DType::kFloat32);
  EXPECT_EQ(set.labels.shape(), Shape{25});
  EXPECT_EQ(set.subjects.dtype(), DType::kInt64);
  const auto& names = behaviour_names();
  EXPECT_EQ(std::set<std::string_view>(names.begin(), names.end()).size(), 10u);
}

TEST(Synth, TheSameOptionsGiveTheSameBytesAndAPrefixIsAPrefix) {
  const SynthSet first = make({.windows = 60, .seed = 5});
  const SynthSet again = make({.windows = 60, .seed = 5});
  EXPECT_TRUE(first.windows == again.windows);
  EXPECT_TRUE(first.labels == again.labels);
  const SynthSet longer = make({.windows = 75, .seed = 5});
  EXPECT_TRUE(std::equal(first.windows.data<float>().begin(), first.windows.data<float>().end(),
                         longer.windows.data<float>().begin()));
  const SynthSet other = make({.windows = 60, .seed = 6});
  EXPECT_FALSE(first.windows == other.windows);
  EXPECT_FALSE(first.labels == other.labels);
}

TEST(Synth, EveryRunOfTenHoldsEachBehaviourOnceForOneSubject) {
  const SynthSet set = make({.windows = 200, .subjects = 7, .first_subject = 30});
  std::set<int64_t> subjects, first_labels;
  for (size_t run = 0; run < 20; ++run) {
    std::set<int64_t> labels;
    for (size_t i = 0; i < 10; ++i) {
      labels.insert(set.labels.data<int64_t>()[run * 10 + i]);
      EXPECT_EQ(set.subjects.data<int64_t>()[run * 10 + i], 30 + static_cast<int64_t>(run % 7));
    }
    EXPECT_EQ(labels.size(), 10u);
    subjects.insert(set.subjects.data<int64_t>()[run * 10]);
    first_labels.insert(set.labels.data<int64_t>()[run * 10]);
  }
  EXPECT_EQ(subjects.size(), 7u);
  EXPECT_GT(first_labels.size(), 3u);  // the order within a run differs from run to run
}

TEST(Synth, ReadingsArePhysical) {
  const SynthSet set = make({.windows = 1000, .subjects = 20});
  for (size_t n = 0; n < 1000; ++n) {
    const auto behaviour = static_cast<size_t>(set.labels.data<int64_t>()[n]);
    for (size_t sensor = 0; sensor < 2; ++sensor) {
      double force = 0.0, field = 0.0;
      for (size_t t = 0; t < kSamples; ++t) {
        std::array<double, 9> v{};
        for (size_t c = 0; c < 9; ++c) v[c] = static_cast<double>(series(set, n, c, sensor)[t]);
        force += std::hypot(v[0], v[1], v[2]) / 100.0;
        field += std::hypot(v[6], v[7], v[8]) / 100.0;
        for (size_t c = 0; c < 3; ++c) {
          ASSERT_LT(std::abs(v[c]), 160.0) << "16 g";
          ASSERT_LT(std::abs(v[3 + c]), 35.0) << "2000 degrees per second";
        }
      }
      // The earth's field has length 1 up to the person's bias, whatever he does.
      EXPECT_NEAR(field, 1.0, 0.25);
      // At rest nothing but gravity is felt.
      if (behaviour == label("stationary")) {
        EXPECT_NEAR(force, 9.81, 0.7);
      }
    }
  }
}

// The turn read from the gyroscope and the turn read from the compass are the same turn. Both are
// taken about the direction of the mean specific force, which is up however the unit is worn.
TEST(Synth, TheCompassFollowsTheGyroscope) {
  const SynthSet set = make({.windows = 400, .subjects = 40, .seed = 3});
  size_t turns = 0;
  for (size_t n = 0; n < 400; ++n) {
    const auto behaviour = static_cast<size_t>(set.labels.data<int64_t>()[n]);
    const bool is_left = behaviour == label("turn_left");
    if (!is_left && behaviour != label("turn_right")) continue;
    ++turns;
    std::array<double, 3> up{};
    for (size_t c = 0; c < 3; ++c) {
      for (size_t t = 0; t < kSamples; ++t) {
        up[c] += static_cast<double>(series(set, n, c, 0)[t]);
      }
    }
    const double length = std::hypot(up[0], up[1], up[2]);
    for (double& x : up) x /= length;
    const std::array<double, 3> side = {0.0, up[2], -up[1]};  // up x (1, 0, 0): level
    const std::array<double, 3> front = {side[1] * up[2] - side[2] * up[1],
                                         side[2] * up[0] - side[0] * up[2],
                                         side[0] * up[1] - side[1] * up[0]};
    double by_rate = 0.0, by_field = 0.0, previous = 0.0;
    for (size_t t = 0; t < kSamples; ++t) {
      double rate = 0.0, x = 0.0, y = 0.0;
      for (size_t c = 0; c < 3; ++c) {
        rate += up[c] * static_cast<double>(series(set, n, 3 + c, 0)[t]);
        x += front[c] * static_cast<double>(series(set, n, 6 + c, 0)[t]);
        y += side[c] * static_cast<double>(series(set, n, 6 + c, 0)[t]);
      }
      const double angle = std::atan2(y, x);
      if (t > 0) {
        by_rate += rate / kSynthSampleRateHz;
        by_field -= std::remainder(angle - previous, 2.0 * 3.14159265358979);
      }
      previous = angle;
    }
    EXPECT_NEAR(by_field, by_rate, 0.45) << "window " << n;
    if (std::abs(by_rate) > 0.3) {
      EXPECT_EQ(by_rate > 0.0, is_left) << "window " << n;
    }
  }
  EXPECT_EQ(turns, 80u);
}

TEST(Synth, SubjectsAreTheSamePeopleUnderEverySeedAndDifferFromEachOther) {
  // The mean vector of the resting torso shows how the person wears the unit.
  const auto resting = [](int64_t subject, uint64_t seed) {
    const SynthSet set =
        make({.windows = 400, .subjects = 1, .first_subject = subject, .seed = seed});
    std::array<double, 2> mean{};
    size_t count = 0;
    for (size_t n = 0; n < 400; ++n) {
      if (static_cast<size_t>(set.labels.data<int64_t>()[n]) != label("walking")) continue;
      ++count;
      for (size_t c = 0; c < 2; ++c) {
        for (size_t t = 0; t < kSamples; ++t) {
          mean[c] += static_cast<double>(series(set, n, c, 0)[t]) / 100.0;
        }
      }
    }
    for (double& x : mean) x /= static_cast<double>(count);
    return mean;
  };
  double same = 0.0, different = 0.0;
  for (int64_t subject = 0; subject < 8; ++subject) {
    const auto a = resting(subject, 1), b = resting(subject, 2), c = resting(subject + 100, 1);
    same += std::hypot(a[0] - b[0], a[1] - b[1]) / 8.0;
    different += std::hypot(a[0] - c[0], a[1] - c[1]) / 8.0;
  }
  EXPECT_LT(same, 0.5);
  EXPECT_GT(different, 1.0);
}

TEST(Synth, NoChannelAloneGivesAwayTheBehaviour) {
  // Nearest class mean of the 18 channel means, trained and tested on different people, must stay
  // far from what a network reaches: the classes differ in how signals move.
  const auto features = [](const SynthSet& set, size_t n) {
    std::array<double, 18> f{};
    for (size_t c = 0; c < 18; ++c) {
      const float* const values = series(set, n, c / 2, c % 2);
      for (size_t t = 0; t < kSamples; ++t) f[c] += static_cast<double>(values[t]) / 100.0;
    }
    return f;
  };
  const SynthSet train = make({.windows = 1000, .subjects = 20});
  const SynthSet test = make({.windows = 1000, .subjects = 20, .first_subject = 50, .seed = 2});
  std::array<std::array<double, 18>, 10> centre{};
  for (size_t n = 0; n < 1000; ++n) {
    const auto f = features(train, n);
    auto& mean = centre[static_cast<size_t>(train.labels.data<int64_t>()[n])];
    for (size_t c = 0; c < 18; ++c) mean[c] += f[c] / 100.0;
  }
  size_t hits = 0;
  for (size_t n = 0; n < 1000; ++n) {
    const auto f = features(test, n);
    std::array<double, 10> distance{};
    for (size_t b = 0; b < 10; ++b) {
      for (size_t c = 0; c < 18; ++c) distance[b] += std::pow(f[c] - centre[b][c], 2);
    }
    const auto nearest = std::min_element(distance.begin(), distance.end()) - distance.begin();
    hits += nearest == test.labels.data<int64_t>()[n] ? 1 : 0;
  }
  EXPECT_LT(hits, 600u);
  EXPECT_GT(hits, 150u);  // but there is something in them
}

TEST(Synth, NormalisedWindowsAreTheRawOnesScaled) {
  const SynthSet raw = make({.windows = 100});
  const Normalization normalization = normalization_of(channel_statistics(raw.windows).value());
  SynthOptions options{.windows = 100};
  options.normalization = normalization;
  const SynthSet scaled = make(options);
  EXPECT_TRUE(scaled.windows == preprocess(raw.windows, normalization).value());
  const std::vector<ChannelStatistics> channels = channel_statistics(scaled.windows).value();
  for (const ChannelStatistics& channel : channels) {
    EXPECT_NEAR(channel.mean, 0.0, 1e-6);
    EXPECT_NEAR(channel.std, 1.0, 1e-6);
    EXPECT_EQ(channel.nan_count + channel.infinite_count, 0);
  }
  options.normalization = Normalization{{0.0}, {1.0}, 1e-8};
  EXPECT_FALSE(synth_windows(options).ok());
}

TEST(Synth, RefusesCountsThatMakeNoSense) {
  EXPECT_FALSE(synth_windows({.windows = 0}).ok());
  EXPECT_FALSE(synth_windows({.windows = -1}).ok());
  EXPECT_FALSE(synth_windows({.windows = kSynthMaximumWindows + 1}).ok());
  EXPECT_FALSE(synth_windows({.subjects = 0}).ok());
  EXPECT_FALSE(synth_windows({.first_subject = -1}).ok());
}

TEST(SynthNoise, IsStandardNormalOfAnyShape) {
  const Tensor noise = synth_noise({3, 8, 8}, 200, 4).value();
  EXPECT_EQ(noise.shape(), (Shape{200, 3, 8, 8}));
  const std::vector<ChannelStatistics> channels = channel_statistics(noise).value();
  for (const ChannelStatistics& channel : channels) {
    EXPECT_NEAR(channel.mean, 0.0, 0.04);
    EXPECT_NEAR(channel.std, 1.0, 0.03);
  }
  EXPECT_TRUE(noise == synth_noise({3, 8, 8}, 200, 4).value());
  EXPECT_FALSE(noise == synth_noise({3, 8, 8}, 200, 5).value());
  EXPECT_FALSE(synth_noise({3, 8}, 0, 1).ok());
  EXPECT_FALSE(synth_noise({3, -8}, 2, 1).ok());
  EXPECT_FALSE(synth_noise({int64_t{1} << 40}, 2, 1).ok());
}

}  // namespace
}  // namespace graupel::data
