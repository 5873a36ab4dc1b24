// Convolutions: Conv and ConvTranspose of any rank, groups, strides and dilations.
//
// Idea: the input plane group is copied once into a zero-padded buffer; every output position then
// is a fixed list of offsets into it, packed 16 positions at a time for the panel kernel of
// eval_matmul.cc. Each output sums (channel, kernel row, kernel column) ascending from zero and
// adds its bias last. ConvTranspose scatters with plain loops.
// Reference: ONNX Conv-11, ConvTranspose-11. Test: eval_conv_test.cc.
#include <cstring>

#include "ir/eval_internal.h"

namespace graupel::ir::evaluator {
namespace {

// The padded copy of one group of channels and where things lie in it.
struct PaddedPlan {
  Shape size;                           // padded spatial sizes
  int64_t plane = 1;                    // their product
  std::vector<int64_t> kernel_offsets;  // per (channel, kernel position)
  std::vector<int64_t> output_offsets;  // per output position
};

// Offsets of all points of a grid with `counts` points, `steps` apart, in an array of `size`.
std::vector<int64_t> grid_offsets(const std::vector<int64_t>& counts,
                                  const std::vector<int64_t>& steps, const Shape& size) {
  std::vector<int64_t> offsets = {0};
  for (size_t d = 0; d < counts.size(); ++d) {
    std::vector<int64_t> next;
    next.reserve(offsets.size() * static_cast<size_t>(counts[d]));
    for (const int64_t offset : offsets) {
      for (int64_t i = 0; i < counts[d]; ++i) next.push_back(offset * size[d] + i * steps[d]);
    }
    offsets.swap(next);
  }
  return offsets;
}

Result<PaddedPlan> make_plan(const Call& call, const std::vector<WindowAxis>& axes,
                             int64_t channels) {
  PaddedPlan plan;
  std::vector<int64_t> kernels, dilations, outs, strides;
  for (const WindowAxis& axis : axes) {
    plan.size.push_back(axis.in + axis.pad_begin + axis.pad_end);
    kernels.push_back(axis.kernel);
    dilations.push_back(axis.dilation);
    outs.push_back(axis.out);
    strides.push_back(axis.stride);
  }
  const std::optional<int64_t> plane = element_count(plan.size);
  const std::optional<int64_t> taps = element_count(kernels);
  if (!plane || !taps) return invalid_input("", "the padded input is impossibly large");
  plan.plane = *plane;
  TRY(reserve(call, static_cast<uint64_t>(product(outs)), 2 * sizeof(int64_t)));
  TRY(reserve(call, static_cast<uint64_t>(*taps), 2 * sizeof(int64_t)));
  TRY(reserve(call, static_cast<uint64_t>(*taps) * static_cast<uint64_t>(channels),
              sizeof(int64_t)));
  const std::vector<int64_t> taps_in_plane = grid_offsets(kernels, dilations, plan.size);
  for (int64_t c = 0; c < channels; ++c) {
    for (const int64_t offset : taps_in_plane) {
      plan.kernel_offsets.push_back(c * plan.plane + offset);
    }
  }
  plan.output_offsets = grid_offsets(outs, strides, plan.size);
  return plan;
}

// Copies one [channels, spatial...] block into the middle of the zero-filled padded buffer;
// negative pads cut.
template <class T>
void copy_padded(const T* x, int64_t channels, const std::vector<WindowAxis>& axes,
                 const PaddedPlan& plan, T* padded) {
  const size_t rank = axes.size();
  int64_t in_plane = 1, rows = 1;
  for (size_t d = 0; d < rank; ++d) {
    in_plane *= axes[d].in;
    if (d + 1 < rank) rows *= axes[d].in;
  }
  const WindowAxis& inner = axes[rank - 1];
  const int64_t first = std::max<int64_t>(0, -inner.pad_begin);
  const int64_t last = std::min(inner.in, inner.in + inner.pad_end);
  if (first >= last) return;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t row = 0; row < rows; ++row) {
      int64_t rest = row, offset = 0, scale = plan.size[rank - 1];
      bool inside = true;
      for (size_t d = rank - 1; d-- > 0;) {
        const int64_t at = rest % axes[d].in + axes[d].pad_begin;
        rest /= axes[d].in;
        inside = inside && at >= 0 && at < plan.size[d];
        offset += at * scale;
        scale *= plan.size[d];
      }
      if (!inside) continue;
      std::copy_n(x + c * in_plane + row * inner.in + first, last - first,
                  padded + c * plan.plane + offset + inner.pad_begin + first);
    }
  }
}

// Sixteen output positions of every kernel tap, side by side.
template <class T>
void pack_panel(const T* padded, const PaddedPlan& plan, const int64_t* outputs, int64_t width,
                T* panel) {
  int64_t at[kPanel];
  for (int64_t j = 0; j < kPanel; ++j) at[j] = outputs[std::min(j, width - 1)];
  const bool contiguous = at[kPanel - 1] - at[0] == kPanel - 1 && width == kPanel;
  for (const int64_t tap : plan.kernel_offsets) {
    const T* from = padded + tap;
    if (contiguous) {
      std::memcpy(panel, from + at[0], kPanel * sizeof(T));
    } else {
      for (int64_t j = 0; j < kPanel; ++j) panel[j] = from[at[j]];
    }
    panel += kPanel;
  }
}

}  // namespace

template <class T>
Result<void> convolve(const Call& call, const T* x, const Shape& x_shape, const T* weight,
                      const Shape& weight_shape, const std::vector<WindowAxis>& axes, T* y) {
  const int64_t channels = weight_shape[1], features = weight_shape[0];
  if (channels == 0 || features == 0 || product(x_shape) == 0) return ok();  // y is zeros
  const int64_t groups = x_shape[1] / channels, rows = features / groups;
  TRY_ASSIGN(const PaddedPlan plan, make_plan(call, axes, channels));
  const int64_t depth = static_cast<int64_t>(plan.kernel_offsets.size());
  const int64_t positions = static_cast<int64_t>(plan.output_offsets.size());
  const int64_t in_plane = product(x_shape, 2, x_shape.size());
  TRY(reserve(call, static_cast<uint64_t>(plan.plane),
              static_cast<uint64_t>(channels) * sizeof(T)));
  TRY_ASSIGN(std::vector<T> panel, scratch<T>(call, static_cast<uint64_t>(depth * kPanel)));
  TRY_ASSIGN(std::vector<T> sums, scratch<T>(call, static_cast<uint64_t>(rows * kPanel)));
  std::vector<T> padded(static_cast<size_t>(plan.plane * channels));
  for (int64_t block = 0; block < x_shape[0] * groups; ++block) {
    const int64_t group = block % groups;
    copy_padded(x + block * channels * in_plane, channels, axes, plan, padded.data());
    const T* block_weight = weight + group * rows * depth;
    T* block_y = y + block * rows * positions;
    for (int64_t p = 0; p < positions; p += kPanel) {
      const int64_t width = std::min(kPanel, positions - p);
      pack_panel(padded.data(), plan, plan.output_offsets.data() + p, width, panel.data());
      multiply_panel(block_weight, depth, rows, panel.data(), depth, sums.data());
      for (int64_t m = 0; m < rows; ++m) {
        std::copy_n(sums.data() + m * kPanel, width, block_y + m * positions + p);
      }
    }
  }
  return ok();
}

template Result<void> convolve<float>(const Call&, const float*, const Shape&, const float*,
                                      const Shape&, const std::vector<WindowAxis>&, float*);
template Result<void> convolve<double>(const Call&, const double*, const Shape&, const double*,
                                       const Shape&, const std::vector<WindowAxis>&, double*);
template Result<void> convolve<uint32_t>(const Call&, const uint32_t*, const Shape&,
                                         const uint32_t*, const Shape&,
                                         const std::vector<WindowAxis>&, uint32_t*);
template Result<void> convolve<uint64_t>(const Call&, const uint64_t*, const Shape&,
                                         const uint64_t*, const Shape&,
                                         const std::vector<WindowAxis>&, uint64_t*);

namespace {

Result<void> check_bias(const Tensor* bias, const Tensor& x, int64_t features) {
  if (bias == nullptr) return ok();
  if (bias->dtype() != x.dtype() || bias->rank() != 1 || bias->shape()[0] != features) {
    return invalid_input("", "bias " + to_string(bias->shape()) + " has to be " +
                                 std::to_string(features) + " numbers of the input's dtype");
  }
  return ok();
}

template <class T>
void add_bias(const Tensor* bias, Tensor& y) {
  if (bias == nullptr || y.size() == 0) return;
  const int64_t features = y.shape()[1], plane = product(y.shape(), 2, y.rank());
  T* out = y.mutable_data<T>().data();
  for (int64_t block = 0; block < y.shape()[0] * features; ++block) {
    const T value = bias->data<T>()[static_cast<size_t>(block % features)];
    for (int64_t i = 0; i < plane; ++i) out[block * plane + i] += value;
  }
}

struct TransposeAxis {
  int64_t in = 0, out = 0, kernel = 1, stride = 1, dilation = 1, pad_begin = 0;
};

// Spatial sizes of ConvTranspose: `pads` cut the full output, which is stride * (in - 1) +
// output_padding + dilated kernel long; output_shape or auto_pad instead fix the length and share
// the cut between the two ends.
Result<std::vector<TransposeAxis>> transpose_axes(const ConvTranspose& op, const Shape& x,
                                                  const Shape& weight) {
  const size_t rank = x.size() - 2;
  Window window = op.window;
  window.auto_pad = AutoPad::kNotSet;
  const Ints kernel(weight.begin() + 2, weight.end());
  // The attributes are checked by window_axes on a plane large enough for any of them.
  Ints roomy(rank, int64_t{1} << 31);
  if (!window.kernel.empty() && window.kernel != kernel) {
    return invalid_input("", "kernel_shape differs from the weight's shape " + to_string(weight));
  }
  window.pads.clear();
  TRY_ASSIGN(const std::vector<WindowAxis> checked, window_axes(window, kernel, roomy));
  const auto fits = [&](const Ints& values, size_t count) {
    return values.empty() ||
           (values.size() == count && std::all_of(values.begin(), values.end(), [](int64_t v) {
              return v >= 0 && v <= (int64_t{1} << 31);
            }));
  };
  if (!fits(op.window.pads, 2 * rank) || !fits(op.output_padding, rank) ||
      !fits(op.output_shape, rank)) {
    return invalid_input("", "pads, output_padding or output_shape do not fit " +
                                 std::to_string(rank) + " spatial dimensions");
  }
  std::vector<TransposeAxis> axes(rank);
  for (size_t d = 0; d < rank; ++d) {
    TransposeAxis& axis = axes[d];
    axis.in = x[2 + d];
    axis.kernel = kernel[d];
    axis.stride = checked[d].stride;
    axis.dilation = checked[d].dilation;
    if (axis.in > (int64_t{1} << 31)) return invalid_input("", "a spatial size is too large");
    const int64_t full = axis.stride * (axis.in - 1) + (axis.kernel - 1) * axis.dilation + 1 +
                         (op.output_padding.empty() ? 0 : op.output_padding[d]);
    const bool same =
        op.window.auto_pad == AutoPad::kSameUpper || op.window.auto_pad == AutoPad::kSameLower;
    if (!op.output_shape.empty() || same) {
      axis.out = op.output_shape.empty() ? axis.in * axis.stride : op.output_shape[d];
      const int64_t cut = std::max<int64_t>(0, full - axis.out);
      axis.pad_begin = op.window.auto_pad == AutoPad::kSameUpper ? cut / 2 : cut - cut / 2;
    } else {
      const Ints& pads = op.window.pads;
      axis.pad_begin = pads.empty() ? 0 : pads[d];
      axis.out = full - axis.pad_begin - (pads.empty() ? 0 : pads[rank + d]);
    }
    if (axis.out < 0 || axis.in == 0) return invalid_input("", "would yield an empty image");
  }
  return axes;
}

// Adds one input plane times one kernel plane into one output plane.
template <class T>
void scatter(const T* x, const T* weight, const std::vector<TransposeAxis>& axes, T* y) {
  const size_t rank = axes.size();
  int64_t in_count = 1, tap_count = 1;
  for (const TransposeAxis& axis : axes) {
    in_count *= axis.in;
    tap_count *= axis.kernel;
  }
  for (int64_t i = 0; i < in_count; ++i) {
    for (int64_t k = 0; k < tap_count; ++k) {
      int64_t rest_i = i, rest_k = k, offset = 0, scale = 1;
      bool inside = true;
      for (size_t d = rank; d-- > 0;) {
        const TransposeAxis& axis = axes[d];
        const int64_t at = (rest_i % axis.in) * axis.stride +
                           (rest_k % axis.kernel) * axis.dilation - axis.pad_begin;
        rest_i /= axis.in;
        rest_k /= axis.kernel;
        inside = inside && at >= 0 && at < axis.out;
        offset += at * scale;
        scale *= axis.out;
      }
      if (inside) y[offset] += x[i] * weight[k];
    }
  }
}

}  // namespace

Result<Outputs> eval(const Conv& op, const Call& call) {
  TRY(need(call, 2, 3));
  const Tensor& x = *call.input(0);
  const Tensor& weight = *call.input(1);
  const Tensor* bias = call.input(2);
  if (x.dtype() != weight.dtype()) return invalid_input("", "mixes dtypes");
  TRY_ASSIGN(const std::vector<WindowAxis> axes,
             conv_axes(op.window, op.group, x.shape(), weight.shape()));
  TRY(check_bias(bias, x, weight.shape()[0]));
  return with_float_type(x.dtype(), [&]<class T>() -> Result<Outputs> {
    TRY_ASSIGN(Tensor y,
               allocate(call, x.dtype(), conv_output_shape(x.shape(), weight.shape(), axes)));
    TRY(convolve<T>(call, x.data<T>().data(), x.shape(), weight.data<T>().data(), weight.shape(),
                    axes, y.mutable_data<T>().data()));
    add_bias<T>(bias, y);
    return one(std::move(y));
  });
}

Result<Outputs> eval(const ConvTranspose& op, const Call& call) {
  TRY(need(call, 2, 3));
  const Tensor& x = *call.input(0);
  const Tensor& weight = *call.input(1);
  const Tensor* bias = call.input(2);
  const Shape& xs = x.shape();
  const Shape& ws = weight.shape();
  if (x.dtype() != weight.dtype()) return invalid_input("", "mixes dtypes");
  if (xs.size() < 3 || ws.size() != xs.size() || op.group < 1 || xs[1] % op.group != 0 ||
      ws[0] != xs[1] || ws[1] > (int64_t{1} << 31) || op.group > (int64_t{1} << 31)) {
    return invalid_input("", "weight " + to_string(ws) + " does not fit input " + to_string(xs) +
                                 " in " + std::to_string(op.group) + " group(s)");
  }
  TRY_ASSIGN(const std::vector<TransposeAxis> axes, transpose_axes(op, xs, ws));
  const int64_t per_group = ws[1], features = per_group * op.group;
  TRY(check_bias(bias, x, features));
  Shape shape = {xs[0], features};
  for (const TransposeAxis& axis : axes) shape.push_back(axis.out);
  return with_float_type(x.dtype(), [&]<class T>() -> Result<Outputs> {
    TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), shape));
    if (y.size() == 0 || x.size() == 0 || weight.size() == 0) return one(std::move(y));
    const int64_t in_plane = product(xs, 2, xs.size()), taps = product(ws, 2, ws.size());
    const int64_t out_plane = product(shape, 2, shape.size()), group_size = xs[1] / op.group;
    T* out = y.mutable_data<T>().data();
    for (int64_t n = 0; n < xs[0]; ++n) {
      for (int64_t c = 0; c < xs[1]; ++c) {
        for (int64_t m = 0; m < per_group; ++m) {
          const int64_t feature = c / group_size * per_group + m;
          scatter(x.data<T>().data() + (n * xs[1] + c) * in_plane,
                  weight.data<T>().data() + (c * per_group + m) * taps, axes,
                  out + (n * features + feature) * out_plane);
        }
      }
    }
    add_bias<T>(bias, y);
    return one(std::move(y));
  });
}

}  // namespace graupel::ir::evaluator
