// Answers under faults: with engines that are functions, so that what is right is known exactly.
// The CPU gives x + 1 and the device x + 2; a label that lies, a late answer or an answer to
// another window cannot pass for either.
#include "npu/answerer.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/rng.h"

namespace graupel::npu {
namespace {

using namespace std::chrono_literals;

std::vector<Tensor> outputs_of(float value) { return {Tensor::of<float>({1, 2}, {0.0f, value})}; }

Frames frames_of(float value) {
  Frames frames(1, std::vector<std::byte>(sizeof(float)));
  std::memcpy(frames[0].data(), &value, sizeof(float));
  return frames;
}
float value_of(const Frames& frames) {
  float value = 0.0f;
  std::memcpy(&value, frames[0].data(), sizeof(float));
  return value;
}

Network network() {
  Network net;
  net.cpu_name = "cpu/test";
  net.cpu = [](std::span<const float> w) -> Result<std::vector<Tensor>> {
    if (w.size() != 1) return invalid_input("window", "does not fit");
    return outputs_of(w[0] + 1.0f);
  };
  net.encode = [](std::span<const float> w) -> Result<Encoded> {
    if (w.size() != 1) return invalid_input("window", "does not fit");
    return Encoded{frames_of(w[0]), {}};
  };
  net.decode = [](const Frames& f, const std::vector<Tensor>&) -> Result<std::vector<Tensor>> {
    return outputs_of(value_of(f));
  };
  return net;
}

// Calls hang here until it is opened.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool is_open = false;
  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return is_open; });
  }
  void open() {
    const std::lock_guard lock(mutex);
    is_open = true;
    changed.notify_all();
  }
};

enum class Act { kAnswer, kFail, kTimeout, kAbort, kHang };

// What each opening and each call of the device does, in order; a script that is over answers.
struct Script {
  std::mutex mutex;
  std::vector<Act> opens, calls;
  size_t next_open = 0, next_call = 0;
  Gate gate;
  std::atomic<int> devices{0};  // open at the moment

  Act take(const std::vector<Act>& acts, size_t& next) {
    const std::lock_guard lock(mutex);
    return next < acts.size() ? acts[next++] : Act::kAnswer;
  }
};

std::optional<Fault> perform(Script& script, Act act) {
  switch (act) {
    case Act::kAnswer: return std::nullopt;
    case Act::kFail: return Fault{Reason::kFailed, "scripted"};
    case Act::kTimeout: return Fault{Reason::kTimeout, "scripted"};
    case Act::kAbort: return Fault{Reason::kAborted, "scripted"};
    case Act::kHang: script.gate.wait(); return std::nullopt;
  }
  return std::nullopt;
}

OpenDevice opener(const std::shared_ptr<Script>& script) {
  return [script]() -> Opened {
    if (auto fault = perform(*script, script->take(script->opens, script->next_open))) {
      return *fault;
    }
    script->devices.fetch_add(1);
    const std::shared_ptr<void> lifetime(nullptr,
                                         [script](void*) { script->devices.fetch_sub(1); });
    Device device;
    device.info.name = "device/test";
    device.infer = [script, lifetime](const Frames& in) -> Called {
      const Act act = script->take(script->calls, script->next_call);
      if (auto fault = perform(*script, act)) return *fault;
      return frames_of(value_of(in) + 2.0f);
    };
    return device;
  };
}

AnswererOptions quick() {
  AnswererOptions options;
  options.breaker = {.failures_to_break = 2,
                     .first_wait_ns = 0,
                     .longest_wait_ns = 0,
                     .probe_limit_ns = 1'000'000,
                     .successes_to_forget = 3};
  options.deadline = 1ms;
  options.open_limit = 1ms;
  options.self_test_runs = 0;
  return options;
}

void expect_right(const Result<Reply>& reply, float value) {
  ASSERT_TRUE(reply.ok()) << reply.error().message();
  const float got = reply->outputs.at(0).data<float>()[1];
  EXPECT_EQ(got, value + (reply->from_device ? 2.0f : 1.0f));
  EXPECT_EQ(reply->engine, reply->from_device ? "device/test" : "cpu/test");
  EXPECT_EQ(reply->from_device, reply->reason == Reason::kNone);
}

void wait_until_no_thread_hangs(const Answerer& answerer) {
  // Seen once is enough: a probe that is still under way may count as one for a moment later.
  for (int i = 0; i < 10000; ++i) {
    if (status(answerer).hung_threads == 0) return;
    std::this_thread::sleep_for(i < 100 ? 20us : 1000us);
  }
  ADD_FAILURE() << status(answerer).hung_threads << " threads still hang";
}

TEST(Answerer, TheDeviceAnswersWhenItCan) {
  AnswererOptions options = quick();
  options.deadline = options.open_limit = 10s;
  options.shadow_every = 2;
  const auto script = std::make_shared<Script>();
  const Answerer answerer = start_answerer(network(), opener(script), options);
  for (int i = 0; i < 4; ++i) {
    const float value = static_cast<float>(i);
    const Result<Reply> reply = answer(answerer, {&value, 1});
    expect_right(reply, value);
    EXPECT_TRUE(reply->from_device);
  }
  const Status now = status(answerer);
  EXPECT_EQ(now.breaker.health, Health::kHealthy);
  EXPECT_EQ(now.counters.from_device, 4u);
  EXPECT_EQ(now.counters.shadow_runs, 2u);
  EXPECT_EQ(now.counters.shadow_disagreements, 0u);
  // CPU: 2 and 4, device: 3 and 5.
  EXPECT_DOUBLE_EQ(now.counters.shadow_signal, 20.0);
  EXPECT_DOUBLE_EQ(now.counters.shadow_noise, 2.0);
  EXPECT_NEAR(shadow_snr_db(now.counters), 10.0, 1e-9);
}

TEST(Answerer, ACallThatHangsIsAnsweredByTheCpuAndItsThreadIsGivenUp) {
  AnswererOptions options = quick();
  options.open_limit = 10s;
  options.deadline = 20ms;
  options.hung_limit = 2;
  const auto script = std::make_shared<Script>();
  script->calls = std::vector<Act>(50, Act::kHang);
  const Answerer answerer = start_answerer(network(), opener(script), options);
  bool refused = false;
  for (int i = 0; i < 300 && !refused; ++i) {
    const float value = static_cast<float>(i);
    const Result<Reply> reply = answer(answerer, {&value, 1});
    expect_right(reply, value);
    EXPECT_FALSE(reply->from_device);
    EXPECT_LE(status(answerer).hung_threads, 2);
    refused = status(answerer).last_fault.reason == Reason::kTooManyHung;
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(refused);
  {
    const std::lock_guard lock(script->mutex);
    script->calls.clear();
  }
  script->gate.open();
  wait_until_no_thread_hangs(answerer);
  bool back = false;
  for (int i = 0; i < 2000 && !back; ++i) {
    const float value = static_cast<float>(i);
    const Result<Reply> reply = answer(answerer, {&value, 1});
    expect_right(reply, value);
    back = reply->from_device;
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(back);
}

TEST(Answerer, WithoutADeviceTheReasonIsInEveryAnswer) {
  AnswererOptions options = quick();
  options.open_limit = 10s;
  options.breaker.first_wait_ns = options.breaker.longest_wait_ns = 3600'000'000'000;
  const OpenDevice none = []() -> Opened { return Fault{Reason::kNoLibrary, "not found"}; };
  const Answerer answerer = start_answerer(network(), none, options);
  EXPECT_EQ(status(answerer).last_fault.reason, Reason::kNoLibrary);
  const float value = 3.0f;
  const Result<Reply> reply = answer(answerer, {&value, 1});
  expect_right(reply, value);
  EXPECT_EQ(reply->reason, Reason::kBreakerOpen);
  EXPECT_EQ(reply->detail, "no_library: not found");
  const Answerer cpu = start_cpu_answerer(network(), {Reason::kAskedForCpu, "--engine cpu"});
  EXPECT_EQ(answer(cpu, {&value, 1})->reason, Reason::kAskedForCpu);
  EXPECT_FALSE(answer(cpu, {}).ok());
}

TEST(Answerer, ADeviceThatContradictsItselfIsNotAsked) {
  AnswererOptions options = quick();
  options.open_limit = 10s;
  options.self_test_runs = 3;
  options.self_test_window = {1.0f};
  const OpenDevice fickle = []() -> Opened {
    Device device;
    device.infer = [count = std::make_shared<float>(0.0f)](const Frames&) -> Called {
      return frames_of(*count += 1.0f);
    };
    return device;
  };
  options.breaker.first_wait_ns = options.breaker.longest_wait_ns = 3600'000'000'000;
  const Answerer answerer = start_answerer(network(), fickle, options);
  EXPECT_EQ(status(answerer).last_fault.reason, Reason::kNotDeterministic);
  EXPECT_EQ(status(answerer).breaker.health, Health::kBroken);
}

Act random_act(Rng& rng) {
  const uint64_t draw = rng.below(100);
  if (draw < 70) return Act::kAnswer;
  if (draw < 80) return Act::kFail;
  if (draw < 88) return Act::kTimeout;
  return draw < 98 ? Act::kAbort : Act::kHang;
}

struct Totals {
  std::mutex mutex;
  uint64_t from_device = 0;
  std::array<uint64_t, kReasonCount> reasons{};
};

void play_schedule(uint64_t seed, Totals& totals) {
  constexpr int kCallers = 3, kEach = 4;
  Rng rng(seed);
  const auto script = std::make_shared<Script>();
  for (int i = 0; i < 8; ++i) script->opens.push_back(random_act(rng));
  for (int i = 0; i < 12; ++i) script->calls.push_back(random_act(rng));
  AnswererOptions options = quick();
  options.queue_limit = 1 + rng.below(3);
  options.hung_limit = 1 + static_cast<int>(rng.below(3));
  options.shadow_every = rng.below(3);
  {
    const Answerer answerer = start_answerer(network(), opener(script), options);
    std::vector<std::thread> callers;
    for (int c = 0; c < kCallers; ++c) {
      callers.emplace_back([&answerer, c] {
        for (int i = 0; i < kEach; ++i) {
          const float value = static_cast<float>(c * 1000 + i * 10);
          expect_right(answer(answerer, {&value, 1}), value);
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
    const Counters counters = status(answerer).counters;
    EXPECT_EQ(counters.from_device + counters.from_cpu, uint64_t{kCallers * kEach});
    EXPECT_EQ(counters.cpu_reasons[0], 0u);
    script->gate.open();
    wait_until_no_thread_hangs(answerer);
    const std::lock_guard lock(totals.mutex);
    totals.from_device += counters.from_device;
    for (size_t r = 0; r < counters.cpu_reasons.size(); ++r) {
      totals.reasons[r] += counters.cpu_reasons[r];
    }
  }
  for (int i = 0; i < 5000 && script->devices > 0; ++i) {
    std::this_thread::sleep_for(i < 100 ? 20us : 1000us);
  }
  EXPECT_EQ(script->devices, 0) << "seed " << seed;
}

// Real threads, real deadlines: three callers at once under a random schedule of faults. Each gets
// one answer to its own window, from the engine the label names, and the counts add up; when the
// driver lets go, every thread and every device is gone. Eight schedules at a time, as most of the
// time is waiting.
TEST(Answerer, EveryRequestGetsOneRightAnswerUnderTenThousandFaultSchedules) {
  constexpr uint64_t kLanes = 8, kSchedules = 10000;
  Totals totals;
  std::vector<std::thread> lanes;
  for (uint64_t lane = 0; lane < kLanes; ++lane) {
    lanes.emplace_back([lane, &totals] {
      for (uint64_t seed = lane; seed < kSchedules && !::testing::Test::HasFailure();
           seed += kLanes) {
        play_schedule(seed, totals);
      }
    });
  }
  for (std::thread& lane : lanes) lane.join();
  // The schedules reach what they are about.
  EXPECT_GT(totals.from_device, 10000u);
  for (const Reason reason : {Reason::kFailed, Reason::kTimeout, Reason::kAborted, Reason::kHung,
                              Reason::kProbing, Reason::kBusy, Reason::kBreakerOpen}) {
    EXPECT_GT(totals.reasons[static_cast<size_t>(reason)], 0u) << to_string(reason);
  }
}

}  // namespace
}  // namespace graupel::npu
