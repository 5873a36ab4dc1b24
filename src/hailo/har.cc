// Reading a HAR. See har.h. Test: har_test.cc, fuzz/har_fuzz.cc.
#include "hailo/har.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace graupel::hailo {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostFiles = 1000;
constexpr size_t kMostJsonBytes = size_t{32} << 20;   // of one member
constexpr size_t kMostTextBytes = size_t{128} << 20;  // of all JSON, which is kept
constexpr uint64_t kMostBytes = uint64_t{4} << 30;    // of all, unpacked
constexpr size_t kMostLayers = 50'000, kMostNames = 10'000;

struct Closer {
  void operator()(archive* open) const { archive_read_free(open); }
};
using Archive = std::unique_ptr<archive, Closer>;

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> endings) {
  for (const std::string_view ending : endings) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}

Result<std::string> member_bytes(archive* open, const std::string& name, size_t most) {
  std::string bytes;
  char buffer[65536];
  while (true) {
    const la_ssize_t count = archive_read_data(open, buffer, sizeof buffer);
    if (count < 0) return corrupt(name, "breaks off or is damaged in the archive");
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<size_t>(count));
    if (bytes.size() > most) {
      return unsupported(name, fmt::format("has more than {} bytes; of all JSON {} are read", most,
                                           kMostTextBytes));
    }
  }
}

struct Unpacked {
  std::vector<HarFile> files;
  std::map<std::string, std::string> texts;  // .hn and .metadata.json, by name
};

Result<Unpacked> unpack(std::string_view bytes) {
  const Archive open(archive_read_new());
  archive_read_support_filter_gzip(open.get());
  archive_read_support_format_tar(open.get());
  if (archive_read_open_memory(open.get(), bytes.data(), bytes.size()) != ARCHIVE_OK) {
    return invalid_input("", "is no tar and no gzipped tar, and so no HAR");
  }
  Unpacked result;
  uint64_t total = 0;
  size_t kept = 0;
  archive_entry* entry = nullptr;
  while (true) {
    const int status = archive_read_next_header(open.get(), &entry);
    if (status == ARCHIVE_EOF) return result;
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
      return corrupt("",
                     fmt::format("is a damaged archive behind {} members", result.files.size()));
    }
    if (result.files.size() >= kMostFiles) {
      return unsupported("", fmt::format("holds more than {} members", kMostFiles));
    }
    const char* const pathname = archive_entry_pathname(entry);
    const std::string name = pathname == nullptr ? "" : pathname;
    const int64_t size = std::max<int64_t>(0, archive_entry_size(entry));
    result.files.push_back({name, static_cast<uint64_t>(size)});
    if (ends_with_any(name, {".hn", ".metadata.json"})) {
      const size_t most = std::min(kMostJsonBytes, kMostTextBytes - kept);
      TRY_ASSIGN(std::string text, member_bytes(open.get(), name, most));
      kept += text.size();
      total += text.size();
      result.texts[name] = std::move(text);
    } else {
      total += static_cast<uint64_t>(size);  // skipping unpacks what is skipped
    }
    if (total > kMostBytes) {
      return unsupported("", fmt::format("unpacks to more than {} bytes", kMostBytes));
    }
  }
}

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? clean_utf8(found->get<std::string>()) : "";
}

std::vector<std::string> names_of(const Json& object, const char* key) {
  std::vector<std::string> names;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return names;
  for (const Json& name : *found) {
    if (name.is_string() && names.size() < kMostNames) {
      names.push_back(clean_utf8(name.get<std::string>()));
    }
  }
  return names;
}

// [[-1, 2, 100, 9], ...], or one shape without the outer list.
std::vector<std::vector<int64_t>> shapes_of(const Json& object, const char* key) {
  std::vector<std::vector<int64_t>> shapes;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array() || found->empty()) return shapes;
  const auto numbers = [](const Json& list) {
    std::vector<int64_t> shape;
    for (const Json& size : list) {
      if (size.is_number_integer() && shape.size() < 16) shape.push_back(size.get<int64_t>());
    }
    return shape;
  };
  if (!found->front().is_array()) return {numbers(*found)};
  for (const Json& shape : *found) {
    if (shape.is_array() && shapes.size() < kMostNames) shapes.push_back(numbers(shape));
  }
  return shapes;
}

Result<void> read_hn(const std::string& text, Har& har) {
  const Json hn = Json::parse(text, nullptr, false);
  if (!hn.is_object() || !hn.contains("layers") || !hn["layers"].is_object()) {
    return corrupt(har.hn, "is no JSON object with \"layers\", as an HN is");
  }
  har.network = text_of(hn, "name");
  if (hn.contains("net_params") && hn["net_params"].is_object()) {
    har.output_layers = names_of(hn["net_params"], "output_layers_order");
  }
  if (hn["layers"].size() > kMostLayers) {
    return unsupported(har.hn, fmt::format("has more than {} layers", kMostLayers));
  }
  for (const auto& [name, body] : hn["layers"].items()) {
    if (!body.is_object()) return corrupt(har.hn, "has a layer that is no JSON object");
    HarLayer layer;
    layer.name = clean_utf8(name);
    layer.type = text_of(body, "type");
    layer.inputs = names_of(body, "input");
    layer.outputs = names_of(body, "output");
    layer.original_names = names_of(body, "original_names");
    layer.input_shapes = shapes_of(body, "input_shapes");
    layer.output_shapes = shapes_of(body, "output_shapes");
    har.layers.push_back(std::move(layer));
  }
  return ok();
}

// The file's own word if it has one; else what its members tell.
std::string state_of(const Json& metadata, const std::vector<HarFile>& files) {
  for (const char* key : {"state", "har_state", "model_state"}) {
    const std::string word = metadata.is_object() ? text_of(metadata, key) : "";
    if (!word.empty()) return word;
  }
  bool compiled = false, quantized = false, full_precision = false;
  for (const HarFile& file : files) {
    compiled |= ends_with_any(file.name, {".hef", ".auto.alls"});
    quantized |= file.name.find(".q.") != std::string::npos;
    full_precision |= ends_with_any(file.name, {".fp.hn"});
  }
  return compiled         ? "compiled (by its members)"
         : quantized      ? "optimized (by its members)"
         : full_precision ? "optimized in full precision (by its members)"
                          : "translated (by its members)";
}

// NAME.hn rather than NAME.native.hn or NAME.fp.hn: the shortest name.
std::string main_hn(const Unpacked& unpacked) {
  std::string best;
  for (const auto& [name, text] : unpacked.texts) {
    if (name.ends_with(".hn") && (best.empty() || name.size() < best.size())) best = name;
  }
  return best;
}

}  // namespace

bool looks_like_har(std::string_view bytes) {
  const bool gzip = bytes.starts_with("\x1f\x8b");
  return gzip || (bytes.size() >= 512 && bytes.substr(257, 5) == "ustar");
}

Result<Har> read_har(std::string_view bytes) {
  TRY_ASSIGN(const Unpacked unpacked, unpack(bytes));
  Har har;
  har.hn = main_hn(unpacked);
  if (har.hn.empty()) {
    return invalid_input("", fmt::format("is an archive of {} members without a .hn: no HAR",
                                         unpacked.files.size()));
  }
  TRY(read_hn(unpacked.texts.at(har.hn), har));
  Json metadata;
  for (const auto& [name, text] : unpacked.texts) {
    if (name.ends_with(".metadata.json")) metadata = Json::parse(text, nullptr, false);
  }
  har.state = state_of(metadata, unpacked.files);
  if (metadata.is_object()) {
    for (const char* key : {"sdk_version", "client_sdk_version", "version"}) {
      if (har.compiler.empty()) har.compiler = text_of(metadata, key);
    }
    for (const char* key : {"hw_arch", "target_hw_arch"}) {
      if (har.device.empty()) har.device = text_of(metadata, key);
    }
  }
  har.hn = clean_utf8(har.hn);
  har.files = unpacked.files;
  for (HarFile& file : har.files) file.name = clean_utf8(file.name);
  return har;
}

}  // namespace graupel::hailo
