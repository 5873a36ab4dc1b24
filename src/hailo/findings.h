// What the driver of the vendor's compiler has to say: one sentence each, with what to do.
// Test: log_test.cc, script_check_test.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace graupel::hailo {

enum class Severity { kError, kWarning, kInfo };
std::string_view to_string(Severity severity);  // "error", "warning", "info"

struct Finding {
  Severity severity = Severity::kInfo;
  std::string id;       // "silent-downgrade", "unknown-layer", ...
  std::string where;    // a line of a script, a layer, a stage; may be empty
  std::string message;  // what was found
  std::string fix;      // what to do; may be empty
};

bool has_errors(const std::vector<Finding>& findings);
// "error   unknown-layer  line 3: message\n        fix: ...\n" per finding.
std::string format_findings(const std::vector<Finding>& findings);

}  // namespace graupel::hailo
