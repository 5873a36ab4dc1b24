// Which tensors are kept in 16 bits, and scales that respect what reads them.
// Test: levels_test.cc.
#pragma once

#include "quantize/build_qdq.h"
#include "quantize/observe.h"

namespace graupel::quantize {

// Sets choices.wide, wide_scales and 16-bit weights: for options.wide_layers, and with
// options.wide_ends for tensors whose only readers are functions that lead to graph outputs.
// Needs choices.scales. Errors: kInvalidInput naming a layer that is not in the graph or has no
// constant weights (all that have are listed).
Result<void> choose_wide(const ir::Graph& graph, const Points& points, const Observation& seen,
                         const QuantizeOptions& options, Choices& choices);

// Scale 1/n with n odd for the named outputs: thresholds k + 1/2 of a rounding behind them then lie
// midway between two codes, and storing the output as INT8 moves no number across one. Scales that
// are given stay.
void align_rounded_outputs(const ir::Graph& graph, const Points& points,
                           const std::vector<std::string>& outputs, const Encodings& given,
                           std::vector<ScaleChoice>& scales);

}  // namespace graupel::quantize
