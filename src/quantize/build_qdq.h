// Writing the QDQ graph once every point has its scale and every layer its integers.
// Test: build_qdq_test.cc.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "quantize/choose_range.h"
#include "quantize/points.h"
#include "quantize/weights.h"

namespace graupel::quantize {

// All that was decided about a network.
struct Choices {
  std::vector<ScaleChoice> scales;  // of 8 bits; indexed by value, set for the value whose scale
                                    // others share
  std::vector<bool> wide;           // indexed likewise: stored in 16 bits; empty: none
  std::vector<ScaleChoice> wide_scales;
  WeightChoices weights;  // layers not in here are rounded to nearest in 8 bits
};

// Names in the new graph, indexed by value of the float graph; empty where there is no such tensor.
struct Qdq {
  ir::Graph graph;
  std::vector<std::string> bytes;   // what a point's QuantizeLinear makes
  std::vector<std::string> wide;    // the float tensor that holds its 16-bit numbers
  std::vector<std::string> values;  // the value itself, not rounded
};

// What choices cost at the outputs; smaller is better.
using NoiseOf = std::function<Result<double>(const Choices&)>;

// Whether the point is stored in 16 bits.
bool is_wide(const Points& points, const Choices& choices, ir::ValueId value);

// Weights become int8 constants (per output channel, [-127, 127]) and biases int32 constants (scale
// s_x * s_w), each behind a DequantizeLinear. A 16-bit tensor is Div, Round, Clip, Mul in float32,
// because no QuantizeLinear below opset 21 knows 16 bits; 8-bit layers read it through a further
// pair, and a 16-bit layer's weights are float constants on the 16-bit grid. An 8-bit layer in
// front of a 16-bit tensor works on whole numbers held in float32 where its sums stay below 2^24:
// they are exact in any order of additions, so every runtime gets the same. Errors: kInvalidInput
// naming a node with weights that are NaN or infinite, kUnsupported naming a node whose bias does
// not fit.
Result<Qdq> build_qdq(const ir::Graph& device, const Points& points, const Choices& choices);
// The same with every layer's weights left as they are.
Result<Qdq> build_activations(const ir::Graph& device, const Points& points,
                              const Choices& choices);

}  // namespace graupel::quantize
