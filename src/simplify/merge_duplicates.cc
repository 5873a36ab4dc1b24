// The same thing computed or stored twice.
//
//   merge_duplicate_nodes      two nodes with equal operator and inputs  ->  the first
//   merge_duplicate_constants  two constants with equal bytes            ->  the first
//
// Idea: nodes are found by operator kind and inputs, in topological order, so duplicates of
// duplicates fall in one sweep. Constants are compared by type, then by hash, then byte by byte.
// Conditions: never an operator without semantics (it might be random); of two graph outputs both
// stay. Test: rows_test.cc.
#include <cstring>
#include <map>
#include <string_view>
#include <tuple>

#include "simplify/edit.h"

namespace graupel::simplify {
namespace {

using ir::NodeId;
using ir::ValueId;

// All outputs of `id` that are used can be replaced by those of `first`.
bool replaceable(const Sweep& sweep, NodeId id, NodeId first) {
  const std::vector<ValueId>& mine = sweep.graph.node(id).outputs;
  const std::vector<ValueId>& theirs = sweep.graph.node(first).outputs;
  if (mine.size() != theirs.size()) return false;
  for (size_t i = 0; i < mine.size(); ++i) {
    if (mine[i].valid() != theirs[i].valid()) return false;
    if (mine[i].valid() && sweep.uses.is_output[mine[i].index()]) return false;
  }
  return true;
}

void replace_by(Sweep& sweep, NodeId id, NodeId first) {
  const std::vector<ValueId> mine = sweep.graph.node(id).outputs;
  const std::vector<ValueId> theirs = sweep.graph.node(first).outputs;
  for (size_t i = 0; i < mine.size(); ++i) {
    if (mine[i].valid()) redirect(sweep, mine[i], theirs[i]);
  }
  erase(sweep, id);
}

using NodeKey = std::pair<size_t, std::vector<ValueId>>;

NodeKey key_of(const ir::Node& node) { return {node.op.index(), node.inputs}; }

uint64_t hash_bytes(const Tensor& tensor) {
  const std::string_view bytes(reinterpret_cast<const char*>(tensor.bytes()), tensor.size_bytes());
  uint64_t hash = 0x9E3779B97F4A7C15u;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    hash = (hash ^ word) * 0xFF51AFD7ED558CCDu;
    hash ^= hash >> 32;
  }
  for (; i < bytes.size(); ++i) hash = (hash ^ static_cast<uint8_t>(bytes[i])) * 0x100000001B3u;
  return hash;
}

}  // namespace

Result<ir::Graph> merge_duplicate_nodes(ir::Graph graph, PassLog& log) {
  Sweep sweep{graph, log, ir::find_uses(graph), {}};
  std::map<NodeKey, std::vector<NodeId>> seen;
  const int64_t before = log.edits;
  for (const NodeId id : ir::live_nodes(graph)) {
    if (!log.may_edit()) break;
    const ir::Node& node = graph.node(id);
    if (std::holds_alternative<ir::Opaque>(node.op)) continue;
    std::vector<NodeId>& candidates = seen[key_of(node)];
    NodeId twin;
    for (const NodeId candidate : candidates) {
      if (!twin.valid() && graph.node(candidate).op == node.op &&
          replaceable(sweep, id, candidate)) {
        twin = candidate;
      }
    }
    if (twin.valid()) {
      replace_by(sweep, id, twin);
      ++log.edits;
    } else {
      candidates.push_back(id);
    }
  }
  if (log.edits == before) return graph;
  return ir::compact(std::move(graph));
}

Result<ir::Graph> merge_duplicate_constants(ir::Graph graph, PassLog& log) {
  using TypeKey = std::pair<DType, Shape>;
  Sweep sweep{graph, log, ir::find_uses(graph), {}};
  std::map<TypeKey, std::vector<ValueId>> by_type;
  for (size_t i = 0; i < graph.values.size(); ++i) {
    const std::optional<Tensor>& constant = graph.values[i].constant;
    if (constant) by_type[{constant->dtype(), constant->shape()}].emplace_back(i);
  }
  const int64_t before = log.edits;
  for (const auto& [type, ids] : by_type) {
    if (ids.size() < 2) continue;  // nothing to compare with, so nothing to hash
    std::map<uint64_t, std::vector<ValueId>> by_hash;
    for (const ValueId id : ids) {
      std::vector<ValueId>& candidates = by_hash[hash_bytes(*graph.constant(id))];
      ValueId twin;
      for (const ValueId candidate : candidates) {
        if (!twin.valid() && *graph.constant(candidate) == *graph.constant(id)) twin = candidate;
      }
      if (!twin.valid()) {
        candidates.push_back(id);
      } else if (!sweep.uses.is_output[id.index()] && log.may_edit()) {
        redirect(sweep, id, twin);
        ++log.edits;
      }
    }
  }
  if (log.edits == before) return graph;
  return ir::compact(std::move(graph));
}

}  // namespace graupel::simplify
