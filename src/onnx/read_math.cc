// Elementwise operators, activations, reductions.
// Reference: ONNX Changelog, each operator's versions. Test: reader_test.cc, versions_test.cc.
#include <fmt/format.h>
#include <algorithm>

#include "onnx/read_ops.h"

namespace graupel::onnx {
namespace {

using ir::Ints;
using ir::Op;
using ir::ValueId;

Op read_unary(NodeReader& node) {
  node.attributes.ignore("consumed_inputs");
  for (const ir::UnaryKind kind : ir::all_unary_kinds()) {
    if (to_string(kind) == node.node.op_type()) return ir::Unary{kind};
  }
  return ir::Unary{};
}

// Before opset 7 operands had equal shapes, or the second was broadcast with its first dimension
// put at `axis` of the first: the same as numpy's broadcasting after appending dimensions of 1.
void align_legacy_operand(NodeReader& node) {
  const bool broadcast = node.attributes.flag("broadcast", false);
  const bool has_axis = node.attributes.has("axis");
  const int64_t axis_or_negative = node.attributes.integer("axis", 0);
  if (!broadcast || !has_axis) return;
  const std::optional<Shape> a = node.shape(0);
  const int64_t rank = !a ? -1 : static_cast<int64_t>(a->size());
  const std::optional<Shape> b = node.shape(1);
  if (rank < 0 || !b) {
    return node.attributes.refuse("broadcasts along 'axis' of an input of unknown rank");
  }
  const int64_t axis = axis_or_negative < 0 ? axis_or_negative + rank : axis_or_negative;
  const int64_t b_rank = static_cast<int64_t>(b->size());
  const int64_t missing = rank - axis - b_rank;
  if (axis < 0 || missing < 0) {
    return node.attributes.refuse(
        fmt::format("axis {} does not fit inputs of rank {} and {}", axis, rank, b_rank));
  }
  if (missing == 0) return;
  Ints axes;
  for (int64_t i = 0; i < missing; ++i) axes.push_back(b_rank + i);
  const ValueId axes_id = node.add_ints("axes", axes);
  node.set_input(1, node.emit("aligned", ir::Unsqueeze{}, {node.input(1), axes_id}));
}

Op read_binary(NodeReader& node) {
  node.attributes.ignore("consumed_inputs");
  if (node.opset < 7) align_legacy_operand(node);
  for (const ir::BinaryKind kind : ir::all_binary_kinds()) {
    if (to_string(kind) == node.node.op_type()) return ir::Binary{kind};
  }
  return ir::Binary{};
}

Op read_mod(NodeReader& node) {
  return ir::Binary{node.attributes.flag("fmod", false) ? ir::BinaryKind::kFmod
                                                        : ir::BinaryKind::kMod};
}

Op read_variadic(NodeReader& node) {
  node.attributes.ignore("consumed_inputs");
  for (const ir::VariadicKind kind : ir::all_variadic_kinds()) {
    if (to_string(kind) == node.node.op_type()) return ir::Variadic{kind};
  }
  return ir::Variadic{};
}

Op read_leaky_relu(NodeReader& node) {
  node.attributes.ignore("consumed_inputs");
  return ir::LeakyRelu{node.attributes.real("alpha", 0.01)};
}

// Before opset 7 a slope of rank 1 was per channel; since then it broadcasts as numpy does.
Op read_prelu(NodeReader& node) {
  node.attributes.ignore("consumed_inputs");
  if (node.opset >= 7) return ir::PRelu{};
  const std::optional<Shape> x = node.shape(0);
  const std::optional<Shape> slope = node.shape(1);
  if (!x || !slope) {
    node.attributes.refuse("has inputs of unknown rank");
  } else if (slope->size() == 1 && (*slope)[0] != 1 && x->size() > 2) {
    Ints axes;
    for (size_t i = 1; i + 1 < x->size(); ++i) axes.push_back(static_cast<int64_t>(i));
    const ValueId axes_id = node.add_ints("axes", axes);
    node.set_input(1, node.emit("slope", ir::Unsqueeze{}, {node.input(1), axes_id}));
  }
  return ir::PRelu{};
}

Op read_elu(NodeReader& node) {
  node.attributes.ignore("consumed_inputs");
  return ir::Elu{node.attributes.real("alpha", 1.0)};
}

Op read_selu(NodeReader& node) {
  node.attributes.ignore("consumed_inputs");
  const bool old = node.opset < 6;
  const double alpha = node.attributes.real("alpha", old ? 1.6732 : ir::Selu{}.alpha);
  return ir::Selu{alpha, node.attributes.real("gamma", old ? 1.0507 : ir::Selu{}.gamma)};
}

Op read_celu(NodeReader& node) { return ir::Celu{node.attributes.real("alpha", 1.0)}; }

Op read_thresholded_relu(NodeReader& node) {
  return ir::ThresholdedRelu{node.attributes.real("alpha", 1.0)};
}

Op read_hard_sigmoid(NodeReader& node) {
  node.attributes.ignore("consumed_inputs");
  const double alpha = node.attributes.real("alpha", 0.2);
  return ir::HardSigmoid{alpha, node.attributes.real("beta", 0.5)};
}

Op read_clip(NodeReader& node) {
  if (node.opset >= 11) return ir::Clip{};
  node.attributes.ignore("consumed_inputs");
  const DType dtype = node.dtype(0);
  constexpr std::string_view kBounds[] = {"min", "max"};
  for (size_t i = 0; i < 2; ++i) {
    if (!node.attributes.has(kBounds[i])) continue;
    const double bound = node.attributes.real(kBounds[i], 0.0);
    node.set_input(i + 1, node.add_scalar(kBounds[i], dtype, bound));
  }
  return ir::Clip{};
}

Op read_arg(NodeReader& node) {
  ir::ArgReduce op;
  op.kind = node.node.op_type() == "ArgMax" ? ir::ArgKind::kMax : ir::ArgKind::kMin;
  op.axis = node.attributes.integer("axis", 0);
  op.keepdims = node.attributes.flag("keepdims", true);
  if (node.opset >= 12) op.select_last_index = node.attributes.flag("select_last_index", false);
  return op;
}

// The axes became an input with opset 13 (ReduceSum) and 18 (all others).
Op read_reduce(NodeReader& node) {
  ir::Reduce op;
  for (const ir::ReduceKind kind : ir::all_reduce_kinds()) {
    if (to_string(kind) == node.node.op_type()) op.kind = kind;
  }
  op.keepdims = node.attributes.flag("keepdims", true);
  const int64_t axes_input_since = op.kind == ir::ReduceKind::kSum ? 13 : 18;
  if (node.opset >= axes_input_since) {
    op.noop_with_empty_axes = node.attributes.flag("noop_with_empty_axes", false);
  } else if (const std::optional<Ints> axes = node.attributes.ints("axes")) {
    node.set_input(1, node.add_ints("axes", *axes));
  }
  return op;
}

Op read_cum_sum(NodeReader& node) {
  const bool exclusive = node.attributes.flag("exclusive", false);
  return ir::CumSum{exclusive, node.attributes.flag("reverse", false)};
}

Op read_where(NodeReader&) { return ir::Where{}; }
Op read_range(NodeReader&) { return ir::Range{}; }
Op read_mat_mul(NodeReader&) { return ir::MatMul{}; }

constexpr OpReader kReaders[] = {
    {"Relu", 1, read_unary},
    {"Sigmoid", 1, read_unary},
    {"Tanh", 1, read_unary},
    {"Neg", 1, read_unary},
    {"Abs", 1, read_unary},
    {"Sqrt", 1, read_unary},
    {"Exp", 1, read_unary},
    {"Log", 1, read_unary},
    {"Round", 11, read_unary},
    {"Floor", 1, read_unary},
    {"Ceil", 1, read_unary},
    {"Sign", 9, read_unary},
    {"Erf", 9, read_unary},
    {"Reciprocal", 1, read_unary},
    {"Not", 1, read_unary},
    {"Softplus", 1, read_unary},
    {"Softsign", 1, read_unary},
    {"HardSwish", 14, read_unary},
    {"Identity", 1, read_unary},
    {"Sin", 7, read_unary},
    {"Cos", 7, read_unary},
    {"Tan", 7, read_unary},
    {"Asin", 7, read_unary},
    {"Acos", 7, read_unary},
    {"Atan", 7, read_unary},
    {"Sinh", 9, read_unary},
    {"Cosh", 9, read_unary},
    {"Asinh", 9, read_unary},
    {"Acosh", 9, read_unary},
    {"Atanh", 9, read_unary},
    {"IsNaN", 9, read_unary},
    {"Add", 1, read_binary},
    {"Sub", 1, read_binary},
    {"Mul", 1, read_binary},
    {"Div", 1, read_binary},
    {"Pow", 1, read_binary},
    {"Mod", 10, read_mod},
    {"Equal", 1, read_binary},
    {"Less", 1, read_binary},
    {"LessOrEqual", 12, read_binary},
    {"Greater", 1, read_binary},
    {"GreaterOrEqual", 12, read_binary},
    {"And", 1, read_binary},
    {"Or", 1, read_binary},
    {"Xor", 1, read_binary},
    {"Min", 1, read_variadic},
    {"Max", 1, read_variadic},
    {"Sum", 1, read_variadic},
    {"Mean", 1, read_variadic},
    {"LeakyRelu", 1, read_leaky_relu},
    {"PRelu", 1, read_prelu},
    {"Elu", 1, read_elu},
    {"Selu", 1, read_selu},
    {"Celu", 12, read_celu},
    {"ThresholdedRelu", 10, read_thresholded_relu},
    {"HardSigmoid", 1, read_hard_sigmoid},
    {"Clip", 1, read_clip},
    {"ArgMax", 1, read_arg},
    {"ArgMin", 1, read_arg},
    {"ReduceMean", 1, read_reduce},
    {"ReduceSum", 1, read_reduce},
    {"ReduceMax", 1, read_reduce},
    {"ReduceMin", 1, read_reduce},
    {"ReduceProd", 1, read_reduce},
    {"ReduceL1", 1, read_reduce},
    {"ReduceL2", 1, read_reduce},
    {"ReduceLogSum", 1, read_reduce},
    {"ReduceLogSumExp", 1, read_reduce},
    {"ReduceSumSquare", 1, read_reduce},
    {"CumSum", 11, read_cum_sum},
    {"Where", 9, read_where},
    {"Range", 11, read_range},
    {"MatMul", 1, read_mat_mul},
};

}  // namespace

std::span<const OpReader> math_readers() { return kReaders; }

}  // namespace graupel::onnx
