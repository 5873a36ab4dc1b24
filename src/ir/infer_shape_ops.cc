// Types of operators that move, select or make elements: reshaping, slicing, gathering, resizing.
//
// Idea: operands that decide a shape (axes, pads, sizes, ...) are read where their contents are
// known; otherwise the output's shape is unknown and only dtypes and ranks are checked.
// Reference: ONNX operator semantics, opset 17. Test: infer_types_test.cc.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/infer.h"

namespace graupel::ir::infer {
namespace {

// The product of shape[first, last), saturating above kMaxElements.
int64_t product(const Shape& shape, size_t first, size_t last) {
  const Shape part(shape.begin() + static_cast<int64_t>(first),
                   shape.begin() + static_cast<int64_t>(last));
  return element_count(part, kMaxElements).value_or(kMaxElements + 1);
}

Types unknown(const Operands& in) { return one(in[0].dtype, std::nullopt); }

// Number of elements of a [start:end:step] slice of a dimension, as numpy counts it.
int64_t slice_length(int64_t dim, int64_t start, int64_t end, int64_t step) {
  if (dim == 0) return 0;
  step = std::max(step, -std::numeric_limits<int64_t>::max());
  if (start < 0) start += dim;
  if (end < 0) end += dim;
  if (step > 0) {
    start = std::clamp(start, int64_t{0}, dim);
    end = std::clamp(end, int64_t{0}, dim);
    return end > start ? (end - start - 1) / step + 1 : 0;
  }
  start = std::clamp(start, int64_t{0}, dim - 1);
  end = std::clamp(end, int64_t{-1}, dim - 1);
  return start > end ? (start - end - 1) / -step + 1 : 0;
}

Result<Shape> reshaped(const Ints& wanted, const Shape* x, bool allow_zero) {
  Shape out = wanted;
  std::optional<size_t> free_axis;
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == 0 && !allow_zero && x != nullptr) {
      if (i >= x->size()) {
        return refuse(
            fmt::format("shape copies dimension {}, but the input has shape {}", i, to_string(*x)));
      }
      out[i] = (*x)[i];
    } else if (out[i] == -1 && !free_axis) {
      free_axis = i;
      out[i] = 1;
    } else if (out[i] < 0) {
      return refuse(
          fmt::format("shape has the entry {}, expected sizes and at most one -1", wanted[i]));
    }
  }
  if (x == nullptr) return out;
  const int64_t have = product(*x, 0, x->size());
  const int64_t rest = product(out, 0, out.size());
  if (free_axis && rest > 0 && have % rest == 0) {
    out[*free_axis] = have / rest;
  } else if (free_axis || have != rest) {
    return refuse(fmt::format("cannot view {} as {}: the numbers of elements differ", to_string(*x),
                              to_string(wanted)));
  }
  return out;
}

Result<Types> infer_even_split(const Split& op, const Operands& in, const Shape& x) {
  TRY_ASSIGN(const int64_t axis, resolve_axis(op.axis, rank_of(x)));
  const auto parts = static_cast<int64_t>(in.output_count);
  const int64_t dim = x[static_cast<size_t>(axis)];
  // Where the parts cannot be equal, the last one is smaller (opset 18's num_outputs).
  const int64_t chunk = (dim + parts - 1) / parts;
  const int64_t last = dim - chunk * (parts - 1);
  if (last < 0) return refuse(fmt::format("cannot split {} elements into {} parts", dim, parts));
  Types types(in.output_count, {in[0].dtype, x});
  for (ValueType& type : types) (*type.shape)[static_cast<size_t>(axis)] = chunk;
  (*types.back().shape)[static_cast<size_t>(axis)] = last;
  return types;
}

// Scales of a Resize are float32, and so is the product, in ONNX as in its runtimes.
Result<int64_t> scaled(int64_t dim, float scale) {
  const float size = std::floor(static_cast<float>(dim) * scale);
  if (!(scale > 0.0f) || !(size <= static_cast<float>(kMaxElements))) {
    return refuse(fmt::format("cannot scale {} by {}", dim, scale));
  }
  return static_cast<int64_t>(size);
}

// Per axis the part of the input that crop-and-resize covers; ones for the other modes.
Result<std::vector<float>> roi_extent(const Resize& op, const Operands& in, size_t rank) {
  std::vector<float> extent(rank, 1.0f);
  if (op.coordinates != ResizeCoordinates::kCropAndResize) return extent;
  if (!in.has(1)) return refuse("roi is omitted, but required by tf_crop_and_resize");
  if (in[1].constant == nullptr) return std::vector<float>();
  if (in[1].constant->size() != 2 * rank) {
    return refuse(fmt::format("roi has {} entries, expected {}", in[1].constant->size(), 2 * rank));
  }
  const std::vector<double> roi = in[1].constant->to_doubles();
  for (size_t i = 0; i < rank; ++i) extent[i] = static_cast<float>(roi[i + rank] - roi[i]);
  return extent;
}

Result<Types> resize_by_scales(const Resize& op, const Operands& in) {
  TRY(check_kind(in, 2, "scales", Kinds::kFloat));
  const Shape* x = in.shape(0);
  if (x == nullptr || in[2].constant == nullptr) return unknown(in);
  if (in[2].constant->size() != x->size()) {
    return refuse(fmt::format("scales has {} entries, expected {} for an input of shape {}",
                              in[2].constant->size(), x->size(), to_string(*x)));
  }
  TRY_ASSIGN(const std::vector<float> extent, roi_extent(op, in, x->size()));
  if (extent.empty() && !x->empty()) return unknown(in);
  const std::vector<double> scales = in[2].constant->to_doubles();
  Shape out = *x;
  for (size_t i = 0; i < out.size(); ++i) {
    TRY_ASSIGN(out[i], scaled(out[i], static_cast<float>(scales[i]) * extent[i]));
  }
  return one(in[0].dtype, std::move(out));
}

Result<std::optional<int64_t>> range_length(const Operands& in) {
  const bool known =
      in[0].constant != nullptr && in[1].constant != nullptr && in[2].constant != nullptr;
  if (!known) return std::optional<int64_t>();
  for (size_t i = 0; i < 3; ++i) {
    if (in[i].constant->size() != 1) return refuse("start, limit and delta have to be scalars");
  }
  if (is_float(in[0].dtype)) {
    const double start = in[0].constant->to_doubles()[0];
    const double span = in[1].constant->to_doubles()[0] - start;
    const double count = std::ceil(span / in[2].constant->to_doubles()[0]);
    if (!(count <= static_cast<double>(kMaxElements)))
      return refuse("range has no or too many elements");
    return std::optional<int64_t>(static_cast<int64_t>(std::max(count, 0.0)));
  }
  const int64_t start = in[0].constant->to_int64s()[0];
  const int64_t limit = in[1].constant->to_int64s()[0];
  const int64_t delta = in[2].constant->to_int64s()[0];
  if (delta == 0) return refuse("delta is 0");
  if (delta > 0 ? limit <= start : limit >= start) return std::optional<int64_t>(0);
  // Unsigned differences and steps cannot overflow whatever the signs.
  const auto low = static_cast<uint64_t>(std::min(start, limit));
  const auto high = static_cast<uint64_t>(std::max(start, limit));
  const uint64_t step =
      delta > 0 ? static_cast<uint64_t>(delta) : uint64_t{0} - static_cast<uint64_t>(delta);
  const uint64_t count = (high - low - 1) / step + 1;
  if (count > static_cast<uint64_t>(kMaxElements)) return refuse("range has too many elements");
  return std::optional<int64_t>(static_cast<int64_t>(count));
}

}  // namespace

Result<Types> infer(const Flatten& op, const Operands& in) {
  const Shape* x = in.shape(0);
  if (x == nullptr) return unknown(in);
  const int64_t rank = rank_of(*x);
  if (op.axis < -rank || op.axis > rank) {
    return refuse(fmt::format("axis {} is outside of [{}, {}]", op.axis, -rank, rank));
  }
  const auto axis = static_cast<size_t>(op.axis < 0 ? op.axis + rank : op.axis);
  return one(in[0].dtype, Shape{product(*x, 0, axis), product(*x, axis, x->size())});
}

Result<Types> infer(const Reshape& op, const Operands& in) {
  TRY_ASSIGN(const MaybeInts wanted, integers(in, 1, "shape"));
  if (!wanted) return unknown(in);
  const Shape* x = in.shape(0);
  TRY_ASSIGN(Shape out, reshaped(*wanted, x, op.allow_zero));
  const bool needs_input = std::any_of(wanted->begin(), wanted->end(), [&](int64_t dim) {
    return dim == -1 || (dim == 0 && !op.allow_zero);
  });
  if (x == nullptr && needs_input) return unknown(in);
  return one(in[0].dtype, std::move(out));
}

Result<Types> infer(const Transpose& op, const Operands& in) {
  const Shape* x = in.shape(0);
  if (x == nullptr) return unknown(in);
  if (op.perm.empty()) return one(in[0].dtype, Shape(x->rbegin(), x->rend()));
  if (op.perm.size() != x->size()) {
    return refuse(fmt::format("perm has {} entries, but the input has shape {}", op.perm.size(),
                              to_string(*x)));
  }
  TRY_ASSIGN(const Ints perm, resolve_axes(op.perm, rank_of(*x)));
  Shape out;
  for (const int64_t axis : perm) out.push_back((*x)[static_cast<size_t>(axis)]);
  return one(in[0].dtype, std::move(out));
}

Result<Types> infer(const Concat& op, const Operands& in) {
  MaybeShape out;
  bool known = true;
  int64_t total = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    if (!in.has(i)) return refuse(fmt::format("input {} is omitted, but required", i));
    TRY(check_same_dtype(in, {0, i}));
    const Shape* shape = in.shape(i);
    known = known && shape != nullptr;
    if (shape == nullptr) continue;
    TRY_ASSIGN(const int64_t axis, resolve_axis(op.axis, rank_of(*shape)));
    const auto at = static_cast<size_t>(axis);
    if (!out) out = *shape;
    Shape fitted = *shape;
    if (fitted.size() == out->size()) fitted[at] = (*out)[at];
    if (fitted != *out) {
      return refuse(fmt::format("input {} has shape {}, which does not fit {} along axis {}", i,
                                to_string(*shape), to_string(*out), op.axis));
    }
    total = std::min(total + (*shape)[at], kMaxElements + 1);
  }
  if (!known || !out) return unknown(in);
  TRY_ASSIGN(const int64_t axis, resolve_axis(op.axis, rank_of(*out)));
  (*out)[static_cast<size_t>(axis)] = total;
  return one(in[0].dtype, std::move(out));
}

Result<Types> infer(const Split& op, const Operands& in) {
  TRY_ASSIGN(const MaybeInts sizes, integers(in, 1, "split"));
  const Shape* x = in.shape(0);
  if (x != nullptr && !in.has(1)) return infer_even_split(op, in, *x);
  Types types(in.output_count, {in[0].dtype, std::nullopt});
  if (sizes && sizes->size() != in.output_count) {
    return refuse(
        fmt::format("split has {} entries for {} outputs", sizes->size(), in.output_count));
  }
  if (x == nullptr || !sizes) return types;
  TRY_ASSIGN(const int64_t axis, resolve_axis(op.axis, rank_of(*x)));
  const int64_t dim = (*x)[static_cast<size_t>(axis)];
  int64_t rest = dim;
  for (size_t i = 0; i < types.size(); ++i) {
    const int64_t size = (*sizes)[i];
    if (size < 0 || size > rest) break;
    rest -= size;
    types[i].shape = *x;
    (*types[i].shape)[static_cast<size_t>(axis)] = size;
  }
  if (rest != 0 || (!types.empty() && !types.back().shape)) {
    return refuse(fmt::format("split sizes {} do not add up to {}", to_string(*sizes), dim));
  }
  return types;
}

Result<Types> infer(const Squeeze&, const Operands& in) {
  TRY_ASSIGN(const MaybeInts axes, integers(in, 1, "axes"));
  const Shape* x = in.shape(0);
  if (x == nullptr || (in.has(1) && !axes)) return unknown(in);
  std::vector<bool> dropped(x->size(), false);
  if (axes) {
    TRY_ASSIGN(const Ints resolved, resolve_axes(*axes, rank_of(*x)));
    for (const int64_t axis : resolved) {
      if ((*x)[static_cast<size_t>(axis)] != 1) {
        return refuse(fmt::format("axis {} of shape {} is not 1", axis, to_string(*x)));
      }
      dropped[static_cast<size_t>(axis)] = true;
    }
  }
  Shape out;
  for (size_t i = 0; i < x->size(); ++i) {
    const bool drop = axes ? dropped[i] : (*x)[i] == 1;
    if (!drop) out.push_back((*x)[i]);
  }
  return one(in[0].dtype, std::move(out));
}

Result<Types> infer(const Unsqueeze&, const Operands& in) {
  TRY_ASSIGN(const MaybeInts axes, integers(in, 1, "axes"));
  const Shape* x = in.shape(0);
  if (x == nullptr || !axes) return unknown(in);
  const size_t rank = x->size() + axes->size();
  TRY_ASSIGN(const Ints resolved, resolve_axes(*axes, static_cast<int64_t>(rank)));
  std::vector<bool> inserted(rank, false);
  for (const int64_t axis : resolved) inserted[static_cast<size_t>(axis)] = true;
  Shape out;
  size_t next = 0;
  for (size_t i = 0; i < rank; ++i) out.push_back(inserted[i] ? 1 : (*x)[next++]);
  return one(in[0].dtype, std::move(out));
}

Result<Types> infer(const Slice&, const Operands& in) {
  TRY_ASSIGN(const MaybeInts starts, integers(in, 1, "starts"));
  TRY_ASSIGN(const MaybeInts ends, integers(in, 2, "ends"));
  TRY_ASSIGN(MaybeInts axes, integers(in, 3, "axes"));
  TRY_ASSIGN(MaybeInts steps, integers(in, 4, "steps"));
  const Shape* x = in.shape(0);
  const bool known = starts && ends && (axes || !in.has(3)) && (steps || !in.has(4));
  if (x == nullptr || !known) return unknown(in);
  if (!axes) {
    axes = Ints(starts->size());
    for (size_t i = 0; i < axes->size(); ++i) (*axes)[i] = static_cast<int64_t>(i);
  }
  if (!steps) steps = Ints(starts->size(), 1);
  if (ends->size() != starts->size() || axes->size() != starts->size() ||
      steps->size() != starts->size()) {
    return refuse(fmt::format("starts, ends, axes and steps have {}, {}, {} and {} entries",
                              starts->size(), ends->size(), axes->size(), steps->size()));
  }
  TRY_ASSIGN(const Ints resolved, resolve_axes(*axes, rank_of(*x)));
  Shape out = *x;
  for (size_t i = 0; i < resolved.size(); ++i) {
    if ((*steps)[i] == 0) return refuse("steps has a 0");
    int64_t& dim = out[static_cast<size_t>(resolved[i])];
    dim = slice_length(dim, (*starts)[i], (*ends)[i], (*steps)[i]);
  }
  return one(in[0].dtype, std::move(out));
}

Result<Types> infer(const Gather& op, const Operands& in) {
  TRY(check_kind(in, 1, "indices", Kinds::kIndex));
  const Shape* x = in.shape(0);
  if (x == nullptr) return unknown(in);
  TRY_ASSIGN(const int64_t axis, resolve_axis(op.axis, rank_of(*x)));
  const Shape* indices = in.shape(1);
  if (indices == nullptr) return unknown(in);
  Shape out(x->begin(), x->begin() + axis);
  out.insert(out.end(), indices->begin(), indices->end());
  out.insert(out.end(), x->begin() + axis + 1, x->end());
  return one(in[0].dtype, std::move(out));
}

Result<Types> infer(const GatherElements& op, const Operands& in) {
  TRY(check_kind(in, 1, "indices", Kinds::kIndex));
  const Shape* x = in.shape(0);
  const Shape* indices = in.shape(1);
  if (x != nullptr) TRY(resolve_axis(op.axis, rank_of(*x)));
  if (x != nullptr && indices != nullptr && x->size() != indices->size()) {
    return refuse(
        fmt::format("indices have shape {}, but the input {}", to_string(*indices), to_string(*x)));
  }
  return one(in[0].dtype, in[1].shape);
}

Result<Types> infer(const Pad&, const Operands& in) {
  TRY_ASSIGN(const MaybeInts pads, integers(in, 1, "pads"));
  TRY(check_same_dtype(in, {0, 2}));
  TRY(check_scalar(in, 2, "value"));
  const Shape* x = in.shape(0);
  if (x == nullptr || !pads) return unknown(in);
  const size_t rank = x->size();
  if (pads->size() != 2 * rank) {
    return refuse(fmt::format("pads has {} entries, expected {} for an input of shape {}",
                              pads->size(), 2 * rank, to_string(*x)));
  }
  Shape out = *x;
  for (size_t i = 0; i < 2 * rank; ++i) {
    if ((*pads)[i] > kMaxElements || (*pads)[i] < -kMaxElements) {
      return refuse(fmt::format("pads has the entry {}", (*pads)[i]));
    }
    out[i % rank] += (*pads)[i];
  }
  return one(in[0].dtype, std::move(out));
}

Result<Types> infer(const Expand&, const Operands& in) {
  TRY_ASSIGN(const MaybeInts wanted, integers(in, 1, "shape"));
  const Shape* x = in.shape(0);
  if (x == nullptr || !wanted) return unknown(in);
  TRY_ASSIGN(Shape out, broadcast(*x, *wanted));
  return one(in[0].dtype, std::move(out));
}

Result<Types> infer(const Tile&, const Operands& in) {
  TRY_ASSIGN(const MaybeInts repeats, integers(in, 1, "repeats"));
  const Shape* x = in.shape(0);
  if (x == nullptr || !repeats) return unknown(in);
  if (repeats->size() != x->size()) {
    return refuse(fmt::format("repeats has {} entries, but the input has shape {}", repeats->size(),
                              to_string(*x)));
  }
  Shape out = *x;
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t count = (*repeats)[i];
    if (count < 0 || count > kMaxElements || (count > 0 && out[i] > kMaxElements / count)) {
      return refuse(fmt::format("cannot repeat {} elements {} times", out[i], count));
    }
    out[i] *= count;
  }
  return one(in[0].dtype, std::move(out));
}

Result<Types> infer(const ConstantOfShape& op, const Operands& in) {
  if (op.value.size() != 1) {
    return refuse(fmt::format("value has {} elements, expected 1", op.value.size()));
  }
  TRY_ASSIGN(MaybeInts shape, integers(in, 0, "shape"));
  // A shape with no entries makes a scalar; it needs no contents to be known.
  if (!shape && in.shape(0) != nullptr && element_count(*in.shape(0)) == 0) shape = Ints();
  return one(op.value.dtype(), std::move(shape));
}

Result<Types> infer(const ShapeOf& op, const Operands& in) {
  const Shape* x = in.shape(0);
  if (x == nullptr) return one(DType::kInt64, std::nullopt);
  const int64_t rank = rank_of(*x);
  const auto bound = [&](int64_t at) {
    return std::clamp(at < 0 ? at + rank : at, int64_t{0}, rank);
  };
  const int64_t length = bound(op.end.value_or(rank)) - bound(op.start);
  return one(DType::kInt64, Shape{std::max(length, int64_t{0})});
}

Result<Types> infer(const SizeOf&, const Operands&) { return one(DType::kInt64, Shape{}); }

Result<Types> infer(const Range&, const Operands& in) {
  TRY(check_kind(in, 0, "start", Kinds::kNumeric));
  TRY(check_same_dtype(in, {0, 1, 2}));
  TRY(check_scalar(in, 0, "start"));
  TRY(check_scalar(in, 1, "limit"));
  TRY(check_scalar(in, 2, "delta"));
  TRY_ASSIGN(const std::optional<int64_t> length, range_length(in));
  return one(in[0].dtype, length ? MaybeShape(Shape{*length}) : MaybeShape());
}

Result<Types> infer(const TopK& op, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kNumeric));
  TRY_ASSIGN(const MaybeInts k, integers(in, 1, "k"));
  MaybeShape shape;
  if (const Shape* x = in.shape(0)) {
    TRY_ASSIGN(const int64_t axis, resolve_axis(op.axis, rank_of(*x)));
    if (k && k->size() != 1) {
      return refuse(fmt::format("k has {} entries, expected 1", k->size()));
    }
    const int64_t dim = (*x)[static_cast<size_t>(axis)];
    if (k && (k->front() < 0 || k->front() > dim)) {
      return refuse(fmt::format("k is {}, expected 0 to {}", k->front(), dim));
    }
    if (k) {
      shape = *x;
      (*shape)[static_cast<size_t>(axis)] = k->front();
    }
  }
  Types types = one(in[0].dtype, shape);
  if (in.output_count > 1) types.push_back({DType::kInt64, shape});
  return types;
}

Result<Types> infer(const Resize& op, const Operands& in) {
  // An empty tensor stands for an omitted operand in opset 11.
  const auto given = [&](size_t i) {
    return in.has(i) && !(in.shape(i) != nullptr && element_count(*in.shape(i)) == 0);
  };
  TRY(check_kind(in, 1, "roi", Kinds::kFloat));
  const Shape* x = in.shape(0);
  const bool scalar = x != nullptr && x->empty();
  if (given(2) == given(3) && !scalar) {
    return refuse(given(2) ? "has both scales and sizes" : "has neither scales nor sizes");
  }
  if (!given(3)) return scalar ? one(in[0].dtype, *x) : resize_by_scales(op, in);
  TRY_ASSIGN(const MaybeInts sizes, integers(in, 3, "sizes"));
  if (x == nullptr || !sizes) return unknown(in);
  if (sizes->size() != x->size()) {
    return refuse(fmt::format("sizes has {} entries, expected {} for an input of shape {}",
                              sizes->size(), x->size(), to_string(*x)));
  }
  return one(in[0].dtype, *sizes);
}

Result<Types> infer(const DepthToSpace& op, const Operands& in) {
  const Shape* x = in.shape(0);
  if (op.block < 1 || op.block > (int64_t{1} << 20)) {
    return refuse(fmt::format("blocksize is {}, expected 1 to 2^20", op.block));
  }
  if (x == nullptr) return unknown(in);
  if (x->size() != 4 || (*x)[1] % (op.block * op.block) != 0) {
    return refuse(
        fmt::format("input has shape {}, expected 4 dimensions, the second a multiple "
                    "of {}",
                    to_string(*x), op.block * op.block));
  }
  return one(in[0].dtype, Shape{(*x)[0], (*x)[1] / (op.block * op.block), (*x)[2] * op.block,
                                (*x)[3] * op.block});
}

Result<Types> infer(const SpaceToDepth& op, const Operands& in) {
  const Shape* x = in.shape(0);
  if (op.block < 1 || op.block > (int64_t{1} << 20)) {
    return refuse(fmt::format("blocksize is {}, expected 1 to 2^20", op.block));
  }
  if (x == nullptr) return unknown(in);
  if (x->size() != 4 || (*x)[2] % op.block != 0 || (*x)[3] % op.block != 0) {
    return refuse(
        fmt::format("input has shape {}, expected 4 dimensions, the last two multiples "
                    "of {}",
                    to_string(*x), op.block));
  }
  // C <= 2^40 and block^2 <= 2^40 would overflow together, but block divides H and W, so block^2 <=
  // H * W <= 2^40 / C unless the input is empty.
  const bool empty = element_count(*x) == 0;
  const int64_t channels = empty && (*x)[1] > 0 ? std::min((*x)[1], int64_t{1} << 20) : (*x)[1];
  return one(in[0].dtype, Shape{(*x)[0], channels * op.block * op.block, (*x)[2] / op.block,
                                (*x)[3] / op.block});
}

}  // namespace graupel::ir::infer
