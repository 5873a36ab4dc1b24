// Fits against the models that made the recordings, closed forms, and what must not happen.
#include "calibrate/hsmm_fit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "decide/hsmm_durations.h"

namespace graupel::calibrate {
namespace {

using decide::Duration;
using decide::DurationFamily;

constexpr size_t kClasses = 3;

size_t draw(Rng& rng, const std::vector<double>& p) {
  double u = rng.uniform();
  for (size_t i = 0; i + 1 < p.size(); ++i) {
    if (u < p[i]) return i;
    u -= p[i];
  }
  return p.size() - 1;
}

// Recordings of known laws that begin and end inside a segment; the classifier is right in about
// `sure` of all windows and says so.
std::vector<Recording> make_recordings(uint64_t seed, size_t count, size_t windows, double sure) {
  const std::vector<std::vector<double>> next = {{0, 0.8, 0.2}, {0.5, 0, 0.5}, {1, 0, 0}};
  const std::vector<Duration> durations = {{DurationFamily::kPoisson, {14.0}},
                                           {DurationFamily::kNegativeBinomial, {2.0, 6.0}},
                                           {DurationFamily::kGaussian, {30.0, 5.0}}};
  std::vector<std::vector<double>> laws;
  for (const Duration& duration : durations) {
    laws.push_back(decide::duration_law(duration, 400).probability);
  }
  Rng rng(seed);
  std::vector<Recording> recordings;
  for (size_t i = 0; i < count; ++i) {
    Recording one;
    one.group = static_cast<int64_t>(i % 4);
    std::vector<int64_t> labels;
    size_t state = rng.below(kClasses);
    while (labels.size() < windows + 200) {
      labels.insert(labels.end(), draw(rng, laws[state]) + 1, static_cast<int64_t>(state));
      state = draw(rng, next[state]);
    }
    one.labels.assign(labels.begin() + 200, labels.begin() + 200 + static_cast<long>(windows));
    for (const int64_t label : one.labels) {
      const size_t shown = rng.uniform() < sure ? static_cast<size_t>(label) : rng.below(kClasses);
      const double p = (1.0 + 2.0 * sure) / 3.0;
      for (size_t c = 0; c < kClasses; ++c) {
        one.probabilities.push_back(c == shown ? p : (1.0 - p) / 2.0);
      }
    }
    recordings.push_back(std::move(one));
  }
  return recordings;
}

HsmmOptions options() {
  HsmmOptions options;
  options.classes = kClasses;
  return options;
}

double mean_of(const decide::Hsmm& model, size_t s) {
  return decide::make_duration_table(model.durations[s], 200).mean;
}

TEST(HsmmFit, LabelsGiveBackTheModelThatMadeThem) {
  const std::vector<Recording> recordings = make_recordings(1, 32, 300, 0.6);
  const Result<HsmmFit> fit = fit_hsmm(recordings, options());
  ASSERT_TRUE(fit.ok()) << fit.error().message();
  EXPECT_NEAR(mean_of(fit->model, 0), 15.0, 0.7);
  EXPECT_NEAR(mean_of(fit->model, 1), 7.0, 0.7);
  EXPECT_NEAR(mean_of(fit->model, 2), 30.0, 1.0);
  EXPECT_NEAR(fit->model.transitions[0][1], 0.8, 0.06);
  EXPECT_NEAR(fit->model.transitions[0][5], 0.5, 0.06);
  EXPECT_GT(fit->model.transitions[0][6], 0.98);
  EXPECT_GT(fit->model.transitions[0][7], 0.0);  // never seen is not impossible
  EXPECT_TRUE(fit->model.notes.empty());
  ASSERT_TRUE(fit->held_out);
  EXPECT_EQ(fit->held_out->windows, 9600u);
  EXPECT_NEAR(fit->held_out->argmax_accuracy, 0.733, 0.02);
  EXPECT_GT(fit->held_out->filter_accuracy, fit->held_out->argmax_accuracy + 0.1);
  EXPECT_GT(fit->held_out->path_accuracy, fit->held_out->filter_accuracy);
  EXPECT_GT(fit->held_out->argmax_segments, 4 * fit->held_out->labelled_segments);
  EXPECT_LT(fit->held_out->path_segments, 2 * fit->held_out->labelled_segments);
}

TEST(HsmmFit, CutSegmentsDoNotShortenTheDurations) {
  // 25 windows hold no whole segment of class 2 (30 windows); 60 hold a few, the short ones.
  const std::vector<Recording> recordings = make_recordings(2, 300, 60, 0.9);
  HsmmOptions gaussian = options();
  gaussian.weight = 1.0;
  gaussian.family = DurationFamily::kGaussian;
  gaussian.maximum_duration = 120;
  const HsmmFit fit = fit_hsmm(recordings, gaussian).value();
  EXPECT_NEAR(mean_of(fit.model, 2), 30.0, 1.0);
}

TEST(HsmmFit, MacroF1IsTheMeanOverClassesSeen) {
  // scikit-learn: f1_score([0,0,1,1,2], [0,1,1,1,0], average="macro") = (0.5 + 0.8 + 0) / 3
  const ClassCounts counts = {{1, 2, 0, 0}, {2, 3, 0, 0}, {2, 2, 1, 0}};
  EXPECT_NEAR(macro_f1(counts), (0.5 + 0.8 + 0.0) / 3.0, 1e-15);
  EXPECT_EQ(macro_f1({{0}, {0}, {0}}), 0.0);
}

TEST(HsmmFit, ClosedForms) {
  Lengths lengths;
  lengths.complete.assign(50, 0.0);
  lengths.cut_at_start = lengths.cut_at_end = lengths.cut_at_both = lengths.complete;
  lengths.complete[3] = 5.0;
  lengths.complete[8] = 3.0;
  lengths.complete[10] = 2.0;
  const DurationFit poisson = fit_duration(DurationFamily::kPoisson, lengths);
  EXPECT_DOUBLE_EQ(poisson.duration.parameters[0], 6.9 - 1.0);
  // A geometric law with right-censoring: P(stop) = whole segments / windows.
  lengths.complete.assign(50, 0.0);
  for (size_t i = 0; i < 49; ++i) lengths.complete[i] = 100.0 * std::pow(0.9, i);
  lengths.cut_at_end[9] = 200.0;
  const DurationFit found = fit_duration(DurationFamily::kNegativeBinomial, lengths);
  double windows = 2000.0;
  for (size_t i = 0; i < 49; ++i) windows += static_cast<double>(i + 1) * lengths.complete[i];
  const double stop = lengths.whole() / windows;
  const double geometric =
      length_log_likelihood({DurationFamily::kNegativeBinomial, {1.0, 1.0 / stop - 1.0}}, lengths);
  EXPECT_GE(found.log_likelihood, geometric - 1e-6);
  for (const double off : {0.95, 1.05}) {  // the closed form is the maximum among geometric laws
    EXPECT_LT(length_log_likelihood(
                  {DurationFamily::kNegativeBinomial, {1.0, off * (1.0 / stop - 1.0)}}, lengths),
              geometric);
  }
}

TEST(HsmmFit, TheFamilyThatMadeTheLengthsWins) {
  const std::vector<Duration> laws = {{DurationFamily::kPoisson, {9.0}},
                                      {DurationFamily::kNegativeBinomial, {1.0, 15.0}},
                                      {DurationFamily::kLogNormal, {2.0, 0.8}},
                                      {DurationFamily::kGaussian, {25.0, 3.0}}};
  for (const Duration& law : laws) {
    Lengths lengths;
    lengths.complete = decide::duration_law(law, 300).probability;
    for (double& x : lengths.complete) x *= 5000.0;
    lengths.cut_at_start.assign(300, 0.0);
    lengths.cut_at_end = lengths.cut_at_both = lengths.cut_at_start;
    const Duration found = choose_duration(lengths, std::nullopt).duration;
    EXPECT_EQ(found.family, law.family);
    for (size_t i = 0; i < law.parameters.size(); ++i) {
      EXPECT_NEAR(found.parameters[i], law.parameters[i], 0.02 * law.parameters[i]);
    }
  }
}

TEST(HsmmFit, WithoutLabelsTheLikelihoodRisesToTheSameModel) {
  std::vector<Recording> recordings = make_recordings(3, 16, 300, 0.7);
  for (Recording& one : recordings) one.labels.clear();
  HsmmOptions start = options();
  start.em_iterations = 0;
  const HsmmFit before = fit_hsmm_unlabelled(recordings, start).value();
  double last = before.log_likelihood;
  for (const size_t iterations : {1, 2, 40}) {
    start.em_iterations = iterations;
    const HsmmFit after = fit_hsmm_unlabelled(recordings, start).value();
    EXPECT_GE(after.log_likelihood, last - 1e-9);
    last = after.log_likelihood;
    if (iterations < 40) continue;
    EXPECT_NEAR(mean_of(after.model, 0), 15.0, 2.0);
    EXPECT_NEAR(mean_of(after.model, 2), 30.0, 3.0);
    EXPECT_NEAR(after.model.transitions[0][6], 1.0, 0.1);
  }
}

TEST(HsmmFit, RareClassesAreSaidAndBadInputIsRefused) {
  std::vector<Recording> recordings = make_recordings(4, 4, 200, 0.8);
  HsmmOptions four = options();
  four.classes = 4;
  EXPECT_FALSE(fit_hsmm(recordings, four).ok());  // three probabilities per window
  for (Recording& one : recordings) {
    for (int64_t& label : one.labels) label = label == 2 ? 1 : label;
  }
  const HsmmFit fit = fit_hsmm(recordings, options()).value();
  ASSERT_GE(fit.model.notes.size(), 2u);
  EXPECT_NE(fit.model.notes[0].find("class 2 is in no recording"), std::string::npos);
  recordings[1].labels[5] = 3;
  EXPECT_FALSE(fit_hsmm(recordings, options()).ok());
  recordings[1].labels.pop_back();
  EXPECT_FALSE(fit_hsmm(recordings, options()).ok());
  recordings = make_recordings(4, 1, 5, 0.8);
  recordings[0].labels.assign(5, 1);
  EXPECT_FALSE(fit_hsmm(recordings, options()).ok());
  recordings[0].probabilities[3] = NAN;
  EXPECT_FALSE(fit_hsmm_unlabelled(recordings, options()).ok());
  EXPECT_FALSE(fit_hsmm({}, options()).ok());
}

}  // namespace
}  // namespace graupel::calibrate
