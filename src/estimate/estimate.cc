// From a few facts of a network to contexts, rate and latency. See estimate.h.
//
// Idea: two forms, a pipeline in one context or several contexts in turn; the rate is a mixture of
// both, weighed by how likely one context is. The interval is that mixture's 10 % and 90 %, widened
// by what held-out families asked for. tools/fit_estimate does the same in Python, and
// estimate_test.cc holds the two together.
#include "estimate/estimate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "estimate/coefficients.h"

namespace graupel::estimate {
namespace {

struct Chip {
  double memory_bytes, control_units, macs_per_s;
};
// Clusters of 128 memory units of 32 KiB (inferred), 16 control units, and 64 subclusters of 64
// multiply-adds at 400 MHz: eight of them, or four.
constexpr Chip kChips[] = {{33554432.0, 128.0, 8.0 * 64 * 64 * 400e6},
                           {16777216.0, 64.0, 4.0 * 64 * 64 * 400e6}};
// Weights of multi-context networks arrive with about this; four lanes of generation 3.
constexpr double kFullLinkBytesPerS = 3.3e9;
// The fastest published input is 1.6 GB/s there.
constexpr double kInputShareOfLink = 1.6 / 3.3;
// From the first byte in to the last out, in steps of the pipeline. Two public measurements in one
// context: 12.84 ms at 218 fps, and a simulated 0.147 ms at 90518 fps.
constexpr double kFewestSteps = 1.0, kUsualSteps = 2.8, kMostSteps = 13.3;

double logistic(double t) { return 1.0 / (1.0 + std::exp(-std::clamp(t, -30.0, 30.0))); }
double normal(double z) { return 0.5 * (1.0 + std::erf(z / std::sqrt(2.0))); }
size_t index_of(Device device) { return device == Device::kHailo8 ? 0 : 1; }

// The facts as the fit saw them.
struct Features {
  double memory_share, ops_g, weights_m, log_ops, log_input, attention, depthwise, is_8l;
};

Features features_of(const Network& network, Device device) {
  // Outside the table its nearest edge is used, and `edge` says so.
  const double ops =
      std::clamp(2e-9 * static_cast<double>(network.multiply_adds), kLeastOpsG, kMostOpsG);
  const double weights = static_cast<double>(network.weights) * 1e-6;
  const double input =
      std::clamp(static_cast<double>(network.input_bytes), kLeastInputBytes, kMostInputBytes);
  return {weights * 1e6 / kChips[index_of(device)].memory_bytes,
          ops,
          weights,
          std::log(ops),
          std::log(input),
          network.attention ? 1.0 : 0.0,
          network.depthwise ? 1.0 : 0.0,
          device == Device::kHailo8L ? 1.0 : 0.0};
}

struct Forms {
  double single_chance;
  double log_single, log_multi;  // ln of frames per second
};

double single_chance(const Network& network, Device device, const Features& f) {
  const Chip& chip = kChips[index_of(device)];
  if (f.memory_share > 1.0 || static_cast<double>(network.layers) > chip.control_units) return 0.0;
  const auto& c = kForm;
  return logistic(c[0] + c[1] * f.memory_share + c[2] * f.log_ops + c[3] * f.log_input +
                  c[4] * f.attention + c[5] * f.depthwise + c[6] * f.is_8l);
}

// `slower`: how many times slower the link is than the published one. Of the switch between
// contexts the weights' share surely grows with it; whether the rest does is not known.
Forms forms_of(const Network& network, Device device, double slower, double rest_slower) {
  const Features f = features_of(network, device);
  const auto& s = kSingle;
  const auto& m = kMulti[index_of(device)];
  Forms forms{};
  forms.single_chance = single_chance(network, device, f);
  forms.log_single = s[0] + s[1] * f.log_ops + s[2] * f.log_input + s[3] * f.attention +
                     s[4] * f.depthwise + s[5] * f.is_8l;
  const double milliseconds =
      (m[0] + m[1] * f.attention) * rest_slower + m[2] * f.weights_m * slower + m[3] * f.ops_g;
  forms.log_multi = std::log(1000.0 / milliseconds);
  return forms;
}

// Of ln fps, by bisection of the mixture.
double quantile(const Forms& forms, Device device, double share) {
  const double multi_spread = kMultiSpread[index_of(device)];
  double low = std::min(forms.log_single, forms.log_multi) - 9.0;
  double high = std::max(forms.log_single, forms.log_multi) + 9.0;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (low + high);
    const double below =
        forms.single_chance * normal((middle - forms.log_single) / kSingleSpread) +
        (1.0 - forms.single_chance) * normal((middle - forms.log_multi) / multi_spread);
    (below < share ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

std::vector<std::string> edges_of(const Network& network) {
  std::vector<std::string> edge;
  const auto say = [&](std::string_view what, double value, double least, double most,
                       std::string_view unit) {
    if (value >= least && value <= most) return;
    edge.push_back(
        fmt::format("{} {:.3g} {}, outside the {:.3g} to {:.3g} of the networks fitted on", what,
                    value, unit, least, most));
  };
  say("operations", 2e-9 * static_cast<double>(network.multiply_adds), kLeastOpsG, kMostOpsG, "G");
  say("weights", 1e-6 * static_cast<double>(network.weights), kLeastWeightsM, kMostWeightsM, "M");
  say("input", static_cast<double>(network.input_bytes), kLeastInputBytes, kMostInputBytes, "B");
  return edge;
}

std::string reason_of(const Estimate& result, const Network& network) {
  if (result.memory > 1.0) return "memory: the weights do not fit";
  if (result.control > 1.0) return "control: more layers than control units";
  if (result.single_chance < 0.5) {
    if (network.attention) {
      return "control: attention falls into many small layers, as in the published networks";
    }
    return result.memory > 0.5 ? "memory: few published networks with this share fit"
                               : "memory and control together, as in the published networks";
  }
  return "weights and layers fit";
}

// The rate of one form alone: its own 10 % and 90 %, widened.
Interval rate_of(double log_worst, double log_best, double spread, double widening) {
  constexpr double kTenth = 1.2815515655446004;  // of the normal distribution
  return {std::exp(log_worst - kTenth * spread - widening), std::exp(0.5 * (log_worst + log_best)),
          std::exp(log_best + kTenth * spread + widening)};
}

// In one context windows overlap: a window takes several steps of the pipeline. Several contexts
// take turns: a window takes one step, all contexts through. A form likelier than 10 % counts.
Interval latency_of(const Interval& single, const Interval& many, double chance) {
  const Interval one = {1e3 * kFewestSteps / single.high, 1e3 * kUsualSteps / single.middle,
                        1e3 * kMostSteps / single.low};
  const Interval turns = {1e3 / many.high, 1e3 / many.middle, 1e3 / many.low};
  if (chance >= 0.9) return one;
  if (chance <= 0.1) return turns;
  return {std::min(one.low, turns.low), chance >= 0.5 ? one.middle : turns.middle,
          std::max(one.high, turns.high)};
}

}  // namespace

std::string_view to_string(Device device) {
  return device == Device::kHailo8 ? "hailo8" : "hailo8l";
}

Result<Device> parse_device(std::string_view name) {
  if (name == "hailo8") return Device::kHailo8;
  if (name == "hailo8l") return Device::kHailo8L;
  return invalid_input("", fmt::format("'{}' is none of hailo8, hailo8l", name));
}

double link_bytes_per_s(Link link) {
  // Generations 1 and 2 spend a fifth on their code, 3 next to nothing: 2, 4 and 7.9 Gbit/s a lane.
  constexpr double kPerLane[] = {2.0 / 7.877, 4.0 / 7.877, 1.0};
  const int generation = std::clamp(link.generation, 1, 3);
  return kFullLinkBytesPerS * kPerLane[generation - 1] * link.lanes / 4.0;
}

Estimate estimate(const Network& network, Device device, Link link) {
  const Chip& chip = kChips[index_of(device)];
  const double slower = kFullLinkBytesPerS / link_bytes_per_s(link);
  const Forms worst = forms_of(network, device, slower, slower);
  const Forms best = forms_of(network, device, slower, 1.0);
  const double chance = best.single_chance;
  const double widening = kWidening[index_of(device)][chance >= 0.5 ? 1 : 0];
  // No window arrives faster than the link brings it.
  const double ceiling = kInputShareOfLink * link_bytes_per_s(link) /
                         static_cast<double>(network.input_bytes + network.output_bytes);
  const auto fps = [&](double log_rate) { return std::min(std::exp(log_rate), ceiling); };
  // Of each form what lies in the interval of both.
  const auto within = [](const Interval& rate, const Interval& both) {
    return Interval{std::clamp(rate.low, both.low, both.high),
                    std::clamp(rate.middle, both.low, both.high),
                    std::clamp(rate.high, both.low, both.high)};
  };
  Estimate result;
  result.single_chance = chance;
  result.fps.low = fps(quantile(worst, device, 0.1) - widening);
  result.fps.middle = fps(0.5 * (quantile(worst, device, 0.5) + quantile(best, device, 0.5)));
  result.fps.high = fps(quantile(best, device, 0.9) + widening);
  result.latency_ms = latency_of(
      within(rate_of(worst.log_single, best.log_single, kSingleSpread, widening), result.fps),
      within(rate_of(worst.log_multi, best.log_multi, kMultiSpread[index_of(device)], widening),
             result.fps),
      chance);
  result.memory = static_cast<double>(network.weights) / chip.memory_bytes;
  result.control = static_cast<double>(network.layers) / chip.control_units;
  result.compute = static_cast<double>(network.multiply_adds) * result.fps.middle / chip.macs_per_s;
  result.reason = reason_of(result, network);
  result.edge = edges_of(network);
  return result;
}

}  // namespace graupel::estimate
