// A calibration for people, programs and reports. See calibrate.h. Test: calibrate_test.cc.
#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "calibrate/plots.h"
#include "deploy/calibrate.h"
#include "deploy/deploy.h"

namespace graupel::deploy {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json confidence_json(const calibrate::ConfidenceMetrics& metrics) {
  return {{"windows", metrics.count},
          {"accuracy", metrics.accuracy},
          {"ece_debiased", metrics.ece.value},
          {"ece_interval", {metrics.ece.low, metrics.ece.high}},
          {"ece_equal_width", metrics.ece_width},
          {"ece_equal_mass", metrics.ece_mass},
          {"ece_classwise", metrics.ece_classwise},
          {"mce", metrics.mce},
          {"nll", metrics.nll},
          {"brier", metrics.brier.score},
          {"brier_reliability", metrics.brier.reliability},
          {"brier_resolution", metrics.brier.resolution},
          {"brier_uncertainty", metrics.brier.uncertainty},
          {"brier_within_bins", metrics.brier.within_bins},
          {"aurc", metrics.aurc}};
}

Json strata_json(const std::vector<calibrate::Stratum>& strata) {
  Json json = Json::array();
  for (const calibrate::Stratum& row : strata) {
    json.push_back({{"key", row.key},
                    {"windows", row.count},
                    {"coverage", row.coverage},
                    {"mean_size", row.mean_size}});
  }
  return json;
}

Json sets_json(const Calibrated& result) {
  const calibrate::SetMetrics& sets = result.sets;
  const decide::Conformal& conformal = *result.block.conformal;
  return {{"method", decide::to_string(conformal.method)},
          {"alpha", conformal.alpha},
          {"condition", decide::to_string(conformal.condition)},
          {"randomised", conformal.randomised},
          {"threshold", finite(conformal.threshold)},
          {"calibration_windows", conformal.calibration_count},
          {"windows", sets.count},
          {"coverage", sets.coverage},
          {"coverage_unfilled", sets.coverage_unfilled},
          {"law_99", {result.law.low, result.law.high}},
          {"pac_low_95", result.law.pac_low},
          {"mean_size", sets.mean_size},
          {"sizes", sets.sizes},
          {"empty_share", sets.empty_share},
          {"full_share", sets.full_share},
          {"singleton_share", sets.singleton_share},
          {"singleton_right", sets.singleton_right},
          {"worst_size_coverage", sets.worst_size_coverage},
          {"by_class", strata_json(sets.by_class)},
          {"by_size", strata_json(sets.by_size)},
          {"by_group", strata_json(sets.by_group)}};
}

std::string scaling_sentence(const Calibrated& result) {
  const decide::Confidence& confidence = result.block.confidence;
  switch (confidence.method) {
    case decide::ConfidenceMethod::kTemperature:
      return fmt::format("temperature {:.4f} (95% interval {:.3f} to {:.3f})",
                         confidence.temperature, confidence.temperature_low,
                         confidence.temperature_high);
    case decide::ConfidenceMethod::kVector: return "vector scaling, one scale and bias per class";
    case decide::ConfidenceMethod::kPerGroup:
      return fmt::format("temperature {:.4f}, {} groups with their own", confidence.temperature,
                         confidence.groups.size());
    case decide::ConfidenceMethod::kNone: return "none";
  }
  return "";
}

std::string set_sentence(const Calibrated& result) {
  const decide::Conformal& conformal = *result.block.conformal;
  return fmt::format("{}{}, alpha {:g}, threshold over {}, from {} windows",
                     decide::to_string(conformal.method),
                     conformal.randomised ? ", randomised" : "", conformal.alpha,
                     decide::to_string(conformal.condition), conformal.calibration_count);
}

std::string percent(double share) { return fmt::format("{:.2f}%", 100.0 * share); }
std::string change(double before, double after) {
  return fmt::format("{:.2f}% before, {:.2f}% after", 100.0 * before, 100.0 * after);
}

std::string people(const calibrate::Part& part) {
  if (part.groups.empty()) return fmt::format("{} windows", part.windows.size());
  return fmt::format("{} windows of {} {}", part.windows.size(), part.groups.size(),
                     part.groups.size() == 1 ? "group" : "groups");
}

Rows confidence_rows(const Calibrated& result) {
  const calibrate::ConfidenceMetrics& before = result.before;
  const calibrate::ConfidenceMetrics& after = result.after;
  return {{"scaling", scaling_sentence(result)},
          {"why", result.choice.reason},
          {"calibration error, debiased", change(before.ece.value, after.ece.value)},
          {"its 95% interval after",
           fmt::format("{} to {}", percent(after.ece.low), percent(after.ece.high))},
          {"ECE, 15 bins of equal width", change(before.ece_width, after.ece_width)},
          {"ECE, 15 bins of equal mass", change(before.ece_mass, after.ece_mass)},
          {"ECE, class by class", change(before.ece_classwise, after.ece_classwise)},
          {"largest error of a bin (MCE)", change(before.mce, after.mce)},
          {"NLL", fmt::format("{:.4f} before, {:.4f} after", before.nll, after.nll)},
          {"Brier score",
           fmt::format("{:.4f} before, {:.4f} after", before.brier.score, after.brier.score)},
          {"Brier parts after",
           fmt::format("reliability {:.4f}, resolution {:.4f}, uncertainty {:.4f}",
                       after.brier.reliability, after.brier.resolution, after.brier.uncertainty)},
          {"area under risk-coverage", fmt::format("{:.4f}", after.aurc)}};
}

Rows set_rows(const Calibrated& result) {
  const calibrate::SetMetrics& sets = result.sets;
  Rows rows = {
      {"sets", set_sentence(result)},
      {"coverage as delivered", percent(sets.coverage)},
      {"coverage before empty sets were filled", percent(sets.coverage_unfilled)},
      {"99% of calibrations lie within",
       fmt::format("{} to {}", percent(result.law.low), percent(result.law.high))},
      {"coverage is above, with 95% (PAC)", percent(result.law.pac_low)},
      {"mean size", fmt::format("{:.3f} of {} classes", sets.mean_size, result.block.classes)},
      {"sets of one class", fmt::format("{}, right in {}", percent(sets.singleton_share),
                                        percent(sets.singleton_right))},
      {"empty before filling", percent(sets.empty_share)},
      {"least coverage of a set size (20 windows or more)", percent(sets.worst_size_coverage)},
      {"drift martingale on the judged windows",
       fmt::format("10^{:.1f}{}", result.drift_log_wealth / std::log(10.0),
                   result.drift_alarm ? ", ALARM: they do not resemble the calibration windows"
                                      : ", no alarm")}};
  return rows;
}

Rows split_rows(const Calibrated& result) {
  return {{"fitted on", people(result.split.fit)},
          {"thresholds from", people(result.split.conformal)},
          {"judged on", people(result.split.judge)}};
}

std::string text_of(const Rows& rows) {
  std::string text;
  for (const auto& [name, value] : rows) text += fmt::format("{:<42} {}\n", name, value);
  return text;
}

std::vector<calibrate::NamedCoverage> named(const std::vector<calibrate::Stratum>& strata,
                                            const std::vector<std::string>* names,
                                            const char* word) {
  std::vector<calibrate::NamedCoverage> rows;
  constexpr size_t kMostRows = 60;
  for (const calibrate::Stratum& stratum : strata) {
    if (rows.size() == kMostRows) break;
    const auto key = static_cast<size_t>(stratum.key);
    rows.push_back({names != nullptr && key < names->size()
                        ? (*names)[key]
                        : fmt::format("{} {}", word, stratum.key),
                    stratum});
  }
  return rows;
}

void add_figures(report::Report& report, const Calibrated& result) {
  const double target = 1.0 - result.block.conformal->alpha;
  report.figures.push_back(
      {"Reliability",
       "Points below the diagonal promise too much. Whiskers are 95% intervals of "
       "each bin; bins with few windows say little.",
       calibrate::reliability_svg(result.before.reliability, result.after.reliability)});
  std::vector<calibrate::NamedValue> sizes;
  for (size_t size = 0; size < result.sets.sizes.size(); ++size) {
    const auto count = static_cast<double>(result.sets.sizes[size]);
    if (count == 0.0 && size > 5) continue;
    sizes.push_back({size == 1 ? "1 class" : fmt::format("{} classes", size), count, 0.0,
                     fmt::format("{:.0f} ({:.1f}%)", count,
                                 100.0 * count / static_cast<double>(result.sets.count))});
  }
  report.figures.push_back({"Set sizes", "", calibrate::bars_svg("Windows per set size", sizes)});
  const std::string note = "The dashed line is what was asked; whiskers are 95% intervals.";
  report.figures.push_back(
      {"Coverage by class", note,
       calibrate::coverage_svg("Coverage of each class",
                               named(result.sets.by_class, &result.labels, "class"), target)});
  report.figures.push_back(
      {"Coverage by set size", note,
       calibrate::coverage_svg("Coverage of each set size",
                               named(result.sets.by_size, nullptr, "size"), target)});
  if (!result.sets.by_group.empty()) {
    report.figures.push_back(
        {"Coverage by group", note,
         calibrate::coverage_svg("Coverage of each judged group",
                                 named(result.sets.by_group, nullptr, "group"), target)});
  }
}

}  // namespace

Json calibrated_json(const Calibrated& result) {
  Json json;
  json["bars"] = judgements_json(result.judgements);
  json["split"] = {{"by", result.split.by == calibrate::SplitBy::kGroup ? "group" : "block"},
                   {"fit_windows", result.split.fit.windows.size()},
                   {"conformal_windows", result.split.conformal.windows.size()},
                   {"judge_windows", result.split.judge.windows.size()}};
  json["scaling"] = {{"method", decide::to_string(result.block.confidence.method)},
                     {"temperature", result.block.confidence.temperature},
                     {"reason", result.choice.reason}};
  json["before"] = confidence_json(result.before);
  json["after"] = confidence_json(result.after);
  json["sets"] = sets_json(result);
  json["set_agreement_percent"] = result.set_agreement_percent;
  json["drift_log10_wealth"] = result.drift_log_wealth / std::log(10.0);
  if (result.hsmm) json["hsmm"] = fit_json(result.hsmm->fit);
  if (result.codes) json["codes"] = codes_json(*result.codes);
  json["warnings"] = result.warnings;
  return json;
}

std::string calibrated_text(const Calibrated& result) {
  return text_of(split_rows(result)) + "\n" + text_of(confidence_rows(result)) + "\n" +
         text_of(set_rows(result)) + "\n" +
         (result.hsmm ? text_of(hsmm_rows(*result.hsmm)) + "\n" : "");
}

void describe_data(const Labelled& data, const LabelledPaths& paths, CalibrateOptions& options) {
  options.data = std::filesystem::path(paths.data).filename().string();
  options.data_sha256 = data.data_sha256;
  options.labels_sha256 = data.labels_sha256;
}

Result<std::string> write_calibration(const bundle::Bundle& bundle, const Calibrated& calibrated,
                                      const CalibrateOutputs& outputs) {
  std::string report = outputs.report;
  if (report.empty()) {
    report = (std::filesystem::path(outputs.bundle).parent_path() / "decisions.html").string();
  }
  TRY(bundle::write_bundle(outputs.bundle, bundle));
  TRY(write_file_atomic(report, report::render_html(calibrate_report(calibrated, bundle))));
  return report;
}

report::Report calibrate_report(const Calibrated& result, const bundle::Bundle& bundle) {
  report::Report report;
  report.title = "graupel decision report";
  report.model = bundle.manifest.model_name;
  size_t missed = 0, judged = 0;
  for (const validate::Judgement& judgement : result.judgements) {
    judged += judgement.value ? 1 : 0;
    missed += validate::outcome(judgement) == validate::Outcome::kFail ? 1 : 0;
  }
  report.summary_sentence = missed == 0
                                ? fmt::format("All {} measured bars are met.", judged)
                                : fmt::format("{} of {} measured bars are missed.", missed, judged);
  report.bars = report_bars(result.judgements);
  report.listings = {{"Confidence", "On windows of the judge's part.", confidence_rows(result)},
                     {"Prediction sets", "", set_rows(result)}};
  if (result.hsmm) {
    report.listings.push_back(
        {"Behaviour over time", "On the judge's part.", hsmm_rows(*result.hsmm)});
  }
  add_figures(report, result);
  if (result.hsmm) add_hsmm_figures(report, *result.hsmm);
  if (result.codes) add_codes(report, *result.codes);
  report.facts = split_rows(result);
  report.facts.emplace_back("data", result.block.provenance.data);
  report.facts.emplace_back("data SHA-256", result.block.provenance.data_sha256);
  report.facts.emplace_back("seed of the split", std::to_string(result.block.provenance.seed));
  report.facts.emplace_back("graupel", std::string(kVersion));
  report.not_checked = result.warnings;
  report.not_checked.push_back(
      "Coverage and calibration hold for windows like those judged here. Other people, sensors or "
      "mountings may differ; the drift alarm is there to notice.");
  report.not_checked.push_back(
      "All answers are those of graupel's own INT8 arithmetic on this machine's CPU; no Hailo "
      "device took part.");
  return report;
}

}  // namespace graupel::deploy
