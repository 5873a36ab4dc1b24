// The error of a scale where it matters: behind the elementwise functions that read the tensor.
// Test: quantize_test.cc.
#pragma once

#include <optional>

#include "quantize/choose_range.h"
#include "quantize/points.h"

namespace graupel::quantize {

// Elementwise functions of one number per channel, as a graph: input [K, C, 1, ...], outputs the
// points of the region. C is 1 if all channels have the same functions.
struct Region {
  ir::Graph graph;
};

// The region that hangs on `point`, or nullopt if anything else reads the point or shares its
// scale: then its own error counts. Errors: those of building the graph.
Result<std::optional<Region>> region_behind(const ir::Graph& graph, const Points& points,
                                            ir::ValueId point);

// The range of the point's values with the least squared error at the region's outputs, each
// output relative to its power. Where a function is flat (tanh far out), clipping costs nothing.
Result<Range> range_for_region(const Region& region, const Histogram& histogram, Scheme scheme);

}  // namespace graupel::quantize
