// Per-channel statistics of windows and the scales built from them.
// Test: statistics_test.cc.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "data/preprocess.h"

namespace graupel::data {

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

// The z-score: mean and std of each channel, as measured.
Normalization normalization_of(const std::vector<ChannelStatistics>& channels,
                               double epsilon = 1e-8);

// One scale for each group of channels (a sensor's three axes): mean 0 and, as std, the root mean
// square of the group's finite values, so that a rotation of the axes commutes with the scaling.
// `groups`: a group number >= 0 per channel. Error kInvalidInput: not one per channel.
Result<Normalization> grouped_normalization_of(const std::vector<ChannelStatistics>& channels,
                                               const std::vector<int64_t>& groups,
                                               double epsilon = 1e-8);

}  // namespace graupel::data
