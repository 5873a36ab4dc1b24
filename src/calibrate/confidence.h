// Fits what turns logits into probabilities that can be believed.
//
// Idea: with beta = 1 / T the negative log-likelihood is convex, so a safeguarded Newton iteration
// always finds its one minimum. More parameters (vector scaling, a temperature per person) are
// taken only where windows they were not fitted on say that they help.
// Reference: Guo et al. 2017. Formulas: docs/decisions.md. Test: confidence_test.cc.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "calibrate/predictions.h"
#include "decide/block.h"

namespace graupel::calibrate {

struct TemperatureFit {
  double temperature = 1.0;
  double low = 1.0, high = 1.0;  // 95 % interval; by person if there are groups; may be infinite
  double nll_before = 0.0, nll_after = 0.0;  // mean per window, natural logarithm
  int iterations = 0;
  std::string refused;  // why T stays 1; empty if it was fitted
};

// The global minimum of the negative log-likelihood over T in (0, inf). T stays 1, with the
// reason, if there is no minimum inside: every window right with every margin (T -> 0), or logits
// that say less than nothing (T -> inf). `predictions` are checked.
TemperatureFit fit_temperature(const Predictions& predictions);

inline constexpr size_t kMaxVectorClasses = 64;

// scale and bias per class, with a normal prior of standard deviation 1 around (1 / T, 0).
// Error kUnsupported above kMaxVectorClasses.
Result<decide::Confidence> fit_vector(const Predictions& predictions, const TemperatureFit& start);

// A temperature for each group whose own interval excludes the common one; the others keep it.
decide::Confidence fit_per_group(const Predictions& predictions, const TemperatureFit& common);

double mean_nll(const decide::Confidence& confidence, const Predictions& predictions);

// What was tried, by cross-validation inside the fitting part (whole groups left out if there are
// two or more, else blocks), and what was taken.
struct Choice {
  decide::Confidence confidence;
  TemperatureFit temperature;
  double nll_none = 0.0, nll_temperature = 0.0, nll_vector = 0.0;  // left-out windows, mean
  std::string reason;
};

enum class Wanted { kAuto, kNone, kTemperature, kVector, kPerGroup };

// kAuto: the temperature if it lowers the left-out NLL, vector scaling if it lowers that by more
// than one standard error between folds and loses no left-out accuracy.
Result<Choice> choose_confidence(const Predictions& predictions, Wanted wanted);

}  // namespace graupel::calibrate
