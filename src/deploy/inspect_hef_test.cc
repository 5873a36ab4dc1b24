// A HEF held against its metadata, a device and a bundle; made by the test writer.
#include "deploy/inspect_hef.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "deploy/deploy.h"
#include "deploy/stages.h"
#include "hef/hef_writer.h"

namespace graupel::deploy {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> ids(const Json& json) {
  std::vector<std::string> list;
  for (const Json& finding : json["findings"]) list.push_back(finding["id"]);
  return list;
}

hef::WrittenStream output(uint64_t features) {
  hef::WrittenStream stream;
  stream.name = "net/out";
  stream.output = true;
  stream.height = stream.width = 1;
  stream.features = features;
  stream.format = 2;
  return stream;
}

TEST(InspectHef, ComparesWithMetadataBesideIt) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "inspect_hef";
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "net.hef").string();
  ASSERT_TRUE(write_file_atomic((folder / "net.metadata.json").string(),
                                R"({"input_shape":[1,9,2,100],"output_shape":[1,10]})")
                  .ok());
  const Result<Json> wrong = inspect_hef(path, hef::sample_hef(2, {}, output(5)), {});
  ASSERT_TRUE(wrong.ok()) << wrong.error().message();
  EXPECT_THAT(ids(*wrong), testing::ElementsAre("output_mismatch"));
  const Result<Json> right = inspect_hef(path, hef::sample_hef(2, {}, output(10)), {});
  EXPECT_THAT(ids(*right), testing::IsEmpty());
  EXPECT_EQ((*right)["loads_on"], Json({"hailo8"}));
}

TEST(InspectHef, ShowsNmsAsTheOneOutputItIs) {
  hef::WrittenFile file;
  file.extensions = {13, 26, 27};
  file.groups = {hef::nms_group_message({}, {})};
  const std::string bytes = hef::wrap_hef(2, hef::hef_protobuf(file), "c");
  const Result<Json> json = inspect_hef("x.hef", bytes, {});
  ASSERT_TRUE(json.ok()) << json.error().message();
  const Json& outputs = (*json)["groups"][0]["outputs"];
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_EQ(outputs[0]["order"], "HAILO NMS BY CLASS");
  EXPECT_EQ(outputs[0]["shape"], "80 classes, 100 boxes per class");
  EXPECT_EQ(outputs[0]["type"], "float32");
  EXPECT_EQ(outputs[0]["frame_bytes"], 80 * (1 + 5 * 100) * 4);
  EXPECT_EQ(outputs[0]["made_of"], Json({"net/boxes", "net/scores"}));
  const Json& nms = outputs[0]["nms"];
  EXPECT_EQ(nms["computed_on"], "host");
  EXPECT_EQ(nms["decoder"], "yolov8");
  EXPECT_EQ(nms["score_threshold"], 0.2);
  EXPECT_EQ(nms["iou_threshold"], 0.7);
  EXPECT_EQ(nms["boxes"], 8000);
  EXPECT_THAT(ids(*json), testing::IsEmpty());
}

TEST(InspectHef, SaysWhichDeviceDoesNotLoadIt) {
  const std::string bytes = hef::sample_hef(2, {}, output(5));
  EXPECT_THAT(ids(*inspect_hef("/nowhere/x.hef", bytes, {"", "hailo8l", "", ""})),
              testing::ElementsAre("wrong_arch"));
  EXPECT_THAT(ids(*inspect_hef("/nowhere/x.hef", bytes, {"", "hailo8", "", ""})),
              testing::IsEmpty());
}

TEST(InspectHef, SaysWhichRuntimeDoesNotReadIt) {
  const auto found = [](uint32_t container, const std::string& version) {
    return inspect_hef("x.hef", hef::sample_hef(container, {}, output(5)), {"", "", version, ""});
  };
  EXPECT_THAT(ids(*found(2, "4.19.0")), testing::ElementsAre("runtime_too_old"));
  EXPECT_THAT(ids(*found(2, "4.20")), testing::IsEmpty());
  EXPECT_THAT(ids(*found(3, "4.20.1")), testing::ElementsAre("runtime_too_old"));
  EXPECT_THAT(ids(*found(0, "4.17")), testing::IsEmpty());
  EXPECT_THAT(ids(*found(0, "5.2.0")), testing::ElementsAre("runtime_too_new"));
  EXPECT_THAT(ids(*found(0, "4.16.2")), testing::ElementsAre("runtime_too_old"));
  // Each feature that is missing, with the release it came with.
  hef::WrittenFile file;
  file.extensions = {13, 26, 27, 28, 31};
  file.groups = {hef::nms_group_message({}, {})};
  const std::string bytes = hef::wrap_hef(2, hef::hef_protobuf(file), "c");
  const Json json = *inspect_hef("x.hef", bytes, {"", "", "4.16.0", ""});
  std::vector<std::string> missing;
  for (const Json& finding : json["findings"]) missing.push_back(finding["where"]);
  EXPECT_THAT(missing, testing::ElementsAre("container version 2", "BATCH_REGISTER_CONFIG",
                                            "EXTERNAL_RESOURCES"));
  EXPECT_EQ(json["findings"][2]["message"], "HailoRT 4.16.0 does not have it, it came with 4.21");
  EXPECT_EQ(json["needs"]["HAILO_NET_FLOW_YOLOV8_NMS"], "HailoRT 4.16");
  EXPECT_THAT(ids(*inspect_hef("x.hef", bytes, {"", "", "4.21.0", ""})), testing::IsEmpty());
  for (const std::string version : {"four", "4", "4.", "4.20x", "-"}) {
    EXPECT_FALSE(found(2, version).ok()) << version;
  }
}

TEST(InspectHef, JudgesWithTheInstalledRuntimeUnlessOneIsNamed) {
  namespace fs = std::filesystem;
  const fs::path root = fs::path(testing::TempDir()) / "inspect_hef_machine";
  fs::remove_all(root);
  fs::create_directories(root / "usr/lib");
  const std::string bytes = hef::sample_hef(2, {}, output(5));
  const auto inspected = [&](const std::string& version) {
    return *inspect_hef("/nowhere/x.hef", bytes, {"", "", version, root.string()});
  };
  EXPECT_THAT(inspected("")["judged_for_hailort"].get<std::string>(), testing::StartsWith("none"));
  ASSERT_TRUE(write_file_atomic((root / "usr/lib/libhailort.so.4.19.0").string(), "").ok());
  EXPECT_EQ(inspected("")["judged_for_hailort"], "4.19.0, installed here");
  EXPECT_THAT(ids(inspected("")), testing::ElementsAre("runtime_too_old"));
  EXPECT_EQ(inspected("4.20.0")["judged_for_hailort"], "4.20.0, as asked");
  EXPECT_THAT(ids(inspected("4.20.0")), testing::IsEmpty());
}

TEST(InspectHef, HoldsItAgainstABundle) {
  ParseOptions options;
  options.target = "hailo8";
  const std::string model = std::string(GRAUPEL_SOURCE_DIR) + "/models/fsq_imu_synthetic.onnx";
  Result<Parsed> parsed = parse(model, options);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  const std::string path = testing::TempDir() + "inspect_hef.graupel";
  ASSERT_TRUE(bundle::write_bundle(path, *to_bundle(*parsed)).ok());
  const Result<hef::Promise> promise =
      promise_of(*bundle::read_bundle(path), "inspect_hef.graupel");
  ASSERT_TRUE(promise.ok()) << promise.error().message();
  ASSERT_EQ(promise->inputs.size(), 1u);
  EXPECT_THAT(promise->inputs[0].shape, testing::ElementsAre(2, 100, 9));
  ASSERT_EQ(promise->outputs.size(), 1u);
  const uint64_t features = promise->outputs[0].values;
  EXPECT_THAT(promise->outputs[0].shape, testing::ElementsAre(1, 1, features));
  const HefQuestions questions{path, "", "", ""};
  EXPECT_THAT(ids(*inspect_hef("x.hef", hef::sample_hef(2, {}, output(features)), questions)),
              testing::IsEmpty());
  EXPECT_THAT(ids(*inspect_hef("x.hef", hef::sample_hef(2, {}, output(features + 1)), questions)),
              testing::ElementsAre("output_mismatch"));
  hef::WrittenStream turned;
  turned.height = 100;
  turned.width = 2;
  EXPECT_THAT(ids(*inspect_hef("x.hef", hef::sample_hef(2, turned, output(features)), questions)),
              testing::ElementsAre("input_shape"));
  EXPECT_FALSE(
      inspect_hef("x.hef", hef::sample_hef(2, {}, output(5)), {"/nowhere", "", "", ""}).ok());
}

// A report is a member like any other and may hold anything.
TEST(InspectHef, AReportOfAnotherFormPromisesNoRanges) {
  ParseOptions options;
  options.target = "hailo8";
  const std::string model = std::string(GRAUPEL_SOURCE_DIR) + "/models/fsq_imu_synthetic.onnx";
  Result<Parsed> parsed = parse(model, options);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message();
  bundle::Bundle bundle = *to_bundle(*parsed);
  const ir::Graph device = *member_graph(bundle, "device.onnx");
  // `point` is one point of the report, X in it the device part's input.
  const auto range_of = [&](std::string point) {
    const std::string input = device.value(device.inputs[0]).name;
    if (const size_t at = point.find('X'); at != point.npos) point.replace(at, 1, input);
    bundle.members["reports/optimize.json"] = R"({"points":[)" + point + "]}";
    const Result<hef::Promise> promise = promise_of(bundle, "");
    EXPECT_TRUE(promise.ok()) << point;
    return promise->inputs[0].range;
  };
  EXPECT_EQ(range_of(R"({"tensor":"X","dtype":"int8","scale":0.5,"zero_point":0})"),
            std::pair(-64.0, 63.5));
  for (const char* point :
       {"1", "null", "[]", "\"x\"", "{}", R"({"tensor":1,"dtype":"int8","scale":0.5})",
        R"({"tensor":"X","dtype":8,"scale":0.5})",
        R"({"tensor":"X","dtype":"int8","scale":"1"})"}) {
    EXPECT_FALSE(range_of(point).has_value()) << point;
  }
  bundle.members["reports/optimize.json"] = R"({"points":7})";
  EXPECT_TRUE(promise_of(bundle, "").ok());
}

}  // namespace
}  // namespace graupel::deploy
