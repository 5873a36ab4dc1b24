// Findings as text. See findings.h. Test: log_test.cc.
#include "hailo/findings.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace graupel::hailo {

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::kError: return "error";
    case Severity::kWarning: return "warning";
    case Severity::kInfo: return "info";
  }
  return "";
}

bool has_errors(const std::vector<Finding>& findings) {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.severity == Severity::kError; });
}

std::string format_findings(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{:<8}{}  {}{}{}\n", to_string(finding.severity), finding.id,
                        clean_utf8(finding.where), finding.where.empty() ? "" : ": ",
                        clean_utf8(finding.message));
    if (!finding.fix.empty()) text += fmt::format("        fix: {}\n", clean_utf8(finding.fix));
  }
  return text;
}

}  // namespace graupel::hailo
