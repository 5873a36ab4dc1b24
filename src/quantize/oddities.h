// What is odd about a quantised network's layers, in words with a remedy.
// Test: analysis_test.cc.
#pragma once

#include "quantize/levels.h"

namespace graupel::quantize {

// All-zero weights, channels far larger than the others, channels that are never on, layers that a
// level could not learn, ranges far beyond the usual values, saturation, noise under 10 and 20 dB.
// `device` is the float graph as it was given.
std::vector<LayerFinding> find_oddities(const ir::Graph& device, const Optimised& done,
                                        const std::vector<LayerNoise>& noise);

}  // namespace graupel::quantize
