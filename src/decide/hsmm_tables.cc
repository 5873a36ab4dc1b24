// Model to tables, another hop, and emissions. See hsmm_tables.h. Test: hsmm_model_test.cc.
#include "decide/hsmm_tables.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace graupel::decide {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

double log_of(double x) { return x > 0.0 ? std::log(x) : kNever; }

// Mass of length d spread evenly over the new lengths that round into [d - 1/2, d + 1/2].
Duration spread(const Duration& duration, size_t maximum, double hop, size_t new_maximum) {
  const DurationLaw law = duration_law(duration, maximum);
  std::vector<double> mass(new_maximum, 0.0);
  for (size_t d = 1; d <= law.probability.size(); ++d) {
    double weight = law.probability[d - 1];
    if (d == law.probability.size()) weight += law.beyond;
    const double low = std::max(0.5, (static_cast<double>(d) - 0.5) / hop);
    const double high = std::max(low + 1e-9, (static_cast<double>(d) + 0.5) / hop);
    for (auto n = static_cast<size_t>(low + 0.5); static_cast<double>(n) - 0.5 < high; ++n) {
      const double from = std::max(low, static_cast<double>(n) - 0.5);
      const double to = std::min(high, static_cast<double>(n) + 0.5);
      const size_t at = std::clamp<size_t>(n, 1, new_maximum) - 1;
      mass[at] += weight * std::max(0.0, to - from) / (high - low);
    }
  }
  double total = 0.0;
  for (const double x : mass) total += x;
  for (double& x : mass) x /= total;
  return {DurationFamily::kTable, std::move(mass)};
}

std::string place_of(size_t window) { return "window " + std::to_string(window); }

}  // namespace

Result<HsmmTables> make_hsmm_tables(const Hsmm& model) {
  TRY(check_hsmm(model));
  HsmmTables tables;
  tables.states = model.states();
  tables.maximum_duration = static_cast<size_t>(model.maximum_duration);
  tables.contexts = model.transitions.size();
  tables.begin = model.begin;
  for (const double p : model.initial) tables.log_initial.push_back(log_of(p));
  for (const std::vector<double>& matrix : model.transitions) {
    for (const double p : matrix) {
      tables.transition.push_back(p);
      tables.log_transition.push_back(log_of(p));
    }
  }
  for (const Duration& duration : model.durations) {
    tables.durations.push_back(make_duration_table(duration, tables.maximum_duration));
  }
  return tables;
}

Result<Hsmm> rescaled(const Hsmm& model, double hop) {
  TRY(check_hsmm(model));
  if (!(hop >= 1.0 / 64.0 && hop <= 64.0)) {
    return invalid_input("hop", "is " + std::to_string(hop) +
                                    " times the one the HSMM was fitted with; at most 64 times "
                                    "as long or short is taken: fit again with calibrate");
  }
  if (hop == 1.0) return model;
  Hsmm other = model;
  const auto maximum = static_cast<size_t>(model.maximum_duration);
  const size_t most = std::min(kMaxDuration, kMaxStateDurations / model.states());
  const auto wanted = static_cast<size_t>(std::ceil(static_cast<double>(maximum) / hop));
  const size_t new_maximum = std::clamp<size_t>(wanted, 2, most);
  for (Duration& duration : other.durations) {
    duration = spread(duration, 4 * maximum, hop, new_maximum);
  }
  other.maximum_duration = static_cast<int64_t>(new_maximum);
  other.emission.weight =
      std::min(model.emission.weight * hop, std::max(1.0, model.emission.weight));
  other.emission.code_weight =
      std::min(model.emission.code_weight * hop, std::max(1.0, model.emission.code_weight));
  other.hop_samples = std::llround(static_cast<double>(model.hop_samples) * hop);
  return other;
}

void log_emission(const Emission& emission, std::span<const double> probabilities,
                  std::span<const int64_t> digits, std::span<double> out) {
  const bool posteriors = emission.use != EmissionUse::kCodes;
  const bool codes = emission.use != EmissionUse::kPosteriors;
  double largest = kNever;
  for (size_t s = 0; s < out.size(); ++s) {
    double sum = 0.0;
    if (posteriors) {
      sum = emission.weight *
            std::log(std::max(probabilities[s], kLeastProbability) / emission.prior[s]);
    }
    if (codes) {
      const double* level = emission.digits[s].data();
      double evidence = 0.0;
      for (size_t d = 0; d < digits.size(); ++d) {
        evidence += std::log(level[digits[d]]);
        level += emission.levels[d];
      }
      sum += emission.code_weight * evidence;
    }
    out[s] = sum;
    largest = std::max(largest, sum);
  }
  for (double& value : out) value = std::max(value - largest, kLeastEmission);
}

Result<std::vector<double>> log_emissions(const Hsmm& model, std::span<const double> probabilities,
                                          std::span<const int64_t> digits, size_t windows) {
  const Emission& emission = model.emission;
  const size_t states = model.states();
  const size_t depth = emission.use == EmissionUse::kPosteriors ? 0 : emission.levels.size();
  const size_t columns = emission.use == EmissionUse::kCodes ? 0 : states;
  if (probabilities.size() < windows * columns || digits.size() < windows * depth) {
    return invalid_input("HSMM", "reads " + std::string(to_string(emission.use)) + " of " +
                                     std::to_string(states) + " states, which " +
                                     std::to_string(windows) + " windows do not have");
  }
  std::vector<double> out(windows * states);
  for (size_t t = 0; t < windows; ++t) {
    for (size_t s = 0; s < columns; ++s) {
      const double p = probabilities[t * states + s];
      if (!(p >= 0.0 && p <= 1.0 + 1e-9)) {
        return invalid_input(place_of(t), "class " + std::to_string(s) + " has the probability " +
                                              std::to_string(p) +
                                              "; are there NaN in the window or its logits?");
      }
    }
    for (size_t d = 0; d < depth; ++d) {
      const int64_t digit = digits[t * depth + d];
      if (digit >= 0 && digit < emission.levels[d]) continue;
      return invalid_input(place_of(t), "FSQ digit " + std::to_string(d) + " is " +
                                            std::to_string(digit) + " of " +
                                            std::to_string(emission.levels[d]) + " levels");
    }
    log_emission(emission,
                 columns ? probabilities.subspan(t * states, states) : std::span<const double>(),
                 depth ? digits.subspan(t * depth, depth) : std::span<const int64_t>(),
                 std::span<double>(out).subspan(t * states, states));
  }
  return out;
}

}  // namespace graupel::decide
