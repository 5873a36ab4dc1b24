// What a rule can ask about a model, a node, or a graph input or output: one table of named facts.
//
// Idea: targets/*.toml names facts, this table computes them; nothing else connects the two, so a
// new rule over known facts needs no C++. A fact whose shapes are not known yet is unknown.
// Test: rules_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "check/expression.h"
#include "ir/graph.h"

namespace graupel::check {

// What a rule judges; a fact is offered to some of these.
enum class Scope { kModel, kNode, kInput, kOutput };
std::string_view to_string(Scope scope);  // "model", ...

struct Range {
  double low = 0.0;
  double high = 0.0;
};

// What the graph itself no longer tells. Everything is optional.
struct CheckOptions {
  std::string file;        // shown in reports
  int64_t file_bytes = 0;  // of the original file; 0: not known
  int64_t opset = 0;       // of the original file; 0: the graph's source_opset
  int64_t ir_version = 0;  // likewise
  // Per graph input, the dimensions the file left open and the reader pinned: "batch", ...
  std::map<std::string, std::vector<std::string>> dynamic_dims;
  std::vector<std::string> unnamed_nodes;  // names the reader made up
  std::map<std::string, Range> ranges;     // measured activations, by value name
  std::vector<ir::NodeId> host_nodes;      // run on the host: not judged
};

// A graph with what facts are computed from. Holds pointers: graph and options must outlive it.
struct View {
  const ir::Graph* graph = nullptr;
  const CheckOptions* options = nullptr;
  const std::map<std::string, double>* limits = nullptr;
  const std::map<std::string, double>* control_units = nullptr;
  ir::Uses uses;
  std::vector<bool> on_host;             // by node
  std::map<std::string, double> totals;  // model-level facts, computed once
};
View make_view(const ir::Graph& graph, const CheckOptions& options,
               const std::map<std::string, double>& limits,
               const std::map<std::string, double>& control_units);

// One thing judged: the model (neither id valid), a node, or a graph input or output.
struct Subject {
  const View* view = nullptr;
  ir::NodeId node;
  ir::ValueId value;
};

struct Fact {
  std::string_view name;
  Type type;
  std::vector<Scope> scopes;
  std::optional<Type> argument;
  std::string_view help;
  FactValue (*get)(const Subject& subject, const FactValue* argument);
};
// Static, in the order of the documentation.
const std::vector<Fact>& all_facts();

// "Conv", "LSTM", "com.microsoft::Gelu": the type with its domain unless that is ONNX's own.
std::string op_name(const ir::Op& op);
bool is_opaque(const ir::Op& op);

}  // namespace graupel::check
