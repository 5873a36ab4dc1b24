// The protobuf of a HEF: groups, contexts and edge layers to streams. See hef.h.
//
// A group lies in one of two forms: old style (its own contexts) and net-flow (contexts in a core
// op, beside host operations such as NMS that hide the outputs they read). Files for Hailo-8L hold
// the group once per layout of clusters, and perhaps nowhere else. Field numbers:
// docs/formats/hef.md. Test: hef_test.cc, fuzz/hef_fuzz.cc.
#include "hef/hef.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "hef/container.h"
#include "hef/host_op.h"
#include "hef/message.h"
#include "hef/wire.h"

namespace graupel::hef {
namespace {

constexpr int kMaxMuxDepth = 16;
constexpr uint64_t kHailo8L = 3;

// The parts a group has, in both forms and once per partial group.
struct Core {
  std::string name;
  double fps = 0.0, latency_s = 0.0;
  uint64_t config_channels = 0;
  uint64_t layout = 0;  // of a partial group: the bitmap of its clusters
  bool transposed = false;
  std::vector<FusedLayer> fused;
  std::vector<std::string_view> contexts;
  std::vector<std::string> output_order, networks;
  std::vector<Core> partials;
};

Result<void> read_metadata(std::string_view message, Core& core) {
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 1) core.name = name_of(field.bytes);
    if (field.number == 3) core.transposed = field.value != 0;
    if (field.number == 4) core.fps = field.as_double();
    if (field.number == 5) core.config_channels = field.value;
    if (field.number == 6) core.latency_s = field.as_double();
  }
  return fields.broken() ? Result<void>(broken("group metadata")) : ok();
}

Result<void> read_fused(std::string_view message, Core& core) {
  Fields fields(message);
  bool has_fused = false;
  std::vector<std::string> order;
  std::vector<FusedLayer> fused;
  for (Field field; fields.next(field);) {
    if (field.number == 1) has_fused = field.value != 0;
    if (field.number == 2 && order.size() < kMaxValues) order.push_back(name_of(field.bytes));
    if (field.number == 3 && fused.size() < kMaxStreams) {
      TRY_ASSIGN(FusedLayer layer, read_fused_layer(field.bytes));
      fused.push_back(std::move(layer));
    }
  }
  if (has_fused && !order.empty()) core.output_order = std::move(order);
  if (has_fused) core.fused = std::move(fused);
  return fields.broken() ? Result<void>(broken("fused layers")) : ok();
}

enum class Partials { kRead, kIgnore };

Result<void> read_partial(std::string_view message, std::vector<Core>& partials);

Result<Core> read_core(std::string_view message, Partials partials) {
  Core core;
  Fields fields(message);
  std::string_view fused;
  for (Field field; fields.next(field);) {
    if (field.number == 1) TRY(read_metadata(field.bytes, core));
    if (field.number == 3) core.contexts.push_back(field.bytes);
    if (field.number == 4 && core.output_order.size() < kMaxValues) {
      core.output_order.push_back(name_of(field.bytes));
    }
    if (field.number == 5) fused = field.bytes;
    if (field.number == 6 && core.networks.size() < kMaxGroups) {
      core.networks.push_back(name_of(field.bytes));
    }
    if (field.number == 7 && partials == Partials::kRead && core.partials.size() < kMaxGroups) {
      TRY(read_partial(field.bytes, core.partials));
    }
  }
  if (fields.broken()) return broken("group");
  TRY(read_fused(fused, core));
  return core;
}

Result<void> read_partial(std::string_view message, std::vector<Core>& partials) {
  std::string_view core, layout;
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 1) core = field.bytes;
    if (field.number == 2) layout = field.bytes;
  }
  if (fields.broken()) return broken("partial group");
  TRY_ASSIGN(Core partial, read_core(core, Partials::kIgnore));
  Fields inner(layout);
  for (Field field; inner.next(field);) {
    if (field.number == 1) partial.layout = field.value;
  }
  if (inner.broken()) return broken("layout of clusters");
  partials.push_back(std::move(partial));
  return ok();
}

// ---- edge layers ----

constexpr std::array<std::string_view, 17> kOrders = {
    "NHWC", "NHCW", "NC",   "FCR", "BAYER RGB", "NHW",  "NMS",  "F8CR",  "RGB888",
    "",     "",     "YUY2", "",    "NHWC",      "YYUV", "YYVU", "YYYYUV"};

std::string host_order(std::string_view device) {
  if (device == "NHCW" || device == "RGB888") return "NHWC";
  if (device == "NMS") return "HAILO NMS BY CLASS";
  if (device == "YYUV") return "NV12";
  if (device == "YYVU") return "NV21";
  if (device == "YYYYUV") return "I420";
  return std::string(device);
}

Result<void> read_doubles(const Field& field, std::vector<double>& values) {
  if (field.bytes.empty()) {
    if (values.size() < kMaxValues) values.push_back(field.as_double());
    return ok();
  }
  if (field.bytes.size() % 8 != 0) return broken("quantisation");
  for (size_t at = 0; at < field.bytes.size() && values.size() < kMaxValues; at += 8) {
    double value = 0.0;
    std::memcpy(&value, field.bytes.data() + at, 8);
    values.push_back(value);
  }
  return ok();
}

Result<Quantization> read_numeric(std::string_view message) {
  Quantization numbers;
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 1) numbers.zero_point = field.as_float();
    if (field.number == 2) numbers.scale = field.as_float();
    if (field.number == 3) numbers.limit_low = field.as_float();
    if (field.number == 4) numbers.limit_high = field.as_float();
    if (field.number == 5) TRY(read_doubles(field, numbers.zero_points));
    if (field.number == 6) TRY(read_doubles(field, numbers.scales));
  }
  if (fields.broken()) return broken("quantisation");
  return numbers;
}

Result<void> read_base(std::string_view message, Stream& stream) {
  Fields fields(message);
  uint64_t format = 0;
  for (Field field; fields.next(field);) {
    switch (field.number) {
      case 1: stream.height = field.value; break;
      case 2: stream.padded_height = field.value; break;
      case 3: stream.width = field.value; break;
      case 4: stream.padded_width = field.value; break;
      case 5: stream.features = field.value; break;
      case 6: stream.padded_features = field.value; break;
      case 7: format = field.value; break;
      case 8: stream.stream_index = field.value; break;
      case 9: stream.buffer_bytes = field.value; break;
      case 10: stream.buffers_per_frame = field.value; break;
      case 12: stream.element_bytes = field.value; break;
      case 11: {
        Fields additional(field.bytes);
        for (Field part; additional.next(part);) {
          if (part.number != 1) continue;
          TRY_ASSIGN(stream.nms, read_nms_info(part.bytes));
        }
        break;
      }
      default: break;
    }
  }
  if (fields.broken()) return broken("edge layer");
  if (format >= kOrders.size() || kOrders[format].empty()) {
    return corrupt(stream.name, fmt::format("has format {}, which no runtime knows", format));
  }
  if (stream.stream_index > 255) {
    return corrupt(stream.name, fmt::format("has stream index {}, a runtime takes up to 255",
                                            stream.stream_index));
  }
  stream.device_order = kOrders[format];
  stream.host_order = host_order(stream.device_order);
  return ok();
}

Result<Stream> read_info(std::string_view message) {
  Stream stream;
  Fields fields(message);
  std::string_view base, numeric;
  for (Field field; fields.next(field);) {
    if (field.number == 1) stream.name = name_of(field.bytes);
    if (field.number == 2) base = field.bytes;
    if (field.number == 3) numeric = field.bytes;
    if (field.number == 5 && stream.original_names.size() < kMaxValues) {
      stream.original_names.push_back(name_of(field.bytes));
    }
    if (field.number == 6) stream.transposed = field.value != 0;
  }
  if (fields.broken()) return broken("edge layer");
  TRY(read_base(base, stream));
  TRY_ASSIGN(stream.quantization, read_numeric(numeric));
  return stream;
}

// Each leaf of a multiplexed stream is a stream of the application.
Result<void> read_mux(std::string_view message, int depth, std::vector<Stream>& streams) {
  if (depth > kMaxMuxDepth) return corrupt("mux", "nests too deeply");
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number != 5) continue;
    Fields predecessor(field.bytes);
    for (Field part; predecessor.next(part);) {
      if (streams.size() >= kMaxStreams) return corrupt("mux", "has too many streams");
      if (part.number == 2) TRY(read_mux(part.bytes, depth + 1, streams));
      if (part.number != 1) continue;
      TRY_ASSIGN(Stream leaf, read_info(part.bytes));
      streams.push_back(std::move(leaf));
    }
    if (predecessor.broken()) return broken("mux");
  }
  return fields.broken() ? Result<void>(broken("mux")) : ok();
}

// Planes of one picture are one stream of the application, of the whole picture's size.
Result<Stream> read_planes(std::string_view message) {
  static constexpr std::array<std::string_view, 3> kFormats = {"NV12", "NV21", "I420"};
  Stream stream;
  uint64_t format = 0;
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 1) stream.name = name_of(field.bytes);
    if (field.number == 2) format = field.value;
    if (field.number == 4) stream.height = stream.padded_height = field.value;
    if (field.number == 5) stream.width = stream.padded_width = field.value;
    if (field.number == 6) stream.features = stream.padded_features = field.value;
  }
  if (fields.broken() || format >= kFormats.size()) return broken("planes");
  stream.device_order = stream.host_order = kFormats[format];
  stream.quantization.scale = 1.0f;
  return stream;
}

struct EdgeLayer {
  uint64_t direction = 0, type = 0, connection = 0;
  std::optional<uint64_t> pad_index;
  std::string_view info, mux, planes;
};

Result<EdgeLayer> read_edge(std::string_view message) {
  EdgeLayer edge;
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 1) edge.direction = field.value;
    if (field.number == 2) edge.type = field.value;
    if (field.number == 3) edge.info = field.bytes;
    if (field.number == 4) edge.mux = field.bytes;
    if (field.number == 8) edge.planes = field.bytes;
    if (field.number == 7) edge.pad_index = field.value;
    if (field.number != 5) continue;
    Fields inner(field.bytes);
    for (Field part; inner.next(part);) {
      if (part.number == 3) edge.connection = part.value;
    }
    if (inner.broken()) return broken("context switch");
  }
  if (fields.broken() || edge.direction > 1) return broken("edge layer");
  return edge;
}

Result<std::vector<Stream>> streams_of(const EdgeLayer& edge) {
  std::vector<Stream> streams;
  if (edge.type == 1) {
    TRY(read_mux(edge.mux, 0, streams));
  } else if (edge.type == 2) {
    TRY_ASSIGN(Stream planes, read_planes(edge.planes));
    streams.push_back(std::move(planes));
  } else {
    TRY_ASSIGN(Stream stream, read_info(edge.info));
    streams.push_back(std::move(stream));
  }
  return streams;
}

Result<void> add_edge(std::string_view message, const Core& core, uint64_t context, Group& group) {
  TRY_ASSIGN(const EdgeLayer edge, read_edge(message));
  if (edge.connection != 0) return ok();  // between contexts, not the application's
  TRY_ASSIGN(std::vector<Stream> streams, streams_of(edge));
  for (Stream& stream : streams) {
    stream.direction = edge.direction == 0 ? Direction::kInput : Direction::kOutput;
    stream.context = context;
    stream.pad_index = edge.pad_index;
    if ((stream.transposed || core.transposed) && stream.host_order != "NC") {
      std::swap(stream.height, stream.width);
    }
    auto& list = stream.direction == Direction::kInput ? group.inputs : group.outputs;
    if (list.size() >= kMaxStreams) return corrupt(core.name, "has too many streams");
    list.push_back(std::move(stream));
  }
  return ok();
}

Result<void> read_contexts(const Core& core, Group& group) {
  for (size_t index = 0; index < core.contexts.size(); ++index) {
    Fields fields(core.contexts[index]);
    for (Field field; fields.next(field);) {
      if (field.number != 3) continue;  // what it does inside is the device's business
      Fields metadata(field.bytes);
      for (Field part; metadata.next(part);) {
        if (part.number == 2) TRY(add_edge(part.bytes, core, index, group));
      }
      if (metadata.broken()) return broken("context metadata");
    }
    if (fields.broken()) return broken("context");
  }
  return ok();
}

// ---- groups ----

void sort_outputs(const std::vector<std::string>& order, Group& group) {
  const auto rank = [&](const Stream& stream) {
    return std::find(order.begin(), order.end(), stream.name) - order.begin();
  };
  std::stable_sort(group.outputs.begin(), group.outputs.end(),
                   [&](const Stream& a, const Stream& b) { return rank(a) < rank(b); });
}

Result<Group> read_group(std::string_view message) {
  TRY_ASSIGN(Core core, read_core(message, Partials::kRead));
  Group group;
  std::vector<HostOp> host_ops;
  std::map<uint64_t, uint64_t> source_of;
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 8) {
      std::string_view core_op;
      Fields op(field.bytes);
      for (Field part; op.next(part);) {
        if (part.number == 4) core_op = part.bytes;
      }
      if (op.broken()) return broken("operation");
      if (!core_op.empty()) {
        group.net_flow = true;
        const std::vector<std::string> order = core.output_order;
        TRY_ASSIGN(core, read_core(core_op, Partials::kRead));
        if (!order.empty()) core.output_order = order;
      } else if (host_ops.size() < kMaxStreams) {
        TRY_ASSIGN(HostOp host_op, read_host_op(field.bytes));
        host_ops.push_back(std::move(host_op));
      }
    }
    if (field.number == 9 && source_of.size() < kMaxValues) {
      uint64_t source = 0, target = 0;
      Fields edge(field.bytes);
      for (Field part; edge.next(part);) (part.number == 1 ? source : target) = part.value;
      if (edge.broken()) return broken("pad edge");
      source_of[target] = source;
    }
  }
  group.partial_groups = core.partials.size();
  const Core& used = core.partials.empty() ? core : core.partials.front();
  group.name = used.name;
  group.networks = used.networks.empty() ? core.networks : used.networks;
  group.contexts = used.contexts.size();
  group.bottleneck_fps = used.fps;
  group.latency_s = used.latency_s;
  group.config_channels = used.config_channels;
  // As the runtime does: streams are those of the layout with the smallest bitmap.
  const auto smallest =
      std::min_element(core.partials.begin(), core.partials.end(),
                       [](const Core& a, const Core& b) { return a.layout < b.layout; });
  TRY(read_contexts(smallest == core.partials.end() ? core : *smallest, group));
  for (const FusedLayer& fused : used.fused) apply_fused_layer(fused, group);
  for (const HostOp& op : host_ops) apply_host_op(op, source_of, group);
  sort_outputs(core.output_order.empty() ? used.output_order : core.output_order, group);
  return group;
}

Result<void> read_header(std::string_view message, Hef& hef) {
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 1) hef.arch = field.value;
    if (field.number == 2) hef.timestamp_ms = field.value;
    if (field.number == 3) hef.compiler_version = name_of(field.bytes);
  }
  return fields.broken() ? Result<void>(broken("header")) : ok();
}

Result<void> read_extension(std::string_view message, std::vector<uint64_t>& list) {
  Fields fields(message);
  uint64_t type = 0;
  for (Field field; fields.next(field);) {
    if (field.number == 1) type = field.value;
  }
  if (fields.broken()) return broken("extension");
  if (list.size() < kMaxValues) list.push_back(type);
  return ok();
}

}  // namespace

uint64_t Stream::frame_bytes() const {
  if (nms && nms->decoder == "yolov5_seg") return 2 + 38 * nms->classes * nms->boxes_per_class;
  if (nms && !nms->decoding_only) return nms->classes * (1 + 5 * nms->boxes_per_class) * 4;
  return height * width * features * element_bytes;
}

Result<Hef> read_hef(std::string_view bytes) {
  Hef hef;
  TRY_ASSIGN(const std::string_view protobuf, open_container(bytes, hef));
  Fields fields(protobuf);
  for (Field field; fields.next(field);) {
    if (field.number == 1) TRY(read_header(field.bytes, hef));
    if (field.number == 2) {
      if (hef.groups.size() >= kMaxGroups) return corrupt("file", "has too many network groups");
      TRY_ASSIGN(Group group, read_group(field.bytes));
      hef.groups.push_back(std::move(group));
    }
    if (field.number == 3) hef.mapping_bytes += field.bytes.size();
    if (field.number == 5) TRY(read_extension(field.bytes, hef.extensions));
    if (field.number == 6) TRY(read_extension(field.bytes, hef.optional_extensions));
  }
  if (fields.broken()) return broken("file");
  if (hef.groups.empty()) return corrupt("file", "holds no network");
  for (const Group& group : hef.groups) {
    if (hef.arch == kHailo8L && group.partial_groups == 0) {
      return corrupt(group.name,
                     "is compiled for Hailo-8L, but holds no partial group; the "
                     "vendor's library 4.23 crashes on such a file; compile it again");
    }
  }
  return hef;
}

}  // namespace graupel::hef
