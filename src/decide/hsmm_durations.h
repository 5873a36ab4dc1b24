// Duration families as tables: probability, survivor and residual law up to D, geometric beyond.
//
// Idea: whatever the family, algorithms read P(length = d) for d < D and P(length >= d) for
// d <= D. From D on the chance to stop is constant, with the mean of the family's own tail, so a
// segment may be as long as it likes in bounded memory; kLeastTail of every law lies there and as
// much evenly below, so that no recording is impossible, and no way so much better whatever comes
// that a stream could never commit itself. Test: hsmm_durations_test.cc (SciPy's values).
#pragma once

#include <cstddef>
#include <vector>

#include "decide/hsmm.h"

namespace graupel::decide {

inline constexpr double kLeastTail = 1e-12;

struct DurationTable {
  // Index d - 1. Linear, and log with -inf for 0.
  std::vector<double> probability, log_probability;  // d = 1 .. D-1
  std::vector<double> survivor, log_survivor;        // P(length >= d), d = 1 .. D
  // A recording that begins inside a segment: P(remaining >= d) = sum_{r >= d} survivor(r) / mean.
  std::vector<double> log_remaining;  // d = 1 .. D
  double stop = 0.5;                  // P(length = d | length >= d) for every d >= D
  double log_stop = 0.0, log_stay = 0.0;
  double mean = 1.0;  // windows
  double log_mean = 0.0;
};

// maximum_duration >= 2. The duration has passed check_hsmm.
DurationTable make_duration_table(const Duration& duration, size_t maximum_duration);

// log P(length = d), log P(length >= d), and log P(remaining >= d) for any d >= 1.
double log_probability_at(const DurationTable& table, size_t d);
double log_survivor_at(const DurationTable& table, size_t d);
double log_remaining_at(const DurationTable& table, size_t d);

// The family itself, without bound: P(length = d) for d = 1 .. count, and P(length > count).
// For a table: its entries.
struct DurationLaw {
  std::vector<double> probability;
  double beyond = 0.0;
};
DurationLaw duration_law(const Duration& duration, size_t count);

// A problem with the parameters, in words; empty if there is none.
std::string duration_problem(const Duration& duration);

}  // namespace graupel::decide
