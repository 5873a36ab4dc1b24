// What each operator's versions mean: old and new forms give the same graph.
#include <gtest/gtest.h>

#include "onnx/onnx.h"
#include "onnx/test_models.h"

namespace graupel::onnx {
namespace {

using Ints = std::vector<int64_t>;

ir::Graph must_read(const TestModel& model, const ReadOptions& options = {}) {
  Result<ir::Graph> graph = parse_model(model.bytes(), options);
  EXPECT_TRUE(graph.ok()) << graph.error().message();
  return graph.ok() ? std::move(graph).value() : ir::Graph();
}

std::string refusal(const TestModel& model, const ReadOptions& options = {}) {
  const Result<ir::Graph> graph = parse_model(model.bytes(), options);
  return graph.ok() ? "" : graph.error().message();
}

Ints ints_input(const ir::Graph& graph, size_t node, size_t input) {
  if (graph.nodes.size() <= node || graph.nodes[node].inputs.size() <= input) return {-999};
  const Tensor* const tensor = graph.constant(graph.nodes[node].inputs[input]);
  return tensor == nullptr ? Ints{-999} : tensor->to_int64s();
}

TEST(Reader, AxesAttributesBecomeInputs) {
  for (const std::string type : {"Squeeze", "ReduceMean", "ReduceSum"}) {
    const ir::Graph old = must_read(TestModel(11)
                                        .input("x", {2, 1, 4})
                                        .output("y")
                                        .node(type, {"x"}, {"y"})
                                        .with("axes", Ints{1}));
    const ir::Graph now = must_read(TestModel(18)
                                        .input("x", {2, 1, 4})
                                        .output("y")
                                        .ints("a", {1})
                                        .node(type, {"x", "a"}, {"y"}));
    EXPECT_EQ(ints_input(old, 0, 1), Ints{1}) << type;
    ASSERT_EQ(now.nodes.size(), 1u);
    EXPECT_EQ(old.nodes[0].op, now.nodes[0].op);
    EXPECT_EQ(old.shape(old.outputs[0]), now.shape(now.outputs[0]));
  }
}

TEST(Reader, SplitIntoUnevenParts) {
  const ir::Graph graph = must_read(TestModel(18)
                                        .input("x", {7, 2})
                                        .output("a")
                                        .output("b")
                                        .output("c")
                                        .node("Split", {"x"}, {"a", "b", "c"})
                                        .with("num_outputs", int64_t{3}));
  EXPECT_EQ(ints_input(graph, 0, 1), (Ints{3, 3, 1}));
}

TEST(Reader, PadAxesSpreadOverAllAxes) {
  const ir::Graph graph = must_read(TestModel(18)
                                        .input("x", {1, 2, 3})
                                        .output("y")
                                        .ints("p", {1, 4})
                                        .ints("axes", {-1})
                                        .node("Pad", {"x", "p", "", "axes"}, {"y"}));
  EXPECT_EQ(ints_input(graph, 0, 1), (Ints{0, 0, 1, 0, 0, 4}));
  EXPECT_EQ(graph.shape(graph.outputs[0]), (Shape{1, 2, 8}));
}

TEST(Reader, OldSoftmaxFlattens) {
  TestModel wide(11);
  wide.input("x", {2, 3, 4}).output("y").node("Softmax", {"x"}, {"y"}).with("axis", int64_t{1});
  EXPECT_EQ(must_read(wide).nodes.size(), 4u);  // Flatten, Softmax, Shape, Reshape
  TestModel narrow(11);
  narrow.input("x", {2, 3}).output("y").node("Softmax", {"x"}, {"y"});
  const ir::Graph graph = must_read(narrow);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(std::get<ir::Softmax>(graph.nodes[0].op).axis, 1);
}

TEST(Reader, UpsampleIsAResizeThatTakesTheFloor) {
  TestModel model(9);
  model.input("x", {1, 1, 2, 2}).output("y");
  auto& scales = *model.model.mutable_graph()->add_initializer();
  scales.set_name("s");
  scales.set_data_type(1);
  scales.add_dims(4);
  for (const float scale : {1.0f, 1.0f, 2.0f, 3.0f}) scales.add_float_data(scale);
  model.node("Upsample", {"x", "s"}, {"y"});
  const ir::Graph graph = must_read(model);
  const ir::Resize& op = std::get<ir::Resize>(graph.nodes.at(0).op);
  EXPECT_EQ(op.coordinates, ir::ResizeCoordinates::kAsymmetric);
  EXPECT_EQ(op.nearest, ir::ResizeNearest::kFloor);
  EXPECT_EQ(graph.shape(graph.outputs[0]), (Shape{1, 1, 4, 6}));
}

TEST(Reader, NewOperatorsAreWrittenInOldOnes) {
  const TestModel gelu = TestModel(20).input("x", {2, 3}).output("y").node("Gelu", {"x"}, {"y"});
  const ir::Graph graph = must_read(gelu);
  EXPECT_TRUE(format_model(graph).ok());
  const TestModel group = TestModel(21)
                              .input("x", {1, 4, 2, 2})
                              .output("y")
                              .floats("s", {4}, 1.0f)
                              .floats("b", {4}, 0.0f)
                              .node("GroupNormalization", {"x", "s", "b"}, {"y"})
                              .with("num_groups", int64_t{2});
  EXPECT_EQ(must_read(group).shape(must_read(group).outputs[0]), (Shape{1, 4, 2, 2}));
}

TEST(Reader, OpenDimensionsArePinnedOrNamed) {
  TestModel model(17);
  model.input("x", {0, 3, 0}).output("y").node("Relu", {"x"}, {"y"});
  const std::string message = refusal(model);
  EXPECT_NE(message.find("axis 2 is the symbol 'N'"), std::string::npos) << message;
  EXPECT_NE(message.find("--shape x="), std::string::npos) << message;
  ReadOptions options;
  options.shapes["x"] = {4, 3, 5};
  const ir::Graph graph = must_read(model, options);
  EXPECT_EQ(graph.shape(graph.outputs[0]), (Shape{4, 3, 5}));
  options.shapes["z"] = {1};
  EXPECT_NE(refusal(model, options).find("names no input"), std::string::npos);
  TestModel batch(17);
  batch.input("x", {0, 3}).output("y").node("Relu", {"x"}, {"y"});
  ReadOptions eight;
  eight.batch = 8;
  const ir::Graph pinned = must_read(batch, eight);
  EXPECT_EQ(pinned.shape(pinned.outputs[0]), (Shape{8, 3}));
}

TEST(Reader, UnknownThingsAreRefusedByName) {
  TestModel model(17);
  model.input("x", {2, 3}).output("y").node("Det", {"x"}, {"y"});
  EXPECT_NE(refusal(model).find("node 'Det_0' (Det)"), std::string::npos) << refusal(model);
  TestModel attribute(17);
  attribute.input("x", {2, 3}).output("y").node("Relu", {"x"}, {"y"}).with("slope", 0.1);
  EXPECT_NE(refusal(attribute).find("'slope'"), std::string::npos) << refusal(attribute);
  TestModel newer(23);
  newer.input("x", {2, 3}).output("y").node("Relu", {"x"}, {"y"});
  EXPECT_NE(refusal(newer).find("opset 23"), std::string::npos) << refusal(newer);
}

}  // namespace
}  // namespace graupel::onnx
