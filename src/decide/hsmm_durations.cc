// Duration families to tables. See hsmm_durations.h.
//
// Idea: counts come from their log probability, continuous families from differences of their
// distribution function, on whichever side of the median the numbers are small.
// Reference: NIST DLMF 8.11 (incomplete gamma, from Boost.Math). Test: hsmm_durations_test.cc.
#include "decide/hsmm_durations.h"

#include <algorithm>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <limits>
#include <numeric>

namespace graupel::decide {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();
// The mean of the tail is taken up to 16 D, and at least this many windows.
constexpr size_t kTailHorizon = 1024;

namespace policies = boost::math::policies;
// No exceptions: a value out of range gives NaN or infinity.
using Quiet = policies::policy<policies::domain_error<policies::ignore_error>,
                               policies::pole_error<policies::ignore_error>,
                               policies::overflow_error<policies::ignore_error>,
                               policies::underflow_error<policies::ignore_error>,
                               policies::evaluation_error<policies::ignore_error>>;

struct Sides {
  double below = 0.0, above = 1.0;  // P(x <= t), P(x > t)
};

Sides normal_sides(double z) {
  constexpr double kRootHalf = 0.70710678118654752;
  return {0.5 * std::erfc(-z * kRootHalf), 0.5 * std::erfc(z * kRootHalf)};
}

Sides sides_at(const Duration& duration, double t) {
  const double a = duration.parameters[0], b = duration.parameters[1];
  if (duration.family == DurationFamily::kGaussian) return normal_sides((t - a) / b);
  if (duration.family == DurationFamily::kLogNormal) return normal_sides((std::log(t) - a) / b);
  return {boost::math::gamma_p(a, t / b, Quiet()), boost::math::gamma_q(a, t / b, Quiet())};
}

DurationLaw continuous_law(const Duration& duration, size_t count) {
  DurationLaw law;
  Sides before = sides_at(duration, 0.5);
  const double whole = std::max(before.above, std::numeric_limits<double>::min());
  for (size_t d = 1; d <= count; ++d) {
    const Sides after = sides_at(duration, static_cast<double>(d) + 0.5);
    const double mass = after.below < 0.5 ? after.below - before.below : before.above - after.above;
    law.probability.push_back(std::clamp(mass / whole, 0.0, 1.0));
    before = after;
    if (after.above < 1e-300) break;
  }
  law.probability.resize(count, 0.0);
  law.beyond = std::clamp(before.above / whole, 0.0, 1.0);
  return law;
}

// P(count = k) / P(count = k - 1).
double ratio_at(const Duration& duration, double k) {
  if (duration.family == DurationFamily::kPoisson) return duration.parameters[0] / k;
  const double size = duration.parameters[0], mean = duration.parameters[1];
  return (k - 1.0 + size) / k * (mean / (size + mean));
}

// Each probability from the one before, in logarithms: nothing underflows on the way.
DurationLaw count_law(const Duration& duration, size_t count) {
  const bool poisson = duration.family == DurationFamily::kPoisson;
  const double size = duration.parameters[0], mean = duration.parameters[poisson ? 0 : 1];
  double log_p = poisson ? -mean : -size * std::log1p(mean / size);
  DurationLaw law;
  double sum = 0.0;
  size_t k = 0;
  for (; k < count; ++k) {
    if (k > 0) log_p += std::log(ratio_at(duration, static_cast<double>(k)));
    law.probability.push_back(std::exp(log_p));
    sum += law.probability.back();
    if (static_cast<double>(k) > mean && law.probability.back() < 1e-300) break;
  }
  law.probability.resize(count, 0.0);
  // Beyond: terms fall geometrically once k is above the mean.
  if (k == count && sum < 0.999) law.beyond = 1.0 - sum;
  for (size_t i = count; k == count && sum >= 0.999 && i < count + 1000000; ++i) {
    log_p += std::log(ratio_at(duration, static_cast<double>(i)));
    const double term = std::exp(log_p);
    law.beyond += term;
    if (term <= 1e-17 * law.beyond) break;
  }
  return law;
}

DurationLaw table_law(const Duration& duration, size_t count) {
  DurationLaw law;
  law.probability = duration.parameters;
  law.probability.resize(count, 0.0);
  for (size_t i = count; i < duration.parameters.size(); ++i) law.beyond += duration.parameters[i];
  return law;
}

// Mean number of windows from D on, given that the length is at least D; `law` covers the horizon.
double tail_mean(const DurationLaw& law, size_t maximum_duration, double at_least) {
  if (at_least < 1e-9) return static_cast<double>(maximum_duration);
  double sum = 0.0, survivor = law.beyond;
  for (size_t i = law.probability.size(); i-- > maximum_duration - 1;) {
    survivor += law.probability[i];
    sum += survivor;
  }
  return sum / at_least;
}

double log_of(double x) { return x > 0.0 ? std::log(x) : kNever; }

void fill_logs(DurationTable& table) {
  const size_t count = table.survivor.size();
  table.log_probability.resize(table.probability.size());
  table.log_survivor.resize(count);
  table.log_remaining.resize(count);
  std::transform(table.probability.begin(), table.probability.end(), table.log_probability.begin(),
                 log_of);
  std::transform(table.survivor.begin(), table.survivor.end(), table.log_survivor.begin(), log_of);
  table.log_stop = std::log(table.stop);
  table.log_stay = std::log1p(-table.stop);
  double sum = table.survivor.back() / table.stop;  // of the survivor from D on
  table.log_remaining[count - 1] = sum;
  for (size_t i = count - 1; i-- > 0;) table.log_remaining[i] = sum += table.survivor[i];
  table.mean = sum;
  table.log_mean = std::log(sum);
  for (double& value : table.log_remaining) value = std::log(value) - table.log_mean;
}

}  // namespace

DurationLaw duration_law(const Duration& duration, size_t count) {
  switch (duration.family) {
    case DurationFamily::kPoisson:
    case DurationFamily::kNegativeBinomial: return count_law(duration, count);
    case DurationFamily::kTable: return table_law(duration, count);
    default: return continuous_law(duration, count);
  }
}

DurationTable make_duration_table(const Duration& duration, size_t maximum_duration) {
  const size_t explicit_lengths = maximum_duration - 1;
  DurationLaw law = duration_law(duration, 2 * maximum_duration);
  if (law.beyond > 1e-12) {
    law = duration_law(duration, std::max(16 * maximum_duration, kTailHorizon));
  }
  DurationTable table;
  double at_least = law.beyond;  // P(length >= D), summed from the small end
  for (size_t i = law.probability.size(); i-- > explicit_lengths;) at_least += law.probability[i];
  const double mean_beyond = tail_mean(law, maximum_duration, at_least);
  table.stop =
      std::clamp(1.0 / mean_beyond, 1.0 / (16.0 * static_cast<double>(maximum_duration)), 0.5);
  double total = at_least;
  for (size_t i = 0; i < explicit_lengths; ++i) total += law.probability[i];
  const double share = (1.0 - 2.0 * kLeastTail) / total;
  const double least = kLeastTail / static_cast<double>(explicit_lengths);
  table.probability.resize(explicit_lengths);
  table.survivor.resize(maximum_duration);
  double survivor = table.survivor[explicit_lengths] = at_least * share + kLeastTail;
  for (size_t i = explicit_lengths; i-- > 0;) {
    table.probability[i] = law.probability[i] * share + least;
    table.survivor[i] = survivor += table.probability[i];
  }
  fill_logs(table);
  return table;
}

double log_probability_at(const DurationTable& table, size_t d) {
  if (d <= table.log_probability.size()) return table.log_probability[d - 1];
  return log_survivor_at(table, d) + table.log_stop;
}

double log_survivor_at(const DurationTable& table, size_t d) {
  const size_t count = table.log_survivor.size();
  if (d <= count) return table.log_survivor[d - 1];
  return table.log_survivor.back() + static_cast<double>(d - count) * table.log_stay;
}

double log_remaining_at(const DurationTable& table, size_t d) {
  const size_t count = table.log_remaining.size();
  if (d <= count) return table.log_remaining[d - 1];
  return table.log_remaining.back() + static_cast<double>(d - count) * table.log_stay;
}

std::string duration_problem(const Duration& duration) {
  const std::vector<double>& p = duration.parameters;
  const bool is_table = duration.family == DurationFamily::kTable;
  const size_t expected = duration.family == DurationFamily::kPoisson ? 1 : 2;
  if (is_table ? p.empty() || p.size() > kMaxDuration : p.size() != expected) {
    return "has " + std::to_string(p.size()) + " parameters";
  }
  for (const double x : p) {
    if (!std::isfinite(x) || std::abs(x) > 1e6) return "has a parameter that is not a length";
  }
  switch (duration.family) {
    case DurationFamily::kPoisson: return p[0] >= 0.0 ? "" : "has a mean below 0";
    case DurationFamily::kNegativeBinomial:
      return p[0] >= 1e-3 && p[1] >= 0.0 ? "" : "needs size >= 0.001 and mean >= 0";
    case DurationFamily::kGaussian:
      return p[0] >= 0.0 && p[1] >= 1e-3 ? "" : "needs mean >= 0 and deviation >= 0.001";
    case DurationFamily::kLogNormal:
      return std::abs(p[0]) <= 20.0 && p[1] >= 1e-3 && p[1] <= 20.0
                 ? ""
                 : "needs |mu| <= 20 and 0.001 <= sigma <= 20";
    case DurationFamily::kGamma:
      return p[0] >= 1e-3 && p[1] >= 1e-6 ? "" : "needs shape >= 0.001 and scale > 0";
    case DurationFamily::kTable: break;
  }
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  const bool negative = std::any_of(p.begin(), p.end(), [](double x) { return x < 0.0; });
  return negative || std::abs(sum - 1.0) > 1e-6 ? "has probabilities that do not sum to 1" : "";
}

}  // namespace graupel::decide
