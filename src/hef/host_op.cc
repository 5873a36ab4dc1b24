// NMS and logits that the runtime computes, read from a HEF. See host_op.h.
//
// Idea: the runtime shows such an operation's output in place of the device's outputs that feed
// it, and so does this. Reference: hef.proto (ProtoHEFNmsOp, ProtoHEFEdgeLayerFused) and
// net_flow/ops of the HailoRT sources. Test: hef_test.cc, fuzz/hef_fuzz.cc.
#include "hef/host_op.h"

#include <algorithm>
#include <array>
#include <set>

#include "hef/message.h"
#include "hef/wire.h"

namespace graupel::hef {
namespace {

// By field number from 7 on: the oneof of ProtoHEFNmsOp.
constexpr std::array<std::string_view, 6> kDecoders = {"yolov5", "yolox",      "ssd",
                                                       "iou",    "yolov5_seg", "yolov8"};
constexpr uint32_t kFirstDecoder = 7;

// Image size and number of decoders; in all messages the size is in fields 1 and 2.
Result<void> read_decoder(std::string_view message, uint32_t field_number, Nms& nms) {
  nms.decoder = kDecoders[field_number - kFirstDecoder];
  // Field of the list of decoders: yolov5 4, yolox 3, ssd 9, iou none, yolov5_seg 3, yolov8 4.
  static constexpr std::array<uint32_t, 6> kList = {4, 3, 9, 0, 3, 4};
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 1 && field_number != 10) nms.image_height = field.as_double();
    if (field.number == 2 && field_number != 10) nms.image_width = field.as_double();
    if (field.number == kList[field_number - kFirstDecoder]) ++nms.layers;
    if (field.number == 5 && nms.decoder == "yolov5_seg") nms.mask_threshold = field.as_double();
  }
  return fields.broken() ? Result<void>(broken("NMS decoder")) : ok();
}

Result<Nms> read_nms_op(std::string_view message) {
  Nms nms;
  nms.on_host = true;
  bool background_removal = false;
  uint64_t background = 0;
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 1) nms.score_threshold = field.as_double();
    if (field.number == 2) nms.iou_threshold = field.as_double();
    if (field.number == 3) nms.boxes_per_class = field.value;
    if (field.number == 4) nms.classes = field.value;
    if (field.number == 5) background_removal = field.value != 0;
    if (field.number == 6) background = field.value;
    if (field.number == 13) nms.decoding_only = field.value != 0;
    if (field.number >= kFirstDecoder && field.number < kFirstDecoder + kDecoders.size()) {
      TRY(read_decoder(field.bytes, field.number, nms));
    }
  }
  if (fields.broken()) return broken("NMS operation");
  if (background_removal) {
    nms.background = background;
    if (nms.classes > 0) --nms.classes;  // as the runtime counts them
  }
  return nms;
}

std::string nms_order(const Nms& nms) {
  if (nms.decoder == "yolov5_seg") return "HAILO NMS WITH BYTE MASK";
  return "HAILO NMS BY CLASS";
}

Result<void> read_tensor_shape(std::string_view message, Stream& stream) {
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 1) stream.height = field.value;
    if (field.number == 2) stream.padded_height = field.value;
    if (field.number == 3) stream.width = field.value;
    if (field.number == 4) stream.padded_width = field.value;
    if (field.number == 5) stream.features = field.value;
    if (field.number == 6) stream.padded_features = field.value;
  }
  return fields.broken() ? Result<void>(broken("pad")) : ok();
}

struct Pad {
  uint64_t index = 0;
  Stream stream;  // as far as a pad describes one
};

Result<Pad> read_pad(std::string_view message) {
  static constexpr std::array<std::string_view, 7> kOrders = {"",     "NHWC", "NHCW", "FCR",
                                                              "F8CR", "NHW",  "NC"};
  Pad pad;
  pad.stream.direction = Direction::kOutput;
  pad.stream.host_order = "NC";
  pad.stream.quantization.scale = 1.0f;
  pad.stream.element_bytes = 4;
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 1) pad.index = field.value;
    if (field.number == 2) pad.stream.name = name_of(field.bytes);
    if (field.number == 3 && field.value > 0 && field.value < kOrders.size()) {
      pad.stream.host_order = kOrders[field.value];
    }
    if (field.number == 6) TRY(read_tensor_shape(field.bytes, pad.stream));
    if (field.number == 8 && field.value > 0) pad.stream.element_bytes = field.value == 1 ? 1 : 2;
  }
  if (fields.broken()) return broken("pad");
  pad.stream.pad_index = pad.index;
  return pad;
}

}  // namespace

Result<HostOp> read_host_op(std::string_view message) {
  HostOp op;
  std::optional<Nms> nms;
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if ((field.number == 2 || field.number == 3) && op.input_pads.size() < kMaxStreams) {
      TRY_ASSIGN(Pad pad, read_pad(field.bytes));
      if (field.number == 2) {
        op.input_pads.push_back(pad.index);
      } else if (op.outputs.size() < kMaxStreams) {
        op.outputs.push_back(std::move(pad.stream));
      }
    }
    if (field.number == 5) {
      TRY_ASSIGN(nms, read_nms_op(field.bytes));
    }
  }
  if (fields.broken()) return broken("operation");
  if (nms) {
    for (Stream& stream : op.outputs) {
      stream.host_order = nms_order(*nms);
      stream.element_bytes = 4;
      stream.nms = *nms;
    }
  }
  for (Stream& stream : op.outputs) stream.device_order = stream.host_order;
  return op;
}

void apply_host_op(const HostOp& op, const std::map<uint64_t, uint64_t>& source_of, Group& group) {
  std::set<uint64_t> hidden;
  for (const uint64_t pad : op.input_pads) {
    if (const auto source = source_of.find(pad); source != source_of.end()) {
      hidden.insert(source->second);
    }
  }
  std::vector<std::string> parts;
  std::erase_if(group.outputs, [&](const Stream& stream) {
    const bool is_hidden = stream.pad_index && hidden.contains(*stream.pad_index);
    if (is_hidden) parts.push_back(stream.name);
    return is_hidden;
  });
  if (parts.empty()) return;
  for (Stream stream : op.outputs) {
    if (group.outputs.size() >= kMaxStreams) return;
    stream.parts = parts;
    group.outputs.push_back(std::move(stream));
  }
}

Result<Nms> read_nms_info(std::string_view message) {
  Nms nms;
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 2) nms.classes = field.value;
    if (field.number == 3) nms.boxes_per_class = field.value;
    if (field.number != 6) continue;
    Fields inner(field.bytes);
    for (Field part; inner.next(part);) {
      if (part.number == 3) nms.fused_as = name_of(part.bytes);
    }
    if (inner.broken()) return broken("NMS");
  }
  if (fields.broken()) return broken("NMS");
  return nms;
}

Result<FusedLayer> read_fused_layer(std::string_view message) {
  FusedLayer fused;
  Fields fields(message);
  for (Field field; fields.next(field);) {
    if (field.number == 1) {
      Fields info(field.bytes);
      for (Field part; info.next(part);) {
        if (part.number == 1) fused.name = name_of(part.bytes);
      }
      if (info.broken()) return broken("fused layer");
    }
    if (field.number == 2 && fused.parts.size() < kMaxStreams) {
      fused.parts.push_back(name_of(field.bytes));
    }
    if (field.number == 3) {
      TRY_ASSIGN(fused.nms, read_nms_info(field.bytes));
    }
  }
  if (fields.broken()) return broken("fused layer");
  return fused;
}

void apply_fused_layer(const FusedLayer& fused, Group& group) {
  Stream whole;
  uint64_t classes = 0;
  std::vector<std::string> found;
  std::erase_if(group.outputs, [&](const Stream& stream) {
    const bool named =
        std::find(fused.parts.begin(), fused.parts.end(), stream.name) != fused.parts.end();
    if (!named && (!stream.nms || fused.name.empty() || stream.nms->fused_as != fused.name)) {
      return false;
    }
    if (found.empty()) whole = stream;
    if (stream.nms) classes += stream.nms->classes;
    found.push_back(stream.name);
    return true;
  });
  if (found.empty()) return;
  const Nms part = whole.nms.value_or(Nms{});
  whole.name = fused.name;
  whole.nms = fused.nms;
  whole.nms->fused_as.clear();
  if (whole.nms->classes == 0) whole.nms->classes = classes;
  if (whole.nms->boxes_per_class == 0) whole.nms->boxes_per_class = part.boxes_per_class;
  whole.parts = std::move(found);
  group.outputs.push_back(std::move(whole));
}

}  // namespace graupel::hef
