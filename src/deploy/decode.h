// From a recording to a timeline of behaviour, by the bundle's HSMM; and fitting that HSMM.
// Test: decode_test.cc. Document: docs/hsmm.md.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/bundle.h"
#include "calibrate/hsmm_fit.h"
#include "decide/block.h"
#include "decide/hsmm_offline.h"
#include "deploy/json.h"
#include "deploy/recordings.h"

namespace graupel::deploy {

// What a window's answer may know: the whole recording; `lag` windows more; only the past; or as
// many windows more as it takes until nothing to come can change it.
enum class DecodeMode { kOffline, kLag, kFilter, kCommit };

struct DecodeOptions {
  DecodeMode mode = DecodeMode::kOffline;
  size_t lag = 10;  // windows
};

struct DecodedStretch {
  std::string name;  // shown in the ribbon; empty: the subject's number
  int64_t subject = 0;
  double start_s = 0.0;
  size_t windows = 0;
  std::vector<decide::Segment> segments;
  // kCommit: per segment, windows from its last one until it was final; -1: only the end of the
  // stretch made it so.
  std::vector<int64_t> delays;
};

struct Timeline {
  std::vector<DecodedStretch> stretches;
  std::vector<std::string> labels;  // of the states
  DecodeMode mode = DecodeMode::kOffline;
  size_t lag = 0;
  uint64_t forced = 0;  // kCommit: times the memory was full and the best survivor decided
  double hop_s = 0.0, window_s = 0.0;  // in windows if the rate is not known
  bool seconds = true;
  std::vector<std::string> notes;
  // Against the recording's own labels, where it has them.
  size_t labelled_windows = 0;
  double accuracy = 0.0, argmax_accuracy = 0.0;  // 0 to 1
};

// The bundle's block and HSMM. Error kInvalidInput names the command that makes what is missing.
struct BundleHsmm {
  decide::Block block;
  decide::Hsmm model;
};
Result<BundleHsmm> bundle_hsmm(const std::string& path);

// A hop other than the model's rescales it (decide::rescaled), which the notes say.
Result<Timeline> decode(const BundleHsmm& hsmm, const Recordings& recordings,
                        const std::vector<std::string>& labels, const DecodeOptions& options);

std::string timeline_text(const Timeline& timeline);
Json timeline_json(const Timeline& timeline);
std::string timeline_csv(const Timeline& timeline);
std::string timeline_svg(const Timeline& timeline);

// Fits an HSMM on the recordings and puts it into the bundle's decide.json, which is made if there
// is none (then with the plain softmax). `unlabelled`: by EM.
enum class FitBy { kLabels, kEm };
// `use`: what of a window the model reads. Codes need the block's FSQ part, which calibrate makes.
Result<calibrate::HsmmFit> add_hsmm(bundle::Bundle& bundle, const Recordings& recordings, FitBy by,
                                    decide::EmissionUse use = decide::EmissionUse::kPosteriors);
std::string fit_text(const calibrate::HsmmFit& fit, const std::vector<std::string>& labels);
Json fit_json(const calibrate::HsmmFit& fit);

}  // namespace graupel::deploy
