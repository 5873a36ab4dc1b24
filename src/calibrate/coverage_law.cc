// The law of conformal coverage. See conformal.h.
//
// P(m further windows: j covered) = C(m, j) B(j + a, m - j + b) / B(a, b) with a = k, b = n + 1 - k
// (beta-binomial); summed up term by term. Reference: Vovk 2012; Angelopoulos and Bates 2021.
// Test: conformal_test.cc.
#include <boost/math/distributions/beta.hpp>
#include <cmath>

#include "calibrate/conformal.h"
#include "decide/conformal.h"

namespace graupel::calibrate {
namespace {

constexpr double kTail = 0.005;  // each side of 99 %
constexpr double kPacLevel = 0.05;

namespace policies = boost::math::policies;
using Quiet = policies::policy<policies::domain_error<policies::ignore_error>,
                               policies::overflow_error<policies::ignore_error>,
                               policies::evaluation_error<policies::ignore_error>>;

double log_beta(double a, double b) {
  int sign = 0;
  return ::lgamma_r(a, &sign) + ::lgamma_r(b, &sign) - ::lgamma_r(a + b, &sign);
}

}  // namespace

CoverageLaw coverage_law(size_t calibration, double alpha, size_t judged) {
  CoverageLaw law;
  const std::optional<size_t> rank = decide::conformal_rank(calibration, alpha);
  if (!rank) {
    law.full = true;
    return law;
  }
  const auto a = static_cast<double>(*rank);
  const double b = static_cast<double>(calibration) + 1.0 - a;
  law.mean = a / (a + b);
  law.pac_low =
      boost::math::quantile(boost::math::beta_distribution<double, Quiet>(a, b), kPacLevel);
  const auto m = static_cast<double>(judged);
  double below = 0.0;
  bool low_found = false;
  for (size_t j = 0; j <= judged; ++j) {
    const auto covered = static_cast<double>(j);
    const double log_choose = -std::log1p(m) - log_beta(m - covered + 1.0, covered + 1.0);
    below += std::exp(log_choose + log_beta(covered + a, m - covered + b) - log_beta(a, b));
    if (!low_found && below > kTail) {
      law.low = covered / std::max(m, 1.0);
      low_found = true;
    }
    if (below >= 1.0 - kTail) {
      law.high = covered / std::max(m, 1.0);
      break;
    }
  }
  return law;
}

}  // namespace graupel::calibrate
