// Reductions along axes: Reduce*, ArgMax/ArgMin, CumSum, TopK.
//
// Idea: the offsets of kept and of reduced elements are listed once; each output folds its list in
// ascending order. Sums start from zero.
// Reference: ONNX ReduceSum-13, ArgMax-13, CumSum-14, TopK-11. Test: tests/conformance,
// onnx/versions_test.cc.
#include <numeric>

#include "ir/eval_internal.h"

namespace graupel::ir::evaluator {
namespace {

// Offsets, ascending, of all elements that have index 0 in the dimensions not marked.
std::vector<int64_t> offsets_over(const Shape& shape, const std::vector<bool>& marked, bool value) {
  const std::vector<int64_t> strides = row_major_strides(shape);
  std::vector<int64_t> offsets = {0};
  for (size_t d = 0; d < shape.size(); ++d) {
    if (marked[d] != value) continue;
    std::vector<int64_t> next;
    next.reserve(offsets.size() * static_cast<size_t>(shape[d]));
    for (const int64_t offset : offsets) {
      for (int64_t i = 0; i < shape[d]; ++i) next.push_back(offset + i * strides[d]);
    }
    offsets.swap(next);
  }
  return offsets;
}

template <class T, class F>
T fold(const T* x, std::span<const int64_t> offsets, T start, F f) {
  for (const int64_t offset : offsets) start = f(start, x[offset]);
  return start;
}

template <class T>
T add(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  } else {
    return a + b;
  }
}

template <class T>
T times(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  } else {
    return a * b;
  }
}

template <class T>
T magnitude(T value) {
  return value < T(0) ? times(value, static_cast<T>(-1)) : value;
}

// log(sum(exp(x))), shifted by the maximum so that it does not overflow.
template <class T>
T log_sum_exp(const T* x, std::span<const int64_t> offsets) {
  using F = std::conditional_t<std::is_same_v<T, float>, float, double>;
  F highest = -std::numeric_limits<F>::infinity();
  for (const int64_t offset : offsets) highest = std::max(highest, static_cast<F>(x[offset]));
  if (!std::isfinite(highest)) highest = 0;
  F sum = 0;
  for (const int64_t offset : offsets) sum += std::exp(static_cast<F>(x[offset]) - highest);
  return saturate_cast<T>(std::log(sum) + highest);
}

template <class T>
T reduce(ReduceKind kind, const T* x, std::span<const int64_t> offsets) {
  using F = std::conditional_t<std::is_same_v<T, float>, float, double>;
  const auto sum = [&] { return fold(x, offsets, T(0), add<T>); };
  const auto sum_squares = [&] {
    return fold(x, offsets, T(0), [](T a, T b) { return add(a, times(b, b)); });
  };
  switch (kind) {
    case ReduceKind::kSum: return sum();
    case ReduceKind::kMean: return static_cast<T>(sum() / static_cast<T>(offsets.size()));
    case ReduceKind::kMax:
      return fold(x, offsets.subspan(1), x[offsets[0]],
                  [](T a, T b) { return a != a || a > b ? a : b; });
    case ReduceKind::kMin:
      return fold(x, offsets.subspan(1), x[offsets[0]],
                  [](T a, T b) { return a != a || a < b ? a : b; });
    case ReduceKind::kProd: return fold(x, offsets, T(1), times<T>);
    case ReduceKind::kL1:
      return fold(x, offsets, T(0), [](T a, T b) { return add(a, magnitude(b)); });
    case ReduceKind::kL2: return saturate_cast<T>(std::sqrt(static_cast<F>(sum_squares())));
    case ReduceKind::kLogSum: return saturate_cast<T>(std::log(static_cast<F>(sum())));
    case ReduceKind::kLogSumExp: return log_sum_exp(x, offsets);
    case ReduceKind::kSumSquare: return sum_squares();
  }
  return T(0);
}

struct AxisView {
  size_t axis = 0;
  int64_t outer = 0, count = 0, inner = 0;
};

Result<AxisView> axis_view(int64_t axis, const Shape& shape) {
  AxisView view;
  TRY_ASSIGN(view.axis, resolve_axis(axis, shape.size()));
  view.outer = product(shape, 0, view.axis);
  view.count = shape[view.axis];
  view.inner = product(shape, view.axis + 1, shape.size());
  return view;
}

template <class T>
Result<Outputs> top_k(const TopK& op, const Call& call, const AxisView& view, int64_t k) {
  const Tensor& x = *call.input(0);
  Shape shape = x.shape();
  shape[view.axis] = k;
  TRY_ASSIGN(Tensor values, allocate(call, x.dtype(), shape));
  TRY_ASSIGN(Tensor indices, allocate(call, DType::kInt64, shape));
  TRY_ASSIGN(std::vector<int64_t> order, scratch<int64_t>(call, static_cast<uint64_t>(view.count)));
  for (int64_t line = 0; k > 0 && line < view.outer * view.inner; ++line) {
    const int64_t outer = line / view.inner, inner = line % view.inner;
    const T* in = x.data<T>().data() + outer * view.count * view.inner + inner;
    std::iota(order.begin(), order.end(), 0);
    // NaN ranks as the largest; equal values keep the lower index first: a strict weak order.
    const auto before = [&](int64_t a, int64_t b) {
      const T p = in[a * view.inner], q = in[b * view.inner];
      const bool p_nan = p != p, q_nan = q != q;
      if (p_nan != q_nan) return op.largest == p_nan;
      if (!p_nan && p != q) return op.largest ? p > q : p < q;
      return a < b;
    };
    std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
    for (int64_t i = 0; i < k; ++i) {
      const auto at = static_cast<size_t>((outer * k + i) * view.inner + inner);
      const int64_t from = order[static_cast<size_t>(i)];
      values.mutable_data<T>()[at] = in[from * view.inner];
      indices.mutable_data<int64_t>()[at] = from;
    }
  }
  Outputs outputs = one(std::move(values));
  if (call.output_count > 1) outputs.push_back(std::move(indices));
  return outputs;
}

}  // namespace

Result<Outputs> eval(const Reduce& op, const Call& call) {
  TRY(need(call, 1, 2));
  const Tensor& x = *call.input(0);
  using Axes = std::optional<std::vector<size_t>>;
  TRY_ASSIGN(const Axes axes, axes_input(call.input(1), x.rank()));
  const bool all = !axes || axes->empty();
  if (all && op.noop_with_empty_axes) return one(x);
  std::vector<bool> reduced(x.rank(), all);
  if (!all) {
    for (const size_t axis : *axes) reduced[axis] = true;
  }
  Shape shape;
  int64_t reduced_count = 1;
  for (size_t d = 0; d < x.rank(); ++d) {
    if (!reduced[d]) shape.push_back(x.shape()[d]);
    if (reduced[d] && op.keepdims) shape.push_back(1);
    if (reduced[d]) reduced_count *= x.shape()[d];
  }
  if (reduced_count == 0 && (op.kind == ReduceKind::kMax || op.kind == ReduceKind::kMin ||
                             op.kind == ReduceKind::kMean)) {
    return invalid_input("", "reduces an empty set of numbers");
  }
  return with_compute_type(x.dtype(), [&]<class T>() -> Result<Outputs> {
    TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), shape));
    TRY(reserve(call, y.size() + static_cast<uint64_t>(reduced_count), 2 * sizeof(int64_t)));
    if (y.size() == 0) return one(std::move(y));
    const std::vector<int64_t> kept_offsets = offsets_over(x.shape(), reduced, false);
    const std::vector<int64_t> offsets = offsets_over(x.shape(), reduced, true);
    const std::span<T> out = y.mutable_data<T>();
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = reduce(op.kind, x.data<T>().data() + kept_offsets[i], std::span(offsets));
    }
    return one(std::move(y));
  });
}

Result<Outputs> eval(const ArgReduce& op, const Call& call) {
  TRY(need(call, 1, 1));
  const Tensor& x = *call.input(0);
  TRY_ASSIGN(const AxisView view, axis_view(op.axis, x.shape()));
  Shape shape = x.shape();
  shape[view.axis] = 1;
  if (!op.keepdims) shape.erase(shape.begin() + static_cast<int64_t>(view.axis));
  if (view.count == 0) return invalid_input("", "reduces an empty set of numbers");
  return with_compute_type(x.dtype(), [&]<class T>() -> Result<Outputs> {
    TRY_ASSIGN(Tensor y, allocate(call, DType::kInt64, shape));
    const std::span<int64_t> out = y.mutable_data<int64_t>();
    for (size_t line = 0; line < out.size(); ++line) {
      const int64_t outer = static_cast<int64_t>(line) / view.inner;
      const int64_t inner = static_cast<int64_t>(line) % view.inner;
      const T* in = x.data<T>().data() + outer * view.count * view.inner + inner;
      int64_t best = 0;
      for (int64_t i = 1; i < view.count; ++i) {
        const T value = in[i * view.inner], champion = in[best * view.inner];
        const bool better = op.kind == ArgKind::kMax ? value > champion : value < champion;
        if (better || (op.select_last_index && value == champion)) best = i;
      }
      out[line] = best;
    }
    return one(std::move(y));
  });
}

Result<Outputs> eval(const CumSum& op, const Call& call) {
  TRY(need(call, 2, 2));
  const Tensor& x = *call.input(0);
  TRY_ASSIGN(const Ints axis, int_list(*call.input(1), "axis"));
  if (axis.size() != 1) return invalid_input("", "takes exactly one axis");
  TRY_ASSIGN(const AxisView view, axis_view(axis[0], x.shape()));
  return with_compute_type(x.dtype(), [&]<class T>() -> Result<Outputs> {
    TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), x.shape()));
    if (x.size() == 0) return one(std::move(y));
    for (int64_t line = 0; line < view.outer * view.inner; ++line) {
      const int64_t start = line / view.inner * view.count * view.inner + line % view.inner;
      T sum = 0;
      for (int64_t step = 0; step < view.count; ++step) {
        const int64_t i = op.reverse ? view.count - 1 - step : step;
        const auto at = static_cast<size_t>(start + i * view.inner);
        const T next = add(sum, x.data<T>()[at]);
        y.mutable_data<T>()[at] = op.exclusive ? sum : next;
        sum = next;
      }
    }
    return one(std::move(y));
  });
}

Result<Outputs> eval(const TopK& op, const Call& call) {
  TRY(need(call, 2, 2));
  const Tensor& x = *call.input(0);
  TRY_ASSIGN(const Ints k, int_list(*call.input(1), "k"));
  TRY_ASSIGN(const AxisView view, axis_view(op.axis, x.shape()));
  if (k.size() != 1 || k[0] < 0 || k[0] > view.count) {
    return invalid_input("", "k has to be one number in [0, " + std::to_string(view.count) + "]");
  }
  return with_compute_type(
      x.dtype(), [&]<class T>() -> Result<Outputs> { return top_k<T>(op, call, view, k[0]); });
}

}  // namespace graupel::ir::evaluator
