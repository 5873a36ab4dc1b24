// Types of operators that slide windows (convolutions, pools) or multiply matrices.
//
// Idea: a window is resolved first to one record per spatial dimension with all defaults filled
// in and all sizes checked; the output size is then one formula.
// Reference: ONNX operator semantics, opset 17. With ceil_mode, windows that would start in the
// padding behind the input do not count (as in PyTorch and later ONNX opsets).
// Test: infer_types_test.cc.
#include <algorithm>
#include <limits>

#include "ir/infer.h"

namespace graupel::ir {
namespace infer {
namespace {

// One spatial dimension of a window, all positive but the pads, which are not negative.
struct Dimension {
  int64_t size = 0;  // of the input
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t pads = 0;  // begin + end
  int64_t pad_begin = 0;

  int64_t extent() const { return (kernel - 1) * dilation + 1; }  // of the dilated kernel
};

Result<void> check_entries(const Ints& list, std::string_view name, size_t length, int64_t low) {
  if (!list.empty() && list.size() != length) {
    return refuse(fmt::format("{} has {} entries, expected {}", name, list.size(), length));
  }
  for (const int64_t entry : list) {
    if (entry < low || entry > kMaxWindow) {
      return refuse(fmt::format("{} has the entry {}, expected {} to 2^30", name, entry, low));
    }
  }
  return ok();
}

Result<void> check_window(const Window& window, size_t spatial) {
  TRY(check_entries(window.kernel, "kernel_shape", spatial, 1));
  TRY(check_entries(window.strides, "strides", spatial, 1));
  TRY(check_entries(window.dilations, "dilations", spatial, 1));
  return check_entries(window.pads, "pads", 2 * spatial, 0);
}

// The spatial part of an input shape [N, C, spatial...].
Shape spatial_of(const Shape& shape) { return Shape(shape.begin() + 2, shape.end()); }

Result<std::vector<Dimension>> dimensions_of(const Window& window, const Ints& kernel,
                                             const Shape& spatial) {
  TRY(check_window(window, spatial.size()));
  TRY(check_entries(kernel, "kernel", spatial.size(), 1));
  const Ints pads = resolve_pads(window, kernel, spatial);
  std::vector<Dimension> dims(spatial.size());
  for (size_t i = 0; i < dims.size(); ++i) {
    dims[i].size = spatial[i];
    dims[i].kernel = kernel[i];
    if (!window.strides.empty()) dims[i].stride = window.strides[i];
    if (!window.dilations.empty()) dims[i].dilation = window.dilations[i];
    dims[i].pad_begin = pads[i];
    dims[i].pads = pads[i] + pads[i + dims.size()];
  }
  return dims;
}

Result<int64_t> window_count(const Dimension& dim, bool ceil_mode) {
  const int64_t room = dim.size + dim.pads - dim.extent();
  if (room < 0) {
    return refuse(fmt::format("kernel of extent {} is larger than the padded input of {}",
                              dim.extent(), dim.size + dim.pads));
  }
  int64_t count = room / dim.stride + 1;
  if (ceil_mode && room % dim.stride != 0 && count * dim.stride < dim.size + dim.pad_begin) {
    ++count;
  }
  return count;
}

struct ConvShapes {
  const Shape* x = nullptr;
  const Shape* weight = nullptr;
};

Result<void> check_conv_shapes(const ConvShapes& shapes, const Window& window, int64_t group) {
  if (group < 1) return refuse(fmt::format("group is {}, expected at least 1", group));
  for (const Shape* shape : {shapes.x, shapes.weight}) {
    if (shape != nullptr && shape->size() < 3) {
      return refuse(fmt::format("{} has shape {}, expected at least 3 dimensions",
                                shape == shapes.x ? "input" : "weight", to_string(*shape)));
    }
  }
  if (shapes.weight == nullptr) return ok();
  const Shape kernel = spatial_of(*shapes.weight);
  if (!window.kernel.empty() && window.kernel != kernel) {
    return refuse(fmt::format("kernel_shape is {}, but the weight has shape {}",
                              to_string(window.kernel), to_string(*shapes.weight)));
  }
  if (shapes.x != nullptr && shapes.x->size() != shapes.weight->size()) {
    return refuse(fmt::format("input has shape {} and weight {}, expected the same rank",
                              to_string(*shapes.x), to_string(*shapes.weight)));
  }
  return ok();
}

Result<MaybeShape> conv_shape(const ConvShapes& shapes, const Window& window, int64_t group) {
  TRY(check_conv_shapes(shapes, window, group));
  if (shapes.x == nullptr || shapes.weight == nullptr) return MaybeShape();
  const Shape& x = *shapes.x;
  const Shape& weight = *shapes.weight;
  if (x[1] % group != 0 || weight[1] != x[1] / group) {
    return refuse(fmt::format(
        "weight of shape {} takes {} channels per group, but the input has {} in {} groups",
        to_string(weight), weight[1], x[1], group));
  }
  if (weight[0] % group != 0) {
    return refuse(fmt::format("{} output channels do not divide into {} groups", weight[0], group));
  }
  TRY_ASSIGN(const std::vector<Dimension> dims,
             dimensions_of(window, spatial_of(weight), spatial_of(x)));
  Shape out = {x[0], weight[0]};
  for (const Dimension& dim : dims) {
    TRY_ASSIGN(const int64_t count, window_count(dim, false));
    out.push_back(count);
  }
  return MaybeShape(std::move(out));
}

Result<void> check_bias(const Operands& in, size_t i, const MaybeShape& out) {
  return out ? check_vector(in, i, "bias", (*out)[1]) : ok();
}

Result<MaybeShape> pool_shape(const Operands& in, const Window& window, bool ceil_mode) {
  if (window.kernel.empty()) return refuse("kernel_shape is missing");
  TRY(check_rank_at_least(in, 0, "input", 3));
  const Shape* x = in.shape(0);
  if (x == nullptr) return MaybeShape();
  TRY_ASSIGN(const std::vector<Dimension> dims,
             dimensions_of(window, window.kernel, spatial_of(*x)));
  Shape out = {(*x)[0], (*x)[1]};
  for (const Dimension& dim : dims) {
    TRY_ASSIGN(const int64_t count, window_count(dim, ceil_mode));
    out.push_back(count);
  }
  return MaybeShape(std::move(out));
}

Result<int64_t> transposed_size(const ConvTranspose& op, const Dimension& dim, size_t i) {
  if (!op.output_shape.empty()) return op.output_shape[i];
  if (dim.size > kMaxElements / dim.stride) return refuse("output is larger than 2^40");
  if (op.window.auto_pad == AutoPad::kSameUpper || op.window.auto_pad == AutoPad::kSameLower) {
    return dim.size * dim.stride;
  }
  const int64_t extra = op.output_padding.empty() ? 0 : op.output_padding[i];
  const int64_t size = (dim.size - 1) * dim.stride + dim.extent() + extra - dim.pads;
  if (size < 0) {
    return refuse(
        fmt::format("pads of {} are larger than the output of {}", dim.pads, size + dim.pads));
  }
  return size;
}

Result<MaybeShape> conv_transpose_shape(const ConvTranspose& op, const ConvShapes& shapes) {
  TRY(check_conv_shapes(shapes, op.window, op.group));
  if (shapes.x == nullptr || shapes.weight == nullptr) return MaybeShape();
  const Shape& x = *shapes.x;
  const Shape& weight = *shapes.weight;
  if (weight[0] != x[1] || x[1] % op.group != 0) {
    return refuse(fmt::format("weight of shape {} does not fit {} input channels in {} groups",
                              to_string(weight), x[1], op.group));
  }
  const size_t spatial = x.size() - 2;
  TRY(check_entries(op.output_padding, "output_padding", spatial, 0));
  TRY(check_entries(op.output_shape, "output_shape", spatial, 1));
  Window window = op.window;  // SAME means size * stride here, which transposed_size knows
  window.auto_pad = AutoPad::kNotSet;
  if (op.window.auto_pad != AutoPad::kNotSet) window.pads.clear();
  TRY_ASSIGN(const std::vector<Dimension> dims,
             dimensions_of(window, spatial_of(weight), spatial_of(x)));
  if (op.group > kMaxElements || weight[1] > kMaxElements / op.group) {
    return refuse("output has more than 2^40 channels");
  }
  Shape out = {x[0], weight[1] * op.group};
  for (size_t i = 0; i < spatial; ++i) {
    TRY_ASSIGN(const int64_t size, transposed_size(op, dims[i], i));
    out.push_back(size);
  }
  return MaybeShape(std::move(out));
}

Result<Types> integer_product(const Operands& in, MaybeShape shape) {
  TRY(check_kind(in, 0, "input 0", Kinds::kInteger));
  TRY(check_kind(in, 1, "input 1", Kinds::kInteger));
  TRY(check_same_dtype(in, {0, 2}));
  TRY(check_same_dtype(in, {1, 3}));
  return one(DType::kInt32, std::move(shape));
}

// Inputs x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero of the QLinear operators.
Result<void> check_qlinear(const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kInteger));
  TRY(check_kind(in, 3, "weight", Kinds::kInteger));
  TRY(check_kind(in, 7, "output zero point", Kinds::kInteger));
  for (const size_t scale : {1, 4, 6}) {
    TRY(check_kind(in, scale, fmt::format("input {}", scale), Kinds::kFloat));
  }
  TRY(check_same_dtype(in, {0, 2}));
  return check_same_dtype(in, {3, 5});
}

}  // namespace

Result<Types> infer(const Conv& op, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kFloat));
  TRY(check_same_dtype(in, {0, 1, 2}));
  TRY_ASSIGN(MaybeShape shape, conv_shape({in.shape(0), in.shape(1)}, op.window, op.group));
  TRY(check_bias(in, 2, shape));
  return one(in[0].dtype, std::move(shape));
}

Result<Types> infer(const ConvTranspose& op, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kFloat));
  TRY(check_same_dtype(in, {0, 1, 2}));
  TRY_ASSIGN(MaybeShape shape, conv_transpose_shape(op, {in.shape(0), in.shape(1)}));
  TRY(check_bias(in, 2, shape));
  return one(in[0].dtype, std::move(shape));
}

Result<Types> infer(const MaxPool& op, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kNumeric));
  TRY_ASSIGN(const MaybeShape shape, pool_shape(in, op.window, op.ceil_mode));
  Types types = one(in[0].dtype, shape);
  if (in.output_count > 1) types.push_back({DType::kInt64, shape});
  return types;
}

Result<Types> infer(const AveragePool& op, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kFloat));
  TRY_ASSIGN(MaybeShape shape, pool_shape(in, op.window, op.ceil_mode));
  return one(in[0].dtype, std::move(shape));
}

Result<Types> infer(const GlobalPool&, const Operands& in) {
  TRY(check_kind(in, 0, "input", Kinds::kFloat));
  TRY(check_rank_at_least(in, 0, "input", 3));
  MaybeShape shape = in[0].shape;
  if (shape) std::fill(shape->begin() + 2, shape->end(), 1);
  return one(in[0].dtype, std::move(shape));
}

Result<Types> infer(const Gemm& op, const Operands& in) {
  TRY(check_kind(in, 0, "input 0", Kinds::kNumeric));
  TRY(check_same_dtype(in, {0, 1, 2}));
  const Shape* a = in.shape(0);
  const Shape* b = in.shape(1);
  for (const Shape* shape : {a, b}) {
    if (shape != nullptr && shape->size() != 2) {
      return refuse(fmt::format("input has shape {}, expected a matrix", to_string(*shape)));
    }
  }
  if (a == nullptr || b == nullptr) return one(in[0].dtype, std::nullopt);
  const int64_t inner_a = (*a)[op.transpose_a ? 0 : 1];
  const int64_t inner_b = (*b)[op.transpose_b ? 1 : 0];
  if (inner_a != inner_b) {
    return refuse(fmt::format("inner sizes differ: {} of {} against {} of {}", inner_a,
                              to_string(*a), inner_b, to_string(*b)));
  }
  Shape out = {(*a)[op.transpose_a ? 1 : 0], (*b)[op.transpose_b ? 0 : 1]};
  if (in.shape(2) != nullptr) TRY(check_broadcasts_to(*in.shape(2), out, "input 2"));
  return one(in[0].dtype, std::move(out));
}

Result<MaybeShape> matmul_shape(const Shape* a, const Shape* b) {
  for (const Shape* shape : {a, b}) {
    if (shape != nullptr && shape->empty()) return refuse("input is a scalar, expected a matrix");
  }
  if (a == nullptr || b == nullptr) return MaybeShape();
  // A vector is a one-row matrix on the left, a one-column matrix on the right.
  const Shape left = a->size() > 1 ? *a : Shape{1, (*a)[0]};
  const Shape right = b->size() > 1 ? *b : Shape{(*b)[0], 1};
  if (left.back() != right[right.size() - 2]) {
    return refuse(
        fmt::format("inner sizes differ: shapes {} and {}", to_string(*a), to_string(*b)));
  }
  TRY_ASSIGN(Shape out,
             broadcast(Shape(left.begin(), left.end() - 2), Shape(right.begin(), right.end() - 2)));
  if (a->size() > 1) out.push_back(left[left.size() - 2]);
  if (b->size() > 1) out.push_back(right.back());
  return MaybeShape(std::move(out));
}

Result<Types> infer(const MatMul&, const Operands& in) {
  TRY(check_kind(in, 0, "input 0", Kinds::kNumeric));
  TRY(check_same_dtype(in, {0, 1}));
  TRY_ASSIGN(MaybeShape shape, matmul_shape(in.shape(0), in.shape(1)));
  return one(in[0].dtype, std::move(shape));
}

Result<Types> infer(const QLinearConv& op, const Operands& in) {
  TRY(check_qlinear(in));
  TRY_ASSIGN(MaybeShape shape, conv_shape({in.shape(0), in.shape(3)}, op.window, op.group));
  TRY(check_bias(in, 8, shape));
  return one(in[7].dtype, std::move(shape));
}

Result<Types> infer(const QLinearMatMul&, const Operands& in) {
  TRY(check_qlinear(in));
  TRY_ASSIGN(MaybeShape shape, matmul_shape(in.shape(0), in.shape(3)));
  return one(in[7].dtype, std::move(shape));
}

Result<Types> infer(const ConvInteger& op, const Operands& in) {
  TRY_ASSIGN(MaybeShape shape, conv_shape({in.shape(0), in.shape(1)}, op.window, op.group));
  return integer_product(in, std::move(shape));
}

Result<Types> infer(const MatMulInteger&, const Operands& in) {
  TRY_ASSIGN(MaybeShape shape, matmul_shape(in.shape(0), in.shape(1)));
  return integer_product(in, std::move(shape));
}

}  // namespace infer

Ints resolve_pads(const Window& window, const Ints& kernel, std::span<const int64_t> spatial) {
  const size_t rank = spatial.size();
  Ints pads(2 * rank, 0);
  if (window.auto_pad == AutoPad::kNotSet)
    return window.pads.size() == 2 * rank ? window.pads : pads;
  if (window.auto_pad == AutoPad::kValid) return pads;
  const auto entry = [](const Ints& list, size_t i) {
    return i < list.size() ? std::clamp(list[i], int64_t{1}, infer::kMaxWindow) : int64_t{1};
  };
  for (size_t i = 0; i < rank; ++i) {
    const int64_t stride = entry(window.strides, i);
    const int64_t extent = (entry(kernel, i) - 1) * entry(window.dilations, i) + 1;
    const int64_t size = std::clamp(spatial[i], int64_t{0}, infer::kMaxElements);
    const int64_t count = (size + stride - 1) / stride;
    const int64_t total = std::max((count - 1) * stride + extent - size, int64_t{0});
    const int64_t smaller = total / 2;
    const bool upper = window.auto_pad == AutoPad::kSameUpper;
    pads[i] = upper ? smaller : total - smaller;
    pads[rank + i] = total - pads[i];
  }
  return pads;
}

}  // namespace graupel::ir
