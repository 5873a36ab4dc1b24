// Stage 7: every promised number, measured. See stages.h. Test: deploy_test.cc.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "compile/compile.h"
#include "cut/fsq.h"
#include "deploy/halves.h"
#include "deploy/json.h"
#include "deploy/stages.h"
#include "run/engine.h"

namespace graupel::deploy {
namespace {

using Named = std::map<std::string, Tensor>;
using validate::Judgement;

// What every measurement looks at.
struct Evidence {
  Halves halves;       // float
  ir::Graph int8;      // QDQ device graph
  run::Plan plan;      // the whole network
  Named exact;         // float halves on all windows
  Named answers;       // the plan's outputs on all windows, by name
  std::string logits;  // name of the first output
};

double infinity_if_empty(bool empty) {
  return empty ? std::numeric_limits<double>::infinity() : 0.0;
}

Result<Named> plan_outputs(const run::Plan& plan, const Tensor& windows) {
  TRY_ASSIGN(const run::Engine engine, run::load_engine(plan));
  TRY_ASSIGN(const std::vector<Tensor> outputs, run::run_windows(engine, windows));
  Named named;
  for (size_t i = 0; i < outputs.size(); ++i) named[plan.outputs[i].name] = outputs[i];
  return named;
}

Result<Evidence> gather(const bundle::Bundle& bundle, const Windows& windows) {
  Evidence evidence;
  TRY_ASSIGN(evidence.halves, float_halves(bundle));
  TRY_ASSIGN(evidence.int8, member_graph(bundle, "device_int8.onnx"));
  TRY_ASSIGN(const std::string_view plan_bytes, bundle::member(bundle, "cpu.plan"));
  TRY_ASSIGN(evidence.plan, run::parse_plan(plan_bytes));
  TRY_ASSIGN(evidence.exact, evaluate_halves(evidence.halves, windows.model));
  TRY_ASSIGN(evidence.answers, plan_outputs(evidence.plan, windows.raw));
  const ir::Graph& host = evidence.halves.host;
  evidence.logits = host.value(host.outputs[0]).name;
  return evidence;
}

Result<double> original_difference(const ir::Graph& original, const Evidence& evidence,
                                   const Tensor& windows) {
  TRY_ASSIGN(const std::vector<Tensor> outputs, ir::evaluate_windows(original, windows));
  double largest = 0.0;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string& name = original.value(original.outputs[i]).name;
    const auto found = evidence.exact.find(name);
    if (found == evidence.exact.end()) return infinity_if_empty(true);
    if (outputs[i].dtype() == DType::kFloat32) {
      largest = std::max(largest, max_abs_difference(outputs[i], found->second));
    } else if (!(outputs[i] == found->second)) {
      return infinity_if_empty(true);
    }
  }
  return largest;
}

// Outputs on which the simplified network and its halves differ in a byte.
Result<double> recombined_mismatches(const ir::Graph& original, const Evidence& evidence,
                                     const Tensor& windows) {
  TRY_ASSIGN(const simplify::Simplified simplified, simplify::simplify(original));
  TRY_ASSIGN(const std::vector<Tensor> whole, ir::evaluate_windows(simplified.graph, windows));
  TRY_ASSIGN(const Named halves, evaluate_halves(evidence.halves, windows));
  double mismatches = 0.0;
  for (size_t i = 0; i < whole.size(); ++i) {
    const auto found = halves.find(simplified.graph.value(simplified.graph.outputs[i]).name);
    mismatches += found == halves.end() || !(whole[i] == found->second) ? 1.0 : 0.0;
  }
  return mismatches;
}

size_t differing_bytes(const Tensor& a, const Tensor& b) {
  if (a.size_bytes() != b.size_bytes()) return std::max(a.size_bytes(), b.size_bytes());
  size_t count = 0;
  for (size_t i = 0; i < a.size_bytes(); ++i) count += a.bytes()[i] != b.bytes()[i] ? 1 : 0;
  return count;
}

Result<double> plan_mismatches(const Evidence& evidence, const Windows& windows, size_t count,
                               const run::Plan& device) {
  const auto limit = static_cast<int64_t>(count);
  ir::EvalOptions integer;
  integer.qdq = ir::QdqMode::kInteger;
  const Halves int8 = {evidence.halves.before, evidence.int8, evidence.halves.host};
  TRY_ASSIGN(const Named expected,
             evaluate_halves(int8, first_windows(windows.model, limit), integer));
  const Tensor raw = first_windows(windows.raw, limit);
  TRY_ASSIGN(Named found, plan_outputs(evidence.plan, raw));
  TRY_ASSIGN(const Named at_cut, plan_outputs(device, raw));
  found.insert(at_cut.begin(), at_cut.end());
  size_t mismatches = 0;
  for (const auto& [name, tensor] : found) {
    const auto reference = expected.find(name);
    mismatches += reference == expected.end() ? tensor.size_bytes()
                                              : differing_bytes(tensor, reference->second);
  }
  return static_cast<double>(mismatches);
}

// The bundle's own chain, as the engine executes it on raw windows, against the windows all other
// measurements start from. Nothing if windows come as the model takes them.
Result<std::optional<double>> preprocess_mismatches(const bundle::Bundle& bundle,
                                                    const Windows& windows, size_t count) {
  using Mismatches = std::optional<double>;
  using MaybeNormalization = std::optional<data::Normalization>;
  TRY_ASSIGN(const MaybeNormalization normalization, bundle_normalization(bundle));
  if (!normalization) return Mismatches();
  Shape shape = windows.raw.shape();
  shape[0] = 1;
  TRY_ASSIGN(const run::Plan plan, compile::compile_preprocessing("x", shape, *normalization));
  const auto limit = static_cast<int64_t>(count);
  TRY_ASSIGN(const Named found, plan_outputs(plan, first_windows(windows.raw, limit)));
  return Mismatches(static_cast<double>(
      differing_bytes(found.begin()->second, first_windows(windows.model, limit))));
}

// Nothing if no output of the device part has a float counterpart.
Result<std::optional<double>> device_snr(const Evidence& evidence, const Windows& windows,
                                         const run::Plan& device) {
  TRY_ASSIGN(const Named outputs, plan_outputs(device, windows.raw));
  std::optional<double> worst;
  for (const auto& [name, tensor] : outputs) {
    const auto exact = evidence.exact.find(name);
    if (exact == evidence.exact.end() || tensor.dtype() != DType::kFloat32) continue;
    const double snr = snr_db(exact->second, tensor);
    worst = std::min(worst.value_or(snr), snr);
  }
  return worst;
}

// A list that `optimize` left in its report; an empty one if there is none.
Json optimize_report(const bundle::Bundle& bundle, const char* list) {
  const auto found = bundle.members.find("reports/optimize.json");
  if (found == bundle.members.end()) return Json::array();
  const Json report = Json::parse(found->second, nullptr, false);
  if (!report.is_object() || !report.contains(list) || !report[list].is_array()) {
    return Json::array();
  }
  return report[list];
}

// What suggests that the scales were chosen on the wrong windows: every warning about them but
// that they are few. Random noise is one by itself.
struct Doubts {
  double count = 0.0;
  std::string names;

  void add(const std::string& name) {
    count += 1.0;
    names += (names.empty() ? "" : ", ") + name;
  }
};

Doubts calibration_doubts(const bundle::Bundle& bundle) {
  Doubts doubts;
  for (const Json& finding : optimize_report(bundle, "calibration")) {
    if (!finding.is_object() || finding.value("severity", Json()) != "warning") continue;
    const Json id = finding.value("id", Json());
    if (id.is_string() && id != "few-windows") doubts.add(id.get<std::string>());
  }
  const nlohmann::ordered_json& provenance = bundle.manifest.provenance;
  const auto optimize = provenance.find("optimize");
  const bool recorded = optimize != provenance.end() && optimize->is_object();
  if (recorded && optimize->value("random", Json()) == Json(true)) doubts.add("random-windows");
  return doubts;
}

std::optional<double> worst_layer_snr(const bundle::Bundle& bundle) {
  std::optional<double> worst;
  for (const Json& row : optimize_report(bundle, "noise")) {
    if (!row.is_object() || !row.contains("snr_db")) continue;
    const double exact = std::numeric_limits<double>::infinity();
    const double snr = row["snr_db"].is_number() ? row["snr_db"].get<double>() : exact;
    worst = std::min(worst.value_or(snr), snr);
  }
  return worst;
}

// Collects judgements in the order of the bars.
struct Judge {
  std::vector<validate::Bar> bars;
  std::vector<Judgement> judgements;

  void say(std::string_view id, std::optional<double> value, std::string detail = "") {
    for (const validate::Bar& bar : bars) {
      if (bar.id == id) judgements.push_back({bar, value, std::move(detail)});
    }
  }
};

// Distances of the numbers that the host rounds to the nearest threshold k + 1/2, sorted: how near
// to changing its digit an FSQ dimension lies, in steps of the digit.
std::vector<double> rounding_margins(const Evidence& evidence) {
  std::vector<double> margins;
  for (const std::string& name : rounded_outputs(evidence.halves)) {
    const auto found = evidence.exact.find(name);
    if (found == evidence.exact.end()) continue;
    for (const double value : found->second.to_doubles()) {
      margins.push_back(std::abs(std::abs(value - std::floor(value)) - 0.5));
    }
  }
  std::sort(margins.begin(), margins.end());
  return margins;
}

void judge_digits(Judge& judge, const Evidence& evidence) {
  const auto exact = evidence.exact.find(cut::kFsqDigitsOutput);
  const auto answer = evidence.answers.find(cut::kFsqDigitsOutput);
  if (exact == evidence.exact.end() || answer == evidence.answers.end()) return;
  const double kept = agreement_percent(exact->second.to_int64s(), answer->second.to_int64s());
  const std::vector<double> margins = rounding_margins(evidence);
  std::string detail = fmt::format("{} digits", exact->second.size());
  if (!margins.empty()) {
    const auto quantile = [&](double share) {
      return margins[static_cast<size_t>(share * static_cast<double>(margins.size() - 1))];
    };
    detail += fmt::format(
        "; margin to the next digit: 1% lie within {:.3f} of a step, 5% within "
        "{:.3f}, 25% within {:.3f}, half within {:.3f}",
        quantile(0.01), quantile(0.05), quantile(0.25), quantile(0.5));
  }
  judge.say("digit_flips", 100.0 - kept, std::move(detail));
}

void judge_codes(Judge& judge, const Evidence& evidence) {
  const auto exact = evidence.exact.find(cut::kFsqCodeOutput);
  const auto answer = evidence.answers.find(cut::kFsqCodeOutput);
  if (exact == evidence.exact.end() || answer == evidence.answers.end()) return;
  const std::vector<int64_t> float_codes = exact->second.to_int64s();
  const double kept = agreement_percent(float_codes, answer->second.to_int64s());
  judge.say("code_flips", 100.0 - kept, fmt::format("{} windows", float_codes.size()));
  judge_digits(judge, evidence);
}

// [N, classes], perhaps with dimensions of 1 behind them.
bool one_score_per_class(const Shape& shape) {
  return shape.size() >= 2 &&
         std::all_of(shape.begin() + 2, shape.end(), [](int64_t size) { return size == 1; });
}

Result<void> judge_classes(Judge& judge, const Evidence& evidence, const Windows& windows,
                           Validated& result) {
  const auto exact = evidence.exact.find(evidence.logits);
  const auto answer = evidence.answers.find(evidence.logits);
  if (exact == evidence.exact.end() || answer == evidence.answers.end() ||
      exact->second.dtype() != DType::kFloat32) {
    return ok();
  }
  if (!one_score_per_class(exact->second.shape())) {
    const std::string reason = fmt::format("{} is a map of shape {}, not one score per class",
                                           evidence.logits, to_string(exact->second.shape()));
    judge.say("argmax_agreement", std::nullopt, reason);
    judge.say("accuracy", std::nullopt, reason);
    return ok();
  }
  const std::vector<int64_t> float_classes = argmax_rows(exact->second);
  const std::vector<int64_t> int8_classes = argmax_rows(answer->second);
  judge.say("logits_snr", snr_db(exact->second, answer->second), evidence.logits);
  judge.say("argmax_agreement", agreement_percent(float_classes, int8_classes),
            fmt::format("{} windows", float_classes.size()));
  judge_codes(judge, evidence);
  if (!windows.labels) {
    judge.say("accuracy", std::nullopt, "no labels given (--labels)");
    return ok();
  }
  const std::vector<int64_t> labels = windows.labels->to_int64s();
  const int64_t classes = class_count(evidence.halves.host);
  if (classes > kMaxClasses) {
    judge.say("accuracy", std::nullopt,
              fmt::format("{} has {} elements, not one per class", evidence.logits, classes));
    return ok();
  }
  TRY_ASSIGN(result.float_classes, classify(float_classes, labels, classes));
  TRY_ASSIGN(result.int8_classes, classify(int8_classes, labels, classes));
  const auto& exact_result = *result.float_classes;
  const auto& int8_result = *result.int8_classes;
  judge.say("accuracy", int8_result.accuracy_percent,
            fmt::format("float {:.2f}%", exact_result.accuracy_percent));
  judge.say("accuracy_drop", exact_result.accuracy_percent - int8_result.accuracy_percent);
  judge.say("macro_f1_drop", exact_result.macro_f1_percent - int8_result.macro_f1_percent,
            fmt::format("float {:.2f}%, INT8 {:.2f}%", exact_result.macro_f1_percent,
                        int8_result.macro_f1_percent));
  return ok();
}

}  // namespace

bool Validated::passed() const {
  return std::none_of(judgements.begin(), judgements.end(), [](const Judgement& judgement) {
    return validate::outcome(judgement) == validate::Outcome::kFail;
  });
}

Result<Validated> validate(bundle::Bundle& bundle, const ir::Graph& original,
                           const Windows& windows, const ValidateOptions& options) {
  Judge judge;
  TRY_ASSIGN(judge.bars, validate::with_limits(validate::default_bars(), options.bars));
  TRY_ASSIGN(const Evidence evidence, gather(bundle, windows));
  const auto exact_count = static_cast<int64_t>(options.exact_windows);
  Validated result;
  TRY_ASSIGN(const double difference, original_difference(original, evidence, windows.model));
  judge.say("simplified_difference", difference,
            fmt::format("{} windows", windows.model.shape()[0]));
  TRY_ASSIGN(const double recombined,
             recombined_mismatches(original, evidence, first_windows(windows.model, exact_count)));
  judge.say("recombined_mismatches", recombined);
  using Mismatches = std::optional<double>;
  TRY_ASSIGN(const Mismatches preprocessed,
             preprocess_mismatches(bundle, windows, options.exact_windows));
  if (preprocessed) judge.say("preprocess_mismatches", preprocessed);
  TRY_ASSIGN(const run::Plan device, device_plan(bundle));
  TRY_ASSIGN(const double plan, plan_mismatches(evidence, windows, options.exact_windows, device));
  judge.say("plan_mismatches", plan,
            fmt::format("{} windows", std::min(exact_count, windows.model.shape()[0])));
  const Doubts doubts = calibration_doubts(bundle);
  judge.say("calibration_doubts", doubts.count, doubts.names);
  TRY_ASSIGN(const std::optional<double> snr, device_snr(evidence, windows, device));
  judge.say("device_snr", snr);
  judge.say("worst_layer_snr", worst_layer_snr(bundle));
  TRY(judge_classes(judge, evidence, windows, result));
  bundle.members["reports/validate.json"] = judgements_json(judge.judgements).dump(2) + "\n";
  TRY_ASSIGN(Profiled profiled, profile(bundle, windows.raw, judge.bars, options.profile));
  std::move(profiled.judgements.begin(), profiled.judgements.end(),
            std::back_inserter(judge.judgements));
  result.profile = std::move(profiled.whole);
  result.device_profile = std::move(profiled.device);
  result.judgements = std::move(judge.judgements);
  return result;
}

Judgement judge_read_back(const std::string& path, const bundle::Bundle& expected,
                          const validate::Bar& bar) {
  const Result<bundle::Bundle> found = bundle::read_bundle(path);
  if (!found.ok()) {
    return {bar, std::numeric_limits<double>::infinity(), found.error().message()};
  }
  double mismatches = 0.0;
  for (const auto& [name, bytes] : expected.members) {
    const auto member = found->members.find(name);
    mismatches += member == found->members.end() || member->second != bytes ? 1.0 : 0.0;
  }
  return {bar, mismatches, fmt::format("{} members", expected.members.size())};
}

}  // namespace graupel::deploy
