// Describing files. See inspect.h. Test: inspect_test.cc.
#include "deploy/inspect.h"

#include <fmt/format.h>

#include <cmath>

#include "base/files.h"
#include "bundle/bundle.h"
#include "data/npy.h"
#include "data/statistics.h"
#include "deploy/inspect_har.h"
#include "deploy/inspect_script.h"
#include "hailo/har.h"
#include "onnx/onnx.h"
#include "run/plan.h"

namespace graupel::deploy {
namespace {

using Json = nlohmann::ordered_json;

Json describe_port(const onnx::ModelSummary::Port& port) {
  return {{"name", port.name},
          {"dtype", port.dtype},
          {"shape", port.has_shape ? fmt::format("{}", fmt::join(port.dims, "x")) : "?"}};
}

Json describe_model(const onnx::ModelSummary& summary) {
  Json json;
  json["kind"] = "onnx";
  json["name"] = summary.name;
  json["producer"] = summary.producer;
  json["ir_version"] = summary.ir_version;
  for (const auto& [domain, version] : summary.opsets) {
    json["opset"][domain.empty() ? "ai.onnx" : domain] = version;
  }
  for (const onnx::ModelSummary::Port& port : summary.inputs) {
    json["inputs"].push_back(describe_port(port));
  }
  for (const onnx::ModelSummary::Port& port : summary.outputs) {
    json["outputs"].push_back(describe_port(port));
  }
  json["nodes"] = summary.node_count;
  for (const auto& [type, count] : summary.operators) json["operators"][type] = count;
  json["initializers"] = summary.initializer_count;
  json["initializer_bytes"] = summary.initializer_bytes;
  if (!summary.external_files.empty()) {
    json["external_files"] = summary.external_files;
    json["external_bytes"] = summary.external_bytes;
  }
  if (summary.function_count > 0) json["functions"] = summary.function_count;
  for (const auto& [key, value] : summary.metadata) json["metadata"][key] = value;
  return json;
}

Json describe_bundle(const bundle::Bundle& bundle) {
  Json json;
  json["kind"] = "bundle";
  json["stage"] = bundle::to_string(bundle.manifest.stage);
  json["model"] = bundle.manifest.model_name;
  json["provenance"] = bundle.manifest.provenance;
  for (const auto& [name, info] : bundle.manifest.members) {
    json["members"].push_back(
        {{"name", name}, {"size_bytes", info.size_bytes}, {"sha256", info.sha256}});
  }
  const auto plan_bytes = bundle.members.find("cpu.plan");
  if (plan_bytes == bundle.members.end()) return json;
  const Result<run::Plan> plan = run::parse_plan(plan_bytes->second);
  if (!plan.ok()) {
    json["cpu_plan"]["error"] = plan.error().message();
    return json;
  }
  json["cpu_plan"] = {{"steps", plan->steps.size()},
                      {"constants_bytes", plan->constants.size()},
                      {"arena_bytes", plan->arena_size_bytes}};
  for (const run::Port& port : plan->outputs) {
    json["cpu_plan"]["outputs"].push_back(
        {{"name", port.name}, {"role", run::to_string(port.role)}});
  }
  return json;
}

Json describe_tensor(const Tensor& tensor) {
  Json json = {{"dtype", graupel::to_string(tensor.dtype())},
               {"shape", graupel::to_string(tensor.shape())}};
  if (tensor.dtype() != DType::kFloat32 || tensor.rank() < 2) return json;
  const Result<std::vector<data::ChannelStatistics>> channels = data::channel_statistics(tensor);
  if (!channels.ok() || channels->size() > 64) return json;
  Json& rows = json["channels"] = Json::array();
  for (const data::ChannelStatistics& channel : *channels) {
    rows.push_back({{"mean", channel.mean},
                    {"std", channel.std},
                    {"minimum", channel.minimum},
                    {"maximum", channel.maximum},
                    {"not_finite", channel.nan_count + channel.infinite_count}});
  }
  return json;
}

Result<Json> describe_npz(std::string_view bytes) {
  TRY_ASSIGN(const std::vector<data::NamedTensor> arrays, data::parse_npz(bytes));
  Json json = {{"kind", "npz"}};
  for (const data::NamedTensor& array : arrays) {
    json["arrays"][array.name] = describe_tensor(array.tensor);
  }
  return json;
}

Result<Json> describe(const std::string& path, const std::string& bytes,
                      const HefQuestions& questions) {
  if (data::looks_like_npy(bytes)) {
    TRY_ASSIGN(const Tensor tensor, data::parse_npy(bytes));
    Json json = {{"kind", "npy"}};
    json.update(describe_tensor(tensor));
    return json;
  }
  if (data::looks_like_zip(bytes)) {
    Result<bundle::Bundle> bundle = bundle::parse_bundle(bytes);
    if (bundle.ok()) return describe_bundle(*bundle);
    if (bundle.error().code != ErrorCode::kInvalidInput) return std::move(bundle).error();
    return describe_npz(bytes);
  }
  if (bytes.starts_with(std::string_view("\x01\x48\x45\x46", 4)) || path.ends_with(".hef")) {
    return inspect_hef(path, bytes, questions);
  }
  if (hailo::looks_like_har(bytes) || path.ends_with(".har")) return inspect_har(bytes);
  if (path.ends_with(".alls")) return inspect_script(bytes);
  TRY_ASSIGN(const onnx::ModelSummary summary, onnx::summarize_bytes(bytes));
  return describe_model(summary);
}

}  // namespace

Result<Json> inspect(const std::string& path, const HefQuestions& questions) {
  TRY_ASSIGN(const std::string bytes, read_file(path));
  Result<Json> json = describe(path, bytes, questions);
  if (!json.ok()) return std::move(json).error().within(path);
  return json;
}

}  // namespace graupel::deploy
