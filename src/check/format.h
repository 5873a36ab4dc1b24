// Reports and rule tables for people and machines. All are deterministic.
// Test: check_test.cc.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "check/check.h"

namespace graupel::check {

// Findings by severity with their fix, then one line of counts. Plain text without colours.
std::string format_text(const CheckReport& report);
// One JSON object: target, model, passed, counts, findings [], nodes [].
std::string format_json(const CheckReport& report);
// SARIF 2.1.0 with one run: the target's rules, and a result per finding with a logical location.
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
std::string format_sarif(const CheckReport& report, const Target& target);
// Tables for a merge request or a report.
std::string format_markdown(const CheckReport& report);

// The target's rules as a text table: id, severity, what is judged, confidence.
std::string list_rules(const Target& target);
// Everything about one rule. Error kInvalidInput if the target has no such rule.
Result<std::string> explain(const Target& target, std::string_view rule);
// docs/rules.md: every built-in target's rules, and the facts conditions may use.
Result<std::string> rules_document();

}  // namespace graupel::check
