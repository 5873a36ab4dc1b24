// Cross-layer, activation-aware equalisation. See equalize.h. Test: layers_test.cc.
#include "quantize/equalize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

constexpr double kMostFactor = 4096.0;  // between channels, either way

// f(s x) = s f(x) for s > 0, channel by channel.
bool commutes(const Graph& graph, const ir::Node& node) {
  if (const ir::Unary* unary = std::get_if<ir::Unary>(&node.op)) {
    return unary->kind == ir::UnaryKind::kRelu || unary->kind == ir::UnaryKind::kIdentity;
  }
  if (const ir::Pad* pad = std::get_if<ir::Pad>(&node.op)) {
    return pad->mode != ir::PadMode::kConstant;
  }
  (void)graph;
  return std::holds_alternative<ir::LeakyRelu>(node.op) ||
         std::holds_alternative<ir::MaxPool>(node.op) ||
         std::holds_alternative<ir::AveragePool>(node.op) ||
         std::holds_alternative<ir::GlobalPool>(node.op);
}

// Reshape or Flatten of [1, C, ...] to [1, C * n].
bool flattens(const Graph& graph, const ir::Node& node) {
  const bool kind = std::holds_alternative<ir::Reshape>(node.op) ||
                    std::holds_alternative<ir::Flatten>(node.op) ||
                    std::holds_alternative<ir::Squeeze>(node.op);
  if (!kind) return false;
  const Shape& x = graph.shape(node.inputs[0]);
  const Shape& y = graph.shape(node.outputs[0]);
  return x.size() >= 2 && y.size() == 2 && x[0] == 1 && y[0] == 1;
}

struct Walk {
  const Graph& graph;
  const ir::Uses& uses;
  const std::vector<Layer>& layers;
  int64_t channels;
  std::vector<LinkEnd> ends;

  // Follows every reader of `value`; false if one of them does not allow equalisation.
  bool follow(ValueId value) {
    if (uses.is_output[value.index()] || uses.readers[value.index()].empty()) return false;
    for (const NodeId id : uses.readers[value.index()]) {
      const ir::Node& node = graph.node(id);
      if (node.inputs[0] != value) return false;
      const auto layer = std::find_if(layers.begin(), layers.end(),
                                      [&](const Layer& each) { return each.node == id; });
      if (layer != layers.end()) {
        if (!reaches(static_cast<size_t>(layer - layers.begin()), value)) return false;
        continue;
      }
      if (node.outputs.size() != 1 || (!commutes(graph, node) && !flattens(graph, node)) ||
          !follow(node.outputs[0])) {
        return false;
      }
    }
    return true;
  }

  bool reaches(size_t layer, ValueId value) {
    const Shape& x = graph.shape(value);
    if (!layers[layer].has_columns || x.size() < 2 || x[0] != 1) return false;
    const bool is_conv = std::holds_alternative<ir::Conv>(graph.node(layers[layer].node).op);
    if (!is_conv && x.size() != 2) return false;
    if (x[1] % channels != 0 || (is_conv && x[1] != channels)) return false;
    ends.push_back({layer, x[1] / channels});
    return true;
  }
};

std::vector<double> sizes_of(const ChannelStats& stats, Size size) {
  std::vector<double> sizes = stats.largest;
  if (size == Size::kRootMeanSquare && stats.count > 0.0) {
    for (size_t c = 0; c < sizes.size(); ++c) {
      sizes[c] = std::sqrt(stats.squares[c] / stats.count);
    }
  }
  return sizes;
}

// s_c = (size_c / geometric mean)^share; 1 for a channel that is never on.
std::vector<double> factors_of(const ChannelStats& stats, const Balance& balance) {
  const std::vector<double> sizes = sizes_of(stats, balance.size);
  double sum = 0.0, count = 0.0;
  for (const double size : sizes) {
    if (size <= 0.0) continue;
    sum += std::log(size);
    count += 1.0;
  }
  std::vector<double> factors(sizes.size(), 1.0);
  if (count == 0.0) return factors;
  const double mean = std::exp(sum / count);
  for (size_t c = 0; c < sizes.size(); ++c) {
    if (sizes[c] <= 0.0) continue;
    const double factor = std::pow(sizes[c] / mean, balance.share);
    factors[c] = std::clamp(factor, 1.0 / kMostFactor, kMostFactor);
  }
  return factors;
}

void store_rows(Graph& graph, const Layer& layer, const std::vector<double>& rows) {
  const std::vector<size_t> positions = row_positions(graph, layer);
  Tensor out(DType::kFloat32, graph.shape(graph.node(layer.node).inputs[1]));
  const std::span<float> values = out.mutable_data<float>();
  for (size_t i = 0; i < rows.size(); ++i) values[positions[i]] = static_cast<float>(rows[i]);
  const std::string name = graph.node(layer.node).name + "_equalized";
  graph.node(layer.node).inputs[1] = ir::add_constant(graph, name, std::move(out));
}

Result<void> divide_outputs(Graph& graph, const Layer& layer, const std::vector<double>& factors) {
  std::vector<double> rows = weight_rows(graph, layer);
  const auto depth = static_cast<size_t>(layer.depth);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] /= factors[i / depth];
  const std::optional<std::vector<double>> bias = layer_bias(graph, layer);
  store_rows(graph, layer, rows);
  const ir::Node& node = graph.node(layer.node);
  if (!bias || node.inputs.size() < 3 || !node.inputs[2].valid()) return ok();
  std::vector<double> divided = *bias;
  for (size_t m = 0; m < divided.size(); ++m) divided[m] /= factors[m];
  return set_layer_bias(graph, layer, divided);
}

void multiply_inputs(Graph& graph, const Layer& layer, const LinkEnd& end,
                     const std::vector<double>& factors) {
  std::vector<double> rows = weight_rows(graph, layer);
  const auto depth = static_cast<size_t>(layer.depth);
  const size_t channels = factors.size();
  const bool is_conv = std::holds_alternative<ir::Conv>(graph.node(layer.node).op);
  const size_t per_group = channels / static_cast<size_t>(layer.groups);
  const auto group_rows = static_cast<size_t>(layer.channels / layer.groups);
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t m = i / depth, k = i % depth;
    const size_t channel = is_conv ? m / group_rows * per_group + k / (depth / per_group)
                                   : k / static_cast<size_t>(end.repeat);
    rows[i] *= factors[channel];
  }
  store_rows(graph, layer, rows);
}

}  // namespace

std::vector<Link> find_links(const Graph& graph, const Points& points,
                             const std::vector<Layer>& layers) {
  const ir::Uses uses = ir::find_uses(graph);
  std::vector<Link> links;
  for (size_t from = 0; from < layers.size(); ++from) {
    const Layer& layer = layers[from];
    const Shape& y = graph.shape(layer.output);
    if (!layer.has_columns || !layer.has_bias || y.size() < 2 || y[1] != layer.channels) continue;
    Walk walk{graph, uses, layers, layer.channels, {}};
    if (!walk.follow(layer.output)) continue;
    Link link{from, layer.output, std::move(walk.ends)};
    // In front of a fused Relu the value is no point; the one behind it is.
    while (!points.is_point[link.stats.index()]) {
      link.stats = graph.node(uses.readers[link.stats.index()][0]).outputs[0];
    }
    links.push_back(std::move(link));
  }
  return links;
}

std::string to_string(const Balance& balance) {
  return fmt::format("{} of the channels' {}", balance.share,
                     balance.size == Size::kLargest ? "largest values" : "root mean squares");
}

Result<Graph> equalize(const Graph& graph, const std::vector<Layer>& layers,
                       const std::vector<Link>& links, const std::vector<ChannelStats>& channels,
                       const Balance& balance) {
  Graph equal = graph;
  for (const Link& link : links) {
    const ChannelStats& stats = channels[link.stats.index()];
    if (stats.sum.size() != static_cast<size_t>(layers[link.from].channels)) continue;
    const std::vector<double> factors = factors_of(stats, balance);
    TRY(divide_outputs(equal, layers[link.from], factors));
    for (const LinkEnd& end : link.ends) {
      multiply_inputs(equal, layers[end.layer], end, factors);
    }
  }
  return equal;
}

}  // namespace graupel::quantize
