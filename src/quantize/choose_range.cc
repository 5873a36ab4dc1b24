// The calibrators. See choose_range.h.
//
// minmax keeps everything. percentile drops equal tails. mse searches the clipping that minimises
// the squared error of the histogram. entropy is the KL divergence search of
// TensorRT (Migacz 2017), over every threshold of a histogram of magnitudes: 2048 bins or more in
// use, so at least 1920 candidates. Test: choose_range_test.cc.
#include "quantize/choose_range.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace graupel::quantize {
namespace {

constexpr int kSearchSteps = 64;
constexpr size_t kQuantizedBins = 128;  // magnitudes of int8

Range percentile_range(const Histogram& histogram, double percentile) {
  const double tail = static_cast<double>(histogram.count()) * (100.0 - percentile) / 100.0;
  const std::vector<uint64_t>& bins = histogram.bins();
  Range range = observed_range(histogram);
  // The upper edge of the bin in which the upper tail ends; likewise below.
  double above = 0.0;
  for (size_t bin = bins.size(); bin-- > 0;) {
    above += static_cast<double>(bins[bin]);
    if (above <= tail) continue;
    range.high = std::clamp(histogram.bin_center(bin) + histogram.bin_width() / 2, 0.0, range.high);
    break;
  }
  double below = 0.0;
  for (size_t bin = 0; bin < bins.size(); ++bin) {
    below += static_cast<double>(bins[bin]);
    if (below <= tail) continue;
    range.low = std::clamp(histogram.bin_center(bin) - histogram.bin_width() / 2, range.low, 0.0);
    break;
  }
  return range;
}

Result<Range> mse_range(const Histogram& histogram, Scheme scheme) {
  return search_range(observed_range(histogram), scheme, [&](std::span<const ScaleChoice> choices) {
    std::vector<double> errors;
    for (const ScaleChoice& choice : choices) {
      errors.push_back(quantization_error(histogram, choice));
    }
    return Result<std::vector<double>>(std::move(errors));
  });
}

// Counts of magnitudes: bin i holds |x| in [i, i + 1) * bin_width.
std::vector<double> magnitudes(const Histogram& histogram) {
  const size_t half = histogram.bins().size() / 2;
  std::vector<double> counts(half, 0.0);
  for (size_t bin = 0; bin < 2 * half; ++bin) {
    const size_t magnitude = bin >= half ? bin - half : half - 1 - bin;
    counts[magnitude] += static_cast<double>(histogram.bins()[bin]);
  }
  // What a Relu sets to zero is exact at any scale; counted, it would outweigh all the rest.
  counts[0] = std::min(counts[0], counts[1]);
  return counts;
}

// Prefix sums over magnitude bins, so that one candidate costs kQuantizedBins steps.
struct Cumulative {
  std::vector<double> mass{0.0};           // sum of counts
  std::vector<double> occupied{0.0};       // number of non-empty bins
  std::vector<double> mass_log_mass{0.0};  // sum of count * log(count)
};

Cumulative accumulate_bins(const std::vector<double>& counts) {
  Cumulative sums;
  for (const double count : counts) {
    sums.mass.push_back(sums.mass.back() + count);
    sums.occupied.push_back(sums.occupied.back() + (count > 0.0 ? 1.0 : 0.0));
    sums.mass_log_mass.push_back(sums.mass_log_mass.back() +
                                 (count > 0.0 ? count * std::log(count) : 0.0));
  }
  return sums;
}

// KL divergence (times the total count, up to a constant) between the distribution clipped to the
// first `kept` bins, outliers moved into the last of them, and its 128-level form in which the mass
// of a level is spread evenly over its non-empty bins.
double divergence(const std::vector<double>& counts, const Cumulative& sums, size_t kept) {
  const double outliers = sums.mass.back() - sums.mass[kept];
  const double last = counts[kept - 1];
  // Outliers whose edge bin is empty have no counterpart in the quantised distribution.
  if (last <= 0.0 && outliers > 0.0) return std::numeric_limits<double>::infinity();
  double kl = sums.mass_log_mass[kept];
  double log_quantized = 0.0;
  size_t begin = 0;
  for (size_t level = 1; level <= kQuantizedBins; ++level) {
    const size_t end = level * kept / kQuantizedBins;
    const double mass = sums.mass[end] - sums.mass[begin];
    const double occupied = sums.occupied[end] - sums.occupied[begin];
    if (mass > 0.0) {
      log_quantized = std::log(mass / occupied / sums.mass[kept]);
      kl -= mass * log_quantized;
    }
    begin = end;
  }
  if (outliers > 0.0) {
    kl += (last + outliers) * std::log(last + outliers) - last * std::log(last);
    kl -= outliers * log_quantized;
  }
  return kl;
}

Range entropy_range(const Histogram& histogram) {
  const std::vector<double> counts = magnitudes(histogram);
  size_t used = counts.size();
  while (used > kQuantizedBins && counts[used - 1] == 0.0) --used;
  const Cumulative sums = accumulate_bins(counts);
  size_t best = used;
  double best_divergence = std::numeric_limits<double>::infinity();
  for (size_t kept = kQuantizedBins; kept <= used; ++kept) {
    const double kl = divergence(counts, sums, kept);
    if (kl < best_divergence) {
      best_divergence = kl;
      best = kept;
    }
  }
  const double threshold = static_cast<double>(best) * histogram.bin_width();
  const Range full = observed_range(histogram);
  return {std::max(full.low, -threshold), std::min(full.high, threshold)};
}

}  // namespace

Range observed_range(const Histogram& histogram) {
  return {std::min(0.0, histogram.minimum()), std::max(0.0, histogram.maximum())};
}

Result<Range> search_range(const Range& full, Scheme scheme, const ScaleCost& cost) {
  Range best = full;
  double best_cost = std::numeric_limits<double>::infinity();
  const auto consider = [&](const Range& widest, const Range& narrowest) -> Result<void> {
    std::vector<Range> ranges;
    std::vector<ScaleChoice> choices;
    for (int step = kSearchSteps; step > 0; --step) {
      const double part = step / double{kSearchSteps};
      ranges.push_back({narrowest.low + (widest.low - narrowest.low) * part,
                        narrowest.high + (widest.high - narrowest.high) * part});
      choices.push_back(choose_scale(ranges.back(), scheme));
    }
    TRY_ASSIGN(const std::vector<double> costs, cost(choices));
    for (size_t i = 0; i < ranges.size(); ++i) {
      if (costs[i] >= best_cost) continue;
      best_cost = costs[i];
      best = ranges[i];
    }
    return ok();
  };
  TRY(consider(full, {}));
  if (scheme == Scheme::kSymmetric) return best;
  TRY(consider({full.low, best.high}, {0.0, best.high}));
  TRY(consider({best.low, full.high}, {best.low, 0.0}));
  return best;
}

Result<Range> choose_range(const Histogram& histogram, const QuantizeOptions& options) {
  if (histogram.count() == 0) return Range();
  switch (options.calibrator) {
    case Calibrator::kMinMax: return observed_range(histogram);
    case Calibrator::kOutput:
    case Calibrator::kPercentile: return percentile_range(histogram, options.percentile);
    // These two need more than a histogram; this is for a tensor without channels.
    case Calibrator::kMovingAverage: return observed_range(histogram);
    case Calibrator::kMseChannel:
    case Calibrator::kMse: return mse_range(histogram, options.scheme);
    case Calibrator::kEntropy: return entropy_range(histogram);
  }
  return observed_range(histogram);
}

ScaleChoice choose_scale(const Range& range, Scheme scheme) {
  const auto usable = [](double scale) {
    const auto value = static_cast<float>(scale);
    return std::isnormal(value) ? value : 1.0f;
  };
  if (scheme == Scheme::kSymmetric && range.low < 0.0) {
    return {DType::kInt8, usable(std::max(-range.low, range.high) / 127.0), 0};
  }
  const float scale = usable((range.high - range.low) / 255.0);
  const double zero = std::nearbyint(-range.low / static_cast<double>(scale));
  return {DType::kUInt8, scale, static_cast<int32_t>(std::clamp(zero, 0.0, 255.0))};
}

double quantization_error(const Histogram& histogram, const ScaleChoice& choice) {
  const double scale = choice.scale;
  const double lowest = choice.dtype == DType::kInt8 ? -128.0 : 0.0 - choice.zero_point;
  const double highest = choice.dtype == DType::kInt8 ? 127.0 : 255.0 - choice.zero_point;
  double sum = 0.0;
  for (size_t bin = 0; bin < histogram.bins().size(); ++bin) {
    const uint64_t count = histogram.bins()[bin];
    if (count == 0) continue;
    const double x = histogram.bin_center(bin);
    const double q = std::clamp(std::nearbyint(x / scale), lowest, highest);
    const double error = x - q * scale;
    sum += static_cast<double>(count) * error * error;
  }
  return histogram.count() == 0 ? 0.0 : sum / static_cast<double>(histogram.count());
}

}  // namespace graupel::quantize
