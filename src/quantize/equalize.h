// Moving range between the channels of a tensor, so that one scale serves them all.
//
// Idea: where a layer's output reaches other layers through operators that commute with a positive
// factor (Relu, pooling, reshaping), channel c may be divided by s_c in the first layer and
// multiplied by it in the weights of the next: the float network stays the same, the INT8 tensor
// between them gets channels of like size. Reference: Nagel et al. 2019 (arXiv 1906.04721), Meller
// et al. 2019 (arXiv 1902.01917), Xiao et al. 2023 (arXiv 2211.10438). Test: layers_test.cc.
#pragma once

#include <string>
#include <vector>

#include "quantize/layers.h"
#include "quantize/observe.h"

namespace graupel::quantize {

struct LinkEnd {
  size_t layer = 0;    // the one that reads
  int64_t repeat = 1;  // elements per channel along a flattened input
};
struct Link {
  size_t from = 0;            // index of a layer
  ir::ValueId stats;          // the point behind it whose channels are equalised
  std::vector<LinkEnd> ends;  // every layer it reaches
};
// Only links whose every reader is known.
std::vector<Link> find_links(const ir::Graph& graph, const Points& points,
                             const std::vector<Layer>& layers);

// How a channel's size is measured, and which part of it moves into the weights.
enum class Size { kLargest, kRootMeanSquare };
struct Balance {
  Size size = Size::kLargest;
  double share = 1.0;  // 1: all channels alike; below, weights are spared
};
std::string to_string(const Balance& balance);

// The same function with equalised channels along every link. Errors: those of changing a bias.
Result<ir::Graph> equalize(const ir::Graph& graph, const std::vector<Layer>& layers,
                           const std::vector<Link>& links,
                           const std::vector<ChannelStats>& channels, const Balance& balance);

}  // namespace graupel::quantize
