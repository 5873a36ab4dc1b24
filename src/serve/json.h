// JSON on the hot path: requests are parsed by simdjson, replies written number by number.
// Test: json_test.cc, fuzz/serve_request_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"

namespace graupel::serve {

// Appends to a growing JSON text; the caller writes brackets and commas itself.
void append_text(std::string& json, std::string_view text);  // quoted, escaped, valid UTF-8
void append_number(std::string& json, double value);         // shortest form; null if not finite
void append_number(std::string& json, float value);
void append_number(std::string& json, int64_t value);
void append_elements(std::string& json, const Tensor& tensor);  // flat, as an array

struct OipTensor {
  std::string name;
  std::string datatype;  // "FP32", ...
  Shape shape;
  std::vector<float> values;  // from "data", flat or nested
  std::optional<uint64_t> binary_data_size;
};

struct OipOutput {
  std::string name;
  std::optional<bool> binary_data;
};

// A request of the Open Inference Protocol.
struct OipRequest {
  std::string id;
  std::vector<OipTensor> inputs;
  std::vector<OipOutput> outputs;  // empty: all
  bool binary_data_output = false;
  std::optional<uint64_t> timeout_us;
  std::string sequence_id;  // numbers as their text; empty: none
  bool sequence_start = false, sequence_end = false;
};

// Errors: kInvalidInput, naming the key, for anything that is not such a request; JSON nested more
// than 16 deep, a number that is not finite as float32, or more than `value_limit` values.
Result<OipRequest> parse_oip_request(std::string_view json, size_t value_limit);

// {"x": [[9 floats] x T]} or {"x": [[[9] x sensors] x T]}: values in the order they stand in.
struct SidecarRequest {
  size_t samples = 0, sensors = 0, channels = 0;  // sensors is 1 for the first form
  std::vector<float> values;                      // [samples][sensors][channels]
};
// Errors as above; also rows of different length.
Result<SidecarRequest> parse_sidecar_request(std::string_view json, size_t value_limit);

}  // namespace graupel::serve
