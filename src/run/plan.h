// Plan: a compiled network, the form the CPU engine runs and a bundle keeps as `cpu.plan`.
//
// Idea: a list of steps over numbered buffers. A buffer lies at a fixed offset either in one arena
// (activations, reused by lifetime) or in the constants (weights, tables), so running needs no
// allocation and a plan is checked once, when it is loaded: every size, offset, stride and table
// entry of every step stays inside its buffers (check_plan), whoever wrote the file. Steps are few
// and general: movement of any kind is an index table, any element-wise chain on one byte is a
// 256-entry table, and what is left is float32 in the order of the graph's nodes.
// The device part is INT8 (docs/formats/int8.md), the host part float32 and int64; one list, one
// window at a time. Layout: quantised images lie channels-last, everything else row-major.
// Format: docs/formats/plan.md. Test: plan_test.cc, engine_test.cc, fuzz/plan_fuzz.cc.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/tensor.h"

namespace graupel::run {

inline constexpr uint32_t kPlanVersion = 2;
// Limits of a plan, checked before anything is allocated for it.
inline constexpr uint64_t kMaxArenaBytes = uint64_t{1} << 30;
inline constexpr uint64_t kMaxConstantBytes = uint64_t{1} << 30;
inline constexpr size_t kMaxBuffers = size_t{1} << 18;
inline constexpr size_t kMaxSteps = size_t{1} << 17;
inline constexpr size_t kMaxRank = 8;
inline constexpr size_t kAlignmentBytes = 64;     // of every buffer's offset
inline constexpr int64_t kMaxAveraged = 1 << 20;  // bytes of an image averaged behind a convolution

using BufferId = Id<struct BufferTag>;

// kChannelsLast stores a logical [1, C, d1, d2, ...] as [d1, d2, ..., C].
enum class Layout : uint8_t { kRowMajor, kChannelsLast };
enum class Place : uint8_t { kArena, kConstant };

struct Buffer {
  std::string name;  // of the graph's value, for people and for read_buffer
  DType dtype = DType::kFloat32;
  Shape shape;  // logical (ONNX order), whatever the layout
  Layout layout = Layout::kRowMajor;
  Place place = Place::kArena;
  uint64_t offset = 0;  // bytes from the start of its place
  bool operator==(const Buffer&) const = default;
};

// ---- steps on bytes (int8 or uint8, as the buffer's dtype says) ----

// A sliding window over an image [in_h][in_w][channels]; a tap outside the image is padding.
// Output (oy, ox) has its tap (ky, kx) at oy * stride_h - pad_top + ky * dilation_h, and likewise.
struct Window2d {
  int32_t channels = 1;
  int32_t in_h = 1, in_w = 1;
  int32_t out_h = 1, out_w = 1;
  int32_t kernel_h = 1, kernel_w = 1;
  int32_t stride_h = 1, stride_w = 1;
  int32_t dilation_h = 1, dilation_w = 1;
  int32_t pad_top = 0, pad_left = 0;
  bool operator==(const Window2d&) const = default;
};

// How a sum becomes a byte: zero point, and bounds in quantised values (byte range, Relu, Clip).
struct Requantize {
  int32_t zero_point = 0;
  int32_t low = -128;
  int32_t high = 127;
  bool operator==(const Requantize&) const = default;
};

// Convolution, and fully connected as the 1x1 case (rows of a matrix are positions).
//   acc = sum (x - x_zero_point) * w + bias, q = byte of float32(acc) * multiplier[m]
// and then at most one of these on q, which is never stored whole; with none, y = q:
//   pool: a max pool (pool.channels = out_channels, pool.in_* = window.out_*), y of its output
//   size; average: as AveragePoolInt8 over the whole image, y one position; residual: as
//   BinaryInt8's sum of q and r, bytes of y's shape.
// q's zero point is requantize's; q is int8 if requantize.low is negative, else uint8.
struct ConvInt8 {
  BufferId x;           // [in_h][in_w][channels]
  BufferId weights;     // constant int8 [out_channels][kernel_h][kernel_w][channels / groups]
  BufferId bias;        // constant int32 [out_channels]
  BufferId multiplier;  // constant float32 [out_channels]
  BufferId y;           // [out_h][out_w][out_channels]
  Window2d window;
  int32_t out_channels = 1;
  int32_t groups = 1;
  int32_t x_zero_point = 0;
  Requantize requantize;
  std::optional<Window2d> pool;
  BufferId average;   // constant float32 [1]: the multiplier; absent: no average
  BufferId residual;  // r; absent: no sum
  int32_t residual_zero_point = 0;
  float q_scale = 1.0f, residual_scale = 1.0f, sum_scale = 1.0f;  // of q, r and the sum
  Requantize last;                                                // of the average or the sum
  bool operator==(const ConvInt8&) const = default;
};

// Padding never wins; each output has at least one tap inside the image.
struct MaxPoolInt8 {
  BufferId x, y;
  Window2d window;
  bool operator==(const MaxPoolInt8&) const = default;
};

// y = byte of float32(sum over the taps inside the image (x - x_zero_point)) * multiplier[oy][ox]
struct AveragePoolInt8 {
  BufferId x, y;
  BufferId multiplier;  // constant float32 [out_h][out_w]: s_x / (s_y * count)
  Window2d window;
  int32_t x_zero_point = 0;
  Requantize requantize;
  bool operator==(const AveragePoolInt8&) const = default;
};

// y[i] = table[(i / inner) % tables][byte x[i]]: bytes in memory order. A float table (y float32)
// makes it a dequantisation followed by any function.
struct Lookup {
  BufferId x, y;
  BufferId table;  // constant, y's dtype, [tables][256], indexed by the byte's bit pattern
  int32_t tables = 1;
  int64_t inner = 1;
  bool operator==(const Lookup&) const = default;
};

enum class ByteOp : uint8_t { kAdd, kSub, kMul };
// y = byte of ((a - za) * sa op (b - zb) * sb) / scale, literally in float32; equal sizes.
struct BinaryInt8 {
  ByteOp op = ByteOp::kAdd;
  BufferId a, b, y;
  int32_t a_zero_point = 0, b_zero_point = 0;
  float a_scale = 1.0f, b_scale = 1.0f, scale = 1.0f;
  Requantize requantize;
  bool operator==(const BinaryInt8&) const = default;
};

// ---- between floats and bytes ----

// Which way elements lie: both sides alike, or the byte side channels-last ([inner][channels])
// and the float side row-major ([channels][inner]).
enum class ByteOrder : uint8_t { kSame, kChannelsLast };

// y = byte of v / scale; v = x, or with mean and deviation (constant float64 [channels])
// v = float32((double(x) - mean[c]) / deviation[c]).
struct Quantize {
  BufferId x, y;
  BufferId mean, deviation;  // both or neither
  ByteOrder order = ByteOrder::kSame;
  int32_t channels = 1;
  int64_t inner = 1;  // channels * inner elements
  float scale = 1.0f;
  Requantize requantize;
  bool operator==(const Quantize&) const = default;
};

// y = float32(x - zero_point) * scale
struct Dequantize {
  BufferId x, y;
  ByteOrder order = ByteOrder::kSame;
  int32_t channels = 1;
  int64_t inner = 1;
  float scale = 1.0f;
  int32_t zero_point = 0;
  bool operator==(const Dequantize&) const = default;
};

// ---- movement, any dtype ----

// y[y_first + i] = table[i] < 0 ? fill : x[table[i]]            (kIndices)
// for each (to, from, length): y[to + j] = from < 0 ? fill : x[from + j], j < length   (kRuns)
// Elements in memory order; x and y have the same dtype. Several steps may fill one y.
enum class MoveTable : uint8_t { kIndices, kRuns };
struct Move {
  BufferId x, y;
  BufferId table;  // constant int32 [n] or [n][3]
  MoveTable kind = MoveTable::kIndices;
  int64_t y_first = 0;
  std::array<uint8_t, 8> fill{};  // the first element-size bytes
  bool operator==(const Move&) const = default;
};

// ---- float32 and int64 steps, row-major, in the evaluator's order of additions ----

enum class UnaryOp : uint8_t {
  kIdentity,
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
  kLeakyRelu,        // a: alpha
  kElu,              // a: alpha
  kSelu,             // a: alpha, b: gamma
  kCelu,             // a: alpha
  kThresholdedRelu,  // a: alpha
  kHardSigmoid,      // a: alpha, b: beta
  kClip,             // a: low, b: high
};
inline constexpr uint8_t kUnaryOpCount = static_cast<uint8_t>(UnaryOp::kClip) + 1;

// y[i] = f(x[i]). float32 -> float32; Neg, Abs, Sign, Relu, Identity also int64; Not bool;
// IsNaN float32 -> bool.
struct Unary {
  UnaryOp op = UnaryOp::kIdentity;
  BufferId x, y;
  float a = 0.0f, b = 0.0f;
  bool operator==(const Unary&) const = default;
};

enum class BinaryOp : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kPow,
  kMin,
  kMax,
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
  kPRelu,
};
inline constexpr uint8_t kBinaryOpCount = static_cast<uint8_t>(BinaryOp::kPRelu) + 1;

// A loop nest over the output: element strides per dimension of each operand (0: broadcast).
using Strides = std::vector<int64_t>;

// y[d] = a[d . a_strides] op b[d . b_strides]; y row-major over `dims`. a and b share a dtype:
// float32, int64, or bool for the logical ones; comparisons give bool.
struct Binary {
  BinaryOp op = BinaryOp::kAdd;
  BufferId a, b, y;
  Shape dims;
  Strides a_strides, b_strides;
  bool operator==(const Binary&) const = default;
};

// y[d] = condition ? a : b; condition bool, a, b and y of one dtype.
struct Where {
  BufferId condition, a, b, y;
  Shape dims;
  Strides condition_strides, a_strides, b_strides;
  bool operator==(const Where&) const = default;
};

// y[.., i, j] = sum over k of a[i, k] * b[k, j] per batch entry, y row-major [batch..., m, n].
// Then, if c is set or alpha differs from 1: y = alpha * sum + beta * c[i, j].
struct MatMul {
  BufferId a, b, c, y;  // c may be absent
  int64_t m = 1, n = 1, k = 1;
  int64_t a_row = 1, a_column = 1, b_row = 1, b_column = 1, c_row = 0, c_column = 0;
  Shape batch;
  Strides a_batch, b_batch;
  float alpha = 1.0f, beta = 1.0f;
  bool operator==(const MatMul&) const = default;
};

// float32, images [channels][h][w] per batch entry; weights as ONNX:
// [out][channels / groups][kh][kw], or transposed [channels][out / groups][kh][kw].
enum class ConvKind : uint8_t { kForward, kTransposed };
struct ConvF32 {
  ConvKind kind = ConvKind::kForward;
  BufferId x, weights, bias, y;  // bias may be absent
  Window2d window;
  int64_t batch = 1;
  int32_t out_channels = 1;
  int32_t groups = 1;
  bool operator==(const ConvF32&) const = default;
};

// float32 [batch * channels][h][w]. Average divides by divisor[oy][ox] (constant float32).
enum class PoolOp : uint8_t { kMax, kAverage };
struct PoolF32 {
  PoolOp op = PoolOp::kMax;
  BufferId x, y;
  BufferId divisor;  // absent for kMax
  Window2d window;
  bool operator==(const PoolF32&) const = default;
};

// y[o] = fold over the inner dims of x[o . outer_strides + i . inner_strides], in row-major order
// of the inner dims. float32, or int64 for sum, max, min, prod.
enum class ReduceOp : uint8_t {
  kMean,
  kSum,
  kMax,
  kMin,
  kProd,
  kL1,
  kL2,
  kLogSum,
  kLogSumExp,
  kSumSquare,
};
struct Reduce {
  ReduceOp op = ReduceOp::kMean;
  BufferId x, y;
  Shape outer;
  Strides outer_strides;
  Shape inner;
  Strides inner_strides;
  bool operator==(const Reduce&) const = default;
};

// float32 over the middle of [outer][axis][inner].
enum class SoftmaxOp : uint8_t { kSoftmax, kLogSoftmax, kHardmax };
struct Softmax {
  SoftmaxOp op = SoftmaxOp::kSoftmax;
  BufferId x, y;
  int64_t outer = 1, axis = 1, inner = 1;
  bool operator==(const Softmax&) const = default;
};

// Index (int64) of the largest or smallest of [outer][axis][inner]; x float32 or int64.
enum class ArgOp : uint8_t { kMax, kMin };
enum class Tie : uint8_t { kFirst, kLast };
struct ArgReduce {
  ArgOp op = ArgOp::kMax;
  Tie tie = Tie::kFirst;
  BufferId x, y;
  int64_t outer = 1, axis = 1, inner = 1;
  bool operator==(const ArgReduce&) const = default;
};

// Element conversion between float32, int64, int32, int8, uint8 and bool.
struct Cast {
  BufferId x, y;
  bool operator==(const Cast&) const = default;
};

// Resize linear and cubic, float32 [..] -> row-major `dims`. Dimension d of output position p takes
// `taps` elements: index[e][t] * strides[d] apart from the origin, weighted weight[e][t], where
// e = p[d] + the sum of the dims before d. Nested sums from the last dimension outwards, in double,
// rounded once; a tap of weight 0 is skipped.
struct Interpolate {
  BufferId x, y;
  BufferId index;   // constant int32 [sum of dims][taps]
  BufferId weight;  // constant float64 [sum of dims][taps]
  int32_t taps = 1;
  Shape dims;
  Strides strides;
  bool operator==(const Interpolate&) const = default;
};

// The input's z-score where no Quantize can take it in: as Quantize's v, float32 [channels][inner].
struct Normalize {
  BufferId x, y;
  BufferId mean, deviation;  // constant float64 [channels]
  int32_t channels = 1;
  int64_t inner = 1;
  bool operator==(const Normalize&) const = default;
};

// The input's window means: y = float32(x - sum / samples) in rows of channels that `centred` marks
// (the sum in double, in order), y = x elsewhere. float32 [channels][rows][samples].
struct RemoveMean {
  BufferId x, y;
  BufferId centred;  // constant uint8 [channels], 0 or not
  int32_t channels = 1;
  int64_t rows = 1, samples = 1;
  bool operator==(const RemoveMean&) const = default;
};

using StepBody = std::variant<ConvInt8, MaxPoolInt8, AveragePoolInt8, Lookup, BinaryInt8, Quantize,
                              Dequantize, Move, Unary, Binary, Where, MatMul, ConvF32, PoolF32,
                              Reduce, Softmax, ArgReduce, Cast, Interpolate, Normalize, RemoveMean>;

enum class Part : uint8_t { kDevice, kHost };

struct Step {
  std::string node;  // name of the graph's (last) node it computes
  Part part = Part::kDevice;
  int64_t macs = 0;   // multiply-adds
  int64_t bytes = 0;  // read and written, constants included
  StepBody body;
  bool operator==(const Step&) const = default;
};

// ---- the plan ----

enum class Role : uint8_t { kOther, kLogits, kFsqDigits, kFsqCode };
// Names of the outputs that a cut adds behind a recognised FSQ.
inline constexpr std::string_view kFsqDigitsName = "fsq_digits";
inline constexpr std::string_view kFsqCodeName = "fsq_code";

struct Port {
  std::string name;  // as in the model
  BufferId buffer;   // row-major
  Role role = Role::kOther;
  bool operator==(const Port&) const = default;
};

struct Plan {
  std::string model_name;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
  std::vector<Buffer> buffers;
  std::vector<Step> steps;
  std::string constants;
  uint64_t arena_size_bytes = 0;
  uint64_t arena_lower_bound_bytes = 0;  // largest sum of buffers alive at one step
  bool operator==(const Plan&) const = default;
};

std::string_view step_name(const StepBody& body);  // "ConvInt8", ...
std::string_view to_string(Part part);             // "device", "host"
std::string_view to_string(Role role);             // "other", "logits", "fsq_digits", "fsq_code"

// The buffers a step reads (constants included) and the one it writes.
struct StepBuffers {
  std::vector<BufferId> reads;
  BufferId write;
};
StepBuffers step_buffers(const StepBody& body);
// Calls visit for every buffer a step names, in the order of its fields; absent ones too.
void for_each_buffer(StepBody& body, const std::function<void(BufferId&)>& visit);

// Elements and bytes of a buffer whose shape check_plan has accepted.
int64_t buffer_elements(const Buffer& buffer);
int64_t buffer_bytes(const Buffer& buffer);

// Appends bytes to the constants, aligned, and a buffer for them.
BufferId add_constant(Plan& plan, std::string name, const Tensor& tensor);

// All that running relies on: see the idea above. Error kCorrupt names the step or buffer.
Result<void> check_plan(const Plan& plan);
// The same checks, giving the number of elementary operations of one run.
Result<int64_t> plan_work(const Plan& plan);

// Same plan, same bytes. parse_plan checks too: what it returns can be run. Errors: kCorrupt for
// anything malformed, with the byte offset; kUnsupported for another format version.
// Memory while parsing: a small multiple of the file's size.
std::string format_plan(const Plan& plan);
Result<Plan> parse_plan(std::string_view bytes);

}  // namespace graupel::run
