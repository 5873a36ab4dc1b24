// Duration laws from lengths, whole and cut. See hsmm_fit.h.
//
// Idea: the likelihood is that of the table which decoding will use, tail included; two parameters
// at most, in logarithms, by the simplex method from the moments. Where nothing is cut, Poisson's
// maximum is the mean itself. Reference: Nelder, Mead 1965; Kaplan, Meier 1958; Schwarz 1978 (BIC).
// Test: hsmm_fit_test.cc.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "calibrate/hsmm_fit.h"
#include "decide/hsmm_durations.h"

namespace graupel::calibrate {
namespace {

using decide::Duration;
using decide::DurationFamily;
using Point = std::array<double, 2>;

constexpr double kNever = -std::numeric_limits<double>::infinity();

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// Log parameters; of log-normal mu is one already.
Duration at(DurationFamily family, const Point& x) {
  const double a = std::exp(std::clamp(x[0], -12.0, 12.0));
  const double b = std::exp(std::clamp(x[1], -6.0, 12.0));
  switch (family) {
    case DurationFamily::kPoisson: return {family, {a}};
    case DurationFamily::kNegativeBinomial: return {family, {std::clamp(a, 0.01, 1e4), b}};
    case DurationFamily::kLogNormal: return {family, {x[0], std::min(b, 10.0)}};
    case DurationFamily::kGamma: return {family, {std::max(a, 0.01), b}};
    default: return {family, {a, b}};
  }
}

Point start_of(DurationFamily family, double mean, double variance) {
  const double excess = std::max(mean - 1.0, 0.05), spread = std::max(variance, 0.05);
  switch (family) {
    case DurationFamily::kPoisson: return {std::log(excess), 0.0};
    case DurationFamily::kNegativeBinomial: {
      const double size = spread > excess ? excess * excess / (spread - excess) : 50.0;
      return {std::log(std::clamp(size, 0.1, 50.0)), std::log(excess)};
    }
    case DurationFamily::kGaussian: return {std::log(mean), 0.5 * std::log(spread)};
    case DurationFamily::kLogNormal: {
      const double s2 = std::log1p(spread / (mean * mean));
      return {std::log(mean) - 0.5 * s2, 0.5 * std::log(s2)};
    }
    default: return {std::log(mean * mean / spread), std::log(spread / mean)};
  }
}

// The highest point of f near `start`; `dimensions` 1 or 2.
template <class F>
Point climb(const Point& start, size_t dimensions, F f) {
  struct Corner {
    Point x;
    double value;
  };
  std::vector<Corner> simplex = {{start, f(start)}};
  for (size_t i = 0; i < dimensions; ++i) {
    Point x = start;
    x[i] += 0.5;
    simplex.push_back({x, f(x)});
  }
  const auto higher = [](const Corner& a, const Corner& b) { return a.value > b.value; };
  for (int round = 0; round < 120; ++round) {
    std::sort(simplex.begin(), simplex.end(), higher);
    Corner& worst = simplex.back();
    if (simplex[0].value - worst.value < 1e-9 * (1.0 + std::abs(simplex[0].value))) break;
    Point centre{};
    for (size_t i = 0; i < dimensions; ++i) {
      for (size_t k = 0; k < 2; ++k) {
        centre[k] += simplex[i].x[k] / static_cast<double>(dimensions);
      }
    }
    const auto towards = [&](double step) {
      Point x{};
      for (size_t k = 0; k < 2; ++k) x[k] = centre[k] + step * (worst.x[k] - centre[k]);
      return Corner{x, f(x)};
    };
    const Corner reflected = towards(-1.0);
    if (reflected.value > simplex[0].value) {
      const Corner further = towards(-2.0);
      worst = further.value > reflected.value ? further : reflected;
    } else if (reflected.value > simplex[dimensions - 1].value) {
      worst = reflected;
    } else if (const Corner nearer = towards(0.5); nearer.value > worst.value) {
      worst = nearer;
    } else {
      for (size_t i = 1; i <= dimensions; ++i) {
        for (size_t k = 0; k < 2; ++k) {
          simplex[i].x[k] = 0.5 * (simplex[i].x[k] + simplex[0].x[k]);
        }
        simplex[i].value = f(simplex[i].x);
      }
    }
  }
  return std::max_element(simplex.begin(), simplex.end(),
                          [&](const Corner& a, const Corner& b) { return a.value < b.value; })
      ->x;
}

// Mean and variance of all lengths, cut ones as if they were whole: where the search begins.
std::pair<double, double> moments(const Lengths& lengths) {
  double weight = 0.0, sum = 0.0, squares = 0.0;
  for (const auto* part :
       {&lengths.complete, &lengths.cut_at_start, &lengths.cut_at_end, &lengths.cut_at_both}) {
    for (size_t i = 0; i < part->size(); ++i) {
      const double d = static_cast<double>(i + 1), w = (*part)[i];
      weight += w, sum += w * d, squares += w * d * d;
    }
  }
  const double mean = weight > 0.0 ? sum / weight : 1.0;
  return {mean, weight > 0.0 ? std::max(0.0, squares / weight - mean * mean) : 1.0};
}

double parameters_of(DurationFamily family, const Lengths& lengths) {
  if (family == DurationFamily::kPoisson) return 1.0;
  if (family != DurationFamily::kTable) return 2.0;
  double seen = 0.0;
  for (const double w : lengths.complete) seen += w > 0.5 ? 1.0 : 0.0;
  return std::max(1.0, seen);
}

Duration product_limit(const Lengths& lengths, const Duration& smooth) {
  const size_t maximum = lengths.complete.size();
  const decide::DurationLaw law = decide::duration_law(smooth, maximum);
  std::vector<double> p(maximum);
  double at_risk = sum_of(lengths.complete) + sum_of(lengths.cut_at_end);
  const double weight = at_risk, borrowed = 2.0;
  double survivor = 1.0;
  for (size_t i = 0; i < maximum; ++i) {
    const bool last = i + 1 == maximum;
    const double hazard =
        last || at_risk < 1e-9 ? (last ? 1.0 : 0.0) : lengths.complete[i] / at_risk;
    const double own = survivor * std::clamp(hazard, 0.0, 1.0);
    survivor -= own;
    at_risk -= lengths.complete[i] + lengths.cut_at_end[i];
    const double other = law.probability[i] + (last ? law.beyond : 0.0);
    p[i] = (weight * own + borrowed * other) / (weight + borrowed);
  }
  const double total = sum_of(p);
  for (double& x : p) x /= total;
  return {DurationFamily::kTable, std::move(p)};
}

}  // namespace

double Lengths::whole() const { return sum_of(complete); }
double Lengths::total() const {
  return whole() + sum_of(cut_at_start) + sum_of(cut_at_end) + sum_of(cut_at_both);
}

double length_log_likelihood(const Duration& duration, const Lengths& lengths) {
  const size_t maximum = lengths.complete.size();
  const decide::DurationTable law = decide::make_duration_table(duration, maximum);
  double sum = 0.0;
  const auto add = [&](double weight, double log_probability) {
    if (weight > 0.0) sum += weight * log_probability;
  };
  for (size_t i = 0; i < maximum; ++i) {
    const double survivor = law.log_survivor[i];
    const bool last = i + 1 == maximum;
    add(lengths.complete[i], last ? survivor : law.log_probability[i]);
    add(lengths.cut_at_end[i], survivor);
    add(lengths.cut_at_start[i], last ? law.log_remaining[i] : survivor - law.log_mean);
    add(lengths.cut_at_both[i], law.log_remaining[i]);
  }
  return std::isnan(sum) ? kNever : sum;
}

DurationFit fit_duration(DurationFamily family, const Lengths& lengths) {
  DurationFit fit;
  const auto [mean, variance] = moments(lengths);
  const bool nothing_cut = lengths.total() == lengths.whole() && lengths.complete.back() == 0.0;
  if (family == DurationFamily::kTable) {
    const DurationFit smooth = fit_duration(DurationFamily::kNegativeBinomial, lengths);
    fit.duration = product_limit(lengths, smooth.duration);
  } else if (family == DurationFamily::kPoisson && nothing_cut) {
    fit.duration = {family, {mean - 1.0}};
  } else {
    const size_t dimensions = family == DurationFamily::kPoisson ? 1 : 2;
    const Point best = climb(start_of(family, mean, variance), dimensions, [&](const Point& x) {
      const Duration duration = at(family, x);
      if (!decide::duration_problem(duration).empty()) return kNever;
      return length_log_likelihood(duration, lengths);
    });
    fit.duration = at(family, best);
  }
  fit.log_likelihood = length_log_likelihood(fit.duration, lengths);
  fit.bic = parameters_of(family, lengths) * std::log(std::max(2.0, lengths.total())) -
            2.0 * fit.log_likelihood;
  return fit;
}

DurationFit choose_duration(const Lengths& lengths, const std::optional<Halves>& halves) {
  std::optional<DurationFit> best;
  double best_score = kNever;
  for (size_t i = 0; i < decide::kDurationFamilies; ++i) {
    const auto family = static_cast<DurationFamily>(i);
    const DurationFit fit = fit_duration(family, lengths);
    double score = -fit.bic;
    if (halves) {
      const Duration first = fit_duration(family, halves->first).duration;
      const Duration second = fit_duration(family, halves->second).duration;
      score = length_log_likelihood(first, halves->second) +
              length_log_likelihood(second, halves->first);
    }
    if (!best || score > best_score) best = fit, best_score = score;
  }
  return *best;
}

}  // namespace graupel::calibrate
