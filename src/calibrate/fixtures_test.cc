// The numbers of other people's implementations: netcal, uncertainty-calibration, scikit-learn,
// SciPy, TorchCP, crepes and MAPIE. tests/data/decide/make_fixtures.py says how they were made.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "calibrate/confidence.h"
#include "calibrate/conformal.h"
#include "calibrate/metrics.h"
#include "data/npy.h"
#include "decide/conformal.h"

namespace graupel::calibrate {
namespace {

constexpr double kTolerance = 1e-9;
constexpr size_t kFit = 300, kRows = 600, kClasses = 6;

using Arrays = std::map<std::string, Tensor>;

const Arrays& arrays() {
  static const Arrays loaded = [] {
    Arrays map;
    const auto file =
        data::read_npz(std::string(GRAUPEL_SOURCE_DIR) + "/tests/data/decide/fixtures.npz");
    EXPECT_TRUE(file.ok()) << file.error().message();
    if (file.ok()) {
      for (const data::NamedTensor& array : *file) map[array.name] = array.tensor;
    }
    return map;
  }();
  return loaded;
}
std::vector<double> numbers(const std::string& name) { return arrays().at(name).to_doubles(); }
double number(const std::string& name) { return numbers(name).at(0); }

Predictions predictions() {
  const std::span<const float> logits = arrays().at("logits").data<float>();
  return {kClasses,
          {logits.begin(), logits.end()},
          arrays().at("labels").to_int64s(),
          arrays().at("groups").to_int64s()};
}

// Unscaled probabilities with their labels: all rows, the first half, the second.
struct Table {
  Predictions rows = predictions();
  std::vector<double> p = probabilities_of({}, rows);
  Probabilities all() const { return {kClasses, p, rows.labels}; }
  Probabilities fit() const {
    return {kClasses, std::span(p).first(kFit * kClasses), std::span(rows.labels).first(kFit)};
  }
  Probabilities test() const {
    return {kClasses, std::span(p).subspan(kFit * kClasses), std::span(rows.labels).subspan(kFit)};
  }
};

TEST(Fixtures, TemperatureIsThatOfARootFinder) {
  Predictions rows = predictions();
  const TemperatureFit fit = fit_temperature(rows);
  EXPECT_EQ(fit.refused, "");
  EXPECT_NEAR(fit.temperature, number("temperature"), kTolerance);
  EXPECT_NEAR(fit.nll_before, numbers("nll")[0], kTolerance);
  EXPECT_NEAR(fit.nll_after, numbers("nll")[1], kTolerance);
  EXPECT_LT(fit.iterations, 20);
  EXPECT_LT(fit.low, fit.temperature);
  EXPECT_GT(fit.high, fit.temperature);
  const decide::Confidence vector = fit_vector(rows, fit).value();
  const std::vector<double> expected = numbers("vector");
  for (size_t c = 0; c < kClasses; ++c) {
    EXPECT_NEAR(vector.scale[c], expected[c], kTolerance);
    EXPECT_NEAR(vector.bias[c], expected[kClasses + c], kTolerance);
  }
}

TEST(Fixtures, MetricsAgree) {
  const Table table;
  const std::vector<Event> events = top_events(table.all());
  const std::vector<Bin> width = bins_of(events, Binning::kEqualWidth);
  const std::vector<Bin> mass = bins_of(events, Binning::kEqualMass);
  EXPECT_NEAR(expected_error(width), number("ece_width"), kTolerance);
  EXPECT_NEAR(maximum_error(width), number("mce_width"), kTolerance);
  EXPECT_NEAR(expected_error(mass), number("ece_mass"), kTolerance);
  EXPECT_NEAR(debiased_error(mass), number("ece_debiased"), kTolerance);
  EXPECT_NEAR(debiased_error(mass), number("ece_debiased_drawn"), 2e-4);  // of 100,000 draws
  EXPECT_NEAR(classwise_error(table.all()), number("ece_classwise"), kTolerance);
  EXPECT_NEAR(brier_of(table.all()).score, number("brier"), kTolerance);
  EXPECT_NEAR(nll_of(table.all()), numbers("nll")[0], kTolerance);
  EXPECT_NEAR(aurc_of(events), number("aurc"), kTolerance);
}

decide::Conformal method(const std::string& name) {
  decide::Conformal conformal;
  conformal.randomised = name.ends_with("_random");
  conformal.method = *decide::parse_conformal_method(name.substr(0, name.find('_')));
  conformal.raps_free_ranks = 2;
  conformal.empty_sets = decide::EmptySets::kKeep;
  return conformal;
}

TEST(Fixtures, TorchCpScoresThresholdsAndSetsAgree) {
  const Table table;
  const std::vector<double> uniform = numbers("uniform");
  for (const std::string name :
       {"lac", "aps", "raps", "saps", "aps_random", "raps_random", "saps_random"}) {
    decide::Conformal conformal = method(name);
    const std::vector<double> expected = numbers(name + "_scores");
    const std::vector<double> sets = numbers(name + "_sets");
    std::vector<int32_t> order(kClasses);
    std::vector<double> scores(kClasses), own;
    for (size_t i = 0; i < kRows; ++i) {
      decide::rank_classes(table.all().row(i), order);
      // TorchCP takes U p off the sum that includes the class: u = 1 - U.
      decide::class_scores(conformal, table.all().row(i), order, 1.0 - uniform[i], scores);
      if (i < kFit) {
        own.push_back(scores[static_cast<size_t>(table.rows.labels[i])]);
        EXPECT_NEAR(own.back(), expected[i], kTolerance) << name << i;
        if (i + 1 == kFit) {
          conformal.threshold = decide::conformal_quantile(own, 0.1);
          EXPECT_NEAR(conformal.threshold, number(name + "_threshold"), kTolerance) << name;
        }
        continue;
      }
      for (size_t c = 0; c < kClasses; ++c) {
        EXPECT_EQ(scores[c] <= conformal.threshold, sets[(i - kFit) * kClasses + c] == 1.0)
            << name << i << "." << c;
      }
    }
  }
}

TEST(Fixtures, SetsOfCrepesAndMapieAgree) {
  const Table table;
  const auto groups = std::span(table.rows.groups);
  const auto expect_sets = [&](const std::string& name, decide::Condition condition, size_t fit) {
    decide::Conformal conformal = method("lac");
    conformal.condition = condition;
    const Probabilities part = {kClasses, std::span(table.p).first(fit * kClasses),
                                std::span(table.rows.labels).first(fit)};
    const ConformalFit fitted = fit_conformal(conformal, part, groups.first(fit)).value();
    const std::vector<bool> sets = sets_of(fitted.conformal, table.test(), groups.subspan(kFit));
    const std::vector<double> expected = numbers(name);
    ASSERT_EQ(sets.size(), expected.size());
    for (size_t i = 0; i < sets.size(); ++i) EXPECT_EQ(sets[i], expected[i] == 1.0) << name << i;
  };
  expect_sets("crepes_marginal", decide::Condition::kMarginal, kFit);
  expect_sets("crepes_class", decide::Condition::kClass, kFit);
  expect_sets("crepes_group", decide::Condition::kGroup, kFit);
  expect_sets("mapie_lac", decide::Condition::kMarginal, kFit - 1);
}

TEST(Fixtures, CoverageLawsAreSciPys) {
  const std::vector<double> rows = numbers("laws");
  for (size_t i = 0; i + 5 < rows.size(); i += 6) {
    const CoverageLaw law =
        coverage_law(static_cast<size_t>(rows[i]), rows[i + 1], static_cast<size_t>(rows[i + 2]));
    EXPECT_NEAR(law.pac_low, rows[i + 3], kTolerance);
    EXPECT_NEAR(law.low, rows[i + 4], kTolerance);
    EXPECT_NEAR(law.high, rows[i + 5], kTolerance);
  }
}

}  // namespace
}  // namespace graupel::calibrate
