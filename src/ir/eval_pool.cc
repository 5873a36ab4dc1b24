// Pooling: MaxPool (with indices), AveragePool, GlobalPool. Any rank.
//
// Idea: every window is a list of in-bounds input offsets, ascending; planes share the list.
// Averages sum in that order from zero and divide once.
// Reference: ONNX MaxPool-12, AveragePool-11. Test: eval_pool_test.cc.
#include "ir/eval_internal.h"

namespace graupel::ir::evaluator {
namespace {

struct PoolShape {
  std::vector<WindowAxis> axes;
  Shape out;
  int64_t planes = 0, in_plane = 0, out_plane = 0;
};

Result<PoolShape> pool_shape(const Call& call, const Window& window, bool ceil_mode) {
  const Shape& x = call.input(0)->shape();
  if (x.size() < 3) return invalid_input("", "takes [N,C,...], but got " + to_string(x));
  PoolShape shape;
  TRY_ASSIGN(shape.axes, window_axes(window, window.kernel, std::span(x).subspan(2),
                                     ceil_mode ? Rounding::kCeil : Rounding::kFloor));
  shape.out = {x[0], x[1]};
  uint64_t window_elements = 1;
  for (const WindowAxis& axis : shape.axes) {
    shape.out.push_back(axis.out);
    window_elements *= static_cast<uint64_t>(std::min(axis.kernel, std::max<int64_t>(1, axis.in)));
  }
  TRY(reserve(call, window_elements, 2 * sizeof(int64_t)));
  shape.planes = product(x, 0, 2);
  shape.in_plane = product(x, 2, x.size());
  shape.out_plane = product(shape.out, 2, x.size());
  return shape;
}

// The index of a maximum counts over the whole tensor; in column-major order the last spatial
// dimension is the slowest.
int64_t column_major(int64_t offset, const std::vector<WindowAxis>& axes) {
  std::vector<int64_t> at(axes.size());
  for (size_t d = axes.size(); d-- > 0;) {
    at[d] = offset % axes[d].in;
    offset /= axes[d].in;
  }
  int64_t index = 0;
  for (size_t d = axes.size(); d-- > 0;) index = index * axes[d].in + at[d];
  return index;
}

// The largest value of every window, where nobody asks for its place. A window whose sum is no
// number may hold a NaN, the first of which wins; in the others the loop has no branch that depends
// on the values: it would be guessed wrong half the time.
template <class T>
void largest_of_windows(const PoolShape& shape, const T* x, T* out) {
  for_each_window(shape.planes, shape.axes, [&](const WindowVisit& visit) {
    const T* plane = x + visit.plane * shape.in_plane;
    T best = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity()
                                         : std::numeric_limits<T>::lowest();
    [[maybe_unused]] T sum = 0;
    for (const int64_t offset : visit.offsets) {
      const T value = plane[offset];
      best = value > best ? value : best;
      if constexpr (std::is_floating_point_v<T>) sum += value;
    }
    if (sum != sum) {
      for (size_t i = visit.offsets.size(); i-- > 0;) {
        const T value = plane[visit.offsets[i]];
        best = value != value ? value : best;
      }
    }
    out[visit.plane * shape.out_plane + visit.position] = best;
  });
}

template <class T>
Result<Outputs> max_pool(const MaxPool& op, const Call& call, const PoolShape& shape) {
  TRY_ASSIGN(Tensor y, allocate(call, call.input(0)->dtype(), shape.out));
  const T* x = call.input(0)->data<T>().data();
  T* out = y.mutable_data<T>().data();
  if (call.output_count <= 1) {
    largest_of_windows(shape, x, out);
    return one(std::move(y));
  }
  TRY_ASSIGN(Tensor indices, allocate(call, DType::kInt64, shape.out));
  int64_t* out_index = indices.mutable_data<int64_t>().data();
  for_each_window(shape.planes, shape.axes, [&](const WindowVisit& visit) {
    const T* plane = x + visit.plane * shape.in_plane;
    T best = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity()
                                         : std::numeric_limits<T>::lowest();
    int64_t best_offset = -1;
    for (const int64_t offset : visit.offsets) {
      if (best_offset >= 0 && !(plane[offset] > best) && plane[offset] == plane[offset]) continue;
      best = plane[offset];
      best_offset = offset;
      if (best != best) break;  // NaN stays
    }
    const int64_t at = visit.plane * shape.out_plane + visit.position;
    out[at] = best;
    const int64_t local = best_offset < 0 || !op.column_major_indices
                              ? best_offset
                              : column_major(best_offset, shape.axes);
    out_index[at] = local < 0 ? -1 : visit.plane * shape.in_plane + local;
  });
  Outputs outputs = one(std::move(y));
  outputs.push_back(std::move(indices));
  return outputs;
}

template <class T>
Result<Outputs> average_pool(const AveragePool& op, const Call& call, const PoolShape& shape) {
  TRY_ASSIGN(Tensor y, allocate(call, call.input(0)->dtype(), shape.out));
  const T* x = call.input(0)->data<T>().data();
  T* out = y.mutable_data<T>().data();
  for_each_window(shape.planes, shape.axes, [&](const WindowVisit& visit) {
    const T* plane = x + visit.plane * shape.in_plane;
    T sum = 0;
    for (const int64_t offset : visit.offsets) sum += plane[offset];
    const int64_t count =
        op.count_include_pad ? visit.padded_count : static_cast<int64_t>(visit.offsets.size());
    out[visit.plane * shape.out_plane + visit.position] =
        count == 0 ? T(0) : sum / static_cast<T>(count);
  });
  return one(std::move(y));
}

}  // namespace

Result<Outputs> eval(const MaxPool& op, const Call& call) {
  TRY(need(call, 1, 1));
  TRY_ASSIGN(const PoolShape shape, pool_shape(call, op.window, op.ceil_mode));
  return with_compute_type(call.input(0)->dtype(), [&]<class T>() -> Result<Outputs> {
    return max_pool<T>(op, call, shape);
  });
}

Result<Outputs> eval(const AveragePool& op, const Call& call) {
  TRY(need(call, 1, 1));
  TRY_ASSIGN(const PoolShape shape, pool_shape(call, op.window, op.ceil_mode));
  return with_float_type(call.input(0)->dtype(), [&]<class T>() -> Result<Outputs> {
    return average_pool<T>(op, call, shape);
  });
}

Result<Outputs> eval(const GlobalPool& op, const Call& call) {
  TRY(need(call, 1, 1));
  const Tensor& x = *call.input(0);
  if (x.rank() < 2) return invalid_input("", "takes [N,C,...], but got " + to_string(x.shape()));
  Shape shape(x.rank(), 1);
  shape[0] = x.shape()[0];
  shape[1] = x.shape()[1];
  const int64_t count = product(x.shape(), 2, x.rank());
  if (count == 0) return invalid_input("", "has an empty image");
  return with_float_type(x.dtype(), [&]<class T>() -> Result<Outputs> {
    TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), shape));
    const T* in = x.data<T>().data();
    for (T& value : y.mutable_data<T>()) {
      if (op.kind == PoolKind::kMax) {
        value = in[0];
        for (int64_t i = 1; i < count; ++i) value = in[i] > value || in[i] != in[i] ? in[i] : value;
      } else {
        T sum = 0;
        for (int64_t i = 0; i < count; ++i) sum += in[i];
        value = sum / static_cast<T>(count);
      }
      in += count;
    }
    return one(std::move(y));
  });
}

}  // namespace graupel::ir::evaluator
