// Inside of type inference: one function per operator, and what they share. Callers outside use
// infer_types and infer_shapes of graph.h.
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace graupel::ir::infer {

using Types = std::vector<ValueType>;
using MaybeShape = std::optional<Shape>;
using MaybeInts = std::optional<Ints>;

// A tensor with more elements is refused.
inline constexpr int64_t kMaxElements = int64_t{1} << 40;
// Kernel, stride, dilation and pad sizes above this are refused, so that products of two fit.
inline constexpr int64_t kMaxWindow = int64_t{1} << 30;
// Shape-like operands (axes, pads, split sizes, ...) with more elements are refused.
inline constexpr size_t kMaxOperandElements = 65536;

// The inputs of one operator; their number and the required ones are checked before `infer`.
struct Operands {
  std::span<const OperandType> list;
  size_t output_count = 1;

  const OperandType& operator[](size_t i) const { return list[i]; }
  size_t size() const { return list.size(); }
  bool has(size_t i) const { return i < list.size() && !list[i].omitted; }
  // The shape of input i, or nullptr if it is omitted or not known.
  const Shape* shape(size_t i) const {
    return has(i) && list[i].shape.has_value() ? &*list[i].shape : nullptr;
  }
};

#define OP(name) Result<Types> infer(const name& op, const Operands& in);
#include "ir/ops.def"
#undef OP

// ---- shared checks (infer_types.cc) ----

inline Error refuse(std::string what) { return invalid_input("", std::move(what)); }
inline int64_t rank_of(const Shape& shape) { return static_cast<int64_t>(shape.size()); }
inline Types one(DType dtype, MaybeShape shape) {
  Types types;
  types.push_back({dtype, std::move(shape)});
  return types;
}

enum class Kinds { kFloat, kInteger, kNumeric, kBool, kIndex };  // kIndex: int32 or int64
// Input i, if present, has a dtype of that kind; `role` names it in the error.
Result<void> check_kind(const Operands& in, size_t i, std::string_view role, Kinds kinds);
// All inputs named that are present have the dtype of the first.
Result<void> check_same_dtype(const Operands& in, std::initializer_list<size_t> indices);
// Input i, if present and of known shape, is a vector of `length` elements.
Result<void> check_vector(const Operands& in, size_t i, std::string_view role, int64_t length);
// Input i, if present and of known shape, has one element and rank 0 or 1.
Result<void> check_scalar(const Operands& in, size_t i, std::string_view role);
// Input i, if of known shape, has at least `rank` dimensions.
Result<void> check_rank_at_least(const Operands& in, size_t i, std::string_view role, int64_t rank);

// `axis` counted from the front, or an error unless -rank <= axis < rank.
Result<int64_t> resolve_axis(int64_t axis, int64_t rank);
// Likewise for a list, which must not repeat an axis.
Result<Ints> resolve_axes(const Ints& axes, int64_t rank);

// Numpy broadcasting of two shapes.
Result<Shape> broadcast(const Shape& a, const Shape& b);
// Of the inputs' shapes; unknown if one of them is unknown.
Result<MaybeShape> broadcast_inputs(const Operands& in, std::span<const size_t> indices);
// `from` broadcasts to `to` without changing it.
Result<void> check_broadcasts_to(const Shape& from, const Shape& to, std::string_view role);

// The integers of input i where its contents are known; nullopt if not known or omitted.
Result<MaybeInts> integers(const Operands& in, size_t i, std::string_view role);

// Output shape of the matrix product of numpy's matmul.
Result<MaybeShape> matmul_shape(const Shape* a, const Shape* b);

// Every id of live nodes and of the graph's inputs and outputs names a value (verify.cc); only
// nodes may have omitted ids. All else that reads a graph nobody verified stands on this.
Result<void> check_ids(const Graph& graph);

}  // namespace graupel::ir::infer
