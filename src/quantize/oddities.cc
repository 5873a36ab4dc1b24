// Odd layers. See oddities.h. Test: analysis_test.cc.
#include "quantize/oddities.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::ValueId;

void find_dead_channels(const Optimised& done, std::vector<LayerFinding>& findings) {
  const ir::Uses uses = ir::find_uses(done.graph);
  for (const Layer& layer : find_layers(done.graph, done.points)) {
    ValueId value = layer.output;
    while (!done.points.is_point[value.index()] && !uses.readers[value.index()].empty()) {
      value = done.graph.node(uses.readers[value.index()][0]).outputs[0];
    }
    const ChannelStats& stats = done.seen.channels[value.index()];
    const auto dead = std::count(stats.largest.begin(), stats.largest.end(), 0.0);
    if (dead == 0) continue;
    const bool all = dead == static_cast<int64_t>(stats.largest.size());
    findings.push_back(
        {done.graph.node(layer.node).name,
         all ? std::string("is zero for every calibration window")
             : fmt::format("has {} of {} channels that are zero for every calibration window", dead,
                           stats.largest.size()),
         all ? "the layer is dead: check the training, or the windows' normalisation"
             : "prune them, or calibrate on windows that reach them"});
  }
}

// A tensor whose largest value is this many root mean squares away uses few codes for the rest.
constexpr double kExtremeRange = 40.0;
constexpr double kMuchSaturation = 0.5;        // percent
constexpr double kLoud = 10.0, kNoisy = 20.0;  // dB

void judge_ranges(const Optimised& done, std::vector<LayerFinding>& findings) {
  for (size_t i = 0; i < done.points.is_point.size(); ++i) {
    if (!done.points.is_point[i] || done.points.same_scale[i] != ValueId(i)) continue;
    const ChannelStats& stats = done.seen.channels[i];
    double squares = 0.0, largest = 0.0;
    for (size_t c = 0; c < stats.squares.size(); ++c) {
      squares += stats.squares[c];
      largest = std::max(largest, stats.largest[c]);
    }
    const double count = stats.count * static_cast<double>(stats.squares.size());
    const double usual = count > 0.0 ? std::sqrt(squares / count) : 0.0;
    if (usual == 0.0 || largest < kExtremeRange * usual) continue;
    findings.push_back(
        {done.graph.values[i].name,
         fmt::format("reaches {:.3g}, {:.0f} times its root mean square", largest, largest / usual),
         "clip it: --calibrator percentile or mse; or look for the windows (a knock "
         "on the sensor?) that make it"});
  }
}

void judge_noise(const std::vector<LayerNoise>& noise, std::vector<LayerFinding>& findings) {
  for (const LayerNoise& row : noise) {
    if (row.snr_db < kNoisy) {
      findings.push_back({row.node, fmt::format("has {:.1f} dB at {}", row.snr_db, row.value),
                          row.snr_db < kLoud
                              ? "a third of its amplitude is noise: --a16-w16 for it, or --auto"
                              : "a higher --level, another --calibrator, or --auto"});
    }
    if (row.saturated_percent > kMuchSaturation) {
      findings.push_back(
          {row.node, fmt::format("saturates for {:.2f}% of its values", row.saturated_percent),
           "more, or more varied, calibration windows; --calibrator minmax keeps all values"});
    }
  }
}

}  // namespace

std::vector<LayerFinding> find_oddities(const Graph& device, const Optimised& done,
                                        const std::vector<LayerNoise>& noise) {
  std::vector<LayerFinding> findings;
  for (const Layer& layer : find_layers(device, find_points(device))) {
    for (const WeightFinding& finding : judge_weights(device, layer)) {
      findings.push_back({finding.node, finding.what, finding.remedy});
    }
  }
  find_dead_channels(done, findings);
  judge_ranges(done, findings);
  judge_noise(noise, findings);
  for (const std::string& node : done.not_learned) {
    findings.push_back({node, "has weights the level could not learn; they are rounded to nearest",
                        "nothing, unless its noise is high: then name it in --a16-w16"});
  }
  return findings;
}

}  // namespace graupel::quantize
