// The chain from raw windows to a model's input. See preprocess.h.
//
// Idea: one loop over rows of the last axis, the three steps one after another on each value;
// float32 between the steps, as the plan stores it. Reference: numpy (fixtures in the test).
// Test: preprocess_test.cc.
#include "data/preprocess.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "data/layout.h"

namespace graupel::data {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaximumChannels = 1 << 20;
constexpr int64_t kFormatVersion = 2;
constexpr const char* kPlace = "normalization";

Result<void> check_centred(const std::vector<int64_t>& centred, size_t channels, size_t rank) {
  int64_t previous = -1;
  for (const int64_t channel : centred) {
    if (channel <= previous || channel >= static_cast<int64_t>(channels)) {
      return invalid_input(kPlace, "removes the window mean of channel " + std::to_string(channel) +
                                       "; expected ascending channels " + "below " +
                                       std::to_string(channels));
    }
    previous = channel;
  }
  if (!centred.empty() && rank < 3) {
    return invalid_input(kPlace, "removes window means, but the windows have no time axis");
  }
  return ok();
}

std::vector<char> chosen(const std::vector<int64_t>& centred, size_t channels) {
  std::vector<char> is_centred(channels, 0);
  for (const int64_t channel : centred) is_centred[static_cast<size_t>(channel)] = 1;
  return is_centred;
}

void centre_row(const float* in, float* out, size_t samples) {
  double sum = 0.0;
  for (size_t i = 0; i < samples; ++i) sum += static_cast<double>(in[i]);
  const double mean = sum / static_cast<double>(samples);
  for (size_t i = 0; i < samples; ++i) {
    out[i] = static_cast<float>(static_cast<double>(in[i]) - mean);
  }
}

// ---- text ----

Error bad(std::string what) { return invalid_input(kPlace, std::move(what)); }

Result<std::vector<double>> number_list(const Json& object, const char* key) {
  const auto entry = object.find(key);
  const Error error =
      bad(std::string("needs \"") + key + "\" as a list of numbers, one per channel");
  if (entry == object.end() || !entry->is_array() || entry->empty()) return error;
  std::vector<double> values;
  for (const Json& item : *entry) {
    if (!item.is_number()) return error;
    values.push_back(item.get<double>());
  }
  return values;
}

Result<void> parse_scale(const Json& object, Normalization& normalization) {
  TRY_ASSIGN(normalization.mean, number_list(object, "mean"));
  TRY_ASSIGN(normalization.std, number_list(object, "std"));
  const auto epsilon = object.find("epsilon");
  if (epsilon == object.end()) return ok();
  if (!epsilon->is_number()) return bad("\"epsilon\" is no number");
  normalization.epsilon = epsilon->get<double>();
  return ok();
}

Result<void> parse_channels(const Json& step, Normalization& normalization) {
  const auto channels = step.find("channels");
  const Error error = bad("remove_window_mean needs \"channels\" as a list of whole numbers");
  if (channels == step.end() || !channels->is_array() || channels->empty()) return error;
  for (const Json& item : *channels) {
    if (!item.is_number_integer()) return error;
    normalization.centred.push_back(item.get<int64_t>());
  }
  return ok();
}

Result<void> parse_clip(const Json& step, Normalization& normalization) {
  const auto limit = step.find("limit");
  if (limit == step.end() || !limit->is_number()) return bad("clip needs a number \"limit\"");
  normalization.clip = limit->get<double>();
  return ok();
}

struct StepForm {
  const char* name;
  Result<void> (*parse)(const Json&, Normalization&);
};
constexpr StepForm kSteps[] = {
    {"remove_window_mean", parse_channels}, {"scale", parse_scale}, {"clip", parse_clip}};

Result<void> parse_steps(const Json& object, Normalization& normalization) {
  const auto steps = object.find("steps");
  if (steps == object.end() || !steps->is_array()) return bad("has no list \"steps\"");
  size_t next = 0;
  for (const Json& step : *steps) {
    const auto name = step.is_object() ? step.find("step") : step.end();
    if (!step.is_object() || name == step.end() || !name->is_string()) {
      return bad("has a step without its name under \"step\"");
    }
    const StepForm* const found = std::find_if(
        std::begin(kSteps), std::end(kSteps),
        [&](const StepForm& form) { return name->get_ref<const std::string&>() == form.name; });
    if (found == std::end(kSteps)) {
      return unsupported(kPlace, "has a step that is not remove_window_mean, scale or clip");
    }
    const auto index = static_cast<size_t>(found - std::begin(kSteps));
    if (index < next) {
      return bad(std::string("has ") + found->name +
                 " out of place; the order is remove_window_mean, scale, clip, each once");
    }
    next = index + 1;
    TRY(found->parse(step, normalization));
  }
  return ok();
}

}  // namespace

Result<Tensor> remove_window_mean(const Tensor& windows, const std::vector<int64_t>& channels) {
  TRY_ASSIGN(const Layout layout, layout_of(windows));
  TRY(check_centred(channels, layout.channels, windows.rank()));
  if (channels.empty()) return windows;
  Tensor centred = windows;
  const float* const in = windows.data<float>().data();
  float* const out = centred.mutable_data<float>().data();
  const size_t inner = layout.rows * layout.samples;
  for (size_t n = 0; n < layout.count; ++n) {
    for (const int64_t channel : channels) {
      const size_t at = (n * layout.channels + static_cast<size_t>(channel)) * inner;
      for (size_t r = 0; r < layout.rows; ++r) {
        centre_row(in + at + r * layout.samples, out + at + r * layout.samples, layout.samples);
      }
    }
  }
  return centred;
}

Result<Tensor> preprocess(const Tensor& windows, const Normalization& normalization) {
  TRY(check_normalization(normalization));
  TRY_ASSIGN(const Layout layout, layout_of(windows));
  if (layout.channels != normalization.mean.size()) {
    return bad("is for " + std::to_string(normalization.mean.size()) +
               " channels, the windows have " + std::to_string(layout.channels));
  }
  TRY(check_centred(normalization.centred, layout.channels, windows.rank()));
  const std::vector<char> is_centred = chosen(normalization.centred, layout.channels);
  const float limit = static_cast<float>(normalization.clip.value_or(0.0));
  Tensor result(DType::kFloat32, windows.shape());
  const float* in = windows.data<float>().data();
  float* out = result.mutable_data<float>().data();
  std::vector<float> centred(layout.samples);
  for (size_t row = 0; row < layout.count * layout.channels * layout.rows; ++row) {
    const size_t c = row / layout.rows % layout.channels;
    const double mean = normalization.mean[c];
    const double scale = normalization.std[c] + normalization.epsilon;
    const float* from = in;
    if (is_centred[c] != 0) {
      centre_row(in, centred.data(), layout.samples);
      from = centred.data();
    }
    for (size_t i = 0; i < layout.samples; ++i) {
      float x = static_cast<float>((static_cast<double>(from[i]) - mean) / scale);
      if (normalization.clip) x = x < -limit ? -limit : x > limit ? limit : x;
      out[i] = x;
    }
    in += layout.samples;
    out += layout.samples;
  }
  return result;
}

Result<void> check_normalization(const Normalization& normalization) {
  const size_t channels = normalization.mean.size();
  if (channels == 0 || channels > kMaximumChannels || channels != normalization.std.size()) {
    return bad("has " + std::to_string(channels) + " means and " +
               std::to_string(normalization.std.size()) + " standard deviations, expected as many");
  }
  if (!std::isfinite(normalization.epsilon) || normalization.epsilon < 0.0) {
    return bad("has an epsilon that is negative or not finite");
  }
  for (size_t c = 0; c < channels; ++c) {
    const double scale = normalization.std[c] + normalization.epsilon;
    if (!std::isfinite(normalization.mean[c]) || !std::isfinite(normalization.std[c]) ||
        normalization.std[c] < 0.0 || !std::isfinite(1.0 / scale)) {
      return bad("channel " + std::to_string(c) +
                 " has a mean or standard deviation that cannot scale anything; leave out the "
                 "channel or set its std to 1");
    }
  }
  TRY(check_centred(normalization.centred, channels, 3));
  const double clip = normalization.clip.value_or(1.0);
  if (!(clip >= std::numeric_limits<float>::min() && clip <= std::numeric_limits<float>::max())) {
    return bad("clips at a limit that is not a positive float");
  }
  return ok();
}

Result<Normalization> parse_normalization(std::string_view json) {
  const Json object = Json::parse(json, nullptr, false);
  if (!object.is_object()) {
    return bad("is not a JSON object; expected {\"mean\":[...],\"std\":[...]}");
  }
  Normalization normalization;
  const auto version = object.find("format_version");
  if (version == object.end()) {
    TRY(parse_scale(object, normalization));
  } else {
    if (!version->is_number_integer() || version->get<int64_t>() < kFormatVersion) {
      return bad("has a format_version that is not 2");
    }
    if (version->get<int64_t>() > kFormatVersion) {
      return unsupported(kPlace, "is of format version " + std::to_string(version->get<int64_t>()) +
                                     ", newer than this graupel; update graupel");
    }
    TRY(parse_steps(object, normalization));
  }
  TRY(check_normalization(normalization));
  return normalization;
}

std::string format_normalization(const Normalization& normalization) {
  Json scale;
  scale["mean"] = normalization.mean;
  scale["std"] = normalization.std;
  scale["epsilon"] = normalization.epsilon;
  if (normalization.centred.empty() && !normalization.clip) return scale.dump() + "\n";
  Json steps = Json::array();
  if (!normalization.centred.empty()) {
    steps.push_back({{"step", "remove_window_mean"}, {"channels", normalization.centred}});
  }
  Json step = {{"step", "scale"}};
  step.update(scale);
  steps.push_back(step);
  if (normalization.clip) steps.push_back({{"step", "clip"}, {"limit", *normalization.clip}});
  Json object = {{"format_version", kFormatVersion}, {"steps", steps}};
  return object.dump() + "\n";
}

}  // namespace graupel::data
