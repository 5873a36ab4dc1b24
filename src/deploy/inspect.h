// What a file holds, whatever graupel knows: ONNX, bundle, npy, npz, HEF, HAR, model script.
// Test: inspect_test.cc.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "deploy/inspect_hef.h"

namespace graupel::deploy {

// The kind is told by the first bytes, of model scripts (.alls) by the name. Errors: kIo;
// kInvalidInput for a file of a kind graupel does not know; those of the reader of its kind. A HEF
// is asked `questions` too; its findings are in "findings".
Result<nlohmann::ordered_json> inspect(const std::string& path, const HefQuestions& questions = {});

}  // namespace graupel::deploy
