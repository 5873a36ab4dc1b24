// Fits conformal thresholds, and measures what the sets then do.
// Test: conformal_test.cc, fixtures_test.cc. Formulas: docs/decisions.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "calibrate/metrics.h"
#include "decide/block.h"

namespace graupel::calibrate {

// What the sets are asked for; thresholds and counts are filled in.
struct ConformalFit {
  decide::Conformal conformal;
  std::vector<double> scores;  // of the true classes, ascending
  std::vector<std::string> warnings;
};
// `wanted` gives method, alpha, condition and the rest. A class (or group) without enough windows
// for alpha gets no threshold: its classes are in every set, and a warning says so. `groups` is
// needed for condition kGroup. Randomised scores use the row's number.
Result<ConformalFit> fit_conformal(decide::Conformal wanted, const Probabilities& probabilities,
                                   std::span<const int64_t> groups);

// Sorted scores for adaptive inference, thinned to decide::kMaxStoredScores.
decide::Adaptive fit_adaptive(std::span<const double> sorted_scores, double step);
// Bins of equal mass over the uncertainty 1 - (largest probability).
decide::Drift fit_drift(const Probabilities& probabilities, double alarm, double run_length);

// The coverage of the threshold from n calibration windows is Beta(k, n + 1 - k); of m further
// windows it then covers a beta-binomial number.
struct CoverageLaw {
  bool full = false;  // n too small: every class in every set, coverage 1
  double mean = 1.0;
  double low = 1.0, high = 1.0;  // 99 % of m-window coverages
  double pac_low = 1.0;          // the threshold's own coverage is above, with probability 95 %
};
CoverageLaw coverage_law(size_t calibration, double alpha, size_t judged);

struct Stratum {
  int64_t key = 0;  // class, size or group
  int64_t count = 0;
  double coverage = 0.0, mean_size = 0.0;
};

struct SetMetrics {
  size_t count = 0;
  double coverage = 0.0;           // of the sets as delivered
  double coverage_unfilled = 0.0;  // before empty sets got their top class
  double mean_size = 0.0;
  double empty_share = 0.0;                             // before they were filled
  double full_share = 0.0;                              // sets with every class
  double singleton_share = 0.0, singleton_right = 0.0;  // of all; of the singletons
  std::vector<int64_t> sizes;                           // windows per set size, from 0
  std::vector<Stratum> by_class, by_size, by_group;
  double worst_size_coverage = 1.0;  // least coverage of a size with at least 20 windows
};
// Judges the block's sets on rows with labels. `groups` may be empty.
SetMetrics set_metrics(const decide::Conformal& conformal, const Probabilities& probabilities,
                       std::span<const int64_t> groups);

// The set of every row as a bit per class, row after row: for comparing engines.
std::vector<bool> sets_of(const decide::Conformal& conformal, const Probabilities& probabilities,
                          std::span<const int64_t> groups);

}  // namespace graupel::calibrate
