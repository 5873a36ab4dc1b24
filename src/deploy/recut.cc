// Cutting a bundle at other end nodes. See recut.h. Test: recut_test.cc.
//
// Idea: device and host part are joined to the network they were made of, and that is cut as
// `parse` cuts, with the new end nodes. Scales and plan belong to a cut; they are made again.
#include "deploy/recut.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "cut/cut.h"
#include "decide/block.h"
#include "deploy/json.h"
#include "deploy/stages.h"
#include "npu/device_map.h"
#include "onnx/onnx.h"
#include "run/load.h"

namespace graupel::deploy {
namespace {

// What a new cut makes untrue.
constexpr std::string_view kOutdated[] = {
    "device_int8.onnx",      run::kPlanMember,        decide::kBlockMember,
    npu::kBeforePlanMember,  npu::kHostPlanMember,    npu::kDeviceMapMember,
    npu::kHefMember,         "reports/hef.json",      "reports/optimize.json",
    "reports/validate.json", "reports/calibrate.json"};

// Empty where the manifest, which anybody may have written, says something else.
std::string text_in(const Json& object, const char* key) {
  const Json value = object.is_object() ? object.value(key, Json()) : Json();
  return value.is_string() ? value.get<std::string>() : std::string();
}

Result<void> optimize_again(bundle::Bundle& bundle, const Json& recorded,
                            const std::string& windows_path) {
  TRY_ASSIGN(const Windows windows, load_calibration({windows_path, "", ""}, bundle));
  quantize::QuantizeOptions options;
  const Json level = recorded.is_object() ? recorded.value("level", Json()) : Json();
  if (level.is_number_integer()) options.level = level.get<int>();
  options.scheme = quantize::parse_scheme(text_in(recorded, "scheme")).value_or(options.scheme);
  options.calibrator =
      quantize::parse_calibrator(text_in(recorded, "calibrator")).value_or(options.calibrator);
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
  for (const std::string_view name : kOutdated) bundle.members.erase(std::string(name));
  Json report = Json::parse(bundle.members["reports/parse.json"], nullptr, false);
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
  const bool was_compiled = bundle.members.contains(std::string(run::kPlanMember));
  const Json recorded = bundle.manifest.provenance.value("optimize", Json());
  TRY(recut(bundle, end_nodes));
  TRY(optimize_again(bundle, recorded, windows_path));
  if (was_compiled) TRY(compile(bundle));
  return ok();
}

}  // namespace graupel::deploy
