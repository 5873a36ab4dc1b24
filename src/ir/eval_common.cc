// What the evaluator's families share: input checks, the memory budget, broadcasting, windows,
// and conversion between dtypes. See eval_internal.h. Reference: ONNX operator semantics, opset 17.
// Test: eval_test.cc, eval_pool_test.cc, eval_conv_test.cc.
#include <cstring>

#include "ir/eval_internal.h"

namespace graupel::ir::evaluator {
namespace {

constexpr int64_t kMaxAttribute = int64_t{1} << 31;
constexpr size_t kMaxListLength = size_t{1} << 16;

// Calls body(pointer to elements) for the stored C++ type; half formats and bool are the caller's.
template <class F>
void with_stored_type(const Tensor& tensor, F body) {
  switch (tensor.dtype()) {
    case DType::kFloat32: return body(tensor.data<float>().data());
    case DType::kFloat64: return body(tensor.data<double>().data());
    case DType::kInt8: return body(tensor.data<int8_t>().data());
    case DType::kInt16: return body(tensor.data<int16_t>().data());
    case DType::kInt32: return body(tensor.data<int32_t>().data());
    case DType::kInt64: return body(tensor.data<int64_t>().data());
    case DType::kUInt8: return body(tensor.data<uint8_t>().data());
    case DType::kUInt16: return body(tensor.data<uint16_t>().data());
    case DType::kUInt32: return body(tensor.data<uint32_t>().data());
    case DType::kUInt64: return body(tensor.data<uint64_t>().data());
    case DType::kFloat16:
    case DType::kBFloat16:
    case DType::kBool: return;
  }
}

template <class In>
void store_as(const In* in, Tensor& out) {
  const size_t count = out.size();
  const auto store = [&]<class Out>(Out* to) {
    for (size_t i = 0; i < count; ++i) to[i] = saturate_cast<Out>(in[i]);
  };
  const auto store_half = [&](uint16_t (*encode)(float)) {
    auto* to = reinterpret_cast<uint16_t*>(out.mutable_bytes());
    for (size_t i = 0; i < count; ++i) to[i] = encode(static_cast<float>(in[i]));
  };
  switch (out.dtype()) {
    case DType::kFloat32: return store(out.mutable_data<float>().data());
    case DType::kFloat64: return store(out.mutable_data<double>().data());
    case DType::kFloat16: return store_half(float_to_half);
    case DType::kBFloat16: return store_half(float_to_bfloat16);
    case DType::kInt8: return store(out.mutable_data<int8_t>().data());
    case DType::kInt16: return store(out.mutable_data<int16_t>().data());
    case DType::kInt32: return store(out.mutable_data<int32_t>().data());
    case DType::kInt64: return store(out.mutable_data<int64_t>().data());
    case DType::kUInt8: return store(out.mutable_data<uint8_t>().data());
    case DType::kUInt16: return store(out.mutable_data<uint16_t>().data());
    case DType::kUInt32: return store(out.mutable_data<uint32_t>().data());
    case DType::kUInt64: return store(out.mutable_data<uint64_t>().data());
    case DType::kBool: {
      uint8_t* to = raw_bytes(out);
      for (size_t i = 0; i < count; ++i) to[i] = in[i] != In{0} ? 1 : 0;
      return;
    }
  }
}

Result<void> check_attribute(const Ints& values, size_t expected, int64_t low, const char* what) {
  if (!values.empty() && values.size() != expected) {
    return invalid_input("", std::string(what) + " has " + std::to_string(values.size()) +
                                 " entries, but " + std::to_string(expected) + " are needed");
  }
  for (const int64_t value : values) {
    if (value < low || value > kMaxAttribute) {
      return invalid_input(
          "", std::string(what) + " holds " + std::to_string(value) + ", which is out of range");
    }
  }
  return ok();
}

}  // namespace

Result<void> need(const Call& call, size_t least, size_t most) {
  for (size_t i = 0; i < least; ++i) {
    if (call.input(i) == nullptr) {
      return invalid_input("", "input " + std::to_string(i) + " is missing; " +
                                   std::to_string(least) + " are needed");
    }
  }
  if (call.inputs.size() > most) {
    return invalid_input("", "has " + std::to_string(call.inputs.size()) +
                                 " inputs, but takes at most " + std::to_string(most));
  }
  return ok();
}

Result<size_t> resolve_axis(int64_t axis, size_t rank) {
  const int64_t signed_rank = static_cast<int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    return invalid_input("", "axis " + std::to_string(axis) + " is outside a tensor of rank " +
                                 std::to_string(rank));
  }
  return static_cast<size_t>(axis < 0 ? axis + signed_rank : axis);
}

Result<Ints> int_list(const Tensor& tensor, const char* what) {
  if (tensor.dtype() != DType::kInt64 && tensor.dtype() != DType::kInt32) {
    return invalid_input(
        "", std::string(what) + " has to be int64, not " + std::string(to_string(tensor.dtype())));
  }
  if (tensor.rank() > 1 || tensor.size() > kMaxListLength) {
    return invalid_input(
        "", std::string(what) + " has to be a short list, not " + to_string(tensor.shape()));
  }
  return tensor.to_int64s();
}

Result<std::optional<std::vector<size_t>>> axes_input(const Tensor* tensor, size_t rank) {
  if (tensor == nullptr) return std::optional<std::vector<size_t>>();
  TRY_ASSIGN(const Ints listed, int_list(*tensor, "axes"));
  std::vector<size_t> axes;
  for (const int64_t listed_axis : listed) {
    TRY_ASSIGN(const size_t axis, resolve_axis(listed_axis, rank));
    if (std::find(axes.begin(), axes.end(), axis) != axes.end()) {
      return invalid_input("", "axes name dimension " + std::to_string(axis) + " twice");
    }
    axes.push_back(axis);
  }
  return std::optional<std::vector<size_t>>(std::move(axes));
}

Result<void> reserve(const Call& call, uint64_t count, uint64_t size_bytes) {
  if (size_bytes != 0 && count > call.remaining_bytes / size_bytes) {
    return invalid_input("", "needs " + std::to_string(count) + " elements, more than the " +
                                 std::to_string(call.remaining_bytes) +
                                 " bytes the memory limit leaves");
  }
  call.remaining_bytes -= count * size_bytes;
  return ok();
}

Result<Tensor> allocate(const Call& call, DType dtype, const Shape& shape) {
  const std::optional<int64_t> count = element_count(shape);
  if (!count) {
    return invalid_input("", "would yield a tensor of impossible shape " + to_string(shape));
  }
  TRY(reserve(call, static_cast<uint64_t>(*count), element_size_bytes(dtype)));
  return Tensor(dtype, shape);
}

DType widened(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
    case DType::kBFloat16:
    case DType::kFloat32: return DType::kFloat32;
    case DType::kFloat64: return DType::kFloat64;
    case DType::kInt8:
    case DType::kInt16:
    case DType::kInt32:
    case DType::kInt64: return DType::kInt64;
    case DType::kUInt8:
    case DType::kUInt16:
    case DType::kUInt32:
    case DType::kUInt64:
    case DType::kBool: return DType::kUInt64;
  }
  return DType::kFloat32;
}

Result<Tensor> cast(const Call& call, const Tensor& tensor, DType dtype) {
  if (tensor.dtype() == dtype) return tensor;
  TRY_ASSIGN(Tensor out, allocate(call, dtype, tensor.shape()));
  const auto from_half = [&](float (*decode)(uint16_t)) {
    std::vector<float> decoded(tensor.size());
    const auto* bits = reinterpret_cast<const uint16_t*>(tensor.bytes());
    for (size_t i = 0; i < decoded.size(); ++i) decoded[i] = decode(bits[i]);
    store_as(decoded.data(), out);
  };
  if (tensor.dtype() == DType::kFloat16) {
    TRY(reserve(call, tensor.size(), sizeof(float)));
    from_half(half_to_float);
  } else if (tensor.dtype() == DType::kBFloat16) {
    TRY(reserve(call, tensor.size(), sizeof(float)));
    from_half(bfloat16_to_float);
  } else if (tensor.dtype() == DType::kBool) {
    TRY_ASSIGN(std::vector<uint8_t> bits, scratch<uint8_t>(call, tensor.size()));
    for (size_t i = 0; i < bits.size(); ++i) bits[i] = raw_bytes(tensor)[i] != 0 ? 1 : 0;
    store_as(bits.data(), out);
  } else {
    with_stored_type(tensor, [&](const auto* in) { store_as(in, out); });
  }
  return out;
}

Result<Shape> broadcast(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t from_a = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t from_b = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (from_a != from_b && from_a != 1 && from_b != 1) {
      return invalid_input("",
                           "shapes " + to_string(a) + " and " + to_string(b) + " do not broadcast");
    }
    out[out.size() - 1 - i] = from_a == 1 ? from_b : from_a;
  }
  return out;
}

std::vector<int64_t> broadcast_strides(const Shape& shape, const Shape& out) {
  const std::vector<int64_t> own = row_major_strides(shape);
  std::vector<int64_t> strides(out.size(), 0);
  const size_t offset = out.size() - shape.size();
  for (size_t i = 0; i < shape.size(); ++i) strides[offset + i] = shape[i] == 1 ? 0 : own[i];
  return strides;
}

int64_t product(const Shape& shape, size_t begin, size_t end) {
  int64_t count = 1;
  bool has_zero = false;
  for (size_t i = begin; i < end; ++i) {
    if (shape[i] == 0) has_zero = true;
    // Part of a shape whose other dimensions are zero may be beyond int64: it saturates.
    if (shape[i] > 0 && __builtin_mul_overflow(count, shape[i], &count)) {
      count = std::numeric_limits<int64_t>::max();
    }
  }
  return has_zero ? 0 : count;
}

Result<std::vector<WindowAxis>> window_axes(const Window& window, const Ints& kernel,
                                            std::span<const int64_t> spatial, Rounding rounding) {
  const size_t rank = spatial.size();
  if (rank == 0) return invalid_input("", "needs at least one spatial dimension");
  if (kernel.size() != rank) {
    return invalid_input("", "kernel has " + std::to_string(kernel.size()) +
                                 " dimensions, but the input has " + std::to_string(rank) +
                                 " spatial dimensions");
  }
  TRY(check_attribute(kernel, rank, 1, "kernel_shape"));
  TRY(check_attribute(window.strides, rank, 1, "strides"));
  TRY(check_attribute(window.dilations, rank, 1, "dilations"));
  TRY(check_attribute(window.pads, 2 * rank, -kMaxAttribute, "pads"));
  for (const int64_t size : spatial) {
    if (size > kMaxAttribute) {
      return invalid_input("", "a spatial size of " + std::to_string(size) + " is too large");
    }
  }
  const Ints pads = resolve_pads(window, kernel, spatial);
  if (pads.size() != 2 * rank) return internal_error("", "resolve_pads gave too few pads");
  std::vector<WindowAxis> axes(rank);
  for (size_t d = 0; d < rank; ++d) {
    WindowAxis& axis = axes[d];
    axis.in = spatial[d];
    axis.kernel = kernel[d];
    axis.stride = window.strides.empty() ? 1 : window.strides[d];
    axis.dilation = window.dilations.empty() ? 1 : window.dilations[d];
    axis.pad_begin = pads[d];
    axis.pad_end = pads[rank + d];
    const int64_t room =
        axis.in + axis.pad_begin + axis.pad_end - ((axis.kernel - 1) * axis.dilation + 1);
    if (room < 0) {
      return invalid_input("", "a kernel of " + std::to_string(axis.kernel) + " (dilation " +
                                   std::to_string(axis.dilation) +
                                   ") is larger than the padded input of " +
                                   std::to_string(axis.in + axis.pad_begin + axis.pad_end));
    }
    axis.out = room / axis.stride + 1;
    if (rounding == Rounding::kCeil && room % axis.stride != 0) {
      // A window that would start in the padding behind the input does not exist.
      if (axis.out * axis.stride < axis.in + axis.pad_begin) ++axis.out;
    }
  }
  return axes;
}

Result<std::vector<WindowAxis>> conv_axes(const Window& window, int64_t group, const Shape& x,
                                          const Shape& weight) {
  if (x.size() < 3 || weight.size() != x.size()) {
    return invalid_input("", "takes an input [N,C,...] and a weight of the same rank, but got " +
                                 to_string(x) + " and " + to_string(weight));
  }
  if (group < 1 || weight[0] % group != 0 || x[1] % group != 0 || weight[1] != x[1] / group) {
    return invalid_input("", "weight " + to_string(weight) + " does not fit input " + to_string(x) +
                                 " in " + std::to_string(group) + " group(s)");
  }
  const Ints kernel(weight.begin() + 2, weight.end());
  if (!window.kernel.empty() && window.kernel != kernel) {
    return invalid_input("", "kernel_shape differs from the weight's shape " + to_string(weight));
  }
  return window_axes(window, kernel, std::span(x).subspan(2));
}

Shape conv_output_shape(const Shape& x, const Shape& weight, const std::vector<WindowAxis>& axes) {
  Shape shape = {x[0], weight[0]};
  for (const WindowAxis& axis : axes) shape.push_back(axis.out);
  return shape;
}

}  // namespace graupel::ir::evaluator
