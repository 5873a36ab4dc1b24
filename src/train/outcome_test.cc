// The log, and the quantizer's numbers as JSON.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "train/train.h"

namespace graupel::train {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& json) {
  const Result<IntegerForms> forms = parse_integer_forms(json, "s.json");
  return forms.ok() ? "accepted" : forms.error().message();
}
std::string point(const std::string& rest) {
  return R"({"points": [{"tensor": "x", )" + rest + "}]}";
}

TEST(Outcome, TheQuantizersNumbersAreRead) {
  const std::string points =
      R"({"points": [{"tensor": "imu", "dtype": "int8", "scale": 0.5, "zero_point": 0},
                     {"tensor": "r", "dtype": "uint8", "scale": 0.25, "zero_point": 3,
                      "minimum": 1}]})";
  for (const std::string& json : {points, "{\"optimize\": " + points + "}"}) {
    const Result<IntegerForms> forms = parse_integer_forms(json, "s.json");
    ASSERT_TRUE(forms.ok()) << forms.error().message();
    EXPECT_EQ(forms->tensors.at("imu"), (IntegerForm{0.5, 0, -128, 127}));
    EXPECT_EQ(forms->tensors.at("r"), (IntegerForm{0.25, 3, 0, 255}));
  }
}

TEST(Outcome, TheQuantizersFileOfScalesIsReadWithItsLayers) {
  const Result<IntegerForms> forms = parse_integer_forms(
      R"({"format": "graupel-encodings", "version": 1,
          "tensors": {"imu": {"type": "int16", "scale": 0.5, "zero_point": 0}},
          "layers": {"/project/Gemm": {"bits": 4, "scales": [0.25, 0.125]}}})",
      "s.json");
  ASSERT_TRUE(forms.ok()) << forms.error().message();
  EXPECT_EQ(forms->tensors.at("imu"), (IntegerForm{0.5, 0, -32768, 32767}));
  EXPECT_EQ(forms->layers.at("/project/Gemm"), (WeightForm{4, {0.25, 0.125}}));
  const auto layer = [](const std::string& content) {
    return refusal(R"({"tensors": {"x": {"type": "int8", "scale": 1, "zero_point": 0}},
                       "layers": {"n": )" +
                   content + "}}");
  };
  EXPECT_THAT(layer("3"), HasSubstr("s.json: n: has no bits and list of scales"));
  EXPECT_THAT(layer(R"({"bits": 1, "scales": [1]})"), HasSubstr("has 1 bits; expected 2 to 16"));
  EXPECT_THAT(layer(R"({"bits": 8, "scales": [1, 0]})"), HasSubstr("no number above 0"));
  EXPECT_THAT(refusal(R"({"version": 2, "tensors": {}})"), HasSubstr("is of version 2"));
}

TEST(Outcome, NumbersThatCannotBeAreRefusedByName) {
  EXPECT_THAT(refusal("[]"), HasSubstr("s.json: has neither 'tensors' nor 'points'"));
  EXPECT_THAT(refusal("{"), HasSubstr("has neither"));
  EXPECT_THAT(refusal(R"({"points": []})"), HasSubstr("names no tensor"));
  EXPECT_THAT(refusal(R"({"points": [3]})"), HasSubstr("names no tensor"));
  EXPECT_THAT(refusal(point(R"("dtype": "int8")")), HasSubstr("s.json: x: has no scale"));
  EXPECT_THAT(refusal(point(R"("dtype": "int8", "scale": 0, "zero_point": 0)")),
              HasSubstr("scale 0; expected a number above 0"));
  EXPECT_THAT(refusal(point(R"("dtype": "int4", "scale": 1, "zero_point": 0)")),
              HasSubstr("expected int8, uint8, int16 or uint16"));
  EXPECT_THAT(refusal(point(R"("dtype": "uint8", "scale": 1, "zero_point": -1)")),
              HasSubstr("zero point -1; expected a whole number from 0 to 255"));
  EXPECT_THAT(refusal(point(R"("dtype": "int8", "scale": 1, "zero_point": 1e300)")),
              HasSubstr("zero point"));
}

TEST(Outcome, TheLogHasALinePerEpochAndLeavesOutWhatWasNotMeasured) {
  EpochReport first;
  first.epoch = 1;
  first.train_loss = 1.25;
  EpochReport second = first;
  second.epoch = 2;
  second.validation_loss = 0.5;
  second.validation_accuracy_percent = 75.0;
  second.usage = CodeUsage{12, 7.5, 0.8};
  second.best = true;
  EXPECT_EQ(format_log({first, second}),
            "epoch,learning_rate,train_loss,train_accuracy_percent,validation_loss,"
            "validation_accuracy_percent,fsq_codes,fsq_perplexity,fsq_least_digits,best\n"
            "1,0,1.25,0,,,,,,0\n"
            "2,0,1.25,0,0.5,75,12,7.5,0.8,1\n");
}

}  // namespace
}  // namespace graupel::train
