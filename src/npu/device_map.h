// Which tensors cross between a bundle's host and its device, and by which streams of the HEF.
//
// Idea: the parts of a network meet at named tensors, a HEF at named streams. Who compiles knows
// both and writes down which belong together, so that nothing is guessed where it runs. Kept in a
// bundle as device.json.
// Format: docs/formats/bundle.md. Test: device_map_test.cc, fuzz/device_map_fuzz.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "hef/hef.h"

namespace graupel::npu {

inline constexpr std::string_view kDeviceMapMember = "device.json";
inline constexpr std::string_view kBeforePlanMember = "before.plan";
inline constexpr std::string_view kHostPlanMember = "host.plan";
inline constexpr std::string_view kHefMember = "model.hef";

struct Crossing {
  std::string tensor;  // its name in the parts
  Shape shape;         // [1, C, ...]
  std::string node;    // the node of the device part that makes it; empty for an input
  std::string stream;  // of the HEF; empty without one

  bool operator==(const Crossing&) const = default;
};

struct DeviceMap {
  std::string hef_sha256;                 // of the HEF the streams are of; empty without one
  std::vector<Crossing> inputs, outputs;  // as the device part has them

  bool operator==(const DeviceMap&) const = default;
};

// JSON; errors: kCorrupt, or kUnsupported for a newer format. Bounded: 1 MiB, 256 tensors.
Result<DeviceMap> parse_device_map(std::string_view text);
std::string format_device_map(const DeviceMap& map);

// Whether the values of a stream [height][width][features] are those of a tensor in row-major
// [C][height][width]: [1, C, H, W], [1, C, L] or [1, C].
bool same_values(const Shape& shape, const hef::Stream& stream);

// Names the HEF's streams: one input by being the only one, outputs by the node they come from,
// else by their order if every shape fits. Errors: kUnsupported if that is not one to one.
Result<void> match_streams(DeviceMap& map, const hef::Hef& hef);

}  // namespace graupel::npu
