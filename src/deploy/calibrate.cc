// Stage 8, put together. See calibrate.h. Test: calibrate_test.cc.
#include "deploy/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "decide/stream.h"
#include "deploy/halves.h"
#include "deploy/stages.h"
#include "run/answers.h"
#include "run/engine.h"
#include "run/load.h"

namespace graupel::deploy {
namespace {

using calibrate::Predictions;
using calibrate::Probabilities;
using validate::Judgement;

// Logits of the plan and of the float halves, with labels and groups.
struct Answers {
  Predictions int8, exact;
  std::vector<int64_t> digits;  // FSQ, [windows, levels]; empty without
};

Result<std::vector<float>> logits_of(const Tensor& tensor, size_t windows, size_t classes) {
  if (tensor.dtype() != DType::kFloat32 || tensor.size() != windows * classes) {
    return unsupported("logits",
                       "of float parts and plan differ in shape: compile the bundle "
                       "again");
  }
  const std::span<const float> values = tensor.data<float>();
  return std::vector<float>(values.begin(), values.end());
}

Result<Answers> answers_of(const bundle::Bundle& bundle, const Windows& windows,
                           const std::vector<int64_t>& groups) {
  if (!windows.labels) {
    return invalid_input("--labels", "are missing: calibrating needs the class of every window");
  }
  TRY_ASSIGN(const std::string_view bytes, bundle::member(bundle, run::kPlanMember));
  TRY_ASSIGN(const run::Plan plan, run::parse_plan(bytes));
  TRY_ASSIGN(const size_t output, run::logits_output(plan));
  TRY_ASSIGN(const run::Engine engine, run::load_engine(plan));
  TRY_ASSIGN(const std::vector<Tensor> outputs, run::run_windows(engine, windows.raw));
  const auto count = static_cast<size_t>(windows.raw.shape()[0]);
  const size_t classes = outputs[output].size() / std::max<size_t>(1, count);
  if (classes < 2 || classes > static_cast<size_t>(decide::kMaxClasses)) {
    return unsupported(plan.outputs[output].name,
                       fmt::format("has {} numbers per window, expected one per class, 2 to {}",
                                   classes, decide::kMaxClasses));
  }
  Answers answers;
  answers.int8.classes = answers.exact.classes = classes;
  answers.int8.labels = answers.exact.labels = windows.labels->to_int64s();
  answers.int8.groups = answers.exact.groups = groups;
  TRY_ASSIGN(answers.int8.logits, logits_of(outputs[output], count, classes));
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    if (plan.outputs[i].role != run::Role::kFsqDigits) continue;
    for (const double digit : outputs[i].to_doubles()) {
      answers.digits.push_back(std::llround(digit));
    }
  }
  TRY_ASSIGN(const Halves halves, float_halves(bundle));
  using Named = std::map<std::string, Tensor>;
  TRY_ASSIGN(const Named exact, evaluate_halves(halves, windows.model));
  const auto found = exact.find(plan.outputs[output].name);
  if (found == exact.end()) {
    return corrupt(plan.outputs[output].name, "is not an output of the bundle's float parts");
  }
  TRY_ASSIGN(answers.exact.logits, logits_of(found->second, count, classes));
  TRY(calibrate::check_predictions(answers.int8));
  TRY(calibrate::check_predictions(answers.exact));
  return answers;
}

void warn_of_unseen_classes(Calibrated& result, const Answers& answers) {
  const auto missing = [&](const std::vector<size_t>& windows) {
    std::set<int64_t> seen;
    for (const size_t i : windows) seen.insert(answers.int8.labels[i]);
    std::string names;
    for (size_t c = 0; c < answers.int8.classes; ++c) {
      if (seen.contains(static_cast<int64_t>(c))) continue;
      names += (names.empty() ? "" : ", ") + result.labels[c];
    }
    return names;
  };
  const std::pair<const char*, const calibrate::Part*> parts[] = {
      {"fit", &result.split.fit},
      {"thresholds", &result.split.conformal},
      {"judged", &result.split.judge}};
  for (const auto& [name, part] : parts) {
    const std::string names = missing(part->windows);
    if (names.empty()) continue;
    result.warnings.push_back(fmt::format(
        "the part '{}' holds no window of: {}; nothing here speaks for them", name, names));
  }
}

// Judges the debiased error with its interval; not at all if the sample cannot place it.
Judgement judge_error(const validate::Bar& bar, const calibrate::Judged& error, size_t windows) {
  const double value = 100.0 * error.value, low = 100.0 * error.low, high = 100.0 * error.high;
  const std::string of = error.by_group
                             ? fmt::format("{} windows of {} groups", windows, error.clusters)
                             : fmt::format("{} windows", windows);
  Judgement judgement{bar, value, fmt::format("95% interval {:.1f} to {:.1f}%, {}", low, high, of)};
  const double reach = high - value;
  const bool clear = high <= bar.limit || low > bar.limit;
  if (clear || reach <= bar.limit) return judgement;
  const double factor = reach / std::max(bar.limit, 1e-9);
  judgement.value.reset();
  judgement.detail = fmt::format(
      "sample too small: {:.1f}% with interval {:.1f} to {:.1f}% from {}; about {:.0f} would do",
      value, low, high, of, std::ceil(static_cast<double>(windows) * factor * factor));
  return judgement;
}

struct Judge {
  std::vector<validate::Bar> bars;
  std::vector<Judgement>& judgements;

  const validate::Bar& bar(std::string_view id) const {
    return *std::find_if(bars.begin(), bars.end(),
                         [&](const validate::Bar& b) { return b.id == id; });
  }
  void say(std::string_view id, std::optional<double> value, std::string detail) {
    judgements.push_back({bar(id), value, std::move(detail)});
  }
};

void judge_coverage(Judge& judge, const Calibrated& result) {
  const double coverage = 100.0 * result.sets.coverage_unfilled;
  const double low = 100.0 * result.law.low, high = 100.0 * result.law.high;
  const decide::Conformal& conformal = *result.block.conformal;
  if (result.law.full) {
    judge.say("coverage_outside", std::nullopt,
              "too few windows for alpha: every class is in every set");
    return;
  }
  if (conformal.condition != decide::Condition::kMarginal) {
    // The law is that of one threshold; several give at least as much spread.
    judge.say("coverage_outside", std::max(0.0, 100.0 * (1.0 - conformal.alpha) - coverage),
              fmt::format("coverage {:.1f}%, at least {:.1f}% asked", coverage,
                          100.0 * (1.0 - conformal.alpha)));
    return;
  }
  const double outside = std::max({0.0, low - coverage, coverage - high});
  judge.say("coverage_outside", outside,
            fmt::format("coverage {:.1f}%, 99% of calibrations lie within {:.1f} to {:.1f}%",
                        coverage, low, high));
}

void judge_all(Calibrated& result, const std::vector<validate::Bar>& bars) {
  Judge judge{bars, result.judgements};
  result.judgements.push_back(judge_error(judge.bar("ece"), result.after.ece, result.after.count));
  judge_coverage(judge, result);
  judge.say("scaling_accuracy_drop", result.int8_accuracy - result.scaled_accuracy,
            fmt::format("{:.2f}% after scaling", result.scaled_accuracy));
  judge.say(
      "int8_accuracy_drop", result.float_accuracy - result.int8_accuracy,
      fmt::format("float {:.2f}%, INT8 {:.2f}%", result.float_accuracy, result.int8_accuracy));
  if (result.codes && result.codes->accuracy_float && result.codes->accuracy_unrounded) {
    judge.say("fsq_accuracy_drop",
              *result.codes->accuracy_unrounded - *result.codes->accuracy_float,
              fmt::format("without rounding {:.2f}%, with {:.2f}%",
                          *result.codes->accuracy_unrounded, *result.codes->accuracy_float));
  }
  if (result.hsmm) {
    const calibrate::HsmmScores& judged = result.hsmm->judged;
    const double worse = std::min(judged.filter_accuracy, judged.path_accuracy);
    judge.say("hsmm_accuracy_drop", 100.0 * (judged.argmax_accuracy - worse),
              fmt::format("each window alone {:.2f}%, HSMM online {:.2f}%, offline {:.2f}%",
                          100.0 * judged.argmax_accuracy, 100.0 * judged.filter_accuracy,
                          100.0 * judged.path_accuracy));
  }
  judge.say("set_agreement", result.set_agreement_percent,
            fmt::format("{} windows", result.sets.count));
}

double accuracy_percent(const Predictions& rows) {
  const std::vector<double> p = calibrate::probabilities_of({}, rows);
  return 100.0 * calibrate::accuracy_of({rows.classes, p, rows.labels});
}

double same_sets_percent(const std::vector<bool>& a, const std::vector<bool>& b, size_t classes) {
  size_t same = 0;
  const size_t count = a.size() / classes;
  for (size_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::ptrdiff_t>(i * classes);
    same += std::equal(a.begin() + at, a.begin() + at + static_cast<std::ptrdiff_t>(classes),
                       b.begin() + at)
                ? 1
                : 0;
  }
  return 100.0 * static_cast<double>(same) / static_cast<double>(std::max<size_t>(1, count));
}

// Confidence, thresholds, scores and drift bins from the first two parts.
Result<void> fit(Calibrated& result, const Answers& answers, const CalibrateOptions& options) {
  const Predictions fit_rows = calibrate::rows_of(answers.int8, result.split.fit.windows);
  TRY_ASSIGN(result.choice, calibrate::choose_confidence(fit_rows, options.confidence));
  result.block.confidence = result.choice.confidence;
  const Predictions rows = calibrate::rows_of(answers.int8, result.split.conformal.windows);
  const std::vector<double> p = calibrate::probabilities_of(result.block.confidence, rows);
  const Probabilities table = {rows.classes, p, rows.labels};
  TRY_ASSIGN(const calibrate::ConformalFit fitted,
             calibrate::fit_conformal(options.conformal, table, rows.groups));
  result.warnings.insert(result.warnings.end(), fitted.warnings.begin(), fitted.warnings.end());
  result.block.conformal = fitted.conformal;
  result.block.adaptive = calibrate::fit_adaptive(fitted.scores, options.adaptive_step);
  result.block.drift = calibrate::fit_drift(table, options.drift_alarm, options.drift_run_length);
  if (result.choice.confidence.method == decide::ConfidenceMethod::kNone &&
      !result.choice.temperature.refused.empty()) {
    result.warnings.push_back("no temperature: " + result.choice.temperature.refused);
  }
  return ok();
}

void measure(Calibrated& result, const Answers& answers, const CalibrateOptions& options) {
  const std::vector<size_t>& windows = result.split.judge.windows;
  const Predictions int8 = calibrate::rows_of(answers.int8, windows);
  const Predictions exact = calibrate::rows_of(answers.exact, windows);
  const decide::Conformal& conformal = *result.block.conformal;
  const std::vector<double> plain = calibrate::probabilities_of({}, int8);
  const std::vector<double> scaled = calibrate::probabilities_of(result.block.confidence, int8);
  const std::vector<double> scaled_exact =
      calibrate::probabilities_of(result.block.confidence, exact);
  const Probabilities table = {int8.classes, scaled, int8.labels};
  result.before = calibrate::confidence_metrics({int8.classes, plain, int8.labels}, int8.groups,
                                                options.split.seed);
  result.after = calibrate::confidence_metrics(table, int8.groups, options.split.seed);
  result.sets = calibrate::set_metrics(conformal, table, int8.groups);
  result.law = calibrate::coverage_law(static_cast<size_t>(conformal.calibration_count),
                                       conformal.alpha, int8.count());
  result.float_accuracy = accuracy_percent(exact);
  result.int8_accuracy = accuracy_percent(int8);
  result.scaled_accuracy = 100.0 * result.after.accuracy;
  const double error = 1.0 - result.after.accuracy;
  if (result.sets.empty_share > 0.01 && error < conformal.alpha) {
    result.warnings.push_back(fmt::format(
        "the network errs in {:.1f}% of the windows, less than alpha allows ({:g}%): {:.1f}% of "
        "the "
        "sets are empty until their top class is put in, and sets of two or more hardly occur; a "
        "smaller --alpha gives sets that say more",
        100.0 * error, 100.0 * conformal.alpha, 100.0 * result.sets.empty_share));
  }
  result.set_agreement_percent = same_sets_percent(
      calibrate::sets_of(conformal, table, int8.groups),
      calibrate::sets_of(conformal, {exact.classes, scaled_exact, exact.labels}, exact.groups),
      int8.classes);
  decide::DriftState drift = decide::start_drift(*result.block.drift, options.split.seed);
  for (const calibrate::Event& event : calibrate::top_events(table)) {
    decide::observe_drift(*result.block.drift, 1.0 - event.confidence, drift);
  }
  result.drift_log_wealth = drift.log_wealth;
  result.drift_alarm = drift.alarm;
}

std::vector<decide::Measured> measured_of(const Calibrated& result) {
  return {{"ece_before", result.before.ece.value},
          {"ece_debiased", result.after.ece.value},
          {"ece_low", result.after.ece.low},
          {"ece_high", result.after.ece.high},
          {"ece_equal_width", result.after.ece_width},
          {"nll_before", result.before.nll},
          {"nll_after", result.after.nll},
          {"brier_after", result.after.brier.score},
          {"aurc", result.after.aurc},
          {"coverage", result.sets.coverage},
          {"coverage_unfilled", result.sets.coverage_unfilled},
          {"coverage_pac_low", result.law.pac_low},
          {"mean_set_size", result.sets.mean_size},
          {"singleton_share", result.sets.singleton_share},
          {"accuracy_float", result.float_accuracy / 100.0},
          {"accuracy_int8", result.int8_accuracy / 100.0},
          {"accuracy_scaled", result.scaled_accuracy / 100.0},
          {"set_agreement", result.set_agreement_percent / 100.0}};
}

// The HSMM that was asked for, or the one fitted earlier.
Result<void> follow_durations(Calibrated& result, const Answers& answers,
                              const bundle::Bundle& bundle, const CalibrateOptions& options) {
  if (options.hsmm) {
    HsmmInput input{answers.int8, answers.digits, {}, result.labels};
    if (result.codes) input.levels = result.codes->fsq.levels;
    TRY_ASSIGN(result.hsmm,
               fit_durations(*options.hsmm, input, result.split, result.block.confidence));
    TRY_ASSIGN(result.block.hsmm, decide::format_hsmm(result.hsmm->fit.model));
    const std::vector<std::string>& notes = result.hsmm->fit.model.notes;
    for (const std::string& text : notes) result.warnings.push_back("HSMM: " + text);
    return ok();
  }
  const auto earlier = bundle.members.find(std::string(decide::kBlockMember));
  if (earlier == bundle.members.end()) return ok();
  TRY_ASSIGN(const decide::Block old, decide::parse_block(earlier->second));
  result.block.hsmm = old.hsmm;
  if (!old.hsmm.empty() && old.confidence != result.block.confidence) {
    result.warnings.push_back(
        "the HSMM fitted earlier stays, and was fitted on probabilities scaled otherwise: fit it "
        "again (--hsmm, or graupel hsmm)");
  }
  return ok();
}

decide::Provenance provenance_of(const Calibrated& result, const bundle::Bundle& bundle,
                                 const CalibrateOptions& options) {
  decide::Provenance provenance;
  provenance.data = options.data;
  provenance.data_sha256 = options.data_sha256;
  provenance.labels_sha256 = options.labels_sha256;
  provenance.plan_sha256 = bundle::sha256_hex(bundle.members.at(std::string(run::kPlanMember)));
  provenance.fit_windows = static_cast<int64_t>(result.split.fit.windows.size());
  provenance.conformal_windows = static_cast<int64_t>(result.split.conformal.windows.size());
  provenance.judge_windows = static_cast<int64_t>(result.split.judge.windows.size());
  provenance.fit_groups = result.split.fit.groups;
  provenance.conformal_groups = result.split.conformal.groups;
  provenance.judge_groups = result.split.judge.groups;
  provenance.seed = options.split.seed;
  return provenance;
}

}  // namespace

Result<void> choose_methods(const MethodNames& names, CalibrateOptions& options) {
  const auto unknown = [](const std::string& flag, const std::string& name, const char* known) {
    return invalid_input(flag, fmt::format("is '{}', expected one of {}", name, known));
  };
  const auto method = decide::parse_conformal_method(names.method);
  if (!method) return unknown("--method", names.method, "lac, aps, raps, saps");
  options.conformal.method = *method;
  const auto condition = decide::parse_condition(names.condition);
  if (!condition) return unknown("--condition", names.condition, "marginal, class, group");
  options.conformal.condition = *condition;
  if (names.empty_sets != "top-class" && names.empty_sets != "keep") {
    return unknown("--empty-sets", names.empty_sets, "top-class, keep");
  }
  options.conformal.empty_sets =
      names.empty_sets == "keep" ? decide::EmptySets::kKeep : decide::EmptySets::kTopClass;
  using calibrate::Wanted;
  const std::pair<const char*, Wanted> wanted[] = {{"auto", Wanted::kAuto},
                                                   {"none", Wanted::kNone},
                                                   {"temperature", Wanted::kTemperature},
                                                   {"vector", Wanted::kVector},
                                                   {"per-group", Wanted::kPerGroup}};
  for (const auto& [name, value] : wanted) {
    if (names.confidence != name) continue;
    options.confidence = value;
    return ok();
  }
  return unknown("--confidence", names.confidence, "auto, none, temperature, vector, per-group");
}

std::vector<validate::Bar> calibrate_bars() {
  using enum validate::Comparison;
  return {
      {"ece", "calibration error, debiased", "%", kAtMost, 3},
      {"coverage_outside", "coverage of the sets outside its law", "points", kAtMost, 0},
      {"scaling_accuracy_drop", "accuracy lost by scaling", "points", kAtMost, 0},
      {"int8_accuracy_drop", "accuracy lost by INT8", "points", kAtMost, 0.5},
      // Wider: the network was trained with its rounding, so without it is another network.
      {"fsq_accuracy_drop", "accuracy lost by FSQ's rounding", "points", kAtMost, 1},
      {"hsmm_accuracy_drop", "accuracy lost by the HSMM", "points", kAtMost, 0},
      {"set_agreement", "INT8 and float give the same set", "%", kAtLeast, 99},
  };
}

Result<Calibrated> calibrate(bundle::Bundle& bundle, const Windows& windows,
                             const std::vector<int64_t>& groups, const CalibrateOptions& options) {
  TRY_ASSIGN(const std::vector<validate::Bar> bars,
             validate::with_limits(calibrate_bars(), options.bars));
  TRY_ASSIGN(const Answers answers, answers_of(bundle, windows, groups));
  Calibrated result;
  result.block.classes = static_cast<int64_t>(answers.int8.classes);
  const auto names = bundle.members.find(std::string(run::kLabelsMember));
  if (names != bundle.members.end()) result.labels = run::parse_labels(names->second);
  for (size_t c = result.labels.size(); c < answers.int8.classes; ++c) {
    result.labels.push_back(fmt::format("class {}", c));
  }
  calibrate::SplitOptions split = options.split;
  split.within_groups = options.confidence == calibrate::Wanted::kPerGroup ||
                        options.conformal.condition == decide::Condition::kGroup;
  if (split.within_groups && groups.empty()) {
    return invalid_input("--groups", "is missing: what is fitted per group needs to know them");
  }
  TRY_ASSIGN(result.split, calibrate::split_windows(answers.int8.count(), groups, split));
  if (!result.split.warning.empty()) result.warnings.push_back(result.split.warning);
  warn_of_unseen_classes(result, answers);
  TRY(fit(result, answers, options));
  measure(result, answers, options);
  TRY_ASSIGN(result.codes, measure_codes(bundle, windows));
  if (result.codes) {
    result.block.fsq = result.codes->fsq;
    for (const std::string& warning : result.codes->dead_dimensions) {
      result.warnings.push_back(warning);
    }
  }
  TRY(follow_durations(result, answers, bundle, options));
  judge_all(result, bars);
  result.block.provenance = provenance_of(result, bundle, options);
  result.block.measured = measured_of(result);
  TRY_ASSIGN(bundle.members[std::string(decide::kBlockMember)], decide::format_block(result.block));
  bundle.members["reports/calibrate.json"] = calibrated_json(result).dump(2) + "\n";
  bundle.manifest.stage = bundle::Stage::kCalibrated;
  bundle.manifest.provenance["calibrate"] = {
      {"windows", answers.int8.count()},
      {"windows_sha256", options.data_sha256},
      {"labels_sha256", options.labels_sha256},
      {"method", decide::to_string(options.conformal.method)},
      {"alpha", options.conformal.alpha}};
  return result;
}

}  // namespace graupel::deploy
