// Bias correction. See correct_bias.h. Test: levels_test.cc.
#include "quantize/correct_bias.h"

#include <algorithm>
#include <array>

#include "base/window_at.h"
#include "ir/eval.h"
#include "quantize/reference.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::ValueId;

enum class Counted { kAll, kPositive };

constexpr double kTrimmed = 0.1;  // of the windows, at either end

// Mean without the most extreme windows: a window that is clipped is far off, and moving all others
// for its sake would cost more than it gains.
double trimmed_mean(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto cut = static_cast<size_t>(kTrimmed * static_cast<double>(values.size()));
  double sum = 0.0, count = 0.0;
  for (size_t i = cut; i + cut < values.size(); ++i) {
    sum += values[i];
    count += 1.0;
  }
  return count > 0.0 ? sum / count : 0.0;
}

// Trimmed mean over windows of exact - close per channel; [N, C, ...] or [N, ..., C]. kPositive:
// only where the exact sum is positive, because a Relu lets nothing else through.
std::vector<double> mean_shift(const Graph& graph, const Layer& layer, const Tensor& exact,
                               const Tensor& close, Counted counted) {
  const auto channels = static_cast<size_t>(layer.channels);
  const std::span<const float> x = exact.data<float>(), y = close.data<float>();
  const Shape& shape = graph.shape(layer.output);
  const bool channels_first = shape.size() > 2 && shape[1] == layer.channels;
  const auto windows = static_cast<size_t>(exact.shape()[0]);
  const size_t each = x.size() / windows;
  const size_t inner = channels_first ? each / channels : 1;
  std::vector<std::vector<double>> means(channels);
  for (size_t n = 0; n < windows; ++n) {
    std::vector<double> sums(channels, 0.0), counts(channels, 0.0);
    for (size_t i = n * each; i < (n + 1) * each; ++i) {
      if (counted == Counted::kPositive && x[i] <= 0.0f) continue;
      sums[i / inner % channels] += static_cast<double>(x[i]) - static_cast<double>(y[i]);
      counts[i / inner % channels] += 1.0;
    }
    for (size_t m = 0; m < channels; ++m) {
      if (counts[m] > 0.0) means[m].push_back(sums[m] / counts[m]);
    }
  }
  std::vector<double> shift;
  for (std::vector<double>& values : means) shift.push_back(trimmed_mean(std::move(values)));
  return shift;
}

bool before_relu(const Graph& graph, const ir::Uses& uses, ValueId value) {
  if (uses.readers[value.index()].size() != 1 || uses.is_output[value.index()]) return false;
  const ir::Node& node = graph.node(uses.readers[value.index()][0]);
  const ir::Unary* unary = std::get_if<ir::Unary>(&node.op);
  return unary != nullptr && unary->kind == ir::UnaryKind::kRelu;
}

void add_to_bias(WeightChoice& choice, const std::vector<double>& shift) {
  if (choice.bias.empty()) choice.bias.assign(shift.size(), 0.0);
  for (size_t m = 0; m < shift.size(); ++m) choice.bias[m] += shift[m];
}

std::vector<double> channel_input_means(const Layer& layer, const ChannelStats& stats,
                                        bool is_conv) {
  const auto depth = static_cast<size_t>(layer.depth);
  std::vector<double> means;  // [groups][depth]
  const size_t per_group = stats.sum.size() / static_cast<size_t>(layer.groups);
  for (size_t g = 0; g < static_cast<size_t>(layer.groups); ++g) {
    for (size_t k = 0; k < depth; ++k) {
      const size_t channel = is_conv ? g * per_group + k / (depth / per_group) : k;
      means.push_back(stats.sum[channel] / std::max(stats.count, 1.0));
    }
  }
  return means;
}

}  // namespace

void correct_biases_analytically(const Graph& device, const Points& points,
                                 const std::vector<ChannelStats>& seen, Choices& choices) {
  for (const Layer& layer : find_layers(device, points)) {
    const auto found = choices.weights.find(layer.node.index());
    const ChannelStats& stats = seen[layer.input.index()];
    const bool is_conv = std::holds_alternative<ir::Conv>(device.node(layer.node).op);
    const Shape& x = device.shape(layer.input);
    if (found == choices.weights.end() || !layer.has_columns || !can_take_bias(device, layer) ||
        stats.sum.empty() || (!is_conv && x.size() != 2)) {
      continue;
    }
    const std::vector<double> means = channel_input_means(layer, stats, is_conv);
    const std::vector<double> exact = weight_rows(device, layer);
    const std::vector<double> rounded =
        dequantized_weights(device, layer, found->second).to_doubles();
    const std::vector<size_t> positions = row_positions(device, layer);
    const auto depth = static_cast<size_t>(layer.depth);
    const auto group_rows = static_cast<size_t>(layer.channels / layer.groups);
    std::vector<double> shift(static_cast<size_t>(layer.channels), 0.0);
    for (size_t i = 0; i < exact.size(); ++i) {
      const size_t m = i / depth;
      shift[m] -= (rounded[positions[i]] - exact[i]) * means[m / group_rows * depth + i % depth];
    }
    add_to_bias(found->second, shift);
  }
}

Result<void> correct_biases_empirically(const Graph& device, const Points& points,
                                        const Tensor& windows, const NoiseOf& noise_of,
                                        Choices& choices) {
  const ir::Uses uses = ir::find_uses(device);
  double noise = 0.0;
  if (noise_of) {
    TRY_ASSIGN(noise, noise_of(choices));
  }
  for (const Layer& layer : find_layers(device, points)) {
    const auto found = choices.weights.find(layer.node.index());
    if (found == choices.weights.end() || !can_take_bias(device, layer)) continue;
    TRY_ASSIGN(const Qdq qdq, build_qdq(device, points, choices));
    const std::optional<ValueId> sums = ir::find_value(qdq.graph, qdq.values[layer.output.index()]);
    if (!sums) continue;  // no output needs it
    TRY_ASSIGN(const Graph exact, prefix_of(device, layer.output));
    TRY_ASSIGN(const Graph rounded, prefix_of(qdq.graph, *sums));
    TRY_ASSIGN(const std::vector<Tensor> y, ir::evaluate_windows(exact, windows));
    TRY_ASSIGN(const std::vector<Tensor> z, ir::evaluate_windows(rounded, windows));
    const Counted counted =
        before_relu(device, uses, layer.output) ? Counted::kPositive : Counted::kAll;
    const std::vector<double> shift = mean_shift(device, layer, y[0], z[0], counted);
    const WeightChoice before = found->second;
    add_to_bias(found->second, shift);
    if (!noise_of) continue;
    TRY_ASSIGN(const double after, noise_of(choices));
    if (after < noise) {
      noise = after;
    } else {
      found->second = before;
    }
  }
  return ok();
}

}  // namespace graupel::quantize
