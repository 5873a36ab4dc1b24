// For tests: a device that does what a script says, and schedules of faults played against an
// answerer with real threads and deadlines.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "npu/answerer.h"

namespace graupel::npu {

using namespace std::chrono_literals;

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

inline std::optional<Fault> perform(Script& script, Act act) {
  switch (act) {
    case Act::kAnswer: return std::nullopt;
    case Act::kFail: return Fault{Reason::kFailed, "scripted"};
    case Act::kTimeout: return Fault{Reason::kTimeout, "scripted"};
    case Act::kAbort: return Fault{Reason::kAborted, "scripted"};
    case Act::kHang: script.gate.wait(); return std::nullopt;
  }
  return std::nullopt;
}

// A device that acts by the script, and answers by `infer`.
inline OpenDevice opener(const std::shared_ptr<Script>& script,
                         std::function<Frames(const Frames&)> infer) {
  return [script, infer]() -> Opened {
    if (auto fault = perform(*script, script->take(script->opens, script->next_open))) {
      return *fault;
    }
    script->devices.fetch_add(1);
    const std::shared_ptr<void> lifetime(nullptr,
                                         [script](void*) { script->devices.fetch_sub(1); });
    Device device;
    device.info.name = "device/test";
    device.infer = [script, lifetime, infer](const Frames& in) -> Called {
      const Act act = script->take(script->calls, script->next_call);
      if (auto fault = perform(*script, act)) return *fault;
      return infer(in);
    };
    return device;
  };
}

inline AnswererOptions quick() {
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

inline void wait_until_no_thread_hangs(const Answerer& answerer) {
  // Seen once is enough: a probe that is still under way may count as one for a moment later.
  for (int i = 0; i < 10000; ++i) {
    if (status(answerer).hung_threads == 0) return;
    std::this_thread::sleep_for(i < 100 ? 20us : 1000us);
  }
  ADD_FAILURE() << status(answerer).hung_threads << " threads still hang";
}

inline Act random_act(Rng& rng) {
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

// What a schedule is played on: a fresh network, what its device computes, and the judge of the
// reply to the n-th request, which asks with window(n).
struct Play {
  std::function<Network()> network;
  std::function<Frames(const Frames&)> infer;
  std::function<std::vector<float>(int)> window;
  std::function<void(const Result<Reply>&, int)> judge;
};

inline void play_schedule(uint64_t seed, const Play& play, Totals& totals) {
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
    const Answerer answerer = start_answerer(play.network(), opener(script, play.infer), options);
    std::vector<std::thread> callers;
    for (int c = 0; c < kCallers; ++c) {
      callers.emplace_back([&answerer, &play, c] {
        for (int i = 0; i < kEach; ++i) {
          const int number = c * kEach + i;
          play.judge(answer(answerer, play.window(number)), number);
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

// Eight schedules at a time, as most of the time is waiting.
inline void play_schedules(uint64_t schedules, const Play& play, Totals& totals) {
  constexpr uint64_t kLanes = 8;
  std::vector<std::thread> lanes;
  for (uint64_t lane = 0; lane < kLanes; ++lane) {
    lanes.emplace_back([&, lane] {
      for (uint64_t seed = lane; seed < schedules && !::testing::Test::HasFailure();
           seed += kLanes) {
        play_schedule(seed, play, totals);
      }
    });
  }
  for (std::thread& lane : lanes) lane.join();
}

// The schedules reach what they are about.
inline void expect_reached(const Totals& totals) {
  EXPECT_GT(totals.from_device, 10000u);
  for (const Reason reason : {Reason::kFailed, Reason::kTimeout, Reason::kAborted, Reason::kHung,
                              Reason::kProbing, Reason::kBusy, Reason::kBreakerOpen}) {
    EXPECT_GT(totals.reasons[static_cast<size_t>(reason)], 0u) << to_string(reason);
  }
}

}  // namespace graupel::npu
