// The interpreter of rules. See check.h. Test: check_test.cc, rules_test.cc.
#include "check/check.h"

#include <algorithm>
#include <unordered_map>

namespace graupel::check {
namespace {

using ir::Graph;
using ir::NodeId;

// Facts and limits of one subject; limits have negative indices (target.cc).
LookUp look_up_for(const Subject& subject) {
  return [subject](int index, const FactValue* argument) -> FactValue {
    if (index >= 0) return all_facts()[static_cast<size_t>(index)].get(subject, argument);
    return std::next(subject.view->limits->begin(), -1 - index)->second;
  };
}

bool fires(const Rule& rule, const LookUp& look_up) {
  const FactValue value = evaluate(rule.condition, look_up);
  const bool* truth = std::get_if<bool>(&value);
  return truth != nullptr && *truth;
}

Finding make_finding(const Rule& rule, const LookUp& look_up) {
  Finding finding;
  finding.rule = rule.id;
  finding.severity = rule.severity;
  finding.scope = rule.scope;
  finding.message = fill(rule.message_template, look_up);
  finding.fix = fill(rule.fix_template, look_up);
  finding.source = rule.source;
  finding.confidence = rule.confidence;
  return finding;
}

// Rules by operator name, in the target's order; those of "*" are in every list.
class RuleIndex {
 public:
  explicit RuleIndex(const Target& target) : target_(target) {}

  const std::vector<const Rule*>& rules_for(const std::string& op) {
    const auto [found, fresh] = by_op_.try_emplace(op);
    if (fresh) {
      for (const Rule& rule : target_.rules) {
        if (rule.scope == Scope::kNode && rule.judges(op)) found->second.push_back(&rule);
      }
    }
    return found->second;
  }

  // Whether the target has a verdict on an operator.
  bool knows(const std::string& op, bool opaque) {
    if (!opaque && target_.allow.contains(op)) return true;
    const std::vector<const Rule*>& rules = rules_for(op);
    return std::any_of(rules.begin(), rules.end(), [&](const Rule* rule) {
      return rule->severity == Severity::kError && rule->when.empty() && rule->ops[0] != "*";
    });
  }

 private:
  const Target& target_;
  std::unordered_map<std::string, std::vector<const Rule*>> by_op_;
};

enum class Wanted { kAll, kErrors };

// All findings on one node, in the target's order.
std::vector<Finding> judge_node(const View& view, NodeId id, RuleIndex& index, Wanted wanted) {
  std::vector<Finding> findings;
  const ir::Node& node = view.graph->node(id);
  const std::string op = op_name(node.op);
  const LookUp look_up = look_up_for({&view, id, {}});
  for (const Rule* rule : index.rules_for(op)) {
    if (wanted == Wanted::kErrors && rule->severity != Severity::kError) continue;
    const bool found =
        rule->id == kUnknownOp ? !index.knows(op, is_opaque(node.op)) : fires(*rule, look_up);
    if (found) findings.push_back(make_finding(*rule, look_up));
  }
  for (Finding& finding : findings) {
    finding.node = id;
    finding.subject = node.name;
    finding.op = op;
  }
  return findings;
}

void judge_values(const Target& target, const View& view, Scope scope,
                  const std::vector<ir::ValueId>& values, std::vector<Finding>& findings) {
  for (const ir::ValueId value : values) {
    const LookUp look_up = look_up_for({&view, {}, value});
    for (const Rule& rule : target.rules) {
      if (rule.scope != scope || !fires(rule, look_up)) continue;
      findings.push_back(make_finding(rule, look_up));
      findings.back().subject = view.graph->value(value).name;
    }
  }
}

void judge_model(const Target& target, const View& view, std::vector<Finding>& findings) {
  const LookUp look_up = look_up_for({&view, {}, {}});
  for (const Rule& rule : target.rules) {
    if (rule.scope != Scope::kModel || !fires(rule, look_up)) continue;
    findings.push_back(make_finding(rule, look_up));
  }
}

Verdict verdict_of(const std::vector<Finding>& findings) {
  Verdict verdict = Verdict::kSupported;
  for (const Finding& finding : findings) {
    if (finding.severity == Severity::kError) return Verdict::kUnsupported;
    if (finding.severity == Severity::kWarning) verdict = Verdict::kRisky;
  }
  return verdict;
}

void count(CheckReport& report) {
  for (const Finding& finding : report.findings) {
    if (finding.severity == Severity::kError) ++report.counts.errors;
    if (finding.severity == Severity::kWarning) ++report.counts.warnings;
    if (finding.severity == Severity::kInfo) ++report.counts.infos;
  }
  for (const NodeVerdict& verdict : report.verdicts) {
    if (verdict.verdict == Verdict::kHost) ++report.counts.host_nodes;
  }
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kSupported: return "supported";
    case Verdict::kRisky: return "risky";
    case Verdict::kUnsupported: return "unsupported";
    case Verdict::kHost: return "host";
  }
  return "?";
}

CheckReport check(const Graph& graph, const Target& target, const CheckOptions& options) {
  const View view = make_view(graph, options, target.limits, target.control_units);
  RuleIndex index(target);
  CheckReport report;
  report.target = target.name;
  report.title = target.title;
  report.model = options.file.empty() ? graph.name : options.file;
  judge_model(target, view, report.findings);
  judge_values(target, view, Scope::kInput, graph.inputs, report.findings);
  for (const NodeId id : ir::live_nodes(graph)) {
    const ir::Node& node = graph.node(id);
    NodeVerdict verdict{id, node.name, op_name(node.op), Verdict::kHost};
    if (!view.on_host[id.index()]) {
      std::vector<Finding> findings = judge_node(view, id, index, Wanted::kAll);
      verdict.verdict = verdict_of(findings);
      std::move(findings.begin(), findings.end(), std::back_inserter(report.findings));
    }
    report.verdicts.push_back(std::move(verdict));
  }
  judge_values(target, view, Scope::kOutput, graph.outputs, report.findings);
  count(report);
  return report;
}

std::vector<std::vector<Finding>> unsupported_reasons(const Graph& graph, const Target& target,
                                                      const CheckOptions& options) {
  const View view = make_view(graph, options, target.limits, target.control_units);
  RuleIndex index(target);
  std::vector<std::vector<Finding>> reasons(graph.nodes.size());
  for (const NodeId id : ir::live_nodes(graph)) {
    if (view.on_host[id.index()]) continue;
    reasons[id.index()] = judge_node(view, id, index, Wanted::kErrors);
  }
  return reasons;
}

bool supported(const Graph& graph, NodeId node, const Target& target) {
  const CheckOptions options;
  const View view = make_view(graph, options, target.limits, target.control_units);
  RuleIndex index(target);
  return judge_node(view, node, index, Wanted::kErrors).empty();
}

}  // namespace graupel::check
