// A HAR as JSON. See inspect_har.h. Test: tests/hailo.
#include "deploy/inspect_har.h"

#include <fmt/format.h>

#include "hailo/har.h"

namespace graupel::deploy {
namespace {

using Json = nlohmann::ordered_json;

Json shapes_json(const std::vector<std::vector<int64_t>>& shapes) {
  Json list = Json::array();
  for (const std::vector<int64_t>& shape : shapes) {
    list.push_back(fmt::format("{}", fmt::join(shape, "x")));
  }
  return list;
}

Json layer_json(const hailo::HarLayer& layer) {
  Json json = {{"name", layer.name}, {"type", layer.type}};
  if (!layer.input_shapes.empty()) json["input_shapes"] = shapes_json(layer.input_shapes);
  if (!layer.output_shapes.empty()) json["output_shapes"] = shapes_json(layer.output_shapes);
  if (!layer.inputs.empty()) json["inputs"] = layer.inputs;
  if (!layer.original_names.empty()) json["original_names"] = layer.original_names;
  return json;
}

}  // namespace

Result<Json> inspect_har(std::string_view bytes) {
  TRY_ASSIGN(const hailo::Har har, hailo::read_har(bytes));
  Json json = {{"kind", "har"}, {"network", har.network}, {"state", har.state}};
  if (!har.compiler.empty()) json["compiler"] = har.compiler;
  if (!har.device.empty()) json["device"] = har.device;
  for (const hailo::HarFile& file : har.files) json["files"][file.name] = file.size_bytes;
  json["layers_of"] = har.hn;
  if (!har.output_layers.empty()) json["output_layers"] = har.output_layers;
  json["layers"] = Json::array();
  for (const hailo::HarLayer& layer : har.layers) json["layers"].push_back(layer_json(layer));
  return json;
}

}  // namespace graupel::deploy
