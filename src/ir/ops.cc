// Names of the operators and of their enumerated attributes.
//
// Idea: one table of ONNX names per enumeration, indexed by the enumerator; the tables are as long
// as the enumerations (checked while compiling).
// Reference: https://github.com/onnx/onnx/blob/main/docs/Operators.md, opset 17. Test:
// text_test.cc.
#include "ir/ops.h"

#include <iterator>

namespace graupel::ir {
namespace {

constexpr std::string_view kUnaryNames[] = {
    "Relu",     "Sigmoid",   "Tanh",     "Neg",   "Abs",   "Sqrt",       "Exp",  "Log",
    "Round",    "Floor",     "Ceil",     "Sign",  "Erf",   "Reciprocal", "Not",  "Softplus",
    "Softsign", "HardSwish", "Identity", "Sin",   "Cos",   "Tan",        "Asin", "Acos",
    "Atan",     "Sinh",      "Cosh",     "Asinh", "Acosh", "Atanh",      "IsNaN"};
static_assert(std::size(kUnaryNames) == static_cast<size_t>(UnaryKind::kIsNaN) + 1);

// ONNX has one Mod with an attribute `fmod`; both kinds carry its name.
constexpr std::string_view kBinaryNames[] = {"Add",  "Sub",         "Mul",     "Div",
                                             "Pow",  "Mod",         "Mod",     "Equal",
                                             "Less", "LessOrEqual", "Greater", "GreaterOrEqual",
                                             "And",  "Or",          "Xor"};
static_assert(std::size(kBinaryNames) == static_cast<size_t>(BinaryKind::kXor) + 1);

constexpr std::string_view kVariadicNames[] = {"Min", "Max", "Sum", "Mean"};
static_assert(std::size(kVariadicNames) == static_cast<size_t>(VariadicKind::kMean) + 1);

constexpr std::string_view kReduceNames[] = {
    "ReduceMean", "ReduceSum", "ReduceMax",    "ReduceMin",       "ReduceProd",
    "ReduceL1",   "ReduceL2",  "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"};
static_assert(std::size(kReduceNames) == static_cast<size_t>(ReduceKind::kSumSquare) + 1);

constexpr std::string_view kSoftmaxNames[] = {"Softmax", "LogSoftmax", "Hardmax"};
static_assert(std::size(kSoftmaxNames) == static_cast<size_t>(SoftmaxKind::kHardmax) + 1);

constexpr std::string_view kAutoPadNames[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
static_assert(std::size(kAutoPadNames) == static_cast<size_t>(AutoPad::kValid) + 1);

constexpr std::string_view kPadModeNames[] = {"constant", "reflect", "edge"};
static_assert(std::size(kPadModeNames) == static_cast<size_t>(PadMode::kEdge) + 1);

constexpr std::string_view kResizeModeNames[] = {"nearest", "linear", "cubic"};
static_assert(std::size(kResizeModeNames) == static_cast<size_t>(ResizeMode::kCubic) + 1);

constexpr std::string_view kResizeCoordinatesNames[] = {
    "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"};
static_assert(std::size(kResizeCoordinatesNames) ==
              static_cast<size_t>(ResizeCoordinates::kCropAndResize) + 1);

constexpr std::string_view kResizeNearestNames[] = {"round_prefer_floor", "round_prefer_ceil",
                                                    "floor", "ceil"};
static_assert(std::size(kResizeNearestNames) == static_cast<size_t>(ResizeNearest::kCeil) + 1);

constexpr std::string_view kDepthOrderNames[] = {"DCR", "CRD"};
static_assert(std::size(kDepthOrderNames) == static_cast<size_t>(DepthOrder::kColumnRowDepth) + 1);

// "?" for a value that is no enumerator.
template <class Kind, size_t kCount>
std::string_view name_of(Kind kind, const std::string_view (&names)[kCount]) {
  const auto index = static_cast<size_t>(kind);
  return index < kCount ? names[index] : "?";
}

template <class Kind, size_t kCount>
std::vector<Kind> all_of(const std::string_view (&)[kCount]) {
  std::vector<Kind> kinds;
  for (size_t i = 0; i < kCount; ++i) kinds.push_back(static_cast<Kind>(i));
  return kinds;
}

// The struct's own name, and where ONNX names the operator otherwise, ONNX's.
struct TypeName {
#define OP(name) \
  std::string_view operator()(const name&) const { return #name; }
#include "ir/ops.def"
#undef OP
  std::string_view operator()(const Opaque& op) const { return op.type; }
};

}  // namespace

std::string_view op_type(const Op& op) {
  if (const Unary* unary = std::get_if<Unary>(&op)) return to_string(unary->kind);
  if (const Binary* binary = std::get_if<Binary>(&op)) return to_string(binary->kind);
  if (const Variadic* variadic = std::get_if<Variadic>(&op)) return to_string(variadic->kind);
  if (const Reduce* reduce = std::get_if<Reduce>(&op)) return to_string(reduce->kind);
  if (const Softmax* softmax = std::get_if<Softmax>(&op)) return to_string(softmax->kind);
  if (const GlobalPool* pool = std::get_if<GlobalPool>(&op)) {
    return pool->kind == PoolKind::kMax ? "GlobalMaxPool" : "GlobalAveragePool";
  }
  if (const ArgReduce* reduce = std::get_if<ArgReduce>(&op)) {
    return reduce->kind == ArgKind::kMin ? "ArgMin" : "ArgMax";
  }
  if (std::holds_alternative<ShapeOf>(op)) return "Shape";
  if (std::holds_alternative<SizeOf>(op)) return "Size";
  return std::visit(TypeName{}, op);
}

std::string_view to_string(UnaryKind kind) { return name_of(kind, kUnaryNames); }
std::string_view to_string(BinaryKind kind) { return name_of(kind, kBinaryNames); }
std::string_view to_string(VariadicKind kind) { return name_of(kind, kVariadicNames); }
std::string_view to_string(ReduceKind kind) { return name_of(kind, kReduceNames); }
std::string_view to_string(SoftmaxKind kind) { return name_of(kind, kSoftmaxNames); }
std::string_view to_string(AutoPad pad) { return name_of(pad, kAutoPadNames); }
std::string_view to_string(PadMode mode) { return name_of(mode, kPadModeNames); }
std::string_view to_string(ResizeMode mode) { return name_of(mode, kResizeModeNames); }
std::string_view to_string(ResizeCoordinates coordinates) {
  return name_of(coordinates, kResizeCoordinatesNames);
}
std::string_view to_string(ResizeNearest nearest) { return name_of(nearest, kResizeNearestNames); }
std::string_view to_string(DepthOrder order) { return name_of(order, kDepthOrderNames); }

std::vector<UnaryKind> all_unary_kinds() { return all_of<UnaryKind>(kUnaryNames); }
std::vector<BinaryKind> all_binary_kinds() { return all_of<BinaryKind>(kBinaryNames); }
std::vector<VariadicKind> all_variadic_kinds() { return all_of<VariadicKind>(kVariadicNames); }
std::vector<ReduceKind> all_reduce_kinds() { return all_of<ReduceKind>(kReduceNames); }

}  // namespace graupel::ir
