// From logits to a decision. See decider.h. Test: decider_test.cc.
#include "decide/decider.h"

#include <algorithm>
#include <cmath>

#include "decide/conformal.h"

namespace graupel::decide {
namespace {

double temperature_of(const Confidence& confidence, std::optional<int64_t> group) {
  if (confidence.method == ConfidenceMethod::kPerGroup && group) {
    const auto found = std::lower_bound(
        confidence.groups.begin(), confidence.groups.end(), *group,
        [](const GroupTemperature& row, int64_t wanted) { return row.group < wanted; });
    if (found != confidence.groups.end() && found->group == *group) return found->temperature;
  }
  return confidence.method == ConfidenceMethod::kNone ? 1.0 : confidence.temperature;
}

constexpr uint64_t kSetSeed = 0x5e75;

}  // namespace

Result<Decider> make_decider(Block block, size_t classes) {
  if (block.classes != static_cast<int64_t>(classes)) {
    return invalid_input(std::string(kBlockMember),
                         "was fitted for " + std::to_string(block.classes) +
                             " classes, but the network gives " + std::to_string(classes) +
                             " logits: calibrate this bundle again");
  }
  Decider decider{std::move(block), nullptr};
  if (decider.block.hsmm.empty()) return decider;
  TRY_ASSIGN(Hsmm model, parse_hsmm(decider.block.hsmm));
  if (model.states() != classes) {
    return invalid_input(std::string(kBlockMember),
                         "its HSMM has " + std::to_string(model.states()) +
                             " states, but the network gives " + std::to_string(classes) +
                             " logits: fit it again");
  }
  TRY_ASSIGN(decider.sequence, make_sequence_model(std::move(model)));
  return decider;
}

Workspace make_workspace(const Decider& decider) {
  const auto classes = static_cast<size_t>(decider.block.classes);
  Workspace workspace;
  workspace.probabilities.resize(classes);
  workspace.scores.resize(classes);
  workspace.order.resize(classes);
  workspace.set.resize(classes);
  return workspace;
}

bool calibrated_probabilities(const Confidence& confidence, std::span<const float> logits,
                              std::optional<int64_t> group, std::span<double> probabilities) {
  const bool vector = confidence.method == ConfidenceMethod::kVector;
  const double inverse = 1.0 / temperature_of(confidence, group);
  double highest = -kNoThreshold;
  bool finite = true;
  for (size_t c = 0; c < logits.size(); ++c) {
    finite = finite && std::isfinite(logits[c]);
    const double logit = logits[c];
    probabilities[c] = vector ? confidence.scale[c] * logit + confidence.bias[c] : inverse * logit;
    highest = std::max(highest, probabilities[c]);
  }
  double sum = 0.0;
  for (double& value : probabilities) {
    value = finite ? std::exp(value - highest) : 1.0;
    sum += value;
  }
  for (double& value : probabilities) value /= sum;
  return finite;
}

Decision decide_window(const Decider& decider, std::span<const float> logits,
                       const WindowContext& context, Workspace& workspace) {
  const Block& block = decider.block;
  Decision decision;
  decision.finite =
      calibrated_probabilities(block.confidence, logits, context.group, workspace.probabilities);
  decision.probabilities = workspace.probabilities;
  const auto largest =
      std::max_element(workspace.probabilities.begin(), workspace.probabilities.end());
  decision.class_index = largest - workspace.probabilities.begin();
  decision.probability = *largest;
  if (!block.conformal) return decision;
  const Conformal& conformal = *block.conformal;
  rank_classes(workspace.probabilities, workspace.order);
  const double u = conformal.randomised ? uniform_of(kSetSeed, context.number) : 1.0;
  class_scores(conformal, workspace.probabilities, workspace.order, u, workspace.scores);
  size_t size = 0;
  for (const int32_t c : workspace.order) {
    const auto index = static_cast<size_t>(c);
    const double threshold =
        context.threshold ? *context.threshold : threshold_of(conformal, index, context.group);
    if (!decision.finite || workspace.scores[index] <= threshold) workspace.set[size++] = c;
  }
  if (size == 0 && conformal.empty_sets == EmptySets::kTopClass) {
    workspace.set[size++] = workspace.order[0];
  }
  decision.set = std::span<const int32_t>(workspace.set.data(), size);
  return decision;
}

}  // namespace graupel::decide
