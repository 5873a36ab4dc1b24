// Is this calibration set fit to choose scales from? Looked at before anything is quantised,
// because a scale chosen on wrong windows clips every right one later and nothing else notices.
// Test: calibration_check_test.cc.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "ir/graph.h"

namespace graupel::quantize {

enum class Severity { kError, kWarning, kInfo };
std::string_view to_string(Severity severity);

struct CalibrationFinding {
  Severity severity = Severity::kInfo;
  std::string id;  // "too-few-windows", "not-finite", "constant-channel", ...
  std::string message;
  std::string fix;
};

// `windows` is float32 [N, C, ...] in the range the model takes. `original` is the network as read,
// before simplification: its BatchNormalization statistics tell what the training data looked
// like, which exposes windows in another unit, un-normalised, or with mixed-up axes.
// Finds: fewer than 64 / 100 / 1000 windows, NaN or infinity, constant channels, repeated windows,
// values of an un-normalised range, statistics far from those of training.
// Errors: kInvalidInput for windows of another type or shape than the network takes, and those of
// evaluating `original`.
Result<std::vector<CalibrationFinding>> check_calibration(const ir::Graph& original,
                                                          const Tensor& windows);

// What the windows' class numbers say: a warning if there is one class only, and one for classes
// that hold fewer than one window in a hundred.
std::vector<CalibrationFinding> check_classes(const Tensor& labels);

}  // namespace graupel::quantize
