// 16-bit tensors and aligned scales. See precision.h. Test: levels_test.cc.
#include "quantize/precision.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "quantize/region.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

constexpr double kSmallPart = 0.02;  // of the network's multiply-adds
constexpr int64_t kFewElements = 4096;
constexpr int kCoarsest = 9;  // n of an aligned scale is at least this

ScaleChoice wide_scale(const Histogram& histogram) {
  const Range range = observed_range(histogram);
  const double largest = std::max(-range.low, range.high);
  const bool is_signed = range.low < 0.0;
  const auto scale = static_cast<float>(largest / (is_signed ? 32767.0 : 65535.0));
  return {is_signed ? DType::kInt16 : DType::kUInt16, std::isnormal(scale) ? scale : 1.0f, 0};
}

void widen(const Points& points, ValueId value, Choices& choices) {
  if (!points.is_point[value.index()]) return;
  choices.wide[points.same_scale[value.index()].index()] = true;
}

// The point behind a layer: its output, or what a fused Relu or Clip makes of it.
ValueId point_behind(const Graph& graph, const ir::Uses& uses, const Points& points,
                     ValueId value) {
  while (!points.is_point[value.index()] && !uses.readers[value.index()].empty()) {
    value = graph.node(uses.readers[value.index()][0]).outputs[0];
  }
  return value;
}

Result<void> widen_layers(const Graph& graph, const Points& points,
                          const std::vector<std::string>& names, Choices& choices) {
  const ir::Uses uses = ir::find_uses(graph);
  const std::vector<Layer> layers = find_layers(graph, points);
  for (const std::string& name : names) {
    const auto layer = std::find_if(layers.begin(), layers.end(), [&](const Layer& each) {
      return graph.node(each.node).name == name;
    });
    if (layer == layers.end()) {
      std::vector<std::string> known;
      for (const Layer& each : layers) known.push_back(graph.node(each.node).name);
      return invalid_input(
          "16-bit layer " + name,
          fmt::format("is none of the layers with weights: {}", fmt::join(known, ", ")));
    }
    widen(points, layer->input, choices);
    widen(points, point_behind(graph, uses, points, layer->output), choices);
    const ScaleChoice& input = choices.scales[points.same_scale[layer->input.index()].index()];
    TRY_ASSIGN(choices.weights[layer->node.index()],
               round_weights(graph, *layer, input.scale, Bits::kSixteen, WeightRange::kMax));
  }
  return ok();
}

bool leads_to_outputs_only(const Graph& graph, const ir::Uses& uses, const Points& points,
                           ValueId point) {
  for (size_t i = 0; i < points.source.size(); ++i) {
    if (points.source[i] != point || ValueId(i) == point || !points.is_point[i]) continue;
    if (!uses.is_output[i] || !uses.readers[i].empty()) return false;
  }
  (void)graph;
  return true;
}

Result<void> widen_ends(const Graph& graph, const Points& points, Choices& choices) {
  const ir::Uses uses = ir::find_uses(graph);
  const auto work = static_cast<double>(std::max<int64_t>(1, ir::multiply_adds(graph)));
  for (const Layer& layer : find_layers(graph, points)) {
    const ValueId point = point_behind(graph, uses, points, layer.output);
    if (!points.is_point[point.index()] || !layer.has_columns) continue;
    const bool small =
        static_cast<double>(ir::multiply_adds(graph, layer.node)) <= kSmallPart * work &&
        element_count(graph.shape(point)).value_or(0) <= kFewElements;
    if (!small || !leads_to_outputs_only(graph, uses, points, point)) continue;
    TRY_ASSIGN(const std::optional<Region> region, region_behind(graph, points, point));
    if (region) widen(points, point, choices);
  }
  return ok();
}

}  // namespace

Result<void> choose_wide(const Graph& graph, const Points& points, const Observation& seen,
                         const QuantizeOptions& options, Choices& choices) {
  choices.wide.assign(graph.values.size(), false);
  choices.wide_scales.assign(graph.values.size(), ScaleChoice());
  TRY(widen_layers(graph, points, options.wide_layers, choices));
  const bool is_given = !options.given.tensors.empty();
  if (options.wide_ends && !is_given) TRY(widen_ends(graph, points, choices));
  for (size_t i = 0; i < choices.wide.size(); ++i) {
    const bool is_own = points.is_point[i] && points.same_scale[i] == ValueId(i);
    const Encoding* given =
        is_own ? given_scale(graph, points, ValueId(i), options.given) : nullptr;
    const bool is_wide =
        given != nullptr && (given->dtype == DType::kInt16 || given->dtype == DType::kUInt16);
    if (is_wide) {
      choices.wide[i] = true;
      choices.wide_scales[i] = {given->dtype, given->scale, 0};
    } else if (choices.wide[i]) {
      choices.wide_scales[i] = wide_scale(seen.histograms[i]);
    }
  }
  return ok();
}

void align_rounded_outputs(const Graph& graph, const Points& points,
                           const std::vector<std::string>& outputs, const Encodings& given,
                           std::vector<ScaleChoice>& scales) {
  for (const std::string& name : outputs) {
    const std::optional<ValueId> value = ir::find_value(graph, name);
    if (!value || !points.is_point[value->index()]) continue;
    if (given_scale(graph, points, points.same_scale[value->index()], given) != nullptr) continue;
    ScaleChoice& choice = scales[points.same_scale[value->index()].index()];
    auto n = static_cast<int>(std::floor(1.0 / static_cast<double>(choice.scale)));
    if (n % 2 == 0) --n;
    if (n >= kCoarsest) choice.scale = 1.0f / static_cast<float>(n);
  }
}

}  // namespace graupel::quantize
