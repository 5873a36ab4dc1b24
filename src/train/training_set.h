// The windows a run learns from, as `graupel prepare` wrote them. Test: training_set_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "data/preprocess.h"
#include "train/augment.h"

namespace graupel::train {

struct LabelledWindows {
  Tensor windows;               // float32 N x channels x sensors x samples, as recorded
  std::vector<int64_t> labels;  // N, each below the number of classes
  std::vector<int64_t> people;  // N; empty if the folder has no groups.npy

  int64_t count() const { return static_cast<int64_t>(labels.size()); }
};

struct TrainingSet {
  WindowShape shape;
  std::vector<std::string> classes;
  data::Normalization normalization;
  LabelledWindows train;
  LabelledWindows validation;  // count() is 0 if there is none, or if it is trained on
  LabelledWindows test;        // likewise
};

struct SetOptions {
  std::string folder;
  // Other splits that are trained on as well: "validation", "calibration", "test".
  std::vector<std::string> joined;
  // Of a folder with `all/` and folds.json: the person who is tested.
  std::string fold;
};

// Reads FOLDER/{train,validation,test}/{windows,labels,groups}.npy, class_names.txt and
// normalization.json; or with `fold` all/, folds.json and folds/PERSON/normalization.json.
// Errors: kIo (a file is missing; says what `prepare` would have written), kInvalidInput (shapes
// that differ between splits, labels outside the classes, a value that is not finite, a person in
// two splits of whom one is trained on, a name in `joined` that is none).
Result<TrainingSet> load_training_set(const SetOptions& options);

}  // namespace graupel::train
