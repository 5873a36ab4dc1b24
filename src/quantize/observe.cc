// Observers and the scales they lead to. See observe.h.
//
// Windows are taken in batches; within one, each window's sums are made apart and added in order,
// so that neither the number of threads nor of windows shows. Test: observe_test.cc.
#include "quantize/observe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/parallel.h"
#include "base/window_at.h"
#include "ir/eval.h"
#include "quantize/region.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::ValueId;

bool is_byte(DType dtype) { return dtype == DType::kInt8 || dtype == DType::kUInt8; }

constexpr size_t kBatch = 64;
constexpr double kMovingWeight = 0.01;  // of the newest window, as ONNX Runtime's
constexpr size_t kWatchedChannels = 64;

// One window's share of an Observation.
struct Share {
  std::vector<Range> extremes;  // indexed by value
  std::vector<bool> seen;
  std::vector<ChannelStats> channels;
};

void add_channels(const Tensor& tensor, ChannelStats& stats) {
  if (tensor.rank() < 2 || tensor.size() == 0) return;
  const auto channels = static_cast<size_t>(tensor.shape()[1]);
  const size_t inner = tensor.size() / channels;
  stats.sum.resize(channels, 0.0);
  stats.squares.resize(channels, 0.0);
  stats.largest.resize(channels, 0.0);
  const float* value = tensor.data<float>().data();
  for (size_t c = 0; c < channels; ++c) {
    double sum = 0.0, squares = 0.0, largest = 0.0;
    for (size_t i = 0; i < inner; ++i) {
      const double x = *value++;
      sum += x;
      squares += x * x;
      largest = std::max(largest, std::abs(x));
    }
    stats.sum[c] += sum;
    stats.squares[c] += squares;
    stats.largest[c] = std::max(stats.largest[c], largest);
  }
  stats.count += static_cast<double>(inner);
}

void add_stats(const ChannelStats& share, ChannelStats& total) {
  if (share.count == 0.0) return;
  total.sum.resize(share.sum.size(), 0.0);
  total.squares.resize(share.sum.size(), 0.0);
  total.largest.resize(share.sum.size(), 0.0);
  for (size_t c = 0; c < share.sum.size(); ++c) {
    total.sum[c] += share.sum[c];
    total.squares[c] += share.squares[c];
    total.largest[c] = std::max(total.largest[c], share.largest[c]);
  }
  total.count += share.count;
}

void add_extremes(const Tensor& tensor, size_t value, Share& share) {
  Range& range = share.extremes[value];
  for (const float x : tensor.data<float>()) {
    range.low = std::min(range.low, static_cast<double>(x));
    range.high = std::max(range.high, static_cast<double>(x));
  }
  share.seen[value] = true;
}

// Up to kWatchedChannels channels of a tensor, each in a histogram of its own.
void add_watched(const Tensor& tensor, std::vector<Histogram>& histograms) {
  if (tensor.rank() < 2 || tensor.size() == 0) return;
  const auto channels = static_cast<size_t>(tensor.shape()[1]);
  const size_t step = (channels + kWatchedChannels - 1) / kWatchedChannels;
  const size_t inner = tensor.size() / channels;
  if (histograms.empty()) {
    histograms.resize((channels + step - 1) / step, Histogram(Histogram::kFewBins));
  }
  for (size_t c = 0, at = 0; c < channels && at < histograms.size(); c += step, ++at) {
    histograms[at].add(tensor.data<float>().subspan(c * inner, inner));
  }
}

// What each worker counts by itself: integers, so any order gives the same.
struct Counts {
  std::vector<Histogram> histograms;
  std::vector<std::vector<Histogram>> channels;
};

void merge_counts(Counts& from, Observation& into) {
  for (size_t i = 0; i < from.histograms.size(); ++i) {
    into.histograms[i].merge(from.histograms[i]);
    std::vector<Histogram>& target = into.channel_histograms[i];
    if (target.empty()) target.resize(from.channels[i].size(), Histogram(Histogram::kFewBins));
    for (size_t c = 0; c < from.channels[i].size() && c < target.size(); ++c) {
      target[c].merge(from.channels[i][c]);
    }
  }
}

void fold(const Share& share, bool first, Observation& total) {
  for (size_t i = 0; i < share.extremes.size(); ++i) {
    add_stats(share.channels[i], total.channels[i]);
    if (!share.seen[i]) continue;
    Range& moving = total.moving[i];
    if (first) {
      moving = share.extremes[i];
    } else {
      moving.low += kMovingWeight * (share.extremes[i].low - moving.low);
      moving.high += kMovingWeight * (share.extremes[i].high - moving.high);
    }
  }
}

double channel_error(const std::vector<Histogram>& channels, const ScaleChoice& choice) {
  double sum = 0.0;
  for (const Histogram& channel : channels) {
    double power = 0.0;
    for (size_t bin = 0; bin < channel.bins().size(); ++bin) {
      const double x = channel.bin_center(bin);
      power += static_cast<double>(channel.bins()[bin]) * x * x;
    }
    if (power > 0.0 && channel.count() > 0) {
      sum += quantization_error(channel, choice) * static_cast<double>(channel.count()) / power;
    }
  }
  return sum;
}

Result<Range> range_of_point(const Graph& device, const Points& points, ValueId id,
                             const Observation& seen, const QuantizeOptions& options) {
  const Histogram& histogram = seen.histograms[id.index()];
  if (histogram.count() == 0) return Range();
  const bool by_error = options.calibrator == Calibrator::kMse ||
                        options.calibrator == Calibrator::kMseChannel ||
                        options.calibrator == Calibrator::kOutput;
  if (by_error) {
    TRY_ASSIGN(const std::optional<Region> region, region_behind(device, points, id));
    if (region) return range_for_region(*region, histogram, options.scheme);
  }
  if (options.calibrator == Calibrator::kMovingAverage) return seen.moving[id.index()];
  const std::vector<Histogram>& channels = seen.channel_histograms[id.index()];
  if (options.calibrator == Calibrator::kMseChannel && !channels.empty()) {
    return search_range(observed_range(histogram), options.scheme,
                        [&](std::span<const ScaleChoice> choices) {
                          std::vector<double> errors;
                          for (const ScaleChoice& choice : choices) {
                            errors.push_back(channel_error(channels, choice));
                          }
                          return Result<std::vector<double>>(std::move(errors));
                        });
  }
  return choose_range(histogram, options);
}

}  // namespace

Result<Observation> observe(const Graph& device, const Points& points, const Tensor& windows,
                            Calibrator calibrator) {
  const auto count = static_cast<size_t>(windows.shape()[0]);
  const size_t values = device.values.size();
  const size_t stat_step = std::max<size_t>(1, count / kStatWindows);
  Observation seen{std::vector<Histogram>(values), std::vector<Range>(values),
                   std::vector<std::vector<Histogram>>(values), std::vector<ChannelStats>(values)};
  std::vector<Counts> counts(
      available_cores(),
      Counts{std::vector<Histogram>(values), std::vector<std::vector<Histogram>>(values)});
  TRY_ASSIGN(const ir::Prepared prepared, ir::prepare(device));
  for (size_t start = 0; start < count; start += kBatch) {
    const size_t batch = std::min(kBatch, count - start);
    std::vector<Share> shares(batch,
                              Share{std::vector<Range>(values), std::vector<bool>(values, false),
                                    std::vector<ChannelStats>(values)});
    std::vector<std::optional<Error>> errors(batch);
    parallel_for(batch, [&](size_t at, size_t worker) {
      const std::array<Tensor, 1> window = {window_at(windows, start + at)};
      const auto record = [&](size_t, ValueId id, const Tensor& tensor) {
        if (!points.is_point[id.index()]) return;
        const size_t shared = points.same_scale[id.index()].index();
        counts[worker].histograms[shared].add(tensor.data<float>());
        if (calibrator == Calibrator::kMovingAverage) add_extremes(tensor, shared, shares[at]);
        if (calibrator == Calibrator::kMseChannel) {
          add_watched(tensor, counts[worker].channels[shared]);
        }
        if ((start + at) % stat_step == 0) add_channels(tensor, shares[at].channels[id.index()]);
      };
      record(0, device.inputs[0], window[0]);
      ir::EvalOptions options;
      options.observe = record;
      Result<std::vector<Tensor>> outputs = ir::evaluate(prepared, window, options);
      if (!outputs.ok()) errors[at] = std::move(outputs).error();
    });
    for (size_t at = 0; at < batch; ++at) {
      if (errors[at]) return *errors[at];
      fold(shares[at], start + at == 0, seen);
    }
  }
  for (Counts& part : counts) merge_counts(part, seen);
  return seen;
}

void add_to(Observation& seen, const Observation& further) {
  for (size_t i = 0; i < seen.histograms.size(); ++i) {
    seen.histograms[i].merge(further.histograms[i]);
    add_stats(further.channels[i], seen.channels[i]);
    std::vector<Histogram>& channels = seen.channel_histograms[i];
    for (size_t c = 0; c < channels.size() && c < further.channel_histograms[i].size(); ++c) {
      channels[c].merge(further.channel_histograms[i][c]);
    }
  }
}

const Encoding* given_scale(const Graph& device, const Points& points, ValueId shared,
                            const Encodings& given) {
  for (size_t i = 0; i < device.values.size() && !given.tensors.empty(); ++i) {
    if (!points.is_point[i] || points.same_scale[i] != shared) continue;
    const auto found = given.tensors.find(device.values[i].name);
    if (found != given.tensors.end()) return &found->second;
  }
  return nullptr;
}

Result<std::vector<ScaleChoice>> choose_scales(const Graph& device, const Points& points,
                                               const Observation& seen,
                                               const QuantizeOptions& options) {
  std::vector<ScaleChoice> scales(device.values.size());
  for (size_t i = 0; i < device.values.size(); ++i) {
    if (!points.is_point[i] || points.same_scale[i] != ValueId(i)) continue;
    if (seen.histograms[i].non_finite() > 0) {
      return invalid_input(device.values[i].name,
                           fmt::format("becomes NaN or infinite for {} values of the calibration "
                                       "windows; check the windows' range",
                                       seen.histograms[i].non_finite()));
    }
    if (const Encoding* given = given_scale(device, points, ValueId(i), options.given);
        given != nullptr && is_byte(given->dtype)) {
      scales[i] = {given->dtype, given->scale, given->zero_point};
      continue;
    }
    QuantizeOptions own = options;
    const auto observer = options.observers.find(device.values[i].name);
    if (observer != options.observers.end()) {
      own.calibrator = observer->second.calibrator;
      own.percentile = observer->second.percentile;
    }
    TRY_ASSIGN(const Range range, range_of_point(device, points, ValueId(i), seen, own));
    scales[i] = choose_scale(range, options.scheme);
  }
  return scales;
}

}  // namespace graupel::quantize
