// Judging a graph against a target: every node gets a verdict, every finding is reported.
//
// Idea: rules are data (target.h); this is their one interpreter. A finding needs a certain
// condition, so a graph with unknown shapes is judged as far as it is known and told to become
// static. Nodes that run on the host are not judged. An operator that neither the target's allow
// list nor an unconditional error rule names gets the finding `unknown-op`.
// Test: check_test.cc, rules_test.cc.
#pragma once

#include <string>
#include <vector>

#include "check/facts.h"
#include "check/target.h"

namespace graupel::check {

struct Finding {
  std::string rule;
  Severity severity = Severity::kError;
  Scope scope = Scope::kNode;
  ir::NodeId node;      // node scope only
  std::string subject;  // name of the node, input or output; empty for the model
  std::string op;       // node scope only
  std::string message;  // with the actual values filled in
  std::string fix;
  std::string source;
  Confidence confidence = Confidence::kInferred;
};

enum class Verdict { kSupported, kRisky, kUnsupported, kHost };  // kRisky: has a warning
std::string_view to_string(Verdict verdict);                     // "supported", ...

struct NodeVerdict {
  ir::NodeId node;
  std::string name;
  std::string op;
  Verdict verdict = Verdict::kSupported;
};

struct Counts {
  size_t errors = 0;
  size_t warnings = 0;
  size_t infos = 0;
  size_t host_nodes = 0;
};

struct CheckReport {
  std::string target;  // name
  std::string title;
  std::string model;                  // options.file, or the graph's name
  std::vector<Finding> findings;      // model, inputs, nodes in order, outputs; by rule within
  std::vector<NodeVerdict> verdicts;  // every live node, in order
  Counts counts;
  bool passed() const { return counts.errors == 0; }
};

// Never fails: whatever cannot be judged is a finding.
CheckReport check(const ir::Graph& graph, const Target& target, const CheckOptions& options = {});

// The error findings of node rules only: what keeps nodes off the device, for choosing a cut.
// reasons[i] belongs to graph.nodes[i] and is empty where the target takes the node.
std::vector<std::vector<Finding>> unsupported_reasons(const ir::Graph& graph, const Target& target,
                                                      const CheckOptions& options = {});
// One node of the above; builds the whole view, so not for loops.
bool supported(const ir::Graph& graph, ir::NodeId node, const Target& target);

}  // namespace graupel::check
