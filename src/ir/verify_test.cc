// verify: each invariant broken once, in an otherwise correct graph.
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "ir/graph.h"
#include "ir/testing.h"

namespace graupel::ir {
namespace {

Graph sound_graph() {
  return graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[1x4]
    const w: float32[4x2] = [1, 2, 3, 4, 5, 6, 7, 8]
    a: MatMul(x, w) -> y
    b: Relu(y) -> z
    output z
  })");
}

ValueId id_of(const Graph& graph, std::string_view name) {
  return find_value(graph, name).value_or(ValueId());
}

TEST(Verify, ASoundGraphPasses) {
  const Result<void> verified = verify(sound_graph());
  EXPECT_TRUE(verified.ok()) << verified.error().message();
  EXPECT_TRUE(verify(Graph()).ok());
}

struct Breakage {
  const char* name;
  std::function<void(Graph&)> damage;
  const char* message;  // a part of it
};

const Breakage kBreakages[] = {
    {"InputId", [](Graph& g) { g.inputs.push_back(ValueId(size_t{99})); }, "graph inputs"},
    {"OutputOmitted", [](Graph& g) { g.outputs.emplace_back(); }, "graph outputs"},
    {"NodeInputId", [](Graph& g) { g.nodes[1].inputs[0] = ValueId(size_t{4}); }, "b: refers to"},
    {"NodeOutputId",
     [](Graph& g) { g.nodes[1].outputs[0].value = std::numeric_limits<int32_t>::max(); },
     "b: refers to"},
    {"ValueWithoutName", [](Graph& g) { g.values[0].name.clear(); }, "value 0: has no name"},
    {"ValueNameTwice", [](Graph& g) { g.values[1].name = "x"; }, "x: names two values"},
    {"NodeWithoutName", [](Graph& g) { g.nodes[1].name.clear(); }, "node 1: has no name"},
    {"NodeNameTwice", [](Graph& g) { g.nodes[1].name = "a"; }, "a: names two nodes"},
    {"Order", [](Graph& g) { std::swap(g.nodes[0], g.nodes[1]); }, "b: reads y before"},
    {"Cycle", [](Graph& g) { g.nodes[0].inputs[0] = id_of(g, "z"); }, "a: reads z before"},
    {"NoProducer", [](Graph& g) { g.values[id_of(g, "w").index()].constant.reset(); },
     "a: reads w before"},
    {"DeadProducer", [](Graph& g) { g.nodes[0].dead = true; }, "b: reads y before"},
    {"TwoProducers", [](Graph& g) { g.nodes[1].outputs[0] = id_of(g, "y"); }, "b: makes y"},
    {"InputProduced", [](Graph& g) { g.nodes[1].outputs[0] = id_of(g, "x"); }, "b: makes x"},
    {"ConstantProduced", [](Graph& g) { g.nodes[1].outputs[0] = id_of(g, "w"); }, "b: makes w"},
    {"InputTwice", [](Graph& g) { g.inputs.push_back(g.inputs[0]); }, "x: is a graph input twice"},
    {"InputIsConstant", [](Graph& g) { g.inputs.push_back(id_of(g, "w")); }, "w: is a graph input"},
    {"OutputNotMade", [](Graph& g) { g.nodes.pop_back(); }, "z: is a graph output"},
    {"TooFewInputs", [](Graph& g) { g.nodes[0].inputs.pop_back(); },
     "a: MatMul: has 1 inputs, expected 2"},
    {"RequiredInputOmitted", [](Graph& g) { g.nodes[0].inputs[1] = ValueId(); },
     "a: MatMul: input 1 is omitted"},
    {"TooManyOutputs", [](Graph& g) { g.nodes[1].outputs.emplace_back(); },
     "b: Relu: has 2 outputs"},
    {"ShapeRecordedWrong",
     [](Graph& g) {
       g.value(id_of(g, "z")).shape = Shape{1, 3};
     },
     "b: makes float32[1x2], but z is recorded as float32[1x3]"},
    {"DTypeRecordedWrong", [](Graph& g) { g.value(id_of(g, "z")).dtype = DType::kInt32; },
     "is recorded as int32"},
    {"InputRefused",
     [](Graph& g) {
       g.value(id_of(g, "x")).shape = Shape{1, 5};
     },
     "a: MatMul: inner sizes differ"},
    {"ConstantRecordedWrong",
     [](Graph& g) {
       g.value(id_of(g, "w")).shape = Shape{2, 4};
     },
     "w: is a constant"},
    {"NegativeSize",
     [](Graph& g) {
       g.value(id_of(g, "x")).shape = Shape{-1, 4};
     },
     "x: has shape -1x4"},
    {"HugeSize",
     [](Graph& g) {
       g.value(id_of(g, "x")).shape = Shape{int64_t{1} << 39, 4};
     },
     "x: has shape"},
    {"DTypeOutOfRange", [](Graph& g) { g.value(id_of(g, "x")).dtype = static_cast<DType>(77); },
     "x: has no valid dtype"},
    {"NotStatic", [](Graph& g) { g.value(id_of(g, "x")).shape.reset(); }, "x: has no static shape"},
};

TEST(Verify, EachBrokenInvariantIsNamed) {
  for (const Breakage& breakage : kBreakages) {
    SCOPED_TRACE(breakage.name);
    Graph graph = sound_graph();
    breakage.damage(graph);
    const Result<void> verified = verify(graph);
    ASSERT_FALSE(verified.ok());
    EXPECT_NE(verified.error().message().find(breakage.message), std::string::npos)
        << verified.error().message();
  }
}

TEST(Verify, UnknownShapesPassWhereTheyMay) {
  Graph graph = sound_graph();
  for (const char* name : {"x", "y", "z"}) graph.value(id_of(graph, name)).shape.reset();
  EXPECT_TRUE(verify(graph, ShapeRule::kMayBeUnknown).ok());
  EXPECT_FALSE(verify(graph, ShapeRule::kStatic).ok());
}

TEST(Verify, AnOpaqueOperatorKeepsItsRecordedTypes) {
  const Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[1x4]
    a: opaque NonZero{opset=13}(x) -> y: int64[2x3]
    output y
  })");
  const Result<void> verified = verify(graph);
  EXPECT_TRUE(verified.ok()) << verified.error().message();
}

}  // namespace
}  // namespace graupel::ir
