// Logits of labelled windows: what everything here is fitted and judged on. Test:
// confidence_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "decide/block.h"

namespace graupel::calibrate {

struct Predictions {
  size_t classes = 0;
  std::vector<float> logits;    // row after row, `classes` each
  std::vector<int64_t> labels;  // one per row
  std::vector<int64_t> groups;  // one per row, or empty

  size_t count() const { return labels.size(); }
  std::span<const float> row(size_t i) const {
    return std::span<const float>(logits).subspan(i * classes, classes);
  }
};

// Error kInvalidInput naming the first window: sizes that do not fit, a label outside
// [0, classes), a logit that is NaN or infinite.
Result<void> check_predictions(const Predictions& predictions);

// The rows in `windows`, in that order.
Predictions rows_of(const Predictions& predictions, std::span<const size_t> windows);

// Calibrated probabilities of every row, row after row.
std::vector<double> probabilities_of(const decide::Confidence& confidence,
                                     const Predictions& predictions);

}  // namespace graupel::calibrate
