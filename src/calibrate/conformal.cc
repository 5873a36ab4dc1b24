// Conformal thresholds and what their sets do. See conformal.h.
//
// Idea: scores come from decide::class_scores, the same code that decides later, so a calibration
// window that equals a new one gets the same number to the last bit.
// Test: conformal_test.cc, fixtures_test.cc.
#include "calibrate/conformal.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "decide/conformal.h"

namespace graupel::calibrate {
namespace {

using decide::Condition;
using decide::Conformal;

constexpr uint64_t kFitSeed = 0xca11;  // other numbers than at run time
constexpr uint64_t kJudgeSeed = 0x1d6e;
constexpr int64_t kLeastStratum = 20;

// scores[i * classes + c] of every row and class.
std::vector<double> all_scores(const Conformal& conformal, const Probabilities& probabilities,
                               uint64_t seed) {
  std::vector<double> scores(probabilities.values.size());
  std::vector<int32_t> order(probabilities.classes);
  for (size_t i = 0; i < probabilities.count(); ++i) {
    decide::rank_classes(probabilities.row(i), order);
    const double u = conformal.randomised ? decide::uniform_of(seed, i) : 1.0;
    decide::class_scores(
        conformal, probabilities.row(i), order, u,
        std::span<double>(scores).subspan(i * probabilities.classes, probabilities.classes));
  }
  return scores;
}

std::string too_few(const std::string& what, size_t count, double alpha) {
  const double least = std::ceil(1.0 / alpha - 1.0 - 1e-9);
  return fmt::format(
      "{} has {} windows for its threshold, alpha {} needs {:.0f}: every class is "
      "in every set there",
      what, count, alpha, least);
}

void tally(std::map<int64_t, Stratum>& strata, int64_t key, bool covered, int64_t size) {
  Stratum& stratum = strata[key];
  stratum.key = key;
  ++stratum.count;
  stratum.coverage += covered ? 1.0 : 0.0;
  stratum.mean_size += static_cast<double>(size);
}

std::vector<Stratum> finished(std::map<int64_t, Stratum> strata) {
  std::vector<Stratum> list;
  for (auto& [key, stratum] : strata) {
    stratum.coverage /= static_cast<double>(stratum.count);
    stratum.mean_size /= static_cast<double>(stratum.count);
    list.push_back(stratum);
  }
  return list;
}

std::optional<int64_t> group_at(std::span<const int64_t> groups, size_t i) {
  return groups.empty() ? std::nullopt : std::optional<int64_t>(groups[i]);
}

}  // namespace

Result<ConformalFit> fit_conformal(Conformal wanted, const Probabilities& probabilities,
                                   std::span<const int64_t> groups) {
  if (!(wanted.alpha > 0.0 && wanted.alpha < 1.0)) {
    return invalid_input("--alpha", fmt::format("is {}, expected between 0 and 1", wanted.alpha));
  }
  if (wanted.condition == Condition::kGroup && groups.size() != probabilities.count()) {
    return invalid_input("--condition group", "needs --groups");
  }
  ConformalFit fit;
  const std::vector<double> scores = all_scores(wanted, probabilities, kFitSeed);
  std::vector<std::vector<double>> of_class(probabilities.classes);
  std::map<int64_t, std::vector<double>> of_group;
  for (size_t i = 0; i < probabilities.count(); ++i) {
    const auto label = static_cast<size_t>(probabilities.labels[i]);
    const double score = scores[i * probabilities.classes + label];
    fit.scores.push_back(score);
    of_class[label].push_back(score);
    if (!groups.empty()) of_group[groups[i]].push_back(score);
  }
  std::sort(fit.scores.begin(), fit.scores.end());
  wanted.calibration_count = static_cast<int64_t>(fit.scores.size());
  std::vector<double> copy = fit.scores;
  wanted.threshold = decide::conformal_quantile(copy, wanted.alpha);
  if (!decide::conformal_rank(fit.scores.size(), wanted.alpha)) {
    fit.warnings.push_back(too_few("the calibration part", fit.scores.size(), wanted.alpha));
  }
  if (wanted.condition == Condition::kClass) {
    for (size_t c = 0; c < of_class.size(); ++c) {
      wanted.class_thresholds.push_back(decide::conformal_quantile(of_class[c], wanted.alpha));
      if (wanted.class_thresholds.back() == decide::kNoThreshold) {
        fit.warnings.push_back(
            too_few(fmt::format("class {}", c), of_class[c].size(), wanted.alpha));
      }
    }
  }
  if (wanted.condition == Condition::kGroup) {
    for (auto& [group, own] : of_group) {
      wanted.groups.push_back(group);
      wanted.group_thresholds.push_back(decide::conformal_quantile(own, wanted.alpha));
      if (wanted.group_thresholds.back() == decide::kNoThreshold) {
        fit.warnings.push_back(too_few(fmt::format("group {}", group), own.size(), wanted.alpha));
      }
    }
  }
  fit.conformal = std::move(wanted);
  return fit;
}

decide::Adaptive fit_adaptive(std::span<const double> sorted_scores, double step) {
  decide::Adaptive adaptive;
  adaptive.step = step;
  const size_t count = sorted_scores.size();
  adaptive.calibration_count = static_cast<int64_t>(count);
  const size_t stored = std::min(count, decide::kMaxStoredScores);
  for (size_t i = 0; i < stored; ++i) {
    adaptive.scores.push_back(sorted_scores[((i + 1) * count + stored - 1) / stored - 1]);
  }
  return adaptive;
}

decide::Drift fit_drift(const Probabilities& probabilities, double alarm, double run_length) {
  decide::Drift drift;
  drift.alarm = alarm;
  drift.run_length = run_length;
  std::vector<double> uncertainties;
  for (const Event& event : top_events(probabilities)) {
    uncertainties.push_back(1.0 - event.confidence);
  }
  std::sort(uncertainties.begin(), uncertainties.end());
  const size_t bins = std::clamp<size_t>(uncertainties.size() / 4, 1, 256);
  for (size_t b = 1; b < bins; ++b) {
    const double edge = uncertainties[b * uncertainties.size() / bins];
    if (drift.edges.empty() || edge > drift.edges.back()) drift.edges.push_back(edge);
  }
  drift.counts.assign(drift.edges.size() + 1, 0);
  for (const double uncertainty : uncertainties) {
    const auto place = std::upper_bound(drift.edges.begin(), drift.edges.end(), uncertainty);
    ++drift.counts[static_cast<size_t>(place - drift.edges.begin())];
  }
  return drift;
}

std::vector<bool> sets_of(const Conformal& conformal, const Probabilities& probabilities,
                          std::span<const int64_t> groups) {
  const std::vector<double> scores = all_scores(conformal, probabilities, kJudgeSeed);
  std::vector<bool> sets(scores.size(), false);
  for (size_t i = 0; i < probabilities.count(); ++i) {
    bool empty = true;
    for (size_t c = 0; c < probabilities.classes; ++c) {
      const size_t at = i * probabilities.classes + c;
      sets[at] = scores[at] <= decide::threshold_of(conformal, c, group_at(groups, i));
      empty = empty && !sets[at];
    }
    if (!empty || conformal.empty_sets == decide::EmptySets::kKeep) continue;
    const std::span<const double> row = probabilities.row(i);
    const auto best = std::max_element(row.begin(), row.end()) - row.begin();
    sets[i * probabilities.classes + static_cast<size_t>(best)] = true;
  }
  return sets;
}

SetMetrics set_metrics(const Conformal& conformal, const Probabilities& probabilities,
                       std::span<const int64_t> groups) {
  SetMetrics metrics;
  metrics.count = probabilities.count();
  metrics.sizes.assign(probabilities.classes + 1, 0);
  Conformal unfilled = conformal;
  unfilled.empty_sets = decide::EmptySets::kKeep;
  const std::vector<bool> delivered = sets_of(conformal, probabilities, groups);
  const std::vector<bool> raw = sets_of(unfilled, probabilities, groups);
  std::map<int64_t, Stratum> by_class, by_size, by_group;
  int64_t covered_count = 0, covered_raw = 0, members = 0, empties = 0, fulls = 0;
  double singletons = 0.0, singletons_right = 0.0;
  for (size_t i = 0; i < metrics.count; ++i) {
    const auto begin = static_cast<std::ptrdiff_t>(i * probabilities.classes);
    const auto end = begin + static_cast<std::ptrdiff_t>(probabilities.classes);
    const int64_t size = std::count(delivered.begin() + begin, delivered.begin() + end, true);
    const size_t own = i * probabilities.classes + static_cast<size_t>(probabilities.labels[i]);
    const bool covered = delivered[own];
    covered_count += covered ? 1 : 0;
    covered_raw += raw[own] ? 1 : 0;
    members += size;
    const bool empty = std::count(raw.begin() + begin, raw.begin() + end, true) == 0;
    empties += empty ? 1 : 0;
    fulls += size == static_cast<int64_t>(probabilities.classes) ? 1 : 0;
    singletons += size == 1 ? 1.0 : 0.0;
    singletons_right += size == 1 && covered ? 1.0 : 0.0;
    ++metrics.sizes[static_cast<size_t>(size)];
    tally(by_class, probabilities.labels[i], covered, size);
    tally(by_size, size, covered, size);
    if (!groups.empty()) tally(by_group, groups[i], covered, size);
  }
  const auto count = static_cast<double>(std::max<size_t>(1, metrics.count));
  metrics.coverage = static_cast<double>(covered_count) / count;
  metrics.coverage_unfilled = static_cast<double>(covered_raw) / count;
  metrics.mean_size = static_cast<double>(members) / count;
  metrics.empty_share = static_cast<double>(empties) / count;
  metrics.full_share = static_cast<double>(fulls) / count;
  metrics.singleton_share = singletons / count;
  metrics.singleton_right = singletons > 0.0 ? singletons_right / singletons : 0.0;
  metrics.by_class = finished(std::move(by_class));
  metrics.by_size = finished(std::move(by_size));
  metrics.by_group = finished(std::move(by_group));
  for (const Stratum& stratum : metrics.by_size) {
    if (stratum.count < kLeastStratum) continue;
    metrics.worst_size_coverage = std::min(metrics.worst_size_coverage, stratum.coverage);
  }
  return metrics;
}

}  // namespace graupel::calibrate
