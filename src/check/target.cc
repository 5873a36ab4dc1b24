// Reading targets. Idea: every key is checked against the few that exist, and every expression is
// parsed against the facts of its scope, so that a target that loads can judge anything.
// Reference: targets/hailo8.toml. Test: target_test.cc; fuzz/target_fuzz.cc.
#include "check/target.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <optional>

#include "base/files.h"
#include "check/patterns.h"

namespace graupel::check {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr int kMaxExtends = 4;
constexpr std::array kConfidences = {Confidence::kMeasured, Confidence::kLog, Confidence::kStaff,
                                     Confidence::kThirdParty, Confidence::kInferred};
constexpr std::array kSeverities = {Severity::kError, Severity::kWarning, Severity::kInfo};
constexpr std::array kScopes = {Scope::kModel, Scope::kInput, Scope::kOutput};

struct Source {
  std::string where;
  Error at(const toml::node& node, std::string what) const {
    return invalid_input(fmt::format("{}:{}", where, node.source().begin.line), std::move(what));
  }
};

std::string text_of(const toml::key& key) { return std::string(key.str()); }

Result<std::string> text_value(const Source& source, const std::string& key,
                               const toml::node& node) {
  const toml::value<std::string>* text = node.as_string();
  if (text == nullptr) return source.at(node, "'" + key + "' is not a string");
  return text->get();
}

Result<std::vector<std::string>> text_list(const Source& source, const std::string& key,
                                           const toml::node& node) {
  const toml::array* list = node.as_array();
  if (list == nullptr) return source.at(node, "'" + key + "' is not a list of strings");
  std::vector<std::string> texts;
  for (const toml::node& item : *list) {
    TRY_ASSIGN(std::string text, text_value(source, key, item));
    texts.push_back(std::move(text));
  }
  return texts;
}

Result<void> read_numbers(const Source& source, const std::string& key, const toml::node& node,
                          std::map<std::string, double>& numbers) {
  const toml::table* table = node.as_table();
  if (table == nullptr) return source.at(node, "'" + key + "' is not a table of numbers");
  for (const auto& [name, value] : *table) {
    const std::optional<double> number =
        value.is_number() ? value.value<double>() : std::optional<double>();
    if (!number || !std::isfinite(*number)) {
      return source.at(value, fmt::format("{}.{} is not a finite number", key, name.str()));
    }
    numbers[text_of(name)] = *number;
  }
  return ok();
}

// The enumerator whose name is `text`.
template <class Enum, size_t kCount>
Result<Enum> read_enum(const Source& source, const std::string& key, const toml::node& node,
                       const std::array<Enum, kCount>& choices) {
  TRY_ASSIGN(const std::string text, text_value(source, key, node));
  std::string names;
  for (const Enum choice : choices) {
    if (to_string(choice) == text) return choice;
    names += (names.empty() ? "" : ", ") + std::string(to_string(choice));
  }
  return source.at(node, fmt::format("'{}' is '{}', expected one of {}", key, text, names));
}

// Names of a rule: the facts of its scope, then the target's limits.
Result<Symbol> resolve(const Target& target, Scope scope, std::string_view name) {
  const std::vector<Fact>& facts = all_facts();
  for (size_t i = 0; i < facts.size(); ++i) {
    if (facts[i].name != name) continue;
    if (std::find(facts[i].scopes.begin(), facts[i].scopes.end(), scope) == facts[i].scopes.end()) {
      return invalid_input("",
                           fmt::format("fact '{}' is not offered to rules on a{} {}", name,
                                       scope == Scope::kInput || scope == Scope::kOutput ? "n" : "",
                                       to_string(scope)));
    }
    return Symbol{static_cast<int>(i), facts[i].type, facts[i].argument};
  }
  if (name.starts_with("limits.")) {
    const auto found = target.limits.find(std::string(name.substr(7)));
    if (found != target.limits.end()) {
      const auto index = static_cast<int>(std::distance(target.limits.begin(), found));
      return Symbol{-1 - index, Type::kNumber, std::nullopt};
    }
    return invalid_input("", fmt::format("'{}' is not among the target's [limits]", name));
  }
  return invalid_input("", fmt::format("unknown fact '{}'; docs/rules.md lists them", name));
}

// pattern(...) takes one of a fixed set of names, which the types cannot tell.
Result<void> check_patterns(const Expression& expression) {
  for (const Expression::Step& step : expression.steps) {
    if (step.operation != Operation::kName || step.symbol < 0) continue;
    if (all_facts()[static_cast<size_t>(step.symbol)].name != "pattern") continue;
    const std::string* name = std::get_if<std::string>(&expression.steps[step.operands[0]].literal);
    const auto named = [&](const NamedPattern& pattern) {
      return name != nullptr && pattern.name == *name;
    };
    if (std::none_of(all_patterns().begin(), all_patterns().end(), named)) {
      return invalid_input("", fmt::format("unknown pattern '{}'", name != nullptr ? *name : "?"));
    }
  }
  return ok();
}

// Parses the three expressions of a rule.
Result<void> compile_rule(const Target& target, Rule& rule) {
  const ResolveName names = [&](std::string_view name) {
    return resolve(target, rule.scope, name);
  };
  if (!rule.when.empty()) {
    Result<Expression> condition = parse_expression(rule.when, names);
    if (!condition.ok()) return std::move(condition).error().within("'when'");
    if (condition->type() != Type::kBool) return invalid_input("'when'", "is not a condition");
    TRY(check_patterns(*condition));
    rule.condition = std::move(condition).value();
  }
  Result<Template> message = parse_template(rule.message, names);
  if (!message.ok()) return std::move(message).error().within("'message'");
  Result<Template> fix = parse_template(rule.fix, names);
  if (!fix.ok()) return std::move(fix).error().within("'fix'");
  rule.message_template = std::move(message).value();
  rule.fix_template = std::move(fix).value();
  return ok();
}

Result<void> read_rule_key(const Source& source, const std::string& key, const toml::node& node,
                           Rule& rule) {
  if (key == "severity") {
    TRY_ASSIGN(rule.severity, read_enum(source, key, node, kSeverities));
  } else if (key == "confidence") {
    TRY_ASSIGN(rule.confidence, read_enum(source, key, node, kConfidences));
  } else if (key == "on") {
    TRY_ASSIGN(rule.scope, read_enum(source, key, node, kScopes));
  } else if (key == "ops") {
    TRY_ASSIGN(rule.ops, text_list(source, key, node));
  } else {
    const std::map<std::string, std::string*> texts = {{"id", &rule.id},
                                                       {"when", &rule.when},
                                                       {"message", &rule.message},
                                                       {"fix", &rule.fix},
                                                       {"source", &rule.source}};
    const auto found = texts.find(key);
    if (found == texts.end()) {
      return source.at(node, fmt::format("unknown key '{}' in a rule; expected id, severity, ops, "
                                         "on, when, message, fix, source or confidence",
                                         key));
    }
    TRY_ASSIGN(*found->second, text_value(source, key, node));
  }
  return ok();
}

bool is_rule_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Result<Rule> read_rule(const Source& source, const toml::node& node) {
  const toml::table* table = node.as_table();
  if (table == nullptr) return source.at(node, "'rule' is not a list of tables ([[rule]])");
  Rule rule;
  for (const auto& [key, value] : *table) TRY(read_rule_key(source, text_of(key), value, rule));
  if (!is_rule_id(rule.id)) {
    return source.at(node, fmt::format("rule id '{}' is not made of a-z, 0-9 and '-'", rule.id));
  }
  for (const char* key : {"severity", "message", "fix", "source", "confidence"}) {
    if (!table->contains(key)) {
      return source.at(node, fmt::format("rule '{}' has no '{}'", rule.id, key));
    }
  }
  if (table->contains("ops") == table->contains("on") ||
      (table->contains("ops") && rule.ops.empty())) {
    return source.at(node,
                     fmt::format("rule '{}' needs either 'ops' (not empty) or 'on'", rule.id));
  }
  return rule;
}

// Needs no condition: the interpreter knows which operators the target names.
Result<Rule> unknown_op_rule(const Target& target) {
  Rule rule;
  rule.id = kUnknownOp;
  rule.ops = {"*"};
  rule.message = "the target has no verdict on operator {op}";
  rule.fix = "replace it by operators of the target, or cut before it: --end-nodes {producer}";
  rule.source = "the target's allow list";
  TRY(compile_rule(target, rule));
  return rule;
}

Result<void> read_rules(const Source& source, const toml::node& node, Target& target) {
  const toml::array* list = node.as_array();
  if (list == nullptr) return source.at(node, "'rule' is not a list of tables ([[rule]])");
  std::set<std::string> seen;
  for (const toml::node& item : *list) {
    TRY_ASSIGN(Rule rule, read_rule(source, item));
    if (rule.id == kUnknownOp) return source.at(item, "rule id 'unknown-op' is reserved");
    if (!seen.insert(rule.id).second) {
      return source.at(item, fmt::format("rule '{}' appears twice", rule.id));
    }
    Result<void> compiled = compile_rule(target, rule);
    if (!compiled.ok()) {
      return source.at(item, fmt::format("rule '{}': {}", rule.id, compiled.error().message()));
    }
    const auto same = [&](const Rule& other) { return other.id == rule.id; };
    const auto old = std::find_if(target.rules.begin(), target.rules.end(), same);
    if (old != target.rules.end()) {
      *old = std::move(rule);
    } else {
      target.rules.push_back(std::move(rule));
    }
  }
  return ok();
}

Result<Target> read_target(const Source& source, const toml::table& table, int depth);

Result<Target> parse_text(std::string_view toml, std::string_view where, int depth) {
  if (toml.size() > kMaxBytes) {
    return invalid_input(std::string(where), "the target is larger than 1 MiB");
  }
  try {  // toml++ reports syntax errors by exception.
    const toml::table table = toml::parse(toml, where);
    return read_target({std::string(where)}, table, depth);
  } catch (const toml::parse_error& error) {
    return invalid_input(fmt::format("{}:{}", where, error.source().begin.line),
                         std::string(error.description()));
  } catch (const std::exception& error) {
    return invalid_input(std::string(where), error.what());
  }
}

Result<Target> read_base(const Source& source, const toml::table& table, int depth) {
  const toml::node* extends = table.get("extends");
  if (extends == nullptr) return Target{};
  TRY_ASSIGN(const std::string base, text_value(source, "extends", *extends));
  const std::string_view text = builtin_target(base);
  if (text.empty()) {
    return source.at(*extends, fmt::format("extends '{}', which is no built-in target ({})", base,
                                           fmt::join(builtin_target_names(), ", ")));
  }
  if (depth >= kMaxExtends) return source.at(*extends, "targets extend each other too deeply");
  return parse_text(text, base, depth + 1);
}

Result<Target> read_target(const Source& source, const toml::table& table, int depth) {
  TRY_ASSIGN(Target target, read_base(source, table, depth));
  const toml::node* rules = nullptr;
  for (const auto& [name, value] : table) {
    const std::string key = text_of(name);
    if (key == "name") {
      TRY_ASSIGN(target.name, text_value(source, key, value));
    } else if (key == "title") {
      TRY_ASSIGN(target.title, text_value(source, key, value));
    } else if (key == "allow") {
      TRY_ASSIGN(const std::vector<std::string> ops, text_list(source, key, value));
      target.allow = std::set<std::string>(ops.begin(), ops.end());
    } else if (key == "limits") {
      TRY(read_numbers(source, key, value, target.limits));
    } else if (key == "control_units") {
      TRY(read_numbers(source, key, value, target.control_units));
    } else if (key == "rule") {
      rules = &value;
    } else if (key != "extends") {
      return source.at(value, fmt::format("unknown key '{}'; expected name, title, extends, allow, "
                                          "limits, control_units or rule",
                                          key));
    }
  }
  if (!table.contains("name") || target.name.empty()) {
    return invalid_input(source.where, "the target has no 'name'");
  }
  // Limits may be added to, which moves their indices: inherited rules are read anew.
  if (target.rules.empty()) {
    TRY_ASSIGN(Rule unknown_op, unknown_op_rule(target));
    target.rules.push_back(std::move(unknown_op));
  }
  for (Rule& rule : target.rules) TRY(compile_rule(target, rule));
  if (rules != nullptr) TRY(read_rules(source, *rules, target));
  return target;
}

}  // namespace

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::kError: return "error";
    case Severity::kWarning: return "warning";
    case Severity::kInfo: return "info";
  }
  return "?";
}

std::string_view to_string(Confidence confidence) {
  switch (confidence) {
    case Confidence::kMeasured: return "measured";
    case Confidence::kLog: return "log";
    case Confidence::kStaff: return "staff";
    case Confidence::kThirdParty: return "third-party";
    case Confidence::kInferred: return "inferred";
  }
  return "?";
}

bool Rule::judges(const std::string& op) const {
  return std::any_of(ops.begin(), ops.end(),
                     [&](const std::string& name) { return name == "*" || name == op; });
}

const Rule* Target::find(std::string_view id) const {
  for (const Rule& rule : rules) {
    if (rule.id == id) return &rule;
  }
  return nullptr;
}

Result<Target> parse_target(std::string_view toml, std::string_view where) {
  return parse_text(toml, where, 0);
}

Result<Target> load_target(std::string_view name_or_path) {
  const std::string_view text = builtin_target(name_or_path);
  if (!text.empty()) return parse_target(text, name_or_path);
  const std::string path(name_or_path);
  if (!path.ends_with(".toml")) {
    return invalid_input(path, fmt::format("is no target; expected {} or the path of a .toml file",
                                           fmt::join(builtin_target_names(), ", ")));
  }
  TRY_ASSIGN(const std::string toml, read_file(path, kMaxBytes));
  return parse_target(toml, path);
}

}  // namespace graupel::check
