// Operators that take several nodes in the IR, quantisation, and Resize with its ancestors.
//
// Reference: ONNX Changelog (Gelu 20, Mish 18, GroupNormalization 18 and 21, Resize 10 to 19,
// Upsample 7 and 9, QuantizeLinear 10 to 21). Test: reader_test.cc, versions_test.cc.
#include <fmt/format.h>
#include <algorithm>
#include <cmath>

#include "onnx/read_ops.h"

namespace graupel::onnx {
namespace {

using ir::BinaryKind;
using ir::Ints;
using ir::Op;
using ir::UnaryKind;
using ir::ValueId;

// ---- resize ----

template <class Enum, size_t Count>
Enum pick(NodeReader& node, std::string_view name, std::string_view fallback,
          const Enum (&candidates)[Count]) {
  const std::string text = node.attributes.text(name, fallback);
  for (const Enum candidate : candidates) {
    if (to_string(candidate) == text) return candidate;
  }
  node.attributes.refuse(fmt::format("has {} '{}'", name, text));
  return candidates[0];
}

constexpr ir::ResizeMode kModes[] = {ir::ResizeMode::kNearest, ir::ResizeMode::kLinear,
                                     ir::ResizeMode::kCubic};

// An empty tensor stands for an omitted input in opset 11.
void omit_empty_inputs(NodeReader& node) {
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    const Tensor* const tensor = node.constant(i);
    if (tensor != nullptr && tensor->size() == 0) node.inputs[i] = ValueId();
  }
  while (!node.inputs.empty() && !node.inputs.back().valid()) node.inputs.pop_back();
}

// Opset 18's Resize names the axes its scales or sizes are for; the others keep their size.
void spread_resize_axes(NodeReader& node, const Ints& axes) {
  const std::optional<Shape> x = node.shape(0);
  const Tensor* const scales = node.constant(2);
  const Tensor* const sizes = node.constant(3);
  if (!x || (scales == nullptr && sizes == nullptr) || node.has_input(1)) {
    return node.attributes.refuse(
        "has axes, which need constant scales or sizes, an input of known "
        "rank and no roi");
  }
  const std::vector<double> values = (scales != nullptr ? scales : sizes)->to_doubles();
  const int64_t rank = static_cast<int64_t>(x->size());
  std::vector<float> full_scales(x->size(), 1.0f);
  Ints full_sizes = *x;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis < 0 || axis >= rank || values.size() != axes.size()) {
      return node.attributes.refuse(fmt::format("has {} values for {} axes of an input of rank {}",
                                                values.size(), axes.size(), rank));
    }
    full_scales[static_cast<size_t>(axis)] = static_cast<float>(values[i]);
    full_sizes[static_cast<size_t>(axis)] = static_cast<int64_t>(values[i]);
  }
  if (scales != nullptr) {
    const Shape shape = {rank};
    node.set_input(2, node.add_constant("scales", Tensor::of<float>(shape, full_scales)));
  } else {
    node.set_input(3, node.add_ints("sizes", full_sizes));
  }
}

void read_resize_18(NodeReader& node) {
  if (node.attributes.flag("antialias", false)) node.attributes.refuse("has antialias=1");
  const std::string policy = node.attributes.text("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch" && node.has_input(3)) {
    node.attributes.refuse("has keep_aspect_ratio_policy '" + policy + "'");
  }
  if (const std::optional<Ints> axes = node.attributes.ints("axes")) {
    spread_resize_axes(node, *axes);
  }
}

Op read_resize(NodeReader& node) {
  ir::Resize op;
  op.mode = pick(node, "mode", "nearest", kModes);
  if (node.opset < 11) {
    op.coordinates = ir::ResizeCoordinates::kAsymmetric;
    op.nearest = ir::ResizeNearest::kFloor;
    const ValueId scales = node.input(1);
    if (node.inputs.size() > 1) node.inputs[1] = ValueId();
    node.set_input(2, scales);
    return op;
  }
  using enum ir::ResizeCoordinates;
  op.coordinates =
      pick(node, "coordinate_transformation_mode", "half_pixel",
           {kHalfPixel, kPytorchHalfPixel, kAlignCorners, kAsymmetric, kCropAndResize});
  using enum ir::ResizeNearest;
  op.nearest = pick(node, "nearest_mode", "round_prefer_floor",
                    {kRoundPreferFloor, kRoundPreferCeil, kFloor, kCeil});
  op.cubic_coefficient = node.attributes.real("cubic_coeff_a", -0.75);
  op.extrapolation_value = node.attributes.real("extrapolation_value", 0.0);
  op.exclude_outside = node.attributes.flag("exclude_outside", false);
  omit_empty_inputs(node);
  if (node.opset >= 18) read_resize_18(node);
  return op;
}

Op read_upsample(NodeReader& node) {
  ir::Resize op;
  op.coordinates = ir::ResizeCoordinates::kAsymmetric;
  op.nearest = ir::ResizeNearest::kFloor;
  std::string mode = node.attributes.text("mode", "nearest");
  if (mode == "linear" || mode == "bilinear") {
    op.mode = ir::ResizeMode::kLinear;
  } else if (mode != "nearest") {
    node.attributes.refuse("has mode '" + mode + "'");
  }
  if (node.opset < 7) {
    node.attributes.refuse("has the form of opset 1 (height_scale, width_scale)");
  } else if (node.opset < 9) {
    const std::vector<float> scales =
        node.attributes.floats("scales").value_or(std::vector<float>{});
    const Shape shape = {static_cast<int64_t>(scales.size())};
    node.set_input(2, node.add_constant("scales", Tensor::of<float>(shape, scales)));
  } else if (node.opset >= 10) {
    node.attributes.refuse("was withdrawn in opset 10; use Resize");
  } else {
    const ValueId scales = node.input(1);
    if (node.inputs.size() > 1) node.inputs[1] = ValueId();
    node.set_input(2, scales);
  }
  return op;
}

// ---- quantisation ----

int64_t read_quantize_axis(NodeReader& node) {
  const int64_t axis = node.opset >= 13 ? node.attributes.integer("axis", 1) : 1;
  if (node.opset >= 19) node.attributes.ignore("saturate");  // for float8 only
  if (node.opset >= 21 && node.attributes.integer("block_size", 0) != 0) {
    node.attributes.refuse("is quantised in blocks");
  }
  return axis;
}

Op read_quantize_linear(NodeReader& node) {
  const int64_t axis = read_quantize_axis(node);
  const int64_t output_dtype = node.opset >= 21 ? node.attributes.integer("output_dtype", 0) : 0;
  if (output_dtype == 0) return ir::QuantizeLinear{axis};
  const std::optional<DType> dtype = dtype_from_onnx(static_cast<int32_t>(output_dtype));
  if (!dtype || (node.has_input(2) && node.dtype(2) != *dtype)) {
    node.attributes.refuse("has output_dtype " +
                           onnx_type_name(static_cast<int32_t>(output_dtype)));
  } else if (!node.has_input(2) && *dtype != DType::kUInt8) {
    const std::optional<Shape> scale = node.shape(1);
    if (!scale || !element_count(*scale, int64_t{1} << 24)) {
      node.attributes.refuse("has output_dtype but a scale of unknown shape");
    } else {
      node.set_input(2, node.add_constant("zero_point", Tensor(*dtype, *scale)));
    }
  }
  return ir::QuantizeLinear{axis};
}

Op read_dequantize_linear(NodeReader& node) {
  return ir::DequantizeLinear{read_quantize_axis(node)};
}

Op read_q_linear_mat_mul(NodeReader&) { return ir::QLinearMatMul{}; }
Op read_mat_mul_integer(NodeReader&) { return ir::MatMulInteger{}; }
Op read_dynamic_quantize_linear(NodeReader&) { return ir::DynamicQuantizeLinear{}; }

// ---- operators newer than opset 17 ----

ValueId emit_binary(NodeReader& node, std::string_view suffix, BinaryKind kind, ValueId a,
                    ValueId b) {
  return node.emit(suffix, ir::Binary{kind}, {a, b});
}

// x/2 * (1 + erf(x / sqrt 2)), or with tanh(sqrt(2/pi) * (x + 0.044715 x^3)) in place of erf.
Op read_gelu(NodeReader& node) {
  const std::string approximate = node.attributes.text("approximate", "none");
  const DType dtype = node.dtype(0);
  const ValueId x = node.input(0);
  ValueId curve;
  if (approximate == "none") {
    const ValueId root = node.add_scalar("sqrt2", dtype, std::sqrt(2.0));
    const ValueId scaled = emit_binary(node, "div", BinaryKind::kDiv, x, root);
    curve = node.emit("erf", ir::Unary{UnaryKind::kErf}, {scaled});
  } else if (approximate == "tanh") {
    const ValueId square = emit_binary(node, "square", BinaryKind::kMul, x, x);
    const ValueId cube = emit_binary(node, "cube", BinaryKind::kMul, square, x);
    const ValueId factor = node.add_scalar("cubic", dtype, 0.044715);
    const ValueId term = emit_binary(node, "term", BinaryKind::kMul, cube, factor);
    const ValueId sum = emit_binary(node, "sum", BinaryKind::kAdd, x, term);
    const ValueId root = node.add_scalar("root", dtype, std::sqrt(2.0 / 3.14159265358979323846));
    const ValueId scaled = emit_binary(node, "scaled", BinaryKind::kMul, sum, root);
    curve = node.emit("tanh", ir::Unary{UnaryKind::kTanh}, {scaled});
  } else {
    node.attributes.refuse("has approximate '" + approximate + "'");
  }
  const ValueId one = node.add_scalar("one", dtype, 1.0);
  const ValueId shifted = emit_binary(node, "add", BinaryKind::kAdd, curve, one);
  const ValueId product = emit_binary(node, "mul", BinaryKind::kMul, x, shifted);
  node.inputs = {product, node.add_scalar("half", dtype, 0.5)};
  return ir::Binary{BinaryKind::kMul};
}

Op read_mish(NodeReader& node) {
  const ValueId x = node.input(0);
  const ValueId softplus = node.emit("softplus", ir::Unary{UnaryKind::kSoftplus}, {x});
  node.inputs = {x, node.emit("tanh", ir::Unary{UnaryKind::kTanh}, {softplus})};
  return ir::Binary{BinaryKind::kMul};
}

// Groups as the channels of InstanceNormalization. Opset 18's scale and bias are per group, which
// that operator applies; since opset 21 they are per channel and follow as Mul and Add.
Op read_group_normalization(NodeReader& node) {
  const double epsilon = node.attributes.real("epsilon", 1e-5);
  const int64_t groups = node.attributes.integer("num_groups", 0);
  if (node.opset >= 21 && node.attributes.integer("stash_type", 1) != 1) {
    node.attributes.refuse("has a stash_type other than float32");
  }
  const std::optional<Shape> x = node.shape(0);
  if (groups <= 0 || groups > (int64_t{1} << 24) || !x || x->size() < 2) {
    node.attributes.refuse("needs num_groups and an input of known rank");
    return ir::InstanceNormalization{epsilon};
  }
  const DType dtype = node.dtype(0);
  const bool per_group = node.opset < 21;
  const ValueId input = node.input(0);
  ValueId scale = node.input(1);
  ValueId bias = node.input(2);
  if (!per_group) {
    std::vector<Tensor> fill = {scalar_tensor(dtype, 1.0), Tensor(dtype, {groups})};
    const ValueId count = node.add_ints("groups", {groups});
    const ValueId one = node.add_constant("one", fill[0].reshaped({1}));
    scale = node.emit("ones", ir::Expand{}, {one, count});
    bias = node.add_constant("zeros", fill[1]);
  }
  const ValueId grouped_shape = node.add_ints("grouped_shape", {0, groups, -1});
  const ValueId grouped = node.emit("grouped", ir::Reshape{}, {input, grouped_shape});
  const ValueId normal =
      node.emit("normal", ir::InstanceNormalization{epsilon}, {grouped, scale, bias});
  const ValueId shape = node.emit("shape", ir::ShapeOf{}, {input});
  if (per_group) {
    node.inputs = {normal, shape};
    return ir::Reshape{};
  }
  const ValueId back = node.emit("back", ir::Reshape{}, {normal, shape});
  Ints axes;
  for (size_t i = 1; i + 1 < x->size(); ++i) axes.push_back(static_cast<int64_t>(i));
  const ValueId axes_id = node.add_ints("axes", axes);
  const ValueId factor = node.emit("factor", ir::Unsqueeze{}, {node.input(1), axes_id});
  const ValueId offset = node.emit("offset", ir::Unsqueeze{}, {node.input(2), axes_id});
  node.inputs = {emit_binary(node, "scaled", BinaryKind::kMul, back, factor), offset};
  return ir::Binary{BinaryKind::kAdd};
}

constexpr OpReader kReaders[] = {
    {"Resize", 10, read_resize},
    {"Upsample", 1, read_upsample},
    {"QuantizeLinear", 10, read_quantize_linear},
    {"DequantizeLinear", 10, read_dequantize_linear},
    {"QLinearMatMul", 10, read_q_linear_mat_mul},
    {"MatMulInteger", 10, read_mat_mul_integer},
    {"DynamicQuantizeLinear", 11, read_dynamic_quantize_linear},
    {"Gelu", 20, read_gelu},
    {"Mish", 18, read_mish},
    {"GroupNormalization", 18, read_group_normalization},
};

}  // namespace

std::span<const OpReader> composite_readers() { return kReaders; }

}  // namespace graupel::onnx
