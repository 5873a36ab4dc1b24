// Types of an operator's outputs: the dispatcher, arities and the checks all operators share.
//
// Idea: one overload of infer::infer per operator struct, in infer_*.cc by family. The dispatcher
// checks first what holds for all: number of inputs and outputs, required inputs, and sizes small
// enough that later arithmetic on them cannot overflow.
// Reference: ONNX operator semantics, opset 17. Test: infer_types_test.cc.
#include <algorithm>

#include "ir/infer.h"

namespace graupel::ir {
namespace infer {
namespace {

struct Arity {
  size_t min_inputs;  // the required inputs come first
  size_t max_inputs;
  size_t min_outputs = 1;
  size_t max_outputs = 1;
};

constexpr size_t kAny = size_t{1} << 20;

struct ArityOf {
  template <class T>
  Arity operator()(const T&) const {
    return {1, 1};
  }
  Arity operator()(const Opaque&) const { return {0, kAny, 0, kAny}; }
  Arity operator()(const Binary&) const { return {2, 2}; }
  Arity operator()(const Variadic&) const { return {1, kAny}; }
  Arity operator()(const PRelu&) const { return {2, 2}; }
  Arity operator()(const Clip&) const { return {1, 3}; }
  Arity operator()(const Conv&) const { return {2, 3}; }
  Arity operator()(const ConvTranspose&) const { return {2, 3}; }
  Arity operator()(const MaxPool&) const { return {1, 1, 1, 2}; }
  Arity operator()(const Gemm&) const { return {2, 3}; }
  Arity operator()(const MatMul&) const { return {2, 2}; }
  Arity operator()(const BatchNormalization& op) const {
    return {5, 5, 1, op.training ? size_t{3} : size_t{1}};
  }
  Arity operator()(const InstanceNormalization&) const { return {3, 3}; }
  Arity operator()(const LayerNormalization&) const { return {2, 3, 1, 3}; }
  Arity operator()(const Reduce&) const { return {1, 2}; }
  Arity operator()(const Reshape&) const { return {2, 2}; }
  Arity operator()(const Concat&) const { return {1, kAny}; }
  Arity operator()(const Split&) const { return {1, 2, 1, kAny}; }
  Arity operator()(const Squeeze&) const { return {1, 2}; }
  Arity operator()(const Unsqueeze&) const { return {2, 2}; }
  Arity operator()(const Slice&) const { return {3, 5}; }
  Arity operator()(const Gather&) const { return {2, 2}; }
  Arity operator()(const GatherElements&) const { return {2, 2}; }
  Arity operator()(const Pad&) const { return {2, 3}; }
  Arity operator()(const Expand&) const { return {2, 2}; }
  Arity operator()(const Tile&) const { return {2, 2}; }
  Arity operator()(const Where&) const { return {3, 3}; }
  Arity operator()(const Range&) const { return {3, 3}; }
  Arity operator()(const CumSum&) const { return {2, 2}; }
  Arity operator()(const TopK&) const { return {2, 2, 1, 2}; }
  Arity operator()(const Dropout&) const { return {1, 3, 1, 2}; }
  Arity operator()(const Resize&) const { return {1, 4}; }
  Arity operator()(const QuantizeLinear&) const { return {2, 3}; }
  Arity operator()(const DequantizeLinear&) const { return {2, 3}; }
  Arity operator()(const QLinearConv&) const { return {8, 9}; }
  Arity operator()(const QLinearMatMul&) const { return {8, 8}; }
  Arity operator()(const ConvInteger&) const { return {2, 4}; }
  Arity operator()(const MatMulInteger&) const { return {2, 4}; }
  Arity operator()(const DynamicQuantizeLinear&) const { return {1, 1, 1, 3}; }
};

std::string between(size_t low, size_t high) {
  if (high == kAny) return fmt::format("at least {}", low);
  if (low == high) return fmt::format("{}", low);
  return fmt::format("{} to {}", low, high);
}

Result<void> check_arity(const Arity& arity, const Operands& in) {
  if (in.size() < arity.min_inputs || in.size() > arity.max_inputs) {
    return refuse(fmt::format("has {} inputs, expected {}", in.size(),
                              between(arity.min_inputs, arity.max_inputs)));
  }
  for (size_t i = 0; i < arity.min_inputs; ++i) {
    if (in[i].omitted) return refuse(fmt::format("input {} is omitted, but required", i));
  }
  if (in.output_count < arity.min_outputs || in.output_count > arity.max_outputs) {
    return refuse(fmt::format("has {} outputs, expected {}", in.output_count,
                              between(arity.min_outputs, arity.max_outputs)));
  }
  return ok();
}

Result<void> check_size(const Shape& shape, std::string_view role, size_t index) {
  if (element_count(shape, kMaxElements)) return ok();
  return refuse(
      fmt::format("{} {} has shape {}; sizes must not be negative and their product not above 2^40",
                  role, index, to_string(shape)));
}

Result<Types> infer(const Opaque&, const Operands& in) { return Types(in.output_count); }

Result<Types> checked_types(const Op& op, const Operands& in) {
  TRY(check_arity(std::visit(ArityOf{}, op), in));
  for (size_t i = 0; i < in.size(); ++i) {
    if (const Shape* shape = in.shape(i)) TRY(check_size(*shape, "input", i));
  }
  TRY_ASSIGN(Types types,
             std::visit([&](const auto& concrete) { return infer(concrete, in); }, op));
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i].shape) TRY(check_size(*types[i].shape, "output", i));
  }
  return types;
}

bool is_kind(DType dtype, Kinds kinds) {
  switch (kinds) {
    case Kinds::kFloat: return is_float(dtype);
    case Kinds::kInteger: return is_integer(dtype);
    case Kinds::kNumeric: return dtype != DType::kBool;
    case Kinds::kBool: return dtype == DType::kBool;
    case Kinds::kIndex: return dtype == DType::kInt64 || dtype == DType::kInt32;
  }
  return false;
}

std::string_view describe(Kinds kinds) {
  switch (kinds) {
    case Kinds::kFloat: return "a float type";
    case Kinds::kInteger: return "an integer type";
    case Kinds::kNumeric: return "a number type";
    case Kinds::kBool: return "bool";
    case Kinds::kIndex: return "int32 or int64";
  }
  return "";
}

}  // namespace

Result<void> check_kind(const Operands& in, size_t i, std::string_view role, Kinds kinds) {
  if (!in.has(i) || is_kind(in[i].dtype, kinds)) return ok();
  return refuse(
      fmt::format("{} is {}, expected {}", role, to_string(in[i].dtype), describe(kinds)));
}

Result<void> check_same_dtype(const Operands& in, std::initializer_list<size_t> indices) {
  const size_t first = *indices.begin();
  for (const size_t i : indices) {
    if (!in.has(i) || in[i].dtype == in[first].dtype) continue;
    return refuse(fmt::format("input {} is {} and input {} is {}, expected the same type", first,
                              to_string(in[first].dtype), i, to_string(in[i].dtype)));
  }
  return ok();
}

Result<void> check_vector(const Operands& in, size_t i, std::string_view role, int64_t length) {
  const Shape* shape = in.shape(i);
  if (shape == nullptr || (shape->size() == 1 && (*shape)[0] == length)) return ok();
  return refuse(fmt::format("{} has shape {}, expected {}", role, to_string(*shape), length));
}

Result<void> check_scalar(const Operands& in, size_t i, std::string_view role) {
  const Shape* shape = in.shape(i);
  if (shape == nullptr || shape->empty() || (shape->size() == 1 && (*shape)[0] == 1)) return ok();
  return refuse(fmt::format("{} has shape {}, expected a scalar", role, to_string(*shape)));
}

Result<void> check_rank_at_least(const Operands& in, size_t i, std::string_view role,
                                 int64_t rank) {
  const Shape* shape = in.shape(i);
  if (shape == nullptr || rank_of(*shape) >= rank) return ok();
  return refuse(fmt::format("{} has shape {}, expected at least {} dimensions", role,
                            to_string(*shape), rank));
}

Result<int64_t> resolve_axis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank) {
    return refuse(fmt::format("axis {} is outside of [{}, {}]", axis, -rank, rank - 1));
  }
  return axis < 0 ? axis + rank : axis;
}

Result<Ints> resolve_axes(const Ints& axes, int64_t rank) {
  std::vector<bool> seen(static_cast<size_t>(rank), false);
  Ints resolved;
  for (const int64_t axis : axes) {
    TRY_ASSIGN(const int64_t positive, resolve_axis(axis, rank));
    if (seen[static_cast<size_t>(positive)]) {
      return refuse(fmt::format("axis {} is given twice", axis));
    }
    seen[static_cast<size_t>(positive)] = true;
    resolved.push_back(positive);
  }
  return resolved;
}

Result<Shape> broadcast(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t dim_a = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t dim_b = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (dim_a != dim_b && dim_a != 1 && dim_b != 1) {
      return refuse(fmt::format("shapes {} and {} do not broadcast: {} against {}", to_string(a),
                                to_string(b), dim_a, dim_b));
    }
    out[out.size() - 1 - i] = dim_a == 1 ? dim_b : dim_a;
  }
  return out;
}

Result<MaybeShape> broadcast_inputs(const Operands& in, std::span<const size_t> indices) {
  Shape out;
  bool known = true;
  for (const size_t i : indices) {
    const Shape* shape = in.shape(i);
    known = known && shape != nullptr;
    if (shape == nullptr) continue;
    TRY_ASSIGN(out, broadcast(out, *shape));
  }
  return known ? MaybeShape(std::move(out)) : MaybeShape();
}

Result<void> check_broadcasts_to(const Shape& from, const Shape& to, std::string_view role) {
  const Result<Shape> both = broadcast(from, to);
  if (both.ok() && *both == to) return ok();
  return refuse(
      fmt::format("{} of shape {} does not broadcast to {}", role, to_string(from), to_string(to)));
}

Result<MaybeInts> integers(const Operands& in, size_t i, std::string_view role) {
  if (!in.has(i)) return MaybeInts();
  TRY(check_kind(in, i, role, Kinds::kIndex));
  if (const Shape* shape = in.shape(i); shape != nullptr && shape->size() > 1) {
    return refuse(fmt::format("{} has shape {}, expected a vector", role, to_string(*shape)));
  }
  const Tensor* tensor = in[i].constant;
  if (tensor == nullptr) return MaybeInts();
  if (tensor->rank() > 1 || tensor->size() > kMaxOperandElements || !is_integer(tensor->dtype())) {
    return refuse(fmt::format("{} has shape {} and type {}, expected a short vector of integers",
                              role, to_string(tensor->shape()), to_string(tensor->dtype())));
  }
  return MaybeInts(tensor->to_int64s());
}

}  // namespace infer

Result<std::vector<ValueType>> infer_types(const Op& op, std::span<const OperandType> inputs,
                                           size_t output_count) {
  Result<infer::Types> types = infer::checked_types(op, {inputs, output_count});
  if (types.ok()) return types;
  Error error = std::move(types).error();
  error.what = fmt::format("{}: {}", op_type(op), error.what);
  return error;
}

}  // namespace graupel::ir
