// The stages' results as JSON: for --json and for the bundle's reports/. Test: deploy_test.cc.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "deploy/parse.h"
#include "quantize/calibration_check.h"
#include "quantize/quantize.h"
#include "run/profile.h"
#include "simplify/simplify.h"
#include "validate/bars.h"

namespace graupel::deploy {

using Json = nlohmann::ordered_json;

// Simplifier trace (without durations), cut, findings. No times, no paths: same input, same bytes.
Json parse_json(const Parsed& parsed);
Json simplify_json(const simplify::Simplified& simplified);
Json cut_json(const cut::Cut& cut);
Json findings_json(const check::CheckReport& report);
Json calibration_json(const std::vector<quantize::CalibrationFinding>& findings);
Json quantized_json(const quantize::Quantized& quantized);
Json profile_json(const run::Profile& profile);
Json judgements_json(const std::vector<validate::Judgement>& judgements);

}  // namespace graupel::deploy
