// Session requests and WebSocket messages of any bytes, text and binary. What is refused is refused
// with an error; what is taken is finite, in its limits, and makes windows of its timeline.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "serve/session_json.h"
#include "serve/timeline.h"

namespace {

using namespace graupel::serve;

void follow(const SessionMessage& message) {
  if (message.samples.size() > 129) abort();
  TimelineOptions options;
  options.ring_samples = 64;
  options.window_samples = 8;
  options.hop_samples = 3;
  Timeline timeline = make_timeline(options);
  for (const SessionSample& each : message.samples) {
    if (each.sensor >= kMaxSensors || each.given == 0) abort();
    for (const float value : each.sample.values) {
      if (!std::isfinite(value)) abort();
    }
    insert(timeline, each.sensor % 2, each.sample);
    for (int windows = 0; windows < 64; ++windows) {
      const auto cut = cut_window(timeline, kSensorChannels);
      if (!cut) break;
      if (!cut->values.empty() && cut->values.size() != 8 * 2 * kSensorChannels) abort();
    }
    if (timeline.rings[0].size() > 64 || timeline.rings[1].size() > 64) abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto message = parse_session_message(bytes, 128); message.ok()) follow(*message);
  if (const auto message = parse_binary_samples(bytes, 128); message.ok()) follow(*message);
  return 0;
}
