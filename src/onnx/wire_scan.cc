// A look at a model's wire format before protobuf builds objects from it.
//
// Idea: an empty message takes two bytes on the wire but hundreds in memory, so a small hostile
// file could ask for gigabytes. The scan walks the nested messages that ONNX defines, adds up what
// their objects will take, and stops at a bound. It copies nothing and reads each byte once.
// Reference: https://protobuf.dev/programming-guides/encoding, onnx.proto. Test: hostile_test.cc.
#include "onnx/wire_scan.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>

namespace graupel::onnx {
namespace {

enum class Kind { kLeaf, kText, kModel, kGraph, kNode, kAttribute, kTensor, kType, kSmall };

constexpr uint64_t kFreeBytes = uint64_t{64} << 20;
constexpr uint64_t kBytesPerByte = 3;
constexpr int kMaxDepth = 100;

uint64_t object_size_bytes(Kind kind) {
  switch (kind) {
    case Kind::kLeaf: return 0;
    case Kind::kText: return 48;
    case Kind::kSmall: return 80;
    case Kind::kType: return 64;
    case Kind::kNode: return 200;
    case Kind::kTensor: return 320;
    case Kind::kModel:
    case Kind::kGraph:
    case Kind::kAttribute: return 400;
  }
  return 0;
}

Kind model_field(uint64_t field) {
  switch (field) {
    case 7: return Kind::kGraph;
    case 8:
    case 14:
    case 20:
    case 25: return Kind::kSmall;
    default: return Kind::kLeaf;
  }
}

Kind graph_field(uint64_t field) {
  switch (field) {
    case 1: return Kind::kNode;
    case 5: return Kind::kTensor;
    case 11:
    case 12:
    case 13: return Kind::kType;
    case 14:
    case 15:
    case 16: return Kind::kSmall;
    default: return Kind::kLeaf;
  }
}

Kind attribute_field(uint64_t field) {
  switch (field) {
    case 5:
    case 10: return Kind::kTensor;
    case 6:
    case 11: return Kind::kGraph;
    case 9: return Kind::kText;
    case 14:
    case 15: return Kind::kType;
    case 22:
    case 23: return Kind::kSmall;
    default: return Kind::kLeaf;
  }
}

// Bytes in memory per byte on the wire of a field that is no message: a packed varint takes one
// byte there and four or eight here, all else is copied.
uint64_t leaf_bytes_per_byte(Kind parent, uint64_t field) {
  if (parent == Kind::kTensor && field == 5) return 4;  // int32_data
  if (parent == Kind::kTensor && (field == 1 || field == 7 || field == 11)) return 8;
  if (parent == Kind::kAttribute && field == 8) return 8;  // ints
  return 1;
}

// What the bytes of a length-delimited field of a message hold.
Kind child_kind(Kind parent, uint64_t field) {
  switch (parent) {
    case Kind::kModel: return model_field(field);
    case Kind::kGraph: return graph_field(field);
    case Kind::kNode:
      if (field == 5) return Kind::kAttribute;
      return field <= 2 ? Kind::kText : Kind::kLeaf;
    case Kind::kAttribute: return attribute_field(field);
    case Kind::kTensor:
      if (field == 6) return Kind::kText;
      return field == 13 ? Kind::kSmall : Kind::kLeaf;
    // ValueInfoProto, TypeProto and TensorShapeProto: a name is field 1 of the first, so looking
    // into strings would be wrong; only the fields that are messages in all of them are entered.
    case Kind::kType:
    case Kind::kSmall:
    case Kind::kText:
    case Kind::kLeaf: return Kind::kLeaf;
  }
  return Kind::kLeaf;
}

struct Scan {
  std::string_view bytes;
  size_t offset = 0;
  uint64_t cost_bytes = 0;
  uint64_t limit_bytes = 0;
};

std::optional<uint64_t> read_varint(Scan& scan, size_t end) {
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    if (scan.offset >= end) return std::nullopt;
    const uint8_t byte = static_cast<uint8_t>(scan.bytes[scan.offset++]);
    if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

bool skip(Scan& scan, size_t end, uint64_t count) {
  if (count > end - scan.offset) return false;
  scan.offset += count;
  return true;
}

Error broken(const Scan& scan) {
  return corrupt("model",
                 fmt::format("is not an ONNX model (protobuf breaks off at byte {} of {}); "
                             "the file is truncated, damaged or of another kind",
                             scan.offset, scan.bytes.size()));
}

Error too_many_parts() {
  return corrupt("model",
                 "is built from so many tiny parts that reading it would take more than 64 MiB "
                 "plus 3 times its size; save its tensors as raw data");
}

// One message in [scan.offset, end). The fields of types and of small messages are not looked
// at: each of their bytes counts as 16, which a message of two bytes per dimension can reach.
Result<void> scan_message(Scan& scan, Kind kind, size_t end, int depth) {
  if (depth > kMaxDepth) return corrupt("model", "nests more than 100 levels deep");
  while (scan.offset < end) {
    const std::optional<uint64_t> tag = read_varint(scan, end);
    if (!tag || (*tag >> 3) == 0) return broken(scan);
    const uint64_t wire_type = *tag & 7;
    if (wire_type == 0) {
      if (!read_varint(scan, end)) return broken(scan);
      scan.cost_bytes += sizeof(uint64_t);  // perhaps one of many unpacked numbers
    } else if (wire_type == 1 || wire_type == 5) {
      if (!skip(scan, end, wire_type == 1 ? 8 : 4)) return broken(scan);
    } else if (wire_type == 2) {
      const std::optional<uint64_t> size = read_varint(scan, end);
      if (!size || *size > end - scan.offset) return broken(scan);
      const Kind child = child_kind(kind, *tag >> 3);
      const bool enter = child == Kind::kGraph || child == Kind::kNode ||
                         child == Kind::kAttribute || child == Kind::kTensor;
      scan.cost_bytes += object_size_bytes(child);
      if (child == Kind::kType || child == Kind::kSmall) {
        scan.cost_bytes += 16 * *size;
      } else if (!enter) {
        scan.cost_bytes += *size * leaf_bytes_per_byte(kind, *tag >> 3);
      }
      if (scan.cost_bytes > scan.limit_bytes) return too_many_parts();
      const size_t child_end = scan.offset + static_cast<size_t>(*size);
      if (enter) TRY(scan_message(scan, child, child_end, depth + 1));
      scan.offset = child_end;
    } else {
      return broken(scan);
    }
  }
  return ok();
}

}  // namespace

Result<void> check_structure(std::string_view bytes) {
  Scan scan{bytes, 0, 0, kFreeBytes + kBytesPerByte * bytes.size()};
  return scan_message(scan, Kind::kModel, bytes.size(), 0);
}

}  // namespace graupel::onnx
