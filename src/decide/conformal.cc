// Conformal scores and quantiles. See conformal.h. Test: conformal_test.cc.
#include "decide/conformal.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace graupel::decide {

std::optional<size_t> conformal_rank(size_t count, double alpha) {
  const double exact = (static_cast<double>(count) + 1.0) * (1.0 - alpha);
  const double whole = std::round(exact);
  const bool is_whole = std::abs(exact - whole) <= 1e-14 * std::max(1.0, exact);
  const double rank = std::max(1.0, is_whole ? whole : std::ceil(exact));
  if (!(rank <= static_cast<double>(count))) return std::nullopt;
  return static_cast<size_t>(rank);
}

double conformal_quantile(std::span<double> scores, double alpha) {
  const std::optional<size_t> rank = conformal_rank(scores.size(), alpha);
  if (!rank) return kNoThreshold;
  const auto nth = scores.begin() + static_cast<std::ptrdiff_t>(*rank - 1);
  std::nth_element(scores.begin(), nth, scores.end());
  return *nth;
}

void rank_classes(std::span<const double> probabilities, std::span<int32_t> order) {
  for (size_t c = 0; c < order.size(); ++c) order[c] = static_cast<int32_t>(c);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    const double x = probabilities[static_cast<size_t>(a)];
    const double y = probabilities[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
}

void class_scores(const Conformal& conformal, std::span<const double> probabilities,
                  std::span<const int32_t> order, double u, std::span<double> scores) {
  const double share = conformal.randomised ? u : 1.0;
  double above = 0.0;  // of the classes in front
  for (size_t i = 0; i < order.size(); ++i) {
    const auto c = static_cast<size_t>(order[i]);
    const double p = probabilities[c];
    const double top = probabilities[static_cast<size_t>(order[0])];
    const auto rank = static_cast<double>(i + 1);
    switch (conformal.method) {
      case ConformalMethod::kLac: scores[c] = 1.0 - p; break;
      case ConformalMethod::kAps: scores[c] = above + share * p; break;
      case ConformalMethod::kRaps:
        scores[c] = above + share * p +
                    conformal.raps_lambda *
                        std::max(0.0, rank - static_cast<double>(conformal.raps_free_ranks));
        break;
      case ConformalMethod::kSaps:
        scores[c] = i == 0 ? share * top : top + (rank - 2.0 + share) * conformal.saps_weight;
        break;
    }
    above += p;
  }
}

double threshold_of(const Conformal& conformal, size_t c, std::optional<int64_t> group) {
  if (conformal.condition == Condition::kClass) {
    return c < conformal.class_thresholds.size() ? conformal.class_thresholds[c] : kNoThreshold;
  }
  if (conformal.condition == Condition::kGroup && group) {
    const auto found = std::lower_bound(conformal.groups.begin(), conformal.groups.end(), *group);
    if (found != conformal.groups.end() && *found == *group) {
      return conformal.group_thresholds[static_cast<size_t>(found - conformal.groups.begin())];
    }
  }
  return conformal.threshold;
}

double uniform_of(uint64_t seed, uint64_t window) {
  return Rng(Rng(seed).next_u64() ^ (window * 0x9E3779B97F4A7C15u)).uniform();
}

}  // namespace graupel::decide
