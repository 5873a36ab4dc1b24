// Cutting a bundle at other end nodes. See recut.h. Test: recut_test.cc.
//
// Idea: device and host part are joined to the network they were made of, and that is cut as
// `parse` cuts, with the new end nodes. Scales and plan belong to a cut; they are made again.
#include "deploy/recut.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "cut/cut.h"
#include "deploy/json.h"
#include "deploy/stages.h"
#include "onnx/onnx.h"

namespace graupel::deploy {
namespace {

// What a new cut makes untrue.
constexpr const char* kOutdated[] = {
    "device_int8.onnx",      "cpu.plan",         "decide.json",           "model.hef",
    "reports/optimize.json", "reports/hef.json", "reports/validate.json", "reports/calibrate.json"};

Result<void> optimize_again(bundle::Bundle& bundle, const nlohmann::ordered_json& recorded,
                            const std::string& windows_path) {
  TRY_ASSIGN(const Halves halves, float_halves(bundle));
  const ir::Graph& first = halves.before.inputs.empty() ? halves.device : halves.before;
  TRY_ASSIGN(Windows raw, load_windows({windows_path, "", ""}, first));
  TRY_ASSIGN(const auto normalization, bundle_normalization(bundle));
  TRY_ASSIGN(const Windows windows,
             normalized_windows(std::move(raw.raw), std::nullopt, normalization));
  quantize::QuantizeOptions options;
  options.level = recorded.value("level", options.level);
  options.scheme =
      quantize::parse_scheme(recorded.value("scheme", std::string())).value_or(options.scheme);
  options.calibrator = quantize::parse_calibrator(recorded.value("calibrator", std::string()))
                           .value_or(options.calibrator);
  TRY(optimize(bundle, windows, options, nullptr));
  return ok();
}

}  // namespace

Result<ir::Graph> join(const ir::Graph& front, const ir::Graph& back) {
  ir::Graph whole = front;
  if (ir::live_nodes(back).empty()) return whole;
  std::map<std::string, ir::ValueId> known;
  for (size_t i = 0; i < front.values.size(); ++i) known[front.values[i].name] = ir::ValueId(i);
  std::vector<ir::ValueId> place(back.values.size());
  for (const ir::ValueId input : back.inputs) {
    const auto found = known.find(back.value(input).name);
    if (found == known.end()) {
      return unsupported(back.value(input).name,
                         "is read behind the cut and made in front of the device; cut the network "
                         "itself with graupel parse --end-nodes");
    }
    place[input.index()] = found->second;
  }
  for (size_t i = 0; i < back.values.size(); ++i) {
    if (place[i].valid()) continue;
    ir::Value value = back.values[i];
    // Both parts may hold the same constant.
    if (known.contains(value.name)) value.name = ir::unique_name(whole, value.name);
    place[i] = ir::add_value(whole, std::move(value));
  }
  for (const ir::NodeId id : ir::live_nodes(back)) {
    ir::Node node = back.node(id);
    for (std::vector<ir::ValueId>* ids : {&node.inputs, &node.outputs}) {
      for (ir::ValueId& value : *ids) {
        if (value.valid()) value = place[value.index()];
      }
    }
    whole.nodes.push_back(std::move(node));
  }
  whole.outputs.clear();
  for (const ir::ValueId output : back.outputs) whole.outputs.push_back(place[output.index()]);
  return whole;
}

Result<void> recut(bundle::Bundle& bundle, const std::vector<std::string>& end_nodes) {
  TRY_ASSIGN(const Halves halves, float_halves(bundle));
  TRY_ASSIGN(const ir::Graph whole, join(halves.device, halves.host));
  TRY(ir::verify(whole));
  // What was on the device may stay there; the host's nodes may not move.
  std::vector<bool> supported(whole.nodes.size(), false);
  std::fill_n(supported.begin(), halves.device.nodes.size(), true);
  TRY_ASSIGN(const cut::Cut cut, cut::cut(whole, supported, {end_nodes, {}}));
  TRY(cut::prove_recombination(whole, cut));
  TRY_ASSIGN(bundle.members["device.onnx"], onnx::format_model(cut.device));
  TRY_ASSIGN(bundle.members["host.onnx"], onnx::format_model(cut.host));
  for (const char* name : kOutdated) bundle.members.erase(name);
  nlohmann::ordered_json report =
      nlohmann::ordered_json::parse(bundle.members["reports/parse.json"], nullptr, false);
  if (report.is_object()) {
    report["cut"] = cut_json(cut);
    bundle.members["reports/parse.json"] = report.dump(2) + "\n";
  }
  bundle.manifest.stage = bundle::Stage::kParsed;
  bundle.manifest.provenance.erase("hef");
  bundle.manifest.provenance["recut"] = {{"end_nodes", end_nodes}};
  return ok();
}

Result<void> recut_and_optimize(bundle::Bundle& bundle, const std::vector<std::string>& end_nodes,
                                const std::string& windows_path) {
  const bool was_compiled = bundle.members.contains("cpu.plan");
  const nlohmann::ordered_json recorded =
      bundle.manifest.provenance.value("optimize", nlohmann::ordered_json::object());
  TRY(recut(bundle, end_nodes));
  TRY(optimize_again(bundle, recorded, windows_path));
  if (was_compiled) TRY(compile(bundle));
  return ok();
}

}  // namespace graupel::deploy
