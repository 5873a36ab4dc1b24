// Stages 1 to 4. See parse.h. Test: deploy_test.cc.
#include "deploy/parse.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/files.h"
#include "deploy/encodings.h"
#include "deploy/json.h"
#include "run/load.h"

namespace graupel::deploy {
namespace {

check::CheckOptions file_facts(const std::string& path, uint64_t size_bytes,
                               const onnx::ModelSummary& summary) {
  check::CheckOptions facts;
  facts.file = path;
  facts.file_bytes = static_cast<int64_t>(size_bytes);
  const auto standard = summary.opsets.find("");
  facts.opset = standard == summary.opsets.end() ? 0 : standard->second;
  facts.ir_version = summary.ir_version;
  for (const onnx::ModelSummary::Port& input : summary.inputs) {
    for (const std::string& dim : input.dims) {
      const bool is_number = !dim.empty() && dim.find_first_not_of("0123456789") == dim.npos;
      if (!is_number || dim == "0") facts.dynamic_dims[input.name].push_back(dim);
    }
  }
  return facts;
}

// The reader gives a nameless node a name; its output still has the one in the file.
std::vector<std::string> unnamed_nodes(const ir::Graph& graph, const onnx::ModelSummary& summary) {
  std::vector<std::string> names;
  for (const ir::Node& node : graph.nodes) {
    if (node.outputs.empty() || !node.outputs[0].valid()) continue;
    if (summary.unnamed_node_outputs.contains(graph.value(node.outputs[0]).name)) {
      names.push_back(node.name);
    }
  }
  return names;
}

std::vector<bool> supported_nodes(const ir::Graph& graph, const check::Target& target) {
  const std::vector<std::vector<check::Finding>> reasons =
      check::unsupported_reasons(graph, target);
  std::vector<bool> supported;
  for (const std::vector<check::Finding>& reason : reasons) supported.push_back(reason.empty());
  return supported;
}

std::vector<ir::NodeId> off_device(const ir::Graph& graph, const cut::Cut& cut) {
  std::vector<ir::NodeId> nodes;
  for (const ir::NodeId id : ir::live_nodes(graph)) {
    if (cut.parts[id.index()] != cut::Part::kDevice) nodes.push_back(id);
  }
  return nodes;
}

}  // namespace

Result<Loaded> load(const std::string& path, const onnx::ReadOptions& options) {
  Loaded loaded;
  onnx::ModelSummary model;
  {
    // The bytes are gone before the model is read, so that two copies never stand side by side.
    TRY_ASSIGN(const std::string bytes, read_file(path));
    loaded.sha256 = bundle::sha256_hex(bytes);
    loaded.size_bytes = bytes.size();
    Result<onnx::ModelSummary> summary = onnx::summarize_bytes(bytes);
    if (!summary.ok()) return std::move(summary).error().within(path);
    model = std::move(summary).value();
  }
  loaded.facts = file_facts(path, loaded.size_bytes, model);
  TRY_ASSIGN(loaded.original, onnx::read_model(path, options));
  loaded.facts.unnamed_nodes = unnamed_nodes(loaded.original, model);
  return loaded;
}

Result<Parsed> parse(const std::string& path, const ParseOptions& options) {
  TRY_ASSIGN(Loaded loaded, load(path, options.read));
  Parsed parsed;
  parsed.file = path;
  parsed.file_sha256 = std::move(loaded.sha256);
  parsed.file_bytes = loaded.size_bytes;
  parsed.original = std::move(loaded.original);
  // What people call the network; exporters write "main_graph" or "torch_jit" into the file.
  parsed.original.name = std::filesystem::path(path).stem().string();
  parsed.class_names = options.class_names;
  TRY_ASSIGN(parsed.target, check::load_target(options.target));
  const auto named = [&](Error error) { return std::move(error).within(path); };
  if (quantize::is_qdq(parsed.original)) {
    Result<quantize::Lifted> lifted = quantize::lift_qdq(parsed.original);
    if (!lifted.ok()) return named(std::move(lifted).error());
    parsed.original = std::move(lifted->graph);
    parsed.scales = std::move(lifted->given);
    parsed.scale_remarks = std::move(lifted->remarks);
  }

  Result<simplify::Simplified> simplified = simplify::simplify(parsed.original, options.simplify);
  if (!simplified.ok()) return named(std::move(simplified).error());
  parsed.simplified = std::move(simplified).value();
  const ir::Graph& graph = parsed.simplified.graph;

  Result<cut::Cut> cut = cut::cut(graph, supported_nodes(graph, parsed.target), options.cut);
  if (!cut.ok()) return named(std::move(cut).error());
  parsed.cut = std::move(cut).value();
  if (Result<void> proof = cut::prove_recombination(graph, parsed.cut); !proof.ok()) {
    return named(std::move(proof).error());
  }
  if (parsed.scales) {
    const Result<quantize::GivenUse> use = quantize::judge_given(parsed.cut.device, *parsed.scales);
    if (!use.ok()) return named(use.error());
  }
  loaded.facts.host_nodes = off_device(graph, parsed.cut);
  parsed.findings = check::check(graph, parsed.target, loaded.facts);
  return parsed;
}

Result<check::CheckReport> check_file(const std::string& path, const check::Target& target,
                                      onnx::ReadOptions options, bool as_is) {
  options.rule = ir::ShapeRule::kMayBeUnknown;
  options.opaque = onnx::OpaquePolicy::kKeep;
  TRY_ASSIGN(Loaded loaded, load(path, options));
  if (as_is) return check::check(loaded.original, target, loaded.facts);
  // A network that cannot be simplified (unknown operators, open shapes) is judged as it is.
  simplify::SimplifyOptions simplify_options;
  simplify_options.verify = simplify::Verify::kOff;
  const Result<simplify::Simplified> simplified =
      simplify::simplify(loaded.original, simplify_options);
  return check::check(simplified.ok() ? simplified->graph : loaded.original, target, loaded.facts);
}

Result<bundle::Bundle> to_bundle(const Parsed& parsed) {
  bundle::Bundle bundle;
  bundle.manifest.stage = bundle::Stage::kParsed;
  bundle.manifest.model_name = parsed.original.name;
  nlohmann::ordered_json& provenance = bundle.manifest.provenance;
  provenance["graupel"] = kVersion;
  provenance["input"] = {{"sha256", parsed.file_sha256}, {"size_bytes", parsed.file_bytes}};
  provenance["target"] = parsed.target.name;
  TRY_ASSIGN(bundle.members["device.onnx"], onnx::format_model(parsed.cut.device));
  TRY_ASSIGN(bundle.members["host.onnx"], onnx::format_model(parsed.cut.host));
  if (!ir::live_nodes(parsed.cut.before).empty()) {
    TRY_ASSIGN(bundle.members["before.onnx"], onnx::format_model(parsed.cut.before));
  }
  if (parsed.scales) {
    bundle.members[std::string(kScalesMember)] = format_encodings(*parsed.scales);
  }
  if (!parsed.class_names.empty()) {
    bundle.members[std::string(run::kLabelsMember)] = run::format_labels(parsed.class_names);
  }
  bundle.members["reports/parse.json"] = parse_json(parsed).dump(2) + "\n";
  return bundle;
}

}  // namespace graupel::deploy
