// The optimisation levels: what is tried in which order, and kept only if the outputs gain.
// Test: levels_test.cc.
#pragma once

#include <vector>

#include "quantize/build_qdq.h"
#include "quantize/held_out.h"
#include "quantize/observe.h"
#include "quantize/quantize.h"
#include "quantize/reference.h"

namespace graupel::quantize {

struct Optimised {
  ir::Graph graph;  // float; equalised, the same function as the one given
  Points points;
  Observation seen;
  Choices choices;
  bool equalized = false;  // `graph` differs from the one given
  std::vector<LevelStep> steps;
  BlockNoise held_out;                   // of the choices, on windows held out of all of them
  std::vector<std::string> not_learned;  // layers that levels 2 to 4 left at nearest rounding
};

// Scales, weights and biases for `options.level`. Windows are as quantize() has checked them.
// Errors: kInvalidInput for an unknown layer in options.wide_layers; those of the graphs.
Result<Optimised> optimise(const ir::Graph& device, const Tensor& windows,
                           const QuantizeOptions& options);

}  // namespace graupel::quantize
