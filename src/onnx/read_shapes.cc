// Operators that move data: reshape, slice, pad, split, cast, constants of shape, resize.
// Reference: ONNX Changelog, each operator's versions. Test: reader_test.cc, versions_test.cc.
#include <fmt/format.h>
#include <algorithm>

#include "onnx/read_ops.h"

namespace graupel::onnx {
namespace {

using ir::Ints;
using ir::Op;
using ir::ValueId;

// An attribute of old opsets that is an input since.
void attribute_to_input(NodeReader& node, std::string_view name, size_t index) {
  if (const std::optional<Ints> values = node.attributes.ints(name)) {
    node.set_input(index, node.add_ints(name, *values));
  }
}

Op read_flatten(NodeReader& node) { return ir::Flatten{node.attributes.integer("axis", 1)}; }

Op read_reshape(NodeReader& node) {
  if (node.opset < 5) {
    node.attributes.ignore("consumed_inputs");
    attribute_to_input(node, "shape", 1);
    return ir::Reshape{};
  }
  return ir::Reshape{node.opset >= 14 && node.attributes.flag("allowzero", false)};
}

Op read_transpose(NodeReader& node) {
  return ir::Transpose{node.attributes.ints("perm").value_or(Ints{})};
}

Op read_concat(NodeReader& node) {
  if (node.opset >= 4 && !node.attributes.has("axis")) {
    node.attributes.refuse("has no axis, which it needs");
  }
  return ir::Concat{node.attributes.integer("axis", 1)};
}

// Sizes of Split's parts: all ceil(dim / count), the last one what is left.
void split_evenly(NodeReader& node, int64_t axis) {
  const int64_t count = node.attributes.integer("num_outputs", 0);
  if (count <= 0 || static_cast<uint64_t>(count) != node.output_count) {
    return node.attributes.refuse(
        fmt::format("has num_outputs {} but {} outputs", count, node.output_count));
  }
  const std::optional<Shape> x = node.shape(0);
  const int64_t rank = x ? static_cast<int64_t>(x->size()) : 0;
  const int64_t index = axis < 0 ? axis + rank : axis;
  if (!x || index < 0 || index >= rank) return;  // then the parts have to be equal
  const int64_t dim = (*x)[static_cast<size_t>(index)];
  const int64_t part = (dim + count - 1) / count;
  if (part * (count - 1) > dim) {
    return node.attributes.refuse(
        fmt::format("cannot split {} into {} parts of {}", dim, count, part));
  }
  Ints sizes(static_cast<size_t>(count), part);
  sizes.back() = dim - part * (count - 1);
  node.set_input(1, node.add_ints("split", sizes));
}

Op read_split(NodeReader& node) {
  const int64_t axis = node.attributes.integer("axis", 0);
  if (node.opset < 13) attribute_to_input(node, "split", 1);
  if (node.opset >= 18 && node.attributes.has("num_outputs")) split_evenly(node, axis);
  return ir::Split{axis};
}

Op read_squeeze(NodeReader& node) {
  if (node.opset < 13) attribute_to_input(node, "axes", 1);
  return ir::Squeeze{};
}

Op read_unsqueeze(NodeReader& node) {
  if (node.opset < 13) attribute_to_input(node, "axes", 1);
  return ir::Unsqueeze{};
}

Op read_slice(NodeReader& node) {
  if (node.opset < 10) {
    attribute_to_input(node, "starts", 1);
    attribute_to_input(node, "ends", 2);
    attribute_to_input(node, "axes", 3);
  }
  return ir::Slice{};
}

Op read_gather(NodeReader& node) { return ir::Gather{node.attributes.integer("axis", 0)}; }
Op read_gather_elements(NodeReader& node) {
  return ir::GatherElements{node.attributes.integer("axis", 0)};
}

// Opset 18's Pad names the axes its pads are for; the IR's pads are for all axes.
void spread_pads(NodeReader& node) {
  const std::optional<Shape> x = node.shape(0);
  const Tensor* const pads = node.constant(1);
  const Tensor* const axes = node.constant(3);
  if (!x || pads == nullptr || axes == nullptr) {
    return node.attributes.refuse("has axes, which need constant pads and an input of known rank");
  }
  const std::vector<int64_t> values = pads->to_int64s();
  const std::vector<int64_t> names = axes->to_int64s();
  const int64_t rank = static_cast<int64_t>(x->size());
  Ints full(2 * x->size(), 0);
  if (values.size() != 2 * names.size()) {
    return node.attributes.refuse(
        fmt::format("has {} pads for {} axes", values.size(), names.size()));
  }
  for (size_t i = 0; i < names.size(); ++i) {
    const int64_t axis = names[i] < 0 ? names[i] + rank : names[i];
    if (axis < 0 || axis >= rank) {
      return node.attributes.refuse(fmt::format("pads axis {} of rank {}", names[i], rank));
    }
    full[static_cast<size_t>(axis)] = values[i];
    full[static_cast<size_t>(axis + rank)] = values[names.size() + i];
  }
  node.set_input(1, node.add_ints("pads", full));
  node.inputs.resize(3);
  if (!node.inputs[2].valid()) node.inputs.resize(2);
}

Op read_pad(NodeReader& node) {
  ir::Pad op;
  const std::string mode = node.attributes.text("mode", "constant");
  bool known = false;
  for (const ir::PadMode candidate :
       {ir::PadMode::kConstant, ir::PadMode::kReflect, ir::PadMode::kEdge}) {
    if (to_string(candidate) != mode) continue;
    op.mode = candidate;
    known = true;
  }
  if (!known) node.attributes.refuse("has mode '" + mode + "'");
  if (node.opset >= 11) {
    if (node.has_input(3)) spread_pads(node);
    return op;
  }
  attribute_to_input(node, node.opset < 2 ? "paddings" : "pads", 1);
  const double value = node.attributes.real("value", 0.0);
  if (op.mode == ir::PadMode::kConstant) {
    node.set_input(2, node.add_scalar("value", node.dtype(0), value));
  }
  return op;
}

Op read_expand(NodeReader&) { return ir::Expand{}; }

Op read_tile(NodeReader& node) {
  if (node.opset < 6) node.attributes.refuse("has the form of opset 1 (tiles and axis as inputs)");
  return ir::Tile{};
}

Op read_constant_of_shape(NodeReader& node) {
  ir::ConstantOfShape op;
  ::onnx::TensorProto* const value = node.attributes.tensor("value");
  if (value == nullptr) return op;
  Result<Tensor> tensor = take_tensor(*value, node.reader.folder);
  if (!tensor.ok()) {
    node.attributes.refuse(tensor.error().message());
  } else if (tensor->size() != 1) {
    node.attributes.refuse(fmt::format("has a value of {} elements, expected 1", tensor->size()));
  } else {
    op.value = tensor->reshaped({1});
  }
  return op;
}

Op read_shape(NodeReader& node) {
  ir::ShapeOf op;
  if (node.opset < 15) return op;
  op.start = node.attributes.integer("start", 0);
  if (node.attributes.has("end")) op.end = node.attributes.integer("end", 0);
  return op;
}

Op read_size(NodeReader&) { return ir::SizeOf{}; }

// Before opset 6 the type was spelled out.
Op read_cast(NodeReader& node) {
  int32_t type = 0;
  if (node.opset >= 6) {
    type = static_cast<int32_t>(node.attributes.integer("to", 0));
  } else {
    const std::string name = node.attributes.text("to", "");
    for (int32_t candidate = 1; candidate <= 16; ++candidate) {
      if (::onnx::TensorProto::DataType_IsValid(candidate) &&
          ::onnx::TensorProto::DataType_Name(
              static_cast<::onnx::TensorProto::DataType>(candidate)) == name) {
        type = candidate;
      }
    }
  }
  node.attributes.ignore("saturate");    // for float8 only, which are no DType
  node.attributes.ignore("round_mode");  // likewise
  const std::optional<DType> dtype = dtype_from_onnx(type);
  if (!dtype) node.attributes.refuse("casts to " + onnx_type_name(type));
  return ir::Cast{dtype.value_or(DType::kFloat32)};
}

Op read_cast_like(NodeReader& node) {
  node.attributes.ignore("saturate");
  node.attributes.ignore("round_mode");
  const DType dtype = node.dtype(1);
  node.inputs.resize(std::min<size_t>(node.inputs.size(), 1));
  return ir::Cast{dtype};
}

Op read_top_k(NodeReader& node) {
  ir::TopK op;
  op.axis = node.attributes.integer("axis", -1);
  if (node.opset < 10) {
    node.set_input(1, node.add_ints("k", {node.attributes.integer("k", 0)}));
  } else if (node.opset >= 11) {
    op.largest = node.attributes.flag("largest", true);
    op.sorted = node.attributes.flag("sorted", true);
  }
  return op;
}

Op read_depth_to_space(NodeReader& node) {
  ir::DepthToSpace op;
  op.block = node.attributes.integer("blocksize", 0);
  if (node.opset < 11) return op;
  const std::string mode = node.attributes.text("mode", "DCR");
  if (mode == "CRD") {
    op.order = ir::DepthOrder::kColumnRowDepth;
  } else if (mode != "DCR") {
    node.attributes.refuse("has mode '" + mode + "'");
  }
  return op;
}

Op read_space_to_depth(NodeReader& node) {
  return ir::SpaceToDepth{node.attributes.integer("blocksize", 0)};
}

constexpr OpReader kReaders[] = {
    {"Flatten", 1, read_flatten},
    {"Reshape", 1, read_reshape},
    {"Transpose", 1, read_transpose},
    {"Concat", 1, read_concat},
    {"Split", 1, read_split},
    {"Squeeze", 1, read_squeeze},
    {"Unsqueeze", 1, read_unsqueeze},
    {"Slice", 1, read_slice},
    {"Gather", 1, read_gather},
    {"GatherElements", 11, read_gather_elements},
    {"Pad", 1, read_pad},
    {"Expand", 8, read_expand},
    {"Tile", 1, read_tile},
    {"ConstantOfShape", 9, read_constant_of_shape},
    {"Shape", 1, read_shape},
    {"Size", 1, read_size},
    {"Cast", 1, read_cast},
    {"CastLike", 15, read_cast_like},
    {"TopK", 1, read_top_k},
    {"DepthToSpace", 1, read_depth_to_space},
    {"SpaceToDepth", 1, read_space_to_depth},
};

}  // namespace

std::span<const OpReader> shape_readers() { return kReaders; }

}  // namespace graupel::onnx
