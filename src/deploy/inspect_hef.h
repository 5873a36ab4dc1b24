// A HEF described for a deployer, with what is wrong with it: alone, against the metadata that
// lies beside it, against a bundle, for a device. Test: inspect_hef_test.cc.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "hef/hef.h"

namespace graupel::deploy {

struct HefQuestions {
  std::string against;  // a bundle; empty: none
  std::string arch;     // "hailo8", "hailo8l", ...; empty: any
  std::string hailort;  // "4.20" or "4.20.0": will this version read it; empty: any
};

// What the bundle's device part promises: sizes, input ranges (of optimize), end nodes.
// Errors: those of reading the bundle; kInvalidInput if it has no device part.
Result<hef::Promise> promise_of_bundle(const std::string& path);

// `path` is where `bytes` came from: NAME.metadata.json or model_metadata.json beside it is read
// if there is one. {"kind":"hef",...,"findings":[{severity,id,where,message,fix}]}.
Result<nlohmann::ordered_json> inspect_hef(const std::string& path, std::string_view bytes,
                                           const HefQuestions& questions);

}  // namespace graupel::deploy
