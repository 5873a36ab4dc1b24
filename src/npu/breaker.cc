// The circuit breaker's transitions. See breaker.h. Test: breaker_test.cc.
#include "npu/breaker.h"

#include <algorithm>
#include <array>

namespace graupel::npu {
namespace {

constexpr std::array<std::string_view, kReasonCount> kReasonNames = {"none",
                                                                     "asked_for_cpu",
                                                                     "no_hef",
                                                                     "no_library",
                                                                     "unsupported_library",
                                                                     "no_device",
                                                                     "device_in_use",
                                                                     "version_mismatch",
                                                                     "hef_refused",
                                                                     "wrong_architecture",
                                                                     "timeout",
                                                                     "hung",
                                                                     "aborted",
                                                                     "failed",
                                                                     "breaker_open",
                                                                     "probing",
                                                                     "busy",
                                                                     "not_deterministic",
                                                                     "too_many_hung"};

Breaker broken(Breaker breaker, const BreakerOptions& options, TimeNs now) {
  const bool doubled = breaker.wait_ns > 0 && breaker.successes < options.successes_to_forget;
  const TimeNs twice =
      breaker.wait_ns > options.longest_wait_ns / 2 ? options.longest_wait_ns : breaker.wait_ns * 2;
  breaker.wait_ns = std::min(doubled ? twice : options.first_wait_ns, options.longest_wait_ns);
  breaker.retry_at_ns = now + breaker.wait_ns;
  breaker.health = Health::kBroken;
  return breaker;
}

}  // namespace

std::string_view to_string(Reason reason) { return kReasonNames[static_cast<size_t>(reason)]; }

std::string_view to_string(Health health) {
  constexpr std::array<std::string_view, 4> kNames = {"healthy", "suspect", "broken", "probing"};
  return kNames[static_cast<size_t>(health)];
}

bool breaks_at_once(Reason reason) {
  // kFailed alone may pass by itself; after the others the streams, or the device, are gone.
  return reason != Reason::kFailed;
}

Admission admit(const Breaker& breaker, const BreakerOptions& options, TimeNs now) {
  Admission admission{Path::kCpu, breaker};
  switch (breaker.health) {
    case Health::kHealthy:
    case Health::kSuspect: admission.path = Path::kDevice; break;
    case Health::kBroken:
      if (now < breaker.retry_at_ns) break;
      admission.path = Path::kProbe;
      admission.breaker.health = Health::kProbing;
      admission.breaker.epoch += 1;
      admission.breaker.retry_at_ns = now + options.probe_limit_ns;
      break;
    case Health::kProbing:
      if (now < breaker.retry_at_ns) break;
      admission.path = Path::kGiveUp;
      admission.breaker = failed(breaker, options, breaker.epoch, Reason::kHung, now);
      break;
  }
  return admission;
}

Breaker succeeded(Breaker breaker, const BreakerOptions& options, uint64_t epoch) {
  if (epoch != breaker.epoch || breaker.health == Health::kBroken) return breaker;
  if (breaker.health == Health::kProbing) breaker.successes = 0;
  breaker.successes = std::min(breaker.successes + 1, options.successes_to_forget);
  breaker.failures = 0;
  breaker.health = Health::kHealthy;
  return breaker;
}

Breaker failed(Breaker breaker, const BreakerOptions& options, uint64_t epoch, Reason reason,
               TimeNs now) {
  if (epoch != breaker.epoch || breaker.health == Health::kBroken) return breaker;
  breaker.reason = reason;
  breaker.failures += 1;
  const bool probe_failed = breaker.health == Health::kProbing;
  // A probe that fails says nothing good about the device, however long it had worked before.
  if (probe_failed) breaker.successes = 0;
  if (probe_failed || breaks_at_once(reason) || breaker.failures >= options.failures_to_break) {
    return broken(std::move(breaker), options, now);
  }
  breaker.health = Health::kSuspect;
  return breaker;
}

}  // namespace graupel::npu
