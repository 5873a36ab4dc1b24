// inspect on every kind of file, whole and broken.
#include "deploy/inspect.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "bundle/bundle.h"
#include "data/npy.h"

namespace graupel::deploy {
namespace {

using Json = nlohmann::ordered_json;
const std::string kModel = std::string(GRAUPEL_SOURCE_DIR) + "/models/fsq_imu_synthetic.onnx";

std::string file(const std::string& name, std::string_view bytes) {
  const std::string path =
      testing::TempDir() + "graupel_inspect_" + std::to_string(getpid()) + name;
  EXPECT_TRUE(write_file_atomic(path, bytes).ok());
  return path;
}

Result<Json> inspect_bytes(std::string_view bytes) {
  const std::string path = file("any", bytes);
  Result<Json> json = inspect(path);
  std::filesystem::remove(path);
  return json;
}

TEST(Inspect, Model) {
  const Result<Json> json = inspect(kModel);
  ASSERT_TRUE(json.ok()) << json.error().message();
  EXPECT_EQ((*json)["kind"], "onnx");
  EXPECT_EQ((*json)["inputs"][0]["shape"], "1x9x2x100");
  EXPECT_EQ((*json)["outputs"][0]["name"], "behavior_logits");
  EXPECT_GE((*json)["operators"]["Conv"], 3);
}

TEST(Inspect, ModelScript) {
  const std::string path =
      file("script.alls", "# one\nperformance_param(fps=100)\nfrobnicate(x)\n");
  const Result<Json> json = inspect(path);
  ASSERT_TRUE(json.ok()) << json.error().message();
  EXPECT_EQ((*json)["kind"], "alls");
  EXPECT_EQ((*json)["statements"], 2);
  EXPECT_EQ((*json)["commands"]["performance_param"], 1);
  EXPECT_EQ((*json)["written_back"], "byte for byte");
  EXPECT_EQ((*json)["findings"][0]["id"], "unknown-command");
  EXPECT_TRUE(write_file_atomic(path, "performance_param(fps=\n").ok());
  EXPECT_FALSE(inspect(path).ok());
  std::filesystem::remove(path);
}

TEST(Inspect, ArraysWithStatistics) {
  const Tensor windows = Tensor::of<float>({2, 2, 2}, {1, 3, 10, 10, 1, 3, 10, 10});
  const Result<Json> json = inspect_bytes(data::format_npy(windows));
  ASSERT_TRUE(json.ok()) << json.error().message();
  EXPECT_EQ((*json)["kind"], "npy");
  EXPECT_EQ((*json)["shape"], "2x2x2");
  EXPECT_EQ((*json)["channels"][0]["mean"], 2.0);
  EXPECT_EQ((*json)["channels"][0]["std"], 1.0);
  EXPECT_EQ((*json)["channels"][1]["std"], 0.0);
}

TEST(Inspect, Bundle) {
  bundle::Bundle bundle;
  bundle.manifest.model_name = "net";
  bundle.members["labels"] = "walk\nrun\n";
  const Result<std::string> bytes = bundle::format_bundle(bundle);
  ASSERT_TRUE(bytes.ok());
  const Result<Json> json = inspect_bytes(*bytes);
  ASSERT_TRUE(json.ok()) << json.error().message();
  EXPECT_EQ((*json)["kind"], "bundle");
  EXPECT_EQ((*json)["members"][0]["name"], "labels");
  for (size_t length = 0; length < bytes->size(); length += 7) {
    EXPECT_FALSE(inspect_bytes(bytes->substr(0, length)).ok()) << length;
  }
}

TEST(Inspect, WhatIsNothingKnownIsAnErrorNamingTheFile) {
  const std::string noise = "\xff\xfe\xfd" + std::string(400, '\x07');
  for (const std::string& bytes : {std::string(), std::string("hello"), noise,
                                   std::string("\x01HEF rest of it"), std::string("PK\x03\x04")}) {
    const Result<Json> json = inspect_bytes(bytes);
    ASSERT_FALSE(json.ok()) << bytes.substr(0, 8);
    EXPECT_NE(json.error().message().find("graupel_inspect_"), std::string::npos);
    EXPECT_EQ(json.error().message().find('\n'), std::string::npos);
  }
  EXPECT_FALSE(inspect("/").ok());
  EXPECT_FALSE(inspect("/no/such/file").ok());
}

}  // namespace
}  // namespace graupel::deploy
