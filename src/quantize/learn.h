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
  // If given, a layer keeps what it learned only if this grows smaller by it.
  NoiseOf noise_of = nullptr;
};
struct Learned {
  size_t layers = 0, kept = 0;
  std::vector<std::string> left_out;  // names of layers whose columns are not known, or too many
};

// Replaces codes and biases in `choices` for every 8- and 4-bit layer whose columns are known.
// `windows` are all used, each counting alike whatever its power. Errors: those of the graphs.
Result<Learned> learn_weights(const ir::Graph& device, const Points& points, const Tensor& windows,
                              const LearnOptions& options, Choices& choices);

}  // namespace graupel::quantize
