// Calibration metrics. See metrics.h.
//
// Debiasing: a bin of n windows whose true share is mu shows a share with standard deviation
// s = sqrt(mu (1 - mu) / n); E|N(d, s^2)| = s sqrt(2/pi) exp(-d^2 / 2 s^2) + d (1 - 2 Phi(-d/s)).
// The interval is value +- 1.96 standard deviations of resampled values: their own mean carries the
// small-sample bias once more, so percentiles would miss the truth. Test: metrics_test.cc,
// fixtures_test.cc.
#include "calibrate/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "base/rng.h"

namespace graupel::calibrate {
namespace {

constexpr size_t kLeastGroups = 8;
constexpr double kNormal95 = 1.959963984540054;
constexpr double kPi = 3.141592653589793;

void finish(Bin& bin) {
  if (bin.count == 0) return;
  bin.mean_confidence /= static_cast<double>(bin.count);
  bin.share_right /= static_cast<double>(bin.count);
}

void add(Bin& bin, const Event& event) {
  ++bin.count;
  bin.mean_confidence += event.confidence;
  bin.share_right += event.right ? 1.0 : 0.0;
}

size_t width_bin(double confidence, size_t bins) {
  const double place = std::ceil(confidence * static_cast<double>(bins)) - 1.0;
  return static_cast<size_t>(std::clamp(place, 0.0, static_cast<double>(bins - 1)));
}

// E|N(mean, deviation^2)|
double folded_mean(double mean, double deviation) {
  if (deviation == 0.0) return std::abs(mean);
  const double ratio = mean / deviation;
  return deviation * std::sqrt(2.0 / kPi) * std::exp(-0.5 * ratio * ratio) +
         mean * std::erf(ratio / std::sqrt(2.0));
}

double total_of(std::span<const Bin> bins) {
  double total = 0.0;
  for (const Bin& bin : bins) total += static_cast<double>(bin.count);
  return std::max(total, 1.0);
}

double debiased_raw(std::span<const Bin> bins) {
  double found = 0.0, expected = 0.0;
  for (const Bin& bin : bins) {
    if (bin.count == 0) continue;
    const auto count = static_cast<double>(bin.count);
    const double gap = bin.share_right - bin.mean_confidence;
    const double deviation = std::sqrt(bin.share_right * (1.0 - bin.share_right) / count);
    found += count * std::abs(gap);
    expected += count * folded_mean(gap, deviation);
  }
  return (2.0 * found - expected) / total_of(bins);
}

std::vector<std::vector<size_t>> clusters_of(size_t count, std::span<const int64_t> groups) {
  std::map<int64_t, std::vector<size_t>> members;
  for (size_t i = 0; i < groups.size(); ++i) members[groups[i]].push_back(i);
  std::vector<std::vector<size_t>> clusters;
  if (members.size() >= kLeastGroups) {
    for (auto& [group, windows] : members) clusters.push_back(std::move(windows));
  } else {
    for (size_t i = 0; i < count; ++i) clusters.push_back({i});
  }
  return clusters;
}

// Standard deviation of the error if windows are independent, with every bin's share drawn a little
// towards one half: resampling alone finds nothing to vary where every window is right.
double chance_of(std::span<const Bin> bins) {
  double variance = 0.0;
  for (const Bin& bin : bins) {
    if (bin.count == 0) continue;
    const auto count = static_cast<double>(bin.count);
    const double share = (bin.share_right * count + 2.0) / (count + 4.0);  // Agresti and Coull
    variance += count * count * share * (1.0 - share) / (count + 4.0);
  }
  return std::sqrt(variance) / total_of(bins);
}

// Bins of at least 50 windows where possible: below, the bias that is left outweighs the detail.
size_t judged_bins(size_t count) { return std::clamp<size_t>(count / 50, 5, kBins); }

}  // namespace

std::vector<Event> top_events(const Probabilities& probabilities) {
  std::vector<Event> events;
  for (size_t i = 0; i < probabilities.count(); ++i) {
    const std::span<const double> row = probabilities.row(i);
    const auto best = std::max_element(row.begin(), row.end());
    events.push_back({*best, best - row.begin() == probabilities.labels[i]});
  }
  return events;
}

std::vector<Event> class_events(const Probabilities& probabilities, size_t c) {
  std::vector<Event> events;
  for (size_t i = 0; i < probabilities.count(); ++i) {
    events.push_back({probabilities.row(i)[c], probabilities.labels[i] == static_cast<int64_t>(c)});
  }
  return events;
}

std::vector<Bin> bins_of(std::span<const Event> events, Binning binning, size_t count) {
  std::vector<Bin> bins(count);
  if (binning == Binning::kEqualWidth) {
    for (size_t b = 0; b < count; ++b) {
      bins[b].low = static_cast<double>(b) / static_cast<double>(count);
      bins[b].high = static_cast<double>(b + 1) / static_cast<double>(count);
    }
    for (const Event& event : events) add(bins[width_bin(event.confidence, count)], event);
  } else {
    std::vector<Event> sorted(events.begin(), events.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const Event& a, const Event& b) { return a.confidence < b.confidence; });
    size_t next = 0;
    for (size_t b = 0; b < count; ++b) {
      const size_t end = (b + 1) * sorted.size() / count;
      if (end > next) {
        bins[b].low = sorted[next].confidence;
        bins[b].high = sorted[end - 1].confidence;
      }
      for (; next < end; ++next) add(bins[b], sorted[next]);
    }
  }
  for (Bin& bin : bins) finish(bin);
  return bins;
}

double expected_error(std::span<const Bin> bins) {
  double sum = 0.0;
  for (const Bin& bin : bins) {
    sum += static_cast<double>(bin.count) * std::abs(bin.share_right - bin.mean_confidence);
  }
  return sum / total_of(bins);
}

double maximum_error(std::span<const Bin> bins) {
  double largest = 0.0;
  for (const Bin& bin : bins) {
    if (bin.count > 0) {
      largest = std::max(largest, std::abs(bin.share_right - bin.mean_confidence));
    }
  }
  return largest;
}

double debiased_error(std::span<const Bin> bins) { return std::max(0.0, debiased_raw(bins)); }

double classwise_error(const Probabilities& probabilities, size_t bins) {
  double sum = 0.0;
  for (size_t c = 0; c < probabilities.classes; ++c) {
    sum += expected_error(bins_of(class_events(probabilities, c), Binning::kEqualWidth, bins));
  }
  return sum / static_cast<double>(std::max<size_t>(1, probabilities.classes));
}

Judged judged_error(std::span<const Event> events, std::span<const int64_t> groups, uint64_t seed,
                    size_t resamples) {
  Judged judged;
  if (events.empty()) return judged;
  const auto debiased = [](std::span<const Event> of) {
    return debiased_raw(bins_of(of, Binning::kEqualMass, judged_bins(of.size())));
  };
  const std::vector<std::vector<size_t>> clusters = clusters_of(events.size(), groups);
  judged.clusters = clusters.size();
  judged.by_group = clusters.size() < events.size();
  Rng rng(seed);
  std::vector<Event> drawn;
  double mean = 0.0, squares = 0.0;  // Welford
  for (size_t i = 0; i < resamples; ++i) {
    drawn.clear();
    for (size_t k = 0; k < clusters.size(); ++k) {
      for (const size_t window : clusters[rng.below(clusters.size())]) {
        drawn.push_back(events[window]);
      }
    }
    const double off = debiased(drawn) - mean;
    mean += off / static_cast<double>(i + 1);
    squares += off * off * static_cast<double>(i) / static_cast<double>(i + 1);
  }
  const auto draws = static_cast<double>(std::max<size_t>(resamples, 2));
  const double chance = chance_of(bins_of(events, Binning::kEqualMass, judged_bins(events.size())));
  const double reach = kNormal95 * std::max(chance, std::sqrt(squares / (draws - 1.0)));
  judged.value = std::max(0.0, debiased(events));
  judged.low = std::max(0.0, judged.value - reach);
  judged.high = judged.value + reach;
  return judged;
}

Brier brier_of(const Probabilities& probabilities, size_t bins) {
  Brier brier;
  const auto count = static_cast<double>(std::max<size_t>(1, probabilities.count()));
  for (size_t c = 0; c < probabilities.classes; ++c) {
    const std::vector<Event> events = class_events(probabilities, c);
    double base = 0.0, score = 0.0;
    for (const Event& event : events) {
      const double gap = event.confidence - (event.right ? 1.0 : 0.0);
      score += gap * gap / count;
      base += (event.right ? 1.0 : 0.0) / count;
    }
    double reliability = 0.0, resolution = 0.0;
    for (const Bin& bin : bins_of(events, Binning::kEqualWidth, bins)) {
      const double share = static_cast<double>(bin.count) / count;
      const double gap = bin.mean_confidence - bin.share_right;
      reliability += share * gap * gap;
      resolution += share * (bin.share_right - base) * (bin.share_right - base);
    }
    if (probabilities.count() == 0) continue;
    const double uncertainty = base * (1.0 - base);
    brier.score += score;
    brier.reliability += reliability;
    brier.resolution += resolution;
    brier.uncertainty += uncertainty;
  }
  brier.within_bins = brier.score - (brier.reliability - brier.resolution + brier.uncertainty);
  return brier;
}

double nll_of(const Probabilities& probabilities) {
  double sum = 0.0;
  for (size_t i = 0; i < probabilities.count(); ++i) {
    const double own = probabilities.row(i)[static_cast<size_t>(probabilities.labels[i])];
    sum -= std::log(std::max(own, std::numeric_limits<double>::min()));
  }
  return sum / static_cast<double>(std::max<size_t>(1, probabilities.count()));
}

double accuracy_of(const Probabilities& probabilities) {
  double right = 0.0;
  for (const Event& event : top_events(probabilities)) right += event.right ? 1.0 : 0.0;
  return right / static_cast<double>(std::max<size_t>(1, probabilities.count()));
}

double aurc_of(std::span<const Event> events) {
  std::vector<Event> sorted(events.begin(), events.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const Event& a, const Event& b) { return a.confidence > b.confidence; });
  double area = 0.0, wrong = 0.0;
  for (size_t begin = 0; begin < sorted.size();) {
    size_t end = begin;
    double wrong_here = 0.0;
    while (end < sorted.size() && sorted[end].confidence == sorted[begin].confidence) {
      wrong_here += sorted[end++].right ? 0.0 : 1.0;
    }
    const auto tied = static_cast<double>(end - begin);
    for (size_t k = begin; k < end; ++k) {
      const double share = static_cast<double>(k - begin + 1) / tied;
      area += (wrong + wrong_here * share) / static_cast<double>(k + 1);
    }
    wrong += wrong_here;
    begin = end;
  }
  return area / static_cast<double>(std::max<size_t>(1, sorted.size()));
}

ConfidenceMetrics confidence_metrics(const Probabilities& probabilities,
                                     std::span<const int64_t> groups, uint64_t seed) {
  const std::vector<Event> events = top_events(probabilities);
  ConfidenceMetrics metrics;
  metrics.count = probabilities.count();
  metrics.reliability = bins_of(events, Binning::kEqualWidth);
  metrics.accuracy = accuracy_of(probabilities);
  metrics.nll = nll_of(probabilities);
  metrics.aurc = aurc_of(events);
  metrics.ece_width = expected_error(metrics.reliability);
  metrics.ece_mass = expected_error(bins_of(events, Binning::kEqualMass));
  metrics.ece_classwise = classwise_error(probabilities);
  metrics.mce = maximum_error(metrics.reliability);
  metrics.ece = judged_error(events, groups, seed);
  metrics.brier = brier_of(probabilities);
  return metrics;
}

}  // namespace graupel::calibrate
