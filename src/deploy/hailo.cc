// Bundles and the vendor's compiler. See hailo.h. Test: tests/hailo, tests/standin.
#include "deploy/hailo.h"

#include <fmt/format.h>
#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/text.h"
#include "data/npy.h"
#include "deploy/stages.h"
#include "hailo/script_check.h"

namespace graupel::deploy {
namespace {

using Json = nlohmann::ordered_json;

// The nodes that make the outputs of the device part, each once.
std::vector<std::string> end_nodes(const ir::Graph& device) {
  std::vector<std::string> names;
  for (const ir::ValueId output : device.outputs) {
    for (const ir::Node& node : device.nodes) {
      const bool makes = !node.dead && std::count(node.outputs.begin(), node.outputs.end(), output);
      if (makes && std::count(names.begin(), names.end(), node.name) == 0) {
        names.push_back(node.name);
      }
    }
  }
  return names;
}

// A generous bound for the kinds whose count no rewrite of the compiler can raise.
std::map<std::string, int64_t> most_layers(const ir::Graph& device) {
  std::map<std::string, int64_t> count;
  int64_t nodes = 0;
  for (const ir::Node& node : device.nodes) {
    if (node.dead) continue;
    ++nodes;
    ++count[std::string(ir::op_type(node.op))];
  }
  return {{"conv", nodes},
          {"fc", nodes},
          {"dw", nodes},
          {"deconv", count["ConvTranspose"]},
          {"maxpool", count["MaxPool"]},
          {"concat", count["Concat"]},
          {"input_layer", static_cast<int64_t>(device.inputs.size())},
          {"output_layer", static_cast<int64_t>(device.outputs.size())}};
}

// What arrives at the device for these raw windows.
Result<Tensor> device_windows(const bundle::Bundle& bundle, const Halves& halves,
                              const std::string& path) {
  TRY_ASSIGN(Windows windows, load_calibration({path, "", ""}, bundle));
  if (halves.before.outputs.empty()) return std::move(windows.model);
  Halves front;
  front.before = halves.before;
  TRY_ASSIGN(auto made, evaluate_halves(front, windows.model));
  return std::move(made[halves.device.value(halves.device.inputs[0]).name]);
}

Result<hailo::Script> merged_script(const HailoOptions& options, int64_t windows,
                                    std::vector<hailo::Finding>& findings) {
  hailo::ScriptOptions ours_options = options.script;
  ours_options.calibration_windows = windows;
  TRY_ASSIGN(const hailo::Script ours, hailo::make_script(ours_options));
  if (options.user_script.empty()) return ours;
  TRY_ASSIGN(const std::string text, read_file(options.user_script, hailo::kScriptLimitBytes));
  Result<hailo::Script> theirs = hailo::parse_script(text);
  if (!theirs.ok()) return std::move(theirs).error().within(options.user_script);
  hailo::Merged merged = hailo::merge(ours, *theirs);
  findings.insert(findings.end(), merged.dropped.begin(), merged.dropped.end());
  return std::move(merged.script);
}

}  // namespace

Result<HailoJob> hailo_job(const bundle::Bundle& bundle, const HailoOptions& options) {
  HailoJob result;
  for (const auto& [stage, words] : options.extra) TRY(hailo::check_extra(stage, words));
  TRY_ASSIGN(const std::string_view model, bundle::member(bundle, "device.onnx"));
  TRY_ASSIGN(const Halves halves, float_halves(bundle));
  hailo::Job& job = result.job;
  job.name = hailo::network_name(bundle.manifest.model_name);
  job.target = options.target;
  job.end_nodes = end_nodes(halves.device);
  job.extra = options.extra;
  job.random_calibration = options.random_calibration;
  job.inputs[hailo::kModelFile] = std::string(model);
  int64_t count = 0;
  if (options.random_calibration) {
    result.findings.push_back({hailo::Severity::kWarning, "random-calibration", "",
                               "random calibration was asked for: every scale is a guess",
                               "give real windows with --calib before anything is deployed"});
  } else if (options.windows.empty() || options.windows == "random") {
    return invalid_input("--calib",
                         "needs the windows optimize was given: the vendor's compiler "
                         "calibrates for itself; --random-calib lets it invent them");
  } else {
    TRY_ASSIGN(const Tensor windows, device_windows(bundle, halves, options.windows));
    TRY_ASSIGN(const Tensor array, hailo::channels_last(windows));
    count = array.shape()[0];
    job.inputs[hailo::kCalibrationFile] = data::format_npy(array);
  }
  TRY_ASSIGN(const hailo::Script script, merged_script(options, count, result.findings));
  hailo::ScriptContext context;
  context.most_layers = most_layers(halves.device);
  if (!options.random_calibration) context.calibration_windows = count;
  context.normalized_on_host = bundle.members.contains("normalization");
  const std::vector<hailo::Finding> judged = hailo::check_script(script, context);
  result.findings.insert(result.findings.end(), judged.begin(), judged.end());
  for (const hailo::Finding& finding : judged) {
    if (finding.severity != hailo::Severity::kError) continue;
    return invalid_input(options.user_script + " " + finding.where,
                         finding.message + "; " + finding.fix);
  }
  job.inputs[hailo::kScriptFile] = hailo::format_script(script);
  return result;
}

nlohmann::ordered_json hailo_findings_json(const std::vector<hailo::Finding>& findings) {
  Json rows = Json::array();
  for (const hailo::Finding& finding : findings) {
    rows.push_back({{"severity", hailo::to_string(finding.severity)},
                    {"id", finding.id},
                    {"where", clean_utf8(finding.where)},
                    {"message", clean_utf8(finding.message)},
                    {"fix", clean_utf8(finding.fix)}});
  }
  return rows;
}

nlohmann::ordered_json driven_json(const hailo::Driven& driven) {
  const hailo::Log& log = driven.log;
  Json json = {{"compiler", clean_utf8(log.compiler_version)},
               {"hef_bytes", driven.hef.size()},
               {"findings", hailo_findings_json(log.findings)}};
  if (log.contexts) json["contexts"] = *log.contexts;
  for (const hailo::StageRun& run : driven.stages) {
    json["stages"].push_back({{"stage", hailo::to_string(run.stage)}, {"kept", run.kept}});
  }
  for (const auto& [layer, snr] : log.snr_db) json["snr_db"][clean_utf8(layer)] = snr;
  for (const hailo::Utilization& row : log.utilization) {
    json["utilization"].push_back({{"cluster", clean_utf8(row.cluster)},
                                   {"control_percent", row.control_percent},
                                   {"compute_percent", row.compute_percent},
                                   {"memory_percent", row.memory_percent}});
  }
  return json;
}

std::string driven_text(const hailo::Driven& driven) {
  const hailo::Log& log = driven.log;
  std::string text;
  for (const hailo::StageRun& run : driven.stages) {
    text += fmt::format("{:<10}{}\n", hailo::to_string(run.stage),
                        run.kept ? "kept, nothing changed" : "run");
  }
  if (!log.compiler_version.empty()) {
    text += fmt::format("compiler  {}\n", clean_utf8(log.compiler_version));
  }
  if (log.contexts) text += fmt::format("contexts  {}\n", *log.contexts);
  for (const auto& [layer, snr] : log.snr_db) {
    text += fmt::format("SNR       {} {:.4g} dB\n", clean_utf8(layer), snr);
  }
  for (const hailo::Utilization& row : log.utilization) {
    text += fmt::format("{:<10}control {:.4g}%, compute {:.4g}%, memory {:.4g}%\n",
                        clean_utf8(row.cluster), row.control_percent, row.compute_percent,
                        row.memory_percent);
  }
  for (const std::string& time : log.times) text += fmt::format("{}\n", clean_utf8(time));
  return text;
}

}  // namespace graupel::deploy
