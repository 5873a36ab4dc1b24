// Loading windows for a model. See windows.h. Test: deploy_test.cc.
#include "deploy/windows.h"

#include <fmt/format.h>

#include <limits>

#include "base/files.h"
#include "data/synth.h"

namespace graupel::deploy {
namespace {

constexpr uint64_t kNormalizationLimitBytes = uint64_t{1} << 20;

Result<Shape> window_shape(const ir::Graph& graph) {
  if (graph.inputs.size() != 1) {
    return unsupported(
        graph.name,
        fmt::format("has {} inputs; graupel feeds windows to exactly one", graph.inputs.size()));
  }
  const Shape& shape = graph.shape(graph.inputs[0]);
  if (shape.empty() || shape[0] != 1) {
    return unsupported(graph.value(graph.inputs[0]).name,
                       "has shape " + to_string(shape) + "; windows need a first dimension of 1");
  }
  return Shape(shape.begin() + 1, shape.end());
}

using MaybeNormalization = std::optional<data::Normalization>;

Result<MaybeNormalization> load_normalization(const std::string& choice, const Tensor& windows,
                                              const MaybeNormalization& own) {
  if (choice.empty()) return own;
  if (choice == "none") return MaybeNormalization();
  if (choice == "fit") {
    TRY_ASSIGN(const std::vector<data::ChannelStatistics> channels,
               data::channel_statistics(windows));
    return MaybeNormalization(data::normalization_of(channels));
  }
  TRY_ASSIGN(const std::string text, read_file(choice, kNormalizationLimitBytes));
  Result<data::Normalization> parsed = data::parse_normalization(text);
  if (!parsed.ok()) return std::move(parsed).error().within(choice);
  return MaybeNormalization(std::move(parsed).value());
}

// Noise of mean 0 and deviation 1 where the model takes it, so raw windows are scaled the other
// way.
Result<Windows> random_windows(const WindowOptions& options, const Shape& shape,
                               const MaybeNormalization& own) {
  if (options.normalization == "fit") {
    return invalid_input("--normalization fit",
                         "needs recordings; noise says nothing about them. Give a "
                         "normalization.json or real windows");
  }
  if (!options.labels.empty()) {
    return invalid_input(options.labels, "holds labels, but noise has no classes");
  }
  TRY_ASSIGN(Tensor noise, data::synth_noise(shape, kRandomWindows, 1));
  TRY_ASSIGN(MaybeNormalization normalization,
             load_normalization(options.normalization, noise, own));
  if (normalization) {
    if (shape.empty() || static_cast<int64_t>(normalization->mean.size()) != shape[0]) {
      return invalid_input(
          options.normalization.empty() ? "the bundle's normalization" : options.normalization,
          fmt::format("has {} channels, but the model's windows are {}", normalization->mean.size(),
                      to_string(shape)));
    }
    const size_t channels = normalization->mean.size();
    const std::span<float> values = noise.mutable_data<float>();
    const size_t inner = values.size() / static_cast<size_t>(kRandomWindows) / channels;
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t channel = i / inner % channels;
      values[i] = static_cast<float>(static_cast<double>(values[i]) * normalization->std[channel] +
                                     normalization->mean[channel]);
    }
  }
  TRY_ASSIGN(Windows windows, normalized_windows(std::move(noise), std::nullopt, normalization));
  windows.random = true;
  return windows;
}

}  // namespace

int64_t class_count(const ir::Graph& graph) {
  return graph.outputs.empty() ? 0 : element_count(graph.shape(graph.outputs[0])).value_or(0);
}

Result<Windows> normalized_windows(Tensor raw, std::optional<Tensor> labels,
                                   std::optional<data::Normalization> normalization) {
  Windows result;
  result.model = raw;
  if (normalization) {
    TRY_ASSIGN(result.model, data::preprocess(raw, *normalization));
  }
  result.raw = std::move(raw);
  result.labels = std::move(labels);
  result.normalization = std::move(normalization);
  return result;
}

Result<std::vector<int64_t>> groups_of(const std::string& path, const data::WindowSet& set) {
  if (path.empty()) return set.subjects ? set.subjects->to_int64s() : std::vector<int64_t>();
  TRY_ASSIGN(const Tensor groups,
             data::load_labels(path, set.count(), std::numeric_limits<int64_t>::max()));
  return groups.to_int64s();
}

Result<Windows> load_windows(const WindowOptions& options, const ir::Graph& graph,
                             const std::optional<data::Normalization>& own, const ir::Graph* last) {
  TRY_ASSIGN(const Shape shape, window_shape(graph));
  if (options.windows == "random") return random_windows(options, shape, own);
  TRY_ASSIGN(data::WindowSet set, data::load_windows(options.windows, shape));
  std::optional<Tensor> labels = std::move(set.labels);
  if (!options.labels.empty()) {
    TRY_ASSIGN(labels, data::load_labels(options.labels, set.windows.shape()[0],
                                         class_count(last != nullptr ? *last : graph)));
  }
  TRY_ASSIGN(MaybeNormalization normalization,
             load_normalization(options.normalization, set.windows, own));
  TRY_ASSIGN(std::vector<int64_t> groups, groups_of(options.groups, set));
  TRY_ASSIGN(Windows windows, normalized_windows(std::move(set.windows), std::move(labels),
                                                 std::move(normalization)));
  windows.groups = std::move(groups);
  return windows;
}

}  // namespace graupel::deploy
