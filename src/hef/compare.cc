// A HEF held against what was promised of it. See hef.h. Test: hef_test.cc.
//
// Idea: each stream of the HEF is compared with the promised one in its place, and its original
// node names are looked up among all promised streams, so that two streams in the wrong order are
// told apart from a cut at another node.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "hef/hef.h"

namespace graupel::hef {
namespace {

struct Side {
  std::string_view name;  // "input" or "output"
  const std::vector<Stream>& found;
  const std::vector<PromisedStream>& promised;
  const std::string& source;
};

uint64_t values_of(const Stream& stream) { return stream.height * stream.width * stream.features; }

// Boxes where values were promised: nothing else can be compared.
bool compare_nms(const Side& side, std::vector<Finding>& findings) {
  const auto boxes = std::find_if(side.found.begin(), side.found.end(),
                                  [](const Stream& stream) { return stream.nms.has_value(); });
  if (boxes == side.found.end()) return true;
  findings.push_back(
      {"error", "nms_output", boxes->name,
       fmt::format("it gives boxes after NMS ({} classes, {} per class), {} promises {} {}(s) of "
                   "plain values",
                   boxes->nms->classes, boxes->nms->boxes_per_class, side.source,
                   side.promised.size(), side.name),
       "compile without nms_postprocess in the model script"});
  return false;
}

// Number of streams and of values in each. False if nothing more can be compared.
bool compare_sizes(const Side& side, std::vector<Finding>& findings) {
  std::vector<uint64_t> found, promised;
  for (const Stream& stream : side.found) found.push_back(values_of(stream));
  for (const PromisedStream& stream : side.promised) promised.push_back(stream.values);
  if (found == promised) return true;
  // The same ones in another order are compare_order's matter.
  if (std::is_permutation(found.begin(), found.end(), promised.begin(), promised.end())) {
    return true;
  }
  findings.push_back(
      {"error", fmt::format("{}_mismatch", side.name),
       side.found.empty() ? "" : side.found.front().name,
       fmt::format("the HEF has {} value(s) per {}, {} promises {}: it is not the network that was "
                   "promised, or it was cut at another node",
                   fmt::join(found, ", "), side.name, side.source, fmt::join(promised, ", ")),
       "run what lies behind the cut on the host (a bundle does), or compile the right part"});
  return false;
}

void compare_shape(const Side& side, const Stream& stream, const PromisedStream& promised,
                   std::vector<Finding>& findings) {
  const std::vector<uint64_t> found = {stream.height, stream.width, stream.features};
  if (promised.shape.empty() || promised.shape == found) return;
  findings.push_back(
      {"error", fmt::format("{}_shape", side.name), stream.name,
       fmt::format("it is {} (height x width x features), {} promises {}: the values would be in "
                   "another order",
                   fmt::join(found, "x"), side.source, fmt::join(promised.shape, "x")),
       "compile the bundle's own device part"});
}

bool shares_node(const Stream& stream, const PromisedStream& promised) {
  return std::any_of(stream.original_names.begin(), stream.original_names.end(),
                     [&](const std::string& name) {
                       return std::count(promised.nodes.begin(), promised.nodes.end(), name) > 0;
                     });
}

void compare_nodes(const Side& side, size_t index, std::vector<Finding>& findings) {
  const Stream& stream = side.found[index];
  const PromisedStream& promised = side.promised[index];
  if (promised.nodes.empty() || stream.original_names.empty()) return;
  if (shares_node(stream, promised)) return;
  const auto other =
      std::find_if(side.promised.begin(), side.promised.end(),
                   [&](const PromisedStream& entry) { return shares_node(stream, entry); });
  if (other != side.promised.end()) {
    findings.push_back(
        {"error", fmt::format("{}_order", side.name), stream.name,
         fmt::format("it is {} {} of the HEF, and {} {} ({}) of {}", side.name, index, side.name,
                     other - side.promised.begin(), other->name, side.source),
         "give the compiler the end nodes in the bundle's order"});
    return;
  }
  findings.push_back(
      {"warning", fmt::format("{}_node", side.name), stream.name,
       fmt::format("it belongs to {}; {} of {} to {}", fmt::join(stream.original_names, ", "),
                   promised.name, side.source, fmt::join(promised.nodes, ", ")),
       "give the compiler the bundle's device part and end nodes"});
}

// What a stream holds: the limits it was calibrated to, or else all its numbers.
std::pair<double, double> range_of(const Stream& stream) {
  const Quantization& numbers = stream.quantization;
  if (numbers.limit_high > numbers.limit_low) return {numbers.limit_low, numbers.limit_high};
  const double most = stream.element_bytes == 2 ? 65535.0 : 255.0;
  return {-static_cast<double>(numbers.zero_point) * numbers.scale,
          (most - numbers.zero_point) * numbers.scale};
}

// A bit of 8 is lost where the range is twice as wide as the values need.
constexpr double kTooWide = 2.0;

// What is fed is clipped at the limits; what comes out cannot go beyond them; and where both are
// far apart, few of the 256 numbers are used.
void compare_range(const Side& side, const Stream& stream, const PromisedStream& promised,
                   std::vector<Finding>& findings) {
  if (!promised.range || !(stream.quantization.scale > 0.0f)) return;
  const auto [low, high] = *promised.range;
  const auto [hef_low, hef_high] = range_of(stream);
  const bool input = stream.direction == Direction::kInput;
  // Two calibrations rarely choose the same range; a twentieth of it is no mistake.
  const double slack = 0.05 * (high - low) + static_cast<double>(stream.quantization.scale);
  if (low < hef_low - slack || high > hef_high + slack) {
    findings.push_back(
        {input ? "error" : "warning", fmt::format("{}_clips", side.name), stream.name,
         input
             ? fmt::format("{} feeds {:.4g} to {:.4g}, its limits are {:.4g} to {:.4g}: what lies "
                           "outside is clipped",
                           side.source, low, high, hef_low, hef_high)
             : fmt::format("the INT8 plan of {} keeps {:.4g} to {:.4g}, its limits are {:.4g} to "
                           "{:.4g}: what lies outside is clipped",
                           side.source, low, high, hef_low, hef_high),
         "calibrate on the bundle's own windows and compile again"});
  }
  const double ratio = (hef_high - hef_low) / (high - low);
  if (stream.element_bytes == 1 && high > low && ratio > kTooWide) {
    findings.push_back(
        {"warning", fmt::format("{}_coarse", side.name), stream.name,
         fmt::format(
             "its limits are {:.4g} to {:.4g}, {:.1f} times as wide as the {:.4g} to {:.4g} "
             "of {}: {:.1f} of its 8 bits are lost",
             hef_low, hef_high, ratio, low, high, side.source, std::log2(ratio)),
         "calibrate on the bundle's own windows (outliers widen the range), or give the layer "
         "precision_mode=a16_w16, and compile again"});
  }
}

void compare_side(const Side& side, std::vector<Finding>& findings) {
  if (side.promised.empty()) return;
  if (!compare_nms(side, findings) || !compare_sizes(side, findings)) return;
  for (size_t i = 0; i < std::min(side.found.size(), side.promised.size()); ++i) {
    compare_nodes(side, i, findings);
    compare_shape(side, side.found[i], side.promised[i], findings);
    compare_range(side, side.found[i], side.promised[i], findings);
  }
}

}  // namespace

std::vector<Finding> compare_with(const Hef& hef, const Promise& promise) {
  std::vector<Finding> findings;
  if (hef.groups.empty()) return findings;
  const Group& group = hef.groups.front();
  if (hef.groups.size() > 1) {
    findings.push_back({"warning", "several_groups", "",
                        fmt::format("it holds {} network groups; only '{}' is compared",
                                    hef.groups.size(), group.name),
                        "compile one network per HEF"});
  }
  compare_side({"input", group.inputs, promise.inputs, promise.source}, findings);
  compare_side({"output", group.outputs, promise.outputs, promise.source}, findings);
  return findings;
}

}  // namespace graupel::hef
