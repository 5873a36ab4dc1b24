// One answer for every window, from the device if it can, from the CPU if it cannot.
//
// Idea: a request asks the breaker where to go. On the device's way it is encoded, called on the
// device's thread under a deadline, and decoded; whatever goes wrong there, the same request is
// answered by the CPU and says why. Nothing is made up: an answer is the device's or the CPU's, and
// is labelled as what it is. Probes run beside the requests. Everything that touches hardware is a
// function in Network and OpenDevice, so tests put others in their place.
// Any thread may call answer(); there is one owner of the device, the worker.
// Test: answerer_test.cc.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "npu/breaker.h"
#include "npu/worker.h"

namespace graupel::npu {

// A window on its way to the device, and what of it goes around the device to decode.
struct Encoded {
  Frames frames;
  std::vector<Tensor> around;
};

// Callable from several threads at once.
struct Network {
  std::string cpu_name;  // for answers: "cpu/avx2"
  // A window as the bundle takes it, to all outputs.
  std::function<Result<std::vector<Tensor>>(std::span<const float>)> cpu;
  // The window to the device's streams, and the streams back to all outputs.
  std::function<Result<Encoded>(std::span<const float>)> encode;
  std::function<Result<std::vector<Tensor>>(const Frames&, const std::vector<Tensor>& around)>
      decode;
  size_t compared_output = 0;  // whose argmax and noise shadow mode compares (float32)
};

struct AnswererOptions {
  BreakerOptions breaker;
  std::chrono::nanoseconds deadline = std::chrono::milliseconds(1000);     // of a device call
  std::chrono::nanoseconds open_limit = std::chrono::milliseconds(30000);  // at the start
  size_t queue_limit = 64;    // windows that wait for the device
  int hung_limit = 4;         // threads hung in the driver, after which no more are started
  uint64_t shadow_every = 0;  // every k-th window of the device is run on the CPU too; 0: none
  int self_test_runs = 3;     // the same frames, when the device is opened; below 2: none
  std::vector<float> self_test_window;  // empty: no self-test
  std::function<TimeNs()> now;          // empty: the steady clock
};

struct Reply {
  std::vector<Tensor> outputs;
  bool from_device = false;
  std::string engine;             // Network::cpu_name or DeviceInfo::name
  Reason reason = Reason::kNone;  // why not the device
  Reason cause = Reason::kNone;   // of kBreakerOpen and kProbing: the failure that led there
  std::string detail;             // the same for people
  double device_us = 0.0;         // waiting for and in the device call; 0 if it was not asked
  double total_us = 0.0;
};

// What happened since the start, for metrics.
struct Counters {
  uint64_t from_device = 0;
  uint64_t from_cpu = 0;
  std::array<uint64_t, kReasonCount> cpu_reasons{};  // by Reason
  uint64_t openings = 0;                             // tried
  uint64_t shadow_runs = 0;
  uint64_t shadow_disagreements = 0;  // another class
  double shadow_signal = 0.0;         // sums of squares: SNR = 10 log10(signal / noise)
  double shadow_noise = 0.0;
};
struct Status {
  Breaker breaker;
  Fault last_fault;
  int hung_threads = 0;
  std::optional<DeviceInfo> device;  // while it is open
  Vitals vitals;
  Counters counters;
};
double shadow_snr_db(const Counters& counters);  // infinite without noise

struct AnswererState;  // answerer.cc
struct Answerer {      // copies share the device
  std::shared_ptr<AnswererState> state;
};

// Opens the device and waits for it, at most open_limit. Never fails: without a device the answers
// are the CPU's, and status() says why.
Answerer start_answerer(Network network, OpenDevice open, AnswererOptions options);
// Answers on the CPU always, naming `fault`; there is no device to look for.
Answerer start_cpu_answerer(Network network, Fault fault);

// Errors are the CPU's own: a window that does not fit.
Result<Reply> answer(const Answerer& answerer, std::span<const float> window);

Status status(const Answerer& answerer);

}  // namespace graupel::npu
