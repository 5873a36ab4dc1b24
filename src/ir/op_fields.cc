// Operators by ONNX name. See op_fields.h. Test: text_test.cc.
#include "ir/op_fields.h"

namespace graupel::ir {
namespace {

// Appends the operators of one struct: one, or one per kind of the family.
template <class T>
void append_ops(std::vector<Op>& ops) {
  if constexpr (std::is_same_v<T, Unary>) {
    for (const UnaryKind kind : all_unary_kinds()) ops.emplace_back(Unary{kind});
  } else if constexpr (std::is_same_v<T, Binary>) {
    for (const BinaryKind kind : all_binary_kinds()) {  // Fmod is Mod with an attribute
      if (kind != BinaryKind::kFmod) ops.emplace_back(Binary{kind});
    }
  } else if constexpr (std::is_same_v<T, Variadic>) {
    for (const VariadicKind kind : all_variadic_kinds()) ops.emplace_back(Variadic{kind});
  } else if constexpr (std::is_same_v<T, Reduce>) {
    for (const ReduceKind kind : all_reduce_kinds()) {
      Reduce reduce;
      reduce.kind = kind;
      ops.emplace_back(reduce);
    }
  } else if constexpr (std::is_same_v<T, Softmax>) {
    for (const auto kind :
         {SoftmaxKind::kSoftmax, SoftmaxKind::kLogSoftmax, SoftmaxKind::kHardmax}) {
      ops.emplace_back(Softmax{kind, -1});
    }
  } else if constexpr (std::is_same_v<T, GlobalPool>) {
    ops.emplace_back(GlobalPool{PoolKind::kAverage});
    ops.emplace_back(GlobalPool{PoolKind::kMax});
  } else if constexpr (std::is_same_v<T, ArgReduce>) {
    for (const ArgKind kind : {ArgKind::kMax, ArgKind::kMin}) {
      ArgReduce reduce;
      reduce.kind = kind;
      ops.emplace_back(reduce);
    }
  } else {
    ops.emplace_back(T{});
  }
}

}  // namespace

std::vector<Op> default_ops() {
  std::vector<Op> ops;
#define OP(name) append_ops<name>(ops);
#include "ir/ops.def"
#undef OP
  return ops;
}

std::optional<Op> make_op(std::string_view type) {
  static const std::vector<Op> ops = default_ops();
  for (const Op& op : ops) {
    if (op_type(op) == type) return op;
  }
  return std::nullopt;
}

}  // namespace graupel::ir
