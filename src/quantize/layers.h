// The layers whose weights become integers, their weights as rows, and what they see of a tensor.
//
// Idea: Conv, Gemm and MatMul are all "rows of weights times columns of inputs". Whatever corrects
// or learns weights works on rows [channels][depth] and on columns cut out of the input, and need
// not know the operator. Reference: ONNX Conv-11, Gemm-13, MatMul-13. Test: layers_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "quantize/points.h"

namespace graupel::quantize {

struct Layer {
  ir::NodeId node;
  ir::ValueId input, output;  // output: in front of a Relu or Clip that follows
  int64_t axis = 0;           // of the weight tensor that holds output channels; -1: one scale
  int64_t channels = 1;       // of the output
  int64_t groups = 1;
  int64_t depth = 1;         // products per sum
  bool has_columns = false;  // for_each_column knows the operator (not ConvTranspose, batches)
  bool has_bias = false;     // one number per output channel, or none that stands in the way
};

// Of the weight tensor of a Conv, ConvTranspose, Gemm or MatMul: the axis that holds output
// channels, -1 where one scale has to do (grouped ConvTranspose, batches of matrices).
int64_t channel_axis(const ir::Graph& graph, const ir::Node& node);

// In node order: those with constant weights whose input is a point.
std::vector<Layer> find_layers(const ir::Graph& graph, const Points& points);

// The same of one such node, whether or not its weights are constant; shapes are static.
Layer layer_of(const ir::Graph& graph, ir::NodeId id);

// Calls visit(flat index, channel) for every element of a weight tensor; axis -1: channel 0.
void for_each_channel(const Shape& shape, int64_t axis,
                      const std::function<void(size_t index, size_t channel)>& visit);

// The weights as [channels][depth], row-major, and back. Layers with `has_columns` only.
std::vector<double> weight_rows(const ir::Graph& graph, const Layer& layer);
// Where row element i lies in the weight tensor.
std::vector<size_t> row_positions(const ir::Graph& graph, const Layer& layer);

// The bias per output channel: zeros if there is none, nullopt if it varies otherwise.
std::optional<std::vector<double>> layer_bias(const ir::Graph& graph, const Layer& layer);
// The same layer with another bias; adds one where there was none (MatMul becomes Gemm).
// Error kUnsupported where the operator can take none.
Result<void> set_layer_bias(ir::Graph& graph, const Layer& layer, const std::vector<double>& bias);
bool can_take_bias(const ir::Graph& graph, const Layer& layer);

// Calls visit(group, position, column) for every `step`-th position of the input `x`: the numbers
// that one weight row of that group meets there, padding as zero. `position` counts all positions
// of the output row-major. Layers with `has_columns` only.
void for_each_column(
    const ir::Graph& graph, const Layer& layer, const Tensor& x, size_t step,
    const std::function<void(size_t group, size_t position, std::span<const float> column)>& visit);
// The same for every position, with room for a gradient: what visit adds to `gradient`, zeros at
// first, is added to `dx` where the column's numbers came from. Without `dx` it is not.
void for_each_column_back(
    const ir::Graph& graph, const Layer& layer, std::span<const float> x, std::span<float> dx,
    const std::function<void(size_t group, size_t position, std::span<const float> column,
                             std::span<float> gradient)>& visit);
// Number of positions of one window.
size_t position_count(const ir::Graph& graph, const Layer& layer);
// The layer's output at (channel, position) within a window's output tensor.
size_t output_index(const ir::Graph& graph, const Layer& layer, size_t channel, size_t position);

}  // namespace graupel::quantize
