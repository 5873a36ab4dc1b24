// The operators of graupel's IR: plain structs in one std::variant.
//
// Idea: one canonical form per operator, whatever opset it was read from. The form is ONNX opset
// 17's (see https://github.com/onnx/onnx/blob/main/docs/Operators.md): what is an input there is
// an input here (axes of Squeeze, bounds of Clip, pads of Pad, ...), and the reader turns older
// attribute forms into constant inputs. Families that differ only in a scalar function share one
// struct with a `kind`. Integers are int64 as in ONNX; an attribute ONNX makes optional and whose
// default depends on the input's rank is empty here until the reader resolves it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/tensor.h"

namespace graupel::ir {

using Ints = std::vector<int64_t>;
using graupel::to_string;  // of DType and Shape, which the overloads below would hide

// x -> f(x), elementwise, same shape. The enumerator kName is ONNX operator "Name".
enum class UnaryKind {
  kRelu,
  kSigmoid,
  kTanh,
  kNeg,
  kAbs,
  kSqrt,
  kExp,
  kLog,
  kRound,
  kFloor,
  kCeil,
  kSign,
  kErf,
  kReciprocal,
  kNot,
  kSoftplus,
  kSoftsign,
  kHardSwish,
  kIdentity,
  kSin,
  kCos,
  kTan,
  kAsin,
  kAcos,
  kAtan,
  kSinh,
  kCosh,
  kAsinh,
  kAcosh,
  kAtanh,
  kIsNaN,
};
// (a, b) -> f(a, b), elementwise with numpy broadcasting. Mod is integer modulus with the sign of
// the divisor (ONNX fmod = 0).
enum class BinaryKind {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kPow,
  kMod,
  kFmod,
  kEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kAnd,
  kOr,
  kXor,
};
// (a, b, c, ...) -> fold, elementwise with numpy broadcasting; at least one input.
enum class VariadicKind { kMin, kMax, kSum, kMean };

struct Unary {
  UnaryKind kind = UnaryKind::kIdentity;
  bool operator==(const Unary&) const = default;
};
struct Binary {
  BinaryKind kind = BinaryKind::kAdd;
  bool operator==(const Binary&) const = default;
};
struct Variadic {
  VariadicKind kind = VariadicKind::kSum;
  bool operator==(const Variadic&) const = default;
};

struct LeakyRelu {
  double alpha = 0.01;
  bool operator==(const LeakyRelu&) const = default;
};
struct PRelu {
  bool operator==(const PRelu&) const = default;
};  // x, slope (broadcasts to x)
struct Elu {
  double alpha = 1.0;
  bool operator==(const Elu&) const = default;
};
struct Selu {
  double alpha = 1.67326319217681884765625;
  double gamma = 1.05070102214813232421875;
  bool operator==(const Selu&) const = default;
};
struct Celu {
  double alpha = 1.0;
  bool operator==(const Celu&) const = default;
};
struct ThresholdedRelu {
  double alpha = 1.0;
  bool operator==(const ThresholdedRelu&) const = default;
};
struct HardSigmoid {
  double alpha = 0.2;
  double beta = 0.5;
  bool operator==(const HardSigmoid&) const = default;
};
struct Clip {
  bool operator==(const Clip&) const = default;
};  // x, min?, max?

// Sliding windows over the spatial dimensions. Vectors have one entry per spatial dimension,
// `pads` two (all begins, then all ends); empty means ones / zeros. The reader resolves auto_pad
// to explicit pads whenever the input's shape is known.
enum class AutoPad { kNotSet, kSameUpper, kSameLower, kValid };
struct Window {
  Ints kernel;
  Ints strides;
  Ints dilations;
  Ints pads;
  AutoPad auto_pad = AutoPad::kNotSet;
  bool operator==(const Window&) const = default;
};
// x [N,C,...], weight [M,C/group,k...], bias [M]?
struct Conv {
  Window window;
  int64_t group = 1;
  bool operator==(const Conv&) const = default;
};
// x [N,C,...], weight [C,M/group,k...], bias [M]?
struct ConvTranspose {
  Window window;
  int64_t group = 1;
  Ints output_padding;
  Ints output_shape;
  bool operator==(const ConvTranspose&) const = default;
};
// Outputs: y, and optionally the int64 index of each maximum.
struct MaxPool {
  Window window;
  bool ceil_mode = false;
  bool column_major_indices = false;
  bool operator==(const MaxPool&) const = default;
};
struct AveragePool {
  Window window;
  bool ceil_mode = false;
  bool count_include_pad = false;
  bool operator==(const AveragePool&) const = default;
};
enum class PoolKind { kAverage, kMax };
struct GlobalPool {
  PoolKind kind = PoolKind::kAverage;
  bool operator==(const GlobalPool&) const = default;
};

struct Gemm {
  double alpha = 1.0;
  double beta = 1.0;
  bool transpose_a = false;
  bool transpose_b = false;
  bool operator==(const Gemm&) const = default;
};  // a, b, c?
struct MatMul {
  bool operator==(const MatMul&) const = default;
};

// x, scale [C], bias [C], mean [C], variance [C]. Training mode has 3 outputs (y, running mean and
// variance); `momentum` matters only there.
struct BatchNormalization {
  double epsilon = 1e-5;
  double momentum = 0.9;
  bool training = false;
  bool operator==(const BatchNormalization&) const = default;
};
struct InstanceNormalization {
  double epsilon = 1e-5;
  bool operator==(const InstanceNormalization&) const = default;
};
struct LayerNormalization {
  int64_t axis = -1;
  double epsilon = 1e-5;
  bool operator==(const LayerNormalization&) const = default;
};  // x, scale, bias? -> y, mean?, inv_std?
struct LRN {
  double alpha = 1e-4;
  double beta = 0.75;
  double bias = 1.0;
  int64_t size = 1;
  bool operator==(const LRN&) const = default;
};

// Per-axis semantics of opset 13; the reader expands the flattening form of older opsets.
enum class SoftmaxKind { kSoftmax, kLogSoftmax, kHardmax };
struct Softmax {
  SoftmaxKind kind = SoftmaxKind::kSoftmax;
  int64_t axis = -1;
  bool operator==(const Softmax&) const = default;
};

enum class ArgKind { kMax, kMin };
struct ArgReduce {
  ArgKind kind = ArgKind::kMax;
  int64_t axis = 0;
  bool keepdims = true;
  bool select_last_index = false;
  bool operator==(const ArgReduce&) const = default;
};
// x, axes? (int64; absent means all axes, or none if noop_with_empty_axes)
enum class ReduceKind { kMean, kSum, kMax, kMin, kProd, kL1, kL2, kLogSum, kLogSumExp, kSumSquare };
struct Reduce {
  ReduceKind kind = ReduceKind::kMean;
  bool keepdims = true;
  bool noop_with_empty_axes = false;
  bool operator==(const Reduce&) const = default;
};

struct Flatten {
  int64_t axis = 1;
  bool operator==(const Flatten&) const = default;
};
struct Reshape {
  bool allow_zero = false;
  bool operator==(const Reshape&) const = default;
};  // x, shape
struct Transpose {
  Ints perm;
  bool operator==(const Transpose&) const = default;
};  // empty: reversed
struct Concat {
  int64_t axis = 0;
  bool operator==(const Concat&) const = default;
};
struct Split {
  int64_t axis = 0;
  bool operator==(const Split&) const = default;
};  // x, split sizes?
struct Squeeze {
  bool operator==(const Squeeze&) const = default;
};  // x, axes?
struct Unsqueeze {
  bool operator==(const Unsqueeze&) const = default;
};  // x, axes
struct Slice {
  bool operator==(const Slice&) const = default;
};  // x, starts, ends, axes?, steps?
struct Gather {
  int64_t axis = 0;
  bool operator==(const Gather&) const = default;
};  // x, indices
struct GatherElements {
  int64_t axis = 0;
  bool operator==(const GatherElements&) const = default;
};
enum class PadMode { kConstant, kReflect, kEdge };
struct Pad {
  PadMode mode = PadMode::kConstant;
  bool operator==(const Pad&) const = default;
};  // x, pads, value?
struct Expand {
  bool operator==(const Expand&) const = default;
};  // x, shape
struct Tile {
  bool operator==(const Tile&) const = default;
};  // x, repeats
struct ConstantOfShape {
  Tensor value = Tensor::scalar<float>(0.0f);
  bool operator==(const ConstantOfShape&) const = default;
};  // shape; value has one element
struct ShapeOf {
  int64_t start = 0;
  std::optional<int64_t> end;  // ONNX "Shape"
  bool operator==(const ShapeOf&) const = default;
};
struct SizeOf {
  bool operator==(const SizeOf&) const = default;
};  // ONNX "Size"
struct Cast {
  DType to = DType::kFloat32;
  bool operator==(const Cast&) const = default;
};
struct Where {
  bool operator==(const Where&) const = default;
};  // condition, x, y
struct Range {
  bool operator==(const Range&) const = default;
};  // start, limit, delta
struct CumSum {
  bool exclusive = false;
  bool reverse = false;
  bool operator==(const CumSum&) const = default;
};
struct TopK {
  int64_t axis = -1;
  bool largest = true;
  bool sorted = true;
  bool operator==(const TopK&) const = default;
};
// x, ratio?, training_mode? -> y, mask?. Inference only: training_mode true is refused.
struct Dropout {
  bool operator==(const Dropout&) const = default;
};

enum class ResizeMode { kNearest, kLinear, kCubic };
enum class ResizeCoordinates {
  kHalfPixel,
  kPytorchHalfPixel,
  kAlignCorners,
  kAsymmetric,
  kCropAndResize
};
enum class ResizeNearest { kRoundPreferFloor, kRoundPreferCeil, kFloor, kCeil };
struct Resize {  // x, roi?, scales?, sizes?
  ResizeMode mode = ResizeMode::kNearest;
  ResizeCoordinates coordinates = ResizeCoordinates::kHalfPixel;
  ResizeNearest nearest = ResizeNearest::kRoundPreferFloor;
  double cubic_coefficient = -0.75;
  double extrapolation_value = 0.0;
  bool exclude_outside = false;
  bool operator==(const Resize&) const = default;
};
enum class DepthOrder { kDepthColumnRow, kColumnRowDepth };  // DCR, CRD
struct DepthToSpace {
  int64_t block = 1;
  DepthOrder order = DepthOrder::kDepthColumnRow;
  bool operator==(const DepthToSpace&) const = default;
};
struct SpaceToDepth {
  int64_t block = 1;
  bool operator==(const SpaceToDepth&) const = default;
};

// x, scale, zero_point?; scale is a scalar or 1-D along `axis`.
struct QuantizeLinear {
  int64_t axis = 1;
  bool operator==(const QuantizeLinear&) const = default;
};
struct DequantizeLinear {
  int64_t axis = 1;
  bool operator==(const DequantizeLinear&) const = default;
};
struct QLinearConv {
  Window window;
  int64_t group = 1;
  bool operator==(const QLinearConv&) const = default;
};
struct QLinearMatMul {
  bool operator==(const QLinearMatMul&) const = default;
};
struct ConvInteger {
  Window window;
  int64_t group = 1;
  bool operator==(const ConvInteger&) const = default;
};
struct MatMulInteger {
  bool operator==(const MatMulInteger&) const = default;
};
struct DynamicQuantizeLinear {
  bool operator==(const DynamicQuantizeLinear&) const = default;
};

// An operator graupel has no semantics for. It is kept so that it can be judged by `check`, shown,
// and written back unchanged; it cannot be evaluated, quantised or compiled.
struct Opaque {
  std::string domain;         // "" is the standard's own
  std::string type;           // "LSTM", "NonMaxSuppression", ...
  int64_t opset = 0;          // of its domain, as read
  std::string attributes;     // the node's attributes, serialised as an onnx NodeProto
  bool has_subgraph = false;  // If, Loop, Scan, ...: may capture outer values
  bool operator==(const Opaque&) const = default;
};

using Op = std::variant<
#define OP(name) name,
#include "ir/ops.def"
#undef OP
    Opaque>;

// ONNX's name of the operator: "Conv", "GlobalAveragePool", "ReduceMean", "Shape", ...
std::string_view op_type(const Op& op);
std::string_view to_string(UnaryKind kind);  // ONNX's operator name; likewise below
std::string_view to_string(BinaryKind kind);
std::string_view to_string(VariadicKind kind);
std::string_view to_string(ReduceKind kind);  // "ReduceMean", ...
std::string_view to_string(SoftmaxKind kind);
std::string_view to_string(AutoPad pad);  // ONNX's attribute values; likewise below
std::string_view to_string(PadMode mode);
std::string_view to_string(ResizeMode mode);
std::string_view to_string(ResizeCoordinates coordinates);
std::string_view to_string(ResizeNearest nearest);
std::string_view to_string(DepthOrder order);
// The enumerators in order, for tables and parsers; the spans are static.
std::vector<UnaryKind> all_unary_kinds();
std::vector<BinaryKind> all_binary_kinds();
std::vector<VariadicKind> all_variadic_kinds();
std::vector<ReduceKind> all_reduce_kinds();

}  // namespace graupel::ir
