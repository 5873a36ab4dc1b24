// The checks of the steps on float32 and int64. See check_plan.cc.
//
// Idea: a loop nest over strides is safe if its largest index is; the divisor of an integer
// division is a constant without zeros. Test: plan_test.cc, fuzz/plan_fuzz.cc.
#include <algorithm>

#include "run/check_scope.h"

namespace graupel::run {
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

namespace {

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

namespace {

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

}  // namespace

}  // namespace

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

namespace {

// A matrix per batch entry: dims and strides of the whole loop nest over one operand.
Result<void> check_matrix(const Shape& batch, const Strides& batch_strides, int64_t rows,
                          int64_t row, int64_t columns, int64_t column, int64_t elements) {
  Shape dims = batch;
  Strides strides = batch_strides;
  dims.insert(dims.end(), {rows, columns});
  strides.insert(strides.end(), {row, column});
  return check_reach(dims, strides, elements);
}

}  // namespace

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

Work check(const RemoveMean& s, Scope& scope) {
  TRY_ASSIGN(const int64_t count, size_of({s.channels, s.rows, s.samples}));
  TRY(scope.use(s.x, Access::kRead, DType::kFloat32, count));
  TRY(scope.use(s.y, Access::kWrite, DType::kFloat32, count));
  TRY(scope.use(s.centred, Access::kConstant, DType::kUInt8, s.channels));
  return count;
}

}  // namespace graupel::run
