// Scales as JSON. See encodings.h. Test: encodings_test.cc.
#include "deploy/encodings.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace graupel::deploy {
namespace {

using Json = nlohmann::ordered_json;
constexpr size_t kMostBytes = size_t{256} << 20;

Result<float> scale_of(const std::string& where, const Json& json) {
  if (!json.is_number()) return invalid_input(where, "has no number as scale");
  const auto scale = static_cast<float>(json.get<double>());
  if (!std::isnormal(scale) || scale < 0.0f) {
    return invalid_input(where, "has a scale that is not a positive number");
  }
  return scale;
}

Result<quantize::Encoding> tensor_encoding(const std::string& name, const Json& json) {
  const std::string where = "tensor " + name;
  if (!json.is_object()) return invalid_input(where, "is not an object with type and scale");
  quantize::Encoding encoding;
  const Json type = json.value("type", Json("int8"));
  const std::optional<DType> dtype =
      type.is_string() ? parse_dtype(type.get<std::string>()) : std::nullopt;
  const bool known = dtype == DType::kInt8 || dtype == DType::kUInt8 || dtype == DType::kInt16 ||
                     dtype == DType::kUInt16;
  if (!known) return invalid_input(where, "has a type other than int8, uint8, int16, uint16");
  encoding.dtype = *dtype;
  TRY_ASSIGN(encoding.scale, scale_of(where, json.value("scale", Json())));
  const Json zero = json.value("zero_point", Json(0));
  const int64_t low = dtype == DType::kInt8 ? -128 : 0;
  const int64_t high = dtype == DType::kInt8 ? 127 : dtype == DType::kUInt8 ? 255 : 0;
  const bool fits =
      zero.is_number_integer() && zero.get<int64_t>() >= low && zero.get<int64_t>() <= high;
  if (!fits) return invalid_input(where, "has a zero point that its type does not hold");
  encoding.zero_point = zero.get<int32_t>();
  return encoding;
}

Result<quantize::LayerEncoding> layer_encoding(const std::string& name, const Json& json) {
  const std::string where = "layer " + name;
  if (!json.is_object()) return invalid_input(where, "is not an object with bits and scales");
  quantize::LayerEncoding encoding;
  const Json bits = json.value("bits", Json(8));
  if (bits != Json(4) && bits != Json(8) && bits != Json(16)) {
    return invalid_input(where, "has bits other than 4, 8 or 16");
  }
  encoding.bits = bits.get<int>();
  const Json scales = json.value("scales", Json());
  if (!scales.is_array() || scales.empty()) return invalid_input(where, "has no list of scales");
  for (const Json& scale : scales) {
    TRY_ASSIGN(const float value, scale_of(where, scale));
    encoding.scales.push_back(value);
  }
  return encoding;
}

}  // namespace

std::string format_encodings(const quantize::Encodings& encodings) {
  Json json = {{"format", "graupel-encodings"}, {"version", 1}};
  Json& tensors = json["tensors"] = Json::object();
  for (const auto& [name, encoding] : encodings.tensors) {
    tensors[name] = {{"type", to_string(encoding.dtype)},
                     {"scale", encoding.scale},
                     {"zero_point", encoding.zero_point}};
  }
  Json& layers = json["layers"] = Json::object();
  for (const auto& [name, encoding] : encodings.layers) {
    layers[name] = {{"bits", encoding.bits}, {"scales", encoding.scales}};
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<quantize::Encodings> parse_encodings(std::string_view text) {
  if (text.size() > kMostBytes) return invalid_input("scales", "file is larger than 256 MB");
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("format", Json()) != Json("graupel-encodings")) {
    return invalid_input("scales", "is not a JSON object with \"format\": \"graupel-encodings\"");
  }
  if (json.value("version", Json()) != Json(1)) {
    return unsupported("scales", "has a version other than 1");
  }
  quantize::Encodings encodings;
  const Json tensors = json.value("tensors", Json::object());
  const Json layers = json.value("layers", Json::object());
  if (!tensors.is_object() || !layers.is_object()) {
    return invalid_input("scales", "has tensors or layers that are not objects");
  }
  for (const auto& [name, entry] : tensors.items()) {
    TRY_ASSIGN(encodings.tensors[name], tensor_encoding(name, entry));
  }
  for (const auto& [name, entry] : layers.items()) {
    TRY_ASSIGN(encodings.layers[name], layer_encoding(name, entry));
  }
  return encodings;
}

}  // namespace graupel::deploy
