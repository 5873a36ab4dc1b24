// How long behaviours last, as a step of calibrating: fitted on the people that confidence and
// thresholds come from, judged on the others. Test: calibrate_test.cc. Document: docs/hsmm.md.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "calibrate/hsmm_fit.h"
#include "calibrate/predictions.h"
#include "calibrate/split.h"
#include "decide/block.h"
#include "deploy/decode.h"
#include "report/report.h"

namespace graupel::deploy {

// The windows are recordings in the order of time, one hop apart.
struct HsmmRequest {
  std::vector<int64_t> recordings;  // per window; empty: every run of one group is a recording
  int64_t window_samples = 0, hop_samples = 0;
  double rate_hz = 0.0;  // 0: not known
  decide::EmissionUse use = decide::EmissionUse::kPosteriors;
};

struct CalibratedHsmm {
  calibrate::HsmmFit fit;
  calibrate::HsmmScores judged;  // on the judge's part
  size_t fit_recordings = 0, judged_recordings = 0;
  // The longest judged recording, as labelled, window by window, online and offline.
  Timeline example;
};

// FSQ digits of all windows, [windows, levels], where the request reads them.
struct HsmmInput {
  const calibrate::Predictions& predictions;
  std::vector<int64_t> digits;
  std::vector<int64_t> levels;  // empty: the network has no FSQ
  const std::vector<std::string>& labels;
};

// Errors kInvalidInput: recordings that do not fit the windows, codes of a network without
// FSQ; those of calibrate::fit_hsmm.
Result<CalibratedHsmm> fit_durations(const HsmmRequest& request, const HsmmInput& input,
                                     const calibrate::Split& split,
                                     const decide::Confidence& confidence);

std::vector<std::pair<std::string, std::string>> hsmm_rows(const CalibratedHsmm& hsmm);
void add_hsmm_figures(report::Report& report, const CalibratedHsmm& hsmm);

}  // namespace graupel::deploy
