// How much each layer loses to INT8, measured on calibration windows. Test: quantize_test.cc.
#pragma once

#include <vector>

#include "quantize/build_qdq.h"
#include "quantize/histogram.h"
#include "quantize/quantize.h"

namespace graupel::quantize {

// One row per point, worst first: float graph against QDQ graph in integer arithmetic, over at
// most `limit` windows spread over the set. Errors: those of evaluating the graphs.
Result<std::vector<LayerNoise>> noise_table(const ir::Graph& device, const Qdq& qdq,
                                            const Points& points, const Choices& choices,
                                            const std::vector<Histogram>& histograms,
                                            const Tensor& windows, int64_t limit);

}  // namespace graupel::quantize
