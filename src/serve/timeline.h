// Samples with time stamps in, windows on an even grid out; for one session, without locks.
//
// Idea: every sensor has a bounded ring ordered by time. Nothing is resampled until a window is
// cut, so a sample that comes out of order simply takes its place. A window is cut as soon as all
// sensors have reached its end; where two neighbouring samples are too far apart it is a gap. When
// the client's clock jumps, everything begins anew. Rules for every sample: docs/sessions.md.
// Test: timeline_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace graupel::serve {

inline constexpr size_t kSensorChannels = 9;  // acceleration, rotation, field, three axes each

struct Sample {
  int64_t time_us = 0;  // of the client's clock
  std::array<float, kSensorChannels> values{};
};

struct TimelineOptions {
  size_t sensors = 2;
  size_t ring_samples = 2000;  // per sensor
  double rate_hz = 100.0;      // of the grid
  size_t window_samples = 100;
  size_t hop_samples = 50;
  int64_t gap_us = 50'000;             // neighbouring samples further apart are not interpolated
  int64_t clock_jump_us = 10'000'000;  // forward, from the newest sample of any sensor
};

enum class Fate : uint8_t { kTaken, kDuplicate, kLate };

struct SampleCounts {
  uint64_t received = 0;  // all of them
  uint64_t duplicate = 0, late = 0, overflow = 0, clock_jump = 0;
  uint64_t interpolated = 0;  // grid instants, of every sensor
  uint64_t dropped() const { return duplicate + late + overflow + clock_jump; }
};

struct Timeline {
  TimelineOptions options;
  std::vector<std::deque<Sample>> rings;  // [sensor], ascending by time
  std::optional<int64_t> origin_us;       // instant 0, once every sensor has begun
  uint64_t next_start = 0;                // the first instant of the next window
  uint64_t late_in_a_row = 0;
  uint64_t restarts = 0;  // clock jumps so far
  SampleCounts counts;
  uint64_t windows_skipped = 0;
};

Timeline make_timeline(const TimelineOptions& options);

// `sensor` < options.sensors.
Fate insert(Timeline& timeline, size_t sensor, const Sample& sample);

struct Cut {
  int64_t start_us = 0, end_us = 0;  // its first instant, and one period behind its last
  uint64_t skipped = 0;              // windows in front of it that had a gap
  // [channel][sensor][sample], the first `channels` of each sensor.
  std::vector<float> values;
};
// The next window without a gap, if every sensor has reached its end. Windows with a gap are
// passed over; if only such came, the result has no values and `skipped` above 0.
std::optional<Cut> cut_window(Timeline& timeline, size_t channels);

// True if `samples` more of this sensor can push out one that a window to come needs, while no
// sensor is waited for.
bool is_full(const Timeline& timeline, size_t sensor, size_t samples);

// How far the newest window to come has filled, 0 to 1.
double fullness(const Timeline& timeline);
// What the next window waits for, in words: "sensor 1 has sent nothing yet".
std::string waiting_for(const Timeline& timeline);
// When the next window ends, if there is an origin.
std::optional<int64_t> next_end_us(const Timeline& timeline);

// The instant up to which all sensors have samples (exclusive); 0 without an origin.
uint64_t known_instants(const Timeline& timeline);
int64_t instant_us(const Timeline& timeline, uint64_t instant);
// The sensor's values at instants first, first + step, ...: nothing where they are not known.
std::vector<std::optional<std::array<float, kSensorChannels>>> values_at(
    const Timeline& timeline, size_t sensor, uint64_t first, uint64_t step, size_t count);

}  // namespace graupel::serve
