// Normalisation and softmax: BatchNormalization, InstanceNormalization, LayerNormalization, LRN,
// Softmax, LogSoftmax, Hardmax.
//
// Idea: plain two-pass sums in ascending order, in the input's float type.
// Reference: ONNX BatchNormalization-15, LayerNormalization-17, LRN-13, Softmax-13.
// Test: tests/conformance, onnx/versions_test.cc.
#include "ir/eval_internal.h"

namespace graupel::ir::evaluator {
namespace {

// Inputs 1..count are vectors of `channels` numbers of the same dtype as x.
Result<void> check_vectors(const Call& call, size_t count, int64_t channels) {
  for (size_t i = 1; i <= count; ++i) {
    const Tensor* tensor = call.input(i);
    if (tensor == nullptr) continue;
    if (tensor->rank() != 1 || tensor->shape()[0] != channels ||
        tensor->dtype() != call.input(0)->dtype()) {
      return invalid_input("", "input " + std::to_string(i) + " is " + to_string(tensor->shape()) +
                                   " of " + std::string(to_string(tensor->dtype())) + ", but " +
                                   std::to_string(channels) + " numbers like the input are needed");
    }
  }
  return ok();
}

template <class T>
struct Moments {
  T mean = 0, variance = 0;
};

// Mean and (biased) variance over `blocks` runs of `length`, `stride` apart.
template <class T>
Moments<T> moments(const T* x, int64_t blocks, int64_t length, int64_t stride) {
  const T count = static_cast<T>(blocks * length);
  Moments<T> result;
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t i = 0; i < length; ++i) result.mean += x[b * stride + i];
  }
  result.mean /= count;
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t i = 0; i < length; ++i) {
      const T difference = x[b * stride + i] - result.mean;
      result.variance += difference * difference;
    }
  }
  result.variance /= count;
  return result;
}

template <class T>
Result<Outputs> batch_normalization(const BatchNormalization& op, const Call& call) {
  const Tensor& x = *call.input(0);
  const int64_t channels = x.shape()[1], plane = product(x.shape(), 2, x.rank());
  TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), x.shape()));
  TRY_ASSIGN(Tensor mean, cast(call, *call.input(3), x.dtype()));
  TRY_ASSIGN(Tensor variance, cast(call, *call.input(4), x.dtype()));
  const T* in = x.data<T>().data();
  T* out = y.mutable_data<T>().data();
  for (int64_t c = 0; c < channels; ++c) {
    const auto channel = static_cast<size_t>(c);
    T used_mean = mean.data<T>()[channel], used_variance = variance.data<T>()[channel];
    if (op.training) {
      const Moments<T> now = moments(in + c * plane, x.shape()[0], plane, channels * plane);
      const T momentum = static_cast<T>(op.momentum);
      mean.mutable_data<T>()[channel] = used_mean * momentum + now.mean * (T(1) - momentum);
      variance.mutable_data<T>()[channel] =
          used_variance * momentum + now.variance * (T(1) - momentum);
      used_mean = now.mean;
      used_variance = now.variance;
    }
    const T scale =
        call.input(1)->data<T>()[channel] / std::sqrt(used_variance + static_cast<T>(op.epsilon));
    const T bias = call.input(2)->data<T>()[channel];
    for (int64_t n = 0; n < x.shape()[0]; ++n) {
      const int64_t start = (n * channels + c) * plane;
      for (int64_t i = start; i < start + plane; ++i) {
        out[i] = (in[i] - used_mean) * scale + bias;
      }
    }
  }
  Outputs outputs = one(std::move(y));
  if (call.output_count > 1) outputs.push_back(std::move(mean));
  if (call.output_count > 2) outputs.push_back(std::move(variance));
  return outputs;
}

template <class T>
Result<Outputs> layer_normalization(const LayerNormalization& op, const Call& call, size_t axis) {
  const Tensor& x = *call.input(0);
  const Tensor* bias = call.input(2);
  const int64_t outer = product(x.shape(), 0, axis), inner = product(x.shape(), axis, x.rank());
  const Shape tail(x.shape().begin() + static_cast<int64_t>(axis), x.shape().end());
  Shape statistics = x.shape();
  std::fill(statistics.begin() + static_cast<int64_t>(axis), statistics.end(), 1);
  for (size_t i = 1; i < 3; ++i) {
    const Tensor* tensor = call.input(i);
    if (tensor == nullptr) continue;
    TRY_ASSIGN(const Shape shape, broadcast(tensor->shape(), tail));
    if (shape != tail || tensor->dtype() != x.dtype()) {
      return invalid_input("",
                           "scale or bias does not fit the normalised shape " + to_string(tail));
    }
  }
  TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), x.shape()));
  TRY_ASSIGN(Tensor mean, allocate(call, x.dtype(), statistics));
  TRY_ASSIGN(Tensor inverse, allocate(call, x.dtype(), statistics));
  if (x.size() > 0) {
    const std::array<std::vector<int64_t>, 2> strides = {
        broadcast_strides(call.input(1)->shape(), tail),
        broadcast_strides(bias != nullptr ? bias->shape() : Shape{}, tail)};
    const int64_t length = tail.back();
    for (int64_t row = 0; row < outer; ++row) {
      const T* in = x.data<T>().data() + row * inner;
      T* out = y.mutable_data<T>().data() + row * inner;
      const Moments<T> now = moments(in, 1, inner, inner);
      const T factor = T(1) / std::sqrt(now.variance + static_cast<T>(op.epsilon));
      mean.mutable_data<T>()[static_cast<size_t>(row)] = now.mean;
      inverse.mutable_data<T>()[static_cast<size_t>(row)] = factor;
      for_each_row<2>(tail, strides, [&](int64_t start, const std::array<int64_t, 2>& at) {
        const T* scales = call.input(1)->data<T>().data() + at[0];
        for (int64_t i = 0; i < length; ++i) {
          const T added =
              bias != nullptr ? bias->data<T>().data()[at[1] + i * strides[1].back()] : T(0);
          out[start + i] =
              (in[start + i] - now.mean) * factor * scales[i * strides[0].back()] + added;
        }
      });
    }
  }
  Outputs outputs = one(std::move(y));
  if (call.output_count > 1) outputs.push_back(std::move(mean));
  if (call.output_count > 2) outputs.push_back(std::move(inverse));
  return outputs;
}

template <class T>
void softmax_line(SoftmaxKind kind, const T* in, T* out, int64_t count, int64_t step) {
  int64_t best = 0;
  for (int64_t i = 1; i < count; ++i) {
    if (in[i * step] > in[best * step]) best = i;
  }
  if (kind == SoftmaxKind::kHardmax) {
    for (int64_t i = 0; i < count; ++i) out[i * step] = i == best ? T(1) : T(0);
    return;
  }
  const T highest = in[best * step];
  T sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    out[i * step] = std::exp(in[i * step] - highest);
    sum += out[i * step];
  }
  if (kind == SoftmaxKind::kSoftmax) {
    for (int64_t i = 0; i < count; ++i) out[i * step] /= sum;
  } else {
    const T log_sum = std::log(sum);
    for (int64_t i = 0; i < count; ++i) out[i * step] = in[i * step] - highest - log_sum;
  }
}

}  // namespace

Result<Outputs> eval(const BatchNormalization& op, const Call& call) {
  TRY(need(call, 5, 5));
  const Tensor& x = *call.input(0);
  if (x.rank() < 2) return invalid_input("", "takes [N,C,...], but got " + to_string(x.shape()));
  TRY(check_vectors(call, 4, x.shape()[1]));
  if (!op.training && call.output_count > 1) {
    return unsupported("", "has training outputs but is in inference mode");
  }
  return with_float_type(
      x.dtype(), [&]<class T>() -> Result<Outputs> { return batch_normalization<T>(op, call); });
}

Result<Outputs> eval(const InstanceNormalization& op, const Call& call) {
  TRY(need(call, 3, 3));
  const Tensor& x = *call.input(0);
  if (x.rank() < 3) return invalid_input("", "takes [N,C,...], but got " + to_string(x.shape()));
  TRY(check_vectors(call, 2, x.shape()[1]));
  return with_float_type(x.dtype(), [&]<class T>() -> Result<Outputs> {
    TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), x.shape()));
    const int64_t channels = x.shape()[1], plane = product(x.shape(), 2, x.rank());
    if (x.size() == 0) return one(std::move(y));
    for (int64_t block = 0; block < x.shape()[0] * channels; ++block) {
      const auto channel = static_cast<size_t>(block % channels);
      const T* in = x.data<T>().data() + block * plane;
      T* out = y.mutable_data<T>().data() + block * plane;
      const Moments<T> now = moments(in, 1, plane, plane);
      const T scale =
          call.input(1)->data<T>()[channel] / std::sqrt(now.variance + static_cast<T>(op.epsilon));
      const T bias = call.input(2)->data<T>()[channel];
      for (int64_t i = 0; i < plane; ++i) out[i] = (in[i] - now.mean) * scale + bias;
    }
    return one(std::move(y));
  });
}

Result<Outputs> eval(const LayerNormalization& op, const Call& call) {
  TRY(need(call, 2, 3));
  const Tensor& x = *call.input(0);
  TRY_ASSIGN(const size_t axis, resolve_axis(op.axis, x.rank()));
  return with_float_type(x.dtype(), [&]<class T>() -> Result<Outputs> {
    return layer_normalization<T>(op, call, axis);
  });
}

Result<Outputs> eval(const LRN& op, const Call& call) {
  TRY(need(call, 1, 1));
  const Tensor& x = *call.input(0);
  if (x.rank() < 2 || op.size < 1) {
    return invalid_input("", "takes [N,C,...] and a positive size, but got " +
                                 to_string(x.shape()) + " and " + std::to_string(op.size));
  }
  return with_float_type(x.dtype(), [&]<class T>() -> Result<Outputs> {
    TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), x.shape()));
    const int64_t channels = x.shape()[1], plane = product(x.shape(), 2, x.rank());
    const int64_t before = (op.size - 1) / 2, after = op.size - 1 - before;
    const T* in = x.data<T>().data();
    T* out = y.mutable_data<T>().data();
    for (int64_t at = 0; at < static_cast<int64_t>(x.size()); ++at) {
      const int64_t c = at / plane % channels;
      const int64_t first = before >= c ? 0 : c - before;
      const int64_t last = after >= channels - 1 - c ? channels - 1 : c + after;
      T sum = 0;
      for (int64_t k = first; k <= last; ++k) {
        const T value = in[at + (k - c) * plane];
        sum += value * value;
      }
      out[at] = in[at] / std::pow(static_cast<T>(op.bias) +
                                      static_cast<T>(op.alpha) / static_cast<T>(op.size) * sum,
                                  static_cast<T>(op.beta));
    }
    return one(std::move(y));
  });
}

Result<Outputs> eval(const Softmax& op, const Call& call) {
  TRY(need(call, 1, 1));
  const Tensor& x = *call.input(0);
  TRY_ASSIGN(const size_t axis, resolve_axis(op.axis, x.rank()));
  return with_float_type(x.dtype(), [&]<class T>() -> Result<Outputs> {
    TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), x.shape()));
    const int64_t count = x.shape()[axis], step = product(x.shape(), axis + 1, x.rank());
    if (x.size() == 0) return one(std::move(y));
    for (int64_t outer = 0; outer < product(x.shape(), 0, axis); ++outer) {
      for (int64_t i = 0; i < step; ++i) {
        const int64_t at = outer * count * step + i;
        softmax_line(op.kind, x.data<T>().data() + at, y.mutable_data<T>().data() + at, count,
                     step);
      }
    }
    return one(std::move(y));
  });
}

}  // namespace graupel::ir::evaluator
