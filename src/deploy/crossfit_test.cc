// Folds of one network on generated people: who is fitted on whom, what the numbers are, refusals.
#include "deploy/crossfit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/rng.h"
#include "data/npy.h"
#include "data/synth.h"
#include "deploy/deploy.h"

namespace graupel::deploy {
namespace {

using calibrate::Predictions;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kModels = std::string(GRAUPEL_SOURCE_DIR) + "/models/";

// Logits that say exactly what they know: the label is drawn from their own softmax, then all are
// multiplied by `sharpness`, which is the temperature that has to be found.
Predictions drawn(const std::vector<int64_t>& people, size_t each, double sharpness) {
  Rng rng(7);
  Predictions made;
  made.classes = 4;
  for (const int64_t person : people) {
    for (size_t i = 0; i < each; ++i) {
      std::vector<double> logits(made.classes);
      double total = 0.0;
      for (double& z : logits) z = 2.0 * rng.normal(), total += std::exp(z);
      double left = rng.uniform() * total;
      int64_t label = 0;
      while (label < 3 && (left -= std::exp(logits[static_cast<size_t>(label)])) > 0.0) ++label;
      for (const double z : logits) made.logits.push_back(static_cast<float>(sharpness * z));
      made.labels.push_back(label);
      made.groups.push_back(person);
    }
  }
  return made;
}

TEST(Crossfit, PersonsAreJudgedByWhatWasFittedOnOthers) {
  const std::vector<int64_t> people = {1, 2, 3, 4, 5, 6, 7, 8};
  const Predictions all = drawn(people, 400, 3.0);
  for (const int64_t person : people) {
    const PersonJudged judged = judge_person(all, person, {}).value();
    std::set<int64_t> used(judged.fitted_on.begin(), judged.fitted_on.end());
    used.insert(judged.thresholds_on.begin(), judged.thresholds_on.end());
    EXPECT_EQ(used.size(), judged.fitted_on.size() + judged.thresholds_on.size());
    EXPECT_EQ(used.size(), 7u);
    EXPECT_FALSE(used.contains(person));
    // People who are alike: the temperature is the one the logits were made with, the error goes,
    // and coverage is what the law of exchangeable windows says.
    EXPECT_NEAR(judged.temperature.temperature, 3.0, 0.3);
    EXPECT_GT(judged.before.ece.value, 0.1);
    EXPECT_LT(judged.after.ece.value, 0.5 * judged.before.ece.value);
    EXPECT_GE(judged.sets.coverage_unfilled, judged.law.low);
    EXPECT_LE(judged.sets.coverage_unfilled, judged.law.high);
  }
  EXPECT_THAT(judge_person(all, 3, {}).value().fitted_on, ElementsAre(4, 5, 6));
  EXPECT_THAT(judge_person(all, 3, {}).value().thresholds_on, ElementsAre(7, 8, 1, 2));
}

TEST(Crossfit, NothingOfThePersonMovesWhatThePersonIsJudgedBy) {
  Predictions all = drawn({1, 2, 3, 4}, 200, 2.0);
  const PersonJudged before = judge_person(all, 2, {}).value();
  for (size_t i = 0; i < all.count(); ++i) {
    if (all.groups[i] == 2) all.labels[i] = (all.labels[i] + 1) % 4;
  }
  const PersonJudged after = judge_person(all, 2, {}).value();
  EXPECT_EQ(before.temperature.temperature, after.temperature.temperature);
  EXPECT_EQ(before.threshold, after.threshold);
  // But somebody who differs from the others is not covered as promised, and that is seen.
  EXPECT_GT(before.sets.coverage_unfilled, 0.85);
  EXPECT_LT(after.sets.coverage_unfilled, 0.7);
  EXPECT_LT(after.sets.coverage_unfilled, after.law.low);
}

TEST(Crossfit, OneOtherPersonIsTooFew) {
  const Result<PersonJudged> judged = judge_person(drawn({1, 2}, 40, 1.0), 2, {});
  ASSERT_FALSE(judged.ok());
  EXPECT_THAT(judged.error().message(), HasSubstr("has 1 others beside"));
}

class Folds : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = ::testing::TempDir() + "crossfit_test";
    std::filesystem::remove_all(folder_);
    data::SynthOptions options;
    options.windows = 120;
    options.subjects = 3;
    options.first_subject = 1;
    const data::SynthSet people = data::synth_windows(options).value();
    ASSERT_TRUE(write(people));
    DeployOptions deployed;
    deployed.model = kModels + "fsq_imu_synthetic.onnx";
    deployed.calibration = {folder_ + "/w.npy", "",
                            kModels + "fsq_imu_synthetic.normalization.json"};
    deployed.report = folder_ + "/report.html";
    deployed.output = folder_ + "/model.graupel";
    deployed.validate.profile = {.warmup_runs = 1, .runs = 2, .seconds_limit = 0.1};
    const Result<Deployed> done = deploy(deployed);
    ASSERT_TRUE(done.ok()) << done.error().message();
    for (const char* person : {"/1", "/2", "/3"}) {
      std::filesystem::create_directories(folder_ + "/runs" + person);
      std::filesystem::copy_file(deployed.output, folder_ + "/runs" + person + "/model.graupel");
    }
  }
  static bool write(const data::SynthSet& people) {
    std::filesystem::create_directories(folder_);
    return data::write_npy(folder_ + "/w.npy", people.windows).ok() &&
           data::write_npy(folder_ + "/l.npy", people.labels).ok() &&
           data::write_npy(folder_ + "/g.npy", people.subjects).ok();
  }
  static CrossfitOptions options() {
    return {
        folder_ + "/runs", {folder_ + "/w.npy", folder_ + "/l.npy", folder_ + "/g.npy"}, 0.1, 1};
  }
  static std::string folder_;
};
std::string Folds::folder_;

TEST_F(Folds, EveryPersonHasARow) {
  const Result<Crossfit> judged = crossfit(options());
  ASSERT_TRUE(judged.ok()) << judged.error().message();
  ASSERT_EQ(judged->people.size(), 3u);
  size_t windows = 0;
  for (const PersonJudged& person : judged->people) windows += person.after.count;
  EXPECT_EQ(windows, 120u);
  const Json json = crossfit_json(*judged);
  EXPECT_EQ(json["people"][1]["person"], 2);
  EXPECT_GT(json["together"]["coverage_percent"], 50.0);
  EXPECT_THAT(crossfit_text(*judged), HasSubstr("together"));
}

TEST_F(Folds, RefusalsSayWhatIsMissing) {
  const auto refused = [](const CrossfitOptions& asked, const std::string& part) {
    const Result<Crossfit> judged = crossfit(asked);
    ASSERT_FALSE(judged.ok());
    EXPECT_THAT(judged.error().message(), HasSubstr(part));
  };
  CrossfitOptions asked = options();
  asked.folds = folder_ + "/nowhere";
  refused(asked, "for 0 people, at least 3");
  asked = options();
  asked.data.groups.clear();
  refused(asked, "give --groups");
  asked = options();
  asked.data.labels.clear();
  refused(asked, "give --labels");
  std::filesystem::create_directories(folder_ + "/more/9");
  for (const char* person : {"1", "2", "9"}) {
    std::filesystem::create_directories(folder_ + "/more/" + person);
    std::filesystem::copy_file(folder_ + "/model.graupel",
                               folder_ + "/more/" + person + "/model.graupel");
  }
  asked = options();
  asked.folds = folder_ + "/more";
  refused(asked, "holds no window of person 9");
}

}  // namespace
}  // namespace graupel::deploy
