// The device's way against the CPU's: random networks cut in three, the device part on the
// stand-in's own arithmetic. What crosses in the device part's own 8 bits loses nothing, so both
// ways give the same bytes.
#include "npu/network.h"

#include <gmock/gmock.h>

#include "npu/scripted_device.h"
#include "npu/test_bundle.h"

namespace graupel::npu {
namespace {

using testing::HasSubstr;

// What the stand-in library does between encode and decode.
struct Standin {
  std::mutex mutex;
  StandinNetwork network;
  uint8_t flip = 0;  // changes every answer

  Frames infer(const Frames& frames) {
    std::vector<std::vector<uint8_t>> given;
    for (const std::vector<std::byte>& frame : frames) {
      const auto* const bytes = reinterpret_cast<const uint8_t*>(frame.data());
      given.emplace_back(bytes, bytes + frame.size());
    }
    const std::lock_guard lock(mutex);
    Frames answers;
    for (const std::vector<uint8_t>& answer : standin_infer(network, given)) {
      answers.emplace_back();
      for (const uint8_t byte : answer) answers.back().push_back(std::byte(byte ^ flip));
    }
    return answers;
  }
};

std::shared_ptr<Standin> standin_of(const TestBundle& made) {
  auto standin = std::make_shared<Standin>();
  std::optional<StandinNetwork> network =
      standin_network(made.bundle.members.at(std::string(kHefMember)));
  EXPECT_TRUE(network.has_value());
  if (network) standin->network = *std::move(network);
  return standin;
}

Result<std::vector<Tensor>> device_answer(const Network& network, Standin& standin,
                                          std::span<const float> window) {
  TRY_ASSIGN(const Encoded encoded, network.encode(window));
  return network.decode(standin.infer(encoded.frames), encoded.around);
}

TEST(Network, BothWaysGiveTheSameBytes) {
  size_t several_outputs = 0, images = 0;
  for (size_t n = 0; n < 24; ++n) {
    const TestBundle made = exact_bundle(n);
    const Result<DeviceNetwork> network = device_network(made.bundle, made.engine);
    ASSERT_TRUE(network.ok()) << network.error().message();
    const std::shared_ptr<Standin> standin = standin_of(made);
    for (int number = 0; number < 8; ++number) {
      const std::vector<float> window = test_window(made, number);
      const Result<std::vector<Tensor>> cpu = network->network.cpu(window);
      const Result<std::vector<Tensor>> device = device_answer(network->network, *standin, window);
      ASSERT_TRUE(cpu.ok() && device.ok()) << device.error().message();
      ASSERT_EQ(*cpu, *device) << "network " << n << ", window " << number;
    }
    several_outputs += network->device.outputs.size() > 1;
    images += made.window.size() == 4;
  }
  EXPECT_GT(several_outputs, 2u);
  EXPECT_GT(images, 10u);
}

TEST(Network, AnswersOfSixteenBitsComeCloseToTheCpus) {
  int checked = 0;
  for (uint64_t seed = 0; seed < 200 && checked < 8; ++seed) {
    const Result<TestBundle> made = make_test_bundle(seed, 2, true);
    if (!made.ok()) continue;
    ASSERT_FALSE(made->exact);
    const Result<DeviceNetwork> network = device_network(made->bundle, made->engine);
    ASSERT_TRUE(network.ok()) << network.error().message();
    const std::shared_ptr<Standin> standin = standin_of(*made);
    const std::vector<float> window = test_window(*made, 1);
    const auto cpu = network->network.cpu(window);
    const auto device = device_answer(network->network, *standin, window);
    ASSERT_TRUE(cpu.ok() && device.ok());
    double noise = 0.0, signal = 0.0;
    for (size_t i = 0; i < cpu->back().size(); ++i) {
      const double expected = cpu->back().data<float>()[i];
      signal += expected * expected;
      noise += std::pow(expected - device->back().data<float>()[i], 2);
    }
    EXPECT_LT(noise, 1e-2 * signal + 1e-12) << seed;
    ++checked;
  }
  EXPECT_EQ(checked, 8);
}

TEST(Network, MembersThatContradictEachOtherAreRefused) {
  const TestBundle made = exact_bundle();
  const auto refused = [&](const std::string& name, const std::string& bytes, ErrorCode code) {
    bundle::Bundle other = made.bundle;
    other.members[name] = bytes;
    const Result<DeviceNetwork> network = device_network(other, made.engine);
    ASSERT_FALSE(network.ok()) << name;
    EXPECT_EQ(network.error().code, code) << network.error().message();
  };
  const std::string map = made.bundle.members.at("device.json");
  Result<DeviceMap> parsed = parse_device_map(map);
  ASSERT_TRUE(parsed.ok());
  DeviceMap other = *parsed;
  other.outputs[0].stream = "net/nowhere";
  refused("device.json", format_device_map(other), ErrorCode::kCorrupt);
  other = *parsed;
  other.inputs[0].shape.back() += 1;
  refused("device.json", format_device_map(other), ErrorCode::kCorrupt);
  other = *parsed;
  other.inputs[0].tensor = "elsewhere";
  refused("device.json", format_device_map(other), ErrorCode::kCorrupt);
  other = *parsed;
  other.hef_sha256 = std::string(64, '0');
  refused("device.json", format_device_map(other), ErrorCode::kCorrupt);
  refused("device.json", map.substr(1), ErrorCode::kCorrupt);
  refused("model.hef", made.bundle.members.at("model.hef") + "x", ErrorCode::kCorrupt);
  // A plan of the wrong place, and a damaged one.
  refused("before.plan", made.bundle.members.at("host.plan"), ErrorCode::kUnsupported);
  refused("host.plan", made.bundle.members.at("before.plan"), ErrorCode::kCorrupt);
  refused("host.plan", made.bundle.members.at("host.plan").substr(0, 40), ErrorCode::kCorrupt);
  const TestBundle foreign = exact_bundle(3);
  refused("before.plan", foreign.bundle.members.at("before.plan"), ErrorCode::kCorrupt);
  bundle::Bundle without = made.bundle;
  without.members.erase("before.plan");
  const Result<DeviceNetwork> network = device_network(without, made.engine);
  ASSERT_FALSE(network.ok());
  EXPECT_THAT(network.error().message(), HasSubstr("graupel compile"));
}

// As in answerer_test.cc, with the network of a bundle. The device's answers have every bit of its
// frames flipped, so that they are never the CPU's.
TEST(Network, EveryRequestGetsOneRightAnswerUnderTenThousandFaultSchedules) {
  const TestBundle made = exact_bundle();
  Result<DeviceNetwork> network = device_network(made.bundle, made.engine);
  ASSERT_TRUE(network.ok()) << network.error().message();
  const std::shared_ptr<Standin> standin = standin_of(made);
  standin->flip = 0xff;
  std::vector<std::vector<float>> windows;
  std::vector<std::vector<Tensor>> from_cpu, from_device;
  for (int number = 0; number < 12; ++number) {
    windows.push_back(test_window(made, number));
    from_cpu.push_back(network->network.cpu(windows.back()).value());
    from_device.push_back(device_answer(network->network, *standin, windows.back()).value());
    ASSERT_NE(from_cpu.back(), from_device.back());
  }
  const std::string cpu_name = network->network.cpu_name;
  const Play play = {[&] { return network->network; },
                     [standin](const Frames& frames) { return standin->infer(frames); },
                     [&](int n) { return windows[static_cast<size_t>(n)]; },
                     [&](const Result<Reply>& reply, int n) {
                       ASSERT_TRUE(reply.ok()) << reply.error().message();
                       const auto i = static_cast<size_t>(n);
                       EXPECT_EQ(reply->outputs, reply->from_device ? from_device[i] : from_cpu[i]);
                       EXPECT_EQ(reply->engine, reply->from_device ? "device/test" : cpu_name);
                       EXPECT_EQ(reply->from_device, reply->reason == Reason::kNone);
                     }};
  Totals totals;
  play_schedules(10000, play, totals);
  expect_reached(totals);
}

}  // namespace
}  // namespace graupel::npu
