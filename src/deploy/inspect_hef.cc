// A HEF described, and held against what was promised of it. See inspect_hef.h.
// Test: inspect_hef_test.cc.
#include "deploy/inspect_hef.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>

#include "base/files.h"
#include "bundle/bundle.h"
#include "deploy/stages.h"
#include "npu/machine.h"

namespace graupel::deploy {
namespace {

using Json = nlohmann::ordered_json;

// The shortest number that is this float: 0.0039215325, not its double's 0.003921532537788153.
double plain(float value) { return std::strtod(fmt::format("{}", value).c_str(), nullptr); }

Json describe_nms(const hef::Nms& nms) {
  Json json = {{"computed_on", nms.on_host ? "host" : "device"},
               {"classes", nms.classes},
               {"boxes_per_class", nms.boxes_per_class},
               {"boxes", nms.classes * nms.boxes_per_class}};
  if (!nms.on_host) return json;
  json["decoder"] = nms.decoder.empty() ? "unknown" : nms.decoder;
  if (nms.decoding_only) json["decoding_only"] = true;
  json["score_threshold"] = nms.score_threshold;
  json["iou_threshold"] = nms.iou_threshold;
  if (nms.mask_threshold != 0.0) json["mask_threshold"] = nms.mask_threshold;
  if (nms.image_height > 0.0) {
    json["image"] = fmt::format("{}x{} (height x width)", nms.image_height, nms.image_width);
  }
  if (nms.background) json["background_removed"] = *nms.background;
  return json;
}

Json describe_stream(const hef::Stream& stream) {
  const hef::Quantization& numbers = stream.quantization;
  Json json = {{"name", stream.name}, {"order", stream.host_order}};
  json["shape"] = stream.nms ? fmt::format("{} classes, {} boxes per class", stream.nms->classes,
                                           stream.nms->boxes_per_class)
                             : fmt::format("{}x{}x{} (height x width x features)", stream.height,
                                           stream.width, stream.features);
  json["type"] = stream.nms || stream.element_bytes == 4 ? "float32"
                 : stream.element_bytes == 2             ? "uint16"
                                                         : "uint8";
  json["frame_bytes"] = stream.frame_bytes();
  json["scale"] = plain(numbers.scale);
  json["zero_point"] = plain(numbers.zero_point);
  json["limits"] = {plain(numbers.limit_low), plain(numbers.limit_high)};
  json["device_order"] = stream.device_order;
  json["stream_index"] = stream.stream_index;
  json["context"] = stream.context;
  if (stream.nms) json["nms"] = describe_nms(*stream.nms);
  if (!stream.parts.empty()) json["made_of"] = stream.parts;
  if (!stream.original_names.empty()) json["original_names"] = stream.original_names;
  return json;
}

Json describe_group(const hef::Group& group) {
  Json json = {{"name", group.name},
               {"networks", group.networks},
               {"contexts", group.contexts},
               {"form", group.net_flow ? "net-flow" : "old style"}};
  if (group.partial_groups > 0) json["partial_groups"] = group.partial_groups;
  if (group.contexts > 1) {
    json["bottleneck_fps"] = "says nothing with several contexts";
  } else {
    json["bottleneck_fps"] = group.bottleneck_fps;
  }
  json["simulated_latency_ms"] = group.latency_s * 1e3;
  json["configuration_channels"] = group.config_channels;
  for (const hef::Stream& stream : group.inputs) json["inputs"].push_back(describe_stream(stream));
  for (const hef::Stream& stream : group.outputs)
    json["outputs"].push_back(describe_stream(stream));
  return json;
}

}  // namespace

Json describe_hef(const hef::Hef& hef) {
  Json json = {{"kind", "hef"}, {"architecture", hef::arch_name(hef.arch)}};
  json["loads_on"] = hef::devices_for(hef.arch);
  json["compiler"] = hef.compiler_version;
  json["built"] = hef::utc_text(hef.timestamp_ms);
  const std::vector<std::string> devices = hef::devices_for(hef.arch);
  const bool is_hailo8 = std::find(devices.begin(), devices.end(), "hailo8") != devices.end();
  json["hailort"] = is_hailo8         ? hef::oldest_runtime(hef) + " or newer 4.x"
                    : devices.empty() ? "none"
                                      : "5.x (4.23 refuses devices other than Hailo-8 and 8L)";
  for (const hef::Need& need : hef::needs_of(hef)) {
    json["needs"][need.what] = fmt::format("HailoRT 4.{}", need.since_minor);
  }
  json["container"] = fmt::format("version {}, {} verified", hef.header_version, hef.checksum);
  json["file_bytes"] = hef.file_bytes;
  json["configuration_bytes"] = hef.config_bytes;
  json["compiler_data_bytes"] = hef.mapping_bytes;
  for (const uint64_t type : hef.extensions)
    json["extensions"].push_back(hef::extension_name(type));
  for (const uint64_t type : hef.optional_extensions) {
    json["optional_extensions"].push_back(hef::extension_name(type));
  }
  for (const hef::Group& group : hef.groups) json["groups"].push_back(describe_group(group));
  return json;
}

namespace {

uint64_t count_of(const Json& shape) {
  uint64_t count = shape.is_array() && !shape.empty() ? 1 : 0;
  for (const Json& size : shape) {
    const bool fits = size.is_number_unsigned() && size.get<uint64_t>() < (uint64_t{1} << 32) &&
                      count < (uint64_t{1} << 31);
    count = fits ? count * size.get<uint64_t>() : 0;
  }
  return count;
}

hef::PromisedStream promised_by(const Json& shape) {
  hef::PromisedStream stream;
  stream.values = count_of(shape);
  return stream;
}

// What a metadata file beside the HEF says of its shapes, if there is one.
std::optional<hef::Promise> promise_beside(const std::string& path) {
  const std::filesystem::path file(path);
  for (const std::string& name :
       {file.stem().string() + ".metadata.json", std::string("model_metadata.json")}) {
    const Result<std::string> text = read_file((file.parent_path() / name).string(), 1 << 20);
    if (!text.ok()) continue;
    const Json json = Json::parse(*text, nullptr, false);
    if (!json.is_object()) continue;
    hef::Promise promise;
    promise.source = name;
    if (json.contains("input_shape")) promise.inputs = {promised_by(json["input_shape"])};
    if (json.contains("output_shape")) promise.outputs = {promised_by(json["output_shape"])};
    return promise;
  }
  return std::nullopt;
}

std::optional<double> number_of(const Json& object, const char* key) {
  const Json value = object.value(key, Json());
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

// What of a tensor's values the bundle's own quantiser keeps, by name; without the points of a
// report that has another form.
std::map<std::string, std::pair<double, double>> ranges_of(const bundle::Bundle& bundle) {
  std::map<std::string, std::pair<double, double>> ranges;
  const auto report = bundle.members.find("reports/optimize.json");
  if (report == bundle.members.end()) return ranges;
  const Json json = Json::parse(report->second, nullptr, false);
  if (!json.is_object() || !json.contains("points")) return ranges;
  for (const Json& point : json["points"]) {
    if (!point.is_object()) continue;
    const Json tensor = point.value("tensor", Json()), dtype = point.value("dtype", Json());
    const std::optional<double> scale = number_of(point, "scale");
    if (!tensor.is_string() || !dtype.is_string() || !scale) continue;
    const double zero = number_of(point, "zero_point").value_or(0.0);
    const bool is_signed = dtype == "int8";
    const double low = ((is_signed ? -128 : 0) - zero) * *scale;
    const double high = ((is_signed ? 127 : 255) - zero) * *scale;
    ranges[tensor.get<std::string>()] = {
        std::max(low, number_of(point, "minimum").value_or(low)),
        std::min(high, number_of(point, "maximum").value_or(high))};
  }
  return ranges;
}

// [N, C, H, W] and [N, C] are H x W x C and 1 x 1 x C on the device; of other ranks only the number
// of values is known. The first dimension is the batch, which a HEF does not have.
hef::PromisedStream promised_by(const ir::Value& value) {
  hef::PromisedStream stream;
  stream.name = value.name;
  stream.values = 1;
  std::vector<uint64_t> sizes;
  for (const int64_t size : value.shape.value_or(Shape())) {
    sizes.push_back(static_cast<uint64_t>(size));
    stream.values *= static_cast<uint64_t>(size);
  }
  if (sizes.size() == 4) stream.shape = {sizes[2], sizes[3], sizes[1]};
  if (sizes.size() == 2) stream.shape = {1, 1, sizes[1]};
  return stream;
}

// The names a stream may bear: the tensor of an input and the nodes that read it, the node that
// makes an output.
std::vector<std::string> nodes_at(const ir::Graph& graph, ir::ValueId value,
                                  hef::Direction direction) {
  const ir::Uses uses = ir::find_uses(graph);
  std::vector<std::string> names;
  if (direction == hef::Direction::kOutput) {
    const ir::NodeId maker = uses.producer[value.index()];
    if (maker.valid()) names.push_back(graph.node(maker).name);
    return names;
  }
  names.push_back(graph.value(value).name);
  for (const ir::NodeId reader : uses.readers[value.index()]) {
    names.push_back(graph.node(reader).name);
  }
  return names;
}

void add_findings(const std::vector<hef::Finding>& findings, Json& json) {
  for (const hef::Finding& finding : findings) {
    json["findings"].push_back({{"severity", finding.severity},
                                {"id", finding.id},
                                {"where", finding.where},
                                {"message", finding.message},
                                {"fix", finding.fix}});
  }
}

bool is_for_hailo8(const hef::Hef& hef) {
  const std::vector<std::string> devices = hef::devices_for(hef.arch);
  return std::find(devices.begin(), devices.end(), "hailo8") != devices.end();
}

// The two leading numbers of "4.20" or "4.20.0".
Result<std::pair<int, int>> version_of(const std::string& text) {
  int major = 0, minor = 0, end = 0;
  const bool numbers = std::sscanf(text.c_str(), "%2d.%3d%n", &major, &minor, &end) == 2;
  const char next = numbers ? text.c_str()[end] : 'x';
  if (next == '\0' || next == '.') return std::pair(major, minor);
  return invalid_input("--hailort", "is '" + text + "', expected a version such as 4.20.0");
}

Result<std::vector<hef::Finding>> judge_runtime(const hef::Hef& hef, const std::string& version) {
  TRY_ASSIGN(const auto given, version_of(version));
  const std::string oldest = hef::oldest_runtime(hef);
  TRY_ASSIGN(const auto needed, version_of(oldest));
  std::vector<hef::Finding> findings;
  if (is_for_hailo8(hef) && given.first > 4) {
    findings.push_back({"error", "runtime_too_new", "",
                        fmt::format("HailoRT {} does not drive Hailo-8 and 8L", version),
                        "install HailoRT " + oldest + " or a newer 4.x"});
  } else if (is_for_hailo8(hef) && given < needed) {
    const std::string fix =
        fmt::format("update library, driver and firmware together to {} or a newer 4.x", oldest);
    for (const hef::Need& need : hef::needs_of(hef)) {
      if (given >= std::pair(4, need.since_minor)) continue;
      findings.push_back(
          {"error", "runtime_too_old", need.what,
           fmt::format("HailoRT {} does not have it, it came with 4.{}", version, need.since_minor),
           fix});
    }
    if (findings.empty()) {
      findings.push_back(
          {"error", "runtime_too_old", "",
           fmt::format("HailoRT {} is older than {}, the oldest graupel knows of", version, oldest),
           fix});
    }
  } else if (!is_for_hailo8(hef) && given.first < 5) {
    findings.push_back({"error", "runtime_too_old", "",
                        fmt::format("HailoRT {} drives Hailo-8 and 8L only, it is compiled for {}",
                                    version, hef::arch_name(hef.arch)),
                        "compile for the device that is there"});
  }
  return findings;
}

// With the HailoRT of this machine, if it has one whose version can be read.
void judge_installed(const hef::Hef& hef, const std::string& root, Json& json) {
  const std::string installed = npu::installed_hailort(root);
  const Result<std::vector<hef::Finding>> findings = judge_runtime(hef, installed);
  if (installed.empty() || !findings.ok()) {
    json["judged_for_hailort"] = "none: none is installed here; --hailort VERSION asks about one";
    return;
  }
  json["judged_for_hailort"] = installed + ", installed here";
  add_findings(*findings, json);
}

}  // namespace

Result<hef::Promise> promise_of(const bundle::Bundle& bundle, const std::string& source) {
  TRY_ASSIGN(const ir::Graph graph, member_graph(bundle, "device.onnx"));
  const std::map<std::string, std::pair<double, double>> ranges = ranges_of(bundle);
  hef::Promise promise;
  promise.source = source;
  for (const ir::ValueId input : graph.inputs) {
    promise.inputs.push_back(promised_by(graph.value(input)));
    promise.inputs.back().nodes = nodes_at(graph, input, hef::Direction::kInput);
    const auto range = ranges.find(graph.value(input).name);
    if (range != ranges.end()) promise.inputs.back().range = range->second;
  }
  for (const ir::ValueId output : graph.outputs) {
    promise.outputs.push_back(promised_by(graph.value(output)));
    promise.outputs.back().nodes = nodes_at(graph, output, hef::Direction::kOutput);
    const auto range = ranges.find(graph.value(output).name);
    if (range != ranges.end()) promise.outputs.back().range = range->second;
  }
  return promise;
}

Result<Json> inspect_hef(const std::string& path, std::string_view bytes,
                         const HefQuestions& questions) {
  TRY_ASSIGN(const hef::Hef hef, hef::read_hef(bytes));
  Json json = describe_hef(hef);
  json["findings"] = Json::array();
  add_findings(hef::judge_hef(hef), json);
  const std::vector<std::string> devices = hef::devices_for(hef.arch);
  if (!questions.arch.empty() &&
      std::find(devices.begin(), devices.end(), questions.arch) == devices.end()) {
    add_findings({{"error", "wrong_arch", "",
                   fmt::format("it is compiled for {}, {} does not load it",
                               hef::arch_name(hef.arch), questions.arch),
                   "compile with --hw-arch " + questions.arch}},
                 json);
  }
  if (!questions.hailort.empty()) {
    TRY_ASSIGN(const auto findings, judge_runtime(hef, questions.hailort));
    json["judged_for_hailort"] = questions.hailort + ", as asked";
    add_findings(findings, json);
  } else if (!questions.machine_root.empty()) {
    judge_installed(hef, questions.machine_root, json);
  }
  if (const std::optional<hef::Promise> beside = promise_beside(path)) {
    json["held_against"].push_back(beside->source);
    add_findings(hef::compare_with(hef, *beside), json);
  }
  if (!questions.against.empty()) {
    TRY_ASSIGN(const bundle::Bundle bundle, bundle::read_bundle(questions.against));
    const Result<hef::Promise> made =
        promise_of(bundle, std::filesystem::path(questions.against).filename().string());
    if (!made.ok()) return Error(made.error()).within(questions.against);
    const hef::Promise& promise = *made;
    json["held_against"].push_back(promise.source);
    add_findings(hef::compare_with(hef, promise), json);
  }
  return json;
}

}  // namespace graupel::deploy
