// Which tensors become INT8: around convolutions, pools, residuals, branches and regions.
#include "quantize/points.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantize/test_support.h"

namespace graupel::quantize {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> points_of(const ir::Graph& graph) {
  const Points points = find_points(graph);
  std::vector<std::string> names;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (points.is_point[i]) names.push_back(graph.values[i].name);
  }
  return names;
}
std::string shared_with(const ir::Graph& graph, const std::string& name) {
  const Points points = find_points(graph);
  return graph.value(points.same_scale[ir::find_value(graph, name)->index()]).name;
}

const std::string kFront = "input x: float32[1x2x4x4]\nconst w: float32[2x2x1x1] = [1, 2, 3, 4]\n";

TEST(Points, ConvReluPool) {
  const ir::Graph graph = body(kFront + R"(
    conv: Conv(x, w) -> a
    relu: Relu(a) -> b
    pool: MaxPool{kernel_shape=[2, 2]}(b) -> c
    flat: Flatten(c) -> d
    output d)");
  EXPECT_THAT(points_of(graph), ElementsAre("x", "b", "c", "d"));
  EXPECT_EQ(shared_with(graph, "d"), "b");
  EXPECT_EQ(shared_with(graph, "b"), "b");
}

TEST(Points, AReluOfATensorThatOthersReadIsNotFused) {
  EXPECT_THAT(points_of(body(kFront + R"(
    conv: Conv(x, w) -> a
    relu: Relu(a) -> b
    add: Add(a, b) -> c
    second: Conv(c, w) -> d
    clip: Relu(d) -> e
    output e
    output d)")),
              ElementsAre("x", "a", "c", "d", "e"));
}

TEST(Points, ResidualAndConcatJoinPoints) {
  EXPECT_THAT(points_of(body(kFront + R"(
    conv: Conv(x, w) -> a
    add: Add(a, x) -> b
    join: Concat{axis=1}(a, b) -> c
    output c)")),
              ElementsAre("x", "a", "b", "c"));
}

TEST(Points, SiluIsOneRegion) {
  EXPECT_THAT(points_of(body(kFront + R"(
    conv: Conv(x, w) -> a
    gate: Sigmoid(a) -> g
    silu: Mul(a, g) -> b
    output b)")),
              ElementsAre("x", "a", "b"));
}

TEST(Points, ClampThenPerChannelRegion) {
  EXPECT_THAT(points_of(body(kFront + R"(
    const shift: float32[2x1x1] = [1, 2]
    const half: float32[1x2x1x1] = [3, 4]
    conv: Conv(x, w) -> a
    relu: Relu(a) -> b
    add: Add(b, shift) -> c
    tanh: Tanh(c) -> d
    mul: Mul(half, d) -> e
    output e)")),
              ElementsAre("x", "b", "e"));
}

TEST(Points, ConstantsAlongAnotherAxisEndARegion) {
  EXPECT_THAT(points_of(body(kFront + R"(
    const columns: float32[4] = [1, 2, 3, 4]
    tanh: Tanh(x) -> a
    add: Add(a, columns) -> b
    output b)")),
              ElementsAre("x", "a", "b"));
}

}  // namespace
}  // namespace graupel::quantize
