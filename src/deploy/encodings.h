// Scales as a JSON file: from quantisation-aware training to the quantiser, and back.
//
//   {"format": "graupel-encodings", "version": 1,
//    "tensors": {"NAME": {"type": "uint8", "scale": 0.02, "zero_point": 0}, ...},
//    "layers":  {"NODE": {"bits": 8, "scales": [0.001, ...]}, ...}}
//
// A number stands for code q as (q - zero_point) * scale. Layers are named as nodes; their scales
// are per output channel, or one for all. Test: encodings_test.cc.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "quantize/quantize.h"

namespace graupel::deploy {

// The bundle's member of that form: scales that came with the network.
inline constexpr std::string_view kScalesMember = "scales.json";
std::string format_encodings(const quantize::Encodings& encodings);
// Errors: kInvalidInput naming the entry that is not of this form.
Result<quantize::Encodings> parse_encodings(std::string_view text);

}  // namespace graupel::deploy
