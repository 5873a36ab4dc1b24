// What the checks of all step kinds share: the buffers a step uses, sizes, windows.
// Private to src/run; see check_plan.cc.
#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <utility>

#include "run/plan.h"
#include "run/plan_internal.h"

namespace graupel::run {

inline constexpr int64_t kMaxSize = int64_t{1} << 20;  // one image dimension, kernel, stride or pad

using Work = Result<int64_t>;

inline Error bad(std::string what) { return corrupt("", std::move(what)); }

inline Result<void> need(bool condition, const char* what) {
  if (condition) return ok();
  return bad(what);
}

// Product of sizes that may come from anywhere, or an error.
inline Work size_of(std::initializer_list<int64_t> sizes) {
  for (const int64_t size : sizes) {
    if (size < 1) return bad("a size is not positive");
  }
  const std::optional<int64_t> count = element_count(Shape(sizes));
  if (!count) return bad("sizes are too large");
  return *count;
}

inline bool is_byte(DType dtype) { return dtype == DType::kInt8 || dtype == DType::kUInt8; }

struct ByteLimits {
  int32_t low, high;
};
inline ByteLimits limits_of(DType dtype) {
  return dtype == DType::kInt8 ? ByteLimits{-128, 127} : ByteLimits{0, 255};
}

enum class Access { kRead, kConstant, kWrite };

// The buffers one step uses.
class Scope {
 public:
  explicit Scope(const Plan& plan) : plan_(plan) {}

  const Buffer& operator[](BufferId id) const { return plan_.buffers[id.index()]; }

  Result<void> use(BufferId id, Access access) {
    if (!id.valid() || id.index() >= plan_.buffers.size()) return bad("names no buffer");
    const Place place = (*this)[id].place;
    if (access == Access::kWrite) {
      TRY(need(place == Place::kArena, "writes into the constants"));
      written_ = id;
    } else {
      TRY(need(access != Access::kConstant || place == Place::kConstant,
               "takes a constant where an activation is given"));
      read_.push_back(id);
    }
    return ok();
  }
  Result<void> use(BufferId id, Access access, DType dtype, int64_t elements) {
    TRY(use(id, access));
    return typed(id, dtype, elements);
  }
  Result<void> use_bytes(BufferId id, Access access, int64_t elements) {
    TRY(use(id, access));
    TRY(need(is_byte((*this)[id].dtype), "takes int8 or uint8"));
    return typed(id, (*this)[id].dtype, elements);
  }
  // What a step writes may not lie where it reads.
  Result<void> check_overlap() const {
    const Buffer& y = (*this)[written_];
    const uint64_t y_end = y.offset + static_cast<uint64_t>(buffer_bytes(y));
    for (const BufferId id : read_) {
      const Buffer& x = (*this)[id];
      const uint64_t x_end = x.offset + static_cast<uint64_t>(buffer_bytes(x));
      if (x.place == Place::kArena && x.offset < y_end && y.offset < x_end) {
        return bad("reads and writes the same bytes");
      }
    }
    return ok();
  }
  template <class T>
  std::span<const T> constant(BufferId id) const {
    return constant_data<T>(plan_, id);
  }

  int64_t packed_bytes = 0;  // at most; of a convolution's weights as an engine packs them

 private:
  Result<void> typed(BufferId id, DType dtype, int64_t elements) const {
    const Buffer& buffer = (*this)[id];
    if (buffer.dtype != dtype || buffer_elements(buffer) != elements) {
      return bad("buffer '" + buffer.name + "' holds " + std::to_string(buffer_elements(buffer)) +
                 " " + std::string(to_string(buffer.dtype)) + ", expected " +
                 std::to_string(elements) + " " + std::string(to_string(dtype)));
    }
    return ok();
  }

  const Plan& plan_;
  BufferId written_;
  std::vector<BufferId> read_;
};

inline Result<void> check_window(const Window2d& w) {
  for (const int32_t size : {w.channels, w.in_h, w.in_w, w.out_h, w.out_w, w.kernel_h, w.kernel_w,
                             w.stride_h, w.stride_w, w.dilation_h, w.dilation_w}) {
    TRY(need(size >= 1 && size <= kMaxSize, "a window size is out of range"));
  }
  TRY(need(w.pad_top >= 0 && w.pad_top <= kMaxSize && w.pad_left >= 0 && w.pad_left <= kMaxSize,
           "a pad is out of range"));
  return need(int64_t{w.kernel_h - 1} * w.dilation_h <= 2 * kMaxSize &&
                  int64_t{w.kernel_w - 1} * w.dilation_w <= 2 * kMaxSize,
              "a dilated kernel is too large");
}

// Every output of a pool has a tap inside the image.
inline Result<void> check_pool_axis(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                                    int64_t dilation, int64_t pad) {
  for (int64_t o = 0; o < out; ++o) {
    const int64_t start = o * stride - pad;
    const int64_t first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
    TRY(need(first < kernel && start + first * dilation < in, "a pool has an empty window"));
  }
  return ok();
}

inline Work check_pool(const Window2d& w) {
  TRY(check_window(w));
  TRY(check_pool_axis(w.in_h, w.out_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top));
  TRY(check_pool_axis(w.in_w, w.out_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left));
  TRY_ASSIGN(const int64_t taps, size_of({w.kernel_h, w.kernel_w}));
  TRY(need(taps <= kMaxSize, "a pool has too many taps"));
  return size_of({taps, w.out_h, w.out_w, w.channels});
}

inline int64_t image_in(const Window2d& w) { return int64_t{w.in_h} * w.in_w * w.channels; }
inline int64_t image_out(const Window2d& w, int64_t channels) {
  return int64_t{w.out_h} * w.out_w * channels;
}

// mean and deviation of a z-score.
inline Result<void> check_moments(BufferId mean, BufferId deviation, int64_t channels,
                                  Scope& scope) {
  TRY(scope.use(mean, Access::kConstant, DType::kFloat64, channels));
  TRY(scope.use(deviation, Access::kConstant, DType::kFloat64, channels));
  for (const double value : scope.constant<double>(mean)) {
    TRY(need(std::isfinite(value), "a mean is not finite"));
  }
  for (const double value : scope.constant<double>(deviation)) {
    TRY(need(value > 0.0 && std::isfinite(value) && std::isfinite(1.0 / value),
             "a deviation is not a positive number"));
  }
  return ok();
}

// Where a step's error lies.
inline std::string step_place(const Step& step) {
  return "plan: step " + step.node + " (" + std::string(step_name(step.body)) + ")";
}

// check_lifetimes.cc, for a plan whose buffers and steps are checked.
Result<void> check_lifetimes(const Plan& plan);

// check_float_steps.cc
Work check(const Unary& s, Scope& scope);
Work check(const Binary& s, Scope& scope);
Work check(const Where& s, Scope& scope);
Work check(const MatMul& s, Scope& scope);
Work check(const ConvF32& s, Scope& scope);
Work check(const PoolF32& s, Scope& scope);
Work check(const Reduce& s, Scope& scope);
Work check(const Softmax& s, Scope& scope);
Work check(const ArgReduce& s, Scope& scope);
Work check(const Cast& s, Scope& scope);
Work check(const Interpolate& s, Scope& scope);
Work check(const Normalize& s, Scope& scope);
Work check(const RemoveMean& s, Scope& scope);

}  // namespace graupel::run
