// Operators that move elements without looking at them: Reshape and kin, Transpose, Concat, Split,
// Slice, Gather, Pad, Expand, Tile, DepthToSpace, shape queries, Range, Dropout.
//
// Idea: everything that picks elements is a copy along strides: out[index] =
// in[start + sum index[d] * stride[d]], on bytes, so one loop serves every dtype.
// Reference: ONNX operator semantics, opset 17. Test: eval_move_test.cc.
#include <cstring>

#include "ir/eval_internal.h"

namespace graupel::ir::evaluator {
namespace {

// Copies elements of `size_bytes` from in[start + strides . index] to out in row-major order.
void copy_strided(const uint8_t* in, int64_t start, const std::vector<int64_t>& strides,
                  const Shape& shape, size_t size_bytes, uint8_t* out) {
  const int64_t length = shape.empty() ? 1 : shape.back();
  const int64_t step = shape.empty() ? 0 : strides.back();
  const auto unit = static_cast<int64_t>(size_bytes);
  for_each_row<1>(shape, std::array<std::vector<int64_t>, 1>{strides},
                  [&](int64_t row, const std::array<int64_t, 1>& at) {
                    const uint8_t* from = in + (start + at[0]) * unit;
                    uint8_t* to = out + row * unit;
                    if (step == 1) {
                      std::memcpy(to, from, static_cast<size_t>(length * unit));
                      return;
                    }
                    for (int64_t i = 0; i < length; ++i) {
                      std::memcpy(to + i * unit, from + i * step * unit, size_bytes);
                    }
                  });
}

Result<Outputs> strided(const Call& call, const Tensor& x, int64_t start,
                        const std::vector<int64_t>& strides, const Shape& shape) {
  TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), shape));
  if (y.size() == 0) return one(std::move(y));
  copy_strided(raw_bytes(x), start, strides, shape, element_size_bytes(x.dtype()), raw_bytes(y));
  return one(std::move(y));
}

Result<Outputs> with_shape(const Tensor& x, const Shape& shape) {
  const std::optional<int64_t> count = element_count(shape);
  if (!count || static_cast<size_t>(*count) != x.size()) {
    return invalid_input("",
                         "cannot give " + to_string(x.shape()) + " the shape " + to_string(shape));
  }
  return one(x.reshaped(shape));
}

// x seen as `view` (same elements), with its dimensions in the order `perm`, then as `shape`.
Result<Outputs> permuted(const Call& call, const Tensor& x, const Shape& view,
                         const std::vector<size_t>& perm, const Shape& shape) {
  const std::vector<int64_t> own = row_major_strides(view);
  Shape turned;
  std::vector<int64_t> strides;
  for (const size_t d : perm) {
    turned.push_back(view[d]);
    strides.push_back(own[d]);
  }
  TRY_ASSIGN(Outputs outputs, strided(call, x, 0, strides, turned));
  return with_shape(outputs[0], shape);
}

struct SliceAxis {
  int64_t start = 0, step = 1, count = 0;
};

// numpy's rules for one dimension: negative bounds count from the end, then both are clamped.
Result<SliceAxis> slice_axis(int64_t start, int64_t end, int64_t step, int64_t size) {
  if (step == 0) return invalid_input("", "has a step of 0");
  const auto clamp_bound = [&](int64_t bound) {
    if (bound < 0)
      bound = bound < -size ? -1 : bound + size;
    else if (bound > size)
      bound = size;
    return step > 0 ? std::clamp<int64_t>(bound, 0, size)
                    : std::clamp<int64_t>(bound, -1, size - 1);
  };
  SliceAxis axis;
  axis.start = clamp_bound(start);
  axis.step = step;
  const int64_t stop = clamp_bound(end);
  const int64_t span = step > 0 ? stop - axis.start : axis.start - stop;
  // A step beyond the size selects one element; clamping also keeps -INT64_MIN from overflowing.
  const int64_t stride = step > 0 ? step : -std::max(step, -(size + 1));
  axis.count = span <= 0 ? 0 : (span - 1) / stride + 1;
  return axis;
}

Result<int64_t> checked_index(int64_t index, int64_t size) {
  if (index < -size || index >= size) {
    return invalid_input("", "index " + std::to_string(index) + " is outside a dimension of " +
                                 std::to_string(size));
  }
  return index < 0 ? index + size : index;
}

Result<std::vector<int64_t>> index_values(const Call& call, const Tensor& indices, int64_t size) {
  if (indices.dtype() != DType::kInt64 && indices.dtype() != DType::kInt32) {
    return invalid_input("", "indices have to be int32 or int64");
  }
  TRY(reserve(call, indices.size(), sizeof(int64_t)));
  std::vector<int64_t> values = indices.to_int64s();
  for (int64_t& value : values) {
    TRY_ASSIGN(value, checked_index(value, size));
  }
  return values;
}

// Position in the input of position `at` of the padded dimension, or -1 for the constant.
int64_t pad_source(PadMode mode, int64_t at, int64_t size) {
  if (at >= 0 && at < size) return at;
  if (mode == PadMode::kConstant || size == 0) return -1;
  if (mode == PadMode::kEdge) return at < 0 ? 0 : size - 1;
  if (size == 1) return 0;
  const int64_t period = 2 * (size - 1);
  const int64_t phase = ((at % period) + period) % period;
  return phase < size ? phase : period - phase;
}

template <class T>
Result<Outputs> range(const Call& call) {
  const T start = call.input(0)->data<T>()[0], limit = call.input(1)->data<T>()[0];
  const T delta = call.input(2)->data<T>()[0];
  if (delta == T(0) || delta != delta) return invalid_input("", "has a step of 0");
  const double steps = std::ceil((static_cast<double>(limit) - static_cast<double>(start)) /
                                 static_cast<double>(delta));
  if (!(steps < 1e15)) return invalid_input("", "would yield too many numbers");
  const int64_t count = steps > 0 ? static_cast<int64_t>(steps) : 0;
  TRY_ASSIGN(Tensor y, allocate(call, call.input(0)->dtype(), {count}));
  const std::span<T> out = y.mutable_data<T>();
  for (size_t i = 0; i < out.size(); ++i) {
    if constexpr (std::is_integral_v<T>) {
      out[i] = static_cast<T>(static_cast<uint64_t>(start) +
                              static_cast<uint64_t>(i) * static_cast<uint64_t>(delta));
    } else {
      out[i] = start + static_cast<T>(i) * delta;
    }
  }
  return one(std::move(y));
}

}  // namespace

Result<Outputs> eval(const Flatten& op, const Call& call) {
  TRY(need(call, 1, 1));
  const Tensor& x = *call.input(0);
  const auto rank = static_cast<int64_t>(x.rank());
  if (op.axis < -rank || op.axis > rank) {
    return invalid_input("", "axis " + std::to_string(op.axis) + " is outside a tensor of rank " +
                                 std::to_string(rank));
  }
  const auto axis = static_cast<size_t>(op.axis < 0 ? op.axis + rank : op.axis);
  return with_shape(x, {product(x.shape(), 0, axis), product(x.shape(), axis, x.rank())});
}

Result<Outputs> eval(const Reshape& op, const Call& call) {
  TRY(need(call, 2, 2));
  const Tensor& x = *call.input(0);
  TRY_ASSIGN(Shape shape, int_list(*call.input(1), "shape"));
  std::optional<size_t> open;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0 && !op.allow_zero) {
      if (d >= x.rank()) return invalid_input("", "copies a dimension the input does not have");
      shape[d] = x.shape()[d];
    } else if (shape[d] == -1) {
      if (open) return invalid_input("", "has two open dimensions (-1)");
      open = d;
    }
  }
  if (open) {
    shape[*open] = 1;
    const std::optional<int64_t> known = element_count(shape);
    if (!known || *known == 0 || x.size() % static_cast<size_t>(*known) != 0) {
      shape[*open] = -1;
      return invalid_input(
          "", "cannot give " + to_string(x.shape()) + " the shape " + to_string(shape));
    }
    shape[*open] = static_cast<int64_t>(x.size()) / *known;
  }
  return with_shape(x, shape);
}

Result<Outputs> eval(const Transpose& op, const Call& call) {
  TRY(need(call, 1, 1));
  const Tensor& x = *call.input(0);
  std::vector<size_t> perm;
  std::vector<bool> seen(x.rank(), false);
  for (size_t d = x.rank(); d-- > 0 && op.perm.empty();) perm.push_back(d);
  for (const int64_t axis : op.perm) {
    if (axis < 0 || axis >= static_cast<int64_t>(x.rank()) || seen[static_cast<size_t>(axis)]) {
      return invalid_input("", "perm is not a permutation of the input's dimensions");
    }
    seen[static_cast<size_t>(axis)] = true;
    perm.push_back(static_cast<size_t>(axis));
  }
  if (perm.size() != x.rank()) return invalid_input("", "perm does not name every dimension");
  Shape shape;
  for (const size_t d : perm) shape.push_back(x.shape()[d]);
  return permuted(call, x, x.shape(), perm, shape);
}

Result<Outputs> eval(const Concat& op, const Call& call) {
  TRY(need(call, std::max<size_t>(1, call.inputs.size()), call.inputs.size()));
  const Tensor& first = *call.input(0);
  TRY_ASSIGN(const size_t axis, resolve_axis(op.axis, first.rank()));
  Shape shape = first.shape();
  shape[axis] = 0;
  for (const Tensor* input : call.inputs) {
    Shape expected = input->shape();
    if (input->rank() != first.rank() || input->dtype() != first.dtype()) {
      return invalid_input("", "mixes ranks or dtypes");
    }
    expected[axis] = first.shape()[axis];
    if (expected != first.shape()) {
      return invalid_input("", "joins " + to_string(first.shape()) + " and " +
                                   to_string(input->shape()) + ", which differ beside the axis");
    }
    if (input->shape()[axis] > (int64_t{1} << 48)) return invalid_input("", "is too large");
    shape[axis] += input->shape()[axis];
  }
  TRY_ASSIGN(Tensor y, allocate(call, first.dtype(), shape));
  if (y.size() == 0) return one(std::move(y));
  const auto inner = static_cast<size_t>(product(shape, axis + 1, shape.size())) *
                     element_size_bytes(first.dtype());
  uint8_t* to = raw_bytes(y);
  for (int64_t outer = 0; outer < product(shape, 0, axis); ++outer) {
    for (const Tensor* input : call.inputs) {
      const size_t block = static_cast<size_t>(input->shape()[axis]) * inner;
      if (block == 0) continue;
      std::memcpy(to, raw_bytes(*input) + static_cast<size_t>(outer) * block, block);
      to += block;
    }
  }
  return one(std::move(y));
}

Result<Outputs> eval(const Split& op, const Call& call) {
  TRY(need(call, 1, 2));
  const Tensor& x = *call.input(0);
  TRY_ASSIGN(const size_t axis, resolve_axis(op.axis, x.rank()));
  const int64_t size = x.shape()[axis];
  const auto parts = static_cast<int64_t>(call.output_count);
  Ints sizes;
  if (call.input(1) != nullptr) {
    TRY_ASSIGN(sizes, int_list(*call.input(1), "split"));
  } else if (parts > 0) {
    // Even parts; what does not divide makes the last one smaller (opset 18's rule).
    const int64_t chunk = (size + parts - 1) / parts;
    for (int64_t i = 0; i < parts; ++i) {
      sizes.push_back(std::clamp<int64_t>(size - i * chunk, 0, chunk));
    }
  }
  int64_t total = 0;
  for (const int64_t part : sizes) {
    if (part < 0 || part > size) return invalid_input("", "has an impossible split size");
    total += part;
  }
  if (total != size || sizes.size() != call.output_count) {
    return invalid_input("", "split sizes add up to " + std::to_string(total) + " in " +
                                 std::to_string(sizes.size()) + " parts, but " +
                                 std::to_string(size) + " in " + std::to_string(call.output_count) +
                                 " are needed");
  }
  const std::vector<int64_t> strides = row_major_strides(x.shape());
  Outputs outputs;
  int64_t start = 0;
  for (const int64_t part : sizes) {
    Shape shape = x.shape();
    shape[axis] = part;
    TRY_ASSIGN(Outputs piece, strided(call, x, start * strides[axis], strides, shape));
    outputs.push_back(std::move(piece[0]));
    start += part;
  }
  return outputs;
}

Result<Outputs> eval(const Squeeze&, const Call& call) {
  TRY(need(call, 1, 2));
  const Tensor& x = *call.input(0);
  using Axes = std::optional<std::vector<size_t>>;
  TRY_ASSIGN(const Axes axes, axes_input(call.input(1), x.rank()));
  Shape shape;
  for (size_t d = 0; d < x.rank(); ++d) {
    const bool named = axes && std::find(axes->begin(), axes->end(), d) != axes->end();
    if (named && x.shape()[d] != 1) {
      return invalid_input(
          "", "dimension " + std::to_string(d) + " of " + to_string(x.shape()) + " is not 1");
    }
    if (!named && (axes || x.shape()[d] != 1)) shape.push_back(x.shape()[d]);
  }
  return with_shape(x, shape);
}

Result<Outputs> eval(const Unsqueeze&, const Call& call) {
  TRY(need(call, 2, 2));
  const Tensor& x = *call.input(0);
  const size_t rank = x.rank() + call.input(1)->size();
  using Axes = std::optional<std::vector<size_t>>;
  if (rank > 64) return invalid_input("", "would yield more than 64 dimensions");
  TRY_ASSIGN(const Axes axes, axes_input(call.input(1), rank));
  Shape shape(rank, 0);
  for (const size_t axis : *axes) shape[axis] = -1;
  size_t next = 0;
  for (int64_t& dim : shape) dim = dim == -1 ? 1 : x.shape()[next++];
  return with_shape(x, shape);
}

Result<Outputs> eval(const Slice&, const Call& call) {
  TRY(need(call, 3, 5));
  const Tensor& x = *call.input(0);
  TRY_ASSIGN(const Ints starts, int_list(*call.input(1), "starts"));
  TRY_ASSIGN(const Ints ends, int_list(*call.input(2), "ends"));
  using Axes = std::optional<std::vector<size_t>>;
  TRY_ASSIGN(Axes axes, axes_input(call.input(3), x.rank()));
  Ints steps(starts.size(), 1);
  if (call.input(4) != nullptr) {
    TRY_ASSIGN(steps, int_list(*call.input(4), "steps"));
  }
  if (!axes) {
    axes.emplace();
    for (size_t d = 0; d < starts.size(); ++d) axes->push_back(d);
  }
  if (ends.size() != starts.size() || steps.size() != starts.size() ||
      axes->size() != starts.size() || starts.size() > x.rank()) {
    return invalid_input("", "starts, ends, axes and steps differ in length");
  }
  std::vector<int64_t> strides = row_major_strides(x.shape());
  Shape shape = x.shape();
  int64_t start = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t d = (*axes)[i];
    TRY_ASSIGN(const SliceAxis axis, slice_axis(starts[i], ends[i], steps[i], x.shape()[d]));
    shape[d] = axis.count;
    if (axis.count > 0) start += axis.start * strides[d];
    strides[d] = axis.count > 1 ? strides[d] * axis.step : 0;
  }
  return strided(call, x, start, strides, shape);
}

Result<Outputs> eval(const Gather& op, const Call& call) {
  TRY(need(call, 2, 2));
  const Tensor& x = *call.input(0);
  const Tensor& indices = *call.input(1);
  TRY_ASSIGN(const size_t axis, resolve_axis(op.axis, x.rank()));
  TRY_ASSIGN(const std::vector<int64_t> picked, index_values(call, indices, x.shape()[axis]));
  Shape shape(x.shape().begin(), x.shape().begin() + static_cast<int64_t>(axis));
  shape.insert(shape.end(), indices.shape().begin(), indices.shape().end());
  shape.insert(shape.end(), x.shape().begin() + static_cast<int64_t>(axis) + 1, x.shape().end());
  TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), shape));
  const auto inner =
      static_cast<size_t>(product(x.shape(), axis + 1, x.rank())) * element_size_bytes(x.dtype());
  if (y.size() == 0) return one(std::move(y));
  uint8_t* to = raw_bytes(y);
  for (int64_t outer = 0; outer < product(x.shape(), 0, axis); ++outer) {
    for (const int64_t index : picked) {
      const auto from = static_cast<size_t>(outer * x.shape()[axis] + index);
      std::memcpy(to, raw_bytes(x) + from * inner, inner);
      to += inner;
    }
  }
  return one(std::move(y));
}

Result<Outputs> eval(const GatherElements& op, const Call& call) {
  TRY(need(call, 2, 2));
  const Tensor& x = *call.input(0);
  const Tensor& indices = *call.input(1);
  TRY_ASSIGN(const size_t axis, resolve_axis(op.axis, x.rank()));
  if (indices.rank() != x.rank()) return invalid_input("", "indices and input differ in rank");
  for (size_t d = 0; d < x.rank(); ++d) {
    if (d != axis && indices.shape()[d] > x.shape()[d]) {
      return invalid_input("", "indices " + to_string(indices.shape()) + " exceed the input " +
                                   to_string(x.shape()));
    }
  }
  TRY_ASSIGN(const std::vector<int64_t> picked, index_values(call, indices, x.shape()[axis]));
  TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), indices.shape()));
  if (y.size() == 0) return one(std::move(y));
  std::vector<int64_t> strides = row_major_strides(x.shape());
  const int64_t axis_stride = strides[axis];
  strides[axis] = 0;
  const size_t size_bytes = element_size_bytes(x.dtype());
  const int64_t length = indices.shape().back(), step = strides.back();
  uint8_t* to = raw_bytes(y);
  for_each_row<1>(indices.shape(), std::array<std::vector<int64_t>, 1>{strides},
                  [&](int64_t start, const std::array<int64_t, 1>& at) {
                    for (int64_t i = start; i < start + length; ++i) {
                      const int64_t from =
                          at[0] + (i - start) * step + picked[static_cast<size_t>(i)] * axis_stride;
                      std::memcpy(to + static_cast<size_t>(i) * size_bytes,
                                  raw_bytes(x) + static_cast<size_t>(from) * size_bytes,
                                  size_bytes);
                    }
                  });
  return one(std::move(y));
}

Result<Outputs> eval(const Pad& op, const Call& call) {
  TRY(need(call, 2, 3));
  const Tensor& x = *call.input(0);
  const Tensor* value = call.input(2);
  TRY_ASSIGN(const Ints pads, int_list(*call.input(1), "pads"));
  if (pads.size() != 2 * x.rank()) {
    return invalid_input("", "has " + std::to_string(pads.size()) + " pads, but " +
                                 std::to_string(2 * x.rank()) + " are needed");
  }
  if (value != nullptr && (value->size() != 1 || value->dtype() != x.dtype())) {
    return invalid_input("", "takes one constant value of the input's dtype");
  }
  Shape shape;
  for (size_t d = 0; d < x.rank(); ++d) {
    constexpr int64_t kLimit = int64_t{1} << 40;
    const int64_t begin = pads[d], end = pads[x.rank() + d];
    if (std::max(begin, end) > kLimit || std::min(begin, end) < -kLimit ||
        x.shape()[d] + begin + end < 0) {
      return invalid_input("", "pads dimension " + std::to_string(d) + " of " +
                                   to_string(x.shape()) + " by an impossible amount");
    }
    shape.push_back(x.shape()[d] + begin + end);
    if (op.mode != PadMode::kConstant && x.shape()[d] == 0 && shape.back() > 0) {
      return invalid_input("", "repeats the edge of an empty dimension");
    }
  }
  TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), shape));
  if (y.size() == 0) return one(std::move(y));
  const size_t size_bytes = element_size_bytes(x.dtype());
  const std::vector<int64_t> strides = row_major_strides(x.shape());
  const std::vector<uint8_t> zero(size_bytes, 0);
  const uint8_t* filler = value != nullptr ? raw_bytes(*value) : zero.data();
  uint8_t* to = raw_bytes(y);
  std::vector<int64_t> index(shape.size(), 0);
  for (size_t i = 0; i < y.size(); ++i) {
    int64_t from = 0;
    for (size_t d = 0; d < shape.size() && from >= 0; ++d) {
      const int64_t source = pad_source(op.mode, index[d] - pads[d], x.shape()[d]);
      from = source < 0 ? -1 : from + source * strides[d];
    }
    std::memcpy(to + i * size_bytes,
                from < 0 ? filler : raw_bytes(x) + static_cast<size_t>(from) * size_bytes,
                size_bytes);
    for (size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
  return one(std::move(y));
}

Result<Outputs> eval(const Expand&, const Call& call) {
  TRY(need(call, 2, 2));
  const Tensor& x = *call.input(0);
  TRY_ASSIGN(const Shape wanted, int_list(*call.input(1), "shape"));
  TRY_ASSIGN(const Shape shape, broadcast(x.shape(), wanted));
  return strided(call, x, 0, broadcast_strides(x.shape(), shape), shape);
}

Result<Outputs> eval(const Tile&, const Call& call) {
  TRY(need(call, 2, 2));
  const Tensor& x = *call.input(0);
  TRY_ASSIGN(const Ints repeats, int_list(*call.input(1), "repeats"));
  if (repeats.size() != x.rank()) {
    return invalid_input("", "has " + std::to_string(repeats.size()) + " repeats for rank " +
                                 std::to_string(x.rank()));
  }
  // Every dimension becomes (repeat, size), the repeat with stride 0.
  const std::vector<int64_t> own = row_major_strides(x.shape());
  Shape split, shape;
  std::vector<int64_t> strides;
  for (size_t d = 0; d < x.rank(); ++d) {
    if (repeats[d] < 0 || repeats[d] > (int64_t{1} << 40) ||
        (x.shape()[d] > 0 && repeats[d] > (int64_t{1} << 48) / x.shape()[d])) {
      return invalid_input("", "repeats dimension " + std::to_string(d) + " an impossible " +
                                   std::to_string(repeats[d]) + " times");
    }
    split.insert(split.end(), {repeats[d], x.shape()[d]});
    strides.insert(strides.end(), {0, own[d]});
    shape.push_back(repeats[d] * x.shape()[d]);
  }
  TRY_ASSIGN(Outputs outputs, strided(call, x, 0, strides, split));
  return with_shape(outputs[0], shape);
}

Result<Outputs> eval(const ConstantOfShape& op, const Call& call) {
  TRY(need(call, 1, 1));
  TRY_ASSIGN(const Shape shape, int_list(*call.input(0), "shape"));
  if (op.value.size() != 1) return invalid_input("", "takes a value of one element");
  const Tensor value = op.value.reshaped({});
  TRY_ASSIGN(const Shape checked, broadcast(value.shape(), shape));
  return strided(call, value, 0, std::vector<int64_t>(checked.size(), 0), checked);
}

Result<Outputs> eval(const ShapeOf& op, const Call& call) {
  TRY(need(call, 1, 1));
  const Shape& shape = call.input(0)->shape();
  const auto rank = static_cast<int64_t>(shape.size());
  const auto bound = [&](int64_t at) {
    return at < 0 ? (at < -rank ? 0 : at + rank) : std::min(at, rank);
  };
  const int64_t start = bound(op.start), end = std::max(start, bound(op.end.value_or(rank)));
  const std::vector<int64_t> dims(shape.begin() + start, shape.begin() + end);
  return one(Tensor::of<int64_t>({end - start}, dims));
}

Result<Outputs> eval(const SizeOf&, const Call& call) {
  TRY(need(call, 1, 1));
  return one(Tensor::scalar<int64_t>(static_cast<int64_t>(call.input(0)->size())));
}

Result<Outputs> eval(const Range&, const Call& call) {
  TRY(need(call, 3, 3));
  for (const Tensor* input : call.inputs) {
    if (input->size() != 1 || input->dtype() != call.input(0)->dtype()) {
      return invalid_input("", "takes three scalars of one dtype");
    }
  }
  return with_compute_type(call.input(0)->dtype(),
                           [&]<class T>() -> Result<Outputs> { return range<T>(call); });
}

Result<Outputs> eval(const Dropout&, const Call& call) {
  TRY(need(call, 1, 3));
  const Tensor& x = *call.input(0);
  const Tensor* ratio = call.input(1);
  const Tensor* training = call.input(2);
  if ((ratio != nullptr && ratio->size() != 1) ||
      (training != nullptr && (training->size() != 1 || training->dtype() != DType::kBool))) {
    return invalid_input("", "takes a scalar ratio and a bool scalar training_mode");
  }
  const bool zero_ratio = ratio != nullptr && ratio->to_doubles()[0] == 0.0;
  if (training != nullptr && raw_bytes(*training)[0] != 0 && !zero_ratio) {
    return unsupported("", "is in training mode, whose mask is random; export for inference");
  }
  Outputs outputs = one(x);
  if (call.output_count > 1) {
    TRY_ASSIGN(Tensor mask, allocate(call, DType::kBool, x.shape()));
    std::fill_n(raw_bytes(mask), mask.size(), uint8_t{1});
    outputs.push_back(std::move(mask));
  }
  return outputs;
}

Result<Outputs> eval(const DepthToSpace& op, const Call& call) {
  TRY(need(call, 1, 1));
  const Tensor& x = *call.input(0);
  const Shape& s = x.shape();
  const int64_t b = op.block;
  if (s.size() != 4 || b < 1 || b > (1 << 20) || s[1] % (b * b) != 0) {
    return invalid_input("", "cannot split the channels of " + to_string(s) + " into blocks of " +
                                 std::to_string(b));
  }
  const int64_t c = s[1] / (b * b);
  const Shape out = {s[0], c, s[2] * b, s[3] * b};
  if (op.order == DepthOrder::kDepthColumnRow) {
    return permuted(call, x, {s[0], b, b, c, s[2], s[3]}, {0, 3, 4, 1, 5, 2}, out);
  }
  return permuted(call, x, {s[0], c, b, b, s[2], s[3]}, {0, 1, 4, 2, 5, 3}, out);
}

Result<Outputs> eval(const SpaceToDepth& op, const Call& call) {
  TRY(need(call, 1, 1));
  const Tensor& x = *call.input(0);
  const Shape& s = x.shape();
  const int64_t b = op.block;
  if (s.size() != 4 || b < 1 || b > (1 << 20) || s[2] % b != 0 || s[3] % b != 0 ||
      s[1] > (int64_t{1} << 20)) {
    return invalid_input("", "cannot cut " + to_string(s) + " into blocks of " + std::to_string(b));
  }
  return permuted(call, x, {s[0], s[1], s[2] / b, b, s[3] / b, b}, {0, 3, 5, 1, 2, 4},
                  {s[0], s[1] * b * b, s[2] / b, s[3] / b});
}

}  // namespace graupel::ir::evaluator
