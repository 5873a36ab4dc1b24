// Tensors and streams that belong together. See device_map.h. Test: device_map_test.cc.
#include "npu/device_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace graupel::npu {
namespace {

using Json = nlohmann::ordered_json;
constexpr int64_t kFormatVersion = 1;
constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr size_t kMaxCrossings = 256;
constexpr size_t kMaxRank = 8;
constexpr int64_t kMaxDimension = int64_t{1} << 31;

Error broken(const std::string& what) { return corrupt(std::string(kDeviceMapMember), what); }

Result<std::string> text_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) {
    return broken(fmt::format("has no text '{}'", key));
  }
  return found->get<std::string>();
}

Result<Shape> shape_of(const Json& json) {
  const auto found = json.find("shape");
  if (found == json.end() || !found->is_array() || found->size() > kMaxRank) {
    return broken("has a tensor without a shape");
  }
  Shape shape;
  for (const Json& size : *found) {
    const bool fits = size.is_number_unsigned() && size.get<uint64_t>() >= 1 &&
                      size.get<uint64_t>() < static_cast<uint64_t>(kMaxDimension);
    if (!fits) return broken("has a shape that cannot be");
    shape.push_back(size.get<int64_t>());
  }
  if (!element_count(shape)) return broken("has a shape that cannot be");
  return shape;
}

Result<std::vector<Crossing>> crossings_of(const Json& json, const char* key, bool with_streams) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array() || found->empty() ||
      found->size() > kMaxCrossings) {
    return broken(fmt::format("has no list '{}' of 1 to {} tensors", key, kMaxCrossings));
  }
  std::vector<Crossing> crossings;
  std::set<std::string> tensors, streams;
  for (const Json& row : *found) {
    if (!row.is_object() || row.size() != 4) return broken("has a tensor that is not described");
    Crossing crossing;
    TRY_ASSIGN(crossing.tensor, text_of(row, "tensor"));
    TRY_ASSIGN(crossing.shape, shape_of(row));
    TRY_ASSIGN(crossing.node, text_of(row, "node"));
    TRY_ASSIGN(crossing.stream, text_of(row, "stream"));
    if (!tensors.insert(crossing.tensor).second) {
      return broken("names '" + crossing.tensor + "' twice");
    }
    const bool named = !crossing.stream.empty() && streams.insert(crossing.stream).second;
    if (with_streams ? !named : !crossing.stream.empty()) {
      return broken("does not give '" + crossing.tensor + "' a stream of its own");
    }
    crossings.push_back(std::move(crossing));
  }
  return crossings;
}

Json json_of(const std::vector<Crossing>& crossings) {
  Json rows = Json::array();
  for (const Crossing& crossing : crossings) {
    rows.push_back({{"tensor", crossing.tensor},
                    {"shape", crossing.shape},
                    {"node", crossing.node},
                    {"stream", crossing.stream}});
  }
  return rows;
}

std::string shape_text(const hef::Stream& stream) {
  return fmt::format("{}x{}x{}", stream.height, stream.width, stream.features);
}

bool comes_from(const hef::Stream& stream, const std::string& node) {
  return std::find(stream.original_names.begin(), stream.original_names.end(), node) !=
         stream.original_names.end();
}

Error no_match(const Crossing& crossing, const std::string& side,
               const std::vector<hef::Stream>& streams) {
  std::string found;
  for (const hef::Stream& stream : streams) {
    found += (found.empty() ? "" : ", ") + stream.name + " " + shape_text(stream);
  }
  return unsupported(std::string(kHefMember),
                     fmt::format("no stream is the {} '{}' ({}) of the device part; it has {}: "
                                 "compile the bundle's device.onnx with its end nodes",
                                 side, crossing.tensor, graupel::to_string(crossing.shape), found));
}

Result<void> match(std::vector<Crossing>& crossings, const std::vector<hef::Stream>& streams,
                   const std::string& side) {
  if (crossings.size() != streams.size()) {
    return unsupported(std::string(kHefMember),
                       fmt::format("has {} {}s, the device part has {}: it is not the compiled "
                                   "form of this bundle's device.onnx",
                                   streams.size(), side, crossings.size()));
  }
  std::vector<bool> taken(streams.size(), false);
  for (size_t i = 0; i < crossings.size(); ++i) {
    Crossing& crossing = crossings[i];
    size_t chosen = streams.size();
    for (size_t s = 0; s < streams.size() && chosen == streams.size(); ++s) {
      const bool named = !crossing.node.empty() && comes_from(streams[s], crossing.node);
      if (named && !taken[s]) chosen = s;
    }
    // Without names that say more, streams stand in the order of the tensors.
    if (chosen == streams.size() && !taken[i]) chosen = i;
    if (chosen == streams.size() || !same_values(crossing.shape, streams[chosen])) {
      return no_match(crossing, side, streams);
    }
    taken[chosen] = true;
    crossing.stream = streams[chosen].name;
  }
  return ok();
}

}  // namespace

Result<DeviceMap> parse_device_map(std::string_view text) {
  if (text.size() > kMaxBytes) return broken("is larger than 1 MiB");
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return broken("is no JSON object");
  const auto version = json.find("format_version");
  if (version == json.end() || !version->is_number_unsigned()) {
    return broken("has no format_version");
  }
  if (version->get<uint64_t>() > static_cast<uint64_t>(kFormatVersion)) {
    return unsupported(std::string(kDeviceMapMember),
                       "was written by a newer graupel: update graupel");
  }
  if (json.size() != 4) return broken("has other keys than the format's four");
  DeviceMap map;
  TRY_ASSIGN(map.hef_sha256, text_of(json, "hef_sha256"));
  const bool with_streams = !map.hef_sha256.empty();
  TRY_ASSIGN(map.inputs, crossings_of(json, "inputs", with_streams));
  TRY_ASSIGN(map.outputs, crossings_of(json, "outputs", with_streams));
  return map;
}

std::string format_device_map(const DeviceMap& map) {
  const Json json = {{"format_version", kFormatVersion},
                     {"hef_sha256", map.hef_sha256},
                     {"inputs", json_of(map.inputs)},
                     {"outputs", json_of(map.outputs)}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

bool same_values(const Shape& shape, const hef::Stream& stream) {
  if (shape.size() < 2 || shape.size() > 4 || shape[0] != 1 || stream.nms) return false;
  const auto at_least_one = [](uint64_t size) {
    return static_cast<int64_t>(std::clamp<uint64_t>(size, 1, uint64_t{1} << 31));
  };
  const int64_t height = at_least_one(stream.height), width = at_least_one(stream.width);
  if (shape[1] != at_least_one(stream.features)) return false;
  if (shape.size() == 4) return shape[2] == height && shape[3] == width;
  const int64_t inner = shape.size() == 3 ? shape[2] : 1;
  return height * width == inner;
}

Result<void> match_streams(DeviceMap& map, const hef::Hef& hef) {
  if (hef.groups.size() != 1) {
    return unsupported(std::string(kHefMember),
                       fmt::format("has {} network groups; graupel runs one", hef.groups.size()));
  }
  TRY(match(map.inputs, hef.groups[0].inputs, "input"));
  return match(map.outputs, hef.groups[0].outputs, "output");
}

}  // namespace graupel::npu
