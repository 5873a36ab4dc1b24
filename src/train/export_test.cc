// The exported graph: names, form, opsets, every FSQ variant as the rest of graupel sees it, and a
// check that notices a wrong weight.
#include "train/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "cut/fsq.h"
#include "ir/eval.h"
#include "onnx/onnx.h"

namespace graupel::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr WindowShape kShape = {9, 2, 100};

Tensor random_tensor(const Shape& shape, double scale, double offset, uint64_t seed) {
  Rng rng(seed);
  Tensor tensor(DType::kFloat32, shape);
  for (float& value : tensor.mutable_data<float>()) {
    value = static_cast<float>(offset + scale * rng.normal());
  }
  return tensor;
}

Weights random_weights(const Network& network) {
  Weights weights;
  uint64_t seed = 1;
  const auto shapes = weight_shapes(network, kShape, 10);
  EXPECT_TRUE(shapes.ok());
  for (const auto& [name, shape] : *shapes) {
    const bool variance = name.ends_with("running_var");
    weights[name] = random_tensor(shape, variance ? 0.05 : 0.1, variance ? 1.0 : 0.0, seed++);
  }
  return weights;
}

std::vector<std::string> operators(const ir::Graph& graph) {
  std::vector<std::string> types;
  for (const ir::Node& node : graph.nodes) types.push_back(std::string(ir::op_type(node.op)));
  return types;
}

TEST(Export, HasTheFormThatPyTorchGives) {
  const Network network = named_network("plain").value();
  const Result<ir::Graph> graph = build_graph(network, kShape, 10, random_weights(network));
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  EXPECT_THAT(operators(*graph),
              ElementsAre("Conv", "BatchNormalization", "Relu", "MaxPool", "Conv",
                          "BatchNormalization", "Relu", "MaxPool", "Conv", "BatchNormalization",
                          "Relu", "GlobalAveragePool", "Flatten", "Gemm", "Add", "Tanh", "Mul",
                          "Sub", "Round", "Div", "Gemm", "Relu", "Gemm"));
  EXPECT_EQ(graph->value(graph->inputs[0]).name, "imu");
  EXPECT_EQ(graph->shape(graph->inputs[0]), (Shape{1, 9, 2, 100}));
  EXPECT_EQ(graph->value(graph->outputs[0]).name, "behavior_logits");
  EXPECT_EQ(graph->shape(graph->outputs[0]), (Shape{1, 10}));
}

TEST(Export, EveryOpsetIsReadBackWithTheSameAnswers) {
  Network network = named_network("separable").value();
  network.pooling = Pooling::kMax;
  const Result<ir::Graph> graph = build_graph(network, kShape, 10, random_weights(network));
  ASSERT_TRUE(graph.ok()) << graph.error().message();
  const std::vector<Tensor> inputs = {random_tensor({1, 9, 2, 100}, 1.0, 0.0, 99)};
  const std::vector<Tensor> expected = ir::evaluate(*graph, inputs).value();
  for (int64_t opset = 11; opset <= 17; ++opset) {
    onnx::WriteOptions options;
    options.opset = opset;
    const Result<std::string> bytes = onnx::format_model(*graph, options);
    ASSERT_TRUE(bytes.ok()) << bytes.error().message();
    const Result<ir::Graph> again = onnx::parse_model(*bytes);
    ASSERT_TRUE(again.ok()) << again.error().message();
    EXPECT_EQ(ir::evaluate(*again, inputs).value(), expected) << opset;
  }
}

TEST(Export, EveryVariantOfTheQuantizerIsRecognised) {
  for (const char* variant :
       {"lucidrains-2024", "lucidrains-2023", "paper-2023", "hard-clamp", "symmetric", "ifsq"}) {
    for (const std::vector<int64_t>& levels :
         {std::vector<int64_t>{8, 6, 5, 5, 4}, std::vector<int64_t>(8, 8)}) {
      Network network = named_network("cross").value();
      network.fsq_levels = levels;
      network.fsq_variant = variant;
      const Result<ir::Graph> graph = build_graph(network, kShape, 10, random_weights(network));
      ASSERT_TRUE(graph.ok()) << graph.error().message();
      const std::optional<cut::Fsq> fsq = cut::find_fsq(*graph);
      ASSERT_TRUE(fsq.has_value()) << variant;
      // With 8 levels the shifts of the two of 2023 differ by 4e-6, which says nothing in float32.
      const bool same = levels[1] == 8 && std::string(variant) == "paper-2023";
      EXPECT_EQ(fsq->variant, same ? "lucidrains-2023" : variant);
      EXPECT_EQ(fsq->levels, levels);
      EXPECT_FALSE(fsq->shift_folded);
    }
  }
}

TEST(Export, WithoutAQuantizerTheProjectionFeedsTheHead) {
  Network network = named_network("cross").value();
  network.fsq_levels.clear();
  network.projection = 5;
  const Result<ir::Graph> graph = build_graph(network, kShape, 10, random_weights(network));
  ASSERT_TRUE(graph.ok());
  EXPECT_FALSE(cut::find_fsq(*graph).has_value());
  network.projection = 0;
  network.hidden = 0;
  const Result<ir::Graph> bare = build_graph(network, kShape, 10, random_weights(network));
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(operators(*bare).back(), "Gemm");
  EXPECT_EQ(operators(*bare)[operators(*bare).size() - 2], "Flatten");
}

TEST(Export, ALayerThatTakesMoreThanThereIsIsNamed) {
  Network network = named_network("cross").value();
  const auto one_sensor = build_graph(network, {9, 1, 100}, 10, {});
  ASSERT_FALSE(one_sensor.ok());
  EXPECT_THAT(one_sensor.error().message(),
              HasSubstr("network.layer 3: takes 1 x 25 (sensors x samples) with kernel 2 x 1"));
  Weights weights = random_weights(network);
  weights.erase("project.bias");
  const auto missing = build_graph(network, kShape, 10, weights);
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message(), HasSubstr("project.bias: is not among the weights"));
  weights = random_weights(network);
  weights["project.bias"] = Tensor(DType::kFloat32, {4});
  const auto wrong = build_graph(network, kShape, 10, weights);
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(wrong.error().message(), HasSubstr("is float32 4; the network takes float32 5"));
}

TEST(Export, TheCheckNoticesAWeightThatDiffers) {
  const Network network = named_network("cross").value();
  Weights weights = random_weights(network);
  const ir::Graph graph = build_graph(network, kShape, 10, weights).value();
  const Tensor windows = random_tensor({8, 9, 2, 100}, 1.0, 0.0, 5);
  ir::Graph both = graph;
  both.outputs.push_back(*ir::find_value(graph, "/fsq/Sub_output_0"));
  const std::vector<Tensor> outputs = ir::evaluate_windows(both, windows).value();
  const Result<ExportCheck> same = check_export(graph, windows, {outputs[0], outputs[1]});
  ASSERT_TRUE(same.ok()) << same.error().message();
  EXPECT_EQ(same->largest_difference, 0.0);
  EXPECT_EQ(same->windows, 8);

  weights["project.bias"].mutable_data<float>()[2] += 1e-4f;
  const ir::Graph other = build_graph(network, kShape, 10, weights).value();
  const Result<ExportCheck> differs = check_export(other, windows, {outputs[0], outputs[1]});
  ASSERT_FALSE(differs.ok());
  EXPECT_THAT(differs.error().message(), HasSubstr("differs from libtorch by"));
}

}  // namespace
}  // namespace graupel::train
