// Layers as rows of weights. See layers.h. Test: layers_test.cc.
#include "quantize/layers.h"

#include <algorithm>
#include <numeric>

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

bool is_plain_gemm(const ir::Gemm& gemm) {
  return gemm.alpha == 1.0 && gemm.beta == 1.0 && !gemm.transpose_a;
}

bool knows_columns(const Graph& graph, const ir::Node& node) {
  const Shape& x = graph.shape(node.inputs[0]);
  if (std::holds_alternative<ir::Conv>(node.op)) return x.size() >= 3 && x.size() <= 4;
  if (const ir::Gemm* gemm = std::get_if<ir::Gemm>(&node.op)) return is_plain_gemm(*gemm);
  return std::holds_alternative<ir::MatMul>(node.op) && graph.shape(node.inputs[1]).size() == 2 &&
         x.size() >= 2;
}

// A convolution over two dimensions; the first is of size 1 where there is only one.
struct Geometry {
  int64_t in[2], out[2], kernel[2], stride[2], dilation[2], pad[2];
};

int64_t entry(const ir::Ints& values, size_t i, int64_t otherwise) {
  return values.empty() ? otherwise : values[i];
}

Geometry geometry_of(const Graph& graph, const Layer& layer) {
  const ir::Node& node = graph.node(layer.node);
  const ir::Window& window = std::get<ir::Conv>(node.op).window;
  const Shape& x = graph.shape(layer.input);
  const Shape& y = graph.shape(layer.output);
  const Shape& w = graph.shape(node.inputs[1]);
  const size_t spatial = x.size() - 2;
  const ir::Ints kernel(w.begin() + 2, w.end());
  const ir::Ints pads =
      ir::resolve_pads(window, kernel, std::span<const int64_t>(x.data() + 2, spatial));
  Geometry g{{1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0, 0}};
  for (size_t i = 0; i < spatial; ++i) {
    const size_t d = 2 - spatial + i;
    g.in[d] = x[2 + i];
    g.out[d] = y[2 + i];
    g.kernel[d] = kernel[i];
    g.stride[d] = entry(window.strides, i, 1);
    g.dilation[d] = entry(window.dilations, i, 1);
    g.pad[d] = pads.empty() ? 0 : pads[i];
  }
  return g;
}

// Calls at(index within the column, offset in the input or -1 for padding).
template <class At>
void walk_column(const Geometry& g, int64_t first_channel, int64_t channels, int64_t position,
                 At at) {
  const int64_t oy = position / g.out[1], ox = position % g.out[1];
  size_t next = 0;
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t plane = (first_channel + c) * g.in[0] * g.in[1];
    for (int64_t ky = 0; ky < g.kernel[0]; ++ky) {
      const int64_t iy = oy * g.stride[0] - g.pad[0] + ky * g.dilation[0];
      for (int64_t kx = 0; kx < g.kernel[1]; ++kx) {
        const int64_t ix = ox * g.stride[1] - g.pad[1] + kx * g.dilation[1];
        const bool inside = iy >= 0 && iy < g.in[0] && ix >= 0 && ix < g.in[1];
        at(next++, inside ? plane + iy * g.in[1] + ix : int64_t{-1});
      }
    }
  }
}

void convolution_column(const Geometry& g, std::span<const float> x, int64_t first_channel,
                        int64_t channels, int64_t position, std::span<float> column) {
  walk_column(g, first_channel, channels, position, [&](size_t i, int64_t offset) {
    column[i] = offset < 0 ? 0.0f : x[static_cast<size_t>(offset)];
  });
}

}  // namespace

Layer layer_of(const Graph& graph, NodeId id) {
  const ir::Node& node = graph.node(id);
  Layer layer;
  layer.node = id;
  layer.input = node.inputs[0];
  layer.output = node.outputs[0];
  layer.axis = channel_axis(graph, node);
  const Shape& weight = graph.shape(node.inputs[1]);
  const Shape& y = graph.shape(layer.output);
  const bool spatial = std::holds_alternative<ir::Conv>(node.op) ||
                       std::holds_alternative<ir::ConvTranspose>(node.op);
  layer.channels = spatial ? y[1] : y.back();
  if (const ir::Conv* conv = std::get_if<ir::Conv>(&node.op)) layer.groups = conv->group;
  layer.depth = layer.channels > 0 ? element_count(weight).value_or(0) / layer.channels : 0;
  layer.has_columns = knows_columns(graph, node) && layer.depth > 0;
  layer.has_bias = layer_bias(graph, layer).has_value();
  return layer;
}

int64_t channel_axis(const Graph& graph, const ir::Node& node) {
  if (std::holds_alternative<ir::Conv>(node.op)) return 0;
  if (const ir::Gemm* gemm = std::get_if<ir::Gemm>(&node.op)) return gemm->transpose_b ? 0 : 1;
  if (const ir::ConvTranspose* conv = std::get_if<ir::ConvTranspose>(&node.op)) {
    return conv->group == 1 ? 1 : -1;
  }
  const auto rank = static_cast<int64_t>(graph.shape(node.inputs[1]).size());
  return rank == 2 ? 1 : -1;
}

std::vector<Layer> find_layers(const Graph& graph, const Points& points) {
  std::vector<Layer> layers;
  for (const NodeId id : ir::live_nodes(graph)) {
    const ir::Node& node = graph.node(id);
    if (!has_weights(graph, node) || !points.is_point[node.inputs[0].index()]) continue;
    layers.push_back(layer_of(graph, id));
  }
  return layers;
}

void for_each_channel(const Shape& shape, int64_t axis,
                      const std::function<void(size_t index, size_t channel)>& visit) {
  const int64_t count = element_count(shape).value_or(0);
  const int64_t stride = axis < 0 ? 1 : row_major_strides(shape)[static_cast<size_t>(axis)];
  const int64_t channels = axis < 0 ? 1 : shape[static_cast<size_t>(axis)];
  for (int64_t i = 0; i < count; ++i) {
    visit(static_cast<size_t>(i), static_cast<size_t>(i / stride % channels));
  }
}

std::vector<size_t> row_positions(const Graph& graph, const Layer& layer) {
  std::vector<size_t> positions(static_cast<size_t>(layer.channels * layer.depth));
  std::iota(positions.begin(), positions.end(), size_t{0});
  if (layer.axis == 0) return positions;
  const auto channels = static_cast<size_t>(layer.channels);
  const auto depth = static_cast<size_t>(layer.depth);
  for (size_t m = 0; m < channels; ++m) {
    for (size_t k = 0; k < depth; ++k) positions[m * depth + k] = k * channels + m;
  }
  (void)graph;
  return positions;
}

std::vector<double> weight_rows(const Graph& graph, const Layer& layer) {
  const std::vector<double> weights =
      graph.constant(graph.node(layer.node).inputs[1])->to_doubles();
  std::vector<double> rows;
  rows.reserve(weights.size());
  for (const size_t position : row_positions(graph, layer)) rows.push_back(weights[position]);
  return rows;
}

std::optional<std::vector<double>> layer_bias(const Graph& graph, const Layer& layer) {
  const ir::Node& node = graph.node(layer.node);
  const auto channels = static_cast<size_t>(layer.channels);
  if (node.inputs.size() < 3 || !node.inputs[2].valid()) return std::vector<double>(channels, 0.0);
  const Tensor* constant = graph.constant(node.inputs[2]);
  if (constant == nullptr) return std::nullopt;
  std::vector<double> bias = constant->to_doubles();
  const bool along_outputs =
      bias.size() == 1 || (bias.size() == channels && constant->shape().back() != 1);
  if (!along_outputs) return std::nullopt;
  if (bias.size() == 1) bias.assign(channels, bias[0]);
  return bias;
}

bool can_take_bias(const Graph& graph, const Layer& layer) {
  const ir::Node& node = graph.node(layer.node);
  if (std::holds_alternative<ir::MatMul>(node.op)) {
    return graph.shape(layer.input).size() == 2 && graph.shape(node.inputs[1]).size() == 2;
  }
  return layer.has_bias;
}

Result<void> set_layer_bias(Graph& graph, const Layer& layer, const std::vector<double>& bias) {
  if (!can_take_bias(graph, layer)) {
    return unsupported(graph.node(layer.node).name, "cannot take a bias");
  }
  Tensor tensor(DType::kFloat32, {layer.channels});
  for (size_t i = 0; i < bias.size(); ++i) {
    tensor.mutable_data<float>()[i] = static_cast<float>(bias[i]);
  }
  const std::string name = graph.node(layer.node).name + "_bias";
  const ValueId id = ir::add_constant(graph, name, std::move(tensor));
  ir::Node& node = graph.node(layer.node);
  if (std::holds_alternative<ir::MatMul>(node.op)) node.op = ir::Gemm{};
  node.inputs.resize(3);
  node.inputs[2] = id;
  return ok();
}

size_t position_count(const Graph& graph, const Layer& layer) {
  const Shape& y = graph.shape(layer.output);
  return static_cast<size_t>(element_count(y).value_or(0) / std::max<int64_t>(layer.channels, 1));
}

size_t output_index(const Graph& graph, const Layer& layer, size_t channel, size_t position) {
  const bool is_conv = std::holds_alternative<ir::Conv>(graph.node(layer.node).op);
  return is_conv ? channel * position_count(graph, layer) + position
                 : position * static_cast<size_t>(layer.channels) + channel;
}

void for_each_column(const Graph& graph, const Layer& layer, const Tensor& x, size_t step,
                     const std::function<void(size_t, size_t, std::span<const float>)>& visit) {
  const size_t positions = position_count(graph, layer);
  const std::span<const float> values = x.data<float>();
  const auto depth = static_cast<size_t>(layer.depth);
  if (!std::holds_alternative<ir::Conv>(graph.node(layer.node).op)) {
    for (size_t p = 0; p < positions; p += step) visit(0, p, values.subspan(p * depth, depth));
    return;
  }
  const Geometry g = geometry_of(graph, layer);
  const int64_t channels = graph.shape(layer.input)[1] / layer.groups;
  std::vector<float> column(depth);
  for (int64_t group = 0; group < layer.groups; ++group) {
    for (size_t p = 0; p < positions; p += step) {
      convolution_column(g, values, group * channels, channels, static_cast<int64_t>(p), column);
      visit(static_cast<size_t>(group), p, column);
    }
  }
}

void for_each_column_back(
    const Graph& graph, const Layer& layer, std::span<const float> x, std::span<float> dx,
    const std::function<void(size_t, size_t, std::span<const float>, std::span<float>)>& visit) {
  const size_t positions = position_count(graph, layer);
  const auto depth = static_cast<size_t>(layer.depth);
  std::vector<float> column(depth), gradient(depth);
  if (!std::holds_alternative<ir::Conv>(graph.node(layer.node).op)) {
    for (size_t p = 0; p < positions; ++p) {
      std::fill(gradient.begin(), gradient.end(), 0.0f);
      visit(0, p, x.subspan(p * depth, depth), gradient);
      for (size_t k = 0; k < depth && !dx.empty(); ++k) dx[p * depth + k] += gradient[k];
    }
    return;
  }
  const Geometry g = geometry_of(graph, layer);
  const int64_t channels = graph.shape(layer.input)[1] / layer.groups;
  for (int64_t group = 0; group < layer.groups; ++group) {
    for (size_t p = 0; p < positions; ++p) {
      const auto position = static_cast<int64_t>(p);
      convolution_column(g, x, group * channels, channels, position, column);
      std::fill(gradient.begin(), gradient.end(), 0.0f);
      visit(static_cast<size_t>(group), p, column, gradient);
      if (dx.empty()) continue;
      walk_column(g, group * channels, channels, position, [&](size_t i, int64_t offset) {
        if (offset >= 0) dx[static_cast<size_t>(offset)] += gradient[i];
      });
    }
  }
}

}  // namespace graupel::quantize
