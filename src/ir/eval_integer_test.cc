// Integer groups against loops written straight from docs/formats/int8.md: every kind of head,
// symmetric and asymmetric inputs, with and without activation; accumulators that would wrap; the
// same for one window at a time as for many on all cores.
#include <cfenv>
#include <cmath>

#include "ir/eval_testing.h"

namespace graupel::ir {
namespace {

enum class Activation { kNone, kRelu, kClip };

// How the tensors around a group are quantised.
struct Scheme {
  DType dtype = DType::kInt8;
  int32_t x_zero = 0, y_zero = 0;
  Activation activation = Activation::kNone;
  float x_scale = 0.03f, y_scale = 0.41f;

  std::string name() const {
    return std::string(to_string(dtype)) + " zero points " + std::to_string(x_zero) + " and " +
           std::to_string(y_zero) + " activation " + std::to_string(static_cast<int>(activation));
  }
};

std::vector<Scheme> schemes() {
  std::vector<Scheme> all;
  for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kClip}) {
    all.push_back({DType::kInt8, 0, 0, activation});
    all.push_back({DType::kInt8, -5, 9, activation});
    all.push_back({DType::kUInt8, 0, 0, activation});
    all.push_back({DType::kUInt8, 131, 37, activation});
  }
  return all;
}

constexpr float kClipLow = -1.7f, kClipHigh = 6.0f;

Tensor zero_point(DType dtype, int32_t value) {
  return dtype == DType::kInt8 ? Tensor::scalar(static_cast<int8_t>(value))
                               : Tensor::scalar(static_cast<uint8_t>(value));
}

Tensor random_input(Rng& rng, DType dtype, const Shape& shape) {
  if (dtype == DType::kInt8) return random_bytes(rng, shape);
  Tensor tensor(DType::kUInt8, shape);
  for (uint8_t& value : tensor.mutable_data<uint8_t>())
    value = static_cast<uint8_t>(rng.below(256));
  return tensor;
}

// y = saturate(round_half_even(float32(acc) * mult) + z_y), then the activation.
int64_t requantised(const Scheme& s, int64_t sum, float multiplier) {
  const int64_t low = s.dtype == DType::kInt8 ? -128 : 0,
                high = s.dtype == DType::kInt8 ? 127 : 255;
  const auto saturated = [&](float value) {
    return std::clamp<int64_t>(std::llrint(value) + s.y_zero, low, high);
  };
  const int64_t y = saturated(static_cast<float>(sum) * multiplier);
  if (s.activation == Activation::kRelu) return std::max<int64_t>(y, s.y_zero);
  if (s.activation == Activation::kNone) return y;
  return std::clamp(y, saturated(kClipLow / s.y_scale), saturated(kClipHigh / s.y_scale));
}

// DequantizeLinear -> head -> activation -> QuantizeLinear around one quantised input.
struct GroupBuilder : GraphBuilder {
  Scheme s;
  ValueId input;

  GroupBuilder(const Scheme& scheme, const Shape& shape) : s(scheme) {
    input = add_input(graph, "x", s.dtype, shape);
  }
  ValueId dequantised() {
    return node("dx", DequantizeLinear{},
                {input, constant("sx", Tensor::scalar(s.x_scale)),
                 constant("zx", zero_point(s.dtype, s.x_zero))});
  }
  ValueId weight(const std::string& name, const Tensor& values, const std::vector<float>& scales,
                 int64_t axis) {
    const Shape shape = {static_cast<int64_t>(scales.size())};
    return node("d" + name, DequantizeLinear{axis},
                {constant(name, values), constant("s" + name, Tensor::of<float>(shape, scales))});
  }
  void finish(ValueId value) {
    if (s.activation == Activation::kRelu) value = node("act", Unary{UnaryKind::kRelu}, {value});
    if (s.activation == Activation::kClip) {
      value = node("act", Clip{},
                   {value, constant("low", Tensor::scalar(kClipLow)),
                    constant("high", Tensor::scalar(kClipHigh))});
    }
    graph.outputs = {node("q", QuantizeLinear{},
                          {value, constant("sy", Tensor::scalar(s.y_scale)),
                           constant("zy", zero_point(s.dtype, s.y_zero))})};
  }
};

void expect_group(const GroupBuilder& built, const Tensor& x, const std::vector<int64_t>& want) {
  ASSERT_EQ(integer_group_heads(built.graph).size(), 1u) << built.s.name();
  EvalOptions integer;
  integer.qdq = QdqMode::kInteger;
  const Tensor inputs[] = {x};
  const Result<std::vector<Tensor>> got = evaluate(built.graph, inputs, integer);
  ASSERT_TRUE(got.ok()) << got.error().message();
  EXPECT_EQ((*got)[0].to_int64s(), want) << built.s.name();
  const Result<std::vector<Tensor>> floats = evaluate(built.graph, inputs);
  ASSERT_TRUE(floats.ok()) << floats.error().message();
  const std::vector<int64_t> near = (*floats)[0].to_int64s();
  for (size_t i = 0; i < want.size(); ++i) EXPECT_LE(std::abs(near[i] - want[i]), 1);
}

// Per-channel weight scales and the bias scales they ask for.
std::vector<float> weight_scales(size_t count) {
  std::vector<float> scales;
  for (size_t i = 0; i < count; ++i) scales.push_back(0.011f + 0.003f * static_cast<float>(i));
  return scales;
}
std::vector<float> bias_scales(const Scheme& s, const std::vector<float>& weights) {
  std::vector<float> scales;
  for (const float scale : weights) scales.push_back(s.x_scale * scale);
  return scales;
}

TEST(EvalInteger, GemmAndMatMulEqualTheDefinition) {
  Rng rng(51);
  constexpr int64_t kRows = 3, kDepth = 11, kColumns = 4;
  const std::vector<float> scales = weight_scales(kColumns);
  for (const Scheme& s : schemes()) {
    for (int form = 0; form < 3; ++form) {  // Gemm, Gemm with transB, MatMul
      const Tensor x = random_input(rng, s.dtype, {kRows, kDepth});
      const Tensor w =
          random_bytes(rng, form == 1 ? Shape{kColumns, kDepth} : Shape{kDepth, kColumns});
      const std::vector<int32_t> bias = {900, -1500, 0, 77};
      GroupBuilder built(s, x.shape());
      const ValueId dx = built.dequantised();
      const ValueId dw = built.weight("w", w, scales, form == 1 ? 0 : 1);
      if (form == 2) {
        built.finish(built.node("head", MatMul{}, {dx, dw}));
      } else {
        Gemm gemm;
        gemm.transpose_b = form == 1;
        const ValueId db =
            built.weight("b", Tensor::of<int32_t>({kColumns}, bias), bias_scales(s, scales), 0);
        built.finish(built.node("head", gemm, {dx, dw, db}));
      }
      std::vector<int64_t> want;
      for (int64_t i = 0; i < kRows; ++i) {
        for (int64_t j = 0; j < kColumns; ++j) {
          int64_t sum = form == 2 ? 0 : bias[static_cast<size_t>(j)];
          for (int64_t k = 0; k < kDepth; ++k) {
            const int64_t at = form == 1 ? j * kDepth + k : k * kColumns + j;
            sum += (x.to_int64s()[static_cast<size_t>(i * kDepth + k)] - s.x_zero) *
                   w.to_int64s()[static_cast<size_t>(at)];
          }
          const float multiplier = (s.x_scale * scales[static_cast<size_t>(j)]) / s.y_scale;
          want.push_back(requantised(s, sum, multiplier));
        }
      }
      expect_group(built, x, want);
    }
  }
}

TEST(EvalInteger, ConvEqualsTheDefinition) {
  Rng rng(52);
  const std::vector<float> scales = weight_scales(4);
  for (const Scheme& s : schemes()) {
    const Tensor x = random_input(rng, s.dtype, {1, 4, 2, 9});
    const Tensor w = random_bytes(rng, {4, 2, 1, 3});  // two groups
    const std::vector<int32_t> bias = {400, -300, 0, 25};
    GroupBuilder built(s, x.shape());
    const ValueId dx = built.dequantised();
    const ValueId dw = built.weight("w", w, scales, 0);
    const ValueId db = built.weight("b", Tensor::of<int32_t>({4}, bias), bias_scales(s, scales), 0);
    Conv conv;
    conv.group = 2;
    conv.window = {{1, 3}, {1, 2}, {1, 2}, {0, 2, 0, 1}, AutoPad::kNotSet};
    built.finish(built.node("head", conv, {dx, dw, db}));
    std::vector<int64_t> want;
    const std::vector<int64_t> xs = x.to_int64s(), ws = w.to_int64s();
    for (int64_t m = 0; m < 4; ++m)
      for (int64_t row = 0; row < 2; ++row)
        for (int64_t out = 0; out < 4; ++out) {  // (9 + 3 - 5) / 2 + 1
          int64_t sum = bias[static_cast<size_t>(m)];
          for (int64_t c = 0; c < 2; ++c)
            for (int64_t k = 0; k < 3; ++k) {
              const int64_t column = out * 2 + k * 2 - 2;
              if (column < 0 || column >= 9) continue;  // padding is x = z_x
              const int64_t channel = m / 2 * 2 + c;
              sum += (xs[static_cast<size_t>((channel * 2 + row) * 9 + column)] - s.x_zero) *
                     ws[static_cast<size_t>((m * 2 + c) * 3 + k)];
            }
          const float multiplier = (s.x_scale * scales[static_cast<size_t>(m)]) / s.y_scale;
          want.push_back(requantised(s, sum, multiplier));
        }
    expect_group(built, x, want);
  }
}

TEST(EvalInteger, AveragePoolsEqualTheDefinition) {
  Rng rng(53);
  for (Scheme s : schemes()) {
    s.y_scale = 0.02f;
    for (int form = 0; form < 3; ++form) {  // padded, padding counted, global
      const Tensor x = random_input(rng, s.dtype, {1, 3, 4, 6});
      GroupBuilder built(s, x.shape());
      AveragePool pool;
      pool.window = {{2, 3}, {2, 2}, {}, {0, 1, 0, 1}, AutoPad::kNotSet};
      pool.count_include_pad = form == 1;
      const ValueId dx = built.dequantised();
      built.finish(built.node("head", form == 2 ? Op(GlobalPool{}) : Op(pool), {dx}));
      const int64_t rows = form == 2 ? 1 : 2, columns = form == 2 ? 1 : 3;
      std::vector<int64_t> want;
      for (int64_t plane = 0; plane < 3; ++plane)
        for (int64_t oy = 0; oy < rows; ++oy)
          for (int64_t ox = 0; ox < columns; ++ox) {
            int64_t sum = 0, count = 0;
            for (int64_t y = 0; y < 4; ++y)
              for (int64_t z = 0; z < 6; ++z) {
                const bool inside = form == 2 || (y / 2 == oy && z >= ox * 2 - 1 && z < ox * 2 + 2);
                if (!inside) continue;
                sum += x.to_int64s()[static_cast<size_t>((plane * 4 + y) * 6 + z)] - s.x_zero;
                ++count;
              }
            if (form == 1) count = 6;
            const float multiplier = s.x_scale / (s.y_scale * static_cast<float>(count));
            want.push_back(requantised(s, sum, multiplier));
          }
      expect_group(built, x, want);
    }
  }
}

TEST(EvalInteger, AConvGroupEqualsQLinearConvOnEveryCore) {
  Rng rng(3);
  Scheme s;
  s.y_scale = 0.7f;
  const Tensor weight = random_bytes(rng, {6, 4, 3, 3});
  GroupBuilder built(s, {1, 4, 5, 6});
  const ValueId dx = built.dequantised();
  built.finish(built.node("conv", Conv{}, {dx, built.weight("w", weight, {0.01f}, 0)}));
  const Tensor windows = random_bytes(rng, {9, 4, 5, 6});
  EvalOptions integer;
  integer.qdq = QdqMode::kInteger;
  const Result<std::vector<Tensor>> got = evaluate_windows(built.graph, windows, integer);
  ASSERT_TRUE(got.ok()) << got.error().message();
  const Tensor zero = Tensor::scalar<int8_t>(0), s_x = Tensor::scalar(s.x_scale);
  const Tensor s_w = Tensor::scalar(0.01f), s_y = Tensor::scalar(s.y_scale);
  EXPECT_EQ((*got)[0],
            result_of(QLinearConv{}, {&windows, &s_x, &zero, &weight, &s_w, &zero, &s_y, &zero}));
}

TEST(EvalInteger, SumsBeyondInt32AreErrorsAndSumsThatReturnAreNot) {
  constexpr int64_t kDepth = 70000;  // 255 * 127 * 70000 > 2^31
  Scheme s;
  s.dtype = DType::kUInt8;
  Tensor x(DType::kUInt8, {1, kDepth});
  for (uint8_t& value : x.mutable_data<uint8_t>()) value = 255;
  EvalOptions integer;
  integer.qdq = QdqMode::kInteger;
  for (const bool alternating : {false, true}) {
    Tensor w(DType::kInt8, {kDepth, 1});
    int8_t sign = 1;
    for (int8_t& value : w.mutable_data<int8_t>()) {
      value = static_cast<int8_t>(127 * sign);
      if (alternating) sign = static_cast<int8_t>(-sign);
    }
    GroupBuilder built(s, x.shape());
    const ValueId dx = built.dequantised();
    built.finish(built.node("head", MatMul{}, {dx, built.weight("w", w, {0.01f}, 1)}));
    const Tensor inputs[] = {x};
    const Result<std::vector<Tensor>> got = evaluate(built.graph, inputs, integer);
    ASSERT_EQ(got.ok(), alternating);
    if (alternating) {
      EXPECT_EQ((*got)[0].to_int64s(), std::vector<int64_t>{0});
    } else {
      EXPECT_NE(got.error().message().find("accumulator wraps"), std::string::npos);
      EXPECT_NE(got.error().message().find("head"), std::string::npos) << got.error().message();
    }
  }
}

// A condition that is missed leaves the nodes to float arithmetic.
TEST(EvalInteger, WhatMissesAConditionIsNoGroup) {
  Rng rng(54);
  const Scheme s;
  const Tensor w = random_bytes(rng, {4, 4});
  const auto heads = [&](const Gemm& gemm, const std::vector<float>& bias_scale) {
    GroupBuilder built(s, {2, 4});
    const ValueId dx = built.dequantised();
    const ValueId dw = built.weight("w", w, {0.01f}, 0);
    const Tensor bias = Tensor::of<int32_t>({4}, {1, 2, 3, 4});
    built.finish(built.node("head", gemm, {dx, dw, built.weight("b", bias, bias_scale, 0)}));
    return integer_group_heads(built.graph).size();
  };
  EXPECT_EQ(heads(Gemm{}, {s.x_scale * 0.01f}), 1u);
  EXPECT_EQ(heads(Gemm{}, {0.5f}), 0u);
  EXPECT_EQ(heads(Gemm{2.0, 1.0, false, false}, {s.x_scale * 0.01f}), 0u);
  GroupBuilder scalar_bias(s, {2, 4});  // broadcasts, but is not one number per column
  const ValueId dx = scalar_bias.dequantised();
  const ValueId dw = scalar_bias.weight("w", random_bytes(rng, {4, 1}), {0.01f}, 0);
  const ValueId db =
      scalar_bias.node("db", DequantizeLinear{},
                       {scalar_bias.constant("b", Tensor::scalar<int32_t>(5)),
                        scalar_bias.constant("sb", Tensor::scalar(s.x_scale * 0.01f))});
  scalar_bias.finish(scalar_bias.node("head", Gemm{}, {dx, dw, db}));
  EXPECT_TRUE(integer_group_heads(scalar_bias.graph).empty());
}

}  // namespace
}  // namespace graupel::ir
