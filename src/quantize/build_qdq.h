// Writing the QDQ graph once every point has its scale. Test: build_qdq_test.cc.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"
#include "quantize/choose_range.h"
#include "quantize/points.h"

namespace graupel::quantize {

struct Qdq {
  ir::Graph graph;
  std::vector<std::string> quantized;  // indexed by value of the float graph: name of its bytes
};

// `scales[value]` for every point of `points`. Weights become int8 constants (per output channel,
// [-127, 127]) and biases int32 constants (scale s_x * s_w), each behind a DequantizeLinear.
// Errors: kInvalidInput naming a node with weights that are NaN or infinite, kUnsupported naming a
// node whose bias does not fit.
Result<Qdq> build_qdq(const ir::Graph& device, const Points& points,
                      const std::vector<ScaleChoice>& scales);

}  // namespace graupel::quantize
