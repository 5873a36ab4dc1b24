// The model that is shipped, on the windows that are shipped, of a person it was not trained on.
#include <gtest/gtest.h>

#include "base/files.h"
#include "base/metrics.h"
#include "cut/fsq.h"
#include "data/preprocess.h"
#include "data/windows.h"
#include "ir/eval.h"
#include "onnx/onnx.h"
#include "train/config.h"

namespace graupel::train {
namespace {

const std::string kModel = std::string(GRAUPEL_SOURCE_DIR) + "/models/fsq_imu";

TEST(ShippedModel, KnowsTheBehavioursOfSomebodyNew) {
  const Result<ir::Graph> graph = onnx::read_model(kModel + ".onnx");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const Result<std::string> chain = read_file(kModel + ".normalization.json");
  ASSERT_TRUE(chain.ok());
  const data::Normalization normalization = data::parse_normalization(*chain).value();
  const Result<data::WindowSet> test = data::load_windows(kModel + ".test.npz", {9, 2, 100});
  ASSERT_TRUE(test.ok()) << test.error().message();
  ASSERT_EQ(test->count(), 120);
  for (const int64_t person : test->subjects->to_int64s()) EXPECT_EQ(person, 8);
  const Result<data::WindowSet> others =
      data::load_windows(kModel + ".calibration.npz", {9, 2, 100});
  ASSERT_TRUE(others.ok());
  for (const int64_t person : others->subjects->to_int64s()) EXPECT_NE(person, 8);

  const Tensor windows = data::preprocess(test->windows, normalization).value();
  const std::vector<Tensor> outputs = ir::evaluate_windows(*graph, windows).value();
  const auto judged = classify(argmax_rows(outputs[0]), test->labels->to_int64s(), 10);
  ASSERT_TRUE(judged.ok());
  EXPECT_GE(judged->accuracy_percent, 99.0);
}

TEST(ShippedModel, IsWhatItsConfigurationDescribes) {
  const Result<Config> config = read_config(kModel + ".training.toml");
  ASSERT_TRUE(config.ok()) << config.error().message();
  const std::optional<cut::Fsq> fsq = cut::find_fsq(onnx::read_model(kModel + ".onnx").value());
  ASSERT_TRUE(fsq.has_value());
  EXPECT_EQ(fsq->levels, config->network.fsq_levels);
  EXPECT_EQ(fsq->variant, config->network.fsq_variant);
}

}  // namespace
}  // namespace graupel::train
