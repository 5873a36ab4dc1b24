// Engines from bundles on disk.
#include "run/load.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "bundle/bundle.h"
#include "run/plan_builder.h"

namespace graupel::run {
namespace {

bundle::Bundle bundle_with(std::string plan) {
  bundle::Bundle made;
  made.manifest.model_name = "net";
  made.manifest.stage = bundle::Stage::kCompiled;
  made.members["cpu.plan"] = std::move(plan);
  made.members["labels"] = "sit\nstand\n";
  made.members["device.onnx"] = "not read";
  return made;
}

TEST(Load, GivesAnEngineWithItsLabels) {
  const std::string path = ::testing::TempDir() + "graupel_load.graupel";
  ASSERT_TRUE(bundle::write_bundle(path, bundle_with(format_plan(sample_plan()))).ok());
  Result<BundleEngine> loaded = load_bundle_engine(path);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  EXPECT_EQ(loaded->model_name, "net");
  EXPECT_EQ(loaded->labels, (std::vector<std::string>{"sit", "stand"}));
  EXPECT_EQ(loaded->normalization, "");
  EXPECT_TRUE(run(loaded->engine, std::vector<float>(144, 1.0f)).ok());
  std::filesystem::remove(path);
}

TEST(Load, SaysWhatIsMissingOrDamaged) {
  const std::string path = ::testing::TempDir() + "graupel_load_bad.graupel";
  EXPECT_EQ(load_bundle_engine(path).error().code, ErrorCode::kIo);
  bundle::Bundle without = bundle_with("");
  without.members.erase("cpu.plan");
  ASSERT_TRUE(bundle::write_bundle(path, without).ok());
  const Result<BundleEngine> missing = load_bundle_engine(path);
  EXPECT_EQ(missing.error().code, ErrorCode::kInvalidInput);
  EXPECT_NE(missing.error().message().find("cpu.plan"), std::string::npos);
  ASSERT_TRUE(bundle::write_bundle(path, bundle_with("GRPLPLAN?")).ok());
  const Result<BundleEngine> damaged = load_bundle_engine(path);
  ASSERT_FALSE(damaged.ok());
  EXPECT_NE(damaged.error().message().find(path), std::string::npos);
  std::filesystem::remove(path);
}

TEST(Labels, SurviveTheRoundTrip) {
  EXPECT_TRUE(parse_labels("").empty());
  EXPECT_EQ(parse_labels("a\r\nb"), (std::vector<std::string>{"a", "b"}));
  const std::vector<std::string> labels = {"walk", "", "run"};
  EXPECT_EQ(parse_labels(format_labels(labels)), labels);
}

}  // namespace
}  // namespace graupel::run
