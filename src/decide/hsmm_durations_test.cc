// Duration laws against SciPy (tests/data/hsmm/make_durations.py), and the tables' own identities.
#include "decide/hsmm_durations.h"

#include <gtest/gtest.h>

#include <cmath>

namespace graupel::decide {
namespace {

struct Row {
  DurationFamily family;
  std::vector<double> parameters;
  std::vector<double> probability;  // of 1, 2, 5, 20, 60
};

const std::vector<Row> kRows = {
    {DurationFamily::kPoisson,
     {7.5},
     {0.000553084370147834, 0.00414813277610875, 0.0729163964550367, 0.000192247530118991,
      1.69583005063223e-32}},
    {DurationFamily::kNegativeBinomial,
     {2.5, 12.0},
     {0.0123432639497235, 0.0255377874821866, 0.0522462357706829, 0.0232166871766089,
      6.14754096560201e-05}},
    {DurationFamily::kGaussian,
     {6.0, 4.0},
     {0.0499531161351416, 0.0660805884078096, 0.105339666863141, 0.000245345552245128,
      4.4683489484552e-41}},
    {DurationFamily::kLogNormal,
     {2.0, 0.75},
     {0.0165876340506606, 0.0574963524275187, 0.0926955452573871, 0.0110288661230312,
      0.000179729302617097}},
    {DurationFamily::kGamma,
     {0.7, 9.0},
     {0.176358643924974, 0.126239616480647, 0.068415985286544, 0.00851664018384547,
      7.19247437845303e-05}},
};

TEST(HsmmDurations, AgreeWithScipy) {
  const size_t lengths[] = {1, 2, 5, 20, 60};
  for (const Row& row : kRows) {
    const DurationLaw law = duration_law({row.family, row.parameters}, 60);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_NEAR(law.probability[lengths[i] - 1], row.probability[i], 1e-10 * row.probability[i])
          << to_string(row.family) << " " << lengths[i];
    }
    double sum = law.beyond;
    for (const double p : law.probability) sum += p;
    EXPECT_NEAR(sum, 1.0, 1e-12);
  }
}

TEST(HsmmDurations, TablesSumToOneHoweverLongTheTail) {
  for (const Row& row : kRows) {
    for (const size_t maximum : {2, 30, 200}) {
      const DurationTable table = make_duration_table({row.family, row.parameters}, maximum);
      double sum = 0.0, mean = 0.0;
      for (size_t d = 1; d < 60000; ++d) {
        const double p = std::exp(log_probability_at(table, d));
        sum += p;
        mean += static_cast<double>(d) * p;
      }
      EXPECT_NEAR(sum, 1.0, 1e-9);
      EXPECT_NEAR(mean, table.mean, 1e-6 * mean);
      EXPECT_NEAR(log_remaining_at(table, 1), 0.0, 1e-12);
      EXPECT_GE(std::exp(log_survivor_at(table, maximum)), kLeastTail);
      // The tail keeps the family's mean, where it is not cut off to stay safe.
      const DurationTable whole = make_duration_table({row.family, row.parameters}, 2000);
      if (table.stop > 1.0 / 16.0 / static_cast<double>(maximum) && table.stop < 0.5) {
        EXPECT_NEAR(table.mean, whole.mean, 1e-4 * whole.mean) << to_string(row.family);
      }
    }
  }
}

TEST(HsmmDurations, RefusesParametersOutsideTheFamily) {
  EXPECT_NE(duration_problem({DurationFamily::kPoisson, {-1.0}}), "");
  EXPECT_NE(duration_problem({DurationFamily::kGamma, {1.0}}), "");
  EXPECT_NE(duration_problem({DurationFamily::kGaussian, {5.0, 0.0}}), "");
  EXPECT_NE(duration_problem({DurationFamily::kTable, {0.5, 0.6}}), "");
  EXPECT_NE(duration_problem({DurationFamily::kLogNormal, {NAN, 1.0}}), "");
  EXPECT_EQ(duration_problem({DurationFamily::kTable, {0.5, 0.5}}), "");
}

}  // namespace
}  // namespace graupel::decide
