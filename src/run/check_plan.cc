// The checks that make a plan safe to run, whoever wrote it. See plan.h.
//
// Idea: one function per step kind states what the step needs of its buffers: dtype, exact number
// of elements, which of them are constants, how far its strides and table entries reach. Running
// then needs no checks. Each function also gives the step's work, so that a small file cannot ask
// for hours; sizes are multiplied with overflow in mind (element_count).
// Test: check_plan_test.cc (every field changed, run under the address sanitizer), plan_test.cc
// (bit flips and truncations), fuzz/plan_fuzz.cc.
#include <algorithm>
#include <cmath>

#include "run/check_scope.h"
#include "run/plan.h"
#include "run/taps.h"

namespace graupel::run {
namespace {

constexpr int64_t kMaxWork = int64_t{1} << 40;     // elementary operations of a whole plan
constexpr int64_t kMaxScratch = int64_t{1} << 29;  // int16 values of a padded input
constexpr int64_t kMaxPacked = int64_t{1} << 32;   // bytes of a whole plan's packed weights

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

int64_t stored_elements(const ConvInt8& s, int64_t out) {
  return s.average.valid() ? s.out_channels : s.pool ? image_out(*s.pool, s.out_channels) : out;
}

// What follows the convolution's bytes, and its work.
Work check_tail(const ConvInt8& s, Scope& scope, int64_t out) {
  const Window2d& w = s.window;
  const DType y = scope[s.y].dtype;
  const int kinds = (s.pool ? 1 : 0) + (s.average.valid() ? 1 : 0) + (s.residual.valid() ? 1 : 0);
  TRY(need(kinds <= 1, "joins more than one step to a convolution"));
  if (!s.average.valid() && !s.residual.valid()) {
    TRY(check_requantize(s.requantize, y));
    if (!s.pool) return 0;
    TRY_ASSIGN(const int64_t pool_work, check_pool(*s.pool));
    TRY(need(s.pool->channels == s.out_channels && s.pool->in_h == w.out_h &&
                 s.pool->in_w == w.out_w && s.pool->dilation_h == 1,
             "the fused pool does not fit the convolution"));
    TRY_ASSIGN(const int64_t rows, size_of({s.pool->kernel_h, s.pool->in_w, s.pool->channels}));
    TRY(need(rows <= kMaxScratch, "the fused pool's rows are too large"));
    return pool_work;
  }
  TRY(check_requantize(s.requantize, s.requantize.low < 0 ? DType::kInt8 : DType::kUInt8));
  TRY(check_requantize(s.last, y));
  if (s.average.valid()) {
    TRY(scope.use(s.average, Access::kConstant, DType::kFloat32, 1));
    TRY(check_finite(scope.constant<float>(s.average)));
    TRY(need(out <= kMaxAveraged, "averages over too large an image"));
    return out;
  }
  TRY(scope.use_bytes(s.residual, Access::kRead, out));
  TRY(check_byte_value(s.residual_zero_point, scope[s.residual].dtype));
  TRY(check_scale(s.q_scale));
  TRY(check_scale(s.residual_scale));
  TRY(check_scale(s.sum_scale));
  return out;
}

// Bytes that pack_conv takes at most: weights in blocks of sixteen channels, as pairs of int16 or
// fours of bytes; bias for every set of kernel rows inside the image, multipliers, offsets, and a
// number per output row.
Work packed_bytes(const ConvInt8& s) {
  const Window2d& w = s.window;
  constexpr int64_t kWord = 4;
  const int64_t each = s.out_channels / s.groups, in = w.channels / s.groups;
  TRY_ASSIGN(const int64_t lanes, size_of({s.groups, rounded_up(each, kernels::kConvBlock)}));
  TRY_ASSIGN(const int64_t weights,
             size_of({lanes, w.kernel_h, w.kernel_w, rounded_up(in, 2) * 2}));
  const int64_t variants = std::min<int64_t>(w.out_h, 2 * int64_t{w.kernel_h});
  TRY_ASSIGN(const int64_t words, size_of({lanes, variants + 1, kWord}));
  return weights + words + kWord * (int64_t{w.kernel_h} * w.kernel_w + w.out_h);
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
  TRY_ASSIGN(const int64_t work, size_of({w.out_h, w.out_w, weights}));
  TRY(scope.use_bytes(s.x, Access::kRead, in));
  TRY(scope.use(s.weights, Access::kConstant, DType::kInt8, weights));
  TRY(scope.use(s.bias, Access::kConstant, DType::kInt32, s.out_channels));
  TRY(scope.use(s.multiplier, Access::kConstant, DType::kFloat32, s.out_channels));
  TRY(check_finite(scope.constant<float>(s.multiplier)));
  TRY_ASSIGN(const int64_t scratch, size_of({w.in_h, padded_width(w), w.channels}));
  TRY(need(scratch <= kMaxScratch, "the padded input is too large"));
  TRY(scope.use_bytes(s.y, Access::kWrite, stored_elements(s, out)));
  TRY(check_byte_value(s.x_zero_point, scope[s.x].dtype));
  TRY_ASSIGN(const int64_t tail, check_tail(s, scope, out));
  TRY_ASSIGN(scope.packed_bytes, packed_bytes(s));
  return work + scratch + tail;
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

namespace {

Result<void> check_buffers(const Plan& plan) {
  if (plan.arena_size_bytes > kMaxArenaBytes || plan.constants.size() > kMaxConstantBytes ||
      plan.buffers.size() > kMaxBuffers || plan.steps.size() > kMaxSteps) {
    return corrupt("plan", "needs more memory than the format allows");
  }
  if (plan.arena_lower_bound_bytes > plan.arena_size_bytes) {
    return corrupt("plan", "has an arena smaller than its lower bound");
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
  return ok();
}

Work check_step(const Plan& plan, const Step& step, Scope& scope) {
  TRY(need(step.macs >= 0 && step.macs <= kMaxWork, "counts its multiply-adds wrongly"));
  TRY(need(step.bytes >= 0 && step.bytes <= kMaxWork, "counts its bytes wrongly"));
  TRY_ASSIGN(const int64_t work,
             std::visit([&](const auto& body) { return check(body, scope); }, step.body));
  // Also those that this form of the step does not use.
  for (const BufferId id : step_buffers(step.body).reads) {
    TRY(need(id.index() < plan.buffers.size(), "names no buffer"));
  }
  TRY(scope.check_overlap());
  return work;
}

}  // namespace

Result<int64_t> plan_work(const Plan& plan) {
  TRY(check_buffers(plan));
  int64_t total = 0, packed = 0;
  for (const Step& step : plan.steps) {
    Scope scope(plan);
    Work work = check_step(plan, step, scope);
    if (work.ok() && *work > kMaxWork - total) work = bad("asks for too much work");
    if (work.ok() && scope.packed_bytes > kMaxPacked - packed) work = bad("has too many weights");
    if (!work.ok()) return std::move(work).error().within(step_place(step));
    total += *work;
    packed += scope.packed_bytes;
  }
  TRY(check_lifetimes(plan));
  return total;
}

Result<void> check_plan(const Plan& plan) {
  const Result<int64_t> work = plan_work(plan);
  if (!work.ok()) return work.error();
  return ok();
}

}  // namespace graupel::run
