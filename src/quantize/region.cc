// Scales chosen by what an elementwise region makes of the rounding. See region.h.
//
// The region is evaluated once on the centres of the point's histogram and, for every candidate
// scale, on its at most 256 dequantised codes. The histogram is that of all channels together, so
// each channel counts alike. Test: quantize_test.cc.
#include "quantize/region.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ir/eval.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

// Regions with more channels are judged on every second, third, ... of them.
constexpr size_t kJudgedChannels = 32;

struct CodeRange {
  int lowest, highest;
};
CodeRange codes_of(const ScaleChoice& choice) {
  return choice.dtype == DType::kInt8 ? CodeRange{-128, 127} : CodeRange{0, 255};
}

size_t channels_of(const Region& region) {
  return static_cast<size_t>(region.graph.shape(region.graph.inputs[0])[1]);
}

// The region's outputs, each [K, C], for the same K numbers in every channel.
Result<std::vector<std::vector<double>>> answers(const Region& region,
                                                 const std::vector<double>& numbers) {
  Graph graph = region.graph;
  Shape shape = graph.shape(graph.inputs[0]);
  const size_t channels = channels_of(region);
  shape[0] = static_cast<int64_t>(numbers.size());
  graph.value(graph.inputs[0]).shape = shape;
  TRY_ASSIGN(graph, ir::infer_shapes(std::move(graph)));
  std::array<Tensor, 1> input = {Tensor(DType::kFloat32, shape)};
  const std::span<float> values = input[0].mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(numbers[i / channels]);
  TRY_ASSIGN(const std::vector<Tensor> outputs, ir::evaluate(graph, input));
  std::vector<std::vector<double>> result;
  for (const Tensor& output : outputs) result.push_back(output.to_doubles());
  return result;
}

struct Occupied {
  std::vector<double> centers, counts;
};
Occupied occupied_bins(const Histogram& histogram) {
  Occupied bins;
  for (size_t bin = 0; bin < histogram.bins().size(); ++bin) {
    if (histogram.bins()[bin] == 0) continue;
    bins.centers.push_back(histogram.bin_center(bin));
    bins.counts.push_back(static_cast<double>(histogram.bins()[bin]));
  }
  return bins;
}

// Noise power over signal power of one output, with x replaced by code `codes[k]` of `rounded`.
double relative_error(const std::vector<double>& exact, const std::vector<double>& rounded,
                      const std::vector<size_t>& codes, const std::vector<double>& counts,
                      size_t channels) {
  const size_t step = (channels + kJudgedChannels - 1) / kJudgedChannels;
  double signal = 0.0, noise = 0.0;
  for (size_t k = 0; k < codes.size(); ++k) {
    for (size_t channel = 0; channel < channels; channel += step) {
      const double value = exact[k * channels + channel];
      const double error = value - rounded[codes[k] * channels + channel];
      signal += counts[k] * value * value;
      noise += counts[k] * error * error;
    }
  }
  return signal > 0.0 ? noise / signal : noise;
}

bool shares_scale(const Points& points, ValueId point) {
  if (points.same_scale[point.index()] != point) return true;
  for (size_t i = 0; i < points.same_scale.size(); ++i) {
    if (points.is_point[i] && points.same_scale[i] == point && ValueId(i) != point) return true;
  }
  return false;
}

}  // namespace

Result<std::optional<Region>> region_behind(const Graph& graph, const Points& points,
                                            ValueId point) {
  const ir::Uses uses = ir::find_uses(graph);
  const Shape& shape = graph.shape(point);
  const std::vector<NodeId>& readers = uses.readers[point.index()];
  if (readers.empty() || uses.is_output[point.index()] || shape.size() < 2 || shape[0] != 1 ||
      shares_scale(points, point)) {
    return std::optional<Region>();
  }
  const auto inside = [&](const ir::Node& node) {
    return node.outputs.size() == 1 && points.source[node.outputs[0].index()] == point &&
           node.outputs[0] != point;
  };
  for (const NodeId id : readers) {
    if (!inside(graph.node(id))) return std::optional<Region>();
  }
  Region region{graph};
  bool per_channel = false;
  region.graph.outputs.clear();
  for (ir::Node& node : region.graph.nodes) {
    if (node.dead) continue;
    node.dead = !inside(node);
    if (node.dead) continue;
    if (points.is_point[node.outputs[0].index()]) region.graph.outputs.push_back(node.outputs[0]);
    for (const ValueId input : node.inputs) {
      const Tensor* constant = graph.constant(input);
      per_channel = per_channel || (constant != nullptr && constant->size() > 1);
    }
  }
  region.graph.inputs = {point};
  Shape reduced(shape.size(), 1);
  if (per_channel) reduced[1] = shape[1];
  region.graph.value(point).shape = reduced;
  TRY_ASSIGN(region.graph, ir::compact(std::move(region.graph)));
  TRY_ASSIGN(region.graph, ir::infer_shapes(std::move(region.graph)));
  return std::optional<Region>(std::move(region));
}

Result<Range> range_for_region(const Region& region, const Histogram& histogram, Scheme scheme) {
  const Occupied bins = occupied_bins(histogram);
  const size_t channels = channels_of(region);
  TRY_ASSIGN(const std::vector<std::vector<double>> exact, answers(region, bins.centers));
  const auto cost = [&](std::span<const ScaleChoice> choices) -> Result<std::vector<double>> {
    std::vector<double> costs;
    for (const ScaleChoice& choice : choices) {
      const CodeRange range = codes_of(choice);
      const double scale = choice.scale;
      std::vector<double> dequantized;
      for (int code = range.lowest; code <= range.highest; ++code) {
        dequantized.push_back((code - choice.zero_point) * scale);
      }
      TRY_ASSIGN(const std::vector<std::vector<double>> rounded, answers(region, dequantized));
      std::vector<size_t> codes;
      for (const double center : bins.centers) {
        const double code = std::nearbyint(center / scale) + choice.zero_point;
        codes.push_back(static_cast<size_t>(std::clamp<double>(code, range.lowest, range.highest) -
                                            range.lowest));
      }
      double sum = 0.0;
      for (size_t output = 0; output < exact.size(); ++output) {
        sum += relative_error(exact[output], rounded[output], codes, bins.counts, channels);
      }
      costs.push_back(sum);
    }
    return costs;
  };
  return search_range(observed_range(histogram), scheme, cost);
}

}  // namespace graupel::quantize
