// Reports as text, JSON, SARIF and Markdown; tables of rules. See format.h. Test: check_test.cc.
#include "check/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace graupel::check {
namespace {

using Json = nlohmann::ordered_json;

constexpr Severity kOrder[] = {Severity::kError, Severity::kWarning, Severity::kInfo};
constexpr const char* kSarifSchema =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

// Names from a file may hold any bytes; what is not UTF-8 is replaced.
std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

// Control characters of names must not reach a terminal or break a line.
std::string printable(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      safe += fmt::format("\\x{:02x}", byte);
    } else {
      safe += c;
    }
  }
  return safe;
}

std::string cell(std::string_view text) {
  std::string safe;
  for (const char c : printable(text)) {
    if (c == '|' || c == '<' || c == '*' || c == '_' || c == '`') safe += '\\';
    safe += c;
  }
  return safe;
}

std::string place(const Finding& finding) {
  if (finding.scope == Scope::kNode) return fmt::format("{} ({})", finding.subject, finding.op);
  if (finding.scope == Scope::kModel) return "model";
  return fmt::format("{} {}", to_string(finding.scope), finding.subject);
}

std::vector<const Finding*> by_severity(const CheckReport& report, Severity severity) {
  std::vector<const Finding*> found;
  for (const Finding& finding : report.findings) {
    if (finding.severity == severity) found.push_back(&finding);
  }
  return found;
}

std::string plural(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string summary(const CheckReport& report) {
  const Counts& counts = report.counts;
  std::string text = fmt::format("{}: {}, {}, {}; {} judged", report.passed() ? "passed" : "failed",
                                 plural(counts.errors, "error"), plural(counts.warnings, "warning"),
                                 plural(counts.infos, "note"),
                                 plural(report.verdicts.size() - counts.host_nodes, "node"));
  if (counts.host_nodes > 0) {
    text += fmt::format(", {} on the host", plural(counts.host_nodes, "node"));
  }
  return text;
}

std::vector<std::string> host_names(const CheckReport& report) {
  std::vector<std::string> names;
  for (const NodeVerdict& verdict : report.verdicts) {
    if (verdict.verdict == Verdict::kHost) names.push_back(printable(verdict.name));
  }
  return names;
}

Json finding_json(const Finding& finding) {
  Json json = {{"rule", finding.rule},
               {"severity", to_string(finding.severity)},
               {"on", to_string(finding.scope)}};
  if (finding.scope != Scope::kModel) json["name"] = finding.subject;
  if (finding.scope == Scope::kNode) json["op"] = finding.op;
  json["message"] = finding.message;
  json["fix"] = finding.fix;
  json["source"] = finding.source;
  json["confidence"] = to_string(finding.confidence);
  return json;
}

std::string_view sarif_level(Severity severity) {
  return severity == Severity::kInfo ? "note" : to_string(severity);
}

// "judges Conv, Gemm", "judges the model".
std::string judged(const Rule& rule) {
  if (rule.scope == Scope::kModel) return "the model";
  if (rule.scope != Scope::kNode) return fmt::format("every {}", to_string(rule.scope));
  if (rule.ops[0] == "*") return "every node";
  return fmt::format("{}", fmt::join(rule.ops, ", "));
}

std::string condition(const Rule& rule) {
  if (rule.id == kUnknownOp) return "neither the allow list nor an error rule names the operator";
  return rule.when.empty() ? "always" : rule.when;
}

Json sarif_rule(const Rule& rule) {
  return {{"id", rule.id},
          {"shortDescription", {{"text", rule.id + ": " + judged(rule)}}},
          {"fullDescription", {{"text", rule.message + " (when: " + condition(rule) + ")"}}},
          {"help", {{"text", rule.fix}}},
          {"defaultConfiguration", {{"level", sarif_level(rule.severity)}}},
          {"properties", {{"source", rule.source}, {"confidence", to_string(rule.confidence)}}}};
}

Json sarif_result(const CheckReport& report, const Target& target, const Finding& finding) {
  const auto same = [&](const Rule& rule) { return rule.id == finding.rule; };
  const auto rule = std::find_if(target.rules.begin(), target.rules.end(), same);
  Json location = Json::object();
  if (!report.model.empty()) {
    location["physicalLocation"] = {{"artifactLocation", {{"uri", report.model}}}};
  }
  Json logical = {{"name", finding.scope == Scope::kModel ? "model" : finding.subject},
                  {"kind", finding.scope == Scope::kNode ? "object" : to_string(finding.scope)}};
  if (finding.scope == Scope::kNode) logical["decoratedName"] = finding.op;
  location["logicalLocations"] = Json::array({std::move(logical)});
  Json result = {{"ruleId", finding.rule}};
  if (rule != target.rules.end()) result["ruleIndex"] = std::distance(target.rules.begin(), rule);
  result["level"] = sarif_level(finding.severity);
  result["message"] = {
      {"text", fmt::format("{}: {}. Fix: {}", place(finding), finding.message, finding.fix)}};
  result["locations"] = Json::array({std::move(location)});
  result["properties"] = {{"fix", finding.fix},
                          {"source", finding.source},
                          {"confidence", to_string(finding.confidence)}};
  return result;
}

// `text` in a column of `width`.
std::string padded(std::string_view text, size_t width) {
  return fmt::format("{:<{}}", text, width);
}

}  // namespace

std::string format_text(const CheckReport& report) {
  std::string text = fmt::format("{} against {}\n", printable(report.model), report.title);
  for (const Severity severity : kOrder) {
    for (const Finding* finding : by_severity(report, severity)) {
      text += fmt::format("\n{:<7} {}  {}\n        {}\n        fix: {}\n        [{}; {}]\n",
                          to_string(severity), finding->rule, printable(place(*finding)),
                          printable(finding->message), printable(finding->fix), finding->source,
                          to_string(finding->confidence));
    }
  }
  const std::vector<std::string> host = host_names(report);
  if (!host.empty()) text += fmt::format("\nruns on the host: {}\n", fmt::join(host, ", "));
  return text + "\n" + summary(report) + "\n";
}

std::string format_json(const CheckReport& report) {
  Json findings = Json::array();
  for (const Finding& finding : report.findings) findings.push_back(finding_json(finding));
  Json nodes = Json::array();
  for (const NodeVerdict& verdict : report.verdicts) {
    nodes.push_back(
        {{"name", verdict.name}, {"op", verdict.op}, {"verdict", to_string(verdict.verdict)}});
  }
  const Counts& counts = report.counts;
  return dump({{"target", report.target},
               {"model", report.model},
               {"passed", report.passed()},
               {"counts",
                {{"errors", counts.errors},
                 {"warnings", counts.warnings},
                 {"infos", counts.infos},
                 {"nodes", report.verdicts.size()},
                 {"host_nodes", counts.host_nodes}}},
               {"findings", std::move(findings)},
               {"nodes", std::move(nodes)}});
}

std::string format_sarif(const CheckReport& report, const Target& target) {
  Json rules = Json::array();
  for (const Rule& rule : target.rules) rules.push_back(sarif_rule(rule));
  Json results = Json::array();
  for (const Finding& finding : report.findings) {
    results.push_back(sarif_result(report, target, finding));
  }
  const Json driver = {{"name", "graupel check"},
                       {"rules", std::move(rules)},
                       {"properties", {{"target", target.name}}}};
  return dump({{"$schema", kSarifSchema},
               {"version", "2.1.0"},
               {"runs", Json::array({{{"tool", {{"driver", driver}}},
                                      {"columnKind", "utf16CodeUnits"},
                                      {"results", std::move(results)}}})}});
}

std::string format_markdown(const CheckReport& report) {
  std::string text = fmt::format("## {} against {}\n\n{}\n", cell(report.model), cell(report.title),
                                 summary(report));
  if (!report.findings.empty()) {
    text += "\n| severity | rule | where | what | fix | source |\n|---|---|---|---|---|---|\n";
  }
  for (const Severity severity : kOrder) {
    for (const Finding* finding : by_severity(report, severity)) {
      text +=
          fmt::format("| {} | `{}` | {} | {} | {} | {} ({}) |\n", to_string(severity),
                      finding->rule, cell(place(*finding)), cell(finding->message),
                      cell(finding->fix), cell(finding->source), to_string(finding->confidence));
    }
  }
  const std::vector<std::string> host = host_names(report);
  if (!host.empty()) {
    text +=
        fmt::format("\nRuns on the host: {}.\n", cell(fmt::format("{}", fmt::join(host, ", "))));
  }
  return text;
}

std::string list_rules(const Target& target) {
  size_t id_width = 0;
  for (const Rule& rule : target.rules) id_width = std::max(id_width, rule.id.size());
  std::string text = fmt::format("{}: {} rules\n\n", target.title, target.rules.size());
  for (const Rule& rule : target.rules) {
    text += fmt::format("{}  {}  {}  {}\n", padded(rule.id, id_width),
                        padded(to_string(rule.severity), 7), padded(to_string(rule.confidence), 11),
                        judged(rule));
  }
  return text;
}

Result<std::string> explain(const Target& target, std::string_view id) {
  const Rule* rule = target.find(id);
  if (rule == nullptr) {
    return invalid_input(std::string(id), "target " + target.name +
                                              " has no such rule; graupel check --list-rules "
                                              "shows them");
  }
  return fmt::format(
      "{} ({}, {})\n  judges      {}\n  when        {}\n  says        {}\n  fix         {}\n"
      "  source      {}\n  confidence  {}\n",
      rule->id, to_string(rule->severity), target.title, judged(*rule), condition(*rule),
      rule->message, rule->fix, rule->source, to_string(rule->confidence));
}

}  // namespace graupel::check
