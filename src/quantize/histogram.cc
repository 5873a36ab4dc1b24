// Power-of-two histogram. See histogram.h.
//
// The limit is the smallest power of two above every magnitude seen. When it doubles, neighbouring
// bins merge exactly (old bins lie inside new ones), so the final counts depend on the multiset of
// values only. Test: histogram_test.cc.
#include "quantize/histogram.h"

#include <algorithm>
#include <cmath>

namespace graupel::quantize {
namespace {

// The smallest e with |value| < 2^e, at least the smallest that float32 can scale by.
int exponent_of(double magnitude) {
  int exponent = -120;
  if (magnitude > 0.0) std::frexp(magnitude, &exponent);
  return std::max(exponent, -120);
}

}  // namespace

double Histogram::bin_width() const {
  return std::ldexp(2.0, exponent_) / static_cast<double>(bin_count_);
}

double Histogram::bin_center(size_t bin) const {
  return (static_cast<double>(bin) + 0.5 - static_cast<double>(bin_count_ / 2)) * bin_width();
}

void Histogram::grow_to(int exponent) {
  if (bins_.empty()) {
    bins_.assign(bin_count_, 0);
    exponent_ = exponent;
    return;
  }
  for (; exponent_ < exponent; ++exponent_) {
    std::vector<uint64_t> wider(bin_count_, 0);
    for (size_t bin = 0; bin < bin_count_; ++bin) wider[bin_count_ / 4 + bin / 2] += bins_[bin];
    bins_ = std::move(wider);
  }
}

void Histogram::add(std::span<const float> values) {
  float low = INFINITY, high = -INFINITY;
  uint64_t finite = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
    ++finite;
  }
  non_finite_ += values.size() - finite;
  if (finite == 0) return;
  const double magnitude =
      std::max(std::abs(static_cast<double>(low)), std::abs(static_cast<double>(high)));
  grow_to(std::max(exponent_, exponent_of(magnitude)));
  minimum_ = count_ == 0 ? low : std::min(minimum_, static_cast<double>(low));
  maximum_ = count_ == 0 ? high : std::max(maximum_, static_cast<double>(high));
  count_ += finite;
  // A power of two: the product and the sum below are exact enough to place a value in its bin the
  // same way everywhere.
  const double per_unit = 1.0 / bin_width();
  const auto middle = static_cast<int32_t>(bin_count_ / 2);
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    const double scaled = static_cast<double>(value) * per_unit;  // in [-middle, middle]
    const auto whole = static_cast<int32_t>(scaled);
    const int32_t floor = whole - (scaled < whole ? 1 : 0);
    ++bins_[static_cast<size_t>(std::clamp(floor + middle, 0, 2 * middle - 1))];
  }
}

void Histogram::merge(const Histogram& other) {
  non_finite_ += other.non_finite_;
  if (other.count_ == 0) return;
  Histogram wide = other;
  const int exponent = std::max(exponent_, other.exponent_);
  wide.grow_to(exponent);
  grow_to(exponent);
  for (size_t bin = 0; bin < bin_count_; ++bin) bins_[bin] += wide.bins_[bin];
  minimum_ = count_ == 0 ? other.minimum_ : std::min(minimum_, other.minimum_);
  maximum_ = count_ == 0 ? other.maximum_ : std::max(maximum_, other.maximum_);
  count_ += other.count_;
}

}  // namespace graupel::quantize
