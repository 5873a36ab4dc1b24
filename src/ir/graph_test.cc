// Building, searching and rearranging graphs.
#include "ir/graph.h"

#include <gtest/gtest.h>

#include "ir/testing.h"

namespace graupel::ir {
namespace {

TEST(Graph, BuildsANetworkWithInferredTypes) {
  Graph graph;
  const ValueId x = add_input(graph, "x", DType::kFloat32, {1, 2, 8});
  const ValueId weight = add_constant(graph, "w", Tensor(DType::kFloat32, {4, 2, 3}));
  const Result<NodeId> conv = add_node(graph, "conv", Conv{}, {x, weight});
  ASSERT_TRUE(conv.ok()) << conv.error().message();
  const ValueId y = graph.node(*conv).outputs[0];
  EXPECT_EQ(graph.shape(y), (Shape{1, 4, 6}));
  EXPECT_EQ(graph.value(y).name, "conv_output_0");
  graph.outputs.push_back(y);
  const Result<void> verified = verify(graph);
  EXPECT_TRUE(verified.ok()) << verified.error().message();
}

TEST(Graph, ANodeThatRefusesItsInputsIsNotAdded) {
  Graph graph;
  const ValueId x = add_input(graph, "x", DType::kFloat32, {1, 3, 8});
  const ValueId weight = add_constant(graph, "w", Tensor(DType::kFloat32, {4, 2, 3}));
  const Result<NodeId> conv = add_node(graph, "conv", Conv{}, {x, weight});
  ASSERT_FALSE(conv.ok());
  EXPECT_EQ(conv.error().where, "conv");
  EXPECT_TRUE(graph.nodes.empty());
  EXPECT_EQ(graph.values.size(), 2u);
}

TEST(Graph, NamesAreMadeUniqueAcrossNodesAndValues) {
  Graph graph;
  add_input(graph, "x", DType::kFloat32, {1});
  EXPECT_EQ(unique_name(graph, "x"), "x_1");
  EXPECT_EQ(unique_name(graph, "y"), "y");
  EXPECT_EQ(unique_name(graph, ""), "_1");
  const ValueId constant = add_constant(graph, "x", Tensor::scalar<float>(1));
  EXPECT_EQ(graph.value(constant).name, "x_1");
}

TEST(Graph, FindUsesListsEachReading) {
  const Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[2]
    a: Relu(x) -> y
    b: Add(y, y) -> z
    output z
  })");
  const Uses uses = find_uses(graph);
  const ValueId y = *find_value(graph, "y");
  EXPECT_EQ(uses.producer[y.index()], *find_node(graph, "a"));
  EXPECT_EQ(uses.readers[y.index()].size(), 2u);
  EXPECT_FALSE(uses.producer[find_value(graph, "x")->index()].valid());
  EXPECT_TRUE(uses.is_output[find_value(graph, "z")->index()]);
  EXPECT_FALSE(find_value(graph, "nobody").has_value());
}

TEST(Graph, ReplaceUsesRedirectsReadersAndOutputs) {
  Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[2]
    a: Identity(x) -> y
    b: Relu(y) -> z
    output z
    output y
  })");
  const ValueId x = *find_value(graph, "x");
  const ValueId y = *find_value(graph, "y");
  replace_uses(graph, y, x);
  EXPECT_EQ(graph.nodes[1].inputs[0], x);
  EXPECT_EQ(graph.outputs[1], x);
  const Result<Graph> compacted = compact(graph);
  ASSERT_TRUE(compacted.ok());
  EXPECT_EQ(compacted->nodes.size(), 1u);  // the Identity has no reader left
  EXPECT_FALSE(find_value(*compacted, "y").has_value());
  EXPECT_TRUE(verify(*compacted).ok());
}

TEST(Graph, CompactSortsAndDropsWhatNoOutputNeeds) {
  Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[2]
    input unused: float32[3]
    const dead_weight: float32[1] = [1]
    a: Relu(x) -> y
    b: Tanh(y) -> z
    c: Neg(x) -> nobody
    output z
  })");
  std::swap(graph.nodes[0], graph.nodes[1]);
  EXPECT_FALSE(verify(graph).ok());
  const Result<Graph> compacted = compact(graph);
  ASSERT_TRUE(compacted.ok());
  EXPECT_TRUE(verify(*compacted).ok());
  ASSERT_EQ(compacted->nodes.size(), 2u);
  EXPECT_EQ(compacted->nodes[0].name, "a");
  EXPECT_EQ(compacted->inputs.size(), 2u);
  EXPECT_FALSE(find_value(*compacted, "dead_weight").has_value());
  EXPECT_FALSE(find_value(*compacted, "nobody").has_value());
}

TEST(Graph, CompactLeavesOutDeadNodes) {
  Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[2]
    a: Relu(x) -> y
    b: Tanh(x) -> z
    output z
  })");
  graph.nodes[0].dead = true;
  EXPECT_EQ(live_nodes(graph).size(), 1u);
  EXPECT_FALSE(find_node(graph, "a").has_value());
  const Result<Graph> compacted = compact(graph);
  ASSERT_TRUE(compacted.ok());
  EXPECT_EQ(compacted->nodes.size(), 1u);
}

TEST(Graph, CompactRefusesACycle) {
  Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[2]
    a: Add(x, x) -> y
    b: Relu(y) -> z
    output z
  })");
  graph.nodes[0].inputs[1] = *find_value(graph, "z");
  const Result<Graph> compacted = compact(graph);
  ASSERT_FALSE(compacted.ok());
  EXPECT_EQ(compacted.error().code, ErrorCode::kInvalidInput);
  EXPECT_EQ(compacted.error().where, "a");
}

}  // namespace
}  // namespace graupel::ir
