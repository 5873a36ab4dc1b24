// A HEF, the file that a Hailo device runs: what a deployer has to know about it.
//
// Idea: read without the vendor's library, which crashes on some files and tells neither
// quantisation nor limits. The container is checked whole (length, checksum); of the protobuf only
// what describes streams is kept, and the compiler's own data is skipped unread.
// Reference: the HailoRT sources 4.17 to 4.23 and 5.0 to 5.2 (MIT). Format: docs/formats/hef.md.
// Test: hef_test.cc, fuzz/hef_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace graupel::hef {

inline constexpr uint64_t kMaxFileBytes = uint64_t{1} << 31;
inline constexpr size_t kMaxStreams = 256;
inline constexpr size_t kMaxGroups = 64;

// real = (stored - zero_point) * scale; an input is clipped to [limit_low, limit_high] first.
struct Quantization {
  float zero_point = 0.0f, scale = 0.0f;
  float limit_low = 0.0f, limit_high = 0.0f;
  std::vector<double> zero_points, scales;  // per feature, as stored; they rule with extension 25

  bool operator==(const Quantization&) const = default;
};

// Boxes after non-maximum suppression: one output, whatever it is made of.
struct Nms {
  uint64_t classes = 0, boxes_per_class = 0;  // without the background, if that is removed
  bool on_host = false;                       // else the device computes it
  // What follows is known of an operation on the host only.
  std::string decoder;  // "yolov5", "yolox", "ssd", "iou", "yolov5_seg", "yolov8"; empty: unknown
  bool decoding_only = false;  // boxes are decoded, not suppressed
  double score_threshold = 0.0, iou_threshold = 0.0, mask_threshold = 0.0;
  double image_height = 0.0, image_width = 0.0;
  uint64_t layers = 0;                 // of the network that are decoded
  std::optional<uint64_t> background;  // the class that is removed
  std::string fused_as;                // of a part: the output it belongs to

  bool operator==(const Nms&) const = default;
};

enum class Direction : uint8_t { kInput, kOutput };

// What an application writes or reads: a vstream.
struct Stream {
  std::string name;  // "group/input_layer1"
  Direction direction = Direction::kInput;
  uint64_t height = 0, width = 0, features = 0;  // as the application sees them
  uint64_t padded_height = 0, padded_width = 0, padded_features = 0;
  std::string device_order, host_order;  // "NHCW", "NHWC", "NC", ...
  uint64_t element_bytes = 1;            // 1: uint8, 2: uint16
  uint64_t stream_index = 0;             // the lowest one, of a mux
  uint64_t context = 0;
  uint64_t buffer_bytes = 0, buffers_per_frame = 0;
  Quantization quantization;
  std::vector<std::string> original_names;  // of the nodes in the network it was compiled from
  std::optional<Nms> nms;
  std::vector<std::string> parts;  // the device's outputs that the runtime makes it of
  bool transposed = false;
  std::optional<uint64_t> pad_index;

  // Of the application, in the stored type. NMS: the largest frame; with masks without the masks.
  uint64_t frame_bytes() const;
  bool operator==(const Stream&) const = default;
};

struct Group {
  std::string name;
  std::vector<std::string> networks;
  uint64_t contexts = 0;
  uint64_t partial_groups = 0;  // one per layout of clusters, in files for Hailo-8L
  bool net_flow = false;
  double bottleneck_fps = 0.0;  // says nothing when there are several contexts
  double latency_s = 0.0;       // simulated by the compiler
  uint64_t config_channels = 0;
  std::vector<Stream> inputs, outputs;  // outputs in the order the runtime gives them
};

struct Hef {
  uint32_t header_version = 0;
  uint64_t file_bytes = 0, protobuf_bytes = 0, config_bytes = 0, mapping_bytes = 0;
  std::string checksum;  // "MD5", "CRC-32", "XXH3-64"; it has been verified
  uint64_t arch = 0;
  std::string compiler_version;
  uint64_t timestamp_ms = 0;  // since 1970
  std::vector<uint64_t> extensions, optional_extensions;
  std::vector<Group> groups;
};

// Reads and verifies a whole file. Errors: kInvalidInput for what is no HEF (a text placeholder is
// named as such), kUnsupported for a newer container, kCorrupt for a wrong length or checksum, a
// broken message, or a file that the vendor's library would crash on.
Result<Hef> read_hef(std::string_view bytes);

std::string arch_name(uint64_t arch);                 // "HAILO8", "HAILO8L", ..., "arch 42"
std::vector<std::string> devices_for(uint64_t arch);  // "hailo8", "hailo8l", ... that load it
std::string oldest_runtime(const Hef& hef);           // "4.20": the first HailoRT that reads it

// One thing in the file that not every HailoRT has, and the first 4.x that has it.
struct Need {
  std::string what;  // "container version 2", "HAILO_NET_FLOW_YOLOV8_NMS"
  int since_minor = 0;
};
std::vector<Need> needs_of(const Hef& hef);  // only what has a source; see names.cc

std::string extension_name(uint64_t extension);  // "DDR", ..., "extension 99"
std::string utc_text(uint64_t timestamp_ms);     // "2025-09-22 15:34:59 UTC"

// One thing a deployer should act on.
struct Finding {
  std::string severity;  // "error", "warning" or "info"
  std::string id;        // "input_clips_negatives", "zero_scale", ...
  std::string where;     // a stream, or empty
  std::string message, fix;
};
// What the file alone gives away.
std::vector<Finding> judge_hef(const Hef& hef);

// What somebody promises of it: a metadata file beside it, or a bundle.
struct PromisedStream {
  std::string name;     // of the tensor, for messages; may be empty
  uint64_t values = 0;  // elements without the batch
  // Height, width, features as the device has them; empty: only the number is promised.
  std::vector<uint64_t> shape;
  std::vector<std::string> nodes;  // that read the input or make the output; empty: not promised
  // What the application writes, or of an output what its own INT8 plan keeps; empty: not known.
  std::optional<std::pair<double, double>> range;
};
struct Promise {
  std::string source;                           // where the promise stands, for messages
  std::vector<PromisedStream> inputs, outputs;  // empty: nothing promised
};
// Number, sizes, order, nodes and limits of the first group's streams against the promise.
std::vector<Finding> compare_with(const Hef& hef, const Promise& promise);

}  // namespace graupel::hef
