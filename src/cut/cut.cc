// Choosing and making the cut. See cut.h.
//
// Automatic choice: let D be the supported nodes all of whose ancestors are supported. Nodes of D
// that multiply-add, and what they need, must stay on the device; the rest of D may move to the
// host. Among those cuts the bytes that cross are a minimum s-t cut: source = device, sink = host,
// each tensor one arc of its size from its producer to a hub that every reader hangs on. Ties go
// to the larger device part, except that standing behind a Concat costs one byte: it joins tensors
// of different range under one INT8 scale (vendor advice, facts of the Dataflow Compiler §4).
// Test: cut_test.cc.
#include "cut/cut.h"

#include <algorithm>
#include <set>

#include "cut/min_cut.h"
#include "ir/eval.h"

namespace graupel::cut {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

using NodeSet = std::vector<bool>;  // indexed by node

bool only_moves_data(const ir::Op& op) {
  return std::holds_alternative<ir::Reshape>(op) || std::holds_alternative<ir::Transpose>(op) ||
         std::holds_alternative<ir::Flatten>(op) || std::holds_alternative<ir::Squeeze>(op) ||
         std::holds_alternative<ir::Unsqueeze>(op);
}

// Everything `seeds` depend on, themselves included.
NodeSet with_ancestors(const Graph& graph, const ir::Uses& uses, const std::vector<NodeId>& seeds) {
  NodeSet set(graph.nodes.size(), false);
  std::vector<NodeId> open = seeds;
  while (!open.empty()) {
    const NodeId id = open.back();
    open.pop_back();
    if (set[id.index()]) continue;
    set[id.index()] = true;
    for (const ValueId input : graph.node(id).inputs) {
      if (input.valid() && uses.producer[input.index()].valid()) {
        open.push_back(uses.producer[input.index()]);
      }
    }
  }
  return set;
}

// What has to run before the device starts at `starts`: all they depend on, but nothing that itself
// depends on one of them.
NodeSet before_starts(const Graph& graph, const ir::Uses& uses, const std::vector<NodeId>& starts) {
  NodeSet before = with_ancestors(graph, uses, starts);
  NodeSet behind(graph.nodes.size(), false);
  for (const NodeId id : starts) behind[id.index()] = true;
  for (const NodeId id : ir::live_nodes(graph)) {
    for (const ValueId input : graph.node(id).inputs) {
      const NodeId producer = input.valid() ? uses.producer[input.index()] : NodeId();
      if (producer.valid() && behind[producer.index()]) behind[id.index()] = true;
    }
    if (behind[id.index()]) before[id.index()] = false;
  }
  return before;
}

NodeSet reachable_supported(const Graph& graph, const ir::Uses& uses,
                            const std::vector<bool>& supported, const NodeSet& before) {
  NodeSet reachable(graph.nodes.size(), false);
  for (const NodeId id : ir::live_nodes(graph)) {
    if (!supported[id.index()] || before[id.index()]) continue;
    const ir::Node& node = graph.node(id);
    reachable[id.index()] = std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId in) {
      const NodeId producer = in.valid() ? uses.producer[in.index()] : NodeId();
      return !producer.valid() || reachable[producer.index()] || before[producer.index()];
    });
  }
  return reachable;
}

// A value that is a Concat's output, or such a value rearranged.
std::vector<bool> values_behind_concat(const Graph& graph) {
  std::vector<bool> behind(graph.values.size(), false);
  for (const NodeId id : ir::live_nodes(graph)) {
    const ir::Node& node = graph.node(id);
    const bool joined = std::holds_alternative<ir::Concat>(node.op) && node.inputs.size() > 1;
    const bool moved =
        only_moves_data(node.op) && node.inputs[0].valid() && behind[node.inputs[0].index()];
    if (joined || moved) behind[node.outputs[0].index()] = true;
  }
  return behind;
}

int64_t elements(const Graph& graph, ValueId id) {
  return element_count(graph.shape(id)).value_or(0);
}

NodeSet cheapest_device(const Graph& graph, const ir::Uses& uses, const NodeSet& before,
                        const NodeSet& reachable) {
  const size_t nodes = graph.nodes.size();
  const size_t source = nodes + graph.values.size(), sink = source + 1;
  FlowNetwork network(sink + 1);
  const std::vector<bool> behind_concat = values_behind_concat(graph);
  std::vector<NodeId> computing;
  for (const NodeId id : ir::live_nodes(graph)) {
    if (before[id.index()]) continue;
    if (!reachable[id.index()]) {
      network.add_arc(id.index(), sink, kUncuttable);
    } else if (ir::multiply_adds(graph, id) > 0) {
      computing.push_back(id);
    }
  }
  // Without multiply-adds nothing has to be on the device, and the cheapest cut is to use none.
  if (computing.empty()) return reachable;
  const NodeSet fixed = with_ancestors(graph, uses, computing);
  for (const NodeId id : ir::live_nodes(graph)) {
    if (before[id.index()]) continue;
    if (reachable[id.index()] && fixed[id.index()]) {
      network.add_arc(source, id.index(), kUncuttable);
    }
    for (const ValueId output : graph.node(id).outputs) {
      if (!output.valid()) continue;
      // Scaled so that the Concat byte breaks ties without outweighing real bytes.
      const int64_t cost = 2 * elements(graph, output) + (behind_concat[output.index()] ? 1 : 0);
      const size_t hub = nodes + output.index();
      network.add_arc(id.index(), hub, cost);
      for (const NodeId reader : uses.readers[output.index()]) {
        network.add_arc(hub, reader.index(), kUncuttable);
        // The device part is downward closed: a device reader needs a device producer.
        network.add_arc(reader.index(), id.index(), kUncuttable);
      }
      if (uses.is_output[output.index()]) network.add_arc(hub, sink, kUncuttable);
    }
  }
  std::vector<bool> side = minimum_cut(std::move(network), source, sink);
  side.resize(nodes);
  for (size_t i = 0; i < nodes; ++i) side[i] = side[i] && reachable[i] && !graph.nodes[i].dead;
  return side;
}

// Length of the longest common part at the ends of two names: finds "conv1/Conv" for "Conv1".
size_t similarity(const std::string& a, const std::string& b) {
  size_t prefix = 0, suffix = 0;
  while (prefix < std::min(a.size(), b.size()) && a[prefix] == b[prefix]) ++prefix;
  while (suffix < std::min(a.size(), b.size()) - prefix &&
         a[a.size() - 1 - suffix] == b[b.size() - 1 - suffix]) {
    ++suffix;
  }
  return prefix + suffix;
}

Error unknown_name(const Graph& graph, const std::string& name) {
  std::string nearest;
  for (const NodeId id : ir::live_nodes(graph)) {
    const std::string& candidate = graph.node(id).name;
    if (nearest.empty() || similarity(name, candidate) > similarity(name, nearest)) {
      nearest = candidate;
    }
  }
  return invalid_input("node '" + name + "'",
                       "is in the simplified graph neither as a node nor as a tensor; the nearest "
                       "name is '" +
                           nearest + "' (graupel inspect lists all)");
}

enum class End { kStart, kEnd };

Result<std::vector<NodeId>> named_nodes(const Graph& graph, const ir::Uses& uses,
                                        const std::vector<std::string>& names, End end,
                                        std::vector<std::string>& notes) {
  std::vector<NodeId> ids;
  for (const std::string& name : names) {
    if (const std::optional<NodeId> id = ir::find_node(graph, name)) {
      ids.push_back(*id);
      continue;
    }
    const std::optional<ValueId> value = ir::find_value(graph, name);
    if (!value) return unknown_name(graph, name);
    std::vector<NodeId> found;
    if (end == End::kStart) {
      found = uses.readers[value->index()];
    } else if (uses.producer[value->index()].valid()) {
      found = {uses.producer[value->index()]};
    }
    if (found.empty()) {
      return invalid_input("tensor '" + name + "'", end == End::kStart
                                                        ? "is read by no node; name a node"
                                                        : "is made by no node; name a node");
    }
    for (const NodeId id : found) {
      // A node that reads the tensor twice is listed twice.
      if (std::find(ids.begin(), ids.end(), id) != ids.end()) continue;
      notes.push_back("'" + name + "' is a tensor; took node '" + graph.node(id).name + "'");
      ids.push_back(id);
    }
  }
  return ids;
}

Result<NodeSet> named_device(const Graph& graph, const ir::Uses& uses,
                             const std::vector<bool>& supported, const NodeSet& before,
                             const std::vector<NodeId>& ends) {
  for (const NodeId id : ends) {
    if (!before[id.index()]) continue;
    return invalid_input(graph.node(id).name,
                         "is named as an end node, but lies in front of the start nodes");
  }
  NodeSet device = with_ancestors(graph, uses, ends);
  for (size_t i = 0; i < device.size(); ++i) {
    if (before[i]) device[i] = false;
    if (device[i] && !supported[i]) {
      return invalid_input(graph.nodes[i].name,
                           "(" + std::string(ir::op_type(graph.nodes[i].op)) +
                               ") cannot run on the device, but a named end node needs it; name "
                               "end nodes in front of it, or leave them out to cut automatically");
    }
  }
  return device;
}

// The nodes of `keep` with `inputs` as graph inputs and `outputs` as graph outputs.
Result<Graph> extract(const Graph& graph, const std::string& name, const NodeSet& keep,
                      std::vector<ValueId> inputs, std::vector<ValueId> outputs) {
  Graph part = graph;
  part.name = name;
  for (size_t i = 0; i < part.nodes.size(); ++i) {
    if (!keep[i]) part.nodes[i].dead = true;
  }
  part.inputs = std::move(inputs);
  part.outputs = std::move(outputs);
  TRY_ASSIGN(part, ir::compact(std::move(part)));
  TRY(ir::verify(part));
  return part;
}

// Values made outside `keep` (or graph inputs) that nodes of `keep` read, each once, in order.
std::vector<ValueId> needed_by(const Graph& graph, const ir::Uses& uses, const NodeSet& keep) {
  std::vector<ValueId> needed;
  std::set<ValueId> seen;
  for (const NodeId id : ir::live_nodes(graph)) {
    if (!keep[id.index()]) continue;
    for (const ValueId input : graph.node(id).inputs) {
      if (!input.valid() || graph.constant(input) != nullptr) continue;
      const NodeId producer = uses.producer[input.index()];
      if (producer.valid() && keep[producer.index()]) continue;
      if (seen.insert(input).second) needed.push_back(input);
    }
  }
  return needed;
}

Result<Cut> make_cut(const Graph& graph, const ir::Uses& uses, const NodeSet& before,
                     const NodeSet& device) {
  Cut result;
  NodeSet host(graph.nodes.size(), false);
  result.parts.assign(graph.nodes.size(), Part::kHost);
  for (const NodeId id : ir::live_nodes(graph)) {
    host[id.index()] = !before[id.index()] && !device[id.index()];
    if (before[id.index()]) result.parts[id.index()] = Part::kBefore;
    if (device[id.index()]) result.parts[id.index()] = Part::kDevice;
  }
  const std::vector<ValueId> device_inputs = needed_by(graph, uses, device);
  std::vector<ValueId> host_inputs = needed_by(graph, uses, host);
  std::vector<ValueId> device_outputs, before_outputs;
  const auto made_by = [&](ValueId id, const NodeSet& set) {
    const NodeId producer = uses.producer[id.index()];
    return producer.valid() && set[producer.index()];
  };
  for (const ValueId id : host_inputs) {
    if (made_by(id, device)) device_outputs.push_back(id);
  }
  for (const ValueId id : graph.outputs) {
    if (std::find(device_outputs.begin(), device_outputs.end(), id) == device_outputs.end() &&
        made_by(id, device)) {
      device_outputs.push_back(id);
    }
    // An output made in front of the host part passes through it.
    if (!made_by(id, host) &&
        std::find(host_inputs.begin(), host_inputs.end(), id) == host_inputs.end()) {
      host_inputs.push_back(id);
    }
  }
  for (const std::vector<ValueId>& list : {device_inputs, host_inputs}) {
    for (const ValueId id : list) {
      if (made_by(id, before) &&
          std::find(before_outputs.begin(), before_outputs.end(), id) == before_outputs.end()) {
        before_outputs.push_back(id);
      }
    }
  }
  for (const ValueId id : device_outputs) {
    result.crossings.push_back({graph.value(id).name, graph.node(uses.producer[id.index()]).name,
                                graph.shape(id), elements(graph, id)});
  }
  TRY_ASSIGN(result.before,
             extract(graph, graph.name + "_before", before, graph.inputs, before_outputs));
  TRY_ASSIGN(result.device,
             extract(graph, graph.name + "_device", device, device_inputs, device_outputs));
  TRY_ASSIGN(result.host, extract(graph, graph.name + "_host", host, host_inputs, graph.outputs));
  return result;
}

Result<void> attach_codes(const Graph& graph, Cut& result) {
  result.fsq = find_fsq(graph);
  if (!result.fsq) return ok();
  // Codes of a q that went through INT8 would not be exact.
  if (!ir::find_node(result.host, result.fsq->round_node)) {
    result.notes.push_back("FSQ was found, but its rounding '" + result.fsq->round_node +
                           "' is not in the host part; its codes are not made available");
    return ok();
  }
  TRY_ASSIGN(result.host, add_code_outputs(std::move(result.host), *result.fsq));
  return ir::verify(result.host);
}

}  // namespace

Result<Cut> cut(const Graph& graph, const std::vector<bool>& supported, const CutOptions& options) {
  const ir::Uses uses = ir::find_uses(graph);
  std::vector<std::string> notes;
  NodeSet before(graph.nodes.size(), false);
  if (!options.start_nodes.empty()) {
    TRY_ASSIGN(const std::vector<NodeId> starts,
               named_nodes(graph, uses, options.start_nodes, End::kStart, notes));
    before = before_starts(graph, uses, starts);
  }
  const NodeSet reachable = reachable_supported(graph, uses, supported, before);
  NodeSet device;
  if (options.end_nodes.empty()) {
    device = cheapest_device(graph, uses, before, reachable);
  } else {
    TRY_ASSIGN(const std::vector<NodeId> ends,
               named_nodes(graph, uses, options.end_nodes, End::kEnd, notes));
    TRY_ASSIGN(device, named_device(graph, uses, supported, before, ends));
  }
  if (std::find(device.begin(), device.end(), true) == device.end()) {
    for (const NodeId id : ir::live_nodes(graph)) {
      if (supported[id.index()]) continue;
      return unsupported(graph.node(id).name,
                         "(" + std::string(ir::op_type(graph.node(id).op)) +
                             ") cannot run on the device and everything depends on it; name "
                             "--start-nodes behind it to run it on the host first");
    }
    return unsupported(graph.name, "has no node that the device could compute");
  }
  TRY_ASSIGN(Cut result, make_cut(graph, uses, before, device));
  result.notes = std::move(notes);
  TRY(attach_codes(graph, result));
  return result;
}

Result<void> prove_recombination(const Graph& whole, const Cut& cut, int probes) {
  for (int probe = 0; probe < probes; ++probe) {
    const std::vector<Tensor> inputs = ir::probe_inputs(whole, static_cast<uint64_t>(probe) + 1);
    TRY_ASSIGN(const std::vector<Tensor> expected, ir::evaluate(whole, inputs));
    std::map<std::string, Tensor> known;
    for (size_t i = 0; i < inputs.size(); ++i) {
      known[whole.value(whole.inputs[i]).name] = inputs[i];
    }
    for (const Graph* part : {&cut.before, &cut.device, &cut.host}) {
      std::vector<Tensor> part_inputs;
      for (const ValueId id : part->inputs) part_inputs.push_back(known[part->value(id).name]);
      TRY_ASSIGN(const std::vector<Tensor> outputs, ir::evaluate(*part, part_inputs));
      for (size_t i = 0; i < outputs.size(); ++i) {
        known[part->value(part->outputs[i]).name] = outputs[i];
      }
    }
    for (size_t i = 0; i < expected.size(); ++i) {
      const std::string& name = whole.value(whole.outputs[i]).name;
      if (!(known[name] == expected[i])) {
        return internal_error(name, "differs between the whole graph and its recombined halves");
      }
    }
  }
  return ok();
}

}  // namespace graupel::cut
