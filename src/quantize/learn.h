// Learning the integers of whole layers from the calibration windows, one layer after another.
// Test: levels_test.cc.
#pragma once

#include "quantize/build_qdq.h"
#include "quantize/row_solver.h"

namespace graupel::quantize {

// The float network teaches: each layer's sums on quantised inputs are to be those of the float
// network. kFinetune moves weights freely, kAdaRound rounds each up or down, kBest tries those and
// more and keeps each row's best.
enum class Learning { kFinetune, kAdaRound, kBest };
struct LearnOptions {
  Learning learning = Learning::kAdaRound;
  size_t iterations = 1000;
};

// Replaces codes and biases in `choices` for every 8- and 4-bit layer whose columns are known; the
// names of the others go to `left_out`. `windows` are all used. Errors: those of the graphs.
Result<void> learn_weights(const ir::Graph& device, const Points& points, const Tensor& windows,
                           const LearnOptions& options, Choices& choices,
                           std::vector<std::string>& left_out);

}  // namespace graupel::quantize
