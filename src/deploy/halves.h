// A cut network evaluated window by window on the reference evaluator. Test: deploy_test.cc.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "base/tensor.h"
#include "ir/eval.h"
#include "ir/graph.h"

namespace graupel::deploy {

// The parts of a network in the order they run; an empty part has no nodes.
struct Halves {
  ir::Graph before;
  ir::Graph device;
  ir::Graph host;
};

// The part that raw windows enter, and the one whose first output is the network's.
const ir::Graph& first_part(const Halves& halves);
const ir::Graph& last_part(const Halves& halves);

// Every tensor that leaves a part, by name, over all windows: [N, ...]. `windows` is [N, ...] for
// the one input of the network. On all cores. Errors name the node.
Result<std::map<std::string, Tensor>> evaluate_halves(const Halves& halves, const Tensor& windows,
                                                      const ir::EvalOptions& options = {});

// The first `count` windows of [N, ...].
Tensor first_windows(const Tensor& windows, int64_t count);

}  // namespace graupel::deploy
