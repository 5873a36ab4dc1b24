// Stages 5 and 6: INT8 and the CPU plan. See stages.h. Test: deploy_test.cc.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "compile/compile.h"
#include "decide/block.h"
#include "deploy/device_members.h"
#include "deploy/encodings.h"
#include "deploy/json.h"
#include "deploy/stages.h"
#include "onnx/onnx.h"
#include "run/load.h"

namespace graupel::deploy {

std::vector<std::string> rounded_outputs(const Halves& halves) {
  std::vector<std::string> names;
  for (const ir::NodeId id : ir::live_nodes(halves.host)) {
    const ir::Node& node = halves.host.node(id);
    const ir::Unary* unary = std::get_if<ir::Unary>(&node.op);
    if (unary == nullptr || unary->kind != ir::UnaryKind::kRound) continue;
    const std::vector<ir::ValueId>& inputs = halves.host.inputs;
    if (std::find(inputs.begin(), inputs.end(), node.inputs[0]) != inputs.end()) {
      names.push_back(halves.host.value(node.inputs[0]).name);
    }
  }
  return names;
}

namespace {

// Scales of a file that was quantised already, and what becomes of them.
Result<std::optional<quantize::LevelStep>> take_scales(const bundle::Bundle& bundle,
                                                       const ir::Graph& device,
                                                       quantize::QuantizeOptions& options) {
  using MaybeStep = std::optional<quantize::LevelStep>;
  const auto found = bundle.members.find(std::string(kScalesMember));
  if (found == bundle.members.end() || !options.given.empty()) return MaybeStep();
  Result<quantize::Encodings> scales = parse_encodings(found->second);
  if (!scales.ok()) return std::move(scales).error().within(kScalesMember);
  options.given = std::move(scales).value();
  TRY_ASSIGN(const quantize::GivenUse use, quantize::judge_given(device, options.given));
  quantize::LevelStep step;
  step.kept = true;
  step.what =
      fmt::format("scales of the file for {} tensors and {} layers", use.tensors, use.layers);
  if (!use.missing.empty()) {
    step.what += fmt::format("; from the windows: {}", fmt::join(use.missing, ", "));
  }
  if (!use.unused.empty()) {
    step.what += fmt::format("; not rounded here: {}", fmt::join(use.unused, ", "));
  }
  return MaybeStep(std::move(step));
}

Result<void> refuse_unfit(const std::vector<quantize::CalibrationFinding>& findings) {
  for (const quantize::CalibrationFinding& finding : findings) {
    if (finding.severity != quantize::Severity::kError) continue;
    return invalid_input("calibration windows",
                         fmt::format("{} ({}); {}", finding.message, finding.id, finding.fix));
  }
  return ok();
}

}  // namespace

Result<ir::Graph> member_graph(const bundle::Bundle& bundle, std::string_view name) {
  TRY_ASSIGN(const std::string_view bytes, bundle::member(bundle, name));
  Result<ir::Graph> graph = onnx::parse_model(bytes);
  if (!graph.ok()) return std::move(graph).error().within(name);
  return graph;
}

Result<Halves> float_halves(const bundle::Bundle& bundle) {
  Halves halves;
  if (bundle.members.contains("before.onnx")) {
    TRY_ASSIGN(halves.before, member_graph(bundle, "before.onnx"));
  }
  TRY_ASSIGN(halves.device, member_graph(bundle, "device.onnx"));
  TRY_ASSIGN(halves.host, member_graph(bundle, "host.onnx"));
  return halves;
}

Result<std::optional<data::Normalization>> bundle_normalization(const bundle::Bundle& bundle) {
  using MaybeNormalization = std::optional<data::Normalization>;
  const auto found = bundle.members.find(std::string(run::kNormalizationMember));
  if (found == bundle.members.end()) return MaybeNormalization();
  TRY_ASSIGN(data::Normalization normalization, data::parse_normalization(found->second));
  return MaybeNormalization(std::move(normalization));
}

Result<Windows> load_calibration(const WindowOptions& options, const bundle::Bundle& bundle) {
  TRY_ASSIGN(const Halves halves, float_halves(bundle));
  TRY_ASSIGN(const auto own, bundle_normalization(bundle));
  return load_windows(options, first_part(halves), own, &last_part(halves));
}

Result<Optimized> optimize(bundle::Bundle& bundle, const Windows& windows,
                           const quantize::QuantizeOptions& options, const ir::Graph* original) {
  TRY_ASSIGN(const Halves halves, float_halves(bundle));
  const Tensor* device_windows = &windows.model;
  std::map<std::string, Tensor> made_before;
  if (!halves.before.outputs.empty()) {
    Halves front;
    front.before = halves.before;
    TRY_ASSIGN(made_before, evaluate_halves(front, windows.model));
    device_windows = &made_before[halves.device.value(halves.device.inputs[0]).name];
  }
  Optimized result;
  TRY_ASSIGN(result.calibration,
             quantize::check_calibration(original != nullptr ? *original : halves.device,
                                         original != nullptr ? windows.model : *device_windows));
  if (windows.labels) {
    const std::vector<quantize::CalibrationFinding> classes =
        quantize::check_classes(*windows.labels);
    result.calibration.insert(result.calibration.end(), classes.begin(), classes.end());
  }
  TRY(refuse_unfit(result.calibration));
  quantize::QuantizeOptions own = options;
  own.host = halves.host;
  own.groups = windows.groups;
  const int64_t classes = class_count(last_part(halves));
  if (windows.labels && classes > 1) {
    TRY_ASSIGN(const Tensor labels,
               data::check_labels(*windows.labels, windows.model.shape()[0], classes,
                                  "labels of the calibration windows"));
    own.labels = labels.to_int64s();
  }
  TRY_ASSIGN(const std::optional<quantize::LevelStep> taken,
             take_scales(bundle, halves.device, own));
  own.rounded_outputs = rounded_outputs(halves);
  TRY_ASSIGN(result.quantized, options.goals
                                   ? quantize::quantize_automatically(
                                         halves.device, *device_windows, own, *options.goals)
                                   : quantize::quantize(halves.device, *device_windows, own));
  if (taken) {
    quantize::LevelStep step = *taken;
    step.snr_before_db = step.snr_after_db = result.quantized.output_snr_db;
    result.quantized.steps.insert(result.quantized.steps.begin(), std::move(step));
  }
  TRY_ASSIGN(bundle.members["device_int8.onnx"], onnx::format_model(result.quantized.graph));
  if (windows.normalization) {
    bundle.members[std::string(run::kNormalizationMember)] =
        data::format_normalization(*windows.normalization);
  } else {
    bundle.members.erase(std::string(run::kNormalizationMember));
  }
  Json report = quantized_json(result.quantized);
  report["calibration"] = calibration_json(result.calibration);
  bundle.members["reports/optimize.json"] = report.dump(2) + "\n";
  bundle.members.erase("cpu.plan");
  drop_device_members(bundle);
  bundle.manifest.stage = bundle::Stage::kOptimized;
  bundle.manifest.provenance["optimize"] = {
      {"level", options.level},
      {"scheme", quantize::to_string(options.scheme)},
      {"calibrator", quantize::to_string(options.calibrator)},
      {"windows", windows.model.shape()[0]},
      {"windows_sha256", bundle::sha256_hex({reinterpret_cast<const char*>(windows.raw.bytes()),
                                             windows.raw.size_bytes()})},
      {"random", windows.random}};
  return result;
}

Result<run::Plan> compile(bundle::Bundle& bundle) {
  TRY_ASSIGN(Halves halves, float_halves(bundle));
  TRY_ASSIGN(const ir::Graph device, member_graph(bundle, "device_int8.onnx"));
  compile::CompileOptions options;
  TRY_ASSIGN(options.normalization, bundle_normalization(bundle));
  TRY_ASSIGN(run::Plan plan, compile::compile_plan(halves.before, device, halves.host, options));
  plan.model_name = bundle.manifest.model_name;
  std::string bytes = run::format_plan(plan);
  // Decisions were fitted on the answers of one plan and mean nothing for another.
  const auto earlier = bundle.members.find("cpu.plan");
  const bool same = earlier != bundle.members.end() && earlier->second == bytes;
  const bool keeps = same && bundle.members.contains(std::string(decide::kBlockMember));
  if (!keeps) {
    bundle.members.erase(std::string(decide::kBlockMember));
    bundle.members.erase("reports/calibrate.json");
    bundle.manifest.provenance.erase("calibrate");
  }
  bundle.members["cpu.plan"] = std::move(bytes);
  bundle.manifest.stage = keeps ? bundle::Stage::kCalibrated : bundle::Stage::kCompiled;
  // Parts that no device can be asked for are the CPU's; compile --hef says why.
  static_cast<void>(write_device_members(bundle));
  return plan;
}

}  // namespace graupel::deploy
