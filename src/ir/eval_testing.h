// For tests of the evaluator: random operands, and one operator's first output.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "ir/eval.h"

namespace graupel::ir {

inline Tensor random_floats(Rng& rng, const Shape& shape) {
  Tensor tensor(DType::kFloat32, shape);
  for (float& value : tensor.mutable_data<float>()) value = static_cast<float>(rng.normal());
  return tensor;
}

// Weights in [-127, 127].
inline Tensor random_bytes(Rng& rng, const Shape& shape) {
  Tensor tensor(DType::kInt8, shape);
  for (int8_t& value : tensor.mutable_data<int8_t>()) {
    value = static_cast<int8_t>(static_cast<int64_t>(rng.below(255)) - 127);
  }
  return tensor;
}

// The operator's first output, or an empty tensor and a failed test.
inline Tensor result_of(const Op& op, const std::vector<const Tensor*>& inputs) {
  Result<std::vector<Tensor>> outputs = evaluate_op(op, inputs, 1);
  if (outputs.ok()) return std::move((*outputs)[0]);
  ADD_FAILURE() << outputs.error().message();
  return Tensor();
}

inline bool fails(const Op& op, const std::vector<const Tensor*>& inputs) {
  return !evaluate_op(op, inputs, 1).ok();
}

// Element by element, with a relative and an absolute part of the tolerance.
inline void expect_near(const Tensor& got, const std::vector<double>& want, double tolerance,
                        const std::string& what) {
  const std::vector<double> values = got.to_doubles();
  ASSERT_EQ(values.size(), want.size()) << what;
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_NEAR(values[i], want[i], tolerance * (1.0 + std::abs(want[i]))) << what << " at " << i;
  }
}

// A graph built node by node; a refusal is a failed test.
struct GraphBuilder {
  Graph graph;

  ValueId node(const std::string& name, Op op, std::vector<ValueId> inputs) {
    Result<NodeId> id = add_node(graph, name, std::move(op), std::move(inputs));
    if (id.ok()) return graph.node(*id).outputs[0];
    ADD_FAILURE() << id.error().message();
    return {};
  }
  ValueId constant(const std::string& name, Tensor tensor) {
    return add_constant(graph, name, std::move(tensor));
  }
};

}  // namespace graupel::ir
