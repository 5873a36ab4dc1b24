// Resize: nearest, linear and cubic over any dimensions, with every coordinate mode of opset 13.
//
// Idea: interpolation is separable, so each output coordinate of a dimension has a short list of
// (input index, weight) taps; an output is the sum over the product of the lists, in double,
// rounded once. Nearest has one tap of weight 1 and moves elements unchanged.
// Reference: ONNX Resize-13. Test: eval_resize_test.cc.
#include <cstring>

#include "ir/eval_internal.h"

namespace graupel::ir::evaluator {
namespace {

struct Tap {
  int64_t index = 0;
  double weight = 1.0;
};
// The taps of one output coordinate; `outside` asks for the extrapolation value.
struct Taps {
  std::vector<Tap> taps;
  bool outside = false;
};
struct ResizeAxis {
  int64_t in = 1, out = 1;
  double scale = 1.0;
  double roi_begin = 0.0, roi_end = 1.0;
};

double source_coordinate(const Resize& op, const ResizeAxis& axis, int64_t at) {
  const auto x = static_cast<double>(at);
  // The length before rounding down, as the standard's own tests have it.
  const auto in = static_cast<double>(axis.in);
  const double out = in * (axis.roi_end - axis.roi_begin) * axis.scale;
  switch (op.coordinates) {
    case ResizeCoordinates::kHalfPixel: return (x + 0.5) / axis.scale - 0.5;
    case ResizeCoordinates::kPytorchHalfPixel:
      return axis.out > 1 ? (x + 0.5) / axis.scale - 0.5 : 0.0;
    case ResizeCoordinates::kAlignCorners: return axis.out > 1 ? x * (in - 1.0) / (out - 1.0) : 0.0;
    case ResizeCoordinates::kAsymmetric: return x / axis.scale;
    case ResizeCoordinates::kCropAndResize: {
      const double begin = axis.roi_begin * (in - 1.0), end = axis.roi_end * (in - 1.0);
      return axis.out > 1 ? begin + x * (end - begin) / (static_cast<double>(axis.out) - 1.0)
                          : 0.5 * (begin + end);
    }
  }
  return 0.0;
}

double nearest(ResizeNearest mode, double x) {
  switch (mode) {
    case ResizeNearest::kRoundPreferFloor:
      return x - std::floor(x) == 0.5 ? std::floor(x) : std::round(x);
    case ResizeNearest::kRoundPreferCeil:
      return x - std::floor(x) == 0.5 ? std::ceil(x) : std::round(x);
    case ResizeNearest::kFloor: return std::floor(x);
    case ResizeNearest::kCeil: return std::ceil(x);
  }
  return x;
}

double cubic_weight(double distance, double a) {
  const double d = std::abs(distance);
  if (d <= 1.0) return ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
  if (d < 2.0) return ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
  return 0.0;
}

Taps taps_at(const Resize& op, const ResizeAxis& axis, int64_t at) {
  Taps result;
  double x = source_coordinate(op, axis, at);
  const auto last = static_cast<double>(axis.in - 1);
  if (!(x == x)) x = 0.0;
  if (op.coordinates == ResizeCoordinates::kCropAndResize && (x < 0.0 || x > last)) {
    result.outside = true;
    return result;
  }
  // Far outside, every tap is the border; the clamp keeps the conversion to int64 defined.
  x = std::clamp(x, -4.0, last + 4.0);
  const auto clamped = [&](double index) {
    return static_cast<int64_t>(std::clamp(index, 0.0, last));
  };
  if (op.mode == ResizeMode::kNearest) {
    result.taps.push_back({clamped(nearest(op.nearest, x)), 1.0});
    return result;
  }
  const double base = std::floor(x);
  const int first = op.mode == ResizeMode::kLinear ? 0 : -1;
  const int final = op.mode == ResizeMode::kLinear ? 1 : 2;
  double total = 0.0;
  for (int k = first; k <= final; ++k) {
    const double index = base + k, distance = x - index;
    double weight = op.mode == ResizeMode::kLinear ? 1.0 - std::abs(distance)
                                                   : cubic_weight(distance, op.cubic_coefficient);
    if (op.exclude_outside && (index < 0.0 || index > last)) weight = 0.0;
    total += weight;
    result.taps.push_back({clamped(index), weight});
  }
  if (op.exclude_outside && total != 0.0) {
    for (Tap& tap : result.taps) tap.weight /= total;
  }
  return result;
}

Result<std::vector<double>> numbers(const Tensor* tensor, size_t expected, const char* what) {
  if (tensor == nullptr || tensor->size() != expected || tensor->rank() > 1) {
    return invalid_input("", std::string(what) + " needs " + std::to_string(expected) + " numbers");
  }
  return tensor->to_doubles();
}

Result<std::vector<ResizeAxis>> resize_axes(const Resize& op, const Call& call) {
  const Shape& shape = call.input(0)->shape();
  const Tensor* scales = call.input(2);
  const Tensor* sizes = call.input(3);
  const bool by_sizes = sizes != nullptr && sizes->size() > 0;
  const bool by_scales = scales != nullptr && scales->size() > 0;
  if (by_sizes == by_scales) return invalid_input("", "needs either scales or sizes");
  std::vector<double> roi;
  if (op.coordinates == ResizeCoordinates::kCropAndResize) {
    TRY_ASSIGN(roi, numbers(call.input(1), 2 * shape.size(), "roi"));
  }
  TRY_ASSIGN(const std::vector<double> given,
             numbers(by_sizes ? sizes : scales, shape.size(), by_sizes ? "sizes" : "scales"));
  std::vector<ResizeAxis> axes(shape.size());
  for (size_t d = 0; d < shape.size(); ++d) {
    ResizeAxis& axis = axes[d];
    axis.in = shape[d];
    if (!roi.empty()) {
      axis.roi_begin = roi[d];
      axis.roi_end = roi[shape.size() + d];
    }
    const double span = axis.roi_end - axis.roi_begin;
    const double out =
        by_sizes ? given[d] : std::floor(static_cast<double>(axis.in) * span * given[d]);
    if (!(out >= 0.0 && out < 1e12) || !(given[d] > 0.0 || by_sizes)) {
      return invalid_input("", "would give dimension " + std::to_string(d) +
                                   " an impossible size; scales and sizes have to be positive");
    }
    axis.out = static_cast<int64_t>(out);
    axis.scale = by_sizes ? out / static_cast<double>(std::max<int64_t>(1, axis.in)) : given[d];
    if (axis.in == 0 && axis.out > 0) return invalid_input("", "enlarges an empty dimension");
  }
  return axes;
}

// Sum over the product of the taps of dimensions d, d+1, ... from element `offset`.
template <class T>
double interpolate(const T* x, std::span<const Taps* const> taps, std::span<const int64_t> strides,
                   int64_t offset) {
  if (taps.empty()) return static_cast<double>(x[offset]);
  double sum = 0.0;
  for (const Tap& tap : taps[0]->taps) {
    if (tap.weight == 0.0) continue;
    sum += tap.weight *
           interpolate(x, taps.subspan(1), strides.subspan(1), offset + tap.index * strides[0]);
  }
  return sum;
}

// Calls visit(output element, taps per dimension, whether extrapolated).
template <class F>
void for_each_output(const Shape& shape, const std::vector<std::vector<Taps>>& table, F visit) {
  const int64_t count = product(shape);
  std::vector<int64_t> index(shape.size(), 0);
  std::vector<const Taps*> taps(shape.size());
  for (int64_t i = 0; i < count; ++i) {
    bool outside = false;
    for (size_t d = 0; d < shape.size(); ++d) {
      taps[d] = &table[d][static_cast<size_t>(index[d])];
      outside = outside || taps[d]->outside;
    }
    visit(i, std::span<const Taps* const>(taps), outside);
    for (size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
}

template <class T>
Result<Outputs> resize(const Resize& op, const Call& call, const Shape& shape,
                       const std::vector<std::vector<Taps>>& table) {
  const Tensor& x = *call.input(0);
  const std::vector<int64_t> strides = row_major_strides(x.shape());
  TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), shape));
  const T* in = x.data<T>().data();
  T* out = y.mutable_data<T>().data();
  for_each_output(shape, table, [&](int64_t i, std::span<const Taps* const> taps, bool outside) {
    if (outside) {
      out[i] = saturate_cast<T>(op.extrapolation_value);
    } else if (op.mode == ResizeMode::kNearest) {
      int64_t offset = 0;
      for (size_t d = 0; d < taps.size(); ++d) offset += taps[d]->taps[0].index * strides[d];
      out[i] = in[offset];
    } else {
      out[i] = saturate_cast<T>(interpolate(in, taps, std::span(strides), 0));
    }
  });
  return one(std::move(y));
}

}  // namespace

Result<Outputs> eval(const Resize& op, const Call& call) {
  TRY(need(call, 1, 4));
  const Tensor& x = *call.input(0);
  if (x.rank() > 8) return unsupported("", "resizes more than 8 dimensions");
  TRY_ASSIGN(const std::vector<ResizeAxis> axes, resize_axes(op, call));
  Shape shape;
  for (const ResizeAxis& axis : axes) shape.push_back(axis.out);
  const std::optional<int64_t> count = element_count(shape);
  if (!count) return invalid_input("", "would yield an impossible shape " + to_string(shape));
  std::vector<std::vector<Taps>> table(axes.size());
  for (size_t d = 0; d < axes.size() && *count > 0; ++d) {
    TRY(reserve(call, static_cast<uint64_t>(axes[d].out), 2 * sizeof(Taps) + 4 * sizeof(Tap)));
    for (int64_t at = 0; at < axes[d].out; ++at) {
      // A dimension that keeps its size and scale is left alone, as the standard asks.
      const bool kept = axes[d].out == axes[d].in && axes[d].scale == 1.0 &&
                        op.coordinates != ResizeCoordinates::kCropAndResize;
      table[d].push_back(kept ? Taps{{{at, 1.0}}, false} : taps_at(op, axes[d], at));
    }
  }
  return with_compute_type(
      x.dtype(), [&]<class T>() -> Result<Outputs> { return resize<T>(op, call, shape, table); });
}

}  // namespace graupel::ir::evaluator
