// What a stream of windows adds: an alarm when it stops resembling the calibration windows, and
// adaptive sets that keep their coverage when true classes become known.
//
// Idea, drift: windows that are exchangeable with the calibration windows have conformal p-values
// that are independent and uniform, so nobody gets rich betting against that. A martingale bets;
// its wealth reaches w with probability at most 1 / w. Scores are counted in bins, so a stream of
// any length needs the same memory and stays exact.
// Idea, adaptive: raise alpha a little after every window whose set held its true class, lower it
// after a miss (adaptive conformal inference): the share of misses tends to alpha whatever happens.
// Idea, state: a stream whose windows are one recording in order also follows the HSMM
// (sequence.h). Only who says so gets it: windows in any order have no state.
// Reference: Vovk, Gammerman, Shafer 2005 and Vovk et al. 2021 (Simple Jumper, Shiryaev-Roberts);
// Gibbs and Candes 2021. Test: stream_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "decide/block.h"
#include "decide/decider.h"
#include "decide/sequence.h"

namespace graupel::decide {

// ---- drift ----

struct DriftState {
  std::vector<int64_t> counts;  // calibration and all windows so far, per bin
  int64_t total = 0;
  int64_t windows = 0;                                          // of the stream
  uint64_t seed = 1;                                            // breaks ties
  std::array<double, 3> capital = {1.0 / 3, 1.0 / 3, 1.0 / 3};  // of the bets, sums to 1
  double log_wealth = 0.0;       // natural logarithm of the martingale
  double log_restarting = -1e9;  // of the Shiryaev-Roberts statistic
  bool alarm = false;            // stays until reset
};

DriftState start_drift(const Drift& drift, uint64_t seed = 1);
// One window whose uncertainty is 1 - (largest calibrated probability). Returns the p-value.
// No allocation. A NaN is not counted and gives 1.
double observe_drift(const Drift& drift, double uncertainty, DriftState& state);
// The alarm: wealth >= drift.alarm, or the restarting statistic >= drift.run_length.

// ---- adaptive conformal inference ----

struct AdaptiveState {
  double alpha = 0.1;  // of the next set; may leave [0, 1]
  int64_t windows = 0, misses = 0;
};

AdaptiveState start_adaptive(const Conformal& conformal);
// The threshold for the next window: the quantile of the calibration scores at 1 - alpha.
// alpha <= 0: every class; alpha >= 1: none.
double adaptive_threshold(const Adaptive& adaptive, const AdaptiveState& state);
// After the true class became known: alpha += step (target - missed).
void observe_adaptive(const Adaptive& adaptive, double target_alpha, bool missed,
                      AdaptiveState& state);

// ---- one stream, for a server ----

struct Stream {
  Workspace workspace;
  DriftState drift;
  AdaptiveState adaptive;
  std::optional<Sequence> sequence;  // only if its windows are one recording in order
  uint64_t windows = 0;
};

// Windows in any order: no HSMM.
Stream start_stream(const Decider& decider, uint64_t seed = 1);
// Windows of one recording in order. `digits`: how many FSQ digits decide_next will be given, 0 for
// none. Errors kInvalidInput: the block has no HSMM, or one that reads digits that are not given;
// those of start_sequence.
Result<Stream> start_recording(const Decider& decider, const SequenceOptions& options,
                               size_t digits = 0, uint64_t seed = 1);
// The next window is of another recording. What drift and adaptive sets have seen stays.
void restart_recording(Stream& stream);

struct StreamDecision {
  Decision decision;
  double log_wealth = 0.0;  // of the drift martingale; 0 if the block has none
  bool drift_alarm = false;
  std::optional<SequenceAnswer> sequence;  // of a stream made by start_recording
};
// decide_window with the stream's adaptive threshold (if the block has scores for one), drift test
// and HSMM, which reads `digits` (FSQ, first dimension first) where it was fitted on them. No
// allocation, save for segments committed early.
StreamDecision decide_next(const Decider& decider, std::span<const float> logits,
                           std::optional<int64_t> group, Stream& stream,
                           std::span<const int64_t> digits = {}, uint32_t context = 0);
// Tells the stream the true class of the window decided last.
void tell_truth(const Decider& decider, int64_t true_class, const Decision& decision,
                Stream& stream);

}  // namespace graupel::decide
