// The model as the algorithms read it: logarithms and duration tables, computed once.
// Test: hsmm_offline_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "decide/hsmm.h"
#include "decide/hsmm_durations.h"

namespace graupel::decide {

struct HsmmTables {
  size_t states = 0;
  size_t maximum_duration = 0;
  size_t contexts = 1;
  Begin begin = Begin::kInside;
  std::vector<double> log_initial;
  std::vector<double> transition;      // [context][from][to]
  std::vector<double> log_transition;  // the same, -inf for 0
  std::vector<DurationTable> durations;

  const double* transitions_in(size_t context) const {
    return transition.data() + context * states * states;
  }
  const double* log_transitions_in(size_t context) const {
    return log_transition.data() + context * states * states;
  }
};

// Errors: those of check_hsmm.
Result<HsmmTables> make_hsmm_tables(const Hsmm& model);

// The model for windows that follow each other every `hop` of its own hops (0.5: twice as many
// windows): every duration law is spread over the new windows, and each window's evidence counts
// `hop` times, so that evidence per second stays (at most the weight it has). Error kInvalidInput:
// a hop outside 1/64 to 64.
Result<Hsmm> rescaled(const Hsmm& model, double hop);

// log b(s) of one window (Emission), into `out` (one per state). `probabilities`: one per state,
// or empty where the model reads codes only; `digits`: one per level count, or empty likewise.
// Nothing is allocated. A probability below kLeastProbability counts as that.
void log_emission(const Emission& emission, std::span<const double> probabilities,
                  std::span<const int64_t> digits, std::span<double> out);

// The same for T windows, row-major [T, states]. Error kInvalidInput: sizes that do not fit, a
// probability that is NaN or outside [0, 1], a digit outside its levels; with the window.
Result<std::vector<double>> log_emissions(const Hsmm& model, std::span<const double> probabilities,
                                          std::span<const int64_t> digits, size_t windows);

}  // namespace graupel::decide
