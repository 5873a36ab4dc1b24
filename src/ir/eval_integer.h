// Integer groups: DequantizeLinear -> operator -> (Relu | Clip)? -> QuantizeLinear, computed as
// integer hardware does. Private to src/ir. Reference: docs/formats/int8.md.
// Test: eval_integer_test.cc.
#pragma once

#include <vector>

#include "ir/eval_internal.h"

namespace graupel::ir::evaluator {

struct IntegerGroup {
  NodeId head;                  // Conv, Gemm, MatMul, GlobalPool or AveragePool
  std::vector<NodeId> members;  // head, activation, QuantizeLinear
  ValueId x, y;                 // quantised input and output
  const Tensor* x_zero_point = nullptr;
  float x_scale = 1.0f, y_scale = 1.0f;
  DType y_dtype = DType::kUInt8;
  int32_t y_zero_point = 0;
  IntRange y_range;             // of the dtype, narrowed by the activation
  std::vector<int32_t> weight;  // zero point subtracted; matrices as [inner, columns]
  Shape weight_shape;
  std::vector<int32_t> bias;
  std::vector<float> multipliers;  // one, or one per feature
};

// Groups in node order. They hold pointers into the graph.
std::vector<IntegerGroup> find_integer_groups(const Graph& graph);
Result<Tensor> eval_integer_group(const Graph& graph, const IntegerGroup& group, const Tensor& x,
                                  const Call& budget);

}  // namespace graupel::ir::evaluator
