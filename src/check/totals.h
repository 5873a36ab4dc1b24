// Sums over a whole model (parameters, live activations, control units) and over weight tensors.
// Test: rules_test.cc.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "check/facts.h"

namespace graupel::check {

// By fact name; what shapes do not tell yet is left out. Nodes on the host are not counted.
//   params              elements of float constants, each constant once
//   weight_bytes        params at 8 bits
//   largest_live_bytes  most activation elements alive at once, at 8 bits, in node order
//   control_units       hardware layers, from the target's [control_units] table
//   memory_fill         weight_bytes over limits.memory_bytes
//   control_fill        control_units over limits.control_units
//   nodes, opset, ir_version, file_bytes (only if known)
std::map<std::string, double> model_totals(const View& view);

// Largest over smallest per-output-channel maximum of |weight| (channels of zeros left out);
// nullopt if the node has no constant weights.
std::optional<double> weight_range_ratio(const ir::Graph& graph, ir::NodeId node);

// "one context is likely (weights fill 2%, control 6% of the chip)", or nullopt without the limits.
std::optional<std::string> context_prediction(const View& view);

}  // namespace graupel::check
