// Channel statistics and z-scores. Two passes (mean, then squared distances) in double: one pass
// with sums of squares cancels when the offset is large against the spread, as gravity is.
// Reference: numpy mean/std(ddof=0). Test: statistics_test.cc.
#include "data/statistics.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

namespace graupel::data {
namespace {

constexpr size_t kMaximumChannels = 1 << 20;

// windows as N x C x inner.
struct Layout {
  size_t count = 0, channels = 0, inner = 0;
};

Result<Layout> layout_of(const Tensor& windows) {
  if (windows.dtype() != DType::kFloat32 || windows.rank() < 2 || windows.size() == 0) {
    return invalid_input("windows", "are " + std::string(to_string(windows.dtype())) +
                                        " of shape " + to_string(windows.shape()) +
                                        ", expected at least one float32 window as NxCx...");
  }
  Layout layout;
  layout.count = static_cast<size_t>(windows.shape()[0]);
  layout.channels = static_cast<size_t>(windows.shape()[1]);
  layout.inner = windows.size() / (layout.count * layout.channels);
  return layout;
}

template <class Body>
void for_each_in_channel(const Tensor& windows, const Layout& layout, size_t channel,
                         const Body& body) {
  const float* const data = windows.data<float>().data();
  for (size_t n = 0; n < layout.count; ++n) {
    const float* const row = data + (n * layout.channels + channel) * layout.inner;
    for (size_t i = 0; i < layout.inner; ++i) body(static_cast<double>(row[i]));
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

Result<std::vector<double>> number_list(const nlohmann::json& object, const char* key) {
  const auto entry = object.find(key);
  const Error error = invalid_input(
      "normalization", std::string("needs \"") + key + "\" as a list of numbers, one per channel");
  if (entry == object.end() || !entry->is_array() || entry->empty()) return error;
  std::vector<double> values;
  for (const nlohmann::json& item : *entry) {
    if (!item.is_number()) return error;
    values.push_back(item.get<double>());
  }
  return values;
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

Result<Tensor> z_score(const Tensor& windows, const Normalization& normalization) {
  TRY(check_normalization(normalization));
  TRY_ASSIGN(const Layout layout, layout_of(windows));
  if (layout.channels != normalization.mean.size()) {
    return invalid_input("normalization", "is for " + std::to_string(normalization.mean.size()) +
                                              " channels, the windows have " +
                                              std::to_string(layout.channels));
  }
  Tensor scaled(DType::kFloat32, windows.shape());
  const float* const in = windows.data<float>().data();
  float* const out = scaled.mutable_data<float>().data();
  for (size_t row = 0; row < layout.count * layout.channels; ++row) {
    const double mean = normalization.mean[row % layout.channels];
    const double scale = normalization.std[row % layout.channels] + normalization.epsilon;
    for (size_t i = row * layout.inner; i < (row + 1) * layout.inner; ++i) {
      out[i] = static_cast<float>((static_cast<double>(in[i]) - mean) / scale);
    }
  }
  return scaled;
}

Result<void> check_normalization(const Normalization& normalization) {
  const auto bad = [](std::string what) { return invalid_input("normalization", std::move(what)); };
  if (normalization.mean.empty() || normalization.mean.size() > kMaximumChannels ||
      normalization.mean.size() != normalization.std.size()) {
    return bad("has " + std::to_string(normalization.mean.size()) + " means and " +
               std::to_string(normalization.std.size()) + " standard deviations, expected as many");
  }
  if (!std::isfinite(normalization.epsilon) || normalization.epsilon < 0.0) {
    return bad("has an epsilon that is negative or not finite");
  }
  for (size_t c = 0; c < normalization.mean.size(); ++c) {
    const double scale = normalization.std[c] + normalization.epsilon;
    if (!std::isfinite(normalization.mean[c]) || !std::isfinite(normalization.std[c]) ||
        normalization.std[c] < 0.0 || !std::isfinite(1.0 / scale)) {
      return bad("channel " + std::to_string(c) +
                 " has a mean or standard deviation that cannot scale anything; leave out the "
                 "channel or set its std to 1");
    }
  }
  return ok();
}

Result<Normalization> parse_normalization(std::string_view json) {
  const nlohmann::json object = nlohmann::json::parse(json, nullptr, false);
  if (!object.is_object()) {
    return invalid_input("normalization",
                         "is not a JSON object; expected {\"mean\":[...],\"std\":[...]}");
  }
  Normalization normalization;
  TRY_ASSIGN(normalization.mean, number_list(object, "mean"));
  TRY_ASSIGN(normalization.std, number_list(object, "std"));
  const auto epsilon = object.find("epsilon");
  if (epsilon != object.end()) {
    if (!epsilon->is_number()) return invalid_input("normalization", "\"epsilon\" is no number");
    normalization.epsilon = epsilon->get<double>();
  }
  TRY(check_normalization(normalization));
  return normalization;
}

std::string format_normalization(const Normalization& normalization) {
  nlohmann::ordered_json object;
  object["mean"] = normalization.mean;
  object["std"] = normalization.std;
  object["epsilon"] = normalization.epsilon;
  return object.dump() + "\n";
}

}  // namespace graupel::data
