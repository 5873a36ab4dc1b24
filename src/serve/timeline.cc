// Rings, the grid and windows. See timeline.h. Test: timeline_test.cc.
#include "serve/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace graupel::serve {
namespace {

using Values = std::array<float, kSensorChannels>;

int64_t period_us(const Timeline& timeline) {
  return static_cast<int64_t>(std::llround(1e6 / timeline.options.rate_hz));
}

// A sample this near to an instant is the instant's.
int64_t tolerance_us(const Timeline& timeline) { return period_us(timeline) / 10; }

// Samples before this are of no use to a window to come; one may lie a gap in front of its first
// instant and still be interpolated from.
std::optional<int64_t> needed_from_us(const Timeline& timeline) {
  if (!timeline.origin_us) return std::nullopt;
  return instant_us(timeline, timeline.next_start) - timeline.options.gap_us;
}

std::optional<int64_t> newest_us(const Timeline& timeline) {
  std::optional<int64_t> newest;
  for (const auto& ring : timeline.rings) {
    if (!ring.empty()) newest = std::max(newest.value_or(ring.back().time_us), ring.back().time_us);
  }
  return newest;
}

void restart(Timeline& timeline) {
  for (auto& ring : timeline.rings) ring.clear();
  timeline.origin_us.reset();
  timeline.next_start = 0;
  timeline.late_in_a_row = 0;
  ++timeline.restarts;
}

// Samples that no window has used yet are lost in a jump.
uint64_t unused_samples(const Timeline& timeline) {
  const int64_t from = needed_from_us(timeline).value_or(INT64_MIN);
  uint64_t count = 0;
  for (const auto& ring : timeline.rings) {
    count += static_cast<uint64_t>(std::count_if(
        ring.begin(), ring.end(), [&](const Sample& each) { return each.time_us >= from; }));
  }
  return count;
}

void find_origin(Timeline& timeline) {
  if (timeline.origin_us) return;
  int64_t origin = INT64_MIN;
  for (const auto& ring : timeline.rings) {
    if (ring.empty()) return;
    origin = std::max(origin, ring.front().time_us);
  }
  timeline.origin_us = origin;
}

auto place_of(const std::deque<Sample>& ring, int64_t time_us) {
  // Most samples come in order.
  if (ring.empty() || ring.back().time_us < time_us) return ring.end();
  return std::lower_bound(ring.begin(), ring.end(), time_us,
                          [](const Sample& each, int64_t time) { return each.time_us < time; });
}

// Walks one ring over ascending instants.
struct Reader {
  const Timeline& timeline;
  const std::deque<Sample>& ring;
  std::deque<Sample>::const_iterator at;
  bool interpolated = false;  // the last value

  Reader(const Timeline& timeline_, size_t sensor, int64_t first_us)
      : timeline(timeline_), ring(timeline_.rings[sensor]) {
    at = place_of(ring, first_us - tolerance_us(timeline));
  }

  std::optional<Values> next(int64_t instant) {
    const int64_t tolerance = tolerance_us(timeline);
    interpolated = false;
    while (at != ring.end() && at->time_us < instant - tolerance) ++at;
    if (at == ring.end()) return std::nullopt;
    auto nearest = at;
    for (auto each = at; each != ring.end() && each->time_us <= instant + tolerance; ++each) {
      if (std::abs(each->time_us - instant) < std::abs(nearest->time_us - instant)) nearest = each;
    }
    if (std::abs(nearest->time_us - instant) <= tolerance) return nearest->values;
    if (at == ring.begin()) return std::nullopt;
    const Sample &before = *std::prev(at), &after = *at;
    const int64_t apart = after.time_us - before.time_us;
    if (apart > timeline.options.gap_us) return std::nullopt;
    const auto weight = static_cast<float>(static_cast<double>(instant - before.time_us) /
                                           static_cast<double>(apart));
    Values values{};
    for (size_t c = 0; c < values.size(); ++c) {
      values[c] = before.values[c] + weight * (after.values[c] - before.values[c]);
    }
    interpolated = true;
    return values;
  }
};

// False if there is a gap. Counts what it interpolated beyond the window before.
bool fill(Timeline& timeline, size_t channels, std::vector<float>& values) {
  const TimelineOptions& options = timeline.options;
  values.assign(channels * options.sensors * options.window_samples, 0.0f);
  const size_t seen = timeline.next_start == 0 || options.hop_samples >= options.window_samples
                          ? 0
                          : options.window_samples - options.hop_samples;
  uint64_t interpolated = 0;
  for (size_t sensor = 0; sensor < options.sensors; ++sensor) {
    Reader reader(timeline, sensor, instant_us(timeline, timeline.next_start));
    for (size_t i = 0; i < options.window_samples; ++i) {
      const auto found = reader.next(instant_us(timeline, timeline.next_start + i));
      if (!found) return false;
      if (reader.interpolated && i >= seen) ++interpolated;
      for (size_t c = 0; c < channels; ++c) {
        values[(c * options.sensors + sensor) * options.window_samples + i] = (*found)[c];
      }
    }
  }
  timeline.counts.interpolated += interpolated;
  return true;
}

}  // namespace

Timeline make_timeline(const TimelineOptions& options) {
  Timeline timeline;
  timeline.options = options;
  timeline.rings.resize(options.sensors);
  return timeline;
}

int64_t instant_us(const Timeline& timeline, uint64_t instant) {
  return timeline.origin_us.value_or(0) +
         std::llround(static_cast<double>(instant) * 1e6 / timeline.options.rate_hz);
}

Fate insert(Timeline& timeline, size_t sensor, const Sample& sample) {
  const TimelineOptions& options = timeline.options;
  ++timeline.counts.received;
  if (const auto newest = newest_us(timeline);
      newest && sample.time_us > *newest + options.clock_jump_us) {
    timeline.counts.clock_jump += unused_samples(timeline);
    restart(timeline);
  }
  const auto& known = timeline.rings[sensor];
  if (const auto same = place_of(known, sample.time_us);
      same != known.end() && same->time_us == sample.time_us) {
    ++timeline.counts.duplicate;
    return Fate::kDuplicate;
  }
  if (const auto from = needed_from_us(timeline); from && sample.time_us < *from) {
    const auto patience = static_cast<uint64_t>(options.rate_hz / 2.0);
    if (++timeline.late_in_a_row < patience * options.sensors) {
      ++timeline.counts.late;
      return Fate::kLate;
    }
    // Nothing but old times for half a second: the clock was set back, and these are the new ones.
    timeline.counts.clock_jump += unused_samples(timeline);
    restart(timeline);
  }
  timeline.late_in_a_row = 0;
  auto& ring = timeline.rings[sensor];
  ring.insert(place_of(ring, sample.time_us), sample);
  if (ring.size() > options.ring_samples) {
    const auto from = needed_from_us(timeline);
    if (!from || ring.front().time_us >= *from) ++timeline.counts.overflow;
    ring.pop_front();
  }
  find_origin(timeline);
  return Fate::kTaken;
}

std::optional<Cut> cut_window(Timeline& timeline, size_t channels) {
  const TimelineOptions& options = timeline.options;
  Cut cut;
  while (known_instants(timeline) >= timeline.next_start + options.window_samples) {
    const bool filled = fill(timeline, channels, cut.values);
    cut.start_us = instant_us(timeline, timeline.next_start);
    cut.end_us = instant_us(timeline, timeline.next_start + options.window_samples);
    timeline.next_start += options.hop_samples;
    if (filled) return cut;
    ++cut.skipped;
    ++timeline.windows_skipped;
  }
  cut.values.clear();
  if (cut.skipped > 0) return cut;
  return std::nullopt;
}

uint64_t known_instants(const Timeline& timeline) {
  if (!timeline.origin_us) return 0;
  int64_t reached = INT64_MAX;
  for (const auto& ring : timeline.rings) {
    if (ring.empty()) return 0;
    reached = std::min(reached, ring.back().time_us + tolerance_us(timeline));
  }
  if (reached < *timeline.origin_us) return 0;
  const double periods =
      static_cast<double>(reached - *timeline.origin_us) * timeline.options.rate_hz / 1e6;
  return static_cast<uint64_t>(periods) + 1;
}

bool is_full(const Timeline& timeline, size_t sensor, size_t samples) {
  const auto from = needed_from_us(timeline);
  if (!from) return false;
  if (known_instants(timeline) < timeline.next_start + timeline.options.window_samples) {
    return false;
  }
  const auto& ring = timeline.rings[sensor];
  const auto needed = static_cast<size_t>(ring.end() - place_of(ring, *from));
  return needed + samples > timeline.options.ring_samples;
}

double fullness(const Timeline& timeline) {
  const uint64_t known = known_instants(timeline);
  if (known <= timeline.next_start) return 0.0;
  return std::min(1.0, static_cast<double>(known - timeline.next_start) /
                           static_cast<double>(timeline.options.window_samples));
}

std::string waiting_for(const Timeline& timeline) {
  for (size_t sensor = 0; sensor < timeline.rings.size(); ++sensor) {
    if (timeline.rings[sensor].empty()) {
      return fmt::format("sensor {} has sent nothing yet", sensor);
    }
  }
  const uint64_t known = known_instants(timeline);
  return fmt::format("{} of {} samples are there",
                     known > timeline.next_start ? known - timeline.next_start : 0,
                     timeline.options.window_samples);
}

std::optional<int64_t> next_end_us(const Timeline& timeline) {
  if (!timeline.origin_us) return std::nullopt;
  return instant_us(timeline, timeline.next_start + timeline.options.window_samples);
}

std::vector<std::optional<Values>> values_at(const Timeline& timeline, size_t sensor,
                                             uint64_t first, uint64_t step, size_t count) {
  std::vector<std::optional<Values>> found(count);
  if (!timeline.origin_us) return found;
  Reader reader(timeline, sensor, instant_us(timeline, first));
  for (size_t i = 0; i < count; ++i) found[i] = reader.next(instant_us(timeline, first + i * step));
  return found;
}

}  // namespace graupel::serve
