// Whole recordings: the most probable segments, and the probability of each state in each window.
//
// Idea: recursions over the first window of a segment and the window behind its last,
//   f_s(t) = P(windows before t, a segment of s begins at t)
//   g_s(t) = P(windows before t, a segment of s ends before t)
//          = sum over d of f_s(t - d) P_s(d) b_s(t - d .. t - 1)
//   f_s(t) = sum over r of g_r(t) A_rs
// and their mirror images backwards. Time O(T (S^2 + S D)), memory O(T S). Viterbi takes maxima.
// Reference: Yu 2010; Guedon 2003 (right-censored last segment). Formulas: docs/hsmm.md.
// Test: hsmm_offline_test.cc (all segmentations, enumerated).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "decide/hsmm_tables.h"

namespace graupel::decide {

// Whether the last segment goes on behind the recording (right-censored) or ends with it.
enum class End { kOpen, kComplete };

struct Observations {
  std::span<const double> log_emission;  // [T, states], see log_emissions
  std::span<const int32_t> contexts;     // T, below tables.contexts; empty: all 0
  End end = End::kOpen;
};

struct Segment {
  size_t start = 0;   // window
  size_t length = 1;  // windows
  size_t state = 0;
  double confidence = 0.0;  // mean probability of the state over its windows; see with_confidence
  bool cut_at_start = false, cut_at_end = false;  // by the recording: it lasted at least that long

  bool operator==(const Segment&) const = default;
};

struct Path {
  std::vector<Segment> segments;
  double log_probability = 0.0;  // of windows and segments together
};

// Errors kInvalidInput: no window, sizes or contexts that do not fit.
Result<Path> viterbi(const HsmmTables& tables, const Observations& observations);

// Expected counts, summed over recordings: what EM needs.
struct ExpectedCounts {
  std::vector<double> first;        // [state]: of the first segment
  std::vector<double> transitions;  // [context][from][to]
  std::vector<double> windows;      // [state]
  // [state][d - 1], d = 1 .. D; D stands for all longer ones.
  std::vector<std::vector<double>> complete, cut_at_start, cut_at_end, cut_at_both;

  bool empty() const { return first.empty(); }
};

struct Posterior {
  std::vector<double> probability;  // [T, states], given the whole recording
  double log_likelihood = 0.0;
};

// Errors as viterbi. `counts`, if given, is added to (made when empty).
Result<Posterior> posterior(const HsmmTables& tables, const Observations& observations,
                            ExpectedCounts* counts = nullptr);

// The segments with their confidence taken from `probability` ([T, states]).
std::vector<Segment> with_confidence(std::vector<Segment> segments,
                                     std::span<const double> probability, size_t states);

Result<void> check_observations(const HsmmTables& tables, const Observations& observations);

}  // namespace graupel::decide
