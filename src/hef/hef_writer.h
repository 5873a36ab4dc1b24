// Makes HEFs for tests: any tree of messages in any version of the container. For tests only; no
// device runs what it writes.
#pragma once

#include <openssl/evp.h>
#include <xxhash.h>
#include <zlib.h>

#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graupel::hef {

// A protobuf message under construction.
class Message {
 public:
  Message& number(uint32_t field, uint64_t value) {
    key(field, 0);
    varint(value);
    return *this;
  }
  Message& text(uint32_t field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(uint32_t field, const Message& inner) { return text(field, inner.bytes_); }
  Message& real32(uint32_t field, float value) {
    key(field, 5);
    fixed(std::bit_cast<uint32_t>(value), 4);
    return *this;
  }
  Message& real64(uint32_t field, double value) {
    key(field, 1);
    fixed(std::bit_cast<uint64_t>(value), 8);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void key(uint32_t field, uint32_t type) { varint(uint64_t{field} << 3 | type); }
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  void fixed(uint64_t value, int size) {
    for (int i = 0; i < size; ++i) bytes_ += static_cast<char>(value >> (8 * i));
  }
  std::string bytes_;
};

// NMS on the device, as an edge layer of format 6 has it.
struct WrittenNms {
  uint64_t classes = 0, boxes_per_class = 0;
  std::string fused_as;  // of a part: the output it was a part of
};

inline Message nms_info_message(const WrittenNms& nms) {
  Message info;
  info.number(2, nms.classes).number(3, nms.boxes_per_class).number(4, 5);
  if (!nms.fused_as.empty()) {
    info.number(5, 1).message(6, Message().number(1, 0).text(3, nms.fused_as));
  }
  return info;
}

struct WrittenStream {
  std::string name = "net/input_layer1";
  bool output = false;
  uint64_t height = 2, width = 100, features = 9;
  uint64_t format = 1;  // NHCW
  float zero_point = 0.0f, scale = 0.02f, low = -2.5f, high = 2.5f;
  std::vector<std::string> original_names;
  uint64_t connection = 0;  // boundary
  int64_t pad_index = -1;
  bool transposed = false;
  uint64_t data_bytes = 1;
  WrittenNms nms = {};  // written if there are classes
};

inline Message info_message(const WrittenStream& stream) {
  Message base;
  base.number(1, stream.height).number(2, stream.height).number(3, stream.width);
  base.number(4, stream.width).number(5, stream.features).number(6, stream.features);
  base.number(7, stream.format).number(8, stream.output ? 0 : 1).number(9, 936).number(10, 2);
  base.number(12, stream.data_bytes);
  if (stream.nms.classes > 0) {
    base.message(11, Message().message(1, nms_info_message(stream.nms)));
  }
  Message numeric;
  numeric.real32(1, stream.zero_point).real32(2, stream.scale).real32(3, stream.low);
  numeric.real32(4, stream.high).real64(5, stream.zero_point).real64(6, stream.scale);
  Message info;
  info.text(1, stream.name).message(2, base).message(3, numeric);
  for (const std::string& name : stream.original_names) info.text(5, name);
  if (stream.transposed) info.number(6, 1);
  return info;
}

inline Message edge_message(const WrittenStream& stream) {
  Message edge;
  edge.number(1, stream.output ? 1 : 0).number(2, 0).message(3, info_message(stream));
  edge.message(5, Message().number(3, stream.connection));
  if (stream.pad_index >= 0) edge.number(7, static_cast<uint64_t>(stream.pad_index));
  return edge;
}

struct GroupFigures {
  double bottleneck_fps = 90518.2, latency_s = 1.5e-4;
};

// Parts 1, 3, 4 and 6 of a group or core op: one context per entry of `contexts`.
inline Message group_message(const std::string& name,
                             const std::vector<std::vector<Message>>& contexts,
                             const std::vector<std::string>& output_order = {},
                             const GroupFigures& figures = {}) {
  Message group;
  group.message(1, Message()
                       .text(1, name)
                       .real64(4, figures.bottleneck_fps)
                       .number(5, 2)
                       .real64(6, figures.latency_s));
  uint64_t index = 0;
  for (const std::vector<Message>& edges : contexts) {
    Message metadata;
    for (const Message& edge : edges) metadata.message(2, edge);
    group.message(3, Message().number(1, index++).message(3, metadata));
  }
  for (const std::string& output : output_order) group.text(4, output);
  group.text(6, name);
  return group;
}

// NMS on the host: an operation of a net-flow group. `decoder` is its field in the oneof (7 yolov5,
// 8 yolox, 9 ssd, 10 iou, 11 yolov5_seg, 12 yolov8; 0: none) and `decoder_list` that of its layers.
struct WrittenNmsOp {
  double score_threshold = 0.2, iou_threshold = 0.7;
  uint64_t boxes_per_class = 100, classes = 80;
  std::optional<uint64_t> background = std::nullopt;
  uint32_t decoder = 12, decoder_list = 4;
  uint64_t decoded_layers = 3;
  bool decoding_only = false;
};

inline Message nms_op_message(const WrittenNmsOp& nms) {
  Message op;
  op.real64(1, nms.score_threshold).real64(2, nms.iou_threshold);
  op.number(3, nms.boxes_per_class).number(4, nms.classes);
  if (nms.background) op.number(5, 1).number(6, *nms.background);
  if (nms.decoding_only) op.number(13, 1);
  Message decoder;
  if (nms.decoder != 10) decoder.real64(1, 640.0).real64(2, 480.0);
  for (uint64_t i = 0; nms.decoder_list > 0 && i < nms.decoded_layers; ++i) {
    decoder.message(nms.decoder_list, Message().number(1, 8 << i));
  }
  if (nms.decoder > 0) op.message(nms.decoder, decoder);
  return op;
}

// A net-flow group: `input`, outputs net/boxes and net/scores that NMS reads, net/other beside it.
// The application's order: NMS first.
inline Message nms_group_message(const WrittenStream& input, const WrittenNmsOp& nms) {
  const auto output = [](const char* name, int64_t pad) {
    WrittenStream stream;
    stream.name = name;
    stream.output = true;
    stream.height = stream.width = 1;
    stream.features = 10;
    stream.format = 2;
    stream.pad_index = pad;
    return edge_message(stream);
  };
  const Message core = group_message("net", {{edge_message(input), output("net/boxes", 1),
                                              output("net/scores", 2), output("net/other", 3)}});
  const Message op = Message()
                         .text(1, "nms")
                         .message(2, Message().number(1, 11).text(2, "in0"))
                         .message(2, Message().number(1, 12).text(2, "in1"))
                         .message(3, Message().number(1, 13).text(2, "net/nms_postprocess"))
                         .message(5, nms_op_message(nms));
  Message group;
  group.text(4, "net/nms_postprocess").text(4, "net/other");
  group.message(8, Message().text(1, "core").message(4, core)).message(8, op);
  group.message(9, Message().number(1, 1).number(2, 11));
  group.message(9, Message().number(1, 2).number(2, 12));
  return group;
}

// Field 5 of a group: one NMS output `name` in place of `parts`.
inline Message fused_message(const std::string& name, const std::vector<std::string>& parts,
                             const WrittenNms& nms, const std::vector<std::string>& order) {
  Message layer;
  layer.message(1, Message().text(1, name));
  for (const std::string& part : parts) layer.text(2, part);
  layer.message(3, nms_info_message(nms));
  Message fused;
  fused.number(1, 1);
  for (const std::string& output : order) fused.text(2, output);
  return fused.message(3, layer);
}

// A group whose contents are one partial group, for the clusters 0 and 1.
inline Message partial_message(const Message& group) {
  return Message().message(7, Message().message(1, group).message(2, Message().number(1, 3)));
}

struct WrittenFile {
  uint64_t arch = 1;
  std::string compiler = "3.32.0";
  std::vector<uint64_t> extensions = {0, 3, 26, 12};
  std::vector<uint64_t> optional_extensions = {8, 11};
  std::vector<Message> groups;
  size_t mapping_bytes = 1000;
};

inline std::string hef_protobuf(const WrittenFile& file) {
  Message root;
  root.message(
      1,
      Message().number(1, file.arch).number(2, 1758555299622u).text(3, file.compiler).number(4, 5));
  for (const Message& group : file.groups) root.message(2, group);
  root.text(3, std::string(file.mapping_bytes, '\xff'));
  for (const uint64_t type : file.extensions)
    root.message(5, Message().number(1, type).text(2, "X"));
  for (const uint64_t type : file.optional_extensions) root.message(6, Message().number(1, type));
  return root.bytes();
}

inline std::string big_endian_bytes(uint64_t value, int size) {
  std::string out;
  for (int i = size - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

// The container around a protobuf, with correct length and checksum. `config` stands for the
// configuration data.
inline std::string wrap_hef(uint32_t version, const std::string& protobuf, std::string config) {
  const std::string padding(version == 3 ? 16 : 0, '\0'), additional(version == 3 ? 100 : 0, 'a');
  if (version == 0) config.clear();
  const std::string body = protobuf + padding + config + additional;
  std::string head = std::string("\x01HEF", 4) + big_endian_bytes(version, 4) +
                     big_endian_bytes(protobuf.size(), 4);
  if (version == 0) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_Digest(body.data(), body.size(), digest, &size, EVP_md5(), nullptr);
    return head + big_endian_bytes(0, 4) + std::string(reinterpret_cast<char*>(digest), 16) + body;
  }
  if (version == 1) {
    const uint64_t crc =
        crc32_z(0, reinterpret_cast<const unsigned char*>(body.data()), body.size());
    return head + big_endian_bytes(crc, 4) + big_endian_bytes(config.size(), 8) +
           big_endian_bytes(0, 4) + body;
  }
  head += big_endian_bytes(XXH3_64bits(body.data(), body.size()), 8) +
          big_endian_bytes(config.size() + padding.size(), 8);
  if (version == 2) return head + std::string(16, '\0') + body;
  return head + big_endian_bytes(padding.size(), 4) + big_endian_bytes(additional.size(), 8) +
         std::string(16, '\0') + body;
}

// A whole file of one group with an input and an output.
inline std::string sample_hef(uint32_t version, const WrittenStream& input,
                              const WrittenStream& output) {
  WrittenFile file;
  file.groups = {group_message("net", {{edge_message(input), edge_message(output)}})};
  return wrap_hef(version, hef_protobuf(file), std::string(800, 'c'));
}

}  // namespace graupel::hef
