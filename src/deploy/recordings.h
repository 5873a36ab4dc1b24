// Recordings as a compiled bundle sees them: windows slid over them, and their logits.
//
// Idea: a recording is a CSV of readings (prepare's reader, grid and resampling), an array of
// signals, or an array of windows in order. It is divided where it is not continuous; each
// stretch is answered window by window, so memory holds its signals and logits, not its windows.
// Test: decode_test.cc. Document: docs/hsmm.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "run/load.h"

namespace graupel::deploy {

struct RecordingOptions {
  std::string path;                  // .csv of readings, or .npy
  std::string config;                // TOML as for prepare; CSV only
  std::vector<std::string> sensors;  // CSV only; in the order of the window's rows
  double rate_hz = 0.0;              // of the windows; 0: not known (a CSV needs it)
  int64_t hop_samples = 0;           // 0: half a window
  double gap_s = 0.25;               // longest gap to fill
  std::string contexts;  // .npy: context of each window (whole numbers from 0), windows only
};

// Windows at a constant hop without a gap.
struct Stretch {
  int64_t subject = 0;
  double start_s = 0.0;           // time of its first sample in the recording
  std::vector<float> logits;      // [windows, classes]
  std::vector<int64_t> labels;    // per window: most of its readings; -1: none that is known
  std::vector<int64_t> digits;    // FSQ, [windows, Recordings::digits]
  std::vector<int32_t> contexts;  // per window; empty: not known
  size_t windows = 0;

  bool labelled() const;  // every window is
};

struct Recordings {
  std::vector<Stretch> stretches;
  size_t classes = 0;
  size_t digits = 0;    // FSQ digits per window; 0: the network gives none
  size_t contexts = 0;  // 1 more than the largest; 0: not known
  int64_t window_samples = 0, hop_samples = 0;
  double rate_hz = 0.0;            // 0: not known
  std::vector<std::string> notes;  // gaps, rows left out, stretches shorter than a window

  double hop_s() const {  // in windows if the rate is not known
    return rate_hz > 0.0 ? static_cast<double>(hop_samples) / rate_hz : 1.0;
  }
};

// `labels_path` and `groups_path`: for an array of windows, one number each per window; every run
// of one group is a stretch of its own. Errors name the file: kInvalidInput for a shape that is
// neither windows nor signals, a recording without one whole window, sensors that do not fit the
// network, NaN; kUnsupported for a network without one row of logits.
Result<Recordings> answer_recordings(run::BundleEngine& loaded, const RecordingOptions& options,
                                     const std::string& labels_path = "",
                                     const std::string& groups_path = "");

}  // namespace graupel::deploy
