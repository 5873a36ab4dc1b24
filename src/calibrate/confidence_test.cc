// Fitted scales on data whose answer is known, and what must be refused.
#include "calibrate/confidence.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"

namespace graupel::calibrate {
namespace {

// Labels drawn from softmax(truth); the logits handed out are `temperature` times the truth.
Predictions drawn(size_t count, double temperature, uint64_t seed, int64_t people = 1) {
  Rng rng(seed);
  Predictions rows;
  rows.classes = 4;
  for (size_t i = 0; i < count; ++i) {
    std::vector<double> truth(rows.classes), p(rows.classes);
    double sum = 0.0;
    for (size_t c = 0; c < rows.classes; ++c) {
      truth[c] = 1.5 * rng.normal();
      sum += p[c] = std::exp(truth[c]);
    }
    double left = rng.uniform() * sum;
    size_t label = 0;
    while (label + 1 < rows.classes && left >= p[label]) left -= p[label++];
    rows.labels.push_back(static_cast<int64_t>(label));
    for (const double value : truth) rows.logits.push_back(static_cast<float>(value * temperature));
    rows.groups.push_back(static_cast<int64_t>(i) % people);
  }
  return rows;
}

TEST(Confidence, FindsTheTemperatureThatWasPutIn) {
  for (const double temperature : {0.02, 0.3, 1.0, 2.5, 40.0}) {
    const TemperatureFit fit = fit_temperature(drawn(4000, temperature, 4));
    EXPECT_EQ(fit.refused, "");
    EXPECT_NEAR(fit.temperature / temperature, 1.0, 0.08);
    EXPECT_LE(fit.low, temperature);
    EXPECT_GE(fit.high, temperature);
    EXPECT_LE(fit.nll_after, fit.nll_before);
    EXPECT_LT(fit.iterations, 20) << temperature;
  }
}

TEST(Confidence, TheMinimumIsBelowEveryOtherTemperature) {
  const Predictions rows = drawn(300, 1.9, 5);
  const TemperatureFit fit = fit_temperature(rows);
  decide::Confidence other;
  other.method = decide::ConfidenceMethod::kTemperature;
  for (double t = 0.05; t < 50.0; t *= 1.07) {
    other.temperature = t;
    EXPECT_GE(mean_nll(other, rows), fit.nll_after - 1e-12);
  }
}

TEST(Confidence, TheIntervalHoldsTheTruthAsOftenAsItSays) {
  int held = 0;
  constexpr int kTrials = 200;
  for (uint64_t seed = 0; seed < kTrials; ++seed) {
    Predictions rows = drawn(250, 1.4, 100 + seed);
    rows.groups.clear();
    const TemperatureFit fit = fit_temperature(rows);
    held += fit.low <= 1.4 && 1.4 <= fit.high ? 1 : 0;
  }
  EXPECT_GE(held, kTrials * 89 / 100);  // 95 % nominal
}

TEST(Confidence, RefusesWhenThereIsNoMinimum) {
  Predictions perfect = drawn(100, 1.0, 7);
  for (size_t i = 0; i < perfect.count(); ++i) {
    const std::span<const float> row = perfect.row(i);
    perfect.labels[i] = std::max_element(row.begin(), row.end()) - row.begin();
  }
  const TemperatureFit certain = fit_temperature(perfect);
  EXPECT_EQ(certain.temperature, 1.0);
  EXPECT_NE(certain.refused.find("classified correctly"), std::string::npos);
  EXPECT_EQ(choose_confidence(perfect, Wanted::kAuto).value().confidence.method,
            decide::ConfidenceMethod::kNone);
  Predictions wrong = perfect;
  for (int64_t& label : wrong.labels) label = (label + 1) % 4;
  EXPECT_NE(fit_temperature(wrong).refused.find("less about the labels"), std::string::npos);
  EXPECT_EQ(choose_confidence(wrong, Wanted::kTemperature).value().confidence.method,
            decide::ConfidenceMethod::kNone);
}

TEST(Confidence, TakesVectorScalingOnlyWhereItHelps) {
  const Predictions plain = drawn(1500, 2.0, 11, 12);
  const Choice simple = choose_confidence(plain, Wanted::kAuto).value();
  EXPECT_EQ(simple.confidence.method, decide::ConfidenceMethod::kTemperature) << simple.reason;
  Predictions skewed = plain;  // one class is favoured, another scaled
  for (size_t i = 0; i < skewed.count(); ++i) {
    skewed.logits[i * 4] += 2.5f;
    skewed.logits[i * 4 + 1] *= 2.0f;
  }
  const Choice rich = choose_confidence(skewed, Wanted::kAuto).value();
  EXPECT_EQ(rich.confidence.method, decide::ConfidenceMethod::kVector) << rich.reason;
  EXPECT_LT(rich.nll_vector, rich.nll_temperature);
  EXPECT_LT(mean_nll(rich.confidence, skewed), mean_nll({}, skewed));
}

TEST(Confidence, GroupsGetTheirOwnTemperatureWhereItDiffers) {
  Predictions rows = drawn(3000, 1.0, 13, 3);
  for (size_t i = 0; i < rows.count(); ++i) {
    if (rows.groups[i] != 2) continue;
    for (size_t c = 0; c < 4; ++c) rows.logits[i * 4 + c] *= 4.0f;
  }
  const Choice choice = choose_confidence(rows, Wanted::kPerGroup).value();
  bool found = false;
  for (const decide::GroupTemperature& row : choice.confidence.groups) {
    if (row.group != 2) continue;
    found = true;
    EXPECT_NEAR(row.temperature, 4.0, 0.5);
  }
  EXPECT_TRUE(found);
}

TEST(Confidence, NamesTheWindowThatIsNoNumber) {
  Predictions rows = drawn(50, 1.0, 17);
  rows.logits[4 * 31 + 2] = std::nanf("");
  const Result<Choice> choice = choose_confidence(rows, Wanted::kAuto);
  ASSERT_FALSE(choice.ok());
  EXPECT_NE(choice.error().message().find("window 31"), std::string::npos);
  rows = drawn(50, 1.0, 17);
  rows.labels[9] = 4;
  EXPECT_NE(choose_confidence(rows, Wanted::kAuto).error().message().find("label 9: is 4"),
            std::string::npos);
}

}  // namespace
}  // namespace graupel::calibrate
