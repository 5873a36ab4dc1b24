// Raising precision until the goals are met. See quantize.h.
//
// The search works on part of the windows. For the most sensitive layers in turn it tries another
// observer of the layer's output, which costs the device nothing, and then 16 bits; a try is kept
// if it lessens the noise at the outputs. Test: levels_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "quantize/quantize.h"
#include "quantize/reference.h"

namespace graupel::quantize {
namespace {

constexpr size_t kSearchWindows = 256;
constexpr size_t kMostTries = 40;

double worst_layer_db(const Quantized& quantized) {
  return quantized.noise.empty() ? INFINITY : quantized.noise.front().snr_db;
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
  Tensor windows;
  QuantizeOptions options;
  Quantized best;
  std::vector<LevelStep> steps;

  Result<bool> attempt(QuantizeOptions changed, std::string what, std::string cost) {
    TRY_ASSIGN(Quantized next, quantize(device, windows, changed));
    const bool kept = next.output_snr_db > best.output_snr_db + 0.05;
    steps.push_back(
        {std::move(what), best.output_snr_db, next.output_snr_db, kept, 0.0, std::move(cost)});
    if (kept) {
      best = std::move(next);
      options = std::move(changed);
    }
    return kept;
  }

  Result<void> improve(const std::string& node) {
    for (const std::string& tensor : tensors_of(best, node)) {
      for (const Calibrator calibrator :
           {Calibrator::kMse, Calibrator::kPercentile, Calibrator::kEntropy, Calibrator::kMinMax}) {
        const auto now = options.tensor_calibrators.find(tensor);
        const Calibrator used =
            now == options.tensor_calibrators.end() ? options.calibrator : now->second;
        if (calibrator == used || steps.size() >= kMostTries) continue;
        QuantizeOptions changed = options;
        changed.tensor_calibrators[tensor] = calibrator;
        TRY(attempt(std::move(changed),
                    fmt::format("{} for {} of {}", to_string(calibrator), tensor, node), ""));
      }
    }
    return ok();
  }

  Result<void> widen(const std::string& node) {
    const auto layer = std::find_if(best.layers.begin(), best.layers.end(),
                                    [&](const LayerWeights& each) { return each.node == node; });
    if (layer == best.layers.end() || layer->bits == 16) return ok();
    QuantizeOptions changed = options;
    changed.wide_layers.push_back(node);
    const std::string cost = fmt::format(
        "{} weights and the layer's input and output take two bytes each; 16-bit "
        "products",
        layer->weights);
    TRY(attempt(std::move(changed), fmt::format("a16_w16 for {}", node), cost));
    return ok();
  }
};

}  // namespace

std::string missed_goals(const Quantized& quantized, const Goals& goals) {
  std::string missed;
  const auto add = [&](const std::string& text) { missed += (missed.empty() ? "" : "; ") + text; };
  if (quantized.output_snr_db < goals.output_snr_db) {
    add(fmt::format("outputs have {:.1f} dB, {:.1f} wanted", quantized.output_snr_db,
                    goals.output_snr_db));
  }
  if (worst_layer_db(quantized) < goals.layer_snr_db) {
    add(fmt::format("{} has {:.1f} dB, {:.1f} wanted", quantized.noise.front().node,
                    worst_layer_db(quantized), goals.layer_snr_db));
  }
  if (quantized.agreement_percent && *quantized.agreement_percent < goals.agreement_percent) {
    add(fmt::format("{:.2f}% of the answers stay the same, {:.2f}% wanted",
                    *quantized.agreement_percent, goals.agreement_percent));
  }
  return missed;
}

Result<Quantized> quantize_automatically(const ir::Graph& device, const Tensor& windows,
                                         const QuantizeOptions& options, const Goals& goals) {
  TRY_ASSIGN(Quantized first, quantize(device, windows, options));
  if (missed_goals(first, goals).empty()) return first;
  const auto fewest = static_cast<size_t>(windows_needed(options.level));
  const size_t count = std::max(kSearchWindows, fewest);
  AutoSearch search{device, spread_windows(windows, count), options, std::move(first), {}};
  search.options.groups = spread_groups(options.groups, count);
  std::set<std::string> observed, widened;
  while (!missed_goals(search.best, goals).empty() && search.steps.size() < kMostTries) {
    std::string next;
    std::set<std::string>& tried = observed.size() <= widened.size() ? observed : widened;
    for (const LayerSensitivity& row : search.best.sensitivity) {
      if (!tried.contains(row.node)) {
        next = row.node;
        break;
      }
    }
    if (next.empty()) break;
    tried.insert(next);
    if (&tried == &observed) {
      TRY(search.improve(next));
    } else {
      TRY(search.widen(next));
    }
  }
  search.options.groups = options.groups;
  TRY_ASSIGN(Quantized result, quantize(device, windows, search.options));
  result.steps.insert(result.steps.end(), search.steps.begin(), search.steps.end());
  return result;
}

}  // namespace graupel::quantize
