// Scales as JSON: there and back, and every malformed entry is named.
#include "deploy/encodings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace graupel::deploy {
namespace {

using ::testing::HasSubstr;

TEST(Encodings, ThereAndBack) {
  quantize::Encodings encodings;
  encodings.tensors["a"] = {DType::kUInt8, 0.02f, 7};
  encodings.tensors["/b \"x\""] = {DType::kInt16, 1e-5f, 0};
  encodings.layers["conv"] = {4, {0.5f, 0.25f}};
  const auto back = parse_encodings(format_encodings(encodings));
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_EQ(*back, encodings);
}

std::string refusal(const std::string& text) {
  const auto result = parse_encodings(text);
  return result.ok() ? "accepted" : result.error().message();
}

TEST(Encodings, MalformedFilesAreRefusedByName) {
  const std::string head = R"({"format": "graupel-encodings", "version": 1, )";
  EXPECT_THAT(refusal("[]"), HasSubstr("graupel-encodings"));
  EXPECT_THAT(refusal(R"({"format": "graupel-encodings", "version": 2})"), HasSubstr("version"));
  EXPECT_THAT(refusal(head + R"("tensors": []})"), HasSubstr("objects"));
  EXPECT_THAT(refusal(head + R"("tensors": {"t": {"scale": 0}}})"), HasSubstr("tensor t"));
  EXPECT_THAT(refusal(head + R"("tensors": {"t": {"scale": 1, "type": "int9"}}})"),
              HasSubstr("int8"));
  EXPECT_THAT(refusal(head + R"("tensors": {"t": {"scale": 1, "zero_point": 200}}})"),
              HasSubstr("zero point"));
  EXPECT_THAT(refusal(head + R"("layers": {"l": {"scales": []}}})"), HasSubstr("layer l"));
  EXPECT_THAT(refusal(head + R"("layers": {"l": {"scales": [-1]}}})"), HasSubstr("positive"));
  EXPECT_THAT(refusal(head + R"("layers": {"l": {"bits": 5, "scales": [1]}}})"), HasSubstr("bits"));
}

}  // namespace
}  // namespace graupel::deploy
