// The checks that make a plan safe to run, whoever wrote it. See plan.h.
//
// Idea: one function per step kind states what the step needs of its buffers: dtype, exact number
// of elements, which of them are constants, how far its strides and table entries reach. Running
// then needs no checks. Each function also gives the step's work, so that a small file cannot ask
// for hours; sizes are multiplied with overflow in mind (element_count).
// Test: plan_test.cc (bit flips and truncations run under the address sanitizer),
// fuzz/plan_fuzz.cc.
#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "run/plan.h"
#include "run/plan_internal.h"

namespace graupel::run {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 20;     // one image dimension, kernel, stride or pad
constexpr int64_t kMaxWork = int64_t{1} << 40;     // elementary operations of a whole plan
constexpr int64_t kMaxScratch = int64_t{1} << 29;  // int16 values of a padded input

using Work = Result<int64_t>;

Error bad(std::string what) { return corrupt("", std::move(what)); }

Result<void> need(bool condition, const char* what) {
  if (condition) return ok();
  return bad(what);
}

// Product of sizes that may come from anywhere, or an error.
Work size_of(std::initializer_list<int64_t> sizes) {
  for (const int64_t size : sizes) {
    if (size < 1) return bad("a size is not positive");
  }
  const std::optional<int64_t> count = element_count(Shape(sizes));
  if (!count) return bad("sizes are too large");
  return *count;
}

bool is_byte(DType dtype) { return dtype == DType::kInt8 || dtype == DType::kUInt8; }

struct ByteLimits {
  int32_t low, high;
};
ByteLimits limits_of(DType dtype) {
  return dtype == DType::kInt8 ? ByteLimits{-128, 127} : ByteLimits{0, 255};
}

enum class Access { kRead, kConstant, kWrite };

// The buffers one step uses.
class Scope {
 public:
  explicit Scope(const Plan& plan) : plan_(plan) {}

  const Buffer& operator[](BufferId id) const { return plan_.buffers[id.index()]; }

  Result<void> use(BufferId id, Access access) {
    if (!id.valid() || id.index() >= plan_.buffers.size()) return bad("names no buffer");
    const Place place = (*this)[id].place;
    if (access == Access::kWrite) {
      TRY(need(place == Place::kArena, "writes into the constants"));
      written_ = id;
    } else {
      TRY(need(access != Access::kConstant || place == Place::kConstant,
               "takes a constant where an activation is given"));
      read_.push_back(id);
    }
    return ok();
  }
  Result<void> use(BufferId id, Access access, DType dtype, int64_t elements) {
    TRY(use(id, access));
    return typed(id, dtype, elements);
  }
  Result<void> use_bytes(BufferId id, Access access, int64_t elements) {
    TRY(use(id, access));
    TRY(need(is_byte((*this)[id].dtype), "takes int8 or uint8"));
    return typed(id, (*this)[id].dtype, elements);
  }
  // What a step writes may not lie where it reads.
  Result<void> check_overlap() const {
    const Buffer& y = (*this)[written_];
    const uint64_t y_end = y.offset + static_cast<uint64_t>(buffer_bytes(y));
    for (const BufferId id : read_) {
      const Buffer& x = (*this)[id];
      const uint64_t x_end = x.offset + static_cast<uint64_t>(buffer_bytes(x));
      if (x.place == Place::kArena && x.offset < y_end && y.offset < x_end) {
        return bad("reads and writes the same bytes");
      }
    }
    return ok();
  }
  template <class T>
  std::span<const T> constant(BufferId id) const {
    return constant_data<T>(plan_, id);
  }

 private:
  Result<void> typed(BufferId id, DType dtype, int64_t elements) const {
    const Buffer& buffer = (*this)[id];
    if (buffer.dtype != dtype || buffer_elements(buffer) != elements) {
      return bad("buffer '" + buffer.name + "' holds " + std::to_string(buffer_elements(buffer)) +
                 " " + std::string(to_string(buffer.dtype)) + ", expected " +
                 std::to_string(elements) + " " + std::string(to_string(dtype)));
    }
    return ok();
  }

  const Plan& plan_;
  BufferId written_;
  std::vector<BufferId> read_;
};

Result<void> check_byte_value(int32_t value, DType dtype) {
  const ByteLimits limits = limits_of(dtype);
  return need(value >= limits.low && value <= limits.high, "a zero point does not fit its dtype");
}

Result<void> check_requantize(const Requantize& r, DType dtype) {
  const ByteLimits limits = limits_of(dtype);
  TRY(check_byte_value(r.zero_point, dtype));
  return need(limits.low <= r.low && r.low <= r.high && r.high <= limits.high,
              "bounds do not fit the output's dtype");
}

Result<void> check_scale(float scale) {
  return need(std::isfinite(scale) && scale > 0.0f, "a scale is not a positive number");
}

Result<void> check_finite(std::span<const float> values) {
  return need(std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }),
              "a multiplier is not finite");
}

Result<void> check_window(const Window2d& w) {
  for (const int32_t size : {w.channels, w.in_h, w.in_w, w.out_h, w.out_w, w.kernel_h, w.kernel_w,
                             w.stride_h, w.stride_w, w.dilation_h, w.dilation_w}) {
    TRY(need(size >= 1 && size <= kMaxSize, "a window size is out of range"));
  }
  TRY(need(w.pad_top >= 0 && w.pad_top <= kMaxSize && w.pad_left >= 0 && w.pad_left <= kMaxSize,
           "a pad is out of range"));
  return need(int64_t{w.kernel_h - 1} * w.dilation_h <= 2 * kMaxSize &&
                  int64_t{w.kernel_w - 1} * w.dilation_w <= 2 * kMaxSize,
              "a dilated kernel is too large");
}

// Every output of a pool has a tap inside the image.
Result<void> check_pool_axis(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                             int64_t dilation, int64_t pad) {
  for (int64_t o = 0; o < out; ++o) {
    const int64_t start = o * stride - pad;
    const int64_t first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
    TRY(need(first < kernel && start + first * dilation < in, "a pool has an empty window"));
  }
  return ok();
}

Work check_pool(const Window2d& w) {
  TRY(check_window(w));
  TRY(check_pool_axis(w.in_h, w.out_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top));
  TRY(check_pool_axis(w.in_w, w.out_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left));
  TRY_ASSIGN(const int64_t taps, size_of({w.kernel_h, w.kernel_w}));
  TRY(need(taps <= kMaxSize, "a pool has too many taps"));
  return size_of({taps, w.out_h, w.out_w, w.channels});
}

int64_t image_in(const Window2d& w) { return int64_t{w.in_h} * w.in_w * w.channels; }
int64_t image_out(const Window2d& w, int64_t channels) {
  return int64_t{w.out_h} * w.out_w * channels;
}

Work check(const ConvInt8& s, Scope& scope) {
  const Window2d& w = s.window;
  TRY(check_window(w));
  TRY(need(s.out_channels >= 1 && s.out_channels <= kMaxSize && s.groups >= 1 &&
               w.channels % s.groups == 0 && s.out_channels % s.groups == 0,
           "channels do not fit the groups"));
  TRY_ASSIGN(const int64_t weights,
             size_of({s.out_channels, w.kernel_h, w.kernel_w, w.channels / s.groups}));
  TRY_ASSIGN(const int64_t in, size_of({w.in_h, w.in_w, w.channels}));
  TRY_ASSIGN(const int64_t out, size_of({w.out_h, w.out_w, s.out_channels}));
  TRY_ASSIGN(int64_t work, size_of({w.out_h, w.out_w, weights}));
  TRY(scope.use_bytes(s.x, Access::kRead, in));
  TRY(scope.use(s.weights, Access::kConstant, DType::kInt8, weights));
  TRY(scope.use(s.bias, Access::kConstant, DType::kInt32, s.out_channels));
  TRY(scope.use(s.multiplier, Access::kConstant, DType::kFloat32, s.out_channels));
  TRY(check_finite(scope.constant<float>(s.multiplier)));
  TRY_ASSIGN(const int64_t scratch, size_of({w.in_h, padded_width(w), w.channels}));
  TRY(need(scratch <= kMaxScratch, "the padded input is too large"));
  int64_t stored = out;
  if (s.pool) {
    TRY_ASSIGN(const int64_t pool_work, check_pool(*s.pool));
    TRY(need(s.pool->channels == s.out_channels && s.pool->in_h == w.out_h &&
                 s.pool->in_w == w.out_w && s.pool->dilation_h == 1,
             "the fused pool does not fit the convolution"));
    TRY_ASSIGN(const int64_t rows, size_of({s.pool->kernel_h, s.pool->in_w, s.pool->channels}));
    TRY(need(rows <= kMaxScratch, "the fused pool's rows are too large"));
    stored = image_out(*s.pool, s.out_channels);
    work += pool_work;
  }
  TRY(scope.use_bytes(s.y, Access::kWrite, stored));
  TRY(check_byte_value(s.x_zero_point, scope[s.x].dtype));
  TRY(check_requantize(s.requantize, scope[s.y].dtype));
  return work + scratch;
}

Work check(const MaxPoolInt8& s, Scope& scope) {
  TRY_ASSIGN(const int64_t work, check_pool(s.window));
  TRY(scope.use_bytes(s.x, Access::kRead, image_in(s.window)));
  TRY(scope.use(s.y, Access::kWrite, scope[s.x].dtype, image_out(s.window, s.window.channels)));
  return work;
}

Work check(const AveragePoolInt8& s, Scope& scope) {
  TRY_ASSIGN(const int64_t work, check_pool(s.window));
  TRY(scope.use_bytes(s.x, Access::kRead, image_in(s.window)));
  TRY(scope.use(s.multiplier, Access::kConstant, DType::kFloat32, image_out(s.window, 1)));
  TRY(check_finite(scope.constant<float>(s.multiplier)));
  TRY(scope.use_bytes(s.y, Access::kWrite, image_out(s.window, s.window.channels)));
  TRY(check_byte_value(s.x_zero_point, scope[s.x].dtype));
  TRY(check_requantize(s.requantize, scope[s.y].dtype));
  return work;
}

Work check(const Lookup& s, Scope& scope) {
  TRY(scope.use(s.x, Access::kRead));
  const int64_t count = buffer_elements(scope[s.x]);
  TRY_ASSIGN(const int64_t entries, size_of({s.tables, 256}));
  TRY(need(s.inner >= 1, "a size is not positive"));
  TRY(scope.use_bytes(s.x, Access::kRead, count));
  TRY(scope.use(s.y, Access::kWrite));
  const DType dtype = scope[s.y].dtype;
  TRY(need(is_byte(dtype) || dtype == DType::kFloat32, "writes bytes or float32"));
  TRY(scope.use(s.y, Access::kWrite, dtype, count));
  TRY(scope.use(s.table, Access::kConstant, dtype, entries));
  return count;
}

Work check(const BinaryInt8& s, Scope& scope) {
  TRY(scope.use(s.y, Access::kWrite));
  const int64_t count = buffer_elements(scope[s.y]);
  TRY(scope.use_bytes(s.a, Access::kRead, count));
  TRY(scope.use_bytes(s.b, Access::kRead, count));
  TRY(scope.use_bytes(s.y, Access::kWrite, count));
  TRY(check_scale(s.a_scale));
  TRY(check_scale(s.b_scale));
  TRY(check_scale(s.scale));
  TRY(check_byte_value(s.a_zero_point, scope[s.a].dtype));
  TRY(check_byte_value(s.b_zero_point, scope[s.b].dtype));
  TRY(check_requantize(s.requantize, scope[s.y].dtype));
  return count;
}

// mean and deviation of a z-score.
Result<void> check_moments(BufferId mean, BufferId deviation, int64_t channels, Scope& scope) {
  TRY(scope.use(mean, Access::kConstant, DType::kFloat64, channels));
  return scope.use(deviation, Access::kConstant, DType::kFloat64, channels);
}

Work check(const Quantize& s, Scope& scope) {
  TRY_ASSIGN(const int64_t count, size_of({s.channels, s.inner}));
  TRY(scope.use(s.x, Access::kRead, DType::kFloat32, count));
  TRY(scope.use_bytes(s.y, Access::kWrite, count));
  if (s.mean.valid() || s.deviation.valid()) {
    TRY(check_moments(s.mean, s.deviation, s.channels, scope));
  }
  TRY(check_scale(s.scale));
  TRY(check_requantize(s.requantize, scope[s.y].dtype));
  return count;
}

Work check(const Dequantize& s, Scope& scope) {
  TRY_ASSIGN(const int64_t count, size_of({s.channels, s.inner}));
  TRY(scope.use_bytes(s.x, Access::kRead, count));
  TRY(scope.use(s.y, Access::kWrite, DType::kFloat32, count));
  TRY(check_scale(s.scale));
  TRY(check_byte_value(s.zero_point, scope[s.x].dtype));
  return count;
}

Work check(const Move& s, Scope& scope) {
  TRY(scope.use(s.x, Access::kRead));
  TRY(scope.use(s.table, Access::kConstant));
  TRY(scope.use(s.y, Access::kWrite));
  TRY(scope.use(s.y, Access::kWrite, scope[s.x].dtype, buffer_elements(scope[s.y])));
  TRY(need(scope[s.table].dtype == DType::kInt32, "takes an int32 table"));
  const int64_t x_count = buffer_elements(scope[s.x]);
  const int64_t y_count = buffer_elements(scope[s.y]);
  const std::span<const int32_t> table = scope.constant<int32_t>(s.table);
  const int64_t entries = static_cast<int64_t>(table.size());
  if (s.kind == MoveTable::kIndices) {
    TRY(need(s.y_first >= 0 && s.y_first <= y_count - entries, "writes past its output"));
    for (const int32_t from : table) TRY(need(from < x_count, "reads past its input"));
    return entries;
  }
  TRY(need(entries % 3 == 0 && s.y_first == 0, "has a malformed table"));
  int64_t work = 0;
  for (size_t i = 0; i + 2 < table.size(); i += 3) {
    const int64_t to = table[i], from = table[i + 1], length = table[i + 2];
    TRY(need(to >= 0 && length >= 1 && to <= y_count - length, "writes past its output"));
    TRY(need(from < 0 || from <= x_count - length, "reads past its input"));
    work += length;
  }
  return work;
}

Work check(const Unary& s, Scope& scope) {
  TRY(scope.use(s.x, Access::kRead));
  const int64_t count = buffer_elements(scope[s.x]);
  const DType in = scope[s.x].dtype;
  const bool float_in = in == DType::kFloat32;
  const bool number = s.op == UnaryOp::kRelu || s.op == UnaryOp::kNeg || s.op == UnaryOp::kAbs ||
                      s.op == UnaryOp::kSign;
  const bool fits = s.op == UnaryOp::kNot        ? in == DType::kBool
                    : s.op == UnaryOp::kIdentity ? true
                    : number                     ? float_in || in == DType::kInt64
                                                 : float_in;
  TRY(need(fits, "has no such function for its dtype"));
  TRY(scope.use(s.y, Access::kWrite, s.op == UnaryOp::kIsNaN ? DType::kBool : in, count));
  return count;
}

// The largest index that a loop nest reaches stays below `elements`.
Result<void> check_reach(const Shape& dims, const Strides& strides, int64_t elements,
                         int64_t start = 0) {
  TRY(need(dims.size() == strides.size() && dims.size() <= kMaxRank, "has malformed strides"));
  int64_t last = start;
  for (size_t d = 0; d < dims.size(); ++d) {
    TRY(need(dims[d] >= 1 && strides[d] >= 0, "has malformed strides"));
    if (dims[d] == 1) continue;
    TRY(need(strides[d] <= (elements - 1) / (dims[d] - 1), "reads past its input"));
    last += strides[d] * (dims[d] - 1);
  }
  return need(last < elements, "reads past its input");
}

bool is_comparison(BinaryOp op) {
  return op >= BinaryOp::kEqual && op <= BinaryOp::kGreaterOrEqual;
}
bool is_logical(BinaryOp op) { return op >= BinaryOp::kAnd && op <= BinaryOp::kXor; }

Result<void> check_divisor(const Binary& s, Scope& scope) {
  const bool divides = s.op == BinaryOp::kDiv || s.op == BinaryOp::kMod || s.op == BinaryOp::kFmod;
  if (!divides || scope[s.b].dtype != DType::kInt64) return ok();
  TRY(scope.use(s.b, Access::kConstant));
  const std::span<const int64_t> values = scope.constant<int64_t>(s.b);
  return need(std::find(values.begin(), values.end(), 0) == values.end(),
              "divides an integer by zero");
}

Work check(const Binary& s, Scope& scope) {
  TRY(scope.use(s.a, Access::kRead));
  TRY(scope.use(s.b, Access::kRead));
  const DType dtype = scope[s.a].dtype;
  TRY(need(scope[s.b].dtype == dtype, "mixes dtypes"));
  const bool number = dtype == DType::kFloat32 || dtype == DType::kInt64;
  const bool float_only = s.op == BinaryOp::kPow || s.op == BinaryOp::kPRelu;
  const bool fits = is_logical(s.op)           ? dtype == DType::kBool
                    : float_only               ? dtype == DType::kFloat32
                    : s.op == BinaryOp::kMod   ? dtype == DType::kInt64
                    : s.op == BinaryOp::kEqual ? number || dtype == DType::kBool
                                               : number;
  TRY(need(fits, "has no such function for its dtype"));
  const std::optional<int64_t> count = element_count(s.dims);
  TRY(need(count.has_value(), "sizes are too large"));
  const bool gives_bool = is_comparison(s.op) || is_logical(s.op);
  TRY(scope.use(s.y, Access::kWrite, gives_bool ? DType::kBool : dtype, *count));
  TRY(check_reach(s.dims, s.a_strides, buffer_elements(scope[s.a])));
  TRY(check_reach(s.dims, s.b_strides, buffer_elements(scope[s.b])));
  TRY(check_divisor(s, scope));
  return *count;
}

Work check(const Where& s, Scope& scope) {
  const std::optional<int64_t> count = element_count(s.dims);
  TRY(need(count.has_value(), "sizes are too large"));
  TRY(scope.use(s.condition, Access::kRead));
  TRY(scope.use(s.a, Access::kRead));
  TRY(scope.use(s.b, Access::kRead));
  TRY(need(scope[s.condition].dtype == DType::kBool && scope[s.a].dtype == scope[s.b].dtype,
           "mixes dtypes"));
  TRY(scope.use(s.y, Access::kWrite, scope[s.a].dtype, *count));
  TRY(check_reach(s.dims, s.condition_strides, buffer_elements(scope[s.condition])));
  TRY(check_reach(s.dims, s.a_strides, buffer_elements(scope[s.a])));
  TRY(check_reach(s.dims, s.b_strides, buffer_elements(scope[s.b])));
  return *count;
}

// A matrix per batch entry: dims and strides of the whole loop nest over one operand.
Result<void> check_matrix(const Shape& batch, const Strides& batch_strides, int64_t rows,
                          int64_t row, int64_t columns, int64_t column, int64_t elements) {
  Shape dims = batch;
  Strides strides = batch_strides;
  dims.insert(dims.end(), {rows, columns});
  strides.insert(strides.end(), {row, column});
  return check_reach(dims, strides, elements);
}

Work check(const MatMul& s, Scope& scope) {
  TRY(need(s.batch.size() + 2 <= kMaxRank, "has too many dimensions"));
  const std::optional<int64_t> batch = element_count(s.batch);
  TRY(need(batch.has_value(), "sizes are too large"));
  TRY_ASSIGN(const int64_t out, size_of({*batch, s.m, s.n}));
  TRY_ASSIGN(const int64_t work, size_of({out, s.k}));
  TRY(scope.use(s.a, Access::kRead));
  TRY(scope.use(s.b, Access::kRead));
  const int64_t a_count = buffer_elements(scope[s.a]), b_count = buffer_elements(scope[s.b]);
  TRY(scope.use(s.a, Access::kRead, DType::kFloat32, a_count));
  TRY(scope.use(s.b, Access::kRead, DType::kFloat32, b_count));
  TRY(scope.use(s.y, Access::kWrite, DType::kFloat32, out));
  TRY(check_matrix(s.batch, s.a_batch, s.m, s.a_row, s.k, s.a_column, a_count));
  TRY(check_matrix(s.batch, s.b_batch, s.k, s.b_row, s.n, s.b_column, b_count));
  if (s.c.valid()) {
    TRY(scope.use(s.c, Access::kRead));
    const int64_t c_count = buffer_elements(scope[s.c]);
    TRY(scope.use(s.c, Access::kRead, DType::kFloat32, c_count));
    TRY(check_matrix({}, {}, s.m, s.c_row, s.n, s.c_column, c_count));
  }
  return work;
}

Work check(const ConvF32& s, Scope& scope) {
  const Window2d& w = s.window;
  TRY(check_window(w));
  TRY(need(s.out_channels >= 1 && s.out_channels <= kMaxSize && s.groups >= 1 &&
               w.channels % s.groups == 0 && s.out_channels % s.groups == 0,
           "channels do not fit the groups"));
  TRY_ASSIGN(const int64_t weights,
             size_of({s.out_channels, w.kernel_h, w.kernel_w, w.channels / s.groups}));
  TRY_ASSIGN(const int64_t in, size_of({s.batch, w.in_h, w.in_w, w.channels}));
  TRY_ASSIGN(const int64_t out, size_of({s.batch, w.out_h, w.out_w, s.out_channels}));
  TRY(scope.use(s.x, Access::kRead, DType::kFloat32, in));
  TRY(scope.use(s.weights, Access::kRead, DType::kFloat32, weights));
  if (s.bias.valid()) TRY(scope.use(s.bias, Access::kRead, DType::kFloat32, s.out_channels));
  TRY(scope.use(s.y, Access::kWrite, DType::kFloat32, out));
  const bool forward = s.kind == ConvKind::kForward;
  return size_of({s.batch, forward ? w.out_h : w.in_h, forward ? w.out_w : w.in_w, weights});
}

Work check(const PoolF32& s, Scope& scope) {
  TRY_ASSIGN(const int64_t work, check_pool(s.window));
  TRY(scope.use(s.x, Access::kRead, DType::kFloat32, image_in(s.window)));
  TRY(scope.use(s.y, Access::kWrite, DType::kFloat32, image_out(s.window, s.window.channels)));
  if (s.op == PoolOp::kAverage) {
    TRY(scope.use(s.divisor, Access::kConstant, DType::kFloat32, image_out(s.window, 1)));
  }
  return work;
}

Work check(const Reduce& s, Scope& scope) {
  const std::optional<int64_t> outer = element_count(s.outer);
  const std::optional<int64_t> inner = element_count(s.inner);
  TRY(need(outer && inner && *inner >= 1 && s.outer.size() + s.inner.size() <= kMaxRank,
           "sizes are out of range"));
  TRY(scope.use(s.x, Access::kRead));
  const DType dtype = scope[s.x].dtype;
  const bool whole = s.op == ReduceOp::kSum || s.op == ReduceOp::kMax || s.op == ReduceOp::kMin ||
                     s.op == ReduceOp::kProd;
  TRY(need(dtype == DType::kFloat32 || (whole && dtype == DType::kInt64),
           "has no such function for its dtype"));
  TRY(scope.use(s.y, Access::kWrite, dtype, *outer));
  Shape dims = s.outer;
  Strides strides = s.outer_strides;
  TRY(need(dims.size() == strides.size(), "has malformed strides"));
  dims.insert(dims.end(), s.inner.begin(), s.inner.end());
  strides.insert(strides.end(), s.inner_strides.begin(), s.inner_strides.end());
  TRY(check_reach(dims, strides, buffer_elements(scope[s.x])));
  return size_of({*outer, *inner});
}

Work check(const Softmax& s, Scope& scope) {
  TRY_ASSIGN(const int64_t count, size_of({s.outer, s.axis, s.inner}));
  TRY(scope.use(s.x, Access::kRead, DType::kFloat32, count));
  TRY(scope.use(s.y, Access::kWrite, DType::kFloat32, count));
  return count;
}

Work check(const ArgReduce& s, Scope& scope) {
  TRY_ASSIGN(const int64_t count, size_of({s.outer, s.axis, s.inner}));
  TRY(scope.use(s.x, Access::kRead));
  const DType dtype = scope[s.x].dtype;
  TRY(need(dtype == DType::kFloat32 || dtype == DType::kInt64, "takes float32 or int64"));
  TRY(scope.use(s.x, Access::kRead, dtype, count));
  TRY(scope.use(s.y, Access::kWrite, DType::kInt64, s.outer * s.inner));
  return count;
}

Work check(const Cast& s, Scope& scope) {
  TRY(scope.use(s.x, Access::kRead));
  const int64_t count = buffer_elements(scope[s.x]);
  TRY(scope.use(s.y, Access::kWrite));
  TRY(scope.use(s.y, Access::kWrite, scope[s.y].dtype, count));
  TRY(need(scope[s.x].dtype != DType::kFloat64 && scope[s.y].dtype != DType::kFloat64,
           "does not convert float64"));
  return count;
}

Work check(const Interpolate& s, Scope& scope) {
  const std::optional<int64_t> count = element_count(s.dims);
  TRY(need(count && *count >= 1 && s.dims.size() == s.strides.size() && s.dims.size() <= kMaxRank &&
               s.taps >= 1 && s.taps <= 16,
           "sizes are out of range"));
  int64_t entries = 0, work = *count;
  for (const int64_t dim : s.dims) {
    entries += dim;
    TRY_ASSIGN(work, size_of({work, s.taps}));
  }
  TRY(scope.use(s.x, Access::kRead));
  const int64_t x_count = buffer_elements(scope[s.x]);
  TRY(scope.use(s.x, Access::kRead, DType::kFloat32, x_count));
  TRY(scope.use(s.y, Access::kWrite, DType::kFloat32, *count));
  TRY(scope.use(s.index, Access::kConstant, DType::kInt32, entries * s.taps));
  TRY(scope.use(s.weight, Access::kConstant, DType::kFloat64, entries * s.taps));
  const std::span<const int32_t> index = scope.constant<int32_t>(s.index);
  int64_t last = 0;
  size_t at = 0;
  for (size_t d = 0; d < s.dims.size(); ++d) {
    int64_t highest = 0;
    for (int64_t i = 0; i < s.dims[d] * s.taps; ++i, ++at) {
      TRY(need(index[at] >= 0, "reads past its input"));
      highest = std::max<int64_t>(highest, index[at]);
    }
    TRY(need(s.strides[d] >= 0 && s.strides[d] <= x_count, "has malformed strides"));
    last += highest * s.strides[d];
    TRY(need(last < x_count, "reads past its input"));
  }
  return work;
}

Work check(const Normalize& s, Scope& scope) {
  TRY_ASSIGN(const int64_t count, size_of({s.channels, s.inner}));
  TRY(scope.use(s.x, Access::kRead, DType::kFloat32, count));
  TRY(scope.use(s.y, Access::kWrite, DType::kFloat32, count));
  TRY(check_moments(s.mean, s.deviation, s.channels, scope));
  return count;
}

Result<void> check_buffer(const Plan& plan, const Buffer& buffer) {
  TRY(need(buffer.shape.size() <= kMaxRank, "has too many dimensions"));
  const std::optional<int64_t> count = element_count(buffer.shape);
  TRY(need(count && *count >= 1, "is empty or too large"));
  switch (buffer.dtype) {
    case DType::kFloat32:
    case DType::kInt8:
    case DType::kUInt8:
    case DType::kInt32:
    case DType::kInt64:
    case DType::kBool: break;
    case DType::kFloat64:
      TRY(need(buffer.place == Place::kConstant, "is a float64 activation"));
      break;
    default: return bad("has a dtype that plans do not use");
  }
  TRY(need(buffer.offset % kAlignmentBytes == 0, "is not aligned"));
  const uint64_t available =
      buffer.place == Place::kArena ? plan.arena_size_bytes : plan.constants.size();
  const uint64_t needed = static_cast<uint64_t>(buffer_bytes(buffer));
  TRY(need(buffer.offset <= available && needed <= available - buffer.offset,
           "lies outside its memory"));
  if (buffer.layout == Layout::kChannelsLast) {
    TRY(need(buffer.shape.size() >= 3 && buffer.shape[0] == 1, "cannot lie channels-last"));
  }
  return ok();
}

Result<void> check_port(const Plan& plan, const Port& port, Access access) {
  TRY(need(port.buffer.valid() && port.buffer.index() < plan.buffers.size(), "names no buffer"));
  const Buffer& buffer = plan.buffers[port.buffer.index()];
  TRY(need(buffer.layout == Layout::kRowMajor, "is not row-major"));
  return need(access == Access::kRead || buffer.place == Place::kArena, "is a constant");
}

}  // namespace

Result<int64_t> plan_work(const Plan& plan) {
  if (plan.arena_size_bytes > kMaxArenaBytes || plan.constants.size() > kMaxConstantBytes ||
      plan.buffers.size() > kMaxBuffers || plan.steps.size() > kMaxSteps) {
    return corrupt("plan", "needs more memory than the format allows");
  }
  for (const Buffer& buffer : plan.buffers) {
    Result<void> checked = check_buffer(plan, buffer);
    if (!checked.ok()) return std::move(checked).error().within("plan: buffer " + buffer.name);
  }
  for (const Port& port : plan.inputs) {
    Result<void> checked = check_port(plan, port, Access::kWrite);
    if (!checked.ok()) return std::move(checked).error().within("plan: input " + port.name);
  }
  for (const Port& port : plan.outputs) {
    Result<void> checked = check_port(plan, port, Access::kRead);
    if (!checked.ok()) return std::move(checked).error().within("plan: output " + port.name);
  }
  int64_t total = 0;
  for (const Step& step : plan.steps) {
    Scope scope(plan);
    Work work = std::visit([&](const auto& body) { return check(body, scope); }, step.body);
    const Result<void> overlap = work.ok() ? scope.check_overlap() : ok();
    if (!overlap.ok()) work = overlap.error();
    if (work.ok() && *work > kMaxWork - total) work = bad("asks for too much work");
    if (!work.ok()) {
      return std::move(work).error().within("plan: step " + step.node + " (" +
                                            std::string(step_name(step.body)) + ")");
    }
    total += *work;
  }
  return total;
}

Result<void> check_plan(const Plan& plan) {
  const Result<int64_t> work = plan_work(plan);
  if (!work.ok()) return work.error();
  return ok();
}

}  // namespace graupel::run
