// Sums under a lock. See statistics.h. Test: statistics_test.cc.
#include "serve/statistics.h"

#include <cmath>

namespace graupel::serve {
namespace {

void add(Tally& tally, double seconds) {
  ++tally.count;
  if (seconds > 0.0) tally.nanoseconds += static_cast<uint64_t>(std::llround(seconds * 1e9));
}

}  // namespace

void ModelStatistics::answered(const RequestTimes& times, double total_s,
                               std::chrono::system_clock::time_point now) {
  const auto since_1970 =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
  const std::lock_guard lock(mutex_);
  view_.windows += times.windows;
  view_.last_ms = since_1970.count();
  add(view_.success, total_s);
  add(view_.queue, times.queue_s);
  add(view_.input, times.input_s);
  add(view_.infer, times.infer_s);
  add(view_.output, times.output_s);
}

void ModelStatistics::failed(double total_s) {
  const std::lock_guard lock(mutex_);
  add(view_.fail, total_s);
}

StatisticsView ModelStatistics::view() const {
  const std::lock_guard lock(mutex_);
  return view_;
}

}  // namespace graupel::serve
