// Vector scaling, temperatures per group, and the choice between them. See confidence.h.
//
// Vector scaling is logistic regression with one weight and one bias per class: convex, solved by
// damped Newton steps with its full Hessian. Test: confidence_test.cc.
#include "calibrate/confidence.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "calibrate/split.h"

namespace graupel::calibrate {
namespace {

using decide::Confidence;
using decide::ConfidenceMethod;

constexpr size_t kLeastGroupWindows = 30;

Confidence of_temperature(const TemperatureFit& fit) {
  Confidence confidence;
  if (!fit.refused.empty()) return confidence;
  confidence.method = ConfidenceMethod::kTemperature;
  confidence.temperature = fit.temperature;
  confidence.temperature_low = fit.low;
  confidence.temperature_high = fit.high;
  return confidence;
}

// Solves A x = b for symmetric positive definite A (row-major n x n) by Cholesky; both are
// overwritten, b by x. False if A is not positive definite.
bool solve_positive(std::vector<double>& a, std::vector<double>& b) {
  const size_t n = b.size();
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      double sum = a[i * n + j];
      for (size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      if (i == j && !(sum > 0.0)) return false;
      a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
    }
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return true;
}

// Parameters: scale of class 0 .., then bias of class 0 ..; the prior's centre is `center`.
struct VectorProblem {
  const Predictions& predictions;
  std::vector<double> center;

  double objective(const std::vector<double>& x) const {
    double sum = 0.0;
    for (size_t k = 0; k < x.size(); ++k) sum += 0.5 * (x[k] - center[k]) * (x[k] - center[k]);
    std::vector<double> p(predictions.classes);
    for (size_t i = 0; i < predictions.count(); ++i) {
      sum -= std::log(std::max(row_probabilities(x, i, p), std::numeric_limits<double>::min()));
    }
    return sum;
  }
  // Fills p with the probabilities of row i; returns that of its label.
  double row_probabilities(const std::vector<double>& x, size_t i, std::vector<double>& p) const {
    const size_t classes = predictions.classes;
    const std::span<const float> row = predictions.row(i);
    double highest = -std::numeric_limits<double>::infinity(), sum = 0.0;
    for (size_t c = 0; c < classes; ++c) {
      p[c] = x[c] * static_cast<double>(row[c]) + x[classes + c];
      highest = std::max(highest, p[c]);
    }
    for (double& value : p) sum += value = std::exp(value - highest);
    for (double& value : p) value /= sum;
    return p[static_cast<size_t>(predictions.labels[i])];
  }
  void derivatives(const std::vector<double>& x, std::vector<double>& gradient,
                   std::vector<double>& hessian) const {
    const size_t classes = predictions.classes, n = 2 * classes;
    std::fill(hessian.begin(), hessian.end(), 0.0);
    for (size_t k = 0; k < n; ++k) {
      gradient[k] = x[k] - center[k];
      hessian[k * n + k] = 1.0;
    }
    std::vector<double> p(classes);
    for (size_t i = 0; i < predictions.count(); ++i) {
      row_probabilities(x, i, p);
      const std::span<const float> row = predictions.row(i);
      for (size_t c = 0; c < classes; ++c) {
        const double z = row[c];
        const double residual =
            p[c] - (static_cast<size_t>(predictions.labels[i]) == c ? 1.0 : 0.0);
        gradient[c] += residual * z;
        gradient[classes + c] += residual;
        for (size_t d = 0; d <= c; ++d) {
          const double weight = (c == d ? p[c] : 0.0) - p[c] * p[d];
          const double other = row[d];
          hessian[c * n + d] += weight * z * other;
          hessian[(classes + c) * n + classes + d] += weight;
          hessian[(classes + c) * n + d] += weight * other;
          if (c != d) hessian[(classes + d) * n + c] += weight * z;
        }
      }
    }
  }
};

// Folds of whole groups, or of blocks; each a list of windows to leave out.
std::vector<std::vector<size_t>> folds_of(const Predictions& predictions) {
  std::map<int64_t, std::vector<size_t>> units;
  const bool grouped = !predictions.groups.empty() &&
                       std::any_of(predictions.groups.begin(), predictions.groups.end(),
                                   [&](int64_t g) { return g != predictions.groups[0]; });
  const size_t block = std::max<size_t>(1, predictions.count() / 20);
  for (size_t i = 0; i < predictions.count(); ++i) {
    units[grouped ? predictions.groups[i] : static_cast<int64_t>(i / block)].push_back(i);
  }
  std::vector<std::vector<size_t>> folds(std::min<size_t>(5, units.size()));
  size_t next = 0;
  for (const auto& [name, windows] : units) {
    std::vector<size_t>& fold = folds[next++ % folds.size()];
    fold.insert(fold.end(), windows.begin(), windows.end());
  }
  return folds;
}

bool has_every_class(const Predictions& predictions) {
  std::vector<bool> seen(predictions.classes, false);
  for (const int64_t label : predictions.labels) seen[static_cast<size_t>(label)] = true;
  return std::find(seen.begin(), seen.end(), false) == seen.end();
}

double accuracy_of(const Confidence& confidence, const Predictions& predictions) {
  const std::vector<double> p = probabilities_of(confidence, predictions);
  size_t right = 0;
  for (size_t i = 0; i < predictions.count(); ++i) {
    const auto begin = p.begin() + static_cast<std::ptrdiff_t>(i * predictions.classes);
    const auto best =
        std::max_element(begin, begin + static_cast<std::ptrdiff_t>(predictions.classes)) - begin;
    right += best == predictions.labels[i] ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(std::max<size_t>(1, predictions.count()));
}

// Left-out NLL of the three methods, weighted by windows, and how sure the difference is.
struct CrossValidation {
  double none = 0.0, temperature = 0.0, vector = 0.0;
  double gain_error = 0.0;     // standard error of temperature - vector, between folds
  double accuracy_gain = 0.0;  // of vector
};
Result<CrossValidation> cross_validate(const Predictions& predictions, bool with_vector) {
  CrossValidation result;
  std::vector<double> gains;
  const std::vector<std::vector<size_t>> folds = folds_of(predictions);
  for (const std::vector<size_t>& out : folds) {
    std::vector<bool> is_out(predictions.count(), false);
    for (const size_t i : out) is_out[i] = true;
    std::vector<size_t> in;
    for (size_t i = 0; i < predictions.count(); ++i) {
      if (!is_out[i]) in.push_back(i);
    }
    const Predictions fit = rows_of(predictions, in), test = rows_of(predictions, out);
    const double share = static_cast<double>(out.size()) / static_cast<double>(predictions.count());
    const TemperatureFit found = fit_temperature(fit);
    const Confidence temperature = of_temperature(found);
    const double nll = mean_nll(temperature, test);
    result.none += share * mean_nll({}, test);
    result.temperature += share * nll;
    if (!with_vector) continue;
    TRY_ASSIGN(const Confidence vector, fit_vector(fit, found));
    const double vector_nll = mean_nll(vector, test);
    result.vector += share * vector_nll;
    result.accuracy_gain += share * (accuracy_of(vector, test) - accuracy_of(temperature, test));
    gains.push_back(nll - vector_nll);
  }
  double mean = 0.0, squares = 0.0;
  for (const double gain : gains) mean += gain / static_cast<double>(gains.size());
  for (const double gain : gains) squares += (gain - mean) * (gain - mean);
  const auto n = static_cast<double>(gains.size());
  result.gain_error = gains.size() < 2 ? std::numeric_limits<double>::infinity()
                                       : std::sqrt(squares / (n - 1.0) / n);
  return result;
}

}  // namespace

double mean_nll(const Confidence& confidence, const Predictions& predictions) {
  const std::vector<double> p = probabilities_of(confidence, predictions);
  double sum = 0.0;
  for (size_t i = 0; i < predictions.count(); ++i) {
    const double own = p[i * predictions.classes + static_cast<size_t>(predictions.labels[i])];
    sum -= std::log(std::max(own, std::numeric_limits<double>::min()));
  }
  return sum / static_cast<double>(std::max<size_t>(1, predictions.count()));
}

Result<Confidence> fit_vector(const Predictions& predictions, const TemperatureFit& start) {
  const size_t classes = predictions.classes, n = 2 * classes;
  if (classes > kMaxVectorClasses) {
    return unsupported("vector scaling", fmt::format("is for up to {} classes, there are {}",
                                                     kMaxVectorClasses, classes));
  }
  VectorProblem problem{predictions, std::vector<double>(n, 0.0)};
  std::fill_n(problem.center.begin(), classes, 1.0 / start.temperature);
  std::vector<double> x = problem.center, gradient(n), hessian(n * n);
  double value = problem.objective(x);
  for (int iteration = 0; iteration < 100; ++iteration) {
    problem.derivatives(x, gradient, hessian);
    std::vector<double> step = gradient;
    if (!solve_positive(hessian, step)) break;
    double decrement = 0.0;
    for (size_t k = 0; k < n; ++k) decrement += step[k] * gradient[k];
    // So near the minimum values no longer differ, and one more full step is exact.
    if (decrement < 1e-13 * (1.0 + value)) {
      for (size_t k = 0; k < n; ++k) x[k] -= step[k];
      break;
    }
    double length = 1.0, next_value = 0.0;
    std::vector<double> next(n);
    do {
      for (size_t k = 0; k < n; ++k) next[k] = x[k] - length * step[k];
      next_value = problem.objective(next);
      length *= 0.5;
    } while (next_value > value && length > 1e-10);
    if (next_value > value) break;
    x = next;
    value = next_value;
  }
  Confidence confidence;
  confidence.method = ConfidenceMethod::kVector;
  confidence.scale.assign(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(classes));
  confidence.bias.assign(x.begin() + static_cast<std::ptrdiff_t>(classes), x.end());
  return confidence;
}

Confidence fit_per_group(const Predictions& predictions, const TemperatureFit& common) {
  Confidence confidence = of_temperature(common);
  confidence.method = ConfidenceMethod::kPerGroup;
  std::map<int64_t, std::vector<size_t>> members;
  for (size_t i = 0; i < predictions.groups.size(); ++i) {
    members[predictions.groups[i]].push_back(i);
  }
  for (const auto& [group, windows] : members) {
    if (windows.size() < kLeastGroupWindows) continue;
    Predictions own = rows_of(predictions, windows);
    own.groups.clear();
    const TemperatureFit fit = fit_temperature(own);
    const bool differs = confidence.temperature < fit.low || confidence.temperature > fit.high;
    if (fit.refused.empty() && differs) confidence.groups.push_back({group, fit.temperature});
  }
  return confidence;
}

Result<Choice> choose_confidence(const Predictions& predictions, Wanted wanted) {
  TRY(check_predictions(predictions));
  Choice choice;
  choice.temperature = fit_temperature(predictions);
  const bool try_vector = predictions.classes <= kMaxVectorClasses;
  TRY_ASSIGN(const CrossValidation left_out, cross_validate(predictions, try_vector));
  choice.nll_none = left_out.none;
  choice.nll_temperature = left_out.temperature;
  choice.nll_vector = try_vector ? left_out.vector : std::numeric_limits<double>::quiet_NaN();
  // Where nothing bounds a temperature nothing bounds a scale per class but its prior, and a class
  // without windows would be scaled by the others' mistakes.
  const bool vector_bounded = choice.temperature.refused.empty() && has_every_class(predictions);
  const bool vector_helps = try_vector && vector_bounded && left_out.accuracy_gain >= 0.0 &&
                            left_out.temperature - left_out.vector > left_out.gain_error;
  const bool temperature_helps = left_out.temperature < left_out.none;
  if (wanted == Wanted::kAuto) {
    wanted = vector_helps        ? Wanted::kVector
             : temperature_helps ? Wanted::kTemperature
                                 : Wanted::kNone;
    choice.reason = fmt::format("left-out NLL: unscaled {:.4f}, temperature {:.4f}, vector {:.4f}",
                                choice.nll_none, choice.nll_temperature, choice.nll_vector);
  } else {
    choice.reason = "as asked";
  }
  switch (wanted) {
    case Wanted::kVector: {
      TRY_ASSIGN(choice.confidence, fit_vector(predictions, choice.temperature));
      break;
    }
    case Wanted::kPerGroup:
      if (predictions.groups.empty()) {
        return invalid_input("--confidence per-group", "needs --groups");
      }
      choice.confidence = fit_per_group(predictions, choice.temperature);
      break;
    case Wanted::kTemperature: choice.confidence = of_temperature(choice.temperature); break;
    default: break;
  }
  if (wanted == Wanted::kTemperature && !choice.temperature.refused.empty()) {
    choice.reason = "temperature refused: " + choice.temperature.refused;
  }
  return choice;
}

}  // namespace graupel::calibrate
