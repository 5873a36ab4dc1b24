// Elementwise operators: unary, binary and variadic families, activations, Clip, Cast, Where.
//
// Idea: each scalar function is a small lambda; one loop per arity applies it. float32 computes in
// float; integers wrap modulo their width (the dispatcher narrows), and a zero divisor is an error.
// Reference: ONNX operator semantics, opset 17. Test: tests/conformance.
#include <cstring>

#include "ir/eval_internal.h"

namespace graupel::ir::evaluator {
namespace {

template <class T>
using Unsigned = std::make_unsigned_t<T>;

template <class T, class F>
Result<Outputs> map(const Call& call, F f) {
  const Tensor& x = *call.input(0);
  TRY_ASSIGN(Tensor y, allocate(call, x.dtype(), x.shape()));
  const std::span<const T> in = x.data<T>();
  const std::span<T> out = y.mutable_data<T>();
  for (size_t i = 0; i < in.size(); ++i) out[i] = f(in[i]);
  return one(std::move(y));
}

// Broadcasting loop over two operands into elements of type R.
template <class T, class U, class R, class F>
void zip(const Tensor& a, const Tensor& b, const Shape& shape, R* out, F f) {
  const T* in_a = a.data<T>().data();
  const U* in_b = b.data<U>().data();
  if (a.shape() == b.shape()) {
    for (size_t i = 0; i < a.size(); ++i) out[i] = f(in_a[i], in_b[i]);
    return;
  }
  const std::array<std::vector<int64_t>, 2> strides = {broadcast_strides(a.shape(), shape),
                                                       broadcast_strides(b.shape(), shape)};
  const int64_t length = shape.empty() ? 1 : shape.back();
  const int64_t step_a = shape.empty() ? 0 : strides[0].back();
  const int64_t step_b = shape.empty() ? 0 : strides[1].back();
  for_each_row<2>(shape, strides, [&](int64_t start, const std::array<int64_t, 2>& at) {
    const T* row_a = in_a + at[0];
    const U* row_b = in_b + at[1];
    R* row_out = out + start;
    for (int64_t i = 0; i < length; ++i) row_out[i] = f(row_a[i * step_a], row_b[i * step_b]);
  });
}

Result<void> same_dtype(const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype()) return ok();
  return invalid_input("", "mixes " + std::string(to_string(a.dtype())) + " and " +
                               std::string(to_string(b.dtype())));
}

template <class T, class F>
Result<Outputs> combine(const Call& call, F f) {
  const Tensor& a = *call.input(0);
  const Tensor& b = *call.input(1);
  TRY_ASSIGN(const Shape shape, broadcast(a.shape(), b.shape()));
  TRY_ASSIGN(Tensor y, allocate(call, a.dtype(), shape));
  zip<T, T>(a, b, shape, y.mutable_data<T>().data(), f);
  return one(std::move(y));
}

template <class T, class F>
Result<Outputs> compare(const Call& call, F f) {
  const Tensor& a = *call.input(0);
  const Tensor& b = *call.input(1);
  TRY_ASSIGN(const Shape shape, broadcast(a.shape(), b.shape()));
  TRY_ASSIGN(Tensor y, allocate(call, DType::kBool, shape));
  zip<T, T>(a, b, shape, raw_bytes(y),
            [&](T p, T q) { return static_cast<uint8_t>(f(p, q) ? 1 : 0); });
  return one(std::move(y));
}

template <class T>
Result<Outputs> float_unary(UnaryKind kind, const Call& call) {
  switch (kind) {
    case UnaryKind::kSigmoid: return map<T>(call, [](T x) { return T(1) / (T(1) + std::exp(-x)); });
    case UnaryKind::kTanh: return map<T>(call, [](T x) { return std::tanh(x); });
    case UnaryKind::kSqrt: return map<T>(call, [](T x) { return std::sqrt(x); });
    case UnaryKind::kExp: return map<T>(call, [](T x) { return std::exp(x); });
    case UnaryKind::kLog: return map<T>(call, [](T x) { return std::log(x); });
    case UnaryKind::kRound: return map<T>(call, [](T x) { return std::nearbyint(x); });
    case UnaryKind::kFloor: return map<T>(call, [](T x) { return std::floor(x); });
    case UnaryKind::kCeil: return map<T>(call, [](T x) { return std::ceil(x); });
    case UnaryKind::kErf: return map<T>(call, [](T x) { return std::erf(x); });
    case UnaryKind::kReciprocal: return map<T>(call, [](T x) { return T(1) / x; });
    case UnaryKind::kSoftplus:  // log(1 + e^x) without overflow for large x
      return map<T>(call,
                    [](T x) { return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x))); });
    case UnaryKind::kSoftsign: return map<T>(call, [](T x) { return x / (T(1) + std::abs(x)); });
    case UnaryKind::kHardSwish:
      return map<T>(
          call, [](T x) { return x * std::max(T(0), std::min(T(1), x * T(1.0 / 6.0) + T(0.5))); });
    case UnaryKind::kSin: return map<T>(call, [](T x) { return std::sin(x); });
    case UnaryKind::kCos: return map<T>(call, [](T x) { return std::cos(x); });
    case UnaryKind::kTan: return map<T>(call, [](T x) { return std::tan(x); });
    case UnaryKind::kAsin: return map<T>(call, [](T x) { return std::asin(x); });
    case UnaryKind::kAcos: return map<T>(call, [](T x) { return std::acos(x); });
    case UnaryKind::kAtan: return map<T>(call, [](T x) { return std::atan(x); });
    case UnaryKind::kSinh: return map<T>(call, [](T x) { return std::sinh(x); });
    case UnaryKind::kCosh: return map<T>(call, [](T x) { return std::cosh(x); });
    case UnaryKind::kAsinh: return map<T>(call, [](T x) { return std::asinh(x); });
    case UnaryKind::kAcosh: return map<T>(call, [](T x) { return std::acosh(x); });
    case UnaryKind::kAtanh: return map<T>(call, [](T x) { return std::atanh(x); });
    default: return internal_error("", "unary operator without a function");
  }
}

// Relu, Neg, Abs and Sign exist for integers too.
template <class T>
Result<Outputs> number_unary(UnaryKind kind, const Call& call) {
  switch (kind) {
    case UnaryKind::kRelu:  // NaN passes through
      return map<T>(call, [](T x) { return x < T(0) ? T(0) : x; });
    case UnaryKind::kNeg:
      return map<T>(call, [](T x) {
        if constexpr (std::is_integral_v<T>) {
          return static_cast<T>(Unsigned<T>(0) - static_cast<Unsigned<T>>(x));
        } else {
          return -x;
        }
      });
    case UnaryKind::kAbs:
      return map<T>(call, [](T x) {
        if constexpr (std::is_floating_point_v<T>) {
          return std::abs(x);
        } else {
          return x < T(0) ? static_cast<T>(Unsigned<T>(0) - static_cast<Unsigned<T>>(x)) : x;
        }
      });
    case UnaryKind::kSign:
      return map<T>(call, [](T x) { return x > T(0) ? T(1) : x < T(0) ? T(-1) : x; });
    default:
      if constexpr (std::is_floating_point_v<T>) {
        return float_unary<T>(kind, call);
      } else {
        return invalid_input("", "takes floating-point inputs, but got integers");
      }
  }
}

Result<Outputs> logical_not(const Call& call) {
  const Tensor& x = *call.input(0);
  if (x.dtype() != DType::kBool) return invalid_input("", "takes bool inputs");
  TRY_ASSIGN(Tensor y, allocate(call, DType::kBool, x.shape()));
  for (size_t i = 0; i < x.size(); ++i) raw_bytes(y)[i] = raw_bytes(x)[i] != 0 ? 0 : 1;
  return one(std::move(y));
}

template <class T>
Result<Outputs> is_nan(const Call& call) {
  const Tensor& x = *call.input(0);
  TRY_ASSIGN(Tensor y, allocate(call, DType::kBool, x.shape()));
  const std::span<const T> in = x.data<T>();
  uint8_t* out = raw_bytes(y);
  for (size_t i = 0; i < in.size(); ++i) out[i] = in[i] != in[i] ? 1 : 0;
  return one(std::move(y));
}

template <class T>
T wrapping_power(T base, T exponent) {
  if (exponent < T(0)) {
    return saturate_cast<T>(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  Unsigned<T> result = 1, square = static_cast<Unsigned<T>>(base);
  for (auto rest = static_cast<Unsigned<T>>(exponent); rest > 0; rest >>= 1) {
    if (rest & 1) result *= square;
    square *= square;
  }
  return static_cast<T>(result);
}

template <class T, class U>
T power(T base, U exponent) {
  if constexpr (std::is_integral_v<T> && std::is_same_v<T, U>) {
    return wrapping_power(base, exponent);
  } else if constexpr (std::is_same_v<T, float> && std::is_same_v<U, float>) {
    return std::pow(base, exponent);
  } else {
    return saturate_cast<T>(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
}

Result<Outputs> eval_pow(const Call& call) {
  const Tensor& a = *call.input(0);
  const Tensor& b = *call.input(1);
  TRY_ASSIGN(const Shape shape, broadcast(a.shape(), b.shape()));
  return with_compute_type(a.dtype(), [&]<class T>() -> Result<Outputs> {
    TRY_ASSIGN(Tensor y, allocate(call, a.dtype(), shape));
    T* out = y.mutable_data<T>().data();
    const auto apply = [&]<class U>() -> Result<Outputs> {
      zip<T, U>(a, b, shape, out, [](T p, U q) { return power<T, U>(p, q); });
      return Outputs{};
    };
    TRY(with_compute_type(b.dtype(), apply));
    return one(std::move(y));
  });
}

template <class T>
bool has_zero(const Tensor& tensor) {
  const std::span<const T> values = tensor.data<T>();
  return std::find(values.begin(), values.end(), T(0)) != values.end();
}

template <class T>
T floor_modulus(T a, T b) {
  if constexpr (std::is_signed_v<T>) {
    if (b == T(-1)) return 0;  // INT_MIN % -1 traps
    const T rest = a % b;
    return rest != 0 && ((rest < 0) != (b < 0)) ? rest + b : rest;
  } else {
    return a % b;
  }
}

template <class T>
Result<Outputs> divide(BinaryKind kind, const Call& call) {
  if constexpr (std::is_floating_point_v<T>) {
    switch (kind) {
      case BinaryKind::kDiv: return combine<T>(call, [](T a, T b) { return a / b; });
      case BinaryKind::kFmod: return combine<T>(call, [](T a, T b) { return std::fmod(a, b); });
      default: return invalid_input("", "of floats needs fmod = 1; it was given with fmod = 0");
    }
  } else {
    const Tensor& a = *call.input(0);
    const Tensor& b = *call.input(1);
    if (has_zero<T>(b) && a.size() > 0) return invalid_input("", "divides an integer by zero");
    switch (kind) {
      case BinaryKind::kDiv:
        return combine<T>(call, [](T p, T q) {
          if constexpr (std::is_signed_v<T>) {
            if (q == T(-1)) return static_cast<T>(Unsigned<T>(0) - static_cast<Unsigned<T>>(p));
          }
          return static_cast<T>(p / q);
        });
      case BinaryKind::kFmod:
        return combine<T>(call, [](T p, T q) {
          if constexpr (std::is_signed_v<T>) {
            if (q == T(-1)) return T(0);
          }
          return static_cast<T>(p % q);
        });
      default: return combine<T>(call, [](T p, T q) { return floor_modulus(p, q); });
    }
  }
}

template <class T, class F>
Result<Outputs> arithmetic(const Call& call, F f) {
  if constexpr (std::is_integral_v<T>) {  // unsigned arithmetic wraps, signed would be undefined
    return combine<T>(call, [f](T a, T b) {
      return static_cast<T>(f(static_cast<Unsigned<T>>(a), static_cast<Unsigned<T>>(b)));
    });
  } else {
    return combine<T>(call, f);
  }
}

template <class T>
Result<Outputs> binary(BinaryKind kind, const Call& call) {
  switch (kind) {
    case BinaryKind::kAdd: return arithmetic<T>(call, [](auto a, auto b) { return a + b; });
    case BinaryKind::kSub: return arithmetic<T>(call, [](auto a, auto b) { return a - b; });
    case BinaryKind::kMul: return arithmetic<T>(call, [](auto a, auto b) { return a * b; });
    case BinaryKind::kDiv:
    case BinaryKind::kMod:
    case BinaryKind::kFmod: return divide<T>(kind, call);
    case BinaryKind::kEqual: return compare<T>(call, [](T a, T b) { return a == b; });
    case BinaryKind::kLess: return compare<T>(call, [](T a, T b) { return a < b; });
    case BinaryKind::kLessOrEqual: return compare<T>(call, [](T a, T b) { return a <= b; });
    case BinaryKind::kGreater: return compare<T>(call, [](T a, T b) { return a > b; });
    case BinaryKind::kGreaterOrEqual: return compare<T>(call, [](T a, T b) { return a >= b; });
    case BinaryKind::kAnd: return compare<T>(call, [](T a, T b) { return a != 0 && b != 0; });
    case BinaryKind::kOr: return compare<T>(call, [](T a, T b) { return a != 0 || b != 0; });
    case BinaryKind::kXor: return compare<T>(call, [](T a, T b) { return (a != 0) != (b != 0); });
    case BinaryKind::kPow: break;
  }
  return internal_error("", "binary operator without a function");
}

// NaN wins in Min and Max, as in numpy.
template <class T>
Result<Outputs> fold_pair(VariadicKind kind, const Call& call) {
  switch (kind) {
    case VariadicKind::kMin:
      return combine<T>(call, [](T a, T b) { return a != a || a < b ? a : b; });
    case VariadicKind::kMax:
      return combine<T>(call, [](T a, T b) { return a != a || a > b ? a : b; });
    case VariadicKind::kSum:
    case VariadicKind::kMean: break;
  }
  return arithmetic<T>(call, [](auto a, auto b) { return a + b; });
}

template <class T>
Result<Tensor> clip_bound(const Call& call, size_t index, T otherwise) {
  const Tensor* bound = call.input(index);
  if (bound == nullptr) return Tensor::scalar<T>(otherwise);
  if (bound->size() != 1) {
    return invalid_input("", "takes scalar bounds, but got " + to_string(bound->shape()));
  }
  TRY(same_dtype(*call.input(0), *bound));
  return *bound;
}

template <class F>
Result<Outputs> activation(const Call& call, F f) {
  TRY(need(call, 1, 1));
  return with_float_type(call.input(0)->dtype(), [&]<class T>() -> Result<Outputs> {
    return map<T>(call, [&](T x) { return f(x); });
  });
}

}  // namespace

Result<Outputs> eval(const Unary& op, const Call& call) {
  TRY(need(call, 1, 1));
  const Tensor& x = *call.input(0);
  if (op.kind == UnaryKind::kIdentity) return one(x);
  if (op.kind == UnaryKind::kNot) return logical_not(call);
  if (op.kind == UnaryKind::kIsNaN) {
    return with_float_type(x.dtype(),
                           [&]<class T>() -> Result<Outputs> { return is_nan<T>(call); });
  }
  return with_compute_type(
      x.dtype(), [&]<class T>() -> Result<Outputs> { return number_unary<T>(op.kind, call); });
}

Result<Outputs> eval(const Binary& op, const Call& call) {
  TRY(need(call, 2, 2));
  if (op.kind == BinaryKind::kPow) return eval_pow(call);
  TRY(same_dtype(*call.input(0), *call.input(1)));
  return with_compute_type(call.input(0)->dtype(),
                           [&]<class T>() -> Result<Outputs> { return binary<T>(op.kind, call); });
}

Result<Outputs> eval(const Variadic& op, const Call& call) {
  TRY(need(call, std::max<size_t>(1, call.inputs.size()), call.inputs.size()));
  return with_compute_type(call.input(0)->dtype(), [&]<class T>() -> Result<Outputs> {
    Tensor total = *call.input(0);
    for (size_t i = 1; i < call.inputs.size(); ++i) {
      TRY(same_dtype(total, *call.input(i)));
      const Tensor* const pair[] = {&total, call.input(i)};
      const Call step{pair, 1, call.remaining_bytes};
      TRY_ASSIGN(Outputs folded, fold_pair<T>(op.kind, step));
      total = std::move(folded[0]);
    }
    TRY(reserve(call, total.size(), sizeof(T)));
    if (op.kind == VariadicKind::kMean) {
      const T count = static_cast<T>(call.inputs.size());
      for (T& value : total.mutable_data<T>()) value = static_cast<T>(value / count);
    }
    return one(std::move(total));
  });
}

Result<Outputs> eval(const LeakyRelu& op, const Call& call) {
  return activation(call, [&]<class T>(T x) { return x < T(0) ? T(op.alpha) * x : x; });
}

Result<Outputs> eval(const PRelu&, const Call& call) {
  TRY(need(call, 2, 2));
  const Tensor& x = *call.input(0);
  const Tensor& slope = *call.input(1);
  TRY(same_dtype(x, slope));
  TRY_ASSIGN(const Shape shape, broadcast(x.shape(), slope.shape()));
  if (shape != x.shape()) {
    return invalid_input(
        "", "slope " + to_string(slope.shape()) + " does not broadcast to " + to_string(x.shape()));
  }
  return with_compute_type(x.dtype(), [&]<class T>() -> Result<Outputs> {
    return combine<T>(call, [](T a, T b) {
      if constexpr (std::is_integral_v<T>) {
        return a < T(0) ? static_cast<T>(static_cast<Unsigned<T>>(a) * static_cast<Unsigned<T>>(b))
                        : a;
      } else {
        return a < T(0) ? a * b : a;
      }
    });
  });
}

Result<Outputs> eval(const Elu& op, const Call& call) {
  return activation(call, [&]<class T>(T x) { return x < T(0) ? T(op.alpha) * std::expm1(x) : x; });
}

Result<Outputs> eval(const Selu& op, const Call& call) {
  return activation(call, [&]<class T>(T x) {
    return T(op.gamma) * (x > T(0) ? x : T(op.alpha) * std::expm1(x));
  });
}

Result<Outputs> eval(const Celu& op, const Call& call) {
  return activation(call, [&]<class T>(T x) {
    return std::max(x, T(0)) + std::min(T(0), T(op.alpha) * std::expm1(x / T(op.alpha)));
  });
}

Result<Outputs> eval(const ThresholdedRelu& op, const Call& call) {
  return activation(call, [&]<class T>(T x) { return x > T(op.alpha) ? x : T(0); });
}

Result<Outputs> eval(const HardSigmoid& op, const Call& call) {
  return activation(call, [&]<class T>(T x) {
    return std::max(T(0), std::min(T(1), T(op.alpha) * x + T(op.beta)));
  });
}

Result<Outputs> eval(const Clip&, const Call& call) {
  TRY(need(call, 1, 3));
  return with_compute_type(call.input(0)->dtype(), [&]<class T>() -> Result<Outputs> {
    TRY_ASSIGN(const Tensor low, clip_bound<T>(call, 1, std::numeric_limits<T>::lowest()));
    TRY_ASSIGN(const Tensor high, clip_bound<T>(call, 2, std::numeric_limits<T>::max()));
    const bool bounded_below = call.input(1) != nullptr;
    const bool bounded_above = call.input(2) != nullptr;
    const T least = low.data<T>()[0], most = high.data<T>()[0];
    // min(max(x, least), most): `most` wins if the bounds cross; NaN stays NaN.
    return map<T>(call, [&](T x) {
      const T raised = bounded_below && x < least ? least : x;
      return bounded_above && raised > most ? most : raised;
    });
  });
}

Result<Outputs> eval(const Cast& op, const Call& call) {
  TRY(need(call, 1, 1));
  TRY_ASSIGN(Tensor y, cast(call, *call.input(0), op.to));
  return one(std::move(y));
}

Result<Outputs> eval(const Where&, const Call& call) {
  TRY(need(call, 3, 3));
  const Tensor& condition = *call.input(0);
  const Tensor& x = *call.input(1);
  const Tensor& y = *call.input(2);
  if (condition.dtype() != DType::kBool) return invalid_input("", "takes a bool condition");
  TRY(same_dtype(x, y));
  TRY_ASSIGN(const Shape xy, broadcast(x.shape(), y.shape()));
  TRY_ASSIGN(const Shape shape, broadcast(condition.shape(), xy));
  TRY_ASSIGN(Tensor out, allocate(call, x.dtype(), shape));
  const std::array<std::vector<int64_t>, 3> strides = {broadcast_strides(condition.shape(), shape),
                                                       broadcast_strides(x.shape(), shape),
                                                       broadcast_strides(y.shape(), shape)};
  const int64_t length = shape.empty() ? 1 : shape.back();
  const size_t size_bytes = element_size_bytes(x.dtype());
  uint8_t* to = raw_bytes(out);
  const uint8_t *from_condition = raw_bytes(condition), *from_x = raw_bytes(x),
                *from_y = raw_bytes(y);
  for_each_row<3>(shape, strides, [&](int64_t start, const std::array<int64_t, 3>& at) {
    for (int64_t i = 0; i < length; ++i) {
      const auto step = [&](size_t operand) {
        return at[operand] + (shape.empty() ? 0 : i * strides[operand].back());
      };
      const uint8_t* from = from_condition[step(0)] != 0
                                ? from_x + static_cast<size_t>(step(1)) * size_bytes
                                : from_y + static_cast<size_t>(step(2)) * size_bytes;
      std::memcpy(to + static_cast<size_t>(start + i) * size_bytes, from, size_bytes);
    }
  });
  return one(std::move(out));
}

}  // namespace graupel::ir::evaluator
