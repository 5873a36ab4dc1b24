// Gradients of a graph's outputs, backwards through its nodes; straight through the rounding.
//
// Idea: the values of one window, as the evaluator made them, and one rule per operator. Layers are
// rows times columns (layers.h); operators that only move numbers are run once on the numbers'
// positions, which says where each came from; functions of one number are differenced in double.
// QuantizeLinear and Round count as the identity inside their range and as flat outside.
// Reference: Bengio et al. 2013 (arXiv 1308.3432), the straight-through estimator.
// Test: gradients_test.cc, by finite differences.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "ir/graph.h"

namespace graupel::quantize {

using Gradient = std::vector<float>;  // flat as the value

struct GradientPlan {
  ir::Graph graph;
  std::vector<ir::ValueId> wanted;
  std::vector<bool> needed;  // by value: lies between something wanted and an output
  // By node that moves numbers only: for every element of the output, one plus the position of the
  // element it is, counted over all inputs; 0: a constant.
  std::vector<std::vector<int64_t>> sources;
};

// Error kUnsupported, naming the node, where an operator between `wanted` and the outputs has no
// gradient. Shapes are static.
Result<GradientPlan> plan_gradients(ir::Graph graph, std::vector<ir::ValueId> wanted);

// `values` indexed by value, for one window; constants and what follows from them included.
// `at_outputs`: the gradient at each graph output. Gives those of `wanted`; zeros where nothing
// depends on it. Error: those of the evaluator.
Result<std::vector<Gradient>> gradients_of(const GradientPlan& plan,
                                           const std::vector<Tensor>& values,
                                           const std::vector<Gradient>& at_outputs);

// What the evaluator makes of every value, window by window: [window][value].
Result<std::vector<std::vector<Tensor>>> all_values(const ir::Graph& graph, const Tensor& windows);

}  // namespace graupel::quantize
