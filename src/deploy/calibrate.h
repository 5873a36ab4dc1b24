// Stage 8: a compiled bundle and labelled windows become calibrated decisions.
//
// Idea: the plan (INT8) answers the windows; confidence is fitted on one part of the people,
// thresholds are taken on a second, everything is judged on a third. The block goes into the
// bundle with the numbers that justify it. Test: calibrate_test.cc. Document: docs/decisions.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/bundle.h"
#include "calibrate/confidence.h"
#include "calibrate/conformal.h"
#include "calibrate/metrics.h"
#include "calibrate/split.h"
#include "decide/block.h"
#include "deploy/calibrate_hsmm.h"
#include "deploy/codes.h"
#include "deploy/json.h"
#include "deploy/labelled.h"
#include "deploy/windows.h"
#include "report/report.h"
#include "validate/bars.h"

namespace graupel::deploy {

struct CalibrateOptions {
  decide::Conformal conformal;  // method, alpha, condition, ...; thresholds are filled in
  calibrate::Wanted confidence = calibrate::Wanted::kAuto;
  calibrate::SplitOptions split;
  double adaptive_step = 0.005;
  double drift_alarm = 1000.0;
  double drift_run_length = 100000.0;
  std::vector<std::string> bars;    // "id=limit"
  std::optional<HsmmRequest> hsmm;  // the windows are recordings: learn how long behaviours last
  // What the block's provenance says about the data.
  std::string data, data_sha256, labels_sha256;
};

// The same by name, as on the command line.
struct MethodNames {
  std::string method = "lac", condition = "marginal", empty_sets = "top-class";
  std::string confidence = "auto";
};
// Error kInvalidInput names the flag and what it may be.
Result<void> choose_methods(const MethodNames& names, CalibrateOptions& options);

// What is said of the HSMM on the command line.
struct HsmmNames {
  bool wanted = false;
  std::string recordings;  // file; empty: every run of one group is a recording
  std::string emission = "posteriors";
  int64_t hop_samples = 0;
  double rate_hz = 0.0;
};
// Fills options.hsmm if it is wanted. Errors kInvalidInput: no hop; the file's; neither groups nor
// recordings.
Result<void> choose_hsmm(const HsmmNames& names, const Labelled& data, CalibrateOptions& options);

struct Calibrated {
  decide::Block block;
  calibrate::Split split;
  calibrate::Choice choice;
  calibrate::ConfidenceMetrics before, after;  // on the judge's part
  calibrate::SetMetrics sets;
  calibrate::CoverageLaw law;
  double float_accuracy = 0.0, int8_accuracy = 0.0, scaled_accuracy = 0.0;  // percent
  double set_agreement_percent = 0.0;  // windows on which INT8 and float give the same set
  double drift_log_wealth = 0.0;       // of the judge's windows in order
  bool drift_alarm = false;
  std::optional<Codes> codes;
  std::optional<CalibratedHsmm> hsmm;
  std::vector<validate::Judgement> judgements;
  std::vector<std::string> warnings;
  std::vector<std::string> labels;  // names of the classes, or their numbers
};

// The bars with their default limits: ece, coverage_outside, scaling_accuracy_drop,
// int8_accuracy_drop, fsq_accuracy_drop, hsmm_accuracy_drop, set_agreement.
std::vector<validate::Bar> calibrate_bars();

// Adds decide.json and reports/calibrate.json and sets the stage. `groups` has one number per
// window, or is empty. Errors: kInvalidInput for missing or bad labels, too few windows, logits
// that are no numbers (naming the window); kUnsupported for a network without one row of logits.
Result<Calibrated> calibrate(bundle::Bundle& bundle, const Windows& windows,
                             const std::vector<int64_t>& groups, const CalibrateOptions& options);

Json calibrated_json(const Calibrated& calibrated);
std::string calibrated_text(const Calibrated& calibrated);  // what was fitted, for the terminal
struct CalibrateOutputs {
  std::string bundle;
  std::string report;  // empty: decisions.html beside the bundle
};
// Writes both, atomically; gives where the report lies.
Result<std::string> write_calibration(const bundle::Bundle& bundle, const Calibrated& calibrated,
                                      const CalibrateOutputs& outputs);
// Name and digests of the data, for the block's provenance.
void describe_data(const Labelled& data, const LabelledPaths& paths, CalibrateOptions& options);
report::Report calibrate_report(const Calibrated& calibrated, const bundle::Bundle& bundle);

}  // namespace graupel::deploy
