// Each finding raised and not raised; the shipped model tells raw units and mixed-up axes from
// windows like those of its training.
#include "quantize/calibration_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "quantize/test_support.h"

namespace graupel::quantize {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> ids(const ir::Graph& graph, const Tensor& windows) {
  const Result<std::vector<CalibrationFinding>> findings = check_calibration(graph, windows);
  EXPECT_TRUE(findings.ok()) << findings.error().message();
  std::vector<std::string> result;
  if (!findings.ok()) return result;
  for (const CalibrationFinding& finding : *findings) {
    EXPECT_FALSE(finding.message.empty() || finding.fix.empty());
    result.push_back(finding.id);
  }
  return result;
}

ir::Graph plain() { return body("input x: float32[1x2x3x3]\nrelu: Relu(x) -> y\noutput y"); }
Tensor noise(int64_t count) { return random_tensor(9, {count, 2, 3, 3}); }

TEST(CalibrationCheck, Counts) {
  EXPECT_THAT(ids(plain(), noise(63)), ElementsAre("too-few-windows"));
  EXPECT_THAT(ids(plain(), noise(64)), ElementsAre("few-windows"));
  EXPECT_THAT(ids(plain(), noise(99)), ElementsAre("few-windows"));
  EXPECT_THAT(ids(plain(), noise(100)), ElementsAre("fewer-windows-than-recommended"));
  EXPECT_THAT(ids(plain(), noise(1000)), IsEmpty());
}

TEST(CalibrationCheck, Values) {
  Tensor windows = noise(1000);
  windows.mutable_data<float>()[77] = NAN;
  EXPECT_THAT(ids(plain(), windows), ElementsAre("not-finite"));
  windows.mutable_data<float>()[77] = 101.0f;
  EXPECT_THAT(ids(plain(), windows), ElementsAre("large-values"));
  windows.mutable_data<float>()[77] = 99.0f;
  EXPECT_THAT(ids(plain(), windows), IsEmpty());
  for (size_t i = 0; i < windows.size(); ++i) {
    if (i / 9 % 2 == 1) windows.mutable_data<float>()[i] = 3.0f;
  }
  EXPECT_THAT(ids(plain(), windows), ElementsAre("constant-channel"));
}

TEST(CalibrationCheck, Repeats) {
  Tensor windows = noise(1000);
  const std::span<float> values = windows.mutable_data<float>();
  std::copy_n(values.begin(), 400 * 18, values.begin() + 600 * 18);
  EXPECT_THAT(ids(plain(), windows), IsEmpty());
  std::copy_n(values.begin(), 500 * 18, values.begin() + 500 * 18);
  EXPECT_THAT(ids(plain(), windows), ElementsAre("repeated-windows"));
}

TEST(CalibrationCheck, WindowsOfAnotherShapeAreRefused) {
  EXPECT_FALSE(check_calibration(plain(), Tensor(DType::kFloat32, {})).ok());
  EXPECT_FALSE(check_calibration(plain(), Tensor(DType::kFloat32, {100})).ok());
  EXPECT_FALSE(check_calibration(plain(), Tensor(DType::kInt8, {100, 2, 3, 3})).ok());
  EXPECT_FALSE(check_calibration(plain(), Tensor(DType::kFloat32, {100, 3, 3, 2})).ok());
}

TEST(CalibrationCheck, TheModelKnowsItsTrainingData) {
  const ir::Graph model = shipped_model();
  const Tensor right = shipped_windows(200);
  EXPECT_THAT(ids(model, right), ElementsAre("fewer-windows-than-recommended"));
  EXPECT_THAT(ids(model, shipped_windows(200, Units::kRaw)),
              ElementsAre("fewer-windows-than-recommended", "unlike-training-data"));
  // Channels last, read as channels first.
  Tensor mixed = right;
  const std::span<const float> from = right.data<float>();
  const std::span<float> to = mixed.mutable_data<float>();
  for (size_t i = 0; i < from.size(); ++i) {
    const size_t window = i / 1800, channel = i / 200 % 9, place = i % 200;
    to[window * 1800 + place * 9 + channel] = from[i];
  }
  EXPECT_THAT(ids(model, mixed),
              ElementsAre("fewer-windows-than-recommended", "unlike-training-data"));
}

TEST(CalibrationCheck, Classes) {
  const auto ids = [](const std::vector<int64_t>& labels) {
    std::vector<std::string> found;
    const auto count = static_cast<int64_t>(labels.size());
    for (const auto& finding : check_classes(Tensor::of<int64_t>({count}, labels))) {
      found.push_back(finding.id);
    }
    return found;
  };
  EXPECT_EQ(ids({3, 3, 3}), std::vector<std::string>{"single-class"});
  EXPECT_TRUE(ids({0, 1, 2, 1}).empty());
  std::vector<int64_t> rare(300, 1);
  rare[7] = 2;
  EXPECT_EQ(ids(rare), std::vector<std::string>{"rare-class"});
}

}  // namespace
}  // namespace graupel::quantize
