// Confidence over a leave-one-person-out run. See crossfit.h. Test: crossfit_test.cc.
#include "deploy/crossfit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/window_at.h"
#include "data/windows.h"
#include "run/answers.h"
#include "run/load.h"

namespace graupel::deploy {
namespace {

using calibrate::Predictions;
using calibrate::Probabilities;

// As `calibrate` divides: 25 parts to fit, 35 for thresholds.
constexpr double kFitShare = 25.0 / 60.0;
constexpr size_t kLeastPeople = 3;

struct Everybody {
  Tensor windows;
  std::vector<int64_t> labels, people;
};

std::string bundle_of(const CrossfitOptions& options, int64_t person) {
  return fmt::format("{}/{}/model.graupel", options.folds, person);
}

Shape window_shape(const run::BundleEngine& loaded) {
  const run::Plan& plan = run::plan_of(loaded.engine);
  const Shape& input = plan.buffers[plan.inputs[0].buffer.index()].shape;
  return Shape(input.begin() + 1, input.end());
}

Result<Everybody> load_everybody(const LabelledPaths& paths, const Shape& shape) {
  constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
  TRY_ASSIGN(data::WindowSet set, data::load_windows(paths.data, shape));
  if (!paths.labels.empty()) {
    TRY_ASSIGN(set.labels, data::load_labels(paths.labels, set.count(), kAny));
  }
  TRY_ASSIGN(std::vector<int64_t> people, groups_of(paths.groups, set));
  if (!set.labels) return invalid_input(paths.data, "has no labels; give --labels");
  if (people.empty()) return invalid_input(paths.data, "does not say whose windows; give --groups");
  return Everybody{std::move(set.windows), set.labels->to_int64s(), std::move(people)};
}

std::vector<size_t> windows_of(const std::vector<int64_t>& people, const std::set<int64_t>& who) {
  std::vector<size_t> rows;
  for (size_t i = 0; i < people.size(); ++i) {
    if (who.contains(people[i])) rows.push_back(i);
  }
  return rows;
}

// Adds what the person's own network answers.
Result<void> answer(const CrossfitOptions& options, const Everybody& all, int64_t person,
                    Predictions& answers) {
  const std::string path = bundle_of(options, person);
  TRY_ASSIGN(const run::BundleEngine loaded, run::load_bundle_engine(path));
  TRY_ASSIGN(const size_t output, run::logits_output(run::plan_of(loaded.engine)));
  const std::vector<size_t> rows = windows_of(all.people, {person});
  if (window_shape(loaded) != Shape(all.windows.shape().begin() + 1, all.windows.shape().end())) {
    return invalid_input(path, "takes windows of another shape than the other people's networks");
  }
  TRY_ASSIGN(const std::vector<Tensor> outputs,
             run::run_windows(loaded.engine, windows_at(all.windows, rows)));
  const Tensor& logits = outputs[output];
  const size_t classes = logits.size() / rows.size();
  if (logits.dtype() != DType::kFloat32 || classes < 2 ||
      (answers.classes != 0 && classes != answers.classes)) {
    return invalid_input(path, fmt::format("gives {} numbers per window, expected one per class, "
                                           "as many for each person",
                                           classes));
  }
  answers.classes = classes;
  const std::span<const float> values = logits.data<float>();
  answers.logits.insert(answers.logits.end(), values.begin(), values.end());
  for (const size_t i : rows) answers.labels.push_back(all.labels[i]);
  answers.groups.insert(answers.groups.end(), rows.size(), person);
  return ok();
}

std::vector<int64_t> others_in_a_ring(const std::vector<int64_t>& groups, int64_t person) {
  const std::set<int64_t> people(groups.begin(), groups.end());
  std::vector<int64_t> others(people.upper_bound(person), people.end());
  others.insert(others.end(), people.begin(), people.lower_bound(person));
  return others;
}

decide::Confidence scaling_of(const calibrate::TemperatureFit& fit) {
  decide::Confidence confidence;
  confidence.method = decide::ConfidenceMethod::kTemperature;
  confidence.temperature = fit.temperature;
  return confidence;
}

// Probabilities of everybody under the temperature fitted for each; and how often sets hold.
void judge_together(const Predictions& answers, const CrossfitOptions& options, Crossfit& result) {
  std::vector<double> plain = calibrate::probabilities_of({}, answers), scaled;
  double covered = 0.0, unfilled = 0.0, size = 0.0;
  for (const PersonJudged& person : result.people) {
    const Predictions rows =
        calibrate::rows_of(answers, windows_of(answers.groups, {person.person}));
    const std::vector<double> own =
        calibrate::probabilities_of(scaling_of(person.temperature), rows);
    scaled.insert(scaled.end(), own.begin(), own.end());
    const auto count = static_cast<double>(rows.count());
    covered += person.sets.coverage * count;
    unfilled += person.sets.coverage_unfilled * count;
    size += person.sets.mean_size * count;
  }
  const Probabilities before{answers.classes, plain, answers.labels};
  const Probabilities after{answers.classes, scaled, answers.labels};
  result.before = calibrate::confidence_metrics(before, answers.groups, options.seed);
  result.after = calibrate::confidence_metrics(after, answers.groups, options.seed);
  const auto count = static_cast<double>(answers.count());
  result.coverage = covered / count;
  result.coverage_unfilled = unfilled / count;
  result.mean_size = size / count;
}

}  // namespace

Result<PersonJudged> judge_person(const Predictions& everybody, int64_t person,
                                  const CrossfitOptions& options) {
  PersonJudged result;
  result.person = person;
  const std::vector<int64_t> others = others_in_a_ring(everybody.groups, person);
  if (others.size() + 1 < kLeastPeople) {
    return invalid_input(fmt::format("person {}", person),
                         fmt::format("has {} others beside, at least {} are needed: one to fit, "
                                     "one for thresholds",
                                     others.size(), kLeastPeople - 1));
  }
  const auto fitted = std::clamp<size_t>(
      static_cast<size_t>(std::lround(kFitShare * static_cast<double>(others.size()))), 1,
      others.size() - 1);
  result.fitted_on.assign(others.begin(), others.begin() + static_cast<std::ptrdiff_t>(fitted));
  result.thresholds_on.assign(others.begin() + static_cast<std::ptrdiff_t>(fitted), others.end());
  const auto rows = [&](const std::vector<int64_t>& who) {
    const std::set<int64_t> people(who.begin(), who.end());
    return calibrate::rows_of(everybody, windows_of(everybody.groups, people));
  };
  const Predictions fit = rows(result.fitted_on), thresholds = rows(result.thresholds_on);
  const Predictions own = rows({person});
  result.temperature = calibrate::fit_temperature(fit);
  const decide::Confidence confidence = scaling_of(result.temperature);
  const std::vector<double> known = calibrate::probabilities_of(confidence, thresholds);
  decide::Conformal wanted;
  wanted.alpha = options.alpha;
  TRY_ASSIGN(const calibrate::ConformalFit conformal,
             calibrate::fit_conformal(wanted, {thresholds.classes, known, thresholds.labels}, {}));
  result.threshold = conformal.conformal.threshold;
  const std::vector<double> plain = calibrate::probabilities_of({}, own);
  const std::vector<double> scaled = calibrate::probabilities_of(confidence, own);
  const Probabilities table{own.classes, scaled, own.labels};
  // The windows of one person are all there is: their interval is that of windows.
  result.before = calibrate::confidence_metrics({own.classes, plain, own.labels}, {}, options.seed);
  result.after = calibrate::confidence_metrics(table, {}, options.seed);
  result.sets = calibrate::set_metrics(conformal.conformal, table, {});
  result.law = calibrate::coverage_law(thresholds.count(), options.alpha, own.count());
  return result;
}

Result<Crossfit> crossfit(const CrossfitOptions& options) {
  std::set<int64_t> people;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(options.folds, failed)) {
    const std::string name = entry.path().filename().string();
    const bool number =
        !name.empty() && name.size() < 10 &&
        std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (number && std::filesystem::exists(entry.path() / "model.graupel", failed)) {
      people.insert(std::stoll(name));
    }
  }
  if (people.size() < kLeastPeople) {
    return invalid_input(options.folds,
                         fmt::format("holds PERSON/model.graupel for {} people, at least {} are "
                                     "needed: one to fit, one for thresholds, one to judge",
                                     people.size(), kLeastPeople));
  }
  TRY_ASSIGN(const run::BundleEngine first,
             run::load_bundle_engine(bundle_of(options, *people.begin())));
  TRY_ASSIGN(const Everybody all, load_everybody(options.data, window_shape(first)));
  Predictions answers;
  for (const int64_t person : people) {
    if (std::find(all.people.begin(), all.people.end(), person) == all.people.end()) {
      return invalid_input(options.data.data, fmt::format("holds no window of person {}, for whom "
                                                          "{} holds a network",
                                                          person, options.folds));
    }
    TRY(answer(options, all, person, answers));
  }
  TRY(calibrate::check_predictions(answers));
  Crossfit result;
  result.alpha = options.alpha;
  for (const int64_t person : people) {
    TRY_ASSIGN(PersonJudged judged, judge_person(answers, person, options));
    result.people.push_back(std::move(judged));
  }
  judge_together(answers, options, result);
  return result;
}

namespace {

Json confidence_json(const calibrate::ConfidenceMetrics& metrics) {
  return {{"accuracy_percent", 100.0 * metrics.accuracy},
          {"ece_percent", 100.0 * metrics.ece.value},
          {"ece_low_percent", 100.0 * metrics.ece.low},
          {"ece_high_percent", 100.0 * metrics.ece.high},
          {"ece_equal_width_percent", 100.0 * metrics.ece_width},
          {"nll", metrics.nll}};
}

}  // namespace

Json crossfit_json(const Crossfit& judged) {
  Json people = Json::array();
  for (const PersonJudged& person : judged.people) {
    people.push_back({{"person", person.person},
                      {"windows", person.after.count},
                      {"fitted_on", person.fitted_on},
                      {"thresholds_on", person.thresholds_on},
                      {"temperature", person.temperature.temperature},
                      {"temperature_refused", person.temperature.refused},
                      {"before", confidence_json(person.before)},
                      {"after", confidence_json(person.after)},
                      {"threshold", person.threshold},
                      {"coverage_percent", 100.0 * person.sets.coverage_unfilled},
                      {"coverage_filled_percent", 100.0 * person.sets.coverage},
                      {"mean_size", person.sets.mean_size},
                      {"law_low_percent", 100.0 * person.law.low},
                      {"law_high_percent", 100.0 * person.law.high}});
  }
  return {{"alpha", judged.alpha},
          {"people", std::move(people)},
          {"together",
           {{"before", confidence_json(judged.before)},
            {"after", confidence_json(judged.after)},
            {"coverage_percent", 100.0 * judged.coverage_unfilled},
            {"coverage_filled_percent", 100.0 * judged.coverage},
            {"mean_size", judged.mean_size}}}};
}

std::string crossfit_text(const Crossfit& judged) {
  std::string text = fmt::format("{:>8} {:>8} {:>10} {:>6} {:>12} {:>12} {:>10} {:>16} {:>10}\n",
                                 "person", "windows", "accuracy %", "T", "ECE before %",
                                 "ECE after %", "coverage %", "expected %", "set size");
  for (const PersonJudged& person : judged.people) {
    text += fmt::format(
        "{:>8} {:>8} {:>10.2f} {:>6.3f} {:>12.2f} {:>12.2f} {:>10.2f} {:>16} {:>10.3f}\n",
        person.person, person.after.count, 100.0 * person.after.accuracy,
        person.temperature.temperature, 100.0 * person.before.ece.value,
        100.0 * person.after.ece.value, 100.0 * person.sets.coverage_unfilled,
        fmt::format("{:.1f} to {:.1f}", 100.0 * person.law.low, 100.0 * person.law.high),
        person.sets.mean_size);
  }
  text += fmt::format(
      "{:>8} {:>8} {:>10.2f} {:>6} {:>12.2f} {:>12.2f} {:>10.2f} {:>16} {:>10.3f}\n", "together",
      judged.after.count, 100.0 * judged.after.accuracy, "", 100.0 * judged.before.ece.value,
      100.0 * judged.after.ece.value, 100.0 * judged.coverage_unfilled,
      fmt::format("{:g}", 100.0 * (1 - judged.alpha)), judged.mean_size);
  text +=
      "ECE is debiased. Coverage is that of the sets before empty ones are filled; 'expected' is\n"
      "where 99 % of calibrations would bring it if people were exchangeable, which they are "
      "not.\n";
  return text;
}

}  // namespace graupel::deploy
