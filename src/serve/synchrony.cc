// Lagged cross-correlation and its significance. See synchrony.h. Test: synchrony_test.cc.
#include "serve/synchrony.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace graupel::serve {
namespace {

constexpr size_t kLeastOverlap = 8;

double mean_of(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// nullopt if one of them is constant, up to rounding.
std::optional<double> pearson(std::span<const double> a, std::span<const double> b) {
  const double mean_a = mean_of(a), mean_b = mean_of(b);
  double ab = 0.0, aa = 0.0, bb = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i] - mean_a, y = b[i] - mean_b;
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  const auto tiny = [&](double squares, double mean) {
    return squares <= 1e-24 * static_cast<double>(a.size()) * std::max(mean * mean, 1e-6);
  };
  if (tiny(aa, mean_a) || tiny(bb, mean_b)) return std::nullopt;
  return std::clamp(ab / std::sqrt(aa * bb), -1.0, 1.0);
}

// At lags 1 to `lags`.
std::vector<double> autocorrelations(std::span<const double> values, size_t lags) {
  const double mean = mean_of(values);
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  std::vector<double> found;
  for (size_t lag = 1; lag <= lags; ++lag) {
    double products = 0.0;
    for (size_t i = lag; i < values.size(); ++i) {
      products += (values[i] - mean) * (values[i - lag] - mean);
    }
    found.push_back(products / squares);
  }
  return found;
}

// 1/N = 1/n + 2/n sum over j of (n - j)/n rho_a(j) rho_b(j), j up to n/4.
double effective_samples(std::span<const double> a, std::span<const double> b) {
  const size_t lags = a.size() / 4;
  const std::vector<double> of_a = autocorrelations(a, lags), of_b = autocorrelations(b, lags);
  const auto n = static_cast<double>(a.size());
  double sum = 0.0;
  for (size_t j = 1; j <= lags; ++j) {
    sum += (n - static_cast<double>(j)) / n * of_a[j - 1] * of_b[j - 1];
  }
  const double inverse = (1.0 + 2.0 * sum) / n;
  return inverse <= 1.0 / n ? n : 1.0 / inverse;
}

double confidence_of(double r, double samples, size_t lags) {
  if (samples <= 3.0) return 0.0;
  if (std::abs(r) >= 1.0) return 1.0;
  const double z = std::atanh(std::abs(r)) * std::sqrt(samples - 3.0);
  const double p = std::erfc(z / std::sqrt(2.0));
  return std::exp(static_cast<double>(lags) * std::log1p(-p));
}

}  // namespace

std::optional<Synchrony> synchrony(std::span<const double> a, std::span<const double> b,
                                   size_t max_lag) {
  if (a.size() != b.size() || a.size() <= 2 * max_lag + kLeastOverlap) return std::nullopt;
  const auto limit = static_cast<int64_t>(max_lag);
  const auto overlap = [&](int64_t lag) {
    const auto shift = static_cast<size_t>(std::abs(lag));
    const size_t n = a.size() - shift;
    return std::pair(a.subspan(lag < 0 ? shift : 0, n), b.subspan(lag > 0 ? shift : 0, n));
  };
  std::optional<Synchrony> best;
  // Small lags first, so that they win among equals.
  for (int64_t step = 0; step <= 2 * limit; ++step) {
    const int64_t lag = step % 2 == 1 ? (step + 1) / 2 : -(step / 2);
    const auto [x, y] = overlap(lag);
    const std::optional<double> r = pearson(x, y);
    if (!r) return std::nullopt;
    if (!best || std::abs(*r) > std::abs(best->r)) best = Synchrony{*r, lag, 0.0, 0.0};
  }
  const auto [x, y] = overlap(best->lag);
  best->effective_samples = effective_samples(x, y);
  best->confidence = confidence_of(best->r, best->effective_samples, 2 * max_lag + 1);
  return best;
}

}  // namespace graupel::serve
