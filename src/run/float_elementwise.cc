// Element-wise steps on float32, int64 and bool: functions, arithmetic, selection, conversion.
//
// Idea: each function is the same expression as the reference evaluator's (src/ir), so the host
// part gives the same bits; integers wrap. One loop per arity, strides for broadcasting.
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

template <class T, class R, class F>
void map(const Frame& frame, const Unary& step, F f) {
  const T* x = frame.read<T>(step.x);
  R* y = frame.write<R>(step.y);
  const int64_t count = frame.elements(step.x);
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<R>(f(x[i]));
}

template <class F>
void map_float(const Frame& frame, const Unary& step, F f) {
  map<float, float>(frame, step, f);
}

float bounded(float x, const Unary& step) {
  const float raised = x < step.a ? step.a : x;
  return raised > step.b ? step.b : raised;
}

// The functions with parameters.
void activation(const Frame& frame, const Unary& step) {
  const float a = step.a, b = step.b;
  switch (step.op) {
    case UnaryOp::kLeakyRelu:
      return map_float(frame, step, [=](float x) { return x < 0.0f ? a * x : x; });
    case UnaryOp::kElu:
      return map_float(frame, step, [=](float x) { return x < 0.0f ? a * std::expm1(x) : x; });
    case UnaryOp::kSelu:
      return map_float(frame, step,
                       [=](float x) { return b * (x > 0.0f ? x : a * std::expm1(x)); });
    case UnaryOp::kCelu:
      return map_float(frame, step, [=](float x) {
        return std::max(x, 0.0f) + std::min(0.0f, a * std::expm1(x / a));
      });
    case UnaryOp::kThresholdedRelu:
      return map_float(frame, step, [=](float x) { return x > a ? x : 0.0f; });
    case UnaryOp::kHardSigmoid:
      return map_float(frame, step,
                       [=](float x) { return std::max(0.0f, std::min(1.0f, a * x + b)); });
    default: return map_float(frame, step, [&](float x) { return bounded(x, step); });
  }
}

void trigonometry(const Frame& frame, const Unary& step) {
  switch (step.op) {
    case UnaryOp::kSin: return map_float(frame, step, [](float x) { return std::sin(x); });
    case UnaryOp::kCos: return map_float(frame, step, [](float x) { return std::cos(x); });
    case UnaryOp::kTan: return map_float(frame, step, [](float x) { return std::tan(x); });
    case UnaryOp::kAsin: return map_float(frame, step, [](float x) { return std::asin(x); });
    case UnaryOp::kAcos: return map_float(frame, step, [](float x) { return std::acos(x); });
    case UnaryOp::kAtan: return map_float(frame, step, [](float x) { return std::atan(x); });
    case UnaryOp::kSinh: return map_float(frame, step, [](float x) { return std::sinh(x); });
    case UnaryOp::kCosh: return map_float(frame, step, [](float x) { return std::cosh(x); });
    case UnaryOp::kAsinh: return map_float(frame, step, [](float x) { return std::asinh(x); });
    case UnaryOp::kAcosh: return map_float(frame, step, [](float x) { return std::acosh(x); });
    case UnaryOp::kAtanh: return map_float(frame, step, [](float x) { return std::atanh(x); });
    default: return activation(frame, step);
  }
}

void float_function(const Frame& frame, const Unary& step) {
  switch (step.op) {
    case UnaryOp::kRelu: return map_float(frame, step, [](float x) { return x < 0.0f ? 0.0f : x; });
    case UnaryOp::kSigmoid:
      return map_float(frame, step, [](float x) { return 1.0f / (1.0f + std::exp(-x)); });
    case UnaryOp::kTanh: return map_float(frame, step, [](float x) { return std::tanh(x); });
    case UnaryOp::kNeg: return map_float(frame, step, [](float x) { return -x; });
    case UnaryOp::kAbs: return map_float(frame, step, [](float x) { return std::abs(x); });
    case UnaryOp::kSqrt: return map_float(frame, step, [](float x) { return std::sqrt(x); });
    case UnaryOp::kExp: return map_float(frame, step, [](float x) { return std::exp(x); });
    case UnaryOp::kLog: return map_float(frame, step, [](float x) { return std::log(x); });
    case UnaryOp::kRound: return map_float(frame, step, [](float x) { return std::nearbyint(x); });
    case UnaryOp::kFloor: return map_float(frame, step, [](float x) { return std::floor(x); });
    case UnaryOp::kCeil: return map_float(frame, step, [](float x) { return std::ceil(x); });
    case UnaryOp::kSign:
      return map_float(frame, step, [](float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; });
    case UnaryOp::kErf: return map_float(frame, step, [](float x) { return std::erf(x); });
    case UnaryOp::kReciprocal: return map_float(frame, step, [](float x) { return 1.0f / x; });
    case UnaryOp::kSoftplus:
      return map_float(frame, step, [](float x) {
        return std::max(x, 0.0f) + std::log1p(std::exp(-std::abs(x)));
      });
    case UnaryOp::kSoftsign:
      return map_float(frame, step, [](float x) { return x / (1.0f + std::abs(x)); });
    case UnaryOp::kHardSwish:
      return map_float(frame, step, [](float x) {
        return x * std::max(0.0f, std::min(1.0f, x * static_cast<float>(1.0 / 6.0) + 0.5f));
      });
    case UnaryOp::kIsNaN:
      return map<float, uint8_t>(frame, step, [](float x) { return x != x ? 1 : 0; });
    default: return trigonometry(frame, step);
  }
}

int64_t wrapped(uint64_t value) { return static_cast<int64_t>(value); }

void integer_function(const Frame& frame, const Unary& step) {
  const auto negated = [](int64_t x) { return wrapped(uint64_t{0} - static_cast<uint64_t>(x)); };
  switch (step.op) {
    case UnaryOp::kRelu:
      return map<int64_t, int64_t>(frame, step, [](int64_t x) { return std::max(x, int64_t{0}); });
    case UnaryOp::kNeg: return map<int64_t, int64_t>(frame, step, negated);
    case UnaryOp::kAbs:
      return map<int64_t, int64_t>(frame, step, [=](int64_t x) { return x < 0 ? negated(x) : x; });
    default:
      return map<int64_t, int64_t>(frame, step, [](int64_t x) {
        return x > 0 ? 1 : x < 0 ? -1 : 0;
      });
  }
}

template <class T, class R, class F>
void zip(const Frame& frame, const Binary& step, F f) {
  const T* a = frame.read<T>(step.a);
  const T* b = frame.read<T>(step.b);
  R* y = frame.write<R>(step.y);
  const int64_t a_step = step.dims.empty() ? 0 : step.a_strides.back();
  const int64_t b_step = step.dims.empty() ? 0 : step.b_strides.back();
  const Nest<2> nest{&step.dims, {&step.a_strides, &step.b_strides}};
  for_each_row(nest, [&](int64_t length, const std::array<int64_t, 2>& at) {
    const T* p = a + at[0];
    const T* q = b + at[1];
    for (int64_t i = 0; i < length; ++i) *y++ = static_cast<R>(f(p[i * a_step], q[i * b_step]));
  });
}

template <class T>
void compare(const Frame& frame, const Binary& step) {
  switch (step.op) {
    case BinaryOp::kEqual: return zip<T, uint8_t>(frame, step, [](T a, T b) { return a == b; });
    case BinaryOp::kLess: return zip<T, uint8_t>(frame, step, [](T a, T b) { return a < b; });
    case BinaryOp::kLessOrEqual:
      return zip<T, uint8_t>(frame, step, [](T a, T b) { return a <= b; });
    case BinaryOp::kGreater: return zip<T, uint8_t>(frame, step, [](T a, T b) { return a > b; });
    default: return zip<T, uint8_t>(frame, step, [](T a, T b) { return a >= b; });
  }
}

void logical(const Frame& frame, const Binary& step) {
  using B = uint8_t;
  switch (step.op) {
    case BinaryOp::kAnd: return zip<B, B>(frame, step, [](B a, B b) { return a != 0 && b != 0; });
    case BinaryOp::kOr: return zip<B, B>(frame, step, [](B a, B b) { return a != 0 || b != 0; });
    default: return zip<B, B>(frame, step, [](B a, B b) { return (a != 0) != (b != 0); });
  }
}

void float_arithmetic(const Frame& frame, const Binary& step) {
  const auto apply = [&](auto f) { zip<float, float>(frame, step, f); };
  switch (step.op) {
    case BinaryOp::kAdd: return apply([](float a, float b) { return a + b; });
    case BinaryOp::kSub: return apply([](float a, float b) { return a - b; });
    case BinaryOp::kMul: return apply([](float a, float b) { return a * b; });
    case BinaryOp::kDiv: return apply([](float a, float b) { return a / b; });
    case BinaryOp::kPow: return apply([](float a, float b) { return std::pow(a, b); });
    case BinaryOp::kFmod: return apply([](float a, float b) { return std::fmod(a, b); });
    case BinaryOp::kMin: return apply([](float a, float b) { return a != a || a < b ? a : b; });
    case BinaryOp::kMax: return apply([](float a, float b) { return a != a || a > b ? a : b; });
    case BinaryOp::kPRelu: return apply([](float a, float b) { return a < 0.0f ? a * b : a; });
    default: return compare<float>(frame, step);
  }
}

int64_t quotient(int64_t a, int64_t b) {
  return b == -1 ? wrapped(uint64_t{0} - static_cast<uint64_t>(a)) : a / b;
}
int64_t remainder_of(int64_t a, int64_t b) { return b == -1 ? 0 : a % b; }
int64_t floor_modulus(int64_t a, int64_t b) {
  const int64_t rest = remainder_of(a, b);
  return rest != 0 && ((rest < 0) != (b < 0)) ? rest + b : rest;
}

void integer_arithmetic(const Frame& frame, const Binary& step) {
  const auto apply = [&](auto f) { zip<int64_t, int64_t>(frame, step, f); };
  const auto wrapping = [&](auto f) {
    apply([f](int64_t a, int64_t b) {
      return wrapped(f(static_cast<uint64_t>(a), static_cast<uint64_t>(b)));
    });
  };
  switch (step.op) {
    case BinaryOp::kAdd: return wrapping([](uint64_t a, uint64_t b) { return a + b; });
    case BinaryOp::kSub: return wrapping([](uint64_t a, uint64_t b) { return a - b; });
    case BinaryOp::kMul: return wrapping([](uint64_t a, uint64_t b) { return a * b; });
    case BinaryOp::kDiv: return apply(quotient);
    case BinaryOp::kMod: return apply(floor_modulus);
    case BinaryOp::kFmod: return apply(remainder_of);
    case BinaryOp::kMin: return apply([](int64_t a, int64_t b) { return std::min(a, b); });
    case BinaryOp::kMax: return apply([](int64_t a, int64_t b) { return std::max(a, b); });
    default: return compare<int64_t>(frame, step);
  }
}

template <class T>
void select(const Frame& frame, const Where& step) {
  const uint8_t* condition = frame.read<uint8_t>(step.condition);
  const T* a = frame.read<T>(step.a);
  const T* b = frame.read<T>(step.b);
  T* y = frame.write<T>(step.y);
  const auto last = [&](const Strides& strides) { return step.dims.empty() ? 0 : strides.back(); };
  const int64_t c_step = last(step.condition_strides), a_step = last(step.a_strides),
                b_step = last(step.b_strides);
  const Nest<3> nest{&step.dims, {&step.condition_strides, &step.a_strides, &step.b_strides}};
  for_each_row(nest, [&](int64_t length, const std::array<int64_t, 3>& at) {
    for (int64_t i = 0; i < length; ++i) {
      *y++ = condition[at[0] + i * c_step] != 0 ? a[at[1] + i * a_step] : b[at[2] + i * b_step];
    }
  });
}

// Saturating, NaN to 0: a conversion without undefined cases, as the evaluator's. Out is the
// stored type; bool is stored as a byte of 0 or 1.
template <class Out, class In>
Out converted(In value) {
  if constexpr (std::is_floating_point_v<In> && std::is_integral_v<Out>) {
    if (!(value == value)) return 0;
    const double wide = static_cast<double>(value);
    if (wide >= std::ldexp(1.0, std::numeric_limits<Out>::digits)) {
      return std::numeric_limits<Out>::max();
    }
    if (wide <= static_cast<double>(std::numeric_limits<Out>::min())) {
      return std::numeric_limits<Out>::min();
    }
    return static_cast<Out>(wide);
  } else {
    return static_cast<Out>(value);
  }
}

template <class In, class Out>
void convert(const Frame& frame, const Cast& step) {
  const In* x = frame.read<In>(step.x);
  Out* y = frame.write<Out>(step.y);
  const int64_t count = frame.elements(step.x);
  const bool from_bool = frame.buffer(step.x).dtype == DType::kBool;
  const bool to_bool = frame.buffer(step.y).dtype == DType::kBool;
  for (int64_t i = 0; i < count; ++i) {
    const In value = from_bool ? static_cast<In>(x[i] != In{0}) : x[i];
    y[i] = to_bool ? static_cast<Out>(value != In{0}) : converted<Out>(value);
  }
}

template <class In>
void convert_from(const Frame& frame, const Cast& step) {
  switch (frame.buffer(step.y).dtype) {
    case DType::kFloat32: return convert<In, float>(frame, step);
    case DType::kInt64: return convert<In, int64_t>(frame, step);
    case DType::kInt32: return convert<In, int32_t>(frame, step);
    case DType::kInt8: return convert<In, int8_t>(frame, step);
    default: return convert<In, uint8_t>(frame, step);
  }
}

}  // namespace

void execute(const Frame& frame, const Unary& step) {
  const DType dtype = frame.buffer(step.x).dtype;
  if (step.op == UnaryOp::kIdentity) {
    std::memcpy(frame.write<std::byte>(step.y), frame.read<std::byte>(step.x),
                static_cast<size_t>(buffer_bytes(frame.buffer(step.x))));
  } else if (step.op == UnaryOp::kNot) {
    map<uint8_t, uint8_t>(frame, step, [](uint8_t x) { return x != 0 ? 0 : 1; });
  } else if (dtype == DType::kInt64) {
    integer_function(frame, step);
  } else {
    float_function(frame, step);
  }
}

void execute(const Frame& frame, const Binary& step) {
  switch (frame.buffer(step.a).dtype) {
    case DType::kFloat32: return float_arithmetic(frame, step);
    case DType::kInt64: return integer_arithmetic(frame, step);
    default:
      if (step.op == BinaryOp::kEqual) {
        return zip<uint8_t, uint8_t>(frame, step, [](uint8_t a, uint8_t b) { return a == b; });
      }
      return logical(frame, step);
  }
}

void execute(const Frame& frame, const Where& step) {
  switch (element_size_bytes(frame.buffer(step.a).dtype)) {
    case 1: return select<uint8_t>(frame, step);
    case 4: return select<uint32_t>(frame, step);
    default: return select<uint64_t>(frame, step);
  }
}

void execute(const Frame& frame, const Cast& step) {
  switch (frame.buffer(step.x).dtype) {
    case DType::kFloat32: return convert_from<float>(frame, step);
    case DType::kInt64: return convert_from<int64_t>(frame, step);
    case DType::kInt32: return convert_from<int32_t>(frame, step);
    case DType::kInt8: return convert_from<int8_t>(frame, step);
    default: return convert_from<uint8_t>(frame, step);
  }
}

}  // namespace graupel::run
