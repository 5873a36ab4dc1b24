// A compiled HEF judged and put into its bundle. See hailo.h. Test: tests/hailo.
//
// Idea: what the vendor's compiler gives back is believed as little as any other file. It has to
// be whole, for the device asked for, and have the device part's streams; else it stays out, for a
// runtime would feed it the wrong bytes. Whatever else speaks against it is said, and it goes in.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "deploy/device_members.h"
#include "deploy/hailo.h"
#include "deploy/inspect_hef.h"
#include "deploy/json.h"
#include "hef/hef.h"

namespace graupel::deploy {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kUnfit[] = {"input_mismatch", "output_mismatch",   "input_shape",
                                       "output_shape",   "input_order",       "output_order",
                                       "no_streams",     "unknown_extension", "nms_output"};

hailo::Finding as_finding(const hef::Finding& finding) {
  const hailo::Severity severity = finding.severity == "error"     ? hailo::Severity::kError
                                   : finding.severity == "warning" ? hailo::Severity::kWarning
                                                                   : hailo::Severity::kInfo;
  return {severity, finding.id, finding.where, finding.message, finding.fix};
}

Result<void> check_device(const hef::Hef& hef, const std::string& target) {
  const std::vector<std::string> devices = hef::devices_for(hef.arch);
  // A Hailo-8 loads a file for 8L too, slower; asked for is one compiled for it.
  const std::string device = devices.empty() ? "no device" : devices.front();
  const bool loads = std::find(devices.begin(), devices.end(), target) != devices.end();
  if (loads && (target != "hailo8" || hef::arch_name(hef.arch) != "HAILO8L")) return ok();
  return invalid_input(
      "", fmt::format("is a HEF for {}, but {} was asked for; compile it again "
                      "with --hw-arch {}",
                      hef::arch_name(hef.arch) == "HAILO8L" ? "hailo8l" : device, target, target));
}

Result<void> check_streams(const std::vector<hef::Finding>& findings) {
  for (const hef::Finding& finding : findings) {
    if (std::find(std::begin(kUnfit), std::end(kUnfit), finding.id) == std::end(kUnfit)) continue;
    return invalid_input(
        clean_utf8(finding.where),
        fmt::format("is not the bundle's device part compiled ({}): {}; {}", finding.id,
                    clean_utf8(finding.message), clean_utf8(finding.fix)));
  }
  return ok();
}

std::vector<validate::Judgement> judge_bars(const hef::Hef& hef,
                                            const std::vector<hef::Finding>& findings,
                                            const std::vector<validate::Bar>& bars) {
  const hef::Group& group = hef.groups.front();
  const bool single = group.contexts == 1;
  const auto errors = std::count_if(findings.begin(), findings.end(), [](const auto& finding) {
    return finding.severity == "error";
  });
  std::vector<validate::Judgement> judgements;
  for (const validate::Bar& bar : bars) {
    validate::Judgement judgement{bar, std::nullopt, ""};
    if (bar.id == "hef_size") judgement.value = static_cast<double>(hef.file_bytes) / 1e6;
    if (bar.id == "hef_errors") judgement.value = static_cast<double>(errors);
    if (bar.id == "hef_fps") {
      if (single && group.bottleneck_fps > 0.0) judgement.value = group.bottleneck_fps;
      judgement.detail = single ? "simulated by the compiler" : "not in a HEF of several contexts";
    }
    if (bar.id == "hef_latency") {
      if (group.latency_s > 0.0) judgement.value = group.latency_s * 1e3;
      judgement.detail = "simulated by the compiler";
    }
    judgements.push_back(std::move(judgement));
  }
  return judgements;
}

}  // namespace

std::vector<validate::Bar> hef_bars() {
  using enum validate::Comparison;
  return {{"hef_errors", "errors found in the HEF", "", kAtMost, 0},
          {"hef_size", "size of the HEF", "MB", kBelow, 10},
          {"hef_fps", "rate of the device, one context", "windows/s", kAbove, 10},
          {"hef_latency", "latency of the device", "ms", kBelow, 15}};
}

Result<Adopted> adopt_hef(bundle::Bundle& bundle, const std::string& bytes,
                          const AdoptOptions& options) {
  TRY_ASSIGN(const hef::Hef hef, hef::read_hef(bytes));
  std::string target = options.target;
  const Json& provenance = bundle.manifest.provenance;
  if (target.empty() && provenance.contains("target") && provenance["target"].is_string()) {
    target = provenance["target"].get<std::string>();
  }
  TRY(check_device(hef, target));
  TRY_ASSIGN(const hef::Promise promise, promise_of(bundle, "the bundle"));
  std::vector<hef::Finding> findings = hef::judge_hef(hef);
  const std::vector<hef::Finding> compared = hef::compare_with(hef, promise);
  findings.insert(findings.end(), compared.begin(), compared.end());
  TRY(check_streams(findings));
  Adopted adopted;
  adopted.judgements = judge_bars(hef, findings, options.bars);
  for (const hef::Finding& finding : findings) adopted.findings.push_back(as_finding(finding));
  bundle.members["model.hef"] = bytes;
  if (const Result<void> joined = write_device_members(bundle); !joined.ok()) {
    adopted.findings.push_back({hailo::Severity::kWarning, "hef_not_run", "model.hef",
                                "run and serve answer on the CPU: " + joined.error().message(),
                                ""});
  }
  Json report = describe_hef(hef);
  report["findings"] = hailo_findings_json(adopted.findings);
  report["bars"] = judgements_json(adopted.judgements);
  bundle.members["reports/hef.json"] = report.dump(1, ' ', false, Json::error_handler_t::replace);
  bundle.manifest.provenance["hef"] = {
      {"made_by", options.made_by},
      {"target", target},
      {"compiler", clean_utf8(hef.compiler_version)},
      {"log_compiler", clean_utf8(options.compiler)},
      {"built", hef::utc_text(hef.timestamp_ms)},
      {"sha256", bundle::sha256_hex(bytes)},
      {"device_onnx_sha256", bundle::sha256_hex(bundle.members["device.onnx"])}};
  return adopted;
}

}  // namespace graupel::deploy
