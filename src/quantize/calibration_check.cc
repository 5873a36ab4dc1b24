// Judging a calibration set. See calibration_check.h. Test: calibration_check_test.cc.
#include "quantize/calibration_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string_view>

#include "base/window_at.h"
#include "ir/eval.h"
#include "quantize/quantize.h"

namespace graupel::quantize {
namespace {

constexpr size_t kProbedWindows = 64;
constexpr double kLargeMagnitude = 100.0;  // z-scored or scaled inputs stay far below
constexpr double kMeanShift = 1.0;         // in training standard deviations, median of channels
constexpr double kVarianceRatio = 2.0;     // either way, median of channels
constexpr double kRepeatedShare = 0.5;

using Findings = std::vector<CalibrationFinding>;

void check_count(int64_t count, Findings& findings) {
  if (count < kMinimumWindows) {
    findings.push_back({Severity::kError, "too-few-windows",
                        fmt::format("{} windows; at least {} are needed", count, kMinimumWindows),
                        fmt::format("record more, {} are recommended", kRecommendedWindows)});
  } else if (count < kFewWindows) {
    findings.push_back({Severity::kWarning, "few-windows",
                        fmt::format("{} windows are few for choosing scales", count),
                        fmt::format("{} are recommended", kRecommendedWindows)});
  } else if (count < kRecommendedWindows) {
    findings.push_back(
        {Severity::kInfo, "fewer-windows-than-recommended",
         fmt::format("{} windows; the vendor's higher optimisation levels want {}", count, 1024),
         fmt::format("{} are recommended", kRecommendedWindows)});
  }
}

struct ChannelRange {
  float low = std::numeric_limits<float>::infinity();
  float high = -std::numeric_limits<float>::infinity();
  uint64_t not_finite = 0;
};

std::vector<ChannelRange> channel_ranges(const Tensor& windows) {
  const Shape& shape = windows.shape();
  const auto channels = static_cast<size_t>(shape.size() > 1 ? shape[1] : 1);
  std::vector<ChannelRange> ranges(channels);
  const size_t count = static_cast<size_t>(shape[0]);
  if (count == 0 || channels == 0) return ranges;
  const size_t inner = windows.size() / count / channels;
  const std::span<const float> values = windows.data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    ChannelRange& range = ranges[i / inner % channels];
    if (!std::isfinite(values[i])) {
      ++range.not_finite;
      continue;
    }
    range.low = std::min(range.low, values[i]);
    range.high = std::max(range.high, values[i]);
  }
  return ranges;
}

void check_values(const std::vector<ChannelRange>& ranges, Findings& findings) {
  uint64_t not_finite = 0;
  float low = 0.0f, high = 0.0f;
  for (size_t channel = 0; channel < ranges.size(); ++channel) {
    const ChannelRange& range = ranges[channel];
    not_finite += range.not_finite;
    low = std::min(low, range.low);
    high = std::max(high, range.high);
    if (range.low == range.high) {
      findings.push_back({Severity::kWarning, "constant-channel",
                          fmt::format("channel {} is {:g} in every sample", channel, range.low),
                          "a sensor axis is missing, or the axes are mixed up"});
    }
  }
  if (not_finite > 0) {
    findings.push_back({Severity::kError, "not-finite",
                        fmt::format("{} values are NaN or infinite", not_finite),
                        "repair or drop those windows"});
  }
  if (std::max(-low, high) > kLargeMagnitude) {
    findings.push_back(
        {Severity::kWarning, "large-values",
         fmt::format("values reach from {:g} to {:g}, which looks un-normalised", low, high),
         "apply the normalisation the model was trained with (--normalization)"});
  }
}

void check_repeats(const Tensor& windows, Findings& findings) {
  const auto count = static_cast<size_t>(windows.shape()[0]);
  if (count == 0) return;
  const size_t size_bytes = windows.size_bytes() / count;
  const auto* bytes = reinterpret_cast<const char*>(windows.bytes());
  std::set<std::string_view> distinct;
  for (size_t i = 0; i < count; ++i) distinct.insert({bytes + i * size_bytes, size_bytes});
  const size_t repeated = count - distinct.size();
  if (static_cast<double>(repeated) < kRepeatedShare * static_cast<double>(count)) return;
  findings.push_back({Severity::kWarning, "repeated-windows",
                      fmt::format("{} of {} windows repeat another one", repeated, count),
                      "calibrate on distinct windows"});
}

// Per channel: sum and sum of squares of what reaches one BatchNormalization.
struct Moments {
  std::vector<double> sum, squares;
  double count = 0.0;
};

void accumulate(const Tensor& x, Moments& moments) {
  const auto channels = static_cast<size_t>(x.shape()[1]);
  moments.sum.resize(channels, 0.0);
  moments.squares.resize(channels, 0.0);
  const size_t inner = x.size() / static_cast<size_t>(x.shape()[0]) / channels;
  const std::span<const float> values = x.data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t channel = i / inner % channels;
    const double value = values[i];
    moments.sum[channel] += value;
    moments.squares[channel] += value * value;
  }
  moments.count += static_cast<double>(values.size() / channels);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// The BatchNormalization nearest the input, in inference form with constant statistics.
const ir::Node* first_batch_normalization(const ir::Graph& graph) {
  for (const ir::NodeId id : ir::live_nodes(graph)) {
    const ir::Node& node = graph.node(id);
    const ir::BatchNormalization* op = std::get_if<ir::BatchNormalization>(&node.op);
    if (op == nullptr || op->training) continue;
    const bool usable = graph.constant(node.inputs[3]) != nullptr &&
                        graph.constant(node.inputs[4]) != nullptr &&
                        graph.value(node.inputs[0]).dtype == DType::kFloat32;
    if (usable) return &node;
  }
  return nullptr;
}

Result<Moments> observed_moments(const ir::Graph& graph, ir::ValueId value, const Tensor& windows) {
  Moments moments;
  if (value == graph.inputs[0]) {
    accumulate(windows, moments);
    return moments;
  }
  const auto count = std::min(static_cast<size_t>(windows.shape()[0]), kProbedWindows);
  // Spread over the set: recordings are usually sorted by class or time.
  const size_t stride = static_cast<size_t>(windows.shape()[0]) / count;
  TRY_ASSIGN(const ir::Prepared prepared, ir::prepare(graph));
  for (size_t i = 0; i < count; ++i) {
    const std::array<Tensor, 1> window = {window_at(windows, i * stride)};
    ir::EvalOptions options;
    options.observe = [&](size_t, ir::ValueId id, const Tensor& tensor) {
      if (id == value) accumulate(tensor, moments);
    };
    TRY(ir::evaluate(prepared, window, options));
  }
  return moments;
}

Result<void> check_against_training(const ir::Graph& original, const Tensor& windows,
                                    Findings& findings) {
  const ir::Node* node = first_batch_normalization(original);
  if (node == nullptr || original.inputs.size() != 1) return ok();
  TRY_ASSIGN(const Moments moments, observed_moments(original, node->inputs[0], windows));
  const std::vector<double> mean = original.constant(node->inputs[3])->to_doubles();
  const std::vector<double> variance = original.constant(node->inputs[4])->to_doubles();
  std::vector<double> shifts, log_ratios, sizes;
  for (size_t i = 0; i < moments.sum.size() && i < mean.size(); ++i) {
    if (variance[i] <= 1e-12) continue;
    const double observed_mean = moments.sum[i] / moments.count;
    const double observed_variance =
        std::max(moments.squares[i] / moments.count - observed_mean * observed_mean, 1e-30);
    shifts.push_back(std::abs(observed_mean - mean[i]) / std::sqrt(variance[i]));
    log_ratios.push_back(std::log(observed_variance / variance[i]));
    // Mixed-up axes make some channels larger and others smaller.
    sizes.push_back(std::abs(log_ratios.back()));
  }
  const double shift = median(shifts);
  const double ratio = std::exp(median(log_ratios));
  if (shift <= kMeanShift && median(sizes) <= std::log(kVarianceRatio)) return ok();
  findings.push_back(
      {Severity::kWarning, "unlike-training-data",
       fmt::format("at {} the windows give channel means {:.1f} training standard deviations off "
                   "and {:.3g} times the variance of training",
                   node->name, shift, ratio),
       "check normalisation (--normalization), units and the order of axes (N,C,H,W) of the "
       "windows"});
  return ok();
}

}  // namespace

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::kError: return "error";
    case Severity::kWarning: return "warning";
    case Severity::kInfo: return "info";
  }
  return "info";
}

Result<std::vector<CalibrationFinding>> check_calibration(const ir::Graph& original,
                                                          const Tensor& windows) {
  if (windows.dtype() != DType::kFloat32 || windows.rank() < 2) {
    return invalid_input("calibration windows", fmt::format("are {} {}, expected float32 NxCx...",
                                                            graupel::to_string(windows.dtype()),
                                                            graupel::to_string(windows.shape())));
  }
  if (original.inputs.size() == 1 && original.value(original.inputs[0]).shape) {
    const Shape& wanted = original.shape(original.inputs[0]);
    if (wanted.size() != windows.rank() ||
        !std::equal(wanted.begin() + 1, wanted.end(), windows.shape().begin() + 1)) {
      return invalid_input(
          "calibration windows",
          fmt::format("have shape {}, but the network takes {}",
                      graupel::to_string(windows.shape()), graupel::to_string(wanted)));
    }
  }
  Findings findings;
  check_count(windows.shape()[0], findings);
  check_values(channel_ranges(windows), findings);
  check_repeats(windows, findings);
  const bool broken = std::any_of(findings.begin(), findings.end(), [](const auto& finding) {
    return finding.severity == Severity::kError;
  });
  if (!broken) TRY(check_against_training(original, windows, findings));
  return findings;
}

std::vector<CalibrationFinding> check_classes(const Tensor& labels) {
  std::map<int64_t, size_t> counts;
  for (const int64_t label : labels.to_int64s()) ++counts[label];
  Findings findings;
  if (counts.size() == 1) {
    findings.push_back({Severity::kWarning, "single-class",
                        fmt::format("all windows are of class {}", counts.begin()->first),
                        "calibrate on windows of every class: the others reach values that were "
                        "never seen"});
    return findings;
  }
  for (const auto& [label, count] : counts) {
    if (count * 100 >= labels.size()) continue;
    findings.push_back({Severity::kInfo, "rare-class",
                        fmt::format("class {} has {} of {} windows", label, count, labels.size()),
                        "record more of it"});
  }
  return findings;
}

}  // namespace graupel::quantize
