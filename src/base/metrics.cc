// Metrics. See metrics.h. Macro F1 as in scikit-learn: 2 TP / (2 TP + FP + FN) per class.
// Test: metrics_test.cc.
#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace graupel {

double max_abs_difference(const Tensor& a, const Tensor& b) {
  const std::span<const float> x = a.data<float>();
  const std::span<const float> y = b.data<float>();
  if (x.size() != y.size()) return std::numeric_limits<double>::infinity();
  double largest = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference = std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i]));
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, difference);
  }
  return largest;
}

double snr_db(const Tensor& exact, const Tensor& approximate) {
  const std::span<const float> x = exact.data<float>();
  const std::span<const float> y = approximate.data<float>();
  if (x.size() != y.size()) return 0.0;
  double signal = 0.0, noise = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double value = x[i];
    const double error = value - static_cast<double>(y[i]);
    signal += value * value;
    noise += error * error;
  }
  if (noise == 0.0) return std::numeric_limits<double>::infinity();
  return signal == 0.0 ? 0.0 : 10.0 * std::log10(signal / noise);
}

std::vector<int64_t> argmax_rows(const Tensor& logits) {
  const auto rows = static_cast<size_t>(logits.rank() == 0 ? 1 : logits.shape()[0]);
  const size_t columns = rows == 0 ? 0 : logits.size() / rows;
  const std::span<const float> values = logits.data<float>();
  std::vector<int64_t> best(rows, 0);
  for (size_t row = 0; row < rows && columns > 0; ++row) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * columns);
    best[row] = std::max_element(begin, begin + static_cast<std::ptrdiff_t>(columns)) - begin;
  }
  return best;
}

double agreement_percent(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  if (a.empty()) return 100.0;
  size_t equal = 0;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) equal += a[i] == b[i] ? 1 : 0;
  return 100.0 * static_cast<double>(equal) / static_cast<double>(a.size());
}

Result<Classification> classify(const std::vector<int64_t>& predictions,
                                const std::vector<int64_t>& labels, int64_t classes) {
  if (predictions.size() != labels.size()) {
    return invalid_input("labels", fmt::format("are {}, but there are {} windows", labels.size(),
                                               predictions.size()));
  }
  if (classes < 0 || classes > kMaxClasses) {
    return unsupported("labels", fmt::format("cannot be judged for {} classes, at most {} can",
                                             classes, kMaxClasses));
  }
  const auto count = static_cast<size_t>(classes);
  Classification result;
  result.confusion.assign(count, std::vector<int64_t>(count, 0));
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= classes || predictions[i] < 0 || predictions[i] >= classes) {
      return invalid_input(fmt::format("label {}", i),
                           fmt::format("is {}, expected 0 to {}", labels[i], classes - 1));
    }
    ++result.confusion[static_cast<size_t>(labels[i])][static_cast<size_t>(predictions[i])];
  }
  int64_t right = 0;
  double f1_sum = 0.0;
  int occurring = 0;
  for (size_t c = 0; c < count; ++c) {
    int64_t labelled = 0, predicted = 0;
    for (size_t other = 0; other < count; ++other) {
      labelled += result.confusion[c][other];
      predicted += result.confusion[other][c];
    }
    right += result.confusion[c][c];
    if (labelled + predicted == 0) continue;
    f1_sum += 2.0 * static_cast<double>(result.confusion[c][c]) /
              static_cast<double>(labelled + predicted);
    ++occurring;
  }
  if (!labels.empty()) {
    result.accuracy_percent =
        100.0 * static_cast<double>(right) / static_cast<double>(labels.size());
  }
  if (occurring > 0) result.macro_f1_percent = 100.0 * f1_sum / occurring;
  return result;
}

}  // namespace graupel
