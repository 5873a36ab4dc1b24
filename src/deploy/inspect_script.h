// A model script of the vendor's compiler (.alls) as JSON. Test: tests/hailo, inspect_test.cc.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace graupel::deploy {

// {"kind":"alls","statements","commands":{NAME: count},"names_given","written_back","findings"}.
// Layers are not judged: no network is at hand.
// Errors: those of hailo::parse_script.
Result<nlohmann::ordered_json> inspect_script(std::string_view text);

}  // namespace graupel::deploy
