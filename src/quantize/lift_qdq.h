// A network that was quantised elsewhere, taken apart: the float network, and the scales.
//
// Idea: QuantizeLinear/DequantizeLinear pairs on tensors are bypassed and remembered as encodings;
// integer weights and biases become the floats they stand for, so that rounding them with the same
// scales gives the same integers. Every other stage then works on a float network, as always.
// Reference: ONNX QuantizeLinear-21, DequantizeLinear-21. Test: lift_qdq_test.cc.
#pragma once

#include <string>
#include <vector>

#include "quantize/quantize.h"

namespace graupel::quantize {

struct Lifted {
  ir::Graph graph;  // float; outputs keep their names
  Encodings given;  // named as in `graph`
  std::vector<std::string> remarks;
};

// Whether it holds QuantizeLinear or DequantizeLinear.
bool is_qdq(const ir::Graph& graph);

// Takes what ONNX Runtime, PyTorch and graupel write: 8-bit tensors with one scale, weights with
// zero point 0 and one scale per output channel or one, integer or float biases, and graupel's own
// forms of 16-bit tensors and of layers that sum whole numbers in float32.
// Errors: kUnsupported naming the node for anything else (scales per channel of an activation,
// weights with a zero point, other types, integers read by other operators), kInvalidInput for a
// scale that is not a positive number.
Result<Lifted> lift_qdq(const ir::Graph& graph);

// What `given` means for a float device part: which scales are used, which tensors are left to the
// calibration windows. Errors: kInvalidInput naming tensors that must share a scale and do not, and
// layers whose weights do not lie on the grid of the scales given for them.
struct GivenUse {
  size_t tensors = 0, layers = 0;    // that got theirs
  std::vector<std::string> missing;  // tensors and layers that did not
  std::vector<std::string> unused;   // given, but nothing is rounded there
};
Result<GivenUse> judge_given(const ir::Graph& device, const Encodings& given);

}  // namespace graupel::quantize
