// What a HEF alone gives away before it runs: limits that clip, scales of zero, extensions that no
// library loads. See hef.h. Test: hef_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hef/hef.h"

namespace graupel::hef {
namespace {

constexpr uint64_t kOldestPeripheral = 26;  // PERIPH_CALCULATION_IN_HAILORT

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

}  // namespace graupel::hef
