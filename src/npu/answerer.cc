// The device first, the CPU in its place. See answerer.h. Test: answerer_test.cc.
#include "npu/answerer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

namespace graupel::npu {

struct AnswererState {
  Network network;
  OpenDevice open;  // with the self-test
  AnswererOptions options;
  bool cpu_only = false;
  std::shared_ptr<std::atomic<int>> hung = std::make_shared<std::atomic<int>>(0);

  std::mutex mutex;  // of all below; never held during a call of the device or the CPU
  Breaker breaker;
  Fault fault;
  std::optional<Worker> worker;
  DeviceInfo info;
  Counters counters;
};

namespace {

using Clock = std::chrono::steady_clock;

double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

TimeNs now_of(const AnswererState& state) {
  if (state.options.now) return state.options.now();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
      .count();
}

// The same frames `runs` times: a device that answers differently is not asked.
Opened tested(Opened result, const Frames& frames, int runs) {
  Device* device = std::get_if<Device>(&result);
  if (device == nullptr || frames.empty()) return result;
  std::optional<Frames> first;
  for (int run = 0; run < runs; ++run) {
    Called called = device->infer(frames);
    if (Fault* fault = std::get_if<Fault>(&called)) {
      fault->detail = "self-test: " + fault->detail;
      return *std::move(fault);
    }
    Frames& answer = *std::get_if<Frames>(&called);
    if (first && *first != answer) {
      return Fault{Reason::kNotDeterministic,
                   "self-test: the same window gave two different answers"};
    }
    first = std::move(answer);
  }
  return result;
}

// What leaves the lock: destroying a worker may wait for its device to close.
using Retired = std::optional<Worker>;

Retired retire(AnswererState& state) {
  if (state.worker) abandon(*state.worker);
  return std::exchange(state.worker, std::nullopt);
}

Retired note_failure(AnswererState& state, uint64_t epoch, Fault fault) {
  if (epoch != state.breaker.epoch || state.breaker.health == Health::kBroken) return {};
  state.breaker = failed(state.breaker, state.options.breaker, epoch, fault.reason, now_of(state));
  state.fault = std::move(fault);
  if (state.breaker.health == Health::kBroken) return retire(state);
  return {};
}

// Takes note of an opening that has ended.
Retired settle(AnswererState& state) {
  if (state.breaker.health != Health::kProbing || !state.worker) return {};
  const auto result = opened(*state.worker);
  if (!result) return {};
  if (const Fault* fault = std::get_if<Fault>(&*result)) {
    return note_failure(state, state.breaker.epoch, *fault);
  }
  state.info = *std::get_if<DeviceInfo>(&*result);
  state.breaker = succeeded(state.breaker, state.options.breaker, state.breaker.epoch);
  return {};
}

Retired start_probe(AnswererState& state) {
  state.counters.openings += 1;
  if (state.hung->load() >= state.options.hung_limit) {
    return note_failure(state, state.breaker.epoch,
                        {Reason::kTooManyHung, std::to_string(state.hung->load()) +
                                                   " threads hang in the driver; no more are "
                                                   "started until one comes back"});
  }
  state.worker = start_worker(state.open, state.hung);
  return {};
}

// The worker to ask, or the reason not to.
struct Route {
  std::optional<Worker> worker;
  uint64_t epoch = 0;
  DeviceInfo info;
  Fault fault;
  Reason cause = Reason::kNone;  // of a breaker that is open
};

Route route(AnswererState& state) {
  Retired settled, probed;  // destroyed after the lock
  const std::lock_guard lock(state.mutex);
  settled = settle(state);
  const Admission admission = admit(state.breaker, state.options.breaker, now_of(state));
  state.breaker = admission.breaker;
  if (admission.path == Path::kProbe) probed = start_probe(state);
  if (admission.path == Path::kGiveUp) {
    state.fault = {Reason::kHung, "opening the device did not end"};
    probed = retire(state);
  }
  Route way;
  if (admission.path == Path::kDevice) {
    way.worker = state.worker;
    way.epoch = state.breaker.epoch;
    way.info = state.info;
    return way;
  }
  way.cause = state.fault.detail.empty() ? Reason::kNone : state.fault.reason;
  if (state.breaker.health == Health::kProbing) {
    way.fault = {Reason::kProbing, "the device is being opened; " + state.fault.detail};
  } else {
    way.fault = {Reason::kBreakerOpen,
                 std::string(to_string(state.fault.reason)) + ": " + state.fault.detail};
  }
  return way;
}

// The device's answer, or why there is none.
std::variant<std::vector<Tensor>, Fault> ask_device(AnswererState& state, const Route& way,
                                                    Encoded encoded) {
  Called called = call(*way.worker, std::move(encoded.frames), state.options.deadline,
                       state.options.queue_limit);
  if (Fault* fault = std::get_if<Fault>(&called)) return *std::move(fault);
  Result<std::vector<Tensor>> outputs =
      state.network.decode(*std::get_if<Frames>(&called), encoded.around);
  if (!outputs.ok()) return Fault{Reason::kFailed, outputs.error().message()};
  return *std::move(outputs);
}

size_t largest(std::span<const float> values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

void compare(AnswererState& state, const std::vector<Tensor>& device,
             std::span<const float> window) {
  const Result<std::vector<Tensor>> cpu = state.network.cpu(window);
  const size_t which = state.network.compared_output;
  if (!cpu.ok() || which >= cpu->size() || which >= device.size()) return;
  const Tensor& expected = (*cpu)[which];
  const Tensor& measured = device[which];
  if (expected.dtype() != DType::kFloat32 || measured.dtype() != DType::kFloat32) return;
  if (expected.size() != measured.size() || expected.size() == 0) return;
  double signal = 0.0, noise = 0.0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double value = expected.data<float>()[i];
    const double difference = value - measured.data<float>()[i];
    signal += value * value;
    noise += difference * difference;
  }
  const bool differs = largest(expected.data<float>()) != largest(measured.data<float>());
  const std::lock_guard lock(state.mutex);
  state.counters.shadow_runs += 1;
  state.counters.shadow_disagreements += differs ? 1 : 0;
  state.counters.shadow_signal += signal;
  state.counters.shadow_noise += noise;
}

Result<Reply> answer_on_cpu(AnswererState& state, std::span<const float> window, Reply reply) {
  TRY_ASSIGN(reply.outputs, state.network.cpu(window));
  reply.engine = state.network.cpu_name;
  const std::lock_guard lock(state.mutex);
  state.counters.from_cpu += 1;
  state.counters.cpu_reasons[static_cast<size_t>(reply.reason)] += 1;
  return reply;
}

// Counts the device's answer; true if it is one for shadow mode.
bool note_success(AnswererState& state, uint64_t epoch) {
  const std::lock_guard lock(state.mutex);
  state.breaker = succeeded(state.breaker, state.options.breaker, epoch);
  state.counters.from_device += 1;
  const uint64_t every = state.options.shadow_every;
  return every > 0 && state.counters.from_device % every == 0;
}

}  // namespace

double shadow_snr_db(const Counters& counters) {
  if (counters.shadow_noise <= 0.0) return std::numeric_limits<double>::infinity();
  return 10.0 * std::log10(counters.shadow_signal / counters.shadow_noise);
}

Answerer start_answerer(Network network, OpenDevice open, AnswererOptions options) {
  const auto state = std::make_shared<AnswererState>();
  Frames frames;
  if (options.self_test_runs >= 2 && !options.self_test_window.empty()) {
    Result<Encoded> encoded = network.encode(options.self_test_window);
    if (encoded.ok()) frames = std::move(encoded->frames);
  }
  state->open = [open = std::move(open), frames, runs = options.self_test_runs] {
    return tested(open(), frames, runs);
  };
  state->network = std::move(network);
  state->options = std::move(options);
  // A steady clock may be negative or small; the first probe is due whatever it says.
  state->breaker.retry_at_ns = std::numeric_limits<TimeNs>::min();
  static_cast<void>(route(*state));
  std::optional<Worker> worker;
  {
    const std::lock_guard lock(state->mutex);
    worker = state->worker;
  }
  const bool ended = worker && wait_opened(*worker, state->options.open_limit).has_value();
  worker.reset();
  Retired retired;
  const std::lock_guard lock(state->mutex);
  if (ended) {
    retired = settle(*state);
  } else if (state->breaker.health == Health::kProbing) {
    retired = note_failure(*state, state->breaker.epoch,
                           {Reason::kHung, "opening the device did not end"});
  }
  return {state};
}

Answerer start_cpu_answerer(Network network, Fault fault) {
  const auto state = std::make_shared<AnswererState>();
  state->network = std::move(network);
  state->fault = std::move(fault);
  state->cpu_only = true;
  return {state};
}

Result<Reply> answer(const Answerer& answerer, std::span<const float> window) {
  AnswererState& state = *answerer.state;
  const Clock::time_point start = Clock::now();
  Reply reply;
  Route way;
  if (state.cpu_only) {
    way.fault = state.fault;
  } else {
    way = route(state);
  }
  if (way.worker) {
    // A window that does not fit is the caller's fault, not the device's.
    TRY_ASSIGN(Encoded encoded, state.network.encode(window));
    auto result = ask_device(state, way, std::move(encoded));
    reply.device_us = us_since(start);
    if (std::vector<Tensor>* outputs = std::get_if<std::vector<Tensor>>(&result)) {
      if (note_success(state, way.epoch)) compare(state, *outputs, window);
      reply.outputs = std::move(*outputs);
      reply.from_device = true;
      reply.engine = way.info.name;
      reply.total_us = us_since(start);
      return reply;
    }
    way.fault = *std::get_if<Fault>(&result);
    // A queue that is full says nothing about the device's health.
    if (way.fault.reason != Reason::kBusy) {
      Retired retired;  // destroyed after the lock
      const std::lock_guard lock(state.mutex);
      retired = note_failure(state, way.epoch, way.fault);
    }
    way.worker.reset();
  }
  reply.reason = way.fault.reason;
  reply.cause = way.cause;
  reply.detail = way.fault.detail;
  TRY_ASSIGN(reply, answer_on_cpu(state, window, std::move(reply)));
  reply.total_us = us_since(start);
  return reply;
}

Status status(const Answerer& answerer) {
  AnswererState& state = *answerer.state;
  Status result;
  Retired retired;  // destroyed after the lock
  const std::lock_guard lock(state.mutex);
  if (!state.cpu_only) retired = settle(state);
  result.breaker = state.breaker;
  result.last_fault = state.fault;
  result.hung_threads = state.hung->load();
  const bool open = state.worker && (state.breaker.health == Health::kHealthy ||
                                     state.breaker.health == Health::kSuspect);
  if (open) {
    result.device = state.info;
    result.vitals = last_vitals(*state.worker);
  }
  result.counters = state.counters;
  return result;
}

}  // namespace graupel::npu
