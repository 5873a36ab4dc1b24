// A histogram whose range grows by powers of two, so that values can stream in any order and from
// any number of threads and still give the same counts. Memory is constant.
// Test: histogram_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace graupel::quantize {

class Histogram {
 public:
  static constexpr size_t kBins = 8192;  // over [-limit, limit]
  static constexpr size_t kFewBins = 2048;

  Histogram() = default;
  // A power of two, at least 8. Both sides of a merge have the same number.
  explicit Histogram(size_t bin_count) : bin_count_(bin_count) {}

  // Non-finite values are counted apart and otherwise ignored.
  void add(std::span<const float> values);
  void merge(const Histogram& other);

  uint64_t count() const { return count_; }
  uint64_t non_finite() const { return non_finite_; }
  double minimum() const { return minimum_; }
  double maximum() const { return maximum_; }
  double bin_width() const;
  double bin_center(size_t bin) const;
  const std::vector<uint64_t>& bins() const { return bins_; }

 private:
  void grow_to(int exponent);

  size_t bin_count_ = kBins;
  std::vector<uint64_t> bins_;  // empty until the first value
  int exponent_ = kUnset;       // limit = 2^exponent
  uint64_t count_ = 0;
  uint64_t non_finite_ = 0;
  double minimum_ = 0.0;
  double maximum_ = 0.0;

  static constexpr int kUnset = -200;
};

}  // namespace graupel::quantize
