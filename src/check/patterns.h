// Shapes of small sub-graphs that compilers recognise: a node is judged by what it is part of.
//
// Idea: each pattern answers "is this node part of such a sub-graph?" by looking at most a few
// nodes up and down from it; a graph is never searched as a whole.
// Reference: facts on the vendor's recognised forms in targets/hailo8.toml. Test: rules_test.cc.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "check/facts.h"

namespace graupel::check {

// Whether `node` belongs to the pattern; nullopt if a shape that decides is unknown.
//   gelu_erf         the Erf of x * 0.5 * (1 + erf(x / sqrt 2)), factors in any order
//   flatten_to_fc    reshapes to rank 2 [N, features] for Gemm or MatMul, or for the output
//   channel_shuffle  part of Reshape [N,g,c/g,...] -> Transpose (1 and 2 swapped) -> Reshape
//   attention        MatMul with Softmax within six nodes up or down, or a head split or merge
//                    (Reshape or Transpose) within six nodes of such a MatMul
//   group_norm       InstanceNormalization between two Reshapes
//   normalization    part of a decomposed layer norm or softmax: ReduceMean or ReduceMax, ReduceSum
//                    within six nodes of a Sub and a Div
using Pattern = std::optional<bool> (*)(const View& view, ir::NodeId node);
struct NamedPattern {
  std::string_view name;
  Pattern matches;
};
const std::vector<NamedPattern>& all_patterns();

}  // namespace graupel::check
