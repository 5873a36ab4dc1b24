// docs/rules.md: generated from the built-in targets and the table of facts, so that it cannot
// disagree with what is checked. Test: rules_test.cc.
#include <fmt/format.h>

#include "check/format.h"

namespace graupel::check {
namespace {

std::string code(std::string_view text) {
  std::string safe = "`";
  for (const char c : text) {
    if (c == '|') safe += '\\';
    safe += c;
  }
  return safe + "`";
}

std::string cell(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '|' || c == '<' || c == '*' || c == '_') safe += '\\';
    safe += c;
  }
  return safe;
}

std::string judged(const Rule& rule) {
  if (rule.scope != Scope::kNode) return std::string(to_string(rule.scope));
  return rule.ops[0] == "*" ? "every node" : fmt::format("{}", fmt::join(rule.ops, ", "));
}

std::string rule_row(const Rule& rule) {
  const std::string when = rule.id == kUnknownOp ? "not in the allow list and in no error rule"
                           : rule.when.empty()   ? "always"
                                                 : code(rule.when);
  return fmt::format("| {} | {} | {} | {} | {} | {} | {} ({}) |\n", code(rule.id),
                     to_string(rule.severity), cell(judged(rule)), when, cell(rule.message),
                     cell(rule.fix), cell(rule.source), to_string(rule.confidence));
}

std::string target_section(const Target& target) {
  std::string text = fmt::format("## {}: {}\n\nLimits:", target.name, target.title);
  for (const auto& [name, value] : target.limits) {
    text += fmt::format(" `{}` {}{}", name, to_string(FactValue(value)),
                        name == target.limits.rbegin()->first ? ".\n" : ",");
  }
  text += "\nAllowed operators (in the forms the rules leave):";
  for (const std::string& op : target.allow) text += " " + op;
  return text + ".\n";
}

std::string rules_table(const Target& target) {
  std::string text =
      "\n| rule | severity | judges | when | says | fix | source (confidence) |\n"
      "|---|---|---|---|---|---|---|\n";
  for (const Rule& rule : target.rules) text += rule_row(rule);
  return text;
}

bool same_rules(const Target& a, const Target& b) {
  if (a.rules.size() != b.rules.size()) return false;
  for (size_t i = 0; i < a.rules.size(); ++i) {
    if (rule_row(a.rules[i]) != rule_row(b.rules[i])) return false;
  }
  return true;
}

std::string facts_table() {
  std::string text =
      "## Facts for conditions and messages\n\n"
      "Conditions know `and`, `or`, `not`, comparisons, `in [...]`, arithmetic, numbers and "
      "'texts'."
      "\nA fact that is not known (a shape that is not static) makes no rule fire. `limits.NAME` is"
      "\na number of the target.\n\n| fact | gives | offered to rules on | means "
      "|\n|---|---|---|---"
      "|\n";
  for (const Fact& fact : all_facts()) {
    std::string scopes;
    for (const Scope scope : fact.scopes) {
      scopes += (scopes.empty() ? "" : ", ") + std::string(to_string(scope));
    }
    const std::string argument =
        fact.argument ? fmt::format("({})", to_string(*fact.argument)) : std::string();
    text += fmt::format("| `{}{}` | {} | {} | {} |\n", fact.name, argument, to_string(fact.type),
                        scopes, cell(fact.help));
  }
  return text;
}

}  // namespace

Result<std::string> rules_document() {
  std::string text =
      "# Rules of `graupel check`\n\n"
      "Generated from `targets/*.toml`; `UPDATE_GOLDEN=1 build/release/src/check_test` rewrites "
      "it.\nSeverity: an error keeps the network off the device and makes the command fail; a "
      "warning is\na risk or yesterday's rule; info is for planning. Confidence: measured, seen in "
      "a log, said\nby vendor staff, claimed by a third party, or inferred.\n\n";
  std::vector<Target> shown;
  for (const std::string& name : builtin_target_names()) {
    TRY_ASSIGN(Target target, load_target(name));
    text += target_section(target);
    bool repeated = false;
    for (const Target& other : shown) {
      if (repeated || !same_rules(other, target)) continue;
      text += fmt::format("\nIts rules are those of {}, with the limits above.\n", other.name);
      repeated = true;
    }
    if (!repeated) text += rules_table(target);
    text += "\n";
    shown.push_back(std::move(target));
  }
  return text + facts_table();
}

}  // namespace graupel::check
