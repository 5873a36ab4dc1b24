// What can be said about the integer sums of a quantised network. Test: analysis_test.cc.
#pragma once

#include "quantize/levels.h"

namespace graupel::quantize {

// Every layer with weights, in node order: how they are stored, the bound of their sums from the
// actual codes and biases, and how many sums of `windows` (at most kTieWindows of them) lie exactly
// between two output codes. There alone an engine that rounds ties otherwise can differ.
// Errors: those of building and evaluating the graphs.
Result<std::vector<LayerWeights>> layer_weights(const Optimised& done, const Tensor& windows);
inline constexpr size_t kTieWindows = 16;

}  // namespace graupel::quantize
