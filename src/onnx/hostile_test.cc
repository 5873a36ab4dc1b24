// Damaged and hostile bytes: an error, no crash, no hunger for memory.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/rng.h"
#include "onnx/onnx.h"
#include "onnx/test_models.h"

namespace graupel::onnx {
namespace {

TestModel small_model() {
  TestModel model(9);
  model.input("x", {1, 2, 8, 8}).output("y").floats("w", {3, 2, 3, 3}, 0.5f).ints("s", {1, -1});
  model.node("Conv", {"x", "w"}, {"a"}).with("kernel_shape", std::vector<int64_t>{3, 3});
  model.node("Clip", {"a"}, {"b"}).with("min", 0.0).with("max", 6.0);
  model.node("Reshape", {"b", "s"}, {"c"});
  model.node("Softmax", {"c"}, {"y"});
  return model;
}

TEST(Hostile, EveryTruncationIsAnErrorOrAModel) {
  const std::string bytes = small_model().bytes();
  ASSERT_TRUE(parse_model(bytes).ok()) << parse_model(bytes).error().message();
  for (size_t size = 0; size + 1 < bytes.size(); ++size) {
    const Result<ir::Graph> graph = parse_model(std::string_view(bytes).substr(0, size));
    if (!graph.ok()) {
      EXPECT_FALSE(graph.error().message().empty());
    }
  }
  EXPECT_EQ(parse_model("").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(parse_model("not a model at all").error().code, ErrorCode::kCorrupt);
}

TEST(Hostile, FlippedBitsNeverCrash) {
  const std::string bytes = small_model().bytes();
  Rng rng(7);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = bytes;
    for (uint64_t flips = 1 + rng.below(4); flips > 0; --flips) {
      damaged[rng.below(damaged.size())] ^= static_cast<char>(1u << rng.below(8));
    }
    if (!parse_model(damaged).ok()) ++refused;
    const Result<ModelSummary> summary = summarize_bytes(damaged);
    if (!summary.ok()) {
      EXPECT_EQ(summary.error().code, ErrorCode::kCorrupt);
    }
  }
  EXPECT_GT(refused, 500);
}

TEST(Hostile, SizesThatLieAreRefused) {
  TestModel model = small_model();
  auto& weights = *model.model.mutable_graph()->mutable_initializer(0);
  weights.set_dims(0, int64_t{1} << 40);
  EXPECT_EQ(parse_model(model.bytes()).error().code, ErrorCode::kCorrupt);
  weights.clear_float_data();
  weights.set_raw_data("1234");
  EXPECT_EQ(parse_model(model.bytes()).error().code, ErrorCode::kCorrupt);
  weights.set_dims(0, -3);
  EXPECT_EQ(parse_model(model.bytes()).error().code, ErrorCode::kCorrupt);
}

TEST(Hostile, ManyEmptyNodesAreRefusedBeforeTheyTakeMemory) {
  std::string graph;
  for (int i = 0; i < 2'000'000; ++i) graph.append("\x0a\x00", 2);
  ::onnx::ModelProto head;
  head.set_ir_version(8);
  std::string bytes = head.SerializeAsString();
  bytes.push_back(7 << 3 | 2);
  for (uint64_t size = graph.size();; size >>= 7) {
    bytes.push_back(static_cast<char>((size & 0x7f) | (size >= 0x80 ? 0x80 : 0)));
    if (size < 0x80) break;
  }
  bytes += graph;
  const Result<ir::Graph> read = parse_model(bytes);
  ASSERT_FALSE(read.ok());
  EXPECT_NE(read.error().what.find("tiny parts"), std::string::npos) << read.error().message();
}

// A packed varint of one byte takes eight in memory.
TEST(Hostile, ManyTinyNumbersAreRefusedBeforeTheyTakeMemory) {
  TestModel model(13);
  model.input("x", {1}).output("y").node("Relu", {"x"}, {"y"});
  auto& tensor = *model.model.mutable_graph()->add_initializer();
  tensor.set_name("t");
  tensor.set_data_type(7);
  tensor.add_dims(20'000'000);
  tensor.mutable_int64_data()->Resize(20'000'000, 1);
  const Result<ir::Graph> read = parse_model(model.bytes());
  ASSERT_FALSE(read.ok());
  EXPECT_NE(read.error().what.find("tiny parts"), std::string::npos) << read.error().message();
}

// ---- external data ----

class ExternalData : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) / "graupel_external";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "model");
    std::ofstream(folder_ / "secret.bin") << std::string(64, 's');
    std::ofstream(folder_ / "model" / "w.bin") << std::string(72 * 4, '\0');
  }
  Result<ir::Graph> read(const std::string& location, const std::string& offset = "",
                         const std::string& length = "") {
    TestModel model(13);
    model.input("x", {1, 2, 8, 8}).output("y");
    auto& weights = *model.model.mutable_graph()->add_initializer();
    weights.set_name("w");
    weights.set_data_type(1);
    for (const int64_t dim : {4, 2, 3, 3}) weights.add_dims(dim);
    weights.set_data_location(::onnx::TensorProto::EXTERNAL);
    const std::pair<const char*, std::string> entries[] = {
        {"location", location}, {"offset", offset}, {"length", length}};
    for (const auto& [key, value] : entries) {
      if (value.empty()) continue;
      auto& entry = *weights.add_external_data();
      entry.set_key(key);
      entry.set_value(value);
    }
    model.node("Conv", {"x", "w"}, {"y"});
    return parse_model(model.bytes(), {}, (folder_ / "model").string());
  }
  std::filesystem::path folder_;
};

TEST_F(ExternalData, IsReadFromTheModelsFolder) {
  EXPECT_TRUE(read("w.bin").ok()) << read("w.bin").error().message();
  EXPECT_TRUE(read("w.bin", "0", "288").ok());
}

TEST_F(ExternalData, OutsideTheFolderIsRefused) {
  EXPECT_EQ(read("../secret.bin").error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(read("/etc/passwd").error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(read("a/../../secret.bin").error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(read("missing.bin").error().code, ErrorCode::kIo);
  std::filesystem::create_symlink(folder_ / "secret.bin", folder_ / "model" / "link.bin");
  EXPECT_EQ(read("link.bin").error().code, ErrorCode::kInvalidInput);
}

TEST_F(ExternalData, RangesHaveToFit) {
  EXPECT_EQ(read("w.bin", "4").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(read("w.bin", "0", "287").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(read("w.bin", "18446744073709551615").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(read("w.bin", "-1").error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace graupel::onnx
