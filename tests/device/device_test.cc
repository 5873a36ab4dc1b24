// From a bundle to a device's answers, through the command: the example is deployed, given a HEF
// for the STAND-IN library, and run with every trouble the stand-in can play. No device and nothing
// of the vendor's ran here.
#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

#include "base/rng.h"
#include "bundle/bundle.h"
#include "data/npy.h"
#include "npu/standin/test_hef.h"
#include "onnx/onnx.h"
#include "tests/cli/command_runner.h"

namespace graupel::cli_test {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kSource = GRAUPEL_SOURCE_DIR;
constexpr int kWindows = 32;

class DeviceCli : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = make_folder();
    ASSERT_EQ(
        graupel({"synth", "-q", "-o", path("data"), "--windows", "128", "--subjects", "8"}).code,
        0);
    ASSERT_EQ(
        graupel({"parse", "-q", kSource + "/models/fsq_imu.onnx", "-o", path("m.graupel")}).code,
        0);
    ASSERT_EQ(graupel({"optimize", "-q", path("m.graupel"), "--calib", path("data/windows.npy"),
                       "--normalization", kSource + "/models/fsq_imu.normalization.json", "-o",
                       path("m.graupel")})
                  .code,
              0);
    ASSERT_EQ(graupel({"compile", "-q", path("m.graupel"), "-o", path("m.graupel")}).code, 0);
    write_hef();
    const Finished adopted = graupel({"compile", path("m.graupel"), "--target", "hailo8", "--hef",
                                      path("m.hef"), "-o", path("d.graupel")});
    ASSERT_EQ(adopted.code, 0) << adopted.out << adopted.err;
    const Tensor all = data::read_npy(path("data/windows.npy")).value();
    Shape shape = all.shape();
    shape[0] = kWindows;
    Tensor some(all.dtype(), shape);
    std::copy_n(all.bytes(), some.size_bytes(), some.mutable_bytes());
    ASSERT_TRUE(data::write_npy(path("windows.npy"), some).ok());
    cpu_ = answers(run("cpu"));
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }
  static std::string path(const std::string& name) { return (folder_ / name).string(); }

  // What a compiler would make of the bundle's device part.
  static void write_hef() {
    const bundle::Bundle bundle = bundle::read_bundle(path("m.graupel")).value();
    const ir::Graph device = onnx::parse_model(bundle.members.at("device_int8.onnx")).value();
    Shape shape = device.shape(device.inputs[0]);
    shape[0] = 64;
    npu::StandinHefOptions options;
    const ir::Graph original = onnx::parse_model(bundle.members.at("device.onnx")).value();
    for (const ir::ValueId output : original.outputs) {
      for (const ir::NodeId id : ir::live_nodes(original)) {
        const ir::Node& node = original.node(id);
        if (node.outputs[0] == output) options.output_nodes.push_back(node.name);
      }
    }
    options.windows = Tensor(DType::kFloat32, shape);
    Rng rng(7);
    for (float& value : options.windows.mutable_data<float>()) {
      value = static_cast<float>(2.0 * rng.normal());
    }
    const Result<std::string> hef = npu::standin_hef(device, options);
    ASSERT_TRUE(hef.ok()) << hef.error().message();
    ASSERT_TRUE(write_file_atomic(path("m.hef"), *hef).ok());
  }

  static Finished run(const std::string& engine, const std::string& script = "",
                      std::vector<std::string> more = {}, const std::string& release = "4_20") {
    std::vector<std::string> words = {"run", path("d.graupel"), path("windows.npy"), "--engine",
                                      engine};
    if (std::count(more.begin(), more.end(), "--format") == 0) {
      words.insert(words.end(), {"--format", "jsonl"});
    }
    words.insert(words.end(), more.begin(), more.end());
    return graupel(
        words, {"GRAUPEL_HAILORT=" GRAUPEL_STANDIN_FOLDER "/libhailort_standin_" + release + ".so",
                "GRAUPEL_STANDIN_SCRIPT=" + script});
  }
  static std::vector<Json> answers(const Finished& finished) {
    std::vector<Json> rows;
    std::istringstream lines(finished.out);
    for (std::string line; std::getline(lines, line);) {
      rows.push_back(Json::parse(line, nullptr, false));
    }
    EXPECT_EQ(rows.size(), static_cast<size_t>(kWindows)) << finished.err;
    return rows;
  }
  static bool on_device(const Json& row) {
    return row["engine"].get<std::string>().starts_with("hailort/");
  }
  // The device's answers differ from the CPU's by what crossing in integers takes.
  static void expect_right(const std::vector<Json>& rows) {
    ASSERT_EQ(rows.size(), cpu_.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i]["class"], cpu_[i]["class"]);
      for (size_t k = 0; k < 10; ++k) {
        const double expected = cpu_[i]["logits"][k], got = rows[i]["logits"][k];
        EXPECT_NEAR(got, expected, on_device(rows[i]) ? 0.05 : 0.0) << i;
      }
      EXPECT_EQ(rows[i].contains("reason"), !on_device(rows[i])) << rows[i];
    }
  }

  static fs::path folder_;
  static std::vector<Json> cpu_;
};
fs::path DeviceCli::folder_;
std::vector<Json> DeviceCli::cpu_;

TEST_F(DeviceCli, AutoIsTheDevicesAnswer) {
  EXPECT_EQ(cpu_[0]["reason"], "asked_for_cpu");
  const Finished finished = run("auto", "", {"--shadow-every", "4"});
  EXPECT_EQ(finished.code, 0) << finished.err;
  const std::vector<Json> rows = answers(finished);
  expect_right(rows);
  for (const Json& row : rows) EXPECT_EQ(row["engine"], "hailort/4.20.0 HAILO8");
  EXPECT_THAT(finished.err, HasSubstr("32 windows answered by the device, 0 by the CPU; 8 also on "
                                      "the CPU: 0 of another class, SNR "));
  EXPECT_THAT(finished.err, Not(HasSubstr("warning")));
}

TEST_F(DeviceCli, UnderEachTroubleTheCpuAnswers) {
  // Where it happens after the start, 3 calls of the self-test come first.
  for (const char* script :
       {"devices 0", "fault vdevice 74 9", "fault vdevice 76 9", "fault configure 93 9",
        "fault read 4 1 13", "fault read 63 1 13", "fault write 62 1 13", "hang read 700 1 13"}) {
    const Finished finished = run("auto", script, {"--device-deadline-ms", "300"});
    EXPECT_EQ(finished.code, 0) << script << finished.err;
    const std::vector<Json> rows = answers(finished);
    expect_right(rows);
    const bool at_start = std::string(script).find(" 13") == std::string::npos;
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(on_device(rows[i]), !at_start && i < 10) << script << i;
    }
    EXPECT_THAT(finished.err, HasSubstr("warning")) << script;
  }
  // A call that fails once does not end it.
  const std::vector<Json> rows = answers(run("auto", "fault read 36 1 13"));
  expect_right(rows);
  EXPECT_EQ(rows[10]["reason"], "failed");
  EXPECT_TRUE(on_device(rows[11]));
}

TEST_F(DeviceCli, HailortWithoutADeviceIsExitThree) {
  const Finished none = run("hailort", "devices 0");
  EXPECT_EQ(none.code, 3);
  EXPECT_THAT(none.err, HasSubstr("no_device"));
  EXPECT_EQ(none.out, "");
  const std::vector<Json> rows = answers(run("hailort", "fault read 36 1 8"));
  EXPECT_FALSE(on_device(rows[5]));
  EXPECT_TRUE(on_device(rows[6]));
  expect_right(rows);
}

TEST_F(DeviceCli, EveryReleaseOfTheLibrary) {
  // 4.17 does not read this header, 5.2 is not driven.
  for (const char* release : {"4_20", "4_23"}) {
    expect_right(answers(run("hailort", "", {}, release)));
  }
  EXPECT_THAT(run("hailort", "", {}, "4_17").err, HasSubstr("hef_refused"));
  EXPECT_THAT(run("hailort", "", {}, "5_2").err, HasSubstr("unsupported_library"));
}

TEST_F(DeviceCli, FilesAndJsonNameTheEngine) {
  const Finished csv = run("auto", "fault read 36 1 4", {"--format", "csv"});
  EXPECT_THAT(csv.out, HasSubstr(",engine,reason\n"));
  EXPECT_THAT(csv.out, HasSubstr(",failed\n"));
  const Finished npy =
      run("auto", "fault read 36 1 4", {"--format", "npy", "-o", path("a"), "--json"});
  const Json json = document(npy);
  EXPECT_EQ(json["engine"]["from_device"], 31);
  EXPECT_EQ(json["engine"]["fallbacks"]["failed"], 1);
  EXPECT_EQ(json["engine"]["device"]["firmware"], "4.20.0");
  const Tensor flags = data::read_npy(path("a.on_device.npy")).value();
  EXPECT_EQ(flags.size(), 32u);
  EXPECT_FALSE(flags.data<bool>()[1]);
}

TEST_F(DeviceCli, ProfileTimesTheDevice) {
  const auto profile = [](const std::string& script) {
    return graupel({"profile", path("d.graupel"), "--runs", "20", "--json", "--bar",
                    "latency_p95=1e6", "--bar", "core_latency_p95=1e6", "--bar", "throughput=0.01"},
                   {"GRAUPEL_HAILORT=" GRAUPEL_STANDIN_FOLDER "/libhailort_standin_4_20.so",
                    "GRAUPEL_STANDIN_SCRIPT=" + script});
  };
  Json json = document(profile(""));
  EXPECT_EQ(json["device"]["on_device"], 20);
  EXPECT_GE(json["device"]["latency_us_p95"], json["device"]["device_us_p50"]);
  EXPECT_THAT(json["bars"].dump(), HasSubstr("hailort/4.20.0"));
  json = document(profile("fault read 36 1 30"));
  EXPECT_EQ(json["device"]["on_device"], 19);
  EXPECT_EQ(json["device"]["runs"], 20);
  EXPECT_THAT(json["bars"].dump(), Not(HasSubstr("hailort/4.20.0")));
}

}  // namespace
}  // namespace graupel::cli_test
