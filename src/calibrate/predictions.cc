// Labelled logits. See predictions.h. Test: confidence_test.cc.
#include "calibrate/predictions.h"

#include <fmt/format.h>

#include <cmath>

#include "decide/decider.h"

namespace graupel::calibrate {

Result<void> check_predictions(const Predictions& predictions) {
  const size_t count = predictions.count();
  if (predictions.classes < 2 || count == 0 ||
      predictions.logits.size() != count * predictions.classes) {
    return invalid_input("predictions",
                         fmt::format("are {} logits for {} labels, expected {} classes each",
                                     predictions.logits.size(), count, predictions.classes));
  }
  if (!predictions.groups.empty() && predictions.groups.size() != count) {
    return invalid_input("groups", fmt::format("are {}, but there are {} windows",
                                               predictions.groups.size(), count));
  }
  for (size_t i = 0; i < count; ++i) {
    const int64_t label = predictions.labels[i];
    if (label < 0 || label >= static_cast<int64_t>(predictions.classes)) {
      return invalid_input(fmt::format("label {}", i),
                           fmt::format("is {}, expected 0 to {}", label, predictions.classes - 1));
    }
    for (const float logit : predictions.row(i)) {
      if (!std::isfinite(logit)) {
        return invalid_input(fmt::format("window {}", i),
                             "gives a logit that is not a number; look for NaN or huge readings "
                             "in it");
      }
    }
  }
  return ok();
}

Predictions rows_of(const Predictions& predictions, std::span<const size_t> windows) {
  Predictions part;
  part.classes = predictions.classes;
  for (const size_t i : windows) {
    const std::span<const float> row = predictions.row(i);
    part.logits.insert(part.logits.end(), row.begin(), row.end());
    part.labels.push_back(predictions.labels[i]);
    if (!predictions.groups.empty()) part.groups.push_back(predictions.groups[i]);
  }
  return part;
}

std::vector<double> probabilities_of(const decide::Confidence& confidence,
                                     const Predictions& predictions) {
  std::vector<double> probabilities(predictions.logits.size());
  for (size_t i = 0; i < predictions.count(); ++i) {
    const std::span<double> out =
        std::span<double>(probabilities).subspan(i * predictions.classes, predictions.classes);
    std::optional<int64_t> group;
    if (!predictions.groups.empty()) group = predictions.groups[i];
    decide::calibrated_probabilities(confidence, predictions.row(i), group, out);
  }
  return probabilities;
}

}  // namespace graupel::calibrate
