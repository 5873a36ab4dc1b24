// From a deployment to the data its report shows. See deploy.h. Test: deploy_test.cc.
#include <fmt/format.h>

#include "deploy/deploy.h"

namespace graupel::deploy {
namespace {

report::Status status_of(validate::Outcome outcome) {
  switch (outcome) {
    case validate::Outcome::kPass: return report::Status::kPass;
    case validate::Outcome::kFail: return report::Status::kFail;
    case validate::Outcome::kNotMeasured: return report::Status::kNotMeasured;
  }
  return report::Status::kInfo;
}

std::vector<report::FindingRow> finding_rows(const check::CheckReport& report) {
  std::vector<report::FindingRow> rows;
  for (const check::Finding& finding : report.findings) {
    rows.push_back({std::string(check::to_string(finding.severity)), finding.rule, finding.subject,
                    finding.message, finding.fix, finding.source});
  }
  return rows;
}

std::vector<report::FindingRow> calibration_rows(
    const std::vector<quantize::CalibrationFinding>& findings) {
  std::vector<report::FindingRow> rows;
  for (const quantize::CalibrationFinding& finding : findings) {
    rows.push_back({std::string(quantize::to_string(finding.severity)), finding.id,
                    "calibration windows", finding.message, finding.fix, ""});
  }
  return rows;
}

std::vector<report::NoiseRow> noise_rows(const std::vector<quantize::LayerNoise>& noise) {
  std::vector<report::NoiseRow> rows;
  for (const quantize::LayerNoise& row : noise) {
    rows.push_back({row.node, row.type, row.snr_db, row.minimum, row.maximum, row.saturated_percent,
                    row.scale, row.zero_point});
  }
  return rows;
}

void add_quantization(const quantize::Quantized& quantized, report::Report& report) {
  report.noise = noise_rows(quantized.noise);
  for (const quantize::LayerSensitivity& row : quantized.sensitivity) {
    report.sensitivity.push_back({row.node, row.type, row.output_snr_db, row.divergence_nats});
  }
  for (const quantize::LayerFinding& finding : quantized.findings) {
    report.quantization_findings.push_back(
        {"warning", "quantisation", finding.node, finding.what, finding.remedy, ""});
  }
  for (const quantize::LevelStep& step : quantized.steps) {
    report.tries.push_back({step.what, step.snr_before_db, step.snr_after_db, step.kept, step.cost,
                            step.gain_in_errors});
  }
}

std::vector<report::StepRow> step_rows(const run::Profile& profile) {
  std::vector<report::StepRow> rows;
  for (const run::StepProfile& step : profile.steps) {
    rows.push_back({step.node, std::string(run::to_string(step.part)), step.kind, step.time_us,
                    step.macs, step.bytes});
  }
  return rows;
}

report::Latency latency(const Validated& validated) {
  const run::Profile& whole = validated.profile;
  const run::Profile& device = validated.device_profile;
  report::Latency row;
  row.core_us_p50 = device.latency_us_p50;
  row.core_us_p95 = device.latency_us_p95;
  row.core_us_p99 = device.latency_us_p99;
  row.end_to_end_us_p50 = whole.latency_us_p50;
  row.end_to_end_us_p95 = whole.latency_us_p95;
  row.end_to_end_us_p99 = whole.latency_us_p99;
  row.windows_per_second = whole.windows_per_s;
  row.isa = whole.isa;
  row.machine = "this machine's CPU, one thread";
  return row;
}

std::vector<report::SizeRow> size_rows(const Deployed& deployed) {
  std::vector<report::SizeRow> rows;
  for (const auto& [name, bytes] : deployed.bundle.members) {
    rows.push_back({name, static_cast<int64_t>(bytes.size()), "bundle member"});
  }
  const run::Profile& profile = deployed.validated.profile;
  rows.push_back({"arena", static_cast<int64_t>(profile.arena_bytes),
                  fmt::format("activations while running; lower bound {} B",
                              profile.arena_lower_bound_bytes)});
  rows.push_back({"packed weights", static_cast<int64_t>(profile.packed_bytes), "while running"});
  return rows;
}

// Passes that edited, each once, in the order they first did.
std::vector<report::PassRow> pass_rows(const simplify::Simplified& simplified) {
  std::vector<report::PassRow> rows;
  for (const simplify::PassTrace& trace : simplified.trace) {
    if (trace.edits == 0) continue;
    report::PassRow* found = nullptr;
    for (report::PassRow& row : rows) found = row.pass == trace.pass ? &row : found;
    if (found == nullptr) found = &rows.emplace_back(report::PassRow{trace.pass, 0, 0.0});
    found->edits += trace.edits;
    found->time_ms += trace.duration_us / 1e3;
  }
  return rows;
}

std::optional<report::Confusion> confusion(const Deployed& deployed) {
  const std::optional<Classification>& classes = deployed.validated.int8_classes;
  if (!classes) return std::nullopt;
  return report::Confusion{"INT8 on the validation windows", deployed.parsed.class_names,
                           classes->confusion, classes->accuracy_percent / 100.0,
                           classes->macro_f1_percent / 100.0};
}

std::vector<std::string> not_checked(const Deployed& deployed, const DeployOptions& options) {
  std::vector<std::string> lines = {
      "No Hailo device, driver or vendor compiler took part: every figure here comes from "
      "graupel's own INT8 arithmetic on this machine's CPU. The NPU's arithmetic is not public and "
      "may round differently.",
      "The device rules are collected from public sources; the vendor's compiler has the last "
      "word."};
  if (options.validation.windows.empty()) {
    lines.push_back(
        "The verdict was measured on the calibration windows; windows of unseen people "
        "(--validate) tell more.");
  }
  if (!deployed.validated.int8_classes) {
    lines.push_back("Accuracy was not measured: no labels were given.");
  }
  if (deployed.calibration.random) {
    lines.push_back("The scales were chosen on RANDOM NOISE, not on recordings. Do not deploy.");
  }
  return lines;
}

std::string summary(const Deployed& deployed) {
  size_t failed = 0, judged = 0;
  for (const validate::Judgement& judgement : deployed.validated.judgements) {
    judged += judgement.value ? 1 : 0;
    failed += validate::outcome(judgement) == validate::Outcome::kFail ? 1 : 0;
  }
  return failed == 0 ? fmt::format("All {} measured bars are met.", judged)
                     : fmt::format("{} of {} measured bars are missed.", failed, judged);
}

}  // namespace

std::vector<report::Bar> report_bars(const std::vector<validate::Judgement>& judgements) {
  std::vector<report::Bar> bars;
  for (const validate::Judgement& judgement : judgements) {
    bars.push_back({judgement.bar.id, judgement.bar.title,
                    judgement.value ? validate::value_text(judgement) : "",
                    validate::limit_text(judgement.bar), status_of(validate::outcome(judgement)),
                    judgement.detail});
  }
  return bars;
}

report::Report make_report(const Deployed& deployed, const DeployOptions& options) {
  const Parsed& parsed = deployed.parsed;
  report::Report report;
  report.title = "graupel deployment report";
  report.model = parsed.original.name;
  report.target = parsed.target.title;
  report.summary_sentence = summary(deployed);
  report.facts = {{"model file", parsed.file},
                  {"model SHA-256", parsed.file_sha256},
                  {"graupel", std::string(kVersion)},
                  {"scheme", std::string(quantize::to_string(options.quantize.scheme))},
                  {"level", std::to_string(options.quantize.level)},
                  {"calibrator", std::string(quantize::to_string(options.quantize.calibrator))},
                  {"calibration windows", std::to_string(deployed.calibration.raw.shape()[0])},
                  {"simplifier probed", parsed.simplified.verification}};
  if (parsed.cut.fsq) {
    report.facts.emplace_back("FSQ", fmt::format("{}, levels [{}]", parsed.cut.fsq->variant,
                                                 fmt::join(parsed.cut.fsq->levels, ", ")));
  }
  report.bars = report_bars(deployed.validated.judgements);
  report.cut_svg = cut::draw_svg(parsed.simplified.graph, parsed.cut);
  for (const cut::Crossing& crossing : parsed.cut.crossings) {
    report.cut_lines.push_back(fmt::format("cut behind {}: {} ({}, {} B as INT8)",
                                           crossing.end_node, crossing.value,
                                           to_string(crossing.shape), crossing.size_bytes));
  }
  report.cut_lines.insert(report.cut_lines.end(), parsed.cut.notes.begin(), parsed.cut.notes.end());
  report.findings = finding_rows(parsed.findings);
  report.calibration_findings = calibration_rows(deployed.optimized.calibration);
  add_quantization(deployed.optimized.quantized, report);
  report.latency = latency(deployed.validated);
  report.steps = step_rows(deployed.validated.profile);
  report.sizes = size_rows(deployed);
  report.passes = pass_rows(parsed.simplified);
  report.confusion = confusion(deployed);
  report.not_checked = not_checked(deployed, options);
  return report;
}

}  // namespace graupel::deploy
