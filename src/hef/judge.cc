// What a HEF gives away before it runs: limits that clip, outputs that are not the promised ones.
// See hef.h. Test: hef_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hef/hef.h"

namespace graupel::hef {
namespace {

constexpr uint64_t kOldestPeripheral = 26;  // PERIPH_CALCULATION_IN_HAILORT

uint64_t values_of(const Stream& stream) { return stream.height * stream.width * stream.features; }

void judge_stream(const Stream& stream, std::vector<Finding>& findings) {
  const Quantization& numbers = stream.quantization;
  bool bad_scale = !(numbers.scale > 0.0f) || !std::isfinite(numbers.scale);
  for (const double scale : numbers.scales) bad_scale |= !(scale > 0.0) || !std::isfinite(scale);
  if (bad_scale && !stream.nms) {
    findings.push_back(
        {"error", "zero_scale", stream.name,
         fmt::format("its scale is {}: every value becomes the same number", numbers.scale),
         "calibrate on real windows and compile again"});
  }
  const bool clips = numbers.limit_high > numbers.limit_low;
  if (stream.direction == Direction::kInput && clips && numbers.limit_low >= 0.0f &&
      stream.host_order == "NHWC" && stream.features > 4) {
    findings.push_back(
        {"error", "input_clips_negatives", stream.name,
         fmt::format("its limits are {:.6g} to {:.6g}: every negative value is clipped to {:.6g}; "
                     "the calibration set held none",
                     numbers.limit_low, numbers.limit_high, numbers.limit_low),
         "calibrate on windows as they are fed in service (signed, normalised) and compile again"});
  }
}

std::string list_text(const std::vector<uint64_t>& values) {
  return fmt::format("{}", fmt::join(values, ", "));
}

void compare_sizes(const Promise& promise, const std::vector<uint64_t>& promised,
                   const std::vector<Stream>& streams, std::string_view what,
                   std::vector<Finding>& findings) {
  std::vector<uint64_t> found;
  for (const Stream& stream : streams) found.push_back(values_of(stream));
  if (promised.empty() || promised == found) return;
  findings.push_back(
      {"error", fmt::format("{}_mismatch", what), streams.empty() ? "" : streams.front().name,
       fmt::format("the HEF has {} value(s) per {}, {} promises {}: it is not the network that was "
                   "promised, or it was cut at another node",
                   list_text(found), what, promise.source, list_text(promised)),
       "run what lies behind the cut on the host (a bundle does), or compile the right part"});
}

}  // namespace

std::vector<Finding> judge_hef(const Hef& hef) {
  std::vector<Finding> findings;
  for (const Group& group : hef.groups) {
    for (const Stream& stream : group.inputs) judge_stream(stream, findings);
    for (const Stream& stream : group.outputs) judge_stream(stream, findings);
    if (group.inputs.empty() || group.outputs.empty()) {
      findings.push_back({"error", "no_streams", group.name, "it has no inputs or no outputs", ""});
    }
  }
  bool peripheral = false;
  for (const uint64_t extension : hef.extensions) {
    peripheral |= extension == kOldestPeripheral;
    if (extension == 7 || extension == 8 || extension >= 33) {
      findings.push_back(
          {"error", "unknown_extension", "",
           fmt::format("it needs {}, which no HailoRT 4 loads", extension_name(extension)),
           "compile with a Dataflow Compiler 3.x for Hailo-8"});
    }
  }
  if (!peripheral) {
    findings.push_back({"error", "outdated", "",
                        "it lacks PERIPH_CALCULATION_IN_HAILORT, which HailoRT 4.17 and newer ask "
                        "for",
                        "compile it again with Dataflow Compiler 3.24 or newer"});
  }
  if (hef.arch == 0) {
    findings.push_back({"error", "arch_not_loaded", "",
                        "it is compiled for arch 0 (HAILO8 engineering sample), which no device "
                        "loads",
                        "compile with --hw-arch hailo8"});
  }
  return findings;
}

std::vector<Finding> compare_with(const Hef& hef, const Promise& promise) {
  std::vector<Finding> findings;
  if (hef.groups.empty()) return findings;
  const Group& group = hef.groups.front();
  compare_sizes(promise, promise.input_values, group.inputs, "input", findings);
  compare_sizes(promise, promise.output_values, group.outputs, "output", findings);
  for (size_t i = 0; i < std::min(promise.input_ranges.size(), group.inputs.size()); ++i) {
    const Quantization& numbers = group.inputs[i].quantization;
    const auto [low, high] = promise.input_ranges[i];
    // Two calibrations rarely choose the same range; a twentieth of it is no mistake.
    const double slack = 0.05 * (high - low) + static_cast<double>(numbers.scale);
    if (low >= numbers.limit_low - slack && high <= numbers.limit_high + slack) continue;
    findings.push_back(
        {"error", "input_clips", group.inputs[i].name,
         fmt::format(
             "{} feeds {:.4g} to {:.4g}, its limits are {:.4g} to {:.4g}: what lies outside "
             "is clipped",
             promise.source, low, high, numbers.limit_low, numbers.limit_high),
         "calibrate on the bundle's own windows and compile again"});
  }
  if (promise.output_nodes.empty()) return findings;
  for (size_t i = 0; i < group.outputs.size(); ++i) {
    const auto& names = group.outputs[i].original_names;
    const bool known =
        i < promise.output_nodes.size() &&
        std::find(names.begin(), names.end(), promise.output_nodes[i]) != names.end();
    if (known || names.empty()) continue;
    findings.push_back(
        {"warning", "output_node", group.outputs[i].name,
         fmt::format("it comes from {}, {} ends at {}", fmt::join(names, ", "), promise.source,
                     i < promise.output_nodes.size() ? promise.output_nodes[i] : "fewer outputs"),
         "give the compiler the bundle's end nodes"});
  }
  return findings;
}

}  // namespace graupel::hef
