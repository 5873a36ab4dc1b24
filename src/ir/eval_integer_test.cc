// Integer groups: equal to QLinearConv, within one step of the literal float form, and the same
// for one window at a time as for many on all cores.
#include <gtest/gtest.h>

#include "base/rng.h"
#include "ir/eval.h"

namespace graupel::ir {
namespace {

Tensor random_bytes(Rng& rng, const Shape& shape) {
  Tensor tensor(DType::kInt8, shape);
  for (int8_t& value : tensor.mutable_data<int8_t>()) {
    value = static_cast<int8_t>(static_cast<int64_t>(rng.below(255)) - 127);
  }
  return tensor;
}

TEST(EvalInteger, ConvGroupEqualsQLinearConv) {
  Rng rng(3);
  Graph graph;
  const Tensor weight = random_bytes(rng, {6, 4, 3, 3}), zero = Tensor::scalar<int8_t>(0);
  const Tensor s_x = Tensor::scalar<float>(0.03f), s_w = Tensor::scalar<float>(0.01f);
  const Tensor s_y = Tensor::scalar<float>(0.7f);
  const ValueId x = add_input(graph, "x", DType::kInt8, {1, 4, 5, 6});
  const ValueId sx = add_constant(graph, "sx", s_x), sw = add_constant(graph, "sw", s_w);
  const ValueId sy = add_constant(graph, "sy", s_y), z = add_constant(graph, "z", zero);
  const ValueId w = add_constant(graph, "w", weight);
  const auto out = [&](const char* name, Op op, std::vector<ValueId> inputs) {
    Result<NodeId> id = add_node(graph, name, std::move(op), std::move(inputs));
    EXPECT_TRUE(id.ok());
    return graph.node(id.value()).outputs[0];
  };
  const ValueId dx = out("dx", DequantizeLinear{}, {x, sx, z});
  const ValueId dw = out("dw", DequantizeLinear{}, {w, sw, z});
  const ValueId y = out("q", QuantizeLinear{}, {out("conv", Conv{}, {dx, dw}), sy, z});
  graph.outputs = {y};
  ASSERT_EQ(integer_group_heads(graph).size(), 1u);

  const Tensor windows = random_bytes(rng, {9, 4, 5, 6});
  EvalOptions integer;
  integer.qdq = QdqMode::kInteger;
  const auto got = evaluate_windows(graph, windows, integer);
  const auto floats = evaluate_windows(graph, windows);
  ASSERT_TRUE(got.ok() && floats.ok());
  const Tensor* inputs[] = {&windows, &s_x, &zero, &weight, &s_w, &zero, &s_y, &zero};
  const auto want = evaluate_op(QLinearConv{}, inputs, 1);
  ASSERT_TRUE(want.ok());
  EXPECT_TRUE(got.value()[0] == want.value()[0]);
  const auto a = got.value()[0].to_int64s(), b = floats.value()[0].to_int64s();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_LE(std::abs(a[i] - b[i]), 1);
}

}  // namespace
}  // namespace graupel::ir
