// Which tensors of a float graph become INT8, and which must share one scale.
// Test: points_test.cc.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace graupel::quantize {

struct Points {
  std::vector<bool> is_point;  // indexed by value
  std::vector<ir::ValueId>
      same_scale;  // indexed by value: the value whose scale it shares (itself)
  // Indexed by value: the value it is an elementwise function of; itself if of none or several.
  std::vector<ir::ValueId> source;
};

// Every graph input, every graph output, and every tensor read or written by an operator that has
// an integer form is a point. Inside a region of elementwise operators that hang on one tensor,
// and between an operator and its Relu or Clip, values stay unrounded.
Points find_points(const ir::Graph& graph);

// Operators that only move or select bytes: output and input share the scale.
bool keeps_scale(const ir::Op& op);
// Conv, ConvTranspose, Gemm, MatMul.
bool takes_weights(const ir::Op& op);
// Those whose second operand is constant: weights become int8.
bool has_weights(const ir::Graph& graph, const ir::Node& node);

}  // namespace graupel::quantize
