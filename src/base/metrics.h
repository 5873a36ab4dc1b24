// Measures that compare two answers, and answers with labels. Test: metrics_test.cc.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"

namespace graupel {

// Largest |a - b| over float32 tensors of equal shape; infinity if either holds a NaN.
double max_abs_difference(const Tensor& a, const Tensor& b);
// 10 log10(sum exact^2 / sum (exact - approximate)^2); infinity if equal, 0 for a zero signal or
// another size.
double snr_db(const Tensor& exact, const Tensor& approximate);

// Index of the largest entry per row of [N, ...]; the first of equals. Float32.
std::vector<int64_t> argmax_rows(const Tensor& logits);
// Share of equal entries, in percent; both lists are equally long. 100 for empty lists.
double agreement_percent(const std::vector<int64_t>& a, const std::vector<int64_t>& b);

struct Classification {
  double accuracy_percent = 0.0;
  double macro_f1_percent = 0.0;  // mean F1 of the classes that occur in labels or predictions
  std::vector<std::vector<int64_t>> confusion;  // [label][prediction]
};
inline constexpr int64_t kMaxClasses = 4096;  // the confusion matrix has this many squared entries
// Error kUnsupported for more classes; kInvalidInput if a label is outside [0, classes) or the
// counts differ.
Result<Classification> classify(const std::vector<int64_t>& predictions,
                                const std::vector<int64_t>& labels, int64_t classes);

}  // namespace graupel
