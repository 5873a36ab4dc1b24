// One window at a time: which state now, for how long already, and which state some windows ago.
//
// Idea: the forward recursion in a ring (hsmm_sums.h). The fixed-lag answer runs the backward
// recursion over the last `lag` windows only: segments that began before them are already in the
// filter's answer, and P(state) changes from window to window by what begins minus what ends.
// It works on plain numbers, not logarithms: a term that underflows was less than 1e-308 and can
// grow by no more than the surprise of the windows in the lag, whose sum is watched; beyond 600
// nats the same recursion runs on logarithms.
// A step takes O(S^2 + S D) and, with a lag L, L S (S + L / 2) multiplications more; memory
// O(S (D + L)), nothing is allocated after make_filter. Reference: Yu 2010; docs/hsmm.md. Test:
// hsmm_filter_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "decide/hsmm_sums.h"

namespace graupel::decide {

inline constexpr size_t kMaxLag = 512;

struct HsmmFilter {
  std::shared_ptr<const HsmmTables> tables;
  DurationSums sums;
  size_t lag = 0;
  uint64_t windows = 0;             // seen so far
  double log_likelihood = 0.0;      // of them
  std::vector<double> probability;  // [state] now, given all windows so far
  // [state] `lag` windows ago, given all windows so far; only if windows > lag.
  std::vector<double> lagged;

  // The last lag + 1 windows, row t % (lag + 1).
  std::vector<double> begin, end, emission, scale;
  std::vector<double> begins, ends, emits;  // e^begin, e^end, e^(emission - scale)
  std::vector<double> surprise;             // largest emission - scale, if positive
  std::vector<uint32_t> context;
  std::vector<double> after, next, work;  // of the backward recursion
  // [state][d - 1]: P(length = d) for d = 1 .. lag, P(length >= d) for d = 1 .. lag.
  std::vector<double> length_is, length_reaches;
  std::vector<double> ahead;  // [state][boundary - (windows - lag)], see look_back
  std::vector<double> open;   // [state]: emissions since the window looked at
};
inline constexpr double kMostSurprise = 600.0;  // nats in a lag, for plain numbers

// lag 0: no fixed-lag answer beside the filter's. Error kInvalidInput: a lag above kMaxLag.
Result<HsmmFilter> make_filter(std::shared_ptr<const HsmmTables> tables, size_t lag = 0);

// One window: its log emissions (one per state, finite) and its context (below tables.contexts).
void step(HsmmFilter& filter, std::span<const double> log_emission, uint32_t context = 0);
// A new recording begins.
void restart(HsmmFilter& filter);

// For how many windows the state has lasted, this one included, if it is the state now.
struct Elapsed {
  uint64_t windows = 1;      // the most probable number
  bool at_least = false;     // the recording began inside the segment, or D is reached
  double probability = 0.0;  // of this number, given the state
};
Elapsed elapsed_in(const HsmmFilter& filter, size_t state);

}  // namespace graupel::decide
