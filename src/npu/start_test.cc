// --engine auto, hailort and cpu on bundles, with stand-ins of three releases: what each promises,
// under every trouble.
#include "npu/start.h"

#include <dlfcn.h>
#include <gmock/gmock.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/files.h"
#include "npu/test_bundle.h"

namespace graupel::npu {
namespace {

using testing::HasSubstr;

std::string standin(const std::string& release) {
  return std::string(GRAUPEL_STANDIN_FOLDER) + "/libhailort_standin_" + release + ".so";
}

// The newest header each release reads.
uint32_t header_of(const std::string& release) {
  return release == "4_17" ? 0 : release == "4_20" ? 2 : 3;
}

EngineOptions options_for(const std::string& release, const std::string& script = "") {
  EngineOptions options;
  options.library = standin(release);
  options.deadline_ms = 2000;
  void* const library = dlopen(options.library.c_str(), RTLD_NOW | RTLD_LOCAL);
  EXPECT_NE(library, nullptr) << dlerror();
  if (library != nullptr) {
    reinterpret_cast<void (*)(const char*)>(dlsym(library, "graupel_standin_script"))(
        script.c_str());
  }
  return options;
}

Tensor windows_of(const TestBundle& made, int count) {
  Shape shape = made.window;
  shape[0] = count;
  Tensor windows(DType::kFloat32, shape);
  for (int i = 0; i < count; ++i) {
    const std::vector<float> window = test_window(made, i);
    std::copy(window.begin(), window.end(),
              windows.mutable_data<float>().begin() +
                  static_cast<std::ptrdiff_t>(window.size() * static_cast<size_t>(i)));
  }
  return windows;
}

class StartRelease : public testing::TestWithParam<const char*> {
 protected:
  TestBundle made = exact_bundle(1, header_of(GetParam()));
};
INSTANTIATE_TEST_SUITE_P(StandIn, StartRelease, testing::Values("4_17", "4_20", "4_23"));

TEST_P(StartRelease, TheDeviceAnswersAndSaysSo) {
  EngineOptions options = options_for(GetParam());
  options.shadow_every = 2;
  for (const EngineChoice choice : {EngineChoice::kAuto, EngineChoice::kHailort}) {
    options.choice = choice;
    const Result<Started> started = start_engine(made.bundle, made.engine, options);
    ASSERT_TRUE(started.ok()) << started.error().message();
    EXPECT_EQ(started->warning, "");
    const Tensor windows = windows_of(made, 8);
    const Result<Batch> batch = answer_windows(*started, made.engine, windows);
    ASSERT_TRUE(batch.ok());
    EXPECT_EQ(batch->outputs, run::run_windows(made.engine, windows).value());
    for (const run::Source& source : batch->sources) {
      EXPECT_TRUE(source.on_device);
      EXPECT_THAT(source.engine, HasSubstr("hailort/4."));
      EXPECT_EQ(source.reason, "");
    }
    EXPECT_EQ(summary_text(status(started->answerer)),
              "8 windows answered by the device, 0 by the CPU; 4 also on the CPU: 0 of another "
              "class, SNR infinite");
  }
}

TEST_P(StartRelease, WithoutADeviceAtTheStartAutoWarnsAndHailortFails) {
  const std::pair<const char*, const char*> rows[] = {
      {"devices 0", "no_device"},
      {"fault scan 64 9", "no_device"},
      {"fault vdevice 73 9", "device_in_use"},
      {"fault vdevice 74 9", "device_in_use"},
      {"fault vdevice 76 9", "version_mismatch"},
      {"fault configure 75 9", "wrong_architecture"},
      {"fault hef 26 9", "hef_refused"},
      {"fault read 4 9", "timeout"}};
  for (const auto& [script, reason] : rows) {
    EngineOptions options = options_for(GetParam(), script);
    options.choice = EngineChoice::kHailort;
    const Result<Started> refused = start_engine(made.bundle, made.engine, options);
    ASSERT_FALSE(refused.ok()) << script;
    EXPECT_EQ(refused.error().code, ErrorCode::kDevice);
    EXPECT_THAT(refused.error().message(), HasSubstr(reason));
    options = options_for(GetParam(), script);
    const Result<Started> started = start_engine(made.bundle, made.engine, options);
    ASSERT_TRUE(started.ok()) << script;
    EXPECT_THAT(started->warning, HasSubstr(reason));
    const Tensor windows = windows_of(made, 2);
    const Result<Batch> batch = answer_windows(*started, made.engine, windows);
    ASSERT_TRUE(batch.ok());
    EXPECT_EQ(batch->outputs, run::run_windows(made.engine, windows).value());
    EXPECT_EQ(batch->sources[1].reason, std::string("breaker_open: ") + reason);
    EXPECT_FALSE(batch->sources[1].on_device);
  }
}

// 3 calls are the self-test's.
TEST_P(StartRelease, LaterTroubleIsAnsweredByTheCpuInTheSameRequest) {
  const std::tuple<const char*, const char*, size_t> rows[] = {{"fault read 4 1 5", "timeout", 2},
                                                               {"fault read 63 1 6", "aborted", 3},
                                                               {"fault write 36 1 4", "failed", 1},
                                                               {"hang read 400 1 5", "hung", 2}};
  for (const auto& [script, reason, at] : rows) {
    EngineOptions options = options_for(GetParam(), script);
    options.deadline_ms = 200;
    const Result<Started> started = start_engine(made.bundle, made.engine, options);
    ASSERT_TRUE(started.ok() && started->warning.empty()) << script;
    const Tensor windows = windows_of(made, 6);
    const Result<Batch> batch = answer_windows(*started, made.engine, windows);
    ASSERT_TRUE(batch.ok());
    EXPECT_EQ(batch->outputs, run::run_windows(made.engine, windows).value()) << script;
    for (size_t i = 0; i < at; ++i) EXPECT_TRUE(batch->sources[i].on_device) << script << i;
    EXPECT_EQ(batch->sources[at].reason, reason);
    EXPECT_THAT(batch->sources[at].engine, HasSubstr("cpu/"));
    // A single failed call is forgiven; the others need the device opened anew.
    const bool forgiven = std::string(reason) == "failed";
    EXPECT_EQ(batch->sources[at + 1].on_device, forgiven) << script;
    if (!forgiven) {
      EXPECT_EQ(batch->sources[at + 1].reason, std::string("breaker_open: ") + reason);
    }
  }
}

TEST(Start, WhatEachChoiceDoesWithoutALibraryOrAHef) {
  const TestBundle made = exact_bundle(1);
  const Tensor windows = windows_of(made, 2);
  EngineOptions options;
  options.library = "/nonexistent/libhailort.so";
  Result<Started> started = start_engine(made.bundle, made.engine, options);
  ASSERT_TRUE(started.ok());
  EXPECT_THAT(started->warning, HasSubstr("no_library"));
  // cpu: the library, and the members of the device, are not looked at.
  options.choice = EngineChoice::kCpu;
  bundle::Bundle broken = made.bundle;
  broken.members["device.json"] = "{";
  started = start_engine(broken, made.engine, options);
  ASSERT_TRUE(started.ok());
  EXPECT_EQ(started->warning, "");
  EXPECT_EQ(answer_windows(*started, made.engine, windows)->sources[0].reason, "asked_for_cpu");
  // A bundle for the CPU: nothing is said.
  bundle::Bundle plain = made.bundle;
  for (const char* name : {"model.hef", "device.json", "before.plan", "host.plan"}) {
    plain.members.erase(name);
  }
  options.choice = EngineChoice::kAuto;
  started = start_engine(plain, made.engine, options);
  ASSERT_TRUE(started.ok());
  EXPECT_EQ(started->warning, "");
  EXPECT_TRUE(answer_windows(*started, made.engine, windows)->sources.empty());
  options.choice = EngineChoice::kHailort;
  EXPECT_EQ(start_engine(plain, made.engine, options).error().code, ErrorCode::kInvalidInput);
}

TEST(Start, ABundleOfAnOlderGraupelAndAHefOfAnotherDeviceAreTheCpus) {
  const TestBundle made = exact_bundle(1);
  EngineOptions options = options_for("4_20");
  bundle::Bundle older = made.bundle;
  for (const char* name : {"device.json", "before.plan", "host.plan"}) older.members.erase(name);
  Result<Started> started = start_engine(older, made.engine, options);
  ASSERT_TRUE(started.ok());
  EXPECT_THAT(started->warning, HasSubstr("compile --hef"));
  EXPECT_EQ(answer_windows(*started, made.engine, windows_of(made, 1))->sources[0].reason,
            "hef_refused");
  options.choice = EngineChoice::kHailort;
  EXPECT_EQ(start_engine(older, made.engine, options).error().code, ErrorCode::kInvalidInput);
  // A header that this release does not read is the library's to refuse.
  const TestBundle newer = exact_bundle(1, 3);
  options = options_for("4_17");
  started = start_engine(newer.bundle, newer.engine, options);
  ASSERT_TRUE(started.ok());
  EXPECT_THAT(started->warning, HasSubstr("hef_refused"));
}

TEST(Start, AFileWithADamagedMemberIsRefused) {
  const TestBundle made = exact_bundle(1);
  const std::string path = testing::TempDir() + "/start_test.graupel";
  ASSERT_TRUE(bundle::write_bundle(path, made.bundle).ok());
  EngineOptions options = options_for("4_20");
  Result<Started> started = start_engine(path, made.engine, options);
  ASSERT_TRUE(started.ok()) << started.error().message();
  EXPECT_TRUE(started->has_device);
  std::string bytes = read_file(path).value();
  const size_t at = bytes.find(made.bundle.members.at("before.plan"));
  ASSERT_NE(at, std::string::npos);
  bytes[at + 50] = static_cast<char>(bytes[at + 50] ^ 1);
  ASSERT_TRUE(write_file_atomic(path, bytes).ok());
  started = start_engine(path, made.engine, options);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(started.error().message(), HasSubstr("before.plan"));
  std::remove(path.c_str());
}

}  // namespace
}  // namespace graupel::npu
