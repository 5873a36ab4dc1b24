// JSON forms. See json.h. Test: deploy_test.cc.
#include "deploy/json.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace graupel::deploy {
namespace {

// JSON has no infinity: an exact match is written as null with "exact": true beside it.
Json finite_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

}  // namespace

Json simplify_json(const simplify::Simplified& simplified) {
  Json json;
  json["rounds"] = simplified.rounds;
  json["edits"] = simplified.edits;
  json["verification"] = simplified.verification;
  if (simplified.max_abs_difference) {
    json["max_abs_difference"] = finite_or_null(*simplified.max_abs_difference);
  }
  Json& passes = json["passes"] = Json::array();
  for (const simplify::PassTrace& trace : simplified.trace) {
    if (trace.edits == 0 && trace.notes.empty()) continue;
    passes.push_back({{"pass", trace.pass},
                      {"round", trace.round},
                      {"edits", trace.edits},
                      {"nodes_before", trace.nodes_before},
                      {"nodes_after", trace.nodes_after},
                      {"notes", trace.notes}});
  }
  return json;
}

Json cut_json(const cut::Cut& cut) {
  Json json;
  Json& crossings = json["crossings"] = Json::array();
  for (const cut::Crossing& crossing : cut.crossings) {
    crossings.push_back({{"end_node", crossing.end_node},
                         {"tensor", crossing.value},
                         {"shape", crossing.shape},
                         {"size_bytes", crossing.size_bytes}});
  }
  json["notes"] = cut.notes;
  if (cut.fsq) {
    json["fsq"] = {{"variant", cut.fsq->variant},          {"levels", cut.fsq->levels},
                   {"unbounded", cut.fsq->unbounded},      {"bounded", cut.fsq->bounded},
                   {"rounded", cut.fsq->rounded},          {"axis", cut.fsq->axis},
                   {"shift_folded", cut.fsq->shift_folded}};
  }
  return json;
}

Json findings_json(const check::CheckReport& report) {
  Json json = Json::array();
  for (const check::Finding& finding : report.findings) {
    json.push_back({{"rule", finding.rule},
                    {"severity", check::to_string(finding.severity)},
                    {"subject", finding.subject},
                    {"op", finding.op},
                    {"message", finding.message},
                    {"fix", finding.fix},
                    {"source", finding.source},
                    {"confidence", check::to_string(finding.confidence)}});
  }
  return json;
}

Json parse_json(const Parsed& parsed) {
  Json json;
  json["target"] = parsed.target.name;
  json["simplify"] = simplify_json(parsed.simplified);
  json["cut"] = cut_json(parsed.cut);
  json["findings"] = findings_json(parsed.findings);
  return json;
}

Json calibration_json(const std::vector<quantize::CalibrationFinding>& findings) {
  Json json = Json::array();
  for (const quantize::CalibrationFinding& finding : findings) {
    json.push_back({{"id", finding.id},
                    {"severity", quantize::to_string(finding.severity)},
                    {"message", finding.message},
                    {"fix", finding.fix}});
  }
  return json;
}

namespace {

void add_optimisation(const quantize::Quantized& quantized, Json& json) {
  json["output_snr_db"] = finite_or_null(quantized.output_snr_db);
  const auto or_null = [](const std::optional<double>& value) {
    return value ? finite_or_null(*value) : Json(nullptr);
  };
  json["logits_snr_db"] = or_null(quantized.logits_snr_db);
  json["agreement_percent"] = or_null(quantized.agreement_percent);
  json["digits_changed_percent"] = or_null(quantized.digits_changed_percent);
  json["macro_f1_drop_points"] = or_null(quantized.macro_f1_drop_points);
  Json& sensitivity = json["sensitivity"] = Json::array();
  for (const quantize::LayerSensitivity& row : quantized.sensitivity) {
    sensitivity.push_back({{"node", row.node},
                           {"op", row.type},
                           {"output_snr_db", finite_or_null(row.output_snr_db)},
                           {"divergence_nats", row.divergence_nats}});
  }
  Json& layers = json["layers"] = Json::array();
  for (const quantize::LayerWeights& row : quantized.layers) {
    layers.push_back({{"node", row.node},
                      {"op", row.type},
                      {"bits", row.bits},
                      {"weights", row.weights},
                      {"largest_sum", row.largest_sum},
                      {"sums_looked_at", row.sums},
                      {"ties", row.ties}});
  }
  Json& findings = json["findings"] = Json::array();
  for (const quantize::LayerFinding& row : quantized.findings) {
    findings.push_back({{"node", row.node}, {"what", row.what}, {"remedy", row.remedy}});
  }
  Json& steps = json["steps"] = Json::array();
  for (const quantize::LevelStep& row : quantized.steps) {
    steps.push_back({{"what", row.what},
                     {"snr_before_db", finite_or_null(row.snr_before_db)},
                     {"snr_after_db", finite_or_null(row.snr_after_db)},
                     {"kept", row.kept},
                     {"gain_in_standard_errors", finite_or_null(row.gain_in_errors)},
                     {"cost", row.cost}});
  }
}

}  // namespace

Json quantized_json(const quantize::Quantized& quantized) {
  Json json;
  Json& points = json["points"] = Json::array();
  for (const quantize::Point& point : quantized.points) {
    points.push_back({{"tensor", point.value},
                      {"dtype", graupel::to_string(point.dtype)},
                      {"scale", point.scale},
                      {"zero_point", point.zero_point},
                      {"minimum", point.minimum},
                      {"maximum", point.maximum}});
  }
  Json& noise = json["noise"] = Json::array();
  for (const quantize::LayerNoise& row : quantized.noise) {
    noise.push_back({{"node", row.node},
                     {"op", row.type},
                     {"tensor", row.value},
                     {"snr_db", finite_or_null(row.snr_db)},
                     {"exact", std::isinf(row.snr_db)},
                     {"minimum", row.minimum},
                     {"maximum", row.maximum},
                     {"saturated_percent", row.saturated_percent}});
  }
  add_optimisation(quantized, json);
  return json;
}

Json profile_json(const run::Profile& profile) {
  Json steps = Json::array();
  for (const run::StepProfile& step : profile.steps) {
    steps.push_back({{"node", step.node},
                     {"kind", step.kind},
                     {"part", run::to_string(step.part)},
                     {"macs", step.macs},
                     {"bytes", step.bytes},
                     {"time_us", step.time_us}});
  }
  return {{"isa", profile.isa},
          {"runs", profile.runs},
          {"batch", profile.batch},
          {"threads", profile.threads},
          {"latency_us_p50", profile.latency_us_p50},
          {"latency_us_p95", profile.latency_us_p95},
          {"latency_us_p99", profile.latency_us_p99},
          {"windows_per_s", profile.windows_per_s},
          {"macs", profile.macs},
          {"device_us", profile.device_us},
          {"host_us", profile.host_us},
          {"arena_bytes", profile.arena_bytes},
          {"packed_bytes", profile.packed_bytes},
          {"plan_bytes", profile.plan_bytes},
          {"peak_rss_bytes", profile.peak_rss_bytes},
          {"steps", std::move(steps)}};
}

Json judgements_json(const std::vector<validate::Judgement>& judgements) {
  Json json = Json::array();
  for (const validate::Judgement& judgement : judgements) {
    json.push_back({{"id", judgement.bar.id},
                    {"title", judgement.bar.title},
                    {"unit", judgement.bar.unit},
                    {"value", judgement.value ? finite_or_null(*judgement.value) : Json(nullptr)},
                    {"limit", judgement.bar.limit},
                    {"condition", validate::limit_text(judgement.bar)},
                    {"outcome", validate::to_string(validate::outcome(judgement))},
                    {"detail", judgement.detail}});
  }
  return json;
}

}  // namespace graupel::deploy
