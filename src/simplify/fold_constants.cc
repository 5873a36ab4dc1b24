// Operators whose inputs are all constant become constants, within a byte budget.
//
//   before:  op(constant, ...) -> y        after:  constant y
//
// Idea: the reference evaluator computes the value, so folding cannot disagree with it. What a fold
// adds to the file is charged against the log's budgets: a network must not grow tenfold because a
// ConstantOfShape or Tile was written out. Left alone: DequantizeLinear (it holds INT8 weights
// small on purpose), operators without semantics, folds that would take long.
// Test: rows_test.cc.
#include <algorithm>

#include "ir/eval.h"
#include "simplify/edit.h"

namespace graupel::simplify {
namespace {

using ir::NodeId;
using ir::ValueId;

constexpr int64_t kMaxMultiplyAdds = 200'000'000;  // of one fold: well under a second
constexpr uint64_t kScratchBytes = uint64_t{1} << 30;

bool only_repeats(const ir::Op& op) {
  return std::holds_alternative<ir::ConstantOfShape>(op) ||
         std::holds_alternative<ir::Expand>(op) || std::holds_alternative<ir::Tile>(op);
}

bool foldable_kind(const ir::Op& op) {
  return !std::holds_alternative<ir::Opaque>(op) &&
         !std::holds_alternative<ir::DequantizeLinear>(op);
}

bool all_constant(const ir::Graph& graph, const ir::Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
    return !id.valid() || graph.value(id).constant.has_value();
  });
}

// Bytes of all outputs, or nothing if a shape is unknown or the size overflows.
std::optional<int64_t> output_bytes(const ir::Graph& graph, const ir::Node& node) {
  int64_t total = 0;
  for (const ValueId id : node.outputs) {
    if (!id.valid()) continue;
    const Shape* shape = known_shape(graph, id);
    const std::optional<int64_t> count = shape ? element_count(*shape) : std::nullopt;
    if (!count) return std::nullopt;
    total += *count * static_cast<int64_t>(element_size_bytes(graph.value(id).dtype));
  }
  return total;
}

// Bytes of constants that nobody needs once the node is folded.
int64_t freed_bytes(const Sweep& sweep, const ir::Node& node) {
  int64_t total = 0;
  for (const ValueId id : node.inputs) {
    if (!id.valid() || !read_once(sweep, id)) continue;
    total += static_cast<int64_t>(sweep.graph.value(id).constant->size_bytes());
  }
  return total;
}

void note(Sweep& sweep, const ir::Node& node, const std::string& reason) {
  sweep.log.notes.push_back("left " + node.name + " (" + std::string(ir::op_type(node.op)) +
                            ") as it is: " + reason);
}

bool within_budget(Sweep& sweep, const ir::Node& node, int64_t growth_bytes) {
  if (growth_bytes <= 0) return true;
  PassLog& log = sweep.log;
  const bool repeats = only_repeats(node.op);
  if (growth_bytes > log.growth_left_bytes ||
      (repeats && growth_bytes > log.repetition_left_bytes)) {
    note(sweep, node,
         "folding it would add " + std::to_string(growth_bytes) +
             " bytes, more than the budget leaves");
    return false;
  }
  return true;
}

bool try_fold(Sweep& sweep, NodeId id) {
  const ir::Graph& graph = sweep.graph;
  const ir::Node& node = graph.node(id);
  if (!foldable_kind(node.op) || node.outputs.empty() || !all_constant(graph, node)) return false;
  const std::optional<int64_t> bytes = output_bytes(graph, node);
  if (!bytes) return false;
  const int64_t growth_bytes = *bytes - freed_bytes(sweep, node);
  if (!within_budget(sweep, node, growth_bytes)) return false;
  if (ir::multiply_adds(graph, id) > kMaxMultiplyAdds) {
    note(sweep, node, "computing it takes too long");
    return false;
  }
  std::vector<const Tensor*> operands;
  for (const ValueId value : node.inputs) operands.push_back(graph.constant(value));
  Result<std::vector<Tensor>> results =
      ir::evaluate_op(node.op, operands, node.outputs.size(), kScratchBytes);
  if (!results.ok() || results.value().size() < node.outputs.size()) {
    note(sweep, node, results.ok() ? "an output is missing" : results.error().message());
    return false;
  }
  if (growth_bytes > 0) {
    sweep.log.growth_left_bytes -= growth_bytes;
    if (only_repeats(node.op)) sweep.log.repetition_left_bytes -= growth_bytes;
  }
  const std::vector<ValueId> outputs = node.outputs;
  erase(sweep, id);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].valid()) continue;
    ir::Value& value = sweep.graph.value(outputs[i]);
    value.dtype = results.value()[i].dtype();
    value.shape = results.value()[i].shape();
    value.constant = std::move(results.value()[i]);
  }
  return true;
}

}  // namespace

Result<ir::Graph> fold_constants(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_fold);
}

}  // namespace graupel::simplify
