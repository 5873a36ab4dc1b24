// Numbers of a HEF as the names people know, and what loads it. See hef.h.
// Reference: HailoRT 4.17 to 5.2. Test: hef_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "hef/hef.h"

namespace graupel::hef {
namespace {

constexpr std::array<std::string_view, 33> kExtensions = {"ABBALE",
                                                          "POSTED_WRITES",
                                                          "DDR",
                                                          "PADDED_DDR_BUFFERS",
                                                          "IS_MULTI_CONTEXTS",
                                                          "COMPRESSED_PARAMS",
                                                          "TRANSPOSE_COMPONENT",
                                                          "TEST_ONE",
                                                          "MULTI_NETWORK_VARIABLE_BATCH_SIZE",
                                                          "IS_NMS_MULTI_CONTEXT",
                                                          "OFFLOAD_ARGMAX",
                                                          "HW_PADDING",
                                                          "KO_RUN_ASAP",
                                                          "HAILO_NET_FLOW",
                                                          "HAILO_NET_FLOW_YOLOV5_NMS",
                                                          "HAILO_NET_FLOW_YOLOX_NMS",
                                                          "HAILO_NET_FLOW_SSD_NMS",
                                                          "HAILO_NET_FLOW_IOU_NMS",
                                                          "WRITE_DATA_BY_TYPE",
                                                          "NMS_OUTPUT_BURST",
                                                          "DUAL_DIRECTION_STREAM_INDEX",
                                                          "HAILO_NET_FLOW_ARGMAX",
                                                          "HAILO_NET_FLOW_SOFTMAX",
                                                          "ALIGNED_FORMAT_TYPE",
                                                          "HAILO_NET_FLOW_YOLOV5_SEG_NMS",
                                                          "OUTPUT_SCALE_PER_FEATURE",
                                                          "PERIPH_CALCULATION_IN_HAILORT",
                                                          "HAILO_NET_FLOW_YOLOV8_NMS",
                                                          "BATCH_REGISTER_CONFIG",
                                                          "HAILO_NET_FLOW_BBOX_DECODING",
                                                          "CCW_PTR_SQUEEZE",
                                                          "EXTERNAL_RESOURCES",
                                                          "SHARED_CONFIG"};

// The minor number of the first HailoRT 4 that knows an extension, by its number; 0: not said.
// Source: the comments of SUPPORTED_EXTENSIONS in libhailort/src/hef/hef_internal.hpp ("Extension
// added in platform 4.N release"), KO_RUN_ASAP from the release of that comment. Two differ:
// BBOX_DECODING is said to be of 4.18, but tag 4.17.0 lists it; CCW_PTR_SQUEEZE has no release
// there and is in the lists of 4.21 to 4.23 only.
constexpr std::array<int, 33> kSinceMinor = {0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
                                             16, 8,  0,  12, 14, 14, 15, 14, 14, 14, 14,
                                             14, 14, 15, 14, 14, 16, 17, 17, 21, 21, 21};
// By version of the container: the oldest tag that was read has 0.
constexpr std::array<int, 4> kContainerMinor = {0, 18, 20, 21};
constexpr int kOldestReadMinor = 17;

}  // namespace

std::string arch_name(uint64_t arch) {
  switch (arch) {
    case 0:
    case 1:
    case 2:
    case 101:
    case 102: return "HAILO8";
    case 3: return "HAILO8L";
    case 4: return "HAILO15M";
    case 5: return "HAILO10H";
    case 6:
    case 106: return "HAILO15L";
    case 103:
    case 104:
    case 105: return "HAILO15H";
    case 100: return "HAILO8_A0";
    default: return fmt::format("arch {}", arch);
  }
}

std::vector<std::string> devices_for(uint64_t arch) {
  switch (arch) {
    case 1:
    case 2: return {"hailo8"};
    case 3: return {"hailo8l", "hailo8"};
    case 4: return {"hailo15m", "hailo15h", "hailo10h"};
    case 5:
    case 103:
    case 104:
    case 105: return {"hailo15h", "hailo10h"};
    case 6:
    case 106: return {"hailo15l"};
    default: return {};
  }
}

std::vector<Need> needs_of(const Hef& hef) {
  std::vector<Need> needs;
  const int container = kContainerMinor[std::min<size_t>(hef.header_version, 3)];
  if (container > 0) {
    needs.push_back({fmt::format("container version {}", hef.header_version), container});
  }
  // Of the optional ones a loader may ignore what it does not know.
  for (const uint64_t extension : hef.extensions) {
    if (extension >= kSinceMinor.size() || kSinceMinor[extension] == 0) continue;
    needs.push_back({extension_name(extension), kSinceMinor[extension]});
  }
  return needs;
}

std::string oldest_runtime(const Hef& hef) {
  int minor = kOldestReadMinor;
  for (const Need& need : needs_of(hef)) minor = std::max(minor, need.since_minor);
  return fmt::format("4.{}", minor);
}

std::string extension_name(uint64_t extension) {
  return extension < kExtensions.size() ? std::string(kExtensions[extension])
                                        : fmt::format("extension {}", extension);
}

std::string utc_text(uint64_t timestamp_ms) {
  const auto seconds = static_cast<std::time_t>(timestamp_ms / 1000);
  std::tm parts{};
  if (timestamp_ms > uint64_t{253402300799} * 1000 || gmtime_r(&seconds, &parts) == nullptr) {
    return "unknown";
  }
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace graupel::hef
