// How good probabilities are: calibration error in its usual forms, proper scores, ranking.
//
// Idea: everything is computed from the same table of probabilities and labels, by the published
// definition. Binned errors grow when a sample is small, even for perfect probabilities, so the
// number to judge by is debiased and comes with an interval.
// Reference: Guo 2017 (ECE), Nixon 2019 (equal mass, class-wise), Kumar 2019 and Broecker 2012
// (debiasing), Murphy 1973 and Stephenson 2008 (Brier), Geifman 2017 (AURC).
// Formulas: docs/decisions.md. Test: metrics_test.cc, fixtures_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace graupel::calibrate {

// Row after row of class probabilities, with their labels (checked: see check_predictions).
struct Probabilities {
  size_t classes = 0;
  std::span<const double> values;
  std::span<const int64_t> labels;

  size_t count() const { return labels.size(); }
  std::span<const double> row(size_t i) const { return values.subspan(i * classes, classes); }
};

// One number per window: how sure, and whether that came true.
struct Event {
  double confidence = 0.0;
  bool right = false;
};
std::vector<Event> top_events(const Probabilities& probabilities);  // of the most probable class
std::vector<Event> class_events(const Probabilities& probabilities, size_t c);

struct Bin {
  double low = 0.0, high = 0.0;  // edges
  int64_t count = 0;
  double mean_confidence = 0.0, share_right = 0.0;
};
enum class Binning { kEqualWidth, kEqualMass };
inline constexpr size_t kBins = 15;
// Equal width: ((b) / bins, (b + 1) / bins], 0 in the first. Equal mass: sorted by confidence, cut
// into parts that differ by at most one; equal confidences may be parted.
std::vector<Bin> bins_of(std::span<const Event> events, Binning binning, size_t bins = kBins);

double expected_error(std::span<const Bin> bins);  // ECE: mean |share right - confidence|
double maximum_error(std::span<const Bin> bins);   // MCE, over bins that hold something
// 2 ECE - E[ECE of resampled bins], with each bin's share normal around what was found: what is
// left when the part that chance alone makes is taken off (Kumar 2019 by its closed form instead
// of draws). Not below 0.
double debiased_error(std::span<const Bin> bins);
// Mean over classes of the equal-width ECE of that class's probability.
double classwise_error(const Probabilities& probabilities, size_t bins = kBins);

// Debiased ECE (equal mass; 15 bins, fewer where they would hold less than 50 windows) and a 95 %
// interval from resampling whole groups (if there are at least eight), else windows, and never
// narrower than chance alone makes it for independent windows. Its lower end
// is not to be trusted near 0: an error that is an absolute value never comes out as nothing.
struct Judged {
  double value = 0.0, low = 0.0, high = 0.0;
  size_t clusters = 0;  // what was resampled: groups or windows
  bool by_group = false;
};
Judged judged_error(std::span<const Event> events, std::span<const int64_t> groups, uint64_t seed,
                    size_t resamples = 1000);

struct Brier {
  double score = 0.0;        // mean over windows of sum over classes (p - y)^2; from 0 to 2
  double reliability = 0.0;  // what bad calibration costs
  double resolution = 0.0;   // what telling windows apart earns
  double uncertainty = 0.0;  // of the labels alone
  double within_bins = 0.0;  // score = reliability - resolution + uncertainty + within_bins
};
Brier brier_of(const Probabilities& probabilities, size_t bins = kBins);

double nll_of(const Probabilities& probabilities);       // natural logarithm, mean per window
double accuracy_of(const Probabilities& probabilities);  // share
// Area under risk-coverage: mean over k of the error rate among the k surest; ties count as if in
// random order.
double aurc_of(std::span<const Event> events);

struct ConfidenceMetrics {
  size_t count = 0;
  double accuracy = 0.0, nll = 0.0, aurc = 0.0;
  double ece_width = 0.0, ece_mass = 0.0, ece_classwise = 0.0, mce = 0.0;
  Judged ece;
  Brier brier;
  std::vector<Bin> reliability;  // equal width, for the picture
};
ConfidenceMetrics confidence_metrics(const Probabilities& probabilities,
                                     std::span<const int64_t> groups, uint64_t seed);

}  // namespace graupel::calibrate
