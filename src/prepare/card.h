// The data card: what is in the windows, where it came from, what was left out and why.
// Test: prepare_test.cc.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "prepare/prepare.h"
#include "prepare/window_store.h"

namespace graupel::prepare {

// What was left out or repaired, in one line.
std::string describe_counts(const Tally& tally);
// What came out, and what was left out and why, for the terminal.
std::string describe(const PrepareOptions& options, const Prepared& prepared);
nlohmann::ordered_json summary_json(const PrepareOptions& options, const Prepared& prepared);
nlohmann::ordered_json card_json(const PrepareOptions& options, const Prepared& prepared,
                                 const WindowStore& store);
std::string card_markdown(const PrepareOptions& options, const Prepared& prepared,
                          const WindowStore& store);
// One person: windows of each class, and mean, spread and range of each channel and sensor.
std::string subject_svg(int64_t subject, const Prepared& prepared, const WindowStore& store);
// What a person is called in the files.
std::string subject_name(const Tally& tally, int64_t subject);

}  // namespace graupel::prepare
