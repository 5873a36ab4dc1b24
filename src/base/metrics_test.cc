// Measures against values worked out by hand and with scikit-learn.
#include "base/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace graupel {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Tensor row(const std::vector<float>& values) {
  return Tensor::of<float>({1, static_cast<int64_t>(values.size())}, values);
}

TEST(Metrics, LargestDifference) {
  EXPECT_EQ(max_abs_difference(row({1, 2, 3}), row({1, 2, 3})), 0.0);
  EXPECT_EQ(max_abs_difference(row({1, 2, 3}), row({1.5f, -2, 3})), 4.0);
  EXPECT_EQ(max_abs_difference(row({1, kNan}), row({1, kNan})), kInfinity);
  EXPECT_EQ(max_abs_difference(row({1, 2}), row({1})), kInfinity) << "another size";
}

TEST(Metrics, SignalToNoise) {
  // Signal 3^2 + 4^2 = 25, noise 0.5^2 = 0.25: 10 log10(100) = 20 dB.
  EXPECT_NEAR(snr_db(row({3, 4}), row({3, 4.5f})), 20.0, 1e-12);
  EXPECT_EQ(snr_db(row({3, 4}), row({3, 4})), kInfinity);
  EXPECT_EQ(snr_db(row({0, 0}), row({0, 0})), kInfinity);
  EXPECT_EQ(snr_db(row({0, 0}), row({0, 1})), 0.0);
  EXPECT_FALSE(snr_db(row({3, 4}), row({3, kNan})) >= 20.0) << "NaN must never pass a bar";
  EXPECT_FALSE(snr_db(row({3, 4}), row({3})) >= 20.0) << "nor a tensor of another size";
}

TEST(Metrics, ArgmaxTakesTheFirstOfEquals) {
  const Tensor logits = Tensor::of<float>({4, 3}, {0, 2, 1, 5, 5, 5, -3, -1, -1, 1, 0, 1});
  EXPECT_EQ(argmax_rows(logits), (std::vector<int64_t>{1, 0, 1, 0}));
  EXPECT_EQ(argmax_rows(Tensor::of<float>({2, 2, 1}, {0, 1, 1, 0})), (std::vector<int64_t>{1, 0}));
  EXPECT_TRUE(argmax_rows(Tensor(DType::kFloat32, {0, 3})).empty());
}

TEST(Metrics, Agreement) {
  EXPECT_EQ(agreement_percent({1, 2, 3, 4}, {1, 2, 3, 0}), 75.0);
  EXPECT_EQ(agreement_percent({}, {}), 100.0);
}

// sklearn.metrics on y_true = [0,1,2,0,1,2,2,2], y_pred = [0,2,1,0,0,2,2,1]:
// accuracy_score 0.5, f1_score(average=None) [0.8, 0, 0.57142857], macro 0.45714286.
TEST(Metrics, ClassificationAsScikitLearn) {
  const Result<Classification> found =
      classify({0, 2, 1, 0, 0, 2, 2, 1}, {0, 1, 2, 0, 1, 2, 2, 2}, 3);
  ASSERT_TRUE(found.ok()) << found.error().message();
  EXPECT_NEAR(found->accuracy_percent, 50.0, 1e-12);
  EXPECT_NEAR(found->macro_f1_percent, 100.0 * (0.8 + 0.0 + 4.0 / 7.0) / 3.0, 1e-12);
  const std::vector<std::vector<int64_t>> expected = {{2, 0, 0}, {1, 0, 1}, {0, 2, 2}};
  EXPECT_EQ(found->confusion, expected);
}

TEST(Metrics, ClassesThatNeverOccurDoNotCount) {
  // scikit-learn leaves out labels seen in neither list: classes 0 and 7 only.
  const Result<Classification> found = classify({0, 7, 7}, {0, 7, 0}, 10);
  ASSERT_TRUE(found.ok());
  EXPECT_NEAR(found->macro_f1_percent, 100.0 * (2.0 / 3.0 + 2.0 / 3.0) / 2.0, 1e-12);
  const Result<Classification> nothing = classify({}, {}, 4);
  ASSERT_TRUE(nothing.ok());
  EXPECT_EQ(nothing->accuracy_percent, 0.0);
  EXPECT_EQ(nothing->macro_f1_percent, 0.0);
}

TEST(Metrics, LabelsOutOfRangeAreErrors) {
  for (const int64_t bad : {int64_t{-1}, int64_t{3}, std::numeric_limits<int64_t>::max()}) {
    const Result<Classification> found = classify({0, 1}, {0, bad}, 3);
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.error().code, ErrorCode::kInvalidInput);
    EXPECT_NE(found.error().message().find("label 1"), std::string::npos);
  }
  EXPECT_FALSE(classify({0, 1}, {0}, 3).ok());
  EXPECT_FALSE(classify({0}, {0}, 0).ok());
  EXPECT_FALSE(classify({}, {}, -1).ok());
}

}  // namespace
}  // namespace graupel
