// Temperature scaling. See confidence.h.
//
// For beta = 1 / T: f(beta) = sum_i log sum_c exp(beta z_ic) - beta z_iy,
//   f' = sum_i E_p[z_i] - z_iy,  f'' = sum_i Var_p[z_i] >= 0.
// Newton on f' inside a bracket, bisection where a step leaves it. The interval is
// beta +- 1.96 sqrt(V), V = sum_g s_g^2 / f''^2 with s_g the gradient of group g (of window g
// without groups): windows of one person are not independent.
// Reference: Guo et al. 2017; Huber 1967 (the sandwich). Test: confidence_test.cc.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "calibrate/confidence.h"

namespace graupel::calibrate {
namespace {

constexpr double kNormal95 = 1.959963984540054;
constexpr double kLeastBeta = 1e-6, kGreatestBeta = 1e6;
constexpr int kMaxIterations = 200;

struct Moments {
  double log_sum = 0.0, mean = 0.0, variance = 0.0;  // of beta z; E_p[z]; Var_p[z]
};
Moments moments_of(std::span<const float> row, double beta) {
  const double highest = *std::max_element(row.begin(), row.end());
  double sum = 0.0, first = 0.0, second = 0.0;
  for (const float logit : row) {
    const double centred = static_cast<double>(logit) - highest;
    const double weight = std::exp(beta * centred);
    sum += weight;
    first += weight * centred;
    second += weight * centred * centred;
  }
  const double mean = first / sum;
  return {std::log(sum) + beta * highest, mean + highest,
          std::max(0.0, second / sum - mean * mean)};
}

struct Derivatives {
  double value = 0.0, slope = 0.0, curvature = 0.0;
};
Derivatives at(const Predictions& predictions, double beta) {
  Derivatives sum;
  for (size_t i = 0; i < predictions.count(); ++i) {
    const Moments m = moments_of(predictions.row(i), beta);
    const double own = predictions.row(i)[static_cast<size_t>(predictions.labels[i])];
    sum.value += m.log_sum - beta * own;
    sum.slope += m.mean - own;
    sum.curvature += m.variance;
  }
  return sum;
}

bool all_right(const Predictions& predictions) {
  for (size_t i = 0; i < predictions.count(); ++i) {
    const std::span<const float> row = predictions.row(i);
    const float own = row[static_cast<size_t>(predictions.labels[i])];
    if (own < *std::max_element(row.begin(), row.end())) return false;
  }
  return true;
}

double sandwich_error(const Predictions& predictions, double beta, double curvature) {
  std::map<int64_t, double> gradients;
  for (size_t i = 0; i < predictions.count(); ++i) {
    const double own = predictions.row(i)[static_cast<size_t>(predictions.labels[i])];
    const int64_t cluster =
        predictions.groups.empty() ? static_cast<int64_t>(i) : predictions.groups[i];
    gradients[cluster] += moments_of(predictions.row(i), beta).mean - own;
  }
  double squares = 0.0;
  for (const auto& [cluster, gradient] : gradients) squares += gradient * gradient;
  // One cluster has a gradient of zero at the minimum and tells nothing.
  if (gradients.size() < 2) return 1.0 / std::sqrt(curvature);
  const auto clusters = static_cast<double>(gradients.size());
  return std::sqrt(squares * clusters / (clusters - 1.0)) / curvature;
}

}  // namespace

TemperatureFit fit_temperature(const Predictions& predictions) {
  TemperatureFit fit;
  const auto count = static_cast<double>(predictions.count());
  fit.nll_before = fit.nll_after = at(predictions, 1.0).value / count;
  if (all_right(predictions)) {
    fit.refused =
        "every window it was fitted on is classified correctly, so nothing bounds the confidence; "
        "fit on more windows, of people who are harder to classify";
    return fit;
  }
  double low = kLeastBeta, high = 1.0;
  if (at(predictions, low).slope >= 0.0) {
    fit.refused = "the logits say less about the labels than guessing; look at the labels' order";
    return fit;
  }
  while (high < kGreatestBeta && at(predictions, high).slope < 0.0) low = high, high *= 2.0;
  double beta = std::clamp(1.0, low, high);
  Derivatives here = at(predictions, beta);
  while (fit.iterations < kMaxIterations && high - low > 1e-15 * high) {
    ++fit.iterations;
    (here.slope > 0.0 ? high : low) = beta;
    double next = here.curvature > 0.0 ? beta - here.slope / here.curvature : low;
    const bool converged = std::abs(next - beta) <= 1e-9 * beta;  // the error left is its square
    // Where the bracket spans orders of magnitude its middle is the geometric one.
    if (!converged && !(next > low && next < high)) next = std::sqrt(low * high);
    beta = next;
    here = at(predictions, beta);
    if (converged || here.slope == 0.0) break;
  }
  fit.temperature = 1.0 / beta;
  fit.nll_after = here.value / count;
  const double error = kNormal95 * sandwich_error(predictions, beta, here.curvature);
  fit.low = 1.0 / (beta + error);
  fit.high = beta > error ? 1.0 / (beta - error) : std::numeric_limits<double>::infinity();
  if (!(fit.nll_after <= fit.nll_before)) {
    fit.refused = "it does not lower the negative log-likelihood";
    fit.temperature = fit.low = fit.high = 1.0;
    fit.nll_after = fit.nll_before;
  }
  return fit;
}

}  // namespace graupel::calibrate
