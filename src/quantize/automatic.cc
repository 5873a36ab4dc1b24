// Observers and precision, tried until the goals are met. See quantize.h.
//
// First, for the most sensitive layers in turn, other observers of the layer's tensors, which cost
// the device nothing; then more bits: 4 to 8, and only then 8 to 16. Tries are made at level 1 at
// most, whose steps take a second where learning takes minutes; what they leave is quantised at the
// level asked for. Test: levels_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "quantize/held_out.h"
#include "quantize/quantize.h"
#include "quantize/reference.h"

namespace graupel::quantize {
namespace {

constexpr double kWork = 4e9;  // multiply-adds of looking at all windows of the search once
constexpr size_t kFewestWindows = 256, kMostWindows = 1024;
constexpr size_t kMostTries = 24;  // of observers, and again of precision
constexpr double kNearer = 0.01;   // of what is missing
constexpr int kHighestSearchLevel = 1;

constexpr std::array kObservers = {
    Observer{Calibrator::kMse, 99.99}, Observer{Calibrator::kPercentile, 99.99},
    Observer{Calibrator::kPercentile, 99.9}, Observer{Calibrator::kEntropy, 99.99},
    Observer{Calibrator::kMinMax, 99.99}};

double worst_layer_db(const Quantized& quantized) {
  return quantized.noise.empty() ? INFINITY : quantized.noise.front().snr_db;
}

// One goal beside what was reached. `missing` is 0 if it is met; ten decibels count as much as one
// percentage point.
struct Compared {
  double missing = 0.0;
  std::string text;
};
constexpr double kDecibels = 10.0, kWorst = 1e6;

double lack(double lacking) {
  return std::isnan(lacking) ? kWorst : std::clamp(lacking, 0.0, kWorst);
}

std::vector<Compared> compare(const Quantized& quantized, const Goals& goals) {
  std::vector<Compared> all;
  const auto decibels = [&](std::string_view what, std::optional<double> found, double goal) {
    if (!found) return;
    all.push_back({lack((goal - *found) / kDecibels),
                   fmt::format("{} {:.1f} dB, {:.1f} wanted", what, *found, goal)});
  };
  const std::string worst = quantized.noise.empty() ? "" : quantized.noise.front().node;
  decibels("outputs have", quantized.output_snr_db, goals.output_snr_db);
  decibels(worst + " has", worst_layer_db(quantized), goals.layer_snr_db);
  decibels("logits have", quantized.logits_snr_db, goals.logits_snr_db);
  if (const auto& found = quantized.agreement_percent) {
    all.push_back({lack(goals.agreement_percent - *found),
                   fmt::format("{:.2f}% of the answers stay the same, {:.2f}% wanted", *found,
                               goals.agreement_percent)});
  }
  if (const auto& found = quantized.digits_changed_percent) {
    all.push_back({lack(*found - goals.digits_changed_percent),
                   fmt::format("{:.2f}% of the digits change, at most {:.2f}% wanted", *found,
                               goals.digits_changed_percent)});
  }
  if (const auto& found = quantized.macro_f1_drop_points) {
    all.push_back({lack(*found - goals.macro_f1_drop_points),
                   fmt::format("macro F1 drops by {:.2f} points, at most {:.2f} wanted", *found,
                               goals.macro_f1_drop_points)});
  }
  return all;
}

// How far the goals are in all.
double distance(const Quantized& quantized, const Goals& goals) {
  double sum = 0.0;
  for (const Compared& each : compare(quantized, goals)) sum += each.missing;
  return sum;
}

// Tensors whose scale belongs to the layer: those that the noise table names after it.
std::vector<std::string> tensors_of(const Quantized& quantized, const std::string& node) {
  std::vector<std::string> names;
  for (const LayerNoise& row : quantized.noise) {
    if (row.node == node) names.push_back(row.value);
  }
  return names;
}

struct AutoSearch {
  const ir::Graph& device;
  const Goals& goals;
  Tensor windows;
  QuantizeOptions options;
  Quantized best;
  std::vector<LevelStep> steps = {};
  size_t tries = 0;                    // of this phase
  std::set<std::string> in_vain = {};  // layers whose 16 bits brought nothing since the last gain

  bool is_done() const { return distance(best, goals) == 0.0; }

  Result<void> attempt(QuantizeOptions changed, std::string what, std::string cost) {
    ++tries;
    TRY_ASSIGN(Quantized next, quantize(device, windows, changed));
    const BlockNoise before{best.held_out_noise}, after{next.held_out_noise};
    const double was = distance(best, goals), is = distance(next, goals);
    const bool nearer = is < was - kNearer * was;
    const bool kept = is_gain(before, after) || (nearer && !is_gain(after, before));
    steps.push_back({std::move(what), noise_db(before.mean()), noise_db(after.mean()), kept,
                     gain_in_errors(before, after), std::move(cost)});
    if (kept) {
      best = std::move(next);
      options = std::move(changed);
      in_vain.clear();
    }
    return ok();
  }

  // In use; the range that kOutput starts from is a percentile.
  Observer observer_of(const std::string& tensor) const {
    const auto own = options.observers.find(tensor);
    if (own != options.observers.end()) return own->second;
    const bool is_output = options.calibrator == Calibrator::kOutput;
    return {is_output ? Calibrator::kPercentile : options.calibrator, options.percentile};
  }

  Result<void> observe(const std::string& node) {
    for (const std::string& tensor : tensors_of(best, node)) {
      for (const Observer& observer : kObservers) {
        if (observer == observer_of(tensor)) continue;
        if (is_done() || tries >= kMostTries) return ok();
        QuantizeOptions changed = options;
        changed.observers[tensor] = observer;
        std::string name(to_string(observer.calibrator));
        if (observer.calibrator == Calibrator::kPercentile) {
          name += fmt::format(" {}", observer.percentile);
        }
        TRY(attempt(std::move(changed), fmt::format("{} for {} of {}", name, tensor, node), ""));
      }
    }
    return ok();
  }

  Result<void> widen_to_eight(const std::string& node) {
    const auto layer = std::find_if(best.layers.begin(), best.layers.end(),
                                    [&](const LayerWeights& each) { return each.node == node; });
    if (layer == best.layers.end() || layer->bits != 4 || is_done() || tries >= kMostTries) {
      return ok();
    }
    QuantizeOptions changed = options;
    std::erase(*changed.four_bit_layers, node);
    return attempt(std::move(changed), fmt::format("8-bit weights for {}", node),
                   fmt::format("{} bytes more of weights", (layer->weights + 1) / 2));
  }

  // For the network's input, the layers that read it.
  Result<void> widen(const std::string& node) {
    const ir::ValueId input = device.inputs[0];
    std::set<std::string> nodes = {node};
    for (const ir::NodeId id : ir::live_nodes(device)) {
      const std::vector<ir::ValueId>& inputs = device.node(id).inputs;
      const bool reads = std::find(inputs.begin(), inputs.end(), input) != inputs.end();
      if (node == device.value(input).name && reads) nodes.insert(device.node(id).name);
    }
    for (const LayerWeights& layer : std::vector<LayerWeights>(best.layers)) {
      if (layer.bits == 16 || !nodes.contains(layer.node)) continue;
      if (is_done() || tries >= kMostTries || !in_vain.insert(layer.node).second) continue;
      TRY(widen_to_sixteen(layer));
    }
    return ok();
  }

  Result<void> widen_to_sixteen(const LayerWeights& layer) {
    QuantizeOptions changed = options;
    std::erase(*changed.four_bit_layers, layer.node);
    changed.wide_layers.push_back(layer.node);
    const std::optional<ir::NodeId> id = ir::find_node(device, layer.node);
    const auto all = static_cast<double>(std::max<int64_t>(1, ir::multiply_adds(device)));
    const double own = id ? static_cast<double>(ir::multiply_adds(device, *id)) : 0.0;
    return attempt(std::move(changed), fmt::format("a16_w16 for {}", layer.node),
                   fmt::format("{} bytes more of weights, {:.1f}% of the multiply-adds in 16 bits, "
                               "its input and output in two bytes a number",
                               layer.weights * (16 - layer.bits) / 8, 100.0 * own / all));
  }
};

// The layers to look at: the one that misses its goal, then by sensitivity.
std::vector<std::string> in_order(const Quantized& quantized, const Goals& goals,
                                  const std::vector<LayerSensitivity>& sensitivity) {
  std::vector<std::string> nodes;
  if (worst_layer_db(quantized) < goals.layer_snr_db) {
    nodes.push_back(quantized.noise.front().node);
  }
  for (const LayerSensitivity& row : sensitivity) {
    if (std::find(nodes.begin(), nodes.end(), row.node) == nodes.end()) nodes.push_back(row.node);
  }
  return nodes;
}

std::vector<std::string> four_bit_layers(const Quantized& quantized) {
  std::vector<std::string> names;
  for (const LayerWeights& layer : quantized.layers) {
    if (layer.bits == 4) names.push_back(layer.node);
  }
  return names;
}

}  // namespace

std::string missed_goals(const Quantized& quantized, const Goals& goals) {
  std::string missed;
  for (const Compared& each : compare(quantized, goals)) {
    if (each.missing > 0.0) missed += (missed.empty() ? "" : "; ") + each.text;
  }
  return missed;
}

Result<Quantized> quantize_automatically(const ir::Graph& device, const Tensor& windows,
                                         const QuantizeOptions& asked, const Goals& goals) {
  QuantizeOptions options = asked;
  const size_t count = affordable_windows(device, kWork, kFewestWindows, kMostWindows);
  options.noise_windows = std::max(options.noise_windows, static_cast<int64_t>(count));
  TRY_ASSIGN(Quantized first, quantize(device, windows, options));
  if (missed_goals(first, goals).empty()) return first;
  if (!options.given.empty()) {
    first.steps.push_back({"scales were given: nothing else is tried", first.output_snr_db,
                           first.output_snr_db, false, 0.0});
    return first;
  }
  AutoSearch search{device, goals, spread_windows(windows, count), options, {}};
  search.options.level = std::min(options.level, kHighestSearchLevel);
  search.options.groups = spread_numbers(options.groups, count);
  search.options.labels = spread_numbers(options.labels, count);
  search.options.four_bit_layers = four_bit_layers(first);
  search.options.sensitivity_windows = 0;
  TRY_ASSIGN(search.best, quantize(device, search.windows, search.options));
  const auto order = [&] { return in_order(search.best, goals, first.sensitivity); };
  for (const std::string& node : order()) TRY(search.observe(node));
  search.tries = 0;
  for (const std::string& node : order()) TRY(search.widen_to_eight(node));
  for (const std::string& node : order()) TRY(search.widen(node));
  options.observers = search.options.observers;
  options.four_bit_layers = search.options.four_bit_layers;
  options.wide_layers = search.options.wide_layers;
  TRY_ASSIGN(Quantized result, quantize(device, windows, options));
  if (distance(first, goals) <= distance(result, goals)) {
    search.steps.push_back({fmt::format("all of it together at level {}", options.level),
                            first.output_snr_db, result.output_snr_db, false, 0.0});
    result = std::move(first);
  }
  result.steps.insert(result.steps.end(), search.steps.begin(), search.steps.end());
  return result;
}

}  // namespace graupel::quantize
