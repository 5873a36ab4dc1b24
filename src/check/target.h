// A target: what a chip (or engine) takes, as data. Read from targets/NAME.toml.
//
//   name = "hailo8"            title = "Hailo-8, ..."      extends = "other"   (optional)
//   allow = ["Conv", ...]      operators with a known verdict; what neither this list nor an
//                              unconditional error rule names is `unknown-op`
//   [limits]                   numbers that conditions use as limits.NAME
//   [control_units]            hardware layers per operator; 0 where not listed
//   [[rule]]
//   id = "round"               severity = "error" | "warning" | "info"
//   ops = ["Round"]            the operators judged, ["*"] for all; or instead
//   on = "model"               "model", "input" or "output"
//   when = "..."               expression over facts (expression.h, facts.h); absent: always
//   message = "... {kernel}"   fix = "... {producer}"      {expressions} are filled in
//   source = "..."             confidence = "measured" | "log" | "staff" | "third-party" |
//                              "inferred"
//
// A target that extends another starts from its contents: `limits` and `control_units` replace
// single entries, a rule with a known id replaces that rule in place, `allow` replaces the list.
// Test: target_test.cc.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "check/expression.h"
#include "check/facts.h"

namespace graupel::check {

// The id of the one rule that is not data: every target begins with it.
inline constexpr std::string_view kUnknownOp = "unknown-op";

enum class Severity { kError, kWarning, kInfo };
std::string_view to_string(Severity severity);  // "error", "warning", "info"

enum class Confidence { kMeasured, kLog, kStaff, kThirdParty, kInferred };
std::string_view to_string(Confidence confidence);  // "measured", ..., "third-party"

struct Rule {
  std::string id;
  Severity severity = Severity::kError;
  Scope scope = Scope::kNode;
  std::vector<std::string> ops;  // node scope; "*" is every operator
  std::string when;              // as written; may be empty
  std::string message;           // as written, with placeholders
  std::string fix;
  std::string source;
  Confidence confidence = Confidence::kInferred;

  Expression condition;
  Template message_template;
  Template fix_template;

  bool judges(const std::string& op) const;  // node scope: names the operator or "*"
};

struct Target {
  std::string name;
  std::string title;
  std::set<std::string> allow;
  std::map<std::string, double> limits;
  std::map<std::string, double> control_units;
  std::vector<Rule> rules;

  // nullptr if there is none.
  const Rule* find(std::string_view id) const;
};

// `where` names the text in errors: "where:line: ...". Errors (kInvalidInput): TOML syntax, unknown
// or missing keys, unknown facts and limits, wrong types, double ids, more than 1 MiB.
Result<Target> parse_target(std::string_view toml, std::string_view where);

// "hailo8", "hailo8l", "cpu" (compiled in from targets/), or the path of a .toml file.
Result<Target> load_target(std::string_view name_or_path);
std::vector<std::string> builtin_target_names();
// Its TOML text, or empty.
std::string_view builtin_target(std::string_view name);

}  // namespace graupel::check
