// Types of elementwise operators, normalisations, reductions and quantisation of elements.
// Reference: ONNX operator semantics, opset 17. Test: infer_types_test.cc.
#include <numeric>

#include "ir/infer.h"

namespace graupel::ir::infer {
namespace {

Kinds operands_of(UnaryKind kind) {
  switch (kind) {
    case UnaryKind::kNot: return Kinds::kBool;
    case UnaryKind::kRelu:
    case UnaryKind::kNeg:
    case UnaryKind::kAbs:
    case UnaryKind::kSign:
    case UnaryKind::kErf: return Kinds::kNumeric;
    default: return Kinds::kFloat;
  }
}

enum class BinaryFamily { kArithmetic, kEquality, kOrder, kLogic };

BinaryFamily family_of(BinaryKind kind) {
  switch (kind) {
    case BinaryKind::kEqual: return BinaryFamily::kEquality;
    case BinaryKind::kLess:
    case BinaryKind::kLessOrEqual:
    case BinaryKind::kGreater:
    case BinaryKind::kGreaterOrEqual: return BinaryFamily::kOrder;
    case BinaryKind::kAnd:
    case BinaryKind::kOr:
    case BinaryKind::kXor: return BinaryFamily::kLogic;
    default: return BinaryFamily::kArithmetic;
  }
}

Result<Types> same_as_float_input(const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kFloat));
  return one(in[0].dtype, in[0].shape);
}

// Inputs first .. first + count - 1 are vectors with one entry per channel of x.
Result<void> check_per_channel(const Operands& in, size_t first, size_t count) {
  const Shape* x = in.shape(0);
  if (x == nullptr) return ok();
  const int64_t channels = x->size() > 1 ? (*x)[1] : 1;
  for (size_t i = first; i < first + count; ++i) {
    TRY(check_vector(in, i, fmt::format("input {}", i), channels));
  }
  return ok();
}

Shape without_axes(const Shape& shape, const std::vector<bool>& reduced, bool keepdims) {
  Shape out;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!reduced[i]) out.push_back(shape[i]);
    if (reduced[i] && keepdims) out.push_back(1);
  }
  return out;
}

// scale (input 1) and zero point (input 2) are scalars or vectors along `axis` of x.
Result<void> check_quantisation(const Operands& in, int64_t axis) {
  TRY(check_kind(in, 1, "scale", Kinds::kFloat));
  const Shape* scale = in.shape(1);
  const Shape* zero_point = in.shape(2);
  if (scale != nullptr && zero_point != nullptr && *scale != *zero_point &&
      (element_count(*scale) != 1 || element_count(*zero_point) != 1)) {
    return refuse(fmt::format("scale has shape {} and zero point {}, expected the same",
                              to_string(*scale), to_string(*zero_point)));
  }
  const Shape* x = in.shape(0);
  if (scale == nullptr || element_count(*scale) == 1 || x == nullptr) return ok();
  TRY_ASSIGN(const int64_t resolved, resolve_axis(axis, rank_of(*x)));
  return check_vector(in, 1, "scale", (*x)[static_cast<size_t>(resolved)]);
}

}  // namespace

Result<Types> infer(const Unary& op, const Operands& in) {
  if (op.kind == UnaryKind::kIdentity) return one(in[0].dtype, in[0].shape);
  TRY(check_kind(in, 0, "input", operands_of(op.kind)));
  return one(op.kind == UnaryKind::kIsNaN ? DType::kBool : in[0].dtype, in[0].shape);
}

Result<Types> infer(const Binary& op, const Operands& in) {
  const BinaryFamily family = family_of(op.kind);
  if (family != BinaryFamily::kEquality) {
    const Kinds kinds = family == BinaryFamily::kLogic ? Kinds::kBool : Kinds::kNumeric;
    TRY(check_kind(in, 0, "input 0", kinds));
    TRY(check_kind(in, 1, "input 1", kinds));
  }
  if (op.kind != BinaryKind::kPow) TRY(check_same_dtype(in, {0, 1}));
  TRY_ASSIGN(MaybeShape shape, broadcast_inputs(in, std::vector<size_t>{0, 1}));
  const bool arithmetic = family == BinaryFamily::kArithmetic;
  return one(arithmetic ? in[0].dtype : DType::kBool, std::move(shape));
}

Result<Types> infer(const Variadic&, const Operands& in) {
  std::vector<size_t> all(in.size());
  std::iota(all.begin(), all.end(), size_t{0});
  for (const size_t i : all) {
    if (!in.has(i)) return refuse(fmt::format("input {} is omitted, but required", i));
    TRY(check_kind(in, i, fmt::format("input {}", i), Kinds::kNumeric));
    TRY(check_same_dtype(in, {0, i}));
  }
  TRY_ASSIGN(MaybeShape shape, broadcast_inputs(in, all));
  return one(in[0].dtype, std::move(shape));
}

Result<Types> infer(const LeakyRelu&, const Operands& in) { return same_as_float_input(in); }
Result<Types> infer(const Elu&, const Operands& in) { return same_as_float_input(in); }
Result<Types> infer(const Selu&, const Operands& in) { return same_as_float_input(in); }
Result<Types> infer(const Celu&, const Operands& in) { return same_as_float_input(in); }
Result<Types> infer(const ThresholdedRelu&, const Operands& in) { return same_as_float_input(in); }
Result<Types> infer(const HardSigmoid&, const Operands& in) { return same_as_float_input(in); }

Result<Types> infer(const PRelu&, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kNumeric));
  TRY(check_same_dtype(in, {0, 1}));
  if (in.shape(0) != nullptr && in.shape(1) != nullptr) {
    TRY(check_broadcasts_to(*in.shape(1), *in.shape(0), "slope"));
  }
  return one(in[0].dtype, in[0].shape);
}

Result<Types> infer(const Clip&, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kNumeric));
  TRY(check_same_dtype(in, {0, 1, 2}));
  TRY(check_scalar(in, 1, "min"));
  TRY(check_scalar(in, 2, "max"));
  return one(in[0].dtype, in[0].shape);
}

Result<Types> infer(const BatchNormalization& op, const Operands& in) {
  for (size_t i = 0; i < 5; ++i) {
    TRY(check_kind(in, i, fmt::format("input {}", i), Kinds::kFloat));
  }
  TRY(check_rank_at_least(in, 0, "input", 1));
  TRY(check_per_channel(in, 1, 4));
  Types types = one(in[0].dtype, in[0].shape);
  if (op.training && in.output_count > 1) types.push_back({in[3].dtype, in[3].shape});
  if (op.training && in.output_count > 2) types.push_back({in[4].dtype, in[4].shape});
  return types;
}

Result<Types> infer(const InstanceNormalization&, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kFloat));
  TRY(check_same_dtype(in, {0, 1, 2}));
  TRY(check_rank_at_least(in, 0, "input", 3));
  TRY(check_per_channel(in, 1, 2));
  return one(in[0].dtype, in[0].shape);
}

Result<Types> infer(const LayerNormalization& op, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kFloat));
  TRY(check_same_dtype(in, {0, 1, 2}));
  Types types = one(in[0].dtype, in[0].shape);
  MaybeShape statistics;
  if (const Shape* x = in.shape(0)) {
    TRY_ASSIGN(const int64_t axis, resolve_axis(op.axis, rank_of(*x)));
    const Shape normalised(x->begin() + axis, x->end());
    if (in.shape(1) != nullptr) TRY(check_broadcasts_to(*in.shape(1), normalised, "scale"));
    if (in.shape(2) != nullptr) TRY(check_broadcasts_to(*in.shape(2), normalised, "bias"));
    statistics = *x;
    std::fill(statistics->begin() + axis, statistics->end(), 1);
  }
  // Mean and inverse deviation are computed in float32 (ONNX stash_type 1).
  while (types.size() < in.output_count) types.push_back({DType::kFloat32, statistics});
  return types;
}

Result<Types> infer(const LRN& op, const Operands& in) {
  TRY(check_rank_at_least(in, 0, "input", 2));
  if (op.size < 1) return refuse(fmt::format("size is {}, expected at least 1", op.size));
  return same_as_float_input(in);
}

Result<Types> infer(const Softmax& op, const Operands& in) {
  if (in.shape(0) != nullptr) TRY(resolve_axis(op.axis, rank_of(*in.shape(0))));
  return same_as_float_input(in);
}

Result<Types> infer(const ArgReduce& op, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kNumeric));
  const Shape* x = in.shape(0);
  if (x == nullptr) return one(DType::kInt64, std::nullopt);
  TRY_ASSIGN(const int64_t axis, resolve_axis(op.axis, rank_of(*x)));
  std::vector<bool> reduced(x->size(), false);
  reduced[static_cast<size_t>(axis)] = true;
  return one(DType::kInt64, without_axes(*x, reduced, op.keepdims));
}

Result<Types> infer(const Reduce& op, const Operands& in) {
  const bool any_type = op.kind == ReduceKind::kMax || op.kind == ReduceKind::kMin;
  if (!any_type) TRY(check_kind(in, 0, "input", Kinds::kNumeric));
  TRY_ASSIGN(const MaybeInts axes, integers(in, 1, "axes"));
  const Shape* x = in.shape(0);
  if (x == nullptr) return one(in[0].dtype, std::nullopt);
  // The number of axes decides even where their values are not known: none means all (or none).
  const bool empty = !in.has(1) || (axes && axes->empty()) ||
                     (in.shape(1) != nullptr && element_count(*in.shape(1)) == 0);
  if (empty && op.noop_with_empty_axes) return one(in[0].dtype, *x);
  if (!empty && !axes) return one(in[0].dtype, std::nullopt);
  std::vector<bool> reduced(x->size(), empty);
  if (!empty) {
    TRY_ASSIGN(const Ints resolved, resolve_axes(*axes, rank_of(*x)));
    for (const int64_t axis : resolved) reduced[static_cast<size_t>(axis)] = true;
  }
  return one(in[0].dtype, without_axes(*x, reduced, op.keepdims));
}

Result<Types> infer(const Cast& op, const Operands& in) { return one(op.to, in[0].shape); }

Result<Types> infer(const Where&, const Operands& in) {
  TRY(check_kind(in, 0, "condition", Kinds::kBool));
  TRY(check_same_dtype(in, {1, 2}));
  TRY_ASSIGN(MaybeShape shape, broadcast_inputs(in, std::vector<size_t>{0, 1, 2}));
  return one(in[1].dtype, std::move(shape));
}

Result<Types> infer(const CumSum&, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kNumeric));
  TRY(check_scalar(in, 1, "axis"));
  TRY_ASSIGN(const MaybeInts axis, integers(in, 1, "axis"));
  if (axis && axis->size() == 1 && in.shape(0) != nullptr) {
    TRY(resolve_axis(axis->front(), rank_of(*in.shape(0))));
  }
  return one(in[0].dtype, in[0].shape);
}

Result<Types> infer(const Dropout&, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kFloat));
  TRY(check_kind(in, 1, "ratio", Kinds::kFloat));
  TRY(check_kind(in, 2, "training_mode", Kinds::kBool));
  if (in.has(2) && in[2].constant != nullptr && in[2].constant->size() == 1 &&
      in[2].constant->bytes()[0] != std::byte{0}) {
    return unsupported("", "training_mode is true; export the model for inference");
  }
  Types types = one(in[0].dtype, in[0].shape);
  if (in.output_count > 1) types.push_back({DType::kBool, in[0].shape});
  return types;
}

Result<Types> infer(const QuantizeLinear& op, const Operands& in) {
  if (in[0].dtype != DType::kInt32) TRY(check_kind(in, 0, "input", Kinds::kFloat));
  TRY(check_kind(in, 2, "zero point", Kinds::kInteger));
  TRY(check_quantisation(in, op.axis));
  return one(in.has(2) ? in[2].dtype : DType::kUInt8, in[0].shape);
}

Result<Types> infer(const DequantizeLinear& op, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kInteger));
  TRY(check_same_dtype(in, {0, 2}));
  TRY(check_quantisation(in, op.axis));
  return one(in[1].dtype, in[0].shape);
}

Result<Types> infer(const DynamicQuantizeLinear&, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kFloat));
  Types types = one(DType::kUInt8, in[0].shape);
  if (in.output_count > 1) types.push_back({DType::kFloat32, Shape{}});
  if (in.output_count > 2) types.push_back({DType::kUInt8, Shape{}});
  return types;
}

}  // namespace graupel::ir::infer
