// The standard's own models and the example network, simplified: each must answer as before.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "onnx/onnx.h"
#include "simplify/probe.h"
#include "simplify/simplify.h"

namespace graupel::simplify {
namespace {

std::vector<std::string> corpus() {
  std::vector<std::string> paths;
  for (const char* family : {"node", "simple", "pytorch-converted", "pytorch-operator"}) {
    const std::filesystem::path folder =
        std::filesystem::path("/usr/share/libonnx-testdata/data") / family;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      if (std::filesystem::exists(entry.path() / "model.onnx")) {
        paths.push_back((entry.path() / "model.onnx").string());
      }
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

TEST(SimplifyCorpus, StandardModelsAnswerAsBefore) {
  int simplified = 0;
  int probed = 0;
  onnx::ReadOptions read;
  read.rule = ir::ShapeRule::kMayBeUnknown;
  for (const std::string& path : corpus()) {
    SCOPED_TRACE(path);
    Result<ir::Graph> graph = onnx::read_model(path, read);
    if (!graph.ok()) continue;  // the conformance test judges reading
    Result<Simplified> result = simplify(std::move(graph).value());
    EXPECT_TRUE(result.ok()) << result.error().message();
    if (!result.ok()) continue;
    ++simplified;
    if (result->max_abs_difference) ++probed;
  }
  RecordProperty("simplified", simplified);
  RecordProperty("probed", probed);
  EXPECT_GE(simplified, 750) << "is libonnx-testdata installed?";
  EXPECT_GE(probed, 650);
}

TEST(SimplifyCorpus, ExampleNetworkLosesItsChatter) {
  Result<ir::Graph> graph =
      onnx::read_model(std::string(GRAUPEL_SOURCE_DIR) + "/models/fsq_imu_synthetic.onnx");
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  Result<Simplified> result = simplify(std::move(graph).value());
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_EQ(result->verification, "after every pass, 2 probes");
  ASSERT_TRUE(result->max_abs_difference.has_value());
  EXPECT_LE(*result->max_abs_difference, 1e-5);
  for (const ir::Node& node : result->graph.nodes) {
    const std::string type(ir::op_type(node.op));
    for (const char* chatter :
         {"BatchNormalization", "Dropout", "Identity", "Shape", "Gather", "Unsqueeze", "Cast"}) {
      EXPECT_NE(type, chatter) << node.name;
    }
  }
}

}  // namespace
}  // namespace graupel::simplify
