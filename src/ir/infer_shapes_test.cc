// infer_shapes: contents followed through the shape arithmetic that exporters write.
#include <gtest/gtest.h>

#include "ir/graph.h"
#include "ir/testing.h"

namespace graupel::ir {
namespace {

std::string shape_of(const Graph& graph, std::string_view name) {
  const std::optional<ValueId> id = find_value(graph, name);
  if (!id || !graph.value(*id).shape) return "?";
  return to_string(*graph.value(*id).shape);
}

TEST(InferShapes, FollowsAFlattenWrittenWithShapeArithmetic) {
  const Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[2x3x4]
    const zero: int64[] = [0]
    const axes: int64[1] = [0]
    const minus: int64[1] = [-1]
    s: Shape(x) -> shape: int64[?]
    g: Gather(shape, zero) -> batch: int64[?]
    u: Unsqueeze(batch, axes) -> batch1: int64[?]
    c: Concat(batch1, minus) -> target: int64[?]
    r: Reshape(x, target) -> y: float32[?]
    output y
  })");
  const Result<Graph> inferred = infer_shapes(graph);
  ASSERT_TRUE(inferred.ok()) << inferred.error().message();
  EXPECT_EQ(shape_of(*inferred, "y"), "2x12");
  EXPECT_TRUE(verify(*inferred).ok());
  // Contents are for inference only.
  EXPECT_FALSE(inferred->constant(*find_value(*inferred, "target")));
}

// As PyTorch exports an Upsample, and an Expand whose -1 means "keep".
TEST(InferShapes, FollowsFloatsAndComparisons) {
  const Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[1x2x5x7]
    const half: float32[2] = [1.5, 1.5]
    const start: int64[1] = [2]
    const end: int64[1] = [4]
    const keep: int64[4] = [-1, 6, -1, -1]
    const minus_one: int64[] = [-1]
    const small: float32[1x1x1x1] = [1]
    s: Shape{end=2}(x) -> front
    t: Shape(x) -> all
    l: Slice(all, start, end) -> spatial
    f: Cast{to=float32}(spatial) -> float
    m: Mul(float, half) -> scaled
    o: Floor(scaled) -> floored
    i: Cast{to=int64}(floored) -> whole
    c: Concat(front, whole) -> sizes
    r: Resize(x, _, _, sizes) -> y: float32[?]
    e: Equal(keep, minus_one) -> is_kept
    w: Where(is_kept, all, keep) -> target
    p: Expand(small, target) -> z: float32[?]
    n: Size(x) -> count
    q: Range(start, end, start) -> steps: int64[?]
    output y
    output z
  })");
  const Result<Graph> inferred = infer_shapes(graph);
  ASSERT_TRUE(inferred.ok()) << inferred.error().message();
  EXPECT_EQ(shape_of(*inferred, "y"), "1x2x7x10");
  EXPECT_EQ(shape_of(*inferred, "z"), "1x6x5x7");
  EXPECT_EQ(shape_of(*inferred, "steps"), "1");
}

TEST(InferShapes, ErrorsNameTheNode) {
  const Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[2x3]
    const five: int64[1] = [5]
    bad: Reshape(x, five) -> y: float32[5]
    output y
  })");
  const Result<Graph> inferred = infer_shapes(graph);
  ASSERT_FALSE(inferred.ok());
  EXPECT_EQ(inferred.error().where, "bad");
  EXPECT_EQ(inferred.error().code, ErrorCode::kInvalidInput);
}

TEST(InferShapes, DeclaredShapesStayWhereNothingIsInferredAndLoseOtherwise) {
  const Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[2x3]
    input k: int64[1]
    a: Reshape(x, k) -> y: float32[6]
    b: Relu(y) -> z: float32[99]
    c: opaque Mystery(x) -> q: int64[4]
    d: Neg(q) -> r: int64[?]
    output z
  })");
  const Result<Graph> inferred = infer_shapes(graph);
  ASSERT_TRUE(inferred.ok()) << inferred.error().message();
  EXPECT_EQ(shape_of(*inferred, "y"), "6");
  EXPECT_EQ(shape_of(*inferred, "z"), "6");
  EXPECT_EQ(shape_of(*inferred, "r"), "4");
}

TEST(InferShapes, WhatTheEvaluatorRefusesIsMerelyUnknown) {
  const Graph graph = graph_of(R"(graph g opset 17 ir 8 {
    input x: float32[2x3]
    const zero: int64[2] = [0, 0]
    s: Shape(x) -> shape
    d: Div(shape, zero) -> q
    r: Reshape(x, q) -> y
    output y
  })");
  const Result<Graph> inferred = infer_shapes(graph);
  ASSERT_TRUE(inferred.ok()) << inferred.error().message();
  EXPECT_EQ(shape_of(*inferred, "y"), "?");
}

TEST(InferShapes, GarbageIdsAreRefused) {
  Graph graph = graph_of("graph g opset 17 ir 8 { input x: float32[2] a: Relu(x) -> y output y }");
  graph.nodes[0].inputs[0] = ValueId(size_t{7});
  EXPECT_FALSE(infer_shapes(graph).ok());
}

}  // namespace
}  // namespace graupel::ir
