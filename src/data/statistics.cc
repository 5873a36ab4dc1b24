// Channel statistics and scales. Two passes (mean, then squared distances) in double: one pass
// with sums of squares cancels when the offset is large against the spread, as gravity is.
// Reference: numpy mean/std(ddof=0). Test: statistics_test.cc.
#include "data/statistics.h"

#include <cmath>
#include <map>
#include <string>

#include "data/layout.h"

namespace graupel::data {
namespace {

template <class Body>
void for_each_in_channel(const Tensor& windows, const Layout& layout, size_t channel,
                         const Body& body) {
  const float* const data = windows.data<float>().data();
  for (size_t n = 0; n < layout.count; ++n) {
    const float* const row = data + (n * layout.channels + channel) * layout.per_channel();
    for (size_t i = 0; i < layout.per_channel(); ++i) body(static_cast<double>(row[i]));
  }
}

ChannelStatistics one_channel(const Tensor& windows, const Layout& layout, size_t channel) {
  ChannelStatistics result;
  double sum = 0.0;
  for_each_in_channel(windows, layout, channel, [&](double x) {
    if (std::isnan(x)) {
      ++result.nan_count;
    } else if (std::isinf(x)) {
      ++result.infinite_count;
    } else {
      if (result.finite_count == 0 || x < result.minimum) result.minimum = x;
      if (result.finite_count == 0 || x > result.maximum) result.maximum = x;
      sum += x;
      ++result.finite_count;
    }
  });
  if (result.finite_count == 0) return result;
  const auto count = static_cast<double>(result.finite_count);
  result.mean = sum / count;
  double squares = 0.0;
  for_each_in_channel(windows, layout, channel, [&](double x) {
    if (std::isfinite(x)) squares += (x - result.mean) * (x - result.mean);
  });
  result.std = std::sqrt(squares / count);
  result.is_constant = result.finite_count > 1 && result.minimum == result.maximum;
  return result;
}

}  // namespace

Result<std::vector<ChannelStatistics>> channel_statistics(const Tensor& windows) {
  TRY_ASSIGN(const Layout layout, layout_of(windows));
  std::vector<ChannelStatistics> channels;
  channels.reserve(layout.channels);
  for (size_t c = 0; c < layout.channels; ++c) channels.push_back(one_channel(windows, layout, c));
  return channels;
}

Normalization normalization_of(const std::vector<ChannelStatistics>& channels, double epsilon) {
  Normalization normalization;
  normalization.epsilon = epsilon;
  for (const ChannelStatistics& channel : channels) {
    normalization.mean.push_back(channel.mean);
    normalization.std.push_back(channel.std);
  }
  return normalization;
}

Result<Normalization> grouped_normalization_of(const std::vector<ChannelStatistics>& channels,
                                               const std::vector<int64_t>& groups, double epsilon) {
  if (groups.size() != channels.size()) {
    return invalid_input("channel groups", "are for " + std::to_string(groups.size()) +
                                               " channels, expected " +
                                               std::to_string(channels.size()));
  }
  struct Sum {
    double squares = 0.0, count = 0.0;
  };
  std::map<int64_t, Sum> sums;
  for (size_t c = 0; c < channels.size(); ++c) {
    const ChannelStatistics& channel = channels[c];
    const auto count = static_cast<double>(channel.finite_count);
    Sum& sum = sums[groups[c]];
    sum.squares += count * (channel.std * channel.std + channel.mean * channel.mean);
    sum.count += count;
  }
  Normalization normalization;
  normalization.epsilon = epsilon;
  for (const int64_t group : groups) {
    const Sum& sum = sums[group];
    normalization.mean.push_back(0.0);
    normalization.std.push_back(sum.count > 0.0 ? std::sqrt(sum.squares / sum.count) : 0.0);
  }
  return normalization;
}

}  // namespace graupel::data
