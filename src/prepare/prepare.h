// Recordings in, windows out: the stage `graupel prepare`.
//
// Idea: read -> units checked -> even grid -> target rate -> windows -> splits by person -> scales
// of the training people -> calibration set -> data card. Written folder (windows in m/s^2, rad/s
// and earth field, not preprocessed; every command after this one takes them with
// normalization.json):
//   train/ validation/ calibration/ test/   windows.npy float32 [N, 9, sensors, samples],
//                                           labels.npy, groups.npy (person) int64 [N]
//   normalization.json  class_names.txt  calibration_data.npy  calibration_labels.npy
//   data_card.md  data_card.json  plots/*.svg
// With kAllFolds: all/ instead of the four, and folds/PERSON/ with normalization.json,
// calibration_data.npy, calibration_labels.npy, and folds.json saying who is where.
// Same files and options, same bytes. Reference: docs/data.md. Test: prepare_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "prepare/recipe.h"
#include "prepare/recording.h"
#include "prepare/split.h"

namespace graupel::prepare {

enum class ScaleBy : uint8_t { kChannel, kSensor };  // kSensor: one for the three axes of a sensor

struct PrepareOptions {
  std::string input;
  std::optional<Form> form;  // nothing: by what the folder looks like
  std::string toml;          // path, or empty
  std::string output;
  RecipeOptions recipe;
  SplitOptions split;
  ScaleBy scale = ScaleBy::kChannel;
  std::vector<int64_t> centred;  // channels whose window mean is removed
  std::optional<double> clip;
  size_t calibration_windows = 1000;
};
inline constexpr size_t kFewestCalibrationWindows = 64;

struct PreparedSplit {
  Split split;
  size_t windows = 0;
  std::vector<int64_t> class_counts;
};

struct MissingCount {
  int64_t readings = 0, missing = 0;
};

struct Prepared {
  Recipe recipe;
  Tally tally;
  std::vector<MissingCount> missing;  // [axis * sensors + sensor], as recorded
  std::vector<PreparedSplit> splits;
  data::Normalization normalization;  // of the training people; of all of them for kAllFolds
  size_t calibration_windows = 0;
  size_t windows = 0;
  Leakage leakage;
};

// Errors: those of reading; kInvalidInput when no window comes out (with the counts of why), for
// contradicting units, too few people, or fewer than 64 calibration windows; kIo.
Result<Prepared> prepare(const PrepareOptions& options);

}  // namespace graupel::prepare
