// The stored model: read back as written, refused when anything is not known, another hop.
#include <gtest/gtest.h>

#include <cmath>

#include "decide/hsmm_tables.h"
#include "decide/hsmm_test_support.h"

namespace graupel::decide {
namespace {

Hsmm sample() {
  Rng rng(5);
  Hsmm model = random_hsmm(rng, 3, 20, 2);
  model.window_samples = 100;
  model.hop_samples = 50;
  model.rate_hz = 25.0;
  model.emission = {EmissionUse::kBoth, 0.5, 0.25, {0.2, 0.3, 0.5}, {2, 3}, {}};
  model.emission.digits.assign(3, {0.4, 0.6, 0.2, 0.3, 0.5});
  model.notes = {"class 2 was seen once"};
  model.measured = {{"accuracy", 0.875}};
  return model;
}

TEST(HsmmModel, ReadsBackWhatWasWritten) {
  const Hsmm model = sample();
  const Result<std::string> text = format_hsmm(model);
  ASSERT_TRUE(text.ok()) << text.error().message();
  const Result<Hsmm> read = parse_hsmm(*text);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_TRUE(*read == model);
}

TEST(HsmmModel, RefusesWhatItDoesNotKnow) {
  const std::string text = format_hsmm(sample()).value();
  const auto refused = [&](const std::string& from, const std::string& to, const char* word) {
    std::string other = text;
    const size_t at = other.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    other.replace(at, from.size(), to);
    const Result<Hsmm> read = parse_hsmm(other);
    ASSERT_FALSE(read.ok()) << to;
    EXPECT_NE(read.error().message().find(word), std::string::npos) << read.error().message();
  };
  refused("\"version\": 1", "\"version\": 2", "update graupel");
  refused("\"begin\"", "\"began\"", "begin");
  refused("\"notes\"", "\"other\": 1, \"notes\"", "other");
  refused("\"maximum_duration\": 20", "\"maximum_duration\": 1", "maximum_duration");
  refused("\"maximum_duration\": 20", "\"maximum_duration\": 1e300", "maximum_duration");
  refused("\"use\": \"both\"", "\"use\": \"neither\"", "use");
  refused("\"weight\": 0.5", "\"weight\": -1", "weight");
  EXPECT_FALSE(parse_hsmm("[]").ok());
  EXPECT_FALSE(parse_hsmm("{").ok());
}

TEST(HsmmModel, AHalvedHopDoublesEveryLength) {
  Rng rng(9);
  Hsmm model = random_hsmm(rng, 2, 40);
  model.durations = {{DurationFamily::kPoisson, {9.0}}, {DurationFamily::kGamma, {4.0, 3.0}}};
  model.emission.weight = 0.8;
  const Hsmm twice = rescaled(model, 0.5).value();
  const HsmmTables before = make_hsmm_tables(model).value();
  const HsmmTables after = make_hsmm_tables(twice).value();
  for (size_t s = 0; s < 2; ++s) {
    EXPECT_NEAR(after.durations[s].mean, 2.0 * before.durations[s].mean,
                0.02 * after.durations[s].mean);
  }
  EXPECT_DOUBLE_EQ(twice.emission.weight, 0.4);
  EXPECT_TRUE(rescaled(model, 1.0).value() == model);
  EXPECT_FALSE(rescaled(model, 0.0).ok());
}

TEST(HsmmModel, EmissionsFollowTheirFormula) {
  const Hsmm model = sample();
  const std::vector<double> p = {0.7, 0.3, 0.0};
  const std::vector<int64_t> digits = {1, 2};
  const std::vector<double> b = log_emissions(model, p, digits, 1).value();
  const double code = 0.25 * (std::log(0.6) + std::log(0.5));
  const double first = 0.5 * std::log(0.7 / 0.2) + code;
  EXPECT_NEAR(b[0], 0.0, 1e-15);
  EXPECT_NEAR(b[1], 0.5 * std::log(0.3 / 0.3) + code - first, 1e-12);
  EXPECT_NEAR(b[2], 0.5 * std::log(1e-6 / 0.5) + code - first, 1e-12);
  EXPECT_FALSE(log_emissions(model, std::vector<double>{0.5, NAN, 0.5}, digits, 1).ok());
  EXPECT_FALSE(log_emissions(model, p, std::vector<int64_t>{1, 3}, 1).ok());
  EXPECT_FALSE(log_emissions(model, p, digits, 2).ok());
}

}  // namespace
}  // namespace graupel::decide
