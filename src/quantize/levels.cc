// The levels' steps. See levels.h.
//
// A quarter of the windows is held out. What a step chooses it chooses on the others; then it is
// judged, once and as a whole, by the noise at the graph's outputs, in integer arithmetic, on those
// held out, and undone and said so unless it gains beyond chance (held_out.h). Ranges, once it is
// decided how they are chosen, are those of all windows. Test: levels_test.cc.
#include "quantize/levels.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "quantize/correct_bias.h"
#include "quantize/equalize.h"
#include "quantize/finetune.h"
#include "quantize/learn.h"
#include "quantize/precision.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::ValueId;

// Multiply-adds that looking at one candidate may cost: large networks are seen on fewer windows.
// Choosing looks at dozens of candidates; the judgement on windows held out, at one for each step,
// needs the many windows that tell a gain from chance.
constexpr double kChoosingWork = 1.25e8, kJudgingWork = 1e9;
constexpr size_t kFewestJudged = 16, kMostChosenOn = 128, kMostJudged = 256;
constexpr size_t kBiasWindows = 64;
constexpr size_t kRoundIterations = 1000, kLongIterations = 4000, kTuneIterations = 400;

struct Search {
  Optimised state;
  Tensor windows;                              // what steps may choose on
  Reference fitting;                           // some of them, for choices of dozens
  Reference layerwise;                         // more of them, for choices made once per layer
  Reference held_out;                          // what they are judged on
  BlockNoise noise;                            // of the state, there
  std::vector<ChannelStats> fitting_channels;  // state.seen has all windows'

  Result<BlockNoise> judge(const Choices& choices) const {
    TRY_ASSIGN(const Qdq qdq, build_qdq(state.graph, state.points, choices));
    return block_noise(qdq.graph, held_out);
  }
  // On windows that choosing may look at.
  Result<double> fitting_noise(const Choices& choices) const { return noise_on(fitting, choices); }
  Result<double> noise_on(const Reference& some, const Choices& choices) const {
    TRY_ASSIGN(const Qdq qdq, build_qdq(state.graph, state.points, choices));
    return output_noise(qdq.graph, some);
  }
  NoiseOf layerwise_noise() const {
    return [this](const Choices& choices) { return noise_on(layerwise, choices); };
  }
  void record(std::string what, const BlockNoise& before, const BlockNoise& after, bool kept) {
    state.steps.push_back({std::move(what), noise_db(before.mean()), noise_db(after.mean()), kept,
                           gain_in_errors(before, after)});
  }
  // Takes `choices` over if windows held out gain by it.
  Result<bool> consider(std::string what, Choices choices) {
    TRY_ASSIGN(BlockNoise after, judge(choices));
    const bool kept = is_gain(noise, after);
    record(std::move(what), noise, after, kept);
    if (kept) {
      state.choices = std::move(choices);
      noise = std::move(after);
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
  align_rounded_outputs(graph, points, options.rounded_outputs, options.given, choices.scales);
  TRY(choose_wide(graph, points, seen, options, choices));
  TRY(round_all(graph, points, options, choices));
  return choices;
}

struct Candidate {
  Graph graph;
  Choices choices;
  std::vector<ChannelStats> channels;
  double noise = 0.0;
  std::string name;
};

// One way to equalise, on windows that choosing may look at.
Result<Candidate> try_balance(const Graph& graph, std::string name, const Tensor& some,
                              const Reference& fitting, const QuantizeOptions& options) {
  Candidate next{graph, {}, {}, 0.0, std::move(name)};
  const Points points = find_points(graph);
  TRY_ASSIGN(Observation seen, observe(graph, points, some, options.calibrator));
  TRY_ASSIGN(next.choices, first_choices(graph, points, seen, options));
  next.channels = std::move(seen.channels);
  TRY_ASSIGN(const Qdq qdq, build_qdq(graph, points, next.choices));
  TRY_ASSIGN(next.noise, output_noise(qdq.graph, fitting));
  return next;
}

Result<BlockNoise> judge_candidate(const Candidate& candidate, const Reference& held_out) {
  const Points points = find_points(candidate.graph);
  TRY_ASSIGN(const Qdq qdq, build_qdq(candidate.graph, points, candidate.choices));
  return block_noise(qdq.graph, held_out);
}

// The best way to equalise.
Result<Graph> equalized_graph(const Graph& device, const QuantizeOptions& options, Search& search) {
  const Points points = find_points(device);
  const std::vector<Layer> layers = find_layers(device, points);
  const std::vector<Link> links = find_links(device, points, layers);
  const Tensor some =
      spread_windows(search.windows, static_cast<size_t>(search.fitting.windows.shape()[0]));
  TRY_ASSIGN(const Candidate plain,
             try_balance(device, "none is better", some, search.fitting, options));
  TRY_ASSIGN(const BlockNoise before, judge_candidate(plain, search.held_out));
  if (links.empty()) {
    search.record("equalisation: no two layers can share range", before, before, false);
    return device;
  }
  Candidate best = plain;
  for (const Size size : {Size::kLargest, Size::kRootMeanSquare}) {
    for (const double share : {1.0, 0.5}) {
      const Balance balance{size, share};
      TRY_ASSIGN(const Graph graph, equalize(device, layers, links, plain.channels, balance));
      TRY_ASSIGN(Candidate next,
                 try_balance(graph, to_string(balance), some, search.fitting, options));
      if (next.noise < best.noise) best = std::move(next);
    }
  }
  TRY_ASSIGN(const BlockNoise after, judge_candidate(best, search.held_out));
  search.state.equalized = best.name != plain.name && is_gain(before, after);
  search.record(fmt::format("equalisation of {} links: {}", links.size(), best.name), before, after,
                search.state.equalized);
  return search.state.equalized ? best.graph : device;
}

Result<void> correct_biases(Search& search) {
  Optimised& state = search.state;
  const Choices plain = state.choices;
  Choices analytic = plain;
  correct_biases_analytically(state.graph, state.points, search.fitting_channels, analytic);
  TRY_ASSIGN(const bool kept, search.consider("bias correction, analytic", std::move(analytic)));
  if (kept) {
    state.choices = plain;
    correct_biases_analytically(state.graph, state.points, state.seen.channels, state.choices);
    TRY_ASSIGN(search.noise, search.judge(state.choices));
  }
  Choices empirical = state.choices;
  TRY(correct_biases_empirically(state.graph, state.points,
                                 spread_windows(search.windows, kBiasWindows),
                                 search.layerwise_noise(), empirical));
  TRY(search.consider("bias correction, empirical", std::move(empirical)));
  return ok();
}

// For each tensor the observer that serves the outputs best: `own` gets those that differ. Ranges
// are those of the windows that are not held out, so that ranges too narrow for others show.
Result<void> choose_observers(const Observation& fitting, QuantizeOptions& own, Search& search) {
  Optimised& state = search.state;
  TRY_ASSIGN(state.choices, first_choices(state.graph, state.points, fitting, own));
  TRY_ASSIGN(search.noise, search.judge(state.choices));
  Choices best = state.choices;
  TRY_ASSIGN(double least, search.fitting_noise(best));
  std::map<std::string, Observer> differing;
  const std::vector<Calibrator> calibrators = {Calibrator::kMse, Calibrator::kMinMax};
  std::vector<std::vector<ScaleChoice>> found;
  for (const Calibrator calibrator : calibrators) {
    QuantizeOptions other = own;
    other.calibrator = calibrator;
    TRY_ASSIGN(found.emplace_back(), choose_scales(state.graph, state.points, fitting, other));
    align_rounded_outputs(state.graph, state.points, own.rounded_outputs, own.given, found.back());
  }
  for (size_t i = 0; i < state.points.is_point.size(); ++i) {
    if (!state.points.is_point[i] || state.points.same_scale[i] != ValueId(i)) continue;
    for (size_t way = 0; way < calibrators.size(); ++way) {
      if (found[way][i].scale == best.scales[i].scale) continue;
      Choices next = best;
      next.scales[i] = found[way][i];
      TRY_ASSIGN(const double noise, search.fitting_noise(next));
      if (noise >= least) continue;
      least = noise;
      best = std::move(next);
      differing[state.graph.values[i].name] = {calibrators[way], own.percentile};
    }
  }
  TRY_ASSIGN(const bool kept,
             search.consider(fmt::format("observers by the error at the outputs: {} tensors differ "
                                         "from percentile",
                                         differing.size()),
                             std::move(best)));
  if (kept) own.observers.insert(differing.begin(), differing.end());
  return ok();
}

// Each activation scale a little smaller or larger.
Result<void> tune_scales(const QuantizeOptions& options, Search& search) {
  Optimised& state = search.state;
  Choices best = state.choices;
  TRY_ASSIGN(double least, search.fitting_noise(best));
  size_t changed = 0;
  for (size_t i = 0; i < state.points.is_point.size(); ++i) {
    if (!state.points.is_point[i] || state.points.same_scale[i] != ValueId(i)) continue;
    if (state.seen.histograms[i].count() == 0) continue;
    const float scale = best.scales[i].scale;
    bool better = false;
    for (const float factor : {0.7f, 0.8f, 0.9f, 1.1f, 1.25f}) {
      Choices choices = best;
      choices.scales[i].scale = scale * factor;
      align_rounded_outputs(state.graph, state.points, options.rounded_outputs, options.given,
                            choices.scales);
      TRY_ASSIGN(const double noise, search.fitting_noise(choices));
      if (noise >= least) continue;
      least = noise;
      best = std::move(choices);
      better = true;
    }
    changed += better ? 1 : 0;
  }
  TRY(search.consider(fmt::format("{} activation scales by the error at the outputs", changed),
                      std::move(best)));
  return ok();
}

Result<void> learn(const Tensor& windows, LearnOptions options, const std::string& what,
                   Search& search) {
  Choices choices = search.state.choices;
  options.noise_of = search.layerwise_noise();
  TRY_ASSIGN(Learned learned,
             learn_weights(search.state.graph, search.state.points, windows, options, choices));
  search.state.not_learned = std::move(learned.left_out);
  TRY(search.consider(fmt::format("{}: {} of {} layers gain", what, learned.kept, learned.layers),
                      std::move(choices)));
  return ok();
}

// The whole network at once, its answers against the float network's.
Result<void> distil(const Tensor& windows, const Graph& host, Search& search) {
  Choices choices = search.state.choices;
  TRY_ASSIGN(const Finetuned done, finetune(search.state.graph, search.state.points, host, windows,
                                            FinetuneOptions{}, choices));
  if (!done.left_out.empty()) {
    search.record(
        "finetuning end to end is left out, layers learn one by one only: " + done.left_out,
        search.noise, search.noise, false);
    return ok();
  }
  const std::string loss =
      done.without_kl.empty() ? "logits and outputs" : "outputs alone, " + done.without_kl;
  TRY(search.consider(fmt::format("finetuning end to end by {}: {} layers, {} steps", loss,
                                  done.layers, done.steps),
                      std::move(choices)));
  return ok();
}

Result<void> learn_level(const QuantizeOptions& options, Search& search) {
  const int level = options.level;
  const auto enough = static_cast<size_t>(level == 3 ? kLearningWindows : kFullLearningWindows);
  const Tensor some = spread_windows(search.windows, enough);
  TRY(tune_scales(options, search));
  if (level == 2) {
    TRY(learn(some, {Learning::kFinetune, kTuneIterations, nullptr}, "finetuning", search));
    return distil(some, options.host, search);
  }
  TRY(learn(some, {Learning::kAdaRound, kRoundIterations, nullptr}, "AdaRound", search));
  if (level == 3) return ok();
  TRY(learn(some, {Learning::kFinetune, kTuneIterations, nullptr}, "finetuning", search));
  TRY(learn(some, {Learning::kBest, kLongIterations, nullptr}, "AdaRound long, best of each row",
            search));
  return distil(some, options.host, search);
}

Result<void> round_to_four_bits(const Layer& layer, const Search& search, Choices& choices) {
  const Optimised& state = search.state;
  const ScaleChoice& input = choices.scales[state.points.same_scale[layer.input.index()].index()];
  TRY_ASSIGN(choices.weights[layer.node.index()],
             round_weights(state.graph, layer, input.scale, Bits::kFour, WeightRange::kMse));
  return ok();
}

// The layers that bear 4-bit weights best, by the noise each adds alone.
Result<std::vector<std::string>> best_in_four_bits(double share, const std::vector<Layer>& layers,
                                                   const Search& search) {
  std::vector<std::pair<double, size_t>> costs;
  for (size_t i = 0; i < layers.size(); ++i) {
    Choices choices = search.state.choices;
    if (choices.weights.at(layers[i].node.index()).bits == Bits::kSixteen) continue;
    TRY(round_to_four_bits(layers[i], search, choices));
    TRY_ASSIGN(const double noise, search.fitting_noise(choices));
    costs.emplace_back(noise, i);
  }
  std::sort(costs.begin(), costs.end());
  const auto wanted =
      static_cast<size_t>(std::nearbyint(share * static_cast<double>(layers.size())));
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min(wanted, costs.size()); ++i) {
    names.push_back(search.state.graph.node(layers[costs[i].second].node).name);
  }
  return names;
}

Result<void> compress(const QuantizeOptions& options, Search& search) {
  const Optimised& state = search.state;
  const std::vector<Layer> layers = find_layers(state.graph, state.points);
  std::vector<std::string> names;
  if (options.four_bit_layers) {
    names = *options.four_bit_layers;
  } else if (options.four_bit_share > 0.0) {
    TRY_ASSIGN(names, best_in_four_bits(options.four_bit_share, layers, search));
  }
  if (names.empty()) return ok();
  Choices choices = state.choices;
  for (const Layer& layer : layers) {
    const std::string& name = state.graph.node(layer.node).name;
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    TRY(round_to_four_bits(layer, search, choices));
  }
  TRY_ASSIGN(BlockNoise after, search.judge(choices));
  search.record(fmt::format("4-bit weights for {} of {} layers: {}", names.size(), layers.size(),
                            fmt::join(names, ", ")),
                search.noise, after, true);
  search.state.choices = std::move(choices);
  search.noise = std::move(after);
  return ok();
}

// Points, ranges and rounded weights of the graph as it now is.
Result<void> first_state(const Tensor& all, const Tensor& held_out, const QuantizeOptions& options,
                         Search& search) {
  Optimised& state = search.state;
  QuantizeOptions own = options;
  const auto watch = [&](const Tensor& windows) {
    return observe(state.graph, state.points, windows, options.calibrator);
  };
  if (options.level < 0) {
    TRY_ASSIGN(state.seen, watch(all));
  } else {
    TRY_ASSIGN(state.seen, watch(search.windows));
    search.fitting_channels = state.seen.channels;
    if (options.calibrator == Calibrator::kOutput) TRY(choose_observers(state.seen, own, search));
    if (options.calibrator == Calibrator::kMovingAverage) {
      TRY_ASSIGN(state.seen, watch(all));  // averages of two parts do not add
    } else {
      TRY_ASSIGN(const Observation rest, watch(held_out));
      add_to(state.seen, rest);
    }
  }
  TRY_ASSIGN(state.choices, first_choices(state.graph, state.points, state.seen, own));
  TRY_ASSIGN(search.noise, search.judge(state.choices));
  return ok();
}

Optimised finished(Search search) {
  search.state.held_out = std::move(search.noise);
  return std::move(search.state);
}

}  // namespace

Result<Optimised> optimise(const Graph& device, const Tensor& windows,
                           const QuantizeOptions& options) {
  Search search;
  search.state.graph = device;
  Split split = split_windows(windows, options.groups);
  search.windows = std::move(split.fitting);
  const size_t chosen_on = affordable_windows(device, kChoosingWork, kFewestJudged, kMostChosenOn);
  const size_t judged_on = affordable_windows(device, kJudgingWork, kFewestJudged, kMostJudged);
  TRY_ASSIGN(search.fitting, make_reference(device, search.windows, chosen_on));
  TRY_ASSIGN(search.layerwise, make_reference(device, search.windows, judged_on));
  TRY_ASSIGN(search.held_out, make_reference(device, split.held_out, judged_on));
  const bool is_given = !options.given.empty();
  if (options.level >= 0 && options.equalization && !is_given) {
    TRY_ASSIGN(search.state.graph, equalized_graph(device, options, search));
  }
  Optimised& state = search.state;
  state.points = find_points(state.graph);
  if (is_given) {
    TRY_ASSIGN(state.seen, observe(state.graph, state.points, windows, options.calibrator));
    TRY_ASSIGN(state.choices, first_choices(state.graph, state.points, state.seen, options));
    TRY_ASSIGN(search.noise, search.judge(state.choices));
    search.record("scales were given: the level's steps are left out", search.noise, search.noise,
                  false);
    return finished(std::move(search));
  }
  TRY(first_state(windows, split.held_out, options, search));
  TRY(compress(options, search));
  if (options.level >= 1) TRY(correct_biases(search));
  if (options.level >= 2) TRY(learn_level(options, search));
  return finished(std::move(search));
}

}  // namespace graupel::quantize
