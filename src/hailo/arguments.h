// The vendor's command lines: which flags exist. Test: arguments_test.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace graupel::hailo {

enum class Stage { kParser, kOptimize, kCompiler };
std::string_view to_string(Stage stage);  // the sub-command: "parser", ...

// Are these the user's extra words for `stage` fit to be passed on? Errors: kInvalidInput for a
// flag that no working command line was ever seen with (those people invent are named as such), for
// one graupel sets itself, and for a value behind a bare switch.
Result<void> check_extra(Stage stage, const std::vector<std::string>& words);

// The flags of `stage` seen in working use, those of graupel included.
std::vector<std::string_view> known_flags(Stage stage);

}  // namespace graupel::hailo
