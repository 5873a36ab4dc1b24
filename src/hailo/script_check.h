// Judging a model script before hours are spent on it. Test: script_check_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hailo/findings.h"
#include "hailo/script.h"

namespace graupel::hailo {

// What a script is held against; what is not known is not judged.
struct ScriptContext {
  // The layers of the parsed network, with or without the network's name in front. Exact.
  std::optional<std::vector<std::string>> layers = std::nullopt;
  // Before the network was parsed: how many layers of a kind it can have at most, by the stem of
  // their names ("conv" -> 7: conv1 to conv7 may exist, conv8 cannot).
  std::optional<std::map<std::string, int64_t>> most_layers = std::nullopt;
  std::optional<int64_t> calibration_windows = std::nullopt;
  bool normalized_on_host = false;  // the calibration windows are normalised already
};

// Finds: unknown commands (with near names), layers that do not exist, settings that contradict
// each other (of the allocator's only as "set-again"), values outside what published scripts use,
// an optimisation level the calibration set is too small for, a second normalisation.
std::vector<Finding> check_script(const Script& script, const ScriptContext& context = {});

bool is_known_command(std::string_view command);

}  // namespace graupel::hailo
