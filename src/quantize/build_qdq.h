// Writing the QDQ graph once every point has its scale. Test: build_qdq_test.cc.
#pragma once

#include <map>
#include <vector>

#include "ir/graph.h"
#include "quantize/choose_range.h"
#include "quantize/points.h"

namespace graupel::quantize {

// `scales[value]` for every point of `points`. Weights become int8 constants (per output channel,
// [-127, 127]) and biases int32 constants (scale s_x * s_w), each behind a DequantizeLinear.
// Errors: kUnsupported naming a node whose accumulator could exceed int32 at any weight scale.
Result<ir::Graph> build_qdq(const ir::Graph& device, const Points& points,
                            const std::vector<ScaleChoice>& scales);

}  // namespace graupel::quantize
