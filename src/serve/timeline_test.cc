// Samples that come in every order, twice, never or from a clock that was set: windows are those
// of the signal they were taken from.
#include "serve/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

namespace graupel::serve {
namespace {

using testing::HasSubstr;

TimelineOptions small(size_t sensors = 1) {
  TimelineOptions options;
  options.sensors = sensors;
  options.window_samples = 20;
  options.hop_samples = 10;
  return options;
}

// A signal that linear interpolation gets exactly right: each channel a straight line in time.
Sample line_at(int64_t time_us, double slope = 1.0) {
  Sample sample;
  sample.time_us = time_us;
  for (size_t c = 0; c < kSensorChannels; ++c) {
    sample.values[c] =
        static_cast<float>(slope * static_cast<double>(time_us) / 1e6 + static_cast<double>(c));
  }
  return sample;
}

std::vector<Cut> all_windows(Timeline& timeline) {
  std::vector<Cut> windows;
  while (auto cut = cut_window(timeline, kSensorChannels)) {
    if (!cut->values.empty()) windows.push_back(*std::move(cut));
  }
  return windows;
}

void expect_line(const Timeline& timeline, const Cut& cut, double slope = 1.0) {
  const TimelineOptions& options = timeline.options;
  for (size_t c = 0; c < kSensorChannels; ++c) {
    for (size_t i = 0; i < options.window_samples; ++i) {
      const double seconds =
          (static_cast<double>(cut.start_us) + static_cast<double>(i) * 1e6 / options.rate_hz) /
          1e6;
      const float value = cut.values[c * options.sensors * options.window_samples + i];
      EXPECT_NEAR(value, slope * seconds + static_cast<double>(c), 2e-3) << c << " " << i;
    }
  }
}

TEST(Timeline, WindowsAreTheSamplesAtEveryHop) {
  Timeline timeline = make_timeline(small());
  for (int i = 0; i < 45; ++i) insert(timeline, 0, line_at(1000 + 10000 * i));
  const std::vector<Cut> windows = all_windows(timeline);
  ASSERT_EQ(windows.size(), 3u);
  for (size_t w = 0; w < windows.size(); ++w) {
    EXPECT_EQ(windows[w].start_us, 1000 + 100000 * static_cast<int64_t>(w));
    EXPECT_EQ(windows[w].end_us - windows[w].start_us, 200000);
    EXPECT_EQ(windows[w].values[0], line_at(windows[w].start_us).values[0]);
    expect_line(timeline, windows[w]);
  }
  EXPECT_EQ(timeline.counts.interpolated, 0u);
  EXPECT_DOUBLE_EQ(fullness(timeline), 15.0 / 20.0);
}

TEST(Timeline, OrderAndRepetitionChangeNothing) {
  std::mt19937 random(3);
  Timeline ordered = make_timeline(small()), shuffled = make_timeline(small());
  std::vector<Sample> samples;
  for (int i = 0; i < 200; ++i) samples.push_back(line_at(10000 * i + (i * 37) % 900));
  for (const Sample& each : samples) insert(ordered, 0, each);
  // Each batch arrives in any order, and half of it twice.
  for (size_t at = 0; at < samples.size(); at += 10) {
    std::vector<Sample> batch(samples.begin() + static_cast<long>(at),
                              samples.begin() + static_cast<long>(at) + 10);
    batch.insert(batch.end(), batch.begin(), batch.begin() + 5);
    if (at == 0) {
      insert(shuffled, 0, samples[0]);  // the origin is the first sample that comes
      batch.erase(batch.begin());
    }
    std::shuffle(batch.begin(), batch.end(), random);
    for (const Sample& each : batch) insert(shuffled, 0, each);
  }
  const std::vector<Cut> expected = all_windows(ordered), found = all_windows(shuffled);
  ASSERT_EQ(expected.size(), 19u);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i].values, expected[i].values);
  EXPECT_EQ(shuffled.counts.duplicate, 100u);
  EXPECT_EQ(shuffled.counts.late, 0u);
}

TEST(Timeline, ShortHolesAreInterpolatedLongOnesSkipped) {
  Timeline timeline = make_timeline(small());
  for (int i = 0; i < 100; ++i) {
    if (i == 12 || i == 13) continue;  // 30 ms between neighbours
    if (i >= 50 && i < 56) continue;   // 70 ms
    insert(timeline, 0, line_at(10000 * i));
  }
  const std::vector<Cut> windows = all_windows(timeline);
  for (const Cut& window : windows) expect_line(timeline, window);
  // Of the 9 windows that fit, those that begin at 40 and 50 hold instants 50 to 55.
  EXPECT_EQ(windows.size(), 7u);
  EXPECT_EQ(timeline.windows_skipped, 2u);
  EXPECT_EQ(timeline.counts.interpolated, 2u);
}

TEST(Timeline, OtherRatesAndJitterAreBroughtToTheGrid) {
  for (const double rate_hz : {52.0, 100.0, 104.0, 208.0}) {
    std::mt19937 random(5);
    std::uniform_int_distribution<int64_t> jitter_us(-2000, 2000);
    Timeline timeline = make_timeline(small());
    for (int i = 0; i < 400; ++i) {
      insert(timeline, 0,
             line_at(std::llround(i * 1e6 / rate_hz) + (i > 0 ? jitter_us(random) : 0)));
    }
    const std::vector<Cut> windows = all_windows(timeline);
    EXPECT_GT(windows.size(), 15u) << rate_hz;
    for (const Cut& window : windows) expect_line(timeline, window);
  }
}

// The rule of docs/sessions.md, read literally from all samples of a sensor.
std::optional<double> value_by_rule(const std::map<int64_t, float>& samples, int64_t instant_us,
                                    const TimelineOptions& options) {
  const double tolerance_us = 1e6 / options.rate_hz / 10.0;
  std::optional<std::pair<int64_t, float>> nearest, before, after;
  for (const auto& each : samples) {
    const auto apart_us = std::abs(each.first - instant_us);
    if (!nearest || apart_us < std::abs(nearest->first - instant_us)) nearest = each;
    if (each.first < instant_us) before = each;
    if (each.first > instant_us && !after) after = each;
  }
  if (nearest && static_cast<double>(std::abs(nearest->first - instant_us)) <= tolerance_us) {
    return nearest->second;
  }
  if (!before || !after || after->first - before->first > options.gap_us) return std::nullopt;
  const double share = static_cast<double>(instant_us - before->first) /
                       static_cast<double>(after->first - before->first);
  return before->second + share * (static_cast<double>(after->second) - before->second);
}

int64_t below(std::mt19937& random, int64_t n) {
  return static_cast<int64_t>(random() % static_cast<uint32_t>(n));
}

struct RandomStream {
  std::vector<std::map<int64_t, float>> samples;  // [sensor], by time
  std::vector<std::pair<size_t, Sample>> sent;    // of all sensors, by time
};

// With jitter and holes of up to eight samples; every sensor begins at 0.
RandomStream random_stream(std::mt19937& random, size_t sensors, int64_t spacing_us) {
  RandomStream stream;
  stream.samples.resize(sensors);
  for (size_t sensor = 0; sensor < sensors; ++sensor) {
    int64_t hole = 0;
    for (int64_t i = 0; i < 400; ++i) {
      if (i > 0 && hole == 0 && below(random, 25) == 0) hole = 1 + below(random, 8);
      if (hole > 0) {
        --hole;
        continue;
      }
      Sample sample;
      sample.time_us = i * spacing_us + (i > 0 ? below(random, 2400) - 1200 : 0);
      sample.values.fill(static_cast<float>(below(random, 2000)) / 100.0f);
      stream.samples[sensor][sample.time_us] = sample.values[0];
      stream.sent.push_back({sensor, sample});
    }
  }
  std::stable_sort(stream.sent.begin(), stream.sent.end(), [](const auto& a, const auto& b) {
    return a.second.time_us < b.second.time_us;
  });
  return stream;
}

// Inserts in any order within a tenth of a second, a fifth twice with other values; gives the
// windows by their start.
std::map<int64_t, std::vector<float>> windows_of(std::mt19937& random, RandomStream stream,
                                                 Timeline& timeline) {
  std::map<int64_t, std::vector<float>> windows;
  const size_t block = 10 * timeline.options.sensors;
  for (size_t at = 0; at < stream.sent.size(); at += block) {
    const auto begin = stream.sent.begin() + static_cast<long>(at);
    const auto end = begin + static_cast<long>(std::min(block, stream.sent.size() - at));
    if (at > 0) std::shuffle(begin, end, random);  // the first ones are the origin
    for (auto each = begin; each != end; ++each) {
      insert(timeline, each->first, each->second);
      if (below(random, 5) != 0) continue;
      Sample again = each->second;
      again.values.fill(-999.0f);
      EXPECT_EQ(insert(timeline, each->first, again), Fate::kDuplicate);
    }
    for (Cut& cut : all_windows(timeline)) windows[cut.start_us] = std::move(cut.values);
  }
  return windows;
}

// The window's values by the rule; nothing if it has a gap.
std::optional<std::vector<double>> window_by_rule(const RandomStream& stream,
                                                  const Timeline& timeline, uint64_t start) {
  std::vector<double> values;
  for (const auto& samples : stream.samples) {
    for (size_t i = 0; i < timeline.options.window_samples; ++i) {
      const auto value = value_by_rule(samples, instant_us(timeline, start + i), timeline.options);
      if (!value) return std::nullopt;
      values.push_back(*value);
    }
  }
  return values;
}

TEST(Timeline, RandomStreamsGiveTheWindowsOfTheRule) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    TimelineOptions options = small(1 + seed % 3);
    options.hop_samples = 3 + static_cast<size_t>(below(random, 18));
    const int64_t spacing_us = seed % 2 == 0 ? 10000 : 5000 + below(random, 8000);
    const RandomStream stream = random_stream(random, options.sensors, spacing_us);
    Timeline timeline = make_timeline(options);
    const auto found = windows_of(random, stream, timeline);
    ASSERT_EQ(timeline.counts.late, 0u);
    size_t expected = 0;
    for (uint64_t start = 0; start + options.window_samples <= known_instants(timeline);
         start += options.hop_samples) {
      const auto window = found.find(instant_us(timeline, start));
      const auto values = window_by_rule(stream, timeline, start);
      ASSERT_EQ(window != found.end(), values.has_value()) << "seed " << seed << " at " << start;
      if (!values) continue;
      ++expected;
      for (size_t i = 0; i < values->size(); ++i) {
        ASSERT_NEAR(window->second[i], (*values)[i], 1e-4) << "seed " << seed << " at " << start;
      }
    }
    EXPECT_EQ(found.size(), expected);
    EXPECT_GT(expected, 0u) << seed;
  }
}

TEST(Timeline, SensorsWaitForEachOtherAndShareOneGrid) {
  Timeline timeline = make_timeline(small(2));
  for (int i = 0; i < 60; ++i) insert(timeline, 0, line_at(10000 * i));
  EXPECT_TRUE(all_windows(timeline).empty());
  EXPECT_THAT(waiting_for(timeline), HasSubstr("sensor 1 has sent nothing"));
  for (int i = 0; i < 40; ++i) insert(timeline, 1, line_at(105000 + 10000 * i, -1.0));
  const std::vector<Cut> windows = all_windows(timeline);
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_EQ(windows[0].start_us, 105000);
  // Sensor 0 has its samples half-way between the instants.
  EXPECT_NEAR(windows[0].values[0], 0.105, 1e-6);
  EXPECT_NEAR(windows[0].values[20], -0.105, 1e-6);
}

TEST(Timeline, SamplesThatNoWindowNeedsAreLate) {
  Timeline timeline = make_timeline(small());
  for (int i = 0; i < 40; ++i) insert(timeline, 0, line_at(10000 * i));
  ASSERT_EQ(all_windows(timeline).size(), 3u);
  EXPECT_EQ(insert(timeline, 0, line_at(55001)), Fate::kLate);
  EXPECT_EQ(insert(timeline, 0, line_at(305001)), Fate::kTaken);
  EXPECT_EQ(insert(timeline, 0, line_at(300000)), Fate::kDuplicate);
  EXPECT_EQ(timeline.counts.late, 1u);
}

TEST(Timeline, AClockThatIsSetBeginsAnew) {
  for (const int64_t jump_us : {int64_t{3600} * 1000000, int64_t{-3600} * 1000000}) {
    Timeline timeline = make_timeline(small());
    const int64_t begin_us = int64_t{7200} * 1000000;
    for (int i = 0; i < 35; ++i) insert(timeline, 0, line_at(begin_us + 10000 * i));
    ASSERT_EQ(all_windows(timeline).size(), 2u);
    for (int i = 0; i < 100; ++i) insert(timeline, 0, line_at(begin_us + jump_us + 10000 * i));
    EXPECT_EQ(timeline.restarts, 1u);
    const std::vector<Cut> windows = all_windows(timeline);
    ASSERT_GE(windows.size(), 4u);
    for (const Cut& window : windows) {
      EXPECT_GE(window.start_us, begin_us + jump_us);
      EXPECT_LE(window.end_us, begin_us + jump_us + 1000000);
    }
    EXPECT_GT(timeline.counts.clock_jump, 0u);
  }
}

TEST(Timeline, OneWildTimeHealsWithinASecond) {
  Timeline timeline = make_timeline(small());
  size_t windows = 0;
  for (int i = 0; i < 400; ++i) {
    if (i == 50) insert(timeline, 0, line_at(int64_t{1} << 50));
    insert(timeline, 0, line_at(10000 * i));
    windows += all_windows(timeline).size();
  }
  EXPECT_EQ(timeline.restarts, 2u);
  EXPECT_GE(windows, 30u);
}

TEST(Timeline, MemoryIsBoundedAndASilentSensorCostsTheOldest) {
  TimelineOptions options = small(2);
  options.ring_samples = 50;
  Timeline timeline = make_timeline(options);
  for (int i = 0; i < 500; ++i) insert(timeline, 0, line_at(10000 * i));
  EXPECT_EQ(timeline.rings[0].size(), 50u);
  EXPECT_EQ(timeline.counts.overflow, 450u);
  for (int i = 440; i < 500; ++i) insert(timeline, 1, line_at(10000 * i));
  const std::vector<Cut> windows = all_windows(timeline);
  ASSERT_FALSE(windows.empty());
  EXPECT_GE(windows[0].start_us, 4400000);
}

TEST(Timeline, IsFullOnlyWhileWindowsWaitToBeCut) {
  TimelineOptions options = small();
  options.ring_samples = 50;
  Timeline timeline = make_timeline(options);
  for (int i = 0; i < 45; ++i) insert(timeline, 0, line_at(10000 * i));
  EXPECT_FALSE(is_full(timeline, 0, 5));
  EXPECT_TRUE(is_full(timeline, 0, 6));
  all_windows(timeline);
  EXPECT_FALSE(is_full(timeline, 0, 50));
}

}  // namespace
}  // namespace graupel::serve
