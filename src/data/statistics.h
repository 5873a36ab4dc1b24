// Per-channel statistics of windows and the z-score built from them.
// Test: statistics_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"

namespace graupel::data {

// What a model's input was scaled with: z = (x - mean[c]) / (std[c] + epsilon), channel c = axis 1.
struct Normalization {
  std::vector<double> mean;
  std::vector<double> std;
  double epsilon = 1e-8;

  bool operator==(const Normalization&) const = default;
};

// One channel over all windows and positions. mean, std, minimum and maximum cover the finite
// values only and are 0 when there are none.
struct ChannelStatistics {
  double mean = 0.0;
  double std = 0.0;  // population form (divides by the count), as numpy's std()
  double minimum = 0.0;
  double maximum = 0.0;
  int64_t finite_count = 0;
  int64_t nan_count = 0;
  int64_t infinite_count = 0;
  bool is_constant = false;  // at least two finite values, all the same
};

// `windows`: float32, N x C x ... (rank >= 2). Sums in double, mean first, so that a large offset
// does not eat the variance. Error kInvalidInput: another dtype or rank, or no window.
Result<std::vector<ChannelStatistics>> channel_statistics(const Tensor& windows);

// mean and std of each channel, as measured.
Normalization normalization_of(const std::vector<ChannelStatistics>& channels,
                               double epsilon = 1e-8);

// (x - mean) / (std + epsilon) per channel, in double, rounded once to float32. `windows` as
// above. Error kInvalidInput: channel counts differ, or `normalization` is not usable.
Result<Tensor> z_score(const Tensor& windows, const Normalization& normalization);

// {"mean":[...],"std":[...],"epsilon":1e-8}; epsilon may be left out. Error kInvalidInput names
// the key that is missing or wrong: lists of different length, a value that is not finite, a
// std below zero, std + epsilon of zero.
Result<Normalization> parse_normalization(std::string_view json);
std::string format_normalization(const Normalization& normalization);
Result<void> check_normalization(const Normalization& normalization);

}  // namespace graupel::data
