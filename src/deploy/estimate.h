// An estimate as JSON and as text. Test: tests/cli/cli_test.cc.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "estimate/estimate.h"

namespace graupel::deploy {

nlohmann::ordered_json estimate_json(const estimate::Network& network, estimate::Device device,
                                     estimate::Link link, const estimate::Estimate& result);
// Says in its first and last lines that it is an estimate.
std::string estimate_text(const estimate::Network& network, estimate::Device device,
                          estimate::Link link, const estimate::Estimate& result);

}  // namespace graupel::deploy
