// JSON on the hot path. See json.h. References: Open Inference Protocol v2 and Triton's binary
// tensor and sequence extensions; the EdgeInfer sidecar's /infer. Library: simdjson 3.0.
// Test: json_test.cc, fuzz/serve_request_fuzz.cc.
#include "serve/json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "base/text.h"

namespace graupel::serve {
namespace {

namespace dom = simdjson::dom;
constexpr size_t kMaxDepth = 16;

Result<dom::element> parse_document(dom::parser& parser, const simdjson::padded_string& json) {
  if (parser.allocate(json.size() + 1, kMaxDepth) != simdjson::SUCCESS) {
    return invalid_input("body", "is too large");
  }
  dom::element root;
  const simdjson::error_code error = parser.parse(json).get(root);
  if (error == simdjson::DEPTH_ERROR) {
    return invalid_input("body", fmt::format("nests deeper than {}", kMaxDepth));
  }
  if (error != simdjson::SUCCESS) {
    return invalid_input("body", fmt::format("is no JSON: {}", simdjson::error_message(error)));
  }
  return root;
}

// Appends a number; plain checks, because a window has a thousand or more of them.
Result<void> append_value(dom::element element, std::string_view where, size_t value_limit,
                          std::vector<float>& values) {
  double value = 0.0;
  if (values.size() >= value_limit) {
    return invalid_input(std::string(where), fmt::format("has more than {} values", value_limit));
  }
  if (element.get_double().get(value) != simdjson::SUCCESS) {
    return invalid_input(std::string(where), "holds something that is no number");
  }
  const auto narrowed = static_cast<float>(value);
  if (!std::isfinite(narrowed)) {
    return invalid_input(std::string(where), fmt::format("holds {}, beyond float32", value));
  }
  values.push_back(narrowed);
  return ok();
}

// Values of a flat or nested array, in order.
Result<void> flatten(dom::element element, std::string_view where, size_t value_limit,
                     std::vector<float>& values) {
  dom::array array;
  if (element.get(array) != simdjson::SUCCESS) {
    return append_value(element, where, value_limit, values);
  }
  for (const dom::element inner : array) {
    double value = 0.0;
    const bool plain = inner.type() == dom::element_type::DOUBLE && values.size() < value_limit;
    if (plain && inner.get_double().get(value) == simdjson::SUCCESS &&
        std::abs(value) <= std::numeric_limits<float>::max()) {
      values.push_back(static_cast<float>(value));
    } else {
      TRY(flatten(inner, where, value_limit, values));
    }
  }
  return ok();
}

Result<std::string> text_at(dom::object object, std::string_view key, std::string_view where) {
  std::string_view text;
  if (object[key].get(text) != simdjson::SUCCESS) {
    return invalid_input(std::string(where), fmt::format("needs \"{}\", a string", key));
  }
  return std::string(text);
}

Result<bool> flag_at(dom::object object, std::string_view key, bool otherwise) {
  dom::element element;
  if (object[key].get(element) != simdjson::SUCCESS) return otherwise;
  bool value = false;
  if (element.get(value) != simdjson::SUCCESS) {
    return invalid_input(std::string(key), "has to be true or false");
  }
  return value;
}

Result<Shape> shape_at(dom::object object, std::string_view where) {
  dom::array array;
  if (object["shape"].get(array) != simdjson::SUCCESS) {
    return invalid_input(std::string(where), "needs \"shape\", an array of integers");
  }
  Shape shape;
  for (const dom::element element : array) {
    int64_t size = 0;
    if (element.get(size) != simdjson::SUCCESS || size < 0 || shape.size() >= 8) {
      return invalid_input(std::string(where), "has a shape that is not up to 8 sizes >= 0");
    }
    shape.push_back(size);
  }
  return shape;
}

Result<OipTensor> tensor_of(dom::element element, size_t value_limit) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) {
    return invalid_input("inputs", "holds something that is no object");
  }
  OipTensor tensor;
  TRY_ASSIGN(tensor.name, text_at(object, "name", "inputs"));
  const std::string where = "input " + shortened(tensor.name, 60);
  TRY_ASSIGN(tensor.datatype, text_at(object, "datatype", where));
  TRY_ASSIGN(tensor.shape, shape_at(object, where));
  dom::object parameters;
  uint64_t size = 0;
  if (object["parameters"].get(parameters) == simdjson::SUCCESS &&
      parameters["binary_data_size"].get(size) == simdjson::SUCCESS) {
    tensor.binary_data_size = size;
    return tensor;
  }
  dom::element data;
  if (object["data"].get(data) != simdjson::SUCCESS || !data.is_array()) {
    return invalid_input(where, "needs \"data\", an array, or a binary_data_size");
  }
  TRY(flatten(data, where, value_limit, tensor.values));
  return tensor;
}

Result<void> read_parameters(dom::object root, OipRequest& request) {
  dom::object parameters;
  if (root["parameters"].get(parameters) != simdjson::SUCCESS) return ok();
  TRY_ASSIGN(request.binary_data_output, flag_at(parameters, "binary_data_output", false));
  TRY_ASSIGN(request.sequence_start, flag_at(parameters, "sequence_start", false));
  TRY_ASSIGN(request.sequence_end, flag_at(parameters, "sequence_end", false));
  uint64_t number = 0;
  std::string_view text;
  if (parameters["sequence_id"].get(number) == simdjson::SUCCESS) {
    if (number != 0) request.sequence_id = std::to_string(number);
  } else if (parameters["sequence_id"].get(text) == simdjson::SUCCESS) {
    request.sequence_id = std::string(text);
  }
  if (parameters["timeout"].get(number) == simdjson::SUCCESS) request.timeout_us = number;
  return ok();
}

Result<void> read_outputs(dom::object root, OipRequest& request) {
  dom::array outputs;
  if (root["outputs"].get(outputs) != simdjson::SUCCESS) return ok();
  for (const dom::element element : outputs) {
    dom::object object;
    if (element.get(object) != simdjson::SUCCESS || request.outputs.size() >= 256) {
      return invalid_input("outputs", "has to hold up to 256 objects");
    }
    OipOutput output;
    TRY_ASSIGN(output.name, text_at(object, "name", "outputs"));
    dom::object parameters;
    bool binary = false;
    if (object["parameters"].get(parameters) == simdjson::SUCCESS &&
        parameters["binary_data"].get(binary) == simdjson::SUCCESS) {
      output.binary_data = binary;
    }
    request.outputs.push_back(std::move(output));
  }
  return ok();
}

// One row of /infer: [channels] of one sensor, or [sensors][channels].
Result<void> read_row(dom::element row, size_t value_limit, SidecarRequest& request) {
  const auto differs = [] {
    return invalid_input("x",
                         "has rows of different length; expected time x channels, or time x "
                         "sensors x channels");
  };
  const size_t before = request.values.size();
  dom::array array;
  if (row.get(array) != simdjson::SUCCESS) return invalid_input("x", "has to hold arrays");
  size_t sensors = 0;
  for (const dom::element element : array) {
    if (element.is_array()) {
      const size_t start = request.values.size();
      TRY(flatten(element, "x", value_limit, request.values));
      if (request.channels == 0) request.channels = request.values.size() - start;
      if (request.values.size() - start != request.channels) return differs();
      ++sensors;
    } else {
      if (sensors > 0) return differs();
      TRY(flatten(element, "x", value_limit, request.values));
    }
  }
  const size_t count = request.values.size() - before;
  if (request.samples == 0) request.sensors = std::max<size_t>(sensors, 1);
  if (request.channels == 0) request.channels = count;
  if (std::max<size_t>(sensors, 1) != request.sensors ||
      count != request.sensors * request.channels || count == 0) {
    return differs();
  }
  ++request.samples;
  return ok();
}

template <class T>
void append_all(std::string& json, std::span<const T> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) json += ',';
    append_number(json, values[i]);
  }
}

}  // namespace

void append_text(std::string& json, std::string_view text) {
  const auto is_plain = [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; };
  json += '"';
  if (std::all_of(text.begin(), text.end(), is_plain)) {
    json += text;
    json += '"';
    return;
  }
  for (const char c : clean_utf8(text)) {
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  json += '"';
}

void append_number(std::string& json, double value) {
  if (!std::isfinite(value)) {
    json += "null";
  } else {
    fmt::format_to(std::back_inserter(json), "{}", value);
  }
}

void append_number(std::string& json, float value) {
  if (!std::isfinite(value)) {
    json += "null";
  } else {
    fmt::format_to(std::back_inserter(json), "{}", value);
  }
}

void append_number(std::string& json, int64_t value) {
  fmt::format_to(std::back_inserter(json), "{}", value);
}

void append_elements(std::string& json, const Tensor& tensor) {
  json += '[';
  if (tensor.dtype() == DType::kFloat32) {
    append_all(json, tensor.data<float>());
  } else if (tensor.dtype() == DType::kInt64) {
    append_all(json, tensor.data<int64_t>());
  } else {
    const std::vector<int64_t> values = tensor.to_int64s();
    append_all(json, std::span<const int64_t>(values));
  }
  json += ']';
}

Result<OipRequest> parse_oip_request(std::string_view json, size_t value_limit) {
  dom::parser parser;
  const simdjson::padded_string padded(json);
  TRY_ASSIGN(const dom::element document, parse_document(parser, padded));
  dom::object root;
  if (document.get(root) != simdjson::SUCCESS) return invalid_input("body", "is no JSON object");
  OipRequest request;
  std::string_view id;
  if (root["id"].get(id) == simdjson::SUCCESS) request.id = std::string(id.substr(0, 256));
  TRY(read_parameters(root, request));
  TRY(read_outputs(root, request));
  dom::array inputs;
  if (root["inputs"].get(inputs) != simdjson::SUCCESS) {
    return invalid_input("body", "needs \"inputs\", an array of tensors");
  }
  for (const dom::element element : inputs) {
    if (request.inputs.size() >= 16) return invalid_input("inputs", "has more than 16 tensors");
    TRY_ASSIGN(OipTensor tensor, tensor_of(element, value_limit));
    request.inputs.push_back(std::move(tensor));
  }
  return request;
}

Result<SidecarRequest> parse_sidecar_request(std::string_view json, size_t value_limit) {
  dom::parser parser;
  const simdjson::padded_string padded(json);
  TRY_ASSIGN(const dom::element document, parse_document(parser, padded));
  dom::array rows;
  if (document["x"].get(rows) != simdjson::SUCCESS) {
    return invalid_input("body",
                         "needs \"x\", an array of time x 9 numbers (or time x sensors x "
                         "9)");
  }
  SidecarRequest request;
  for (const dom::element row : rows) TRY(read_row(row, value_limit, request));
  return request;
}

}  // namespace graupel::serve
