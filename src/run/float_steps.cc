// Steps that move or combine elements: tables, matrix products, float convolution and pools,
// reductions, softmax, arg max, interpolation.
//
// Idea: every float sum takes its terms in the reference evaluator's order (inner index ascending,
// from zero, bias last), so the bits agree; independent outputs may be computed side by side.
// Reference: ONNX operator semantics, opset 17. Test: compile_test.cc, bit for bit
// against the evaluator.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "run/engine_internal.h"

namespace graupel::run {
namespace {

template <class T>
void move(const Frame& frame, const Move& step) {
  const T* x = frame.read<T>(step.x);
  T* y = frame.write<T>(step.y) + step.y_first;
  const int32_t* table = frame.read<int32_t>(step.table);
  const int64_t entries = frame.elements(step.table);
  T fill;
  std::memcpy(&fill, step.fill.data(), sizeof fill);
  if (step.kind == MoveTable::kIndices) {
    for (int64_t i = 0; i < entries; ++i) y[i] = table[i] < 0 ? fill : x[table[i]];
    return;
  }
  for (int64_t i = 0; i + 2 < entries; i += 3) {
    const int32_t to = table[i], from = table[i + 1], length = table[i + 2];
    if (from < 0) {
      std::fill_n(y + to, length, fill);
    } else {
      std::memcpy(y + to, x + from, static_cast<size_t>(length) * sizeof(T));
    }
  }
}

// One matrix product; each output takes k ascending from zero.
void multiply(const MatMul& s, const float* a, const float* b, float* y) {
  for (int64_t i = 0; i < s.m; ++i) {
    float* row = y + i * s.n;
    std::fill_n(row, s.n, 0.0f);
    for (int64_t k = 0; k < s.k; ++k) {
      const float value = a[i * s.a_row + k * s.a_column];
      const float* from = b + k * s.b_row;
      for (int64_t j = 0; j < s.n; ++j) row[j] += value * from[j * s.b_column];
    }
  }
}

void scale_and_add(const MatMul& s, const float* c, float* y) {
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      float& value = y[i * s.n + j];
      if (s.alpha != 1.0f) value = s.alpha * value;
      if (c == nullptr) continue;
      const float added = c[i * s.c_row + j * s.c_column];
      value += s.beta == 1.0f ? added : s.beta * added;
    }
  }
}

void add_bias(const Frame& frame, const ConvF32& step) {
  if (!step.bias.valid()) return;
  const float* bias = frame.read<float>(step.bias);
  float* y = frame.write<float>(step.y);
  const int64_t plane = int64_t{step.window.out_h} * step.window.out_w;
  for (int64_t block = 0; block < step.batch * step.out_channels; ++block) {
    const float value = bias[block % step.out_channels];
    for (int64_t i = 0; i < plane; ++i) y[block * plane + i] += value;
  }
}

// One input plane times one kernel plane, added to an output plane.
void correlate(const Window2d& w, const float* x, const float* weights, float* y) {
  for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < w.kernel_w; ++kx) {
      const float weight = weights[ky * w.kernel_w + kx];
      for (int64_t oy = 0; oy < w.out_h; ++oy) {
        const int64_t iy = oy * w.stride_h - w.pad_top + ky * w.dilation_h;
        if (iy < 0 || iy >= w.in_h) continue;
        for (int64_t ox = 0; ox < w.out_w; ++ox) {
          const int64_t ix = ox * w.stride_w - w.pad_left + kx * w.dilation_w;
          if (ix < 0 || ix >= w.in_w) continue;
          y[oy * w.out_w + ox] += weight * x[iy * w.in_w + ix];
        }
      }
    }
  }
}

// The transposed convolution's counterpart: each input element, then each kernel element.
void scatter(const Window2d& w, const float* x, const float* weights, float* y) {
  for (int64_t iy = 0; iy < w.in_h; ++iy) {
    for (int64_t ix = 0; ix < w.in_w; ++ix) {
      const float value = x[iy * w.in_w + ix];
      for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
        const int64_t oy = iy * w.stride_h - w.pad_top + ky * w.dilation_h;
        if (oy < 0 || oy >= w.out_h) continue;
        for (int64_t kx = 0; kx < w.kernel_w; ++kx) {
          const int64_t ox = ix * w.stride_w - w.pad_left + kx * w.dilation_w;
          if (ox < 0 || ox >= w.out_w) continue;
          y[oy * w.out_w + ox] += value * weights[ky * w.kernel_w + kx];
        }
      }
    }
  }
}

// visit(output position, value) for every tap inside the image, and finish(output position).
template <class Start, class Visit, class Finish>
void pool_plane(const Window2d& w, const float* x, Start start, Visit visit, Finish finish) {
  for (int64_t oy = 0; oy < w.out_h; ++oy) {
    for (int64_t ox = 0; ox < w.out_w; ++ox) {
      start();
      for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
        const int64_t iy = oy * w.stride_h - w.pad_top + ky * w.dilation_h;
        if (iy < 0 || iy >= w.in_h) continue;
        for (int64_t kx = 0; kx < w.kernel_w; ++kx) {
          const int64_t ix = ox * w.stride_w - w.pad_left + kx * w.dilation_w;
          if (ix >= 0 && ix < w.in_w) visit(x[iy * w.in_w + ix]);
        }
      }
      finish(oy * w.out_w + ox);
    }
  }
}

template <class T>
T sum_of(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  } else {
    return a + b;
  }
}
template <class T>
T product_of(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  } else {
    return a * b;
  }
}

template <class T, class F>
T fold(const Reduce& step, const T* x, T start, F f) {
  const int64_t last = step.inner.empty() ? 0 : step.inner_strides.back();
  const Nest<1> nest{&step.inner, {&step.inner_strides}};
  for_each_row(nest, [&](int64_t length, const std::array<int64_t, 1>& at) {
    for (int64_t i = 0; i < length; ++i) start = f(start, x[at[0] + i * last]);
  });
  return start;
}

template <class T>
T reduce_whole(const Reduce& step, const T* x) {
  switch (step.op) {
    case ReduceOp::kMax:
      return fold(step, x, x[0], [](T a, T b) { return a != a || a > b ? a : b; });
    case ReduceOp::kMin:
      return fold(step, x, x[0], [](T a, T b) { return a != a || a < b ? a : b; });
    case ReduceOp::kProd: return fold(step, x, T(1), product_of<T>);
    default: return fold(step, x, T(0), sum_of<T>);
  }
}

float log_sum_exp(const Reduce& step, const float* x) {
  float highest = fold(step, x, -std::numeric_limits<float>::infinity(),
                       [](float a, float b) { return std::max(a, b); });
  if (!std::isfinite(highest)) highest = 0.0f;
  const float sum =
      fold(step, x, 0.0f, [=](float a, float b) { return a + std::exp(b - highest); });
  return std::log(sum) + highest;
}

float reduce_float(const Reduce& step, const float* x) {
  const auto sum = [&] { return fold(step, x, 0.0f, sum_of<float>); };
  const auto squares = [&] {
    return fold(step, x, 0.0f, [](float a, float b) { return a + b * b; });
  };
  switch (step.op) {
    case ReduceOp::kMean: return sum() / static_cast<float>(*element_count(step.inner));
    case ReduceOp::kL1:
      return fold(step, x, 0.0f, [](float a, float b) { return a + (b < 0.0f ? b * -1.0f : b); });
    case ReduceOp::kL2: return std::sqrt(squares());
    case ReduceOp::kLogSum: return std::log(sum());
    case ReduceOp::kSumSquare: return squares();
    case ReduceOp::kLogSumExp: return log_sum_exp(step, x);
    default: return reduce_whole(step, x);
  }
}

template <class T, class F>
void reduce_all(const Frame& frame, const Reduce& step, F one) {
  const T* x = frame.read<T>(step.x);
  T* y = frame.write<T>(step.y);
  const int64_t last = step.outer.empty() ? 0 : step.outer_strides.back();
  const Nest<1> nest{&step.outer, {&step.outer_strides}};
  for_each_row(nest, [&](int64_t length, const std::array<int64_t, 1>& at) {
    for (int64_t i = 0; i < length; ++i) *y++ = one(step, x + at[0] + i * last);
  });
}

void softmax_line(const Softmax& s, const float* x, float* y) {
  const int64_t step = s.inner;
  int64_t best = 0;
  for (int64_t i = 1; i < s.axis; ++i) {
    if (x[i * step] > x[best * step]) best = i;
  }
  if (s.op == SoftmaxOp::kHardmax) {
    for (int64_t i = 0; i < s.axis; ++i) y[i * step] = i == best ? 1.0f : 0.0f;
    return;
  }
  const float highest = x[best * step];
  float sum = 0.0f;
  for (int64_t i = 0; i < s.axis; ++i) {
    y[i * step] = std::exp(x[i * step] - highest);
    sum += y[i * step];
  }
  if (s.op == SoftmaxOp::kSoftmax) {
    for (int64_t i = 0; i < s.axis; ++i) y[i * step] /= sum;
    return;
  }
  const float log_sum = std::log(sum);
  for (int64_t i = 0; i < s.axis; ++i) y[i * step] = x[i * step] - highest - log_sum;
}

template <class T>
void arg_reduce(const Frame& frame, const ArgReduce& s) {
  const T* x = frame.read<T>(s.x);
  int64_t* y = frame.write<int64_t>(s.y);
  for (int64_t outer = 0; outer < s.outer; ++outer) {
    for (int64_t inner = 0; inner < s.inner; ++inner) {
      const T* line = x + outer * s.axis * s.inner + inner;
      int64_t best = 0;
      for (int64_t i = 1; i < s.axis; ++i) {
        const T value = line[i * s.inner], champion = line[best * s.inner];
        const bool better = s.op == ArgOp::kMax ? value > champion : value < champion;
        if (better || (s.tie == Tie::kLast && value == champion)) best = i;
      }
      *y++ = best;
    }
  }
}

// The nested sums of one output position; entry[d] is its first tap in dimension d.
struct Point {
  const Interpolate& step;
  const float* x;
  const int32_t* index;
  const double* weight;
  std::array<int64_t, kMaxRank> entry{};

  double sum_from(size_t d, int64_t offset) const {
    if (d == step.dims.size()) return static_cast<double>(x[offset]);
    double sum = 0.0;
    for (int64_t t = 0; t < step.taps; ++t) {
      const int64_t tap = entry[d] * step.taps + t;
      if (weight[tap] == 0.0) continue;
      sum += weight[tap] * sum_from(d + 1, offset + index[tap] * step.strides[d]);
    }
    return sum;
  }
};

}  // namespace

void execute(const Frame& frame, const Move& step) {
  switch (element_size_bytes(frame.buffer(step.x).dtype)) {
    case 1: return move<uint8_t>(frame, step);
    case 4: return move<uint32_t>(frame, step);
    default: return move<uint64_t>(frame, step);
  }
}

void execute(const Frame& frame, const MatMul& step) {
  const float* a = frame.read<float>(step.a);
  const float* b = frame.read<float>(step.b);
  const float* c = step.c.valid() ? frame.read<float>(step.c) : nullptr;
  float* y = frame.write<float>(step.y);
  const int64_t a_last = step.batch.empty() ? 0 : step.a_batch.back();
  const int64_t b_last = step.batch.empty() ? 0 : step.b_batch.back();
  const Nest<2> nest{&step.batch, {&step.a_batch, &step.b_batch}};
  for_each_row(nest, [&](int64_t length, const std::array<int64_t, 2>& at) {
    for (int64_t i = 0; i < length; ++i, y += step.m * step.n) {
      multiply(step, a + at[0] + i * a_last, b + at[1] + i * b_last, y);
      if (c != nullptr || step.alpha != 1.0f) scale_and_add(step, c, y);
    }
  });
}

void execute(const Frame& frame, const ConvF32& step) {
  const Window2d& w = step.window;
  const float* x = frame.read<float>(step.x);
  const float* weights = frame.read<float>(step.weights);
  float* y = frame.write<float>(step.y);
  const int64_t in_plane = int64_t{w.in_h} * w.in_w, out_plane = int64_t{w.out_h} * w.out_w;
  const int64_t taps = int64_t{w.kernel_h} * w.kernel_w;
  const int64_t in_group = w.channels / step.groups, out_group = step.out_channels / step.groups;
  std::fill_n(y, step.batch * step.out_channels * out_plane, 0.0f);
  for (int64_t n = 0; n < step.batch; ++n) {
    for (int64_t c = 0; c < w.channels; ++c) {
      const float* plane = x + (n * w.channels + c) * in_plane;
      for (int64_t m = 0; m < out_group; ++m) {
        const int64_t feature = c / in_group * out_group + m;
        float* to = y + (n * step.out_channels + feature) * out_plane;
        if (step.kind == ConvKind::kForward) {
          correlate(w, plane, weights + (feature * in_group + c % in_group) * taps, to);
        } else {
          scatter(w, plane, weights + (c * out_group + m) * taps, to);
        }
      }
    }
  }
  add_bias(frame, step);
}

void execute(const Frame& frame, const PoolF32& step) {
  const Window2d& w = step.window;
  const float* x = frame.read<float>(step.x);
  float* y = frame.write<float>(step.y);
  const float* divisor = step.op == PoolOp::kAverage ? frame.read<float>(step.divisor) : nullptr;
  for (int64_t c = 0; c < w.channels; ++c) {
    float value = 0.0f;
    if (step.op == PoolOp::kAverage) {
      pool_plane(
          w, x, [&] { value = 0.0f; }, [&](float tap) { value += tap; },
          [&](int64_t at) { y[at] = value / divisor[at]; });
    } else {
      pool_plane(
          w, x, [&] { value = -std::numeric_limits<float>::infinity(); },
          [&](float tap) {
            if (value == value && (tap > value || tap != tap)) value = tap;
          },
          [&](int64_t at) { y[at] = value; });
    }
    x += int64_t{w.in_h} * w.in_w;
    y += int64_t{w.out_h} * w.out_w;
  }
}

void execute(const Frame& frame, const Reduce& step) {
  if (frame.buffer(step.x).dtype == DType::kInt64) {
    reduce_all<int64_t>(frame, step, reduce_whole<int64_t>);
  } else {
    reduce_all<float>(frame, step, reduce_float);
  }
}

void execute(const Frame& frame, const Softmax& step) {
  const float* x = frame.read<float>(step.x);
  float* y = frame.write<float>(step.y);
  for (int64_t outer = 0; outer < step.outer; ++outer) {
    for (int64_t inner = 0; inner < step.inner; ++inner) {
      const int64_t at = outer * step.axis * step.inner + inner;
      softmax_line(step, x + at, y + at);
    }
  }
}

void execute(const Frame& frame, const ArgReduce& step) {
  if (frame.buffer(step.x).dtype == DType::kInt64) {
    arg_reduce<int64_t>(frame, step);
  } else {
    arg_reduce<float>(frame, step);
  }
}

void execute(const Frame& frame, const Interpolate& step) {
  Point point{step, frame.read<float>(step.x), frame.read<int32_t>(step.index),
              frame.read<double>(step.weight)};
  float* y = frame.write<float>(step.y);
  const int64_t count = frame.elements(step.y);
  std::array<int64_t, kMaxRank> position{};
  for (int64_t i = 0; i < count; ++i) {
    int64_t first = 0;
    for (size_t d = 0; d < step.dims.size(); ++d) {
      point.entry[d] = first + position[d];
      first += step.dims[d];
    }
    y[i] = static_cast<float>(point.sum_from(0, 0));
    for (size_t d = step.dims.size(); d-- > 0;) {
      if (++position[d] < step.dims[d]) break;
      position[d] = 0;
    }
  }
}

void execute(const Frame& frame, const Normalize& step) {
  const float* x = frame.read<float>(step.x);
  const double* mean = frame.read<double>(step.mean);
  const double* deviation = frame.read<double>(step.deviation);
  float* y = frame.write<float>(step.y);
  for (int64_t c = 0; c < step.channels; ++c) {
    for (int64_t i = 0; i < step.inner; ++i, ++x, ++y) {
      *y = static_cast<float>((static_cast<double>(*x) - mean[c]) / deviation[c]);
    }
  }
}

void execute(const Frame& frame, const RemoveMean& step) {
  const float* x = frame.read<float>(step.x);
  const uint8_t* centred = frame.read<uint8_t>(step.centred);
  float* y = frame.write<float>(step.y);
  for (int64_t row = 0; row < step.channels * step.rows; ++row) {
    double mean = 0.0;
    if (centred[row / step.rows] != 0) {
      for (int64_t i = 0; i < step.samples; ++i) mean += static_cast<double>(x[i]);
      mean /= static_cast<double>(step.samples);
      for (int64_t i = 0; i < step.samples; ++i) {
        y[i] = static_cast<float>(static_cast<double>(x[i]) - mean);
      }
    } else {
      std::copy_n(x, step.samples, y);
    }
    x += step.samples;
    y += step.samples;
  }
}

}  // namespace graupel::run
