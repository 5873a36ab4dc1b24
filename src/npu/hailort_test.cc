// libhailort driven through stand-ins of releases 4.17, 4.20, 4.23 and 5.2 (standin/): what is
// opened works and is closed, each trouble has its reason, and a device that recovers is used
// again.
#include "npu/hailort.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "npu/answerer.h"

namespace graupel::npu {
namespace {

using namespace std::chrono_literals;

constexpr const char* kStreams = "input net/in 4\noutput net/out 6\n";

std::string standin(const std::string& release) {
  return std::string(GRAUPEL_STANDIN_FOLDER) + "/libhailort_standin_" + release + ".so";
}

// The stand-in stays loaded, as the vendor's library does; each case gives it a new script.
void* load(const std::string& release, const std::string& script) {
  void* const library = dlopen(standin(release).c_str(), RTLD_NOW | RTLD_LOCAL);
  EXPECT_NE(library, nullptr) << dlerror();
  if (library == nullptr) return nullptr;
  const auto set =
      reinterpret_cast<void (*)(const char*)>(dlsym(library, "graupel_standin_script"));
  set((kStreams + script).c_str());
  return library;
}
int ask(void* library, const char* function) {
  return reinterpret_cast<int (*)()>(dlsym(library, function))();
}

HailortOptions options_for(const std::string& release) {
  return {.library = standin(release),
          .hef = std::string("\1HEF", 4) + std::string(60, '\0'),
          .inputs = {{"net/in", 4, 1}},
          .outputs = {{"net/out", 6, 1}},
          .timeout_ms = 123};
}

Fault opening_fault(const HailortOptions& options) {
  const Opened result = hailort_device(options)();
  const Fault* fault = std::get_if<Fault>(&result);
  return fault != nullptr ? *fault : Fault{Reason::kNone, "opened"};
}

Frames frames_of(std::initializer_list<int> values) {
  Frames frames(1);
  for (const int value : values) frames[0].push_back(static_cast<std::byte>(value));
  return frames;
}

class HailortRelease : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(StandIn, HailortRelease, ::testing::Values("4_17", "4_20", "4_23"));

TEST_P(HailortRelease, OpensAnswersTellsWhatItIsAndCloses) {
  void* const library = load(GetParam(), "");
  const int before = ask(library, "graupel_standin_open_handles");
  {
    Opened result = hailort_device(options_for(GetParam()))();
    Device* const device = std::get_if<Device>(&result);
    ASSERT_NE(device, nullptr) << std::get_if<Fault>(&result)->detail;
    std::string version = GetParam() + std::string(".0");
    version[1] = '.';
    EXPECT_EQ(device->info.library, version);
    EXPECT_EQ(device->info.firmware, version);
    EXPECT_EQ(device->info.name, "hailort/" + version + " HAILO8");
    EXPECT_EQ(device->info.id, "0001:01:00.0");
    EXPECT_EQ(device->info.serial, "STANDIN");
    EXPECT_EQ(device->vitals().temperature_celsius, 43.25f);
    EXPECT_EQ(ask(library, "graupel_standin_timeout_ms"), 123);
    const Called called = device->infer(frames_of({0, 1, 2, 3}));
    ASSERT_NE(std::get_if<Frames>(&called), nullptr);
    EXPECT_EQ(*std::get_if<Frames>(&called), frames_of({255, 254, 253, 252, 255, 254}));
    const Called wrong = device->infer(frames_of({0}));
    ASSERT_NE(std::get_if<Fault>(&wrong), nullptr);
  }
  EXPECT_EQ(ask(library, "graupel_standin_open_handles"), before);
}

TEST_P(HailortRelease, EveryTroubleOfOpeningHasItsReasonAndLeaksNothing) {
  struct Row {
    const char* script;
    Reason reason;
  };
  for (const Row& row :
       {Row{"devices 0", Reason::kNoDevice}, Row{"fault scan 64 1", Reason::kNoDevice},
        Row{"fault vdevice 74 1", Reason::kDeviceInUse},
        Row{"fault vdevice 76 1", Reason::kVersionMismatch},
        Row{"fault hef 26 1", Reason::kHefRefused}, Row{"fault hef 91 1", Reason::kHefRefused},
        Row{"fault configure 93 1", Reason::kWrongArchitecture},
        Row{"fault configure 16 1", Reason::kVersionMismatch},
        Row{"fault configure 36 1", Reason::kFailed},
        Row{"input net/other 4", Reason::kHefRefused}}) {
    void* const library = load(GetParam(), row.script);
    const int before = ask(library, "graupel_standin_open_handles");
    const Fault fault = opening_fault(options_for(GetParam()));
    EXPECT_EQ(fault.reason, row.reason) << row.script << ": " << fault.detail;
    EXPECT_EQ(ask(library, "graupel_standin_open_handles"), before) << row.script;
  }
}

TEST_P(HailortRelease, StreamsThatAreNotThoseOfTheHefAreRefused) {
  load(GetParam(), "");
  HailortOptions options = options_for(GetParam());
  options.outputs[0].size_bytes = 7;
  EXPECT_EQ(opening_fault(options).reason, Reason::kHefRefused);
  options = options_for(GetParam());
  options.inputs[0].name = "net/nothing";
  EXPECT_NE(opening_fault(options).detail.find("net/nothing"), std::string::npos);
}

TEST(Hailort, AnotherMajorReleaseAndNoLibraryAreSaidInALine) {
  const Fault five = opening_fault(options_for("5_2"));
  EXPECT_EQ(five.reason, Reason::kUnsupportedLibrary);
  EXPECT_NE(five.detail.find("5.2.0; graupel drives 4.17 to 4.23"), std::string::npos)
      << five.detail;
  HailortOptions none = options_for("4_17");
  none.library = "/nonexistent/libhailort.so";
  EXPECT_EQ(opening_fault(none).reason, Reason::kNoLibrary);
}

// Behind the answerer: window [a] is a on the CPU; on the device its bits flipped.
Network byte_network() {
  Network net;
  net.cpu_name = "cpu/test";
  net.cpu = [](std::span<const float> w) -> Result<std::vector<Tensor>> {
    return std::vector<Tensor>{Tensor::of<float>({1}, {w[0]})};
  };
  net.encode = [](std::span<const float> w) -> Result<Encoded> {
    return Encoded{frames_of({static_cast<int>(w[0]), 0, 0, 0}), {}};
  };
  net.decode = [](const Frames& f, const std::vector<Tensor>&) -> Result<std::vector<Tensor>> {
    return std::vector<Tensor>{Tensor::of<float>({1}, {static_cast<float>(f[0][0])})};
  };
  return net;
}

// Answers until the device does, checking each against its label; false if it never does.
bool recovers(const Answerer& answerer) {
  for (int i = 0; i < 2000; ++i) {
    const float value = static_cast<float>(i % 100);
    const Result<Reply> reply = answer(answerer, {&value, 1});
    EXPECT_TRUE(reply.ok());
    const float expected = reply->from_device ? 255.0f - value : value;
    EXPECT_EQ(reply->outputs[0].data<float>()[0], expected);
    if (reply->from_device) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

TEST_P(HailortRelease, TheCpuAnswersThroughEveryTroubleAndTheDeviceComesBack) {
  for (const char* script : {"fault scan 64 2", "fault vdevice 74 3", "fault read 4 1",
                             "fault write 63 2", "fault read 36 2", "hang read 300 1"}) {
    void* const library = load(GetParam(), "");
    const int before = ask(library, "graupel_standin_open_handles");
    load(GetParam(), script);
    AnswererOptions options;
    options.breaker.first_wait_ns = 1'000'000;
    options.breaker.longest_wait_ns = 4'000'000;
    options.deadline = 100ms;
    options.self_test_runs = 0;
    {
      const Answerer answerer =
          start_answerer(byte_network(), hailort_device(options_for(GetParam())), options);
      EXPECT_TRUE(recovers(answerer)) << script;
      const Status now = status(answerer);
      EXPECT_GT(now.counters.from_cpu + now.counters.openings, 1u) << script;
      EXPECT_EQ(now.breaker.health, Health::kHealthy) << script;
      for (int i = 0; i < 1000 && status(answerer).hung_threads > 0; ++i) {
        std::this_thread::sleep_for(1ms);
      }
    }
    EXPECT_EQ(ask(library, "graupel_standin_open_handles"), before) << script;
  }
}

}  // namespace
}  // namespace graupel::npu
