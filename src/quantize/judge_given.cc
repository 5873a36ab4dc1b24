// Given scales beside the tensors and layers they are for. See lift_qdq.h. Test: lift_qdq_test.cc.
#include <fmt/format.h>

#include <cmath>
#include <set>

#include "quantize/layers.h"
#include "quantize/lift_qdq.h"
#include "quantize/points.h"

namespace graupel::quantize {

using ir::Graph;
using ir::ValueId;

namespace {

// Whether rounding with these scales gives the weights back.
bool on_grid(const Graph& graph, const Layer& layer, const LayerEncoding& given) {
  const Tensor& weights = *graph.constant(graph.node(layer.node).inputs[1]);
  const double most = given.bits == 4 ? 7.0 : given.bits == 8 ? 128.0 : 32767.0;
  bool fits = true;
  for_each_channel(weights.shape(), layer.axis, [&](size_t i, size_t m) {
    const double scale = given.scales[given.scales.size() == 1 ? 0 : m];
    const double code = weights.data<float>()[i] / scale;
    fits = fits && std::abs(code) < most + 0.01 && std::abs(code - std::nearbyint(code)) < 0.01;
  });
  return fits;
}

Result<void> judge_layers(const Graph& device, const Points& points, const Encodings& given,
                          GivenUse& use) {
  std::set<std::string> met;
  for (const Layer& layer : find_layers(device, points)) {
    const std::string& name = device.node(layer.node).name;
    const auto found = given.layers.find(name);
    if (found == given.layers.end()) {
      use.missing.push_back("weights of " + name);
      continue;
    }
    met.insert(name);
    const size_t wanted = layer.axis < 0 ? 1 : static_cast<size_t>(layer.channels);
    if (found->second.scales.size() != 1 && found->second.scales.size() != wanted) {
      return invalid_input(name, fmt::format("has {} weight scales, but {} output channels",
                                             found->second.scales.size(), wanted));
    }
    if (!on_grid(device, layer, found->second)) {
      return invalid_input(name,
                           "has weights that are no multiples of the scales in the file: an "
                           "operator behind it (BatchNormalization?) changed them; fold it "
                           "into the layer before quantising");
    }
    ++use.layers;
  }
  for (const auto& [name, encoding] : given.layers) {
    if (!met.contains(name) && ir::find_node(device, name)) use.unused.push_back(name);
  }
  return ok();
}

}  // namespace

Result<GivenUse> judge_given(const Graph& device, const Encodings& given) {
  const Points points = find_points(device);
  GivenUse use;
  std::map<size_t, const std::string*> by_group;
  for (size_t i = 0; i < device.values.size(); ++i) {
    const std::string& name = device.values[i].name;
    const auto found = given.tensors.find(name);
    if (found == given.tensors.end()) continue;
    if (!points.is_point[i]) {
      if (!device.values[i].constant) use.unused.push_back(name);
      continue;
    }
    ++use.tensors;
    const auto [at, is_new] = by_group.emplace(points.same_scale[i].index(), &name);
    if (!is_new && !(given.tensors.at(*at->second) == found->second)) {
      return invalid_input(name, fmt::format("and {} only differ in place or order and must share "
                                             "one scale, but the file gives them two",
                                             *at->second));
    }
  }
  for (size_t i = 0; i < device.values.size(); ++i) {
    const bool is_own = points.is_point[i] && points.same_scale[i] == ValueId(i);
    if (is_own && !by_group.contains(i)) use.missing.push_back(device.values[i].name);
  }
  TRY(judge_layers(device, points, given, use));
  return use;
}

}  // namespace graupel::quantize
