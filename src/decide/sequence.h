// A recording as it happens: which state now and since when, window by window, by the block's HSMM.
//
// Idea: everything that decodes (a stream here, a whole recording in deploy/decode) turns a
// window's calibrated probabilities and FSQ digits into evidence by the one function below. A
// window without a finite logit, or one that is missing, is time that passes without evidence.
// Nothing is allocated per window, save by the segments committed early.
// Formulas: docs/hsmm.md. Test: sequence_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "decide/hsmm_filter.h"
#include "decide/hsmm_survivors.h"

namespace graupel::decide {

// The HSMM at one hop, ready to be stepped; any number of streams share it.
struct SequenceModel {
  Hsmm model;
  std::shared_ptr<const HsmmTables> tables;
  bool rescaled = false;  // the hop is not the one it was fitted at

  double hop_s() const {  // 0: the rate is not known
    return model.rate_hz > 0.0 ? static_cast<double>(model.hop_samples) / model.rate_hz : 0.0;
  }
};

// hop_samples and rate_hz: of the windows to come; 0: the model's own. Errors kInvalidInput: those
// of check_hsmm and rescaled; a negative hop; another rate than the model's.
Result<std::shared_ptr<const SequenceModel>> make_sequence_model(Hsmm model,
                                                                 int64_t hop_samples = 0,
                                                                 double rate_hz = 0.0);

// What has to be said of windows that come hop_samples apart (0: the model's own): that the model
// is rescaled to them. nullopt if it is not.
std::optional<std::string> rescaling_note(const Hsmm& fitted, int64_t hop_samples);

// log b(s) of one window, one per state. False, and all zero, where it says nothing: `finite` is
// false, or the model reads FSQ digits and `digits` are not those of its levels.
bool window_evidence(const Emission& emission, std::span<const double> probabilities, bool finite,
                     std::span<const int64_t> digits, std::span<double> out);

struct SequenceOptions {
  int64_t hop_samples = 0;  // from one window to the next; 0: the model's
  double rate_hz = 0.0;     // 0: the model's
  size_t lag = 0;           // windows; 0: no fixed-lag answer beside the filter's
  bool commit = false;      // give segments as soon as they are certain
  bool contexts = false;    // the caller knows every window's context
};

// One recording under way.
struct Sequence {
  std::shared_ptr<const SequenceModel> shared;
  HsmmFilter filter;
  std::optional<HsmmSurvivors> survivors;
  std::vector<double> evidence;
};

// Errors: those of make_sequence_model (another hop), make_filter and make_survivors;
// kInvalidInput if the model's transitions depend on a context and the caller knows none.
Result<Sequence> start_sequence(std::shared_ptr<const SequenceModel> shared,
                                const SequenceOptions& options = {});
// A new recording begins: after a gap nobody knows anything about, or with another person.
void restart(Sequence& sequence);

struct LaggedState {
  uint64_t window = 0;  // of the recording, the one the answer is about
  size_t state = 0;
  double probability = 0.0;
};

struct SequenceAnswer {
  uint64_t window = 0;   // of the recording, from 0
  bool evidence = true;  // false: the window said nothing, only its time passed
  size_t state = 0;      // the most probable now, given all windows so far
  double probability = 0.0;
  std::span<const double> probabilities;  // one per state
  uint64_t lasted_windows = 1;            // in this state, this window included: most probable
  double lasted_probability = 0.0;        // of that number, given the state
  bool at_least = false;         // the recording began inside it, or D is reached: it may be longer
  double lasted_s = 0.0;         // lasted_windows hops; 0 if the rate is not known
  double end_probability = 0.0;  // given the state: this window is its last
  std::optional<double> remaining_windows;  // mean, this window included; unknown if at_least
  std::optional<LaggedState> lagged;        // with a lag, once there are more windows than that
  // Final segments, in order, that this window made so; confidence is the mean of what the filter
  // gave the state at the time.
  std::span<const Segment> committed;
};

// One window; its context (below the model's number of them) chooses the transitions. The spans
// point into `sequence` and are valid until its next step.
SequenceAnswer step(Sequence& sequence, std::span<const double> probabilities, bool finite,
                    std::span<const int64_t> digits = {}, uint32_t context = 0);
// A window that was not measured.
SequenceAnswer step_without_window(Sequence& sequence, uint32_t context = 0);
// The recording ends: the segments that were not committed (empty without `commit`).
std::vector<Segment> finish(const Sequence& sequence);

}  // namespace graupel::decide
