// A thread of its own for one opened device, so that a hung driver call cannot hang a caller.
//
// Idea: the thread opens the device, then makes one call at a time. A call's frames belong to the
// call, not to the caller, and its result is handed over under a lock: a caller that stops waiting
// abandons the thread, and whatever it still says is dropped with the frames when the driver lets
// go of it. Nobody joins an abandoned thread. How many there are is counted in a number the caller
// gives, so that it can refuse to start more.
// Test: worker_test.cc.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "npu/fault.h"

namespace graupel::npu {

using Frames = std::vector<std::vector<std::byte>>;  // one per stream, in the device's own form
using Called = std::variant<Frames, Fault>;

// What is known of a device that was opened; empty texts are not known.
struct DeviceInfo {
  std::string name;  // for answers, e.g. "hailort 4.20.0, HAILO8"
  std::string library, firmware, architecture, id, serial;
};
struct Vitals {
  std::optional<float> temperature_celsius;
};

// Used from one thread only. Closing it is what destroying it does.
struct Device {
  DeviceInfo info;
  std::function<Called(const Frames& inputs)> infer;
  std::function<Vitals()> vitals;  // may be empty
};
using Opened = std::variant<Device, Fault>;
using OpenDevice = std::function<Opened()>;

struct WorkerState;  // worker.cc
// Copies are the same worker; the last one stops its thread, and waits for it if no call is hung.
struct Worker {
  std::shared_ptr<WorkerState> state;
};

// `hung` counts threads that were abandoned and have not come back.
Worker start_worker(OpenDevice open, std::shared_ptr<std::atomic<int>> hung);

// nullopt as long as the device is being opened.
std::optional<std::variant<DeviceInfo, Fault>> opened(const Worker& worker);
// The same, waiting up to `limit`.
std::optional<std::variant<DeviceInfo, Fault>> wait_opened(const Worker& worker,
                                                           std::chrono::nanoseconds limit);

// One call. Faults beside the device's: kBusy if `queue_limit` calls are waiting or the deadline
// passes before its turn; kHung if the call itself does not come back, upon which the worker is
// abandoned; kAborted if it was abandoned by another caller.
Called call(const Worker& worker, Frames inputs, std::chrono::nanoseconds limit,
            size_t queue_limit);

// The last temperature the thread has read: it asks after opening and then, between
// calls, at most once per second.
Vitals last_vitals(const Worker& worker);

// The worker makes no more calls; one that is under way, and closing the device, is left to the
// thread. Never blocks. The thread counts as hung until it has ended.
void abandon(const Worker& worker);

}  // namespace graupel::npu
