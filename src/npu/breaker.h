// When to ask the device and when to leave it alone: a circuit breaker as a value.
//
// Idea: four states and three pure functions; the time is an argument, so every schedule can be
// played. Healthy: the device is asked. A failure makes it suspect; it is still asked, and a
// success heals it. Too many failures in a row, or one after which its streams are dead, break it:
// no window goes there until a probe is due. A probe opens the device anew, beside the requests,
// which are answered by the CPU meanwhile. If it succeeds the device is healthy, if not the wait
// until the next one doubles, up to a cap.
//
//   healthy --failure--> suspect --failures--> broken --wait--> probing --success--> healthy
//      ^------success-------'                     ^------failure----'
//
// Each opening of the device has a number, its epoch. What a call says counts only in its epoch: a
// late failure of a device that was given up does not judge the one that replaced it.
// Reference: M. Nygard, Release It!, "Circuit Breaker". Test: breaker_test.cc.
#pragma once

#include <cstdint>
#include <string_view>

#include "npu/fault.h"

namespace graupel::npu {

using TimeNs = int64_t;  // of a monotonic clock

enum class Health : uint8_t { kHealthy, kSuspect, kBroken, kProbing };
std::string_view to_string(Health health);  // "healthy", ...

struct BreakerOptions {
  int failures_to_break = 3;             // in a row
  TimeNs first_wait_ns = 1'000'000'000;  // until the first probe
  TimeNs longest_wait_ns = 60'000'000'000;
  TimeNs probe_limit_ns = 30'000'000'000;  // a probe that takes longer is given up
  int successes_to_forget = 100;           // after which the next wait is the first one again
};

struct Breaker {
  Health health = Health::kBroken;
  Reason reason = Reason::kNone;  // of the last failure
  int failures = 0;               // in a row
  int successes = 0;              // since the device was opened
  uint64_t epoch = 0;             // the number of openings
  TimeNs wait_ns = 0;             // of the last break; 0: there was none
  TimeNs retry_at_ns = 0;         // broken: when a probe is due. probing: when it is given up
  bool operator==(const Breaker&) const = default;
};

enum class Path : uint8_t {
  kDevice,  // ask the device
  kCpu,     // answer on the CPU
  kProbe,   // answer on the CPU, and start to open the device
  kGiveUp,  // answer on the CPU, and abandon the probe that takes too long
};

struct Admission {
  Path path = Path::kCpu;
  Breaker breaker;  // as it is from now on
};

// What to do with a request at `now`. The first call of a new Breaker says kProbe.
Admission admit(const Breaker& breaker, const BreakerOptions& options, TimeNs now);
// A call, or a probe, of `epoch` succeeded.
Breaker succeeded(Breaker breaker, const BreakerOptions& options, uint64_t epoch);
// It failed at `now`.
Breaker failed(Breaker breaker, const BreakerOptions& options, uint64_t epoch, Reason reason,
               TimeNs now);

}  // namespace graupel::npu
