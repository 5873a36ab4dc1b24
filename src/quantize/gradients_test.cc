// Gradients against finite differences of the evaluator, operator by operator and through nets.
#include "quantize/gradients.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ir/eval.h"
#include "quantize/points.h"
#include "quantize/test_nets.h"
#include "quantize/test_support.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::ValueId;

// Sum of the first output's numbers, each times a number of its own.
double loss_of(const Graph& graph, const Tensor& input, const Gradient& weights) {
  const std::vector<Tensor> outputs = ir::evaluate_windows(graph, input).value();
  const std::vector<double> y = outputs[0].to_doubles();
  double loss = 0.0;
  for (size_t i = 0; i < y.size(); ++i) loss += y[i] * static_cast<double>(weights[i]);
  return loss;
}

Tensor moved(const Tensor& tensor, const Tensor& direction, double by) {
  Tensor result = tensor;
  const std::span<float> values = result.mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] += static_cast<float>(by * static_cast<double>(direction.data<float>()[i]));
  }
  return result;
}

// For the input and every constant named: the slope along a random direction.
void expect_gradients(const Graph& graph, const std::vector<std::string>& constants,
                      double step = 2e-3) {
  std::vector<ValueId> wanted = {graph.inputs[0]};
  for (const std::string& name : constants) wanted.push_back(ir::find_value(graph, name).value());
  const Result<GradientPlan> plan = plan_gradients(graph, wanted);
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  const Tensor x = random_tensor(3, graph.shape(graph.inputs[0]));
  const Tensor factors = random_tensor(4, graph.shape(graph.outputs[0]));
  const Gradient weights(factors.data<float>().begin(), factors.data<float>().end());
  const auto values = all_values(graph, x);
  ASSERT_TRUE(values.ok()) << values.error().message();
  const Result<std::vector<Gradient>> found = gradients_of(*plan, (*values)[0], {weights});
  ASSERT_TRUE(found.ok()) << found.error().message();
  for (size_t i = 0; i < wanted.size(); ++i) {
    // Each number moves by a part of itself: few cross a corner of a Relu or a maximum.
    Tensor direction = random_tensor(5 + i, graph.shape(wanted[i]));
    const Tensor& start = i == 0 ? x : *graph.constant(wanted[i]);
    for (size_t j = 0; j < direction.size(); ++j) {
      direction.mutable_data<float>()[j] *= std::abs(start.data<float>()[j]);
    }
    double slope = 0.0, size = 0.0;
    for (size_t j = 0; j < (*found)[i].size(); ++j) {
      const double each = static_cast<double>((*found)[i][j]);
      slope += each * static_cast<double>(direction.data<float>()[j]);
      size += each * each;
    }
    const auto at = [&](double by) {
      if (i == 0) return loss_of(graph, moved(x, direction, by), weights);
      Graph other = graph;
      other.value(wanted[i]).constant = moved(*graph.constant(wanted[i]), direction, by);
      return loss_of(other, x, weights);
    };
    const double wanted_slope = (at(step) - at(-step)) / (2 * step);
    EXPECT_GT(size, 0.0);
    EXPECT_NEAR(slope, wanted_slope, 0.02 * std::sqrt(size) + 1e-3) << graph.value(wanted[i]).name;
  }
}

Graph net(const std::string& text, const std::vector<std::string>& random) {
  Graph graph = body(text);
  uint64_t seed = 11;
  for (const std::string& name : random) randomize(graph, name, ++seed);
  return graph;
}

TEST(Gradients, OfConvolutions) {
  const struct {
    std::string x, w, attributes;
  } cases[] = {
      {"1x3x7x6", "4x3x3x3", "pads=[1, 1, 1, 1]"},
      {"1x4x9x8", "4x1x3x2", "group=4, strides=[2, 1]"},
      {"1x4x9x8", "6x2x3x3", "group=2, dilations=[2, 2], pads=[2, 0, 1, 3]"},
      {"1x2x11", "5x2x4", "strides=[3], pads=[1, 2]"},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.attributes);
    const std::string features = each.w.substr(0, each.w.find('x'));
    expect_gradients(net("input x: float32[" + each.x + "]\nconst w: float32[" + each.w +
                             "] = splat 1\nconst b: float32[" + features + "] = splat 1\nc: Conv{" +
                             each.attributes + "}(x, w, b) -> y\noutput y",
                         {"w", "b"}),
                     {"w", "b"});
  }
}

TEST(Gradients, OfProducts) {
  expect_gradients(net(R"(
    input x: float32[1x6]
    const w: float32[6x5] = splat 1
    const b: float32[5] = splat 1
    const t: float32[3x5] = splat 1
    g: Gemm(x, w, b) -> a
    m: Gemm{transB=1}(a, t) -> y
    output y)",
                       {"w", "b", "t"}),
                   {"w", "b", "t"});
  expect_gradients(net("input x: float32[1x4x6]\nconst w: float32[6x5] = splat 1\n"
                       "m: MatMul(x, w) -> y\noutput y",
                       {"w"}),
                   {"w"});
}

// What carries gradients without having weights; small numbers between keep the slopes smooth.
TEST(Gradients, OfEveryOtherOperator) {
  for (const char* nodes : {
           "p: MaxPool{kernel_shape=[2, 2], strides=[2, 2]}(x) -> y",
           "p: MaxPool{kernel_shape=[3, 2], strides=[1, 2], pads=[1, 0, 1, 0]}(x) -> y",
           "p: AveragePool{kernel_shape=[2, 2], strides=[2, 2]}(x) -> y",
           "p: AveragePool{kernel_shape=[3, 3], pads=[1, 1, 1, 1]}(x) -> y",
           "p: AveragePool{kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1}(x) -> y",
           "p: GlobalAveragePool(x) -> y",
           "p: GlobalMaxPool(x) -> y",
           "p: Relu(x) -> y",
           "p: Tanh(x) -> y",
           "p: Sigmoid(x) -> y",
           "p: LeakyRelu{alpha=0.3}(x) -> y",
           "p: Identity(x) -> y",
           "p: Flatten(x) -> y",
           "p: Transpose{perm=[0, 2, 3, 1]}(x) -> y",
           "p: Concat{axis=1}(x, k, x) -> y",
           "p: Add(x, k) -> y",
           "p: Sub(k, x) -> y",
           "p: Mul(x, k) -> y",
           "p: Div(x, k) -> y",
           "a: Tanh(x) -> t\np: Mul(x, t) -> y",
           "a: Add(k, k) -> c\np: Div(x, c) -> y",
       }) {
    SCOPED_TRACE(nodes);
    expect_gradients(net(std::string("input x: float32[1x3x4x4]\nconst k: float32[1x3x4x4] = "
                                     "splat 1.5\n") +
                             nodes + "\noutput y",
                         {}),
                     {});
  }
  expect_gradients(net("input x: float32[1x3x4x4]\nconst k: float32[3x1x1] = splat 1.5\n"
                       "p: Mul(x, k) -> y\noutput y",
                       {}),
                   {"k"});
}

// Depthwise convolutions, residual adds, clips and pools together.
TEST(Gradients, OfWholeNetworks) {
  for (const Graph& graph : {mobilenet_like(), resnet_like()}) {
    std::vector<std::string> weights;
    for (const ir::NodeId id : ir::live_nodes(graph)) {
      const ir::Node& node = graph.node(id);
      if (has_weights(graph, node)) weights.push_back(graph.value(node.inputs[1]).name);
    }
    const std::vector<std::string> some = {weights.front(), weights[weights.size() / 2],
                                           weights.back()};
    expect_gradients(graph, some, 2e-4);
  }
}

TEST(Gradients, GoStraightThroughTheRounding) {
  const Graph graph = body(R"(
    input x: float32[1x4]
    const s: float32[] = [0.5]
    const z: int8[] = [0]
    q: QuantizeLinear(x, s, z) -> b
    d: DequantizeLinear(b, s, z) -> a
    r: Round(a) -> y
    output y)");
  const Result<GradientPlan> plan = plan_gradients(graph, {graph.inputs[0]});
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  const auto values = all_values(graph, Tensor::of<float>({1, 4}, {0.3f, -20.0f, 80.0f, -70.0f}));
  const auto found = gradients_of(*plan, (*values)[0], {{1.0f, 2.0f, 3.0f, 4.0f}});
  ASSERT_TRUE(found.ok());
  EXPECT_THAT((*found)[0], ::testing::ElementsAre(1.0f, 2.0f, 0.0f, 0.0f)) << "±63.5 is the end";
}

TEST(Gradients, AnOperatorWithoutOneIsNamed) {
  const Graph graph = body(R"(
    input x: float32[1x4]
    soft: Softmax(x) -> y
    output y)");
  const Result<GradientPlan> plan = plan_gradients(graph, {graph.inputs[0]});
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.error().message(), ::testing::HasSubstr("soft"));
  EXPECT_TRUE(plan_gradients(graph, {}).ok()) << "nothing in front of it is wanted";
}

}  // namespace
}  // namespace graupel::quantize
