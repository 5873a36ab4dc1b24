// Tensor storage, shapes and the half-precision conversions.
#include "base/tensor.h"

#include <gtest/gtest.h>

#include <cmath>

namespace graupel {
namespace {

TEST(Tensor, CopiesShareBytesUntilOneIsWritten) {
  const Tensor original = Tensor::of<float>({2}, {1.0f, 2.0f});
  Tensor copy = original;
  EXPECT_TRUE(copy.buffer().shares_with(original.buffer()));
  copy.mutable_data<float>()[0] = 5.0f;
  EXPECT_FALSE(copy.buffer().shares_with(original.buffer()));
  EXPECT_EQ(original.data<float>()[0], 1.0f);
  EXPECT_FALSE(copy == original);
}

TEST(Tensor, AdoptRefusesTheWrongNumberOfBytes) {
  const Result<Tensor> tensor = Tensor::adopt(DType::kFloat32, {2, 2}, Buffer(size_t{15}));
  ASSERT_FALSE(tensor.ok());
  EXPECT_EQ(tensor.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(tensor.error().message().find("expected 16"), std::string::npos);
}

TEST(Tensor, ElementCountRefusesOverflowAndNegativeSizes) {
  EXPECT_EQ(element_count({2, 3, 4}), 24);
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({int64_t{1} << 40, 0}), 0);
  EXPECT_FALSE(element_count({int64_t{1} << 40, int64_t{1} << 40}).has_value());
  EXPECT_FALSE(element_count({2, -1}).has_value());
}

TEST(Shape, ParsesBothSpellingsAndRefusesTheRest) {
  EXPECT_EQ(parse_shape("1x9x2x100").value(), (Shape{1, 9, 2, 100}));
  EXPECT_EQ(parse_shape("1,9").value(), (Shape{1, 9}));
  for (const char* bad : {"", "1x", "x1", "0x2", "-1", "1 2", "axb", "99999999999999999999"}) {
    EXPECT_FALSE(parse_shape(bad).ok()) << bad;
  }
}

TEST(Half, EveryBitPatternSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const float value = half_to_float(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;
    EXPECT_EQ(float_to_half(value), bits);
  }
}

TEST(Half, RoundsTiesToEven) {
  EXPECT_EQ(float_to_half(1.0f + 0x1p-11f), 0x3C00);      // tie: down to even
  EXPECT_EQ(float_to_half(1.0f + 3 * 0x1p-11f), 0x3C02);  // tie: up to even
  EXPECT_EQ(float_to_half(65520.0f), 0x7C00);             // past the largest: infinity
  EXPECT_EQ(float_to_bfloat16(1.0f + 0x1p-8f), 0x3F80);
}

}  // namespace
}  // namespace graupel
