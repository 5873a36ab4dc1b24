// Answers under faults: with engines that are functions, so that what is right is known exactly.
// The CPU gives x + 1 and the device x + 2; a label that lies, a late answer or an answer to
// another window cannot pass for either.
#include "npu/answerer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "npu/scripted_device.h"

namespace graupel::npu {
namespace {

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

Frames plus_two(const Frames& in) { return frames_of(value_of(in) + 2.0f); }

void expect_right(const Result<Reply>& reply, float value) {
  ASSERT_TRUE(reply.ok()) << reply.error().message();
  const float got = reply->outputs.at(0).data<float>()[1];
  EXPECT_EQ(got, value + (reply->from_device ? 2.0f : 1.0f));
  EXPECT_EQ(reply->engine, reply->from_device ? "device/test" : "cpu/test");
  EXPECT_EQ(reply->from_device, reply->reason == Reason::kNone);
}

TEST(Answerer, TheDeviceAnswersWhenItCan) {
  AnswererOptions options = quick();
  options.deadline = options.open_limit = 10s;
  options.shadow_every = 2;
  const auto script = std::make_shared<Script>();
  const Answerer answerer = start_answerer(network(), opener(script, plus_two), options);
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
  const Answerer answerer = start_answerer(network(), opener(script, plus_two), options);
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

// Real threads, real deadlines: three callers at once under a random schedule of faults. Each gets
// one answer to its own window, from the engine the label names, and the counts add up; when the
// driver lets go, every thread and every device is gone.
TEST(Answerer, EveryRequestGetsOneRightAnswerUnderTenThousandFaultSchedules) {
  const Play play = {
      network, plus_two, [](int n) { return std::vector<float>{static_cast<float>(10 * n)}; },
      [](const Result<Reply>& reply, int n) { expect_right(reply, static_cast<float>(10 * n)); }};
  Totals totals;
  play_schedules(10000, play, totals);
  expect_reached(totals);
}

}  // namespace
}  // namespace graupel::npu
