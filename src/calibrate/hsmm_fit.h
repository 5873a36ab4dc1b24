// Fitting the HSMM: from labelled recordings, or by EM from unlabelled ones.
//
// Idea: both reduce to the same counts (decide::ExpectedCounts): how often which length, cut or
// whole, which transition, which first state. Labels give them as they are, EM as expectations.
// Cut segments enter through the survivor: one that the recording's end cuts at u through
// P(length >= u), one that its start cuts through P(length >= u) / mean. Durations of a class
// seen too rarely are those of all classes together, and the model says so.
// Reference: Guedon 2003 (censored segments in EM); formulas in docs/hsmm.md.
// Test: hsmm_fit_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "decide/hsmm_offline.h"

namespace graupel::calibrate {

// Windows in the order of time, a constant hop apart, without a gap.
struct Recording {
  int64_t group = 0;                  // the person
  std::vector<double> probabilities;  // calibrated, [T, classes]
  std::vector<int64_t> digits;        // FSQ, [T, levels]; empty without
  std::vector<int64_t> labels;        // T; empty where nothing is known
  std::vector<int32_t> contexts;      // T, from 0; empty: one context
};

enum class FamilyChoice { kBic, kHeldOut };

struct HsmmOptions {
  size_t classes = 0;
  std::vector<int64_t> levels;  // of the FSQ digits; empty without
  decide::EmissionUse use = decide::EmissionUse::kPosteriors;
  std::optional<decide::DurationFamily> family;  // nullopt: chosen per state
  FamilyChoice choice = FamilyChoice::kBic;      // kHeldOut needs two groups, else it is BIC
  size_t maximum_duration = 0;                   // D; 0: 1.5 times the longest segment, 10 to 1024
  size_t contexts = 1;
  std::optional<double> weight;  // of the emissions; nullopt: chosen by the labels' probability
  double least_segments = 4.0;   // whole ones, for durations of its own
  size_t em_iterations = 50;
  double em_tolerance = 1e-6;  // gain of log likelihood per window
  int64_t window_samples = 0, hop_samples = 0;
  double rate_hz = 0.0;
};

// Windows per class: answered rightly, answered, labelled.
struct ClassCounts {
  std::vector<double> right, answered, labelled;
};
// Mean of 2 right / (answered + labelled) over the classes that were answered or labelled.
double macro_f1(const ClassCounts& counts);

// What a model makes of labelled recordings. `path` is Viterbi over each whole recording, `filter`
// what a stream knows at each window, `argmax` each window alone.
struct HsmmScores {
  size_t windows = 0;
  ClassCounts argmax, filter, path;
  double argmax_accuracy = 0.0, filter_accuracy = 0.0, path_accuracy = 0.0;  // 0 to 1
  double label_log_probability = 0.0;  // mean log P(label | recording)
  size_t labelled_segments = 0, argmax_segments = 0, path_segments = 0;
};

struct HsmmFit {
  decide::Hsmm model;
  std::optional<HsmmScores> held_out;  // each half of the groups by a model of the other
  double log_likelihood = 0.0;         // of the recordings under the model
  size_t iterations = 0;               // of EM
};

// From recordings of which all have labels. Errors kInvalidInput: no recording, sizes that do not
// fit, a label outside the classes, probabilities that are not, fewer than two classes seen.
Result<HsmmFit> fit_hsmm(std::span<const Recording> recordings, const HsmmOptions& options);

// From recordings whose labels are not looked at. Begins with the runs of the most probable class.
// The emissions stay the classifier's; first states, transitions and durations are estimated. The
// likelihood does not fall from one iteration to the next. Errors: as above.
Result<HsmmFit> fit_hsmm_unlabelled(std::span<const Recording> recordings,
                                    const HsmmOptions& options);

// Errors: those of decoding.
Result<HsmmScores> score_hsmm(const decide::Hsmm& model, std::span<const Recording> recordings);

// ---- pieces ----

// Lengths of one state's segments, [d - 1] for d = 1 .. D; D stands for all longer ones.
struct Lengths {
  std::vector<double> complete, cut_at_start, cut_at_end, cut_at_both;

  double whole() const;
  double total() const;
};

struct DurationFit {
  decide::Duration duration;
  double log_likelihood = 0.0;
  double bic = 0.0;
};

// Log likelihood of the lengths, -inf if one of them cannot be.
double length_log_likelihood(const decide::Duration& duration, const Lengths& lengths);

// Maximum likelihood within a family (kTable: product limit of the segments whose start was seen,
// smoothed by two segments' worth of the negative binomial fit). Lengths are not all empty.
DurationFit fit_duration(decide::DurationFamily family, const Lengths& lengths);

// The family with the lowest BIC or, with `other`, the highest likelihood of lengths it was not
// fitted on (both ways).
struct Halves {
  Lengths first, second;
};
DurationFit choose_duration(const Lengths& lengths, const std::optional<Halves>& halves);

}  // namespace graupel::calibrate
