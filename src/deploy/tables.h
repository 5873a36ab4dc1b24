// Results as tables of plain text, for the terminal. Test: deploy_test.cc.
#pragma once

#include <string>

#include "quantize/quantize.h"
#include "run/profile.h"
#include "simplify/simplify.h"

namespace graupel::deploy {

std::string pass_table();                                         // name and what it does
std::string trace_table(const simplify::Simplified& simplified);  // passes that edited
std::string noise_table(const quantize::Quantized& quantized);    // worst layer first
// Level steps, sensitivity, layers with their bounds, findings with their remedies.
std::string optimisation_tables(const quantize::Quantized& quantized);
// "one thread", or "2 threads, 4 windows at a time"
std::string way_text(const run::Profile& profile);
std::string profile_table(const run::Profile& profile);  // per step, then the sums

}  // namespace graupel::deploy
