// The levels' steps. See levels.h.
//
// Every step is judged by the noise at the graph's outputs, in integer arithmetic, on windows
// spread over the calibration set; one that loses is undone and said so. Test: levels_test.cc.
#include "quantize/levels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "quantize/correct_bias.h"
#include "quantize/equalize.h"
#include "quantize/learn.h"
#include "quantize/precision.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::ValueId;

// Multiply-adds that judging one candidate may cost: large networks are judged on fewer windows.
constexpr double kJudgingWork = 1.25e8;
constexpr size_t kFewestJudged = 16, kMostJudged = 128;
constexpr size_t kBiasWindows = 64;
constexpr size_t kEqualizingWindows = 128;
// A step has to lessen the noise by this much: less may be chance on the windows at hand.
constexpr double kWorthwhile = 0.93;
constexpr size_t kRoundIterations = 1000, kLongIterations = 4000, kTuneIterations = 400;

size_t judged_windows(const Graph& device) {
  const double each = std::max(1.0, static_cast<double>(ir::multiply_adds(device)));
  return std::clamp(static_cast<size_t>(kJudgingWork / each), kFewestJudged, kMostJudged);
}

struct Search {
  Optimised state;
  Reference reference;
  double noise = 0.0;

  Result<double> judge(const Graph& graph, const Choices& choices) const {
    TRY_ASSIGN(const Qdq qdq, build_qdq(graph, state.points, choices));
    return output_noise(qdq.graph, reference);
  }
  // Takes `choices` over if the outputs gain by it.
  Result<bool> consider(std::string what, Choices choices) {
    TRY_ASSIGN(const double after, judge(state.graph, choices));
    const bool kept = after < kWorthwhile * noise;
    state.steps.push_back({std::move(what), noise_db(noise), noise_db(after), kept});
    if (kept) {
      state.choices = std::move(choices);
      noise = after;
    }
    return kept;
  }
};

WeightRange weight_range(const QuantizeOptions& options) {
  const bool by_error = options.calibrator == Calibrator::kMse ||
                        options.calibrator == Calibrator::kMseChannel ||
                        options.calibrator == Calibrator::kOutput;
  return by_error ? WeightRange::kMse : WeightRange::kMax;
}

// Weights on a grid decided elsewhere.
Result<WeightChoice> given_weights(const Graph& graph, const Layer& layer, float input_scale,
                                   const LayerEncoding& given) {
  const ir::Node& node = graph.node(layer.node);
  const Bits bits = given.bits == 4 ? Bits::kFour : given.bits == 8 ? Bits::kEight : Bits::kSixteen;
  TRY_ASSIGN(WeightChoice choice,
             round_weights(graph, layer, input_scale, bits, WeightRange::kMax));
  const size_t wanted = layer.axis < 0 ? 1 : static_cast<size_t>(layer.channels);
  std::vector<float> scales = given.scales;
  if (scales.size() == 1) scales.assign(wanted, scales[0]);
  if (scales.size() != wanted) {
    return invalid_input(node.name, fmt::format("is given {} weight scales, but has {} channels",
                                                given.scales.size(), wanted));
  }
  choice.scales = std::move(scales);
  choice.codes = nearest_codes(*graph.constant(node.inputs[1]), layer.axis, choice.scales, bits);
  return choice;
}

Result<void> round_all(const Graph& graph, const Points& points, const QuantizeOptions& options,
                       Choices& choices) {
  const WeightRange range = weight_range(options);
  for (const Layer& layer : find_layers(graph, points)) {
    const ScaleChoice& input = choices.scales[points.same_scale[layer.input.index()].index()];
    const auto found = choices.weights.find(layer.node.index());
    Bits bits = found == choices.weights.end() ? Bits::kEight : found->second.bits;
    const auto given = options.given.layers.find(graph.node(layer.node).name);
    if (given != options.given.layers.end()) {
      TRY_ASSIGN(choices.weights[layer.node.index()],
                 given_weights(graph, layer, input.scale, given->second));
      continue;
    }
    TRY_ASSIGN(choices.weights[layer.node.index()],
               round_weights(graph, layer, input.scale, bits,
                             bits == Bits::kFour ? WeightRange::kMse : range));
  }
  return ok();
}

// Scales and rounded weights of `graph` from what was seen of it.
Result<Choices> first_choices(const Graph& graph, const Points& points, const Observation& seen,
                              const QuantizeOptions& options) {
  Choices choices;
  TRY_ASSIGN(choices.scales, choose_scales(graph, points, seen, options));
  align_rounded_outputs(graph, points, options.rounded_outputs, choices.scales);
  TRY(choose_wide(graph, points, seen, options, choices));
  TRY(round_all(graph, points, options, choices));
  return choices;
}

struct Candidate {
  Graph graph;
  Choices choices;
  double noise = 0.0;
  std::string name;
};

// One way to equalise, seen and judged on a few windows.
Result<Candidate> try_balance(const Graph& graph, std::string name, const Reference& few,
                              const QuantizeOptions& options) {
  Candidate next{graph, {}, 0.0, std::move(name)};
  const Points points = find_points(graph);
  TRY_ASSIGN(const Observation seen, observe(graph, points, few.windows, options.calibrator));
  TRY_ASSIGN(next.choices, first_choices(graph, points, seen, options));
  TRY_ASSIGN(const Qdq qdq, build_qdq(graph, points, next.choices));
  TRY_ASSIGN(next.noise, output_noise(qdq.graph, few));
  return next;
}

// The best way to equalise.
Result<Graph> equalized_graph(const Graph& device, const Tensor& windows,
                              const QuantizeOptions& options, Optimised& state) {
  const Points points = find_points(device);
  const std::vector<Layer> layers = find_layers(device, points);
  const std::vector<Link> links = find_links(device, points, layers);
  TRY_ASSIGN(const Reference few,
             make_reference(device, windows, std::min(kEqualizingWindows, judged_windows(device))));
  TRY_ASSIGN(Candidate best, try_balance(device, "none is better", few, options));
  const double before = best.noise;
  if (links.empty()) {
    state.steps.push_back(
        {"equalisation: no two layers can share range", noise_db(before), noise_db(before), false});
    return device;
  }
  TRY_ASSIGN(const Observation seen, observe(device, points, few.windows, Calibrator::kMinMax));
  for (const Size size : {Size::kLargest, Size::kRootMeanSquare}) {
    for (const double share : {1.0, 0.5}) {
      const Balance balance{size, share};
      TRY_ASSIGN(const Graph graph, equalize(device, layers, links, seen, balance));
      TRY_ASSIGN(Candidate next, try_balance(graph, to_string(balance), few, options));
      if (next.noise < std::min(best.noise, kWorthwhile * before)) best = std::move(next);
    }
  }
  state.steps.push_back({fmt::format("equalisation of {} links: {}", links.size(), best.name),
                         noise_db(before), noise_db(best.noise), best.noise < before});
  return best.graph;
}

Result<void> correct_biases(const Tensor& windows, Search& search) {
  Optimised& state = search.state;
  Choices analytic = state.choices;
  correct_biases_analytically(state.graph, state.points, state.seen, analytic);
  TRY(search.consider("bias correction, analytic", std::move(analytic)));
  Choices empirical = state.choices;
  const NoiseOf search_noise = [&](const Choices& some) {
    return search.judge(search.state.graph, some);
  };
  TRY(correct_biases_empirically(state.graph, state.points, spread_windows(windows, kBiasWindows),
                                 search_noise, empirical));
  TRY(search.consider("bias correction, empirical", std::move(empirical)));
  return ok();
}

// For each tensor the observer that serves the outputs best.
Result<void> choose_observers(const QuantizeOptions& options, Search& search) {
  Optimised& state = search.state;
  const double before = search.noise;
  std::vector<std::vector<ScaleChoice>> choices;
  for (const Calibrator calibrator : {Calibrator::kMse, Calibrator::kMinMax}) {
    QuantizeOptions own = options;
    own.calibrator = calibrator;
    TRY_ASSIGN(choices.emplace_back(), choose_scales(state.graph, state.points, state.seen, own));
    align_rounded_outputs(state.graph, state.points, options.rounded_outputs, choices.back());
  }
  std::set<size_t> changed;
  for (size_t i = 0; i < state.points.is_point.size(); ++i) {
    if (!state.points.is_point[i] || state.points.same_scale[i] != ValueId(i)) continue;
    for (const std::vector<ScaleChoice>& scales : choices) {
      if (scales[i].scale == state.choices.scales[i].scale) continue;
      Choices next = state.choices;
      next.scales[i] = scales[i];
      TRY_ASSIGN(const double noise, search.judge(state.graph, next));
      if (noise >= kWorthwhile * search.noise) continue;
      search.noise = noise;
      state.choices = std::move(next);
      changed.insert(i);
    }
  }
  state.steps.push_back({fmt::format("observers by the error at the outputs: {} tensors differ "
                                     "from percentile",
                                     changed.size()),
                         noise_db(before), noise_db(search.noise), !changed.empty()});
  return ok();
}

// Each activation scale a little smaller or larger, judged at the outputs.
Result<void> tune_scales(Search& search) {
  const double before = search.noise;
  size_t changed = 0;
  Optimised& state = search.state;
  for (size_t i = 0; i < state.points.is_point.size(); ++i) {
    if (!state.points.is_point[i] || state.points.same_scale[i] != ValueId(i)) continue;
    if (state.seen.histograms[i].count() == 0) continue;
    const float scale = state.choices.scales[i].scale;
    bool better = false;
    for (const float factor : {0.7f, 0.8f, 0.9f, 1.1f, 1.25f}) {
      Choices choices = state.choices;
      choices.scales[i].scale = scale * factor;
      TRY_ASSIGN(const double noise, search.judge(state.graph, choices));
      if (noise >= search.noise) continue;
      search.noise = noise;
      state.choices = std::move(choices);
      better = true;
    }
    changed += better ? 1 : 0;
  }
  state.steps.push_back({fmt::format("{} activation scales by the error at the outputs", changed),
                         noise_db(before), noise_db(search.noise), changed > 0});
  return ok();
}

Result<void> learn(const Tensor& windows, LearnOptions options, const std::string& what,
                   Search& search) {
  Choices choices = search.state.choices;
  options.noise_of = [&](const Choices& some) { return search.judge(search.state.graph, some); };
  TRY_ASSIGN(Learned learned,
             learn_weights(search.state.graph, search.state.points, windows, options, choices));
  search.state.not_learned = std::move(learned.left_out);
  TRY(search.consider(fmt::format("{}: {} of {} layers gain", what, learned.kept, learned.layers),
                      std::move(choices)));
  return ok();
}

Result<void> learn_level(const Tensor& windows, int level, Search& search) {
  const auto enough = static_cast<size_t>(level == 3 ? kLearningWindows : kFullLearningWindows);
  const Tensor some = spread_windows(windows, enough);
  TRY(tune_scales(search));
  if (level == 2) {
    return learn(some, {Learning::kFinetune, kTuneIterations, nullptr}, "finetuning", search);
  }
  TRY(learn(some, {Learning::kAdaRound, kRoundIterations, nullptr}, "AdaRound", search));
  if (level == 3) return ok();
  TRY(learn(some, {Learning::kFinetune, kTuneIterations, nullptr}, "finetuning", search));
  return learn(some, {Learning::kBest, kLongIterations, nullptr}, "AdaRound long, best of each row",
               search);
}

// The layers that bear 4-bit weights best, by the noise each adds alone.
Result<void> compress(const QuantizeOptions& options, Search& search) {
  const Optimised& state = search.state;
  struct Cost {
    size_t node;
    double noise;
    Choices choices;
  };
  std::vector<std::pair<double, size_t>> costs;
  const std::vector<Layer> layers = find_layers(state.graph, state.points);
  const auto four_bits = [&](const Layer& layer, Choices& choices) -> Result<void> {
    const ScaleChoice& input = choices.scales[state.points.same_scale[layer.input.index()].index()];
    TRY_ASSIGN(choices.weights[layer.node.index()],
               round_weights(state.graph, layer, input.scale, Bits::kFour, WeightRange::kMse));
    return ok();
  };
  for (size_t i = 0; i < layers.size(); ++i) {
    if (state.choices.weights.at(layers[i].node.index()).bits == Bits::kSixteen) continue;
    Choices choices = state.choices;
    TRY(four_bits(layers[i], choices));
    TRY_ASSIGN(const double noise, search.judge(state.graph, choices));
    costs.emplace_back(noise, i);
  }
  std::sort(costs.begin(), costs.end());
  const auto wanted = static_cast<size_t>(
      std::nearbyint(options.four_bit_share * static_cast<double>(layers.size())));
  Choices choices = state.choices;
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(wanted, costs.size()); ++i) {
    TRY(four_bits(layers[costs[i].second], choices));
    names.push_back(state.graph.node(layers[costs[i].second].node).name);
  }
  TRY_ASSIGN(const double after, search.judge(state.graph, choices));
  search.state.steps.push_back({fmt::format("4-bit weights for {} of {} layers: {}", names.size(),
                                            layers.size(), fmt::join(names, ", ")),
                                noise_db(search.noise), noise_db(after), true});
  search.state.choices = std::move(choices);
  search.noise = after;
  return ok();
}

}  // namespace

Result<Optimised> optimise(const Graph& device, const Tensor& windows,
                           const QuantizeOptions& options) {
  Search search;
  search.state.graph = device;
  TRY_ASSIGN(search.reference, make_reference(device, windows, judged_windows(device)));
  const bool is_given = !options.given.tensors.empty() || !options.given.layers.empty();
  if (options.level >= 0 && options.equalization && !is_given) {
    TRY_ASSIGN(search.state.graph, equalized_graph(device, windows, options, search.state));
  }
  Optimised& state = search.state;
  state.points = find_points(state.graph);
  TRY_ASSIGN(state.seen, observe(state.graph, state.points, windows, options.calibrator));
  TRY_ASSIGN(state.choices, first_choices(state.graph, state.points, state.seen, options));
  TRY_ASSIGN(search.noise, search.judge(state.graph, state.choices));
  state.equalized = !state.steps.empty() && state.steps.front().kept;
  if (options.four_bit_share > 0.0 && !is_given) TRY(compress(options, search));
  if (is_given) {
    state.steps.push_back({"scales were given: the level's steps are left out",
                           noise_db(search.noise), noise_db(search.noise), false});
    return std::move(search.state);
  }
  if (options.level >= 0 && options.calibrator == Calibrator::kOutput) {
    TRY(choose_observers(options, search));
  }
  if (options.level >= 1) TRY(correct_biases(windows, search));
  if (options.level >= 2) TRY(learn_level(windows, options.level, search));
  return std::move(search.state);
}

}  // namespace graupel::quantize
