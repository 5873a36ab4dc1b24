// Why a window was not answered by the device. Test: breaker_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace graupel::npu {

enum class Reason : uint8_t {
  kNone,                // the device answered
  kAskedForCpu,         // nobody asked for the device
  kNoHef,               // the bundle was not compiled for a device
  kNoLibrary,           // libhailort.so was not found
  kUnsupportedLibrary,  // found, but of a version graupel does not drive
  kNoDevice,            // no device, or its driver is not loaded
  kDeviceInUse,         // another process holds it
  kVersionMismatch,     // driver, firmware and library do not belong together
  kHefRefused,          // damaged, too new or too old for the library
  kWrongArchitecture,   // compiled for another device
  kTimeout,             // the library gave up waiting
  kHung,                // a call did not come back by its deadline; its thread was abandoned
  kAborted,             // the stream was closed under the call
  kFailed,              // any other failure of a call
  kBreakerOpen,         // it failed before, and the next probe is not due
  kProbing,             // a probe is under way
  kBusy,                // too many windows are waiting for the device
  kNotDeterministic,    // the same window twice, two answers
  kTooManyHung,         // as many threads are hung in the driver as is allowed
};
inline constexpr int kReasonCount = static_cast<int>(Reason::kTooManyHung) + 1;

// "no_library", "timeout", ...: stable words for answers and metrics.
std::string_view to_string(Reason reason);

// Whether the device's pipeline cannot be used again without opening it anew.
bool breaks_at_once(Reason reason);

struct Fault {
  Reason reason = Reason::kFailed;
  std::string detail;  // one line for people
};

}  // namespace graupel::npu
