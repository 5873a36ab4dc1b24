// What a HEF alone gives away before it runs: limits that clip, scales of zero, extensions that no
// library loads. See hef.h. Test: hef_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "hef/hef.h"

namespace graupel::hef {
namespace {

constexpr uint64_t kOldestPeripheral = 26;  // PERIPH_CALCULATION_IN_HAILORT

// Thresholds are baked in by the compiler from the NMS configuration; a key that is missing there
// is a zero here.
void judge_threshold(const Stream& stream, std::string_view name, double threshold,
                     std::string_view at_zero, std::string_view above_one,
                     std::vector<Finding>& findings) {
  if (threshold > 0.0 && threshold <= 1.0) return;
  findings.push_back({"warning", "nms_threshold", stream.name,
                      fmt::format("its {} threshold is {}: {}", name, threshold,
                                  threshold > 1.0 ? above_one : at_zero),
                      "set it in the NMS configuration and compile again, or in the application"});
}

void judge_nms(const Stream& stream, std::vector<Finding>& findings) {
  const Nms& nms = *stream.nms;
  if (nms.classes == 0 || nms.boxes_per_class == 0) {
    findings.push_back({"error", "nms_empty", stream.name,
                        fmt::format("it has {} class(es) with up to {} box(es): a frame holds none",
                                    nms.classes, nms.boxes_per_class),
                        "correct classes and max_proposals_per_class of the NMS configuration"});
  }
  if (!nms.on_host) return;
  if (nms.decoder.empty()) {
    findings.push_back({"warning", "nms_decoder", stream.name,
                        "its NMS is of a kind that no HailoRT up to 5.2 has", ""});
  } else if (nms.decoder != "iou" && nms.layers == 0) {
    findings.push_back({"error", "nms_decoder", stream.name,
                        fmt::format("its {} decoder reads no layer", nms.decoder),
                        "name the layers in bbox_decoders of the NMS configuration"});
  }
  if (nms.background && *nms.background > nms.classes) {
    findings.push_back(
        {"error", "nms_background", stream.name,
         fmt::format("it removes class {} of {} as background", *nms.background, nms.classes + 1),
         "correct background_removal_index of the NMS configuration"});
  }
  if (nms.decoding_only) return;
  judge_threshold(stream, "score", nms.score_threshold, "every box passes", "no box ever passes",
                  findings);
  judge_threshold(stream, "IoU", nms.iou_threshold, "boxes that touch are taken for one",
                  "overlapping boxes all stay", findings);
}

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
  if (stream.nms) judge_nms(stream, findings);
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
