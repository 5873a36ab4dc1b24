// A HAR described. Test: tests/hailo.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace graupel::deploy {

// {"kind":"har","state":...,"layers":[...]}. Errors: those of hailo::read_har.
Result<nlohmann::ordered_json> inspect_har(std::string_view bytes);

}  // namespace graupel::deploy
