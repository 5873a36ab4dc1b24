// Results as tables of plain text. See tables.h. Test: deploy_test.cc.
#include "deploy/tables.h"

#include <fmt/format.h>

namespace graupel::deploy {
namespace {

std::string answers_text(const quantize::Quantized& quantized) {
  std::string text =
      fmt::format("calibration windows: {:.1f} dB at the outputs", quantized.output_snr_db);
  const auto add = [&](const std::optional<double>& value, std::string_view format) {
    if (value) text += fmt::format(fmt::runtime(format), *value);
  };
  add(quantized.logits_snr_db, ", {:.1f} dB at the logits");
  add(quantized.agreement_percent, ", {:.2f}% of the answers stay the same");
  add(quantized.digits_changed_percent, ", {:.2f}% of the digits change");
  add(quantized.macro_f1_drop_points, ", macro F1 drops by {:.2f} points");
  return text + "\n\n";
}

}  // namespace

std::string pass_table() {
  std::string text;
  for (const simplify::Pass& pass : simplify::pass_list()) {
    text += fmt::format("{:<26} {}\n", pass.name, pass.description);
  }
  return text;
}

std::string trace_table(const simplify::Simplified& simplified) {
  std::string text = fmt::format("{:<5}  {:<26}  {:>6}  {:>11}  {:>9}\n", "round", "pass", "edits",
                                 "nodes", "time");
  for (const simplify::PassTrace& trace : simplified.trace) {
    if (trace.edits == 0) continue;
    text +=
        fmt::format("{:<5}  {:<26}  {:>6}  {:>4} -> {:>3}  {:>6.2f} ms\n", trace.round, trace.pass,
                    trace.edits, trace.nodes_before, trace.nodes_after, trace.duration_us / 1e3);
  }
  return text;
}

std::string noise_table(const quantize::Quantized& quantized) {
  std::string text = fmt::format("{:>8}  {:>9}  {:>10}  {:>10}  {}\n", "SNR dB", "saturated",
                                 "minimum", "maximum", "layer (worst first)");
  for (const quantize::LayerNoise& row : quantized.noise) {
    text += fmt::format("{:>8.1f}  {:>8.3f}%  {:>10.4g}  {:>10.4g}  {} {}\n", row.snr_db,
                        row.saturated_percent, row.minimum, row.maximum, row.node, row.type);
  }
  return text;
}

std::string optimisation_tables(const quantize::Quantized& quantized) {
  std::string text = answers_text(quantized);
  if (!quantized.steps.empty()) {
    text += fmt::format("{:>8}       {:>6}     {:>6}  {:<6}  {}\n", "before", "after", "t", "",
                        "step, on windows held out");
  }
  for (const quantize::LevelStep& step : quantized.steps) {
    text += fmt::format("{:>8.2f} dB -> {:>6.2f} dB  {:>6.1f}  {:<6}  {}{}{}\n", step.snr_before_db,
                        step.snr_after_db, step.gain_in_errors, step.kept ? "kept" : "undone",
                        step.what, step.cost.empty() ? "" : "; costs ", step.cost);
  }
  if (!quantized.sensitivity.empty()) {
    text += fmt::format("\n{:>12}  {:>10}  {}\n", "KL, nats", "output dB",
                        "layer alone (most sensitive first)");
  }
  for (const quantize::LayerSensitivity& row : quantized.sensitivity) {
    text += fmt::format("{:>12.3g}  {:>10.1f}  {} {}\n", row.divergence_nats, row.output_snr_db,
                        row.node, row.type);
  }
  text += fmt::format("\n{:>4}  {:>8}  {:>11}  {:>9}  {}\n", "bits", "weights", "largest sum",
                      "ties", "layer");
  for (const quantize::LayerWeights& row : quantized.layers) {
    text += fmt::format("{:>4}  {:>8}  {:>11}  {:>9}  {}\n", row.bits, row.weights, row.largest_sum,
                        row.ties, row.node);
  }
  for (const quantize::LayerFinding& row : quantized.findings) {
    text += fmt::format("finding: {} {}; {}\n", row.node, row.what, row.remedy);
  }
  return text;
}

std::string way_text(const run::Profile& profile) {
  std::string text =
      profile.threads == 1 ? "one thread" : fmt::format("{} threads", profile.threads);
  if (profile.batch > 1) text += fmt::format(", {} windows at a time", profile.batch);
  return text;
}

std::string profile_table(const run::Profile& profile) {
  std::string text = fmt::format("{:>9}  {:>6}  {:>10}  {:>9}  {:<6}  {}\n", "time", "share",
                                 "MACs", "bytes", "part", "step");
  for (const run::StepProfile& step : profile.steps) {
    text += fmt::format("{:>6.2f} us  {:>5.1f}%  {:>10}  {:>9}  {:<6}  {} {}\n", step.time_us,
                        100.0 * step.share, step.macs, step.bytes, run::to_string(step.part),
                        step.kind, step.node);
  }
  return text + fmt::format(
                    "p50 {:.1f} us, p95 {:.1f} us, p99 {:.1f} us; {:.0f} windows/s on {} "
                    "({})\n{:.2f} M multiply-adds, arena {} B, packed weights {} B, "
                    "cpu.plan {} B\n",
                    profile.latency_us_p50, profile.latency_us_p95, profile.latency_us_p99,
                    profile.windows_per_s, way_text(profile), profile.isa,
                    static_cast<double>(profile.macs) / 1e6, profile.arena_bytes,
                    profile.packed_bytes, profile.plan_bytes);
}

}  // namespace graupel::deploy
