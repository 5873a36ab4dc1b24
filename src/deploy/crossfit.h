// Confidence over a leave-one-person-out run: what is promised about each person, and what came
// true.
//
// Idea: each person is answered by the network that has not seen that person. To judge a person,
// the temperature is fitted on the answers of some of the others and the threshold of the sets is
// taken from those of the rest, so no window of the judged person is fitted on. (The networks that
// answered the others had that person among their training people; the one that answers the person
// had not.) Test: crossfit_test.cc. Document: docs/results.md.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "calibrate/confidence.h"
#include "calibrate/conformal.h"
#include "calibrate/metrics.h"
#include "deploy/json.h"
#include "deploy/labelled.h"

namespace graupel::deploy {

struct CrossfitOptions {
  std::string folds;   // folder of PERSON/model.graupel
  LabelledPaths data;  // raw windows, labels and persons of everybody
  double alpha = 0.1;  // share of sets that may miss
  uint64_t seed = 1;   // of the intervals' resampling
};

// INT8 answers of one person's windows.
struct PersonJudged {
  int64_t person = 0;
  std::vector<int64_t> fitted_on, thresholds_on;
  calibrate::TemperatureFit temperature;
  double threshold = 0.0;  // of 1 - probability; infinite: every class in every set
  calibrate::ConfidenceMetrics before, after;
  calibrate::SetMetrics sets;
  calibrate::CoverageLaw law;  // if people were exchangeable
};

struct Crossfit {
  double alpha = 0.1;
  std::vector<PersonJudged> people;            // ascending
  calibrate::ConfidenceMetrics before, after;  // all windows, each with its own temperature
  double coverage = 0.0, coverage_unfilled = 0.0, mean_size = 0.0;  // share of all windows
};

// Persons without a folder are left out. Errors: kInvalidInput if windows have no labels or
// persons, or fewer than three persons have a folder; those of reading bundles and windows, naming
// the file.
Result<Crossfit> crossfit(const CrossfitOptions& options);

// A person's rows judged by what was fitted on two disjoint sets of other persons' rows. Groups are
// the persons. Errors kInvalidInput: fewer than two others; those of calibrate::fit_conformal.
Result<PersonJudged> judge_person(const calibrate::Predictions& everybody, int64_t person,
                                  const CrossfitOptions& options);

Json crossfit_json(const Crossfit& judged);
std::string crossfit_text(const Crossfit& judged);

}  // namespace graupel::deploy
