// Comparing two graphs by what they answer on random inputs.
// Test: simplify_test.cc.
#pragma once

#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace graupel::simplify {

using Answers = std::vector<std::vector<Tensor>>;  // per probe, per graph output

// The graph's outputs on probes first_seed, first_seed + 1, ... Errors: the evaluator's.
Result<Answers> answer_probes(const ir::Graph& graph, uint64_t first_seed, int count);

struct Difference {
  double max_abs = 0.0;
  bool beyond_tolerance = false;
  size_t output = 0;  // the first output beyond tolerance, if any
};
// Compares tensor by tensor. An output is beyond tolerance if its shape or type differ, if NaNs or
// infinities do not match, or if an element differs by more than tolerance * max(1, largest
// magnitude of the expected tensor). Integers and booleans have to be equal.
Difference compare(const Answers& expected, const Answers& actual, double tolerance);

// True if the graph holds an operator that jumps (Round, ArgMax, a comparison, QuantizeLinear,
// ...): there a difference of one rounding may turn into a large one on unlucky inputs.
bool has_jumps(const ir::Graph& graph);

}  // namespace graupel::simplify
