// Rounding weights. See weights.h. Scales are max|w| / 127 per output channel, or, with kMse, the
// best of a search below that (Nagel et al. 2021, section 2.3.1). Test: layers_test.cc.
#include "quantize/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace graupel::quantize {
namespace {

constexpr double kBiasLimit = 1 << 30;  // leaves the other half of int32 to the products
constexpr int kSearchSteps = 24;
constexpr double kLowestPart = 0.4;  // of the channel's largest weight

float usable_scale(double scale, float input_scale) {
  const auto value = static_cast<float>(scale);
  // A product of scales below the smallest normal float would flush to zero.
  return std::isnormal(value) && std::isnormal(value * input_scale) ? value : 1.0f;
}

double rounding_error(const std::vector<double>& channel, float scale, double largest) {
  double sum = 0.0;
  for (const double weight : channel) {
    const double code =
        std::clamp(std::nearbyint(weight / static_cast<double>(scale)), -largest, largest);
    const double error = weight - code * static_cast<double>(scale);
    sum += error * error;
  }
  return sum;
}

float channel_scale(const std::vector<double>& channel, double bias, float input_scale, Bits bits,
                    WeightRange range) {
  const double codes = largest_code(bits);
  double largest = 0.0;
  for (const double weight : channel) largest = std::max(largest, std::abs(weight));
  const double needed = std::abs(bias) / kBiasLimit / static_cast<double>(input_scale);
  float best = usable_scale(std::max(largest / codes, needed), input_scale);
  if (range == WeightRange::kMax || largest == 0.0) return best;
  double least = rounding_error(channel, best, codes);
  for (int step = kSearchSteps - 1; step >= 0; --step) {
    const double part = kLowestPart + (1.0 - kLowestPart) * step / kSearchSteps;
    if (largest * part / codes < needed) break;
    const float scale = usable_scale(largest * part / codes, input_scale);
    const double error = rounding_error(channel, scale, codes);
    if (error >= least) continue;
    least = error;
    best = scale;
  }
  return best;
}

std::vector<std::vector<double>> weight_channels(const Tensor& weights, int64_t axis) {
  const size_t channels =
      axis < 0 ? 1 : static_cast<size_t>(weights.shape()[static_cast<size_t>(axis)]);
  const std::vector<double> values = weights.to_doubles();
  std::vector<std::vector<double>> result(channels);
  for_each_channel(weights.shape(), axis,
                   [&](size_t i, size_t channel) { result[channel].push_back(values[i]); });
  return result;
}

}  // namespace

double largest_code(Bits bits) {
  return static_cast<double>((int64_t{1} << (static_cast<int>(bits) - 1)) - 1);
}

std::vector<double> nearest_codes(const Tensor& weights, int64_t axis,
                                  const std::vector<float>& scales, Bits bits) {
  const double largest = largest_code(bits);
  std::vector<double> codes = weights.to_doubles();
  for_each_channel(weights.shape(), axis, [&](size_t i, size_t channel) {
    const double scale = scales[scales.size() == 1 ? 0 : channel];
    codes[i] = std::clamp(std::nearbyint(codes[i] / scale), -largest, largest);
  });
  return codes;
}

Result<WeightChoice> round_weights(const ir::Graph& graph, const Layer& layer, float input_scale,
                                   Bits bits, WeightRange range) {
  const ir::Node& node = graph.node(layer.node);
  const Tensor& weights = *graph.constant(node.inputs[1]);
  for (const double weight : weights.to_doubles()) {
    if (!std::isfinite(weight)) {
      return invalid_input(node.name, "has a weight that is NaN or infinite");
    }
  }
  WeightChoice choice;
  choice.bits = bits;
  const bool stored_bias = node.inputs.size() > 2 && node.inputs[2].valid();
  const std::optional<std::vector<double>> bias = layer_bias(graph, layer);
  if (stored_bias && bias) choice.bias = *bias;
  const std::vector<std::vector<double>> channels = weight_channels(weights, layer.axis);
  for (size_t c = 0; c < channels.size(); ++c) {
    double largest_bias = 0.0;
    for (size_t m = 0; m < choice.bias.size(); ++m) {
      if (channels.size() == 1 || m == c) {
        largest_bias = std::max(largest_bias, std::abs(choice.bias[m]));
      }
    }
    choice.scales.push_back(channel_scale(channels[c], largest_bias, input_scale, bits, range));
  }
  choice.codes = nearest_codes(weights, layer.axis, choice.scales, bits);
  return choice;
}

Tensor dequantized_weights(const ir::Graph& graph, const Layer& layer, const WeightChoice& choice) {
  Tensor out(DType::kFloat32, graph.shape(graph.node(layer.node).inputs[1]));
  const std::span<float> values = out.mutable_data<float>();
  for_each_channel(out.shape(), layer.axis, [&](size_t i, size_t channel) {
    values[i] = static_cast<float>(choice.codes[i]) *
                choice.scales[choice.scales.size() == 1 ? 0 : channel];
  });
  return out;
}

std::vector<WeightFinding> judge_weights(const ir::Graph& graph, const Layer& layer) {
  constexpr double kExtreme = 1000.0;
  const ir::Node& node = graph.node(layer.node);
  std::vector<double> largest;
  size_t zeros = 0;
  for (const std::vector<double>& channel :
       weight_channels(*graph.constant(node.inputs[1]), layer.axis)) {
    double magnitude = 0.0;
    for (const double weight : channel) magnitude = std::max(magnitude, std::abs(weight));
    if (magnitude > 0.0) largest.push_back(magnitude);
    zeros += magnitude == 0.0 ? 1 : 0;
  }
  std::vector<WeightFinding> findings;
  if (largest.empty()) {
    findings.push_back({node.name, "has only zero weights",
                        "it computes a constant: check the export, or remove the layer"});
    return findings;
  }
  if (zeros > 0) {
    findings.push_back({node.name, fmt::format("has {} channels whose weights are all zero", zeros),
                        "prune them; they cost time and answer nothing"});
  }
  std::vector<double> sorted = largest;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2),
                   sorted.end());
  const double median = sorted[sorted.size() / 2];
  const double top = *std::max_element(largest.begin(), largest.end());
  if (top > kExtreme * median) {
    findings.push_back(
        {node.name,
         fmt::format("has a channel with weights {:.3g} times the median's", top / median),
         "level 0's equalisation moves range between channels; if its output is still noisy, name "
         "the layer in --a16-w16"});
  }
  return findings;
}

}  // namespace graupel::quantize
