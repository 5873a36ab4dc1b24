// y = x * scale + shift per channel: what a BatchNormalization, or a Mul, Add, Sub or Div with a
// constant is, and how it goes into the weights of a linear operator beside it.
// Test: fuse_test.cc.
#pragma once

#include <optional>
#include <vector>

#include "simplify/edit.h"

namespace graupel::simplify {

struct ChannelAffine {
  size_t data_input = 0;      // which input of the node is x
  std::vector<double> scale;  // one entry per channel
  std::vector<double> shift;

  bool scales() const;  // some scale is not 1
  bool shifts() const;  // some shift is not 0
};

// BatchNormalization in inference form with constant statistics; channels on axis 1. Nothing if the
// node is something else, or a parameter is not constant, not finite or not positive where it must.
std::optional<ChannelAffine> batch_norm_affine(const ir::Graph& graph, const ir::Node& node);
// Mul, Add, Sub, Div with one constant operand that varies at most along `axis` of x and does not
// change x's shape.
std::optional<ChannelAffine> arithmetic_affine(const ir::Graph& graph, const ir::Node& node,
                                               size_t axis);

// Where the channels of a linear operator's output (or of its data input) are, if it is one.
std::optional<size_t> output_channel_axis(const ir::Graph& graph, ir::NodeId id);
std::optional<size_t> input_channel_axis(const ir::Graph& graph, ir::NodeId id);

// linear, then last (an affine node): `linear` takes the affine in and makes last's output.
// Declines (false) if the weights or the bias are not constant or would overflow.
bool fold_after(Sweep& sweep, ir::NodeId linear, ir::NodeId last, const ChannelAffine& affine);
// first (an affine node), then linear: declines also if `linear` pads and the affine shifts, since
// padding adds zeros that the affine would have shifted.
bool fold_before(Sweep& sweep, ir::NodeId first, ir::NodeId linear, const ChannelAffine& affine);

// A float32 or float64 tensor from doubles, each rounded once.
Tensor from_doubles(DType dtype, Shape shape, const std::vector<double>& values);
bool is_foldable_float(DType dtype);  // float32 or float64

}  // namespace graupel::simplify
