// A HEF described for a deployer, with what is wrong with it: alone, against the metadata that
// lies beside it, against a bundle, for a device. Test: inspect_hef_test.cc.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "bundle/bundle.h"
#include "hef/hef.h"

namespace graupel::deploy {

struct HefQuestions {
  std::string against;  // a bundle; empty: none
  std::string arch;     // "hailo8", "hailo8l", ...; empty: any
  std::string hailort;  // "4.20" or "4.20.0": will this version read it; empty: the installed one
  // Where an installed HailoRT is looked for: "/" or a folder that stands for it; empty: nowhere.
  std::string machine_root;
};

// What the bundle's device part promises: shapes, ranges (of optimize), names of its first
// and last nodes. `source` names the bundle in messages. Errors: kInvalidInput if it has no device
// part, kCorrupt if that cannot be read.
Result<hef::Promise> promise_of(const bundle::Bundle& bundle, const std::string& source);

// Architecture, compiler, runtimes, groups, streams; no findings.
nlohmann::ordered_json describe_hef(const hef::Hef& hef);

// `path` is where `bytes` came from: NAME.metadata.json or model_metadata.json beside it is read
// if there is one. {"kind":"hef",...,"findings":[{severity,id,where,message,fix}]}.
Result<nlohmann::ordered_json> inspect_hef(const std::string& path, std::string_view bytes,
                                           const HefQuestions& questions);

}  // namespace graupel::deploy
