// Recognising the neighbourhood of a node. See patterns.h. Test: rules_test.cc.
#include "check/patterns.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace graupel::check {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

constexpr size_t kReach = 6;     // nodes between a MatMul and its Softmax, scale and mask included
constexpr size_t kVisited = 64;  // nodes looked at per search
constexpr double kTolerance = 1e-3;

NodeId producer_of(const View& view, ValueId value) {
  return value.valid() ? view.uses.producer[value.index()] : NodeId();
}

std::vector<NodeId> producers(const View& view, NodeId node) {
  std::vector<NodeId> found;
  for (const ValueId input : view.graph->node(node).inputs) {
    const NodeId producer = producer_of(view, input);
    if (producer.valid()) found.push_back(producer);
    if (found.size() > kVisited) break;
  }
  return found;
}

std::vector<NodeId> readers(const View& view, NodeId node) {
  std::vector<NodeId> found;
  for (const ValueId output : view.graph->node(node).outputs) {
    if (!output.valid()) continue;
    for (const NodeId reader : view.uses.readers[output.index()]) {
      if (found.size() > kVisited) break;
      found.push_back(reader);
    }
  }
  return found;
}

ValueId first_input(const View& view, NodeId id) {
  const ir::Node& node = view.graph->node(id);
  return node.inputs.empty() ? ValueId() : node.inputs[0];
}

bool is_op(const View& view, NodeId node, std::string_view name) {
  return node.valid() && op_name(view.graph->node(node).op) == name;
}

using Step = std::vector<NodeId> (*)(const View&, NodeId);

// Breadth-first from `start` (not counted) in one direction, at most kReach steps.
bool reaches(const View& view, NodeId start, Step step, std::string_view wanted) {
  std::set<NodeId> seen = {start};
  std::vector<NodeId> front = {start};
  for (size_t distance = 0; distance < kReach && !front.empty(); ++distance) {
    std::vector<NodeId> next;
    for (const NodeId node : front) {
      for (const NodeId other : step(view, node)) {
        if (seen.size() > kVisited || !seen.insert(other).second) continue;
        if (is_op(view, other, wanted)) return true;
        next.push_back(other);
      }
    }
    front = std::move(next);
  }
  return false;
}

// The value of a constant with one element among the inputs, and the index of the other input.
struct Scaled {
  double factor = 0.0;
  ValueId other;
};
std::optional<Scaled> constant_operand(const View& view, NodeId id) {
  if (!id.valid()) return std::nullopt;
  const ir::Node& node = view.graph->node(id);
  if (node.inputs.size() != 2) return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    const Tensor* tensor = view.graph->constant(node.inputs[i]);
    if (tensor == nullptr || tensor->size() != 1) continue;
    return Scaled{tensor->to_doubles()[0], node.inputs[1 - i]};
  }
  return std::nullopt;
}

bool close(double a, double b) { return std::fabs(a - b) <= kTolerance * std::fabs(b); }

NodeId only_reader(const View& view, NodeId id) {
  const std::vector<NodeId> found = readers(view, id);
  return found.size() == 1 ? found[0] : NodeId();
}

// y = node(a, b): a product with the constant 0.5.
bool halves(const View& view, NodeId id) {
  const std::optional<Scaled> scaled = constant_operand(view, id);
  if (!scaled) return false;
  return (is_op(view, id, "Mul") && close(scaled->factor, 0.5)) ||
         (is_op(view, id, "Div") && close(scaled->factor, 2.0));
}

std::optional<bool> gelu_erf(const View& view, NodeId erf) {
  if (!is_op(view, erf, "Erf")) return false;
  const NodeId scale = producer_of(view, first_input(view, erf));
  const std::optional<Scaled> scaled = constant_operand(view, scale);
  if (!scaled) return false;
  const double root = std::sqrt(2.0);
  const bool divides = is_op(view, scale, "Div") && close(scaled->factor, root);
  const bool multiplies = is_op(view, scale, "Mul") && close(scaled->factor, 1.0 / root);
  if (!divides && !multiplies) return false;
  const ValueId x = scaled->other;
  const NodeId add = only_reader(view, erf);
  const std::optional<Scaled> one = constant_operand(view, add);
  if (!is_op(view, add, "Add") || !one || !close(one->factor, 1.0)) return false;
  // x, 0.5 and the sum are multiplied in either order; x may be halved before.
  const NodeId first = only_reader(view, add);
  if (!is_op(view, first, "Mul")) return false;
  const auto takes_x = [&](NodeId id) {
    for (const ValueId input : view.graph->node(id).inputs) {
      if (input == x) return true;
      const NodeId maker = producer_of(view, input);
      if (!maker.valid() || !halves(view, maker)) continue;
      if (constant_operand(view, maker)->other == x) return true;
    }
    return false;
  };
  if (takes_x(first)) return true;
  const NodeId second = only_reader(view, first);
  return halves(view, first) && is_op(view, second, "Mul") && takes_x(second);
}

const Shape* shape_of(const View& view, ValueId value) {
  if (!value.valid() || !view.graph->value(value).shape) return nullptr;
  return &*view.graph->value(value).shape;
}

std::optional<bool> flatten_to_fc(const View& view, NodeId id) {
  const ir::Node& node = view.graph->node(id);
  if (node.inputs.empty() || node.outputs.empty()) return false;
  const Shape* to = shape_of(view, node.outputs[0]);
  const Shape* from = shape_of(view, node.inputs[0]);
  if (to == nullptr || from == nullptr) return std::nullopt;
  if (to->size() != 2 || from->empty() || (*to)[0] != (*from)[0]) return false;
  if (view.uses.is_output[node.outputs[0].index()]) return true;
  const std::vector<NodeId> found = readers(view, id);
  return std::all_of(found.begin(), found.end(), [&](NodeId reader) {
    return view.on_host[reader.index()] || is_op(view, reader, "Gemm") ||
           is_op(view, reader, "MatMul");
  });
}

// `middle` is the Transpose.
std::optional<bool> shuffles(const View& view, NodeId middle) {
  const auto* transpose = std::get_if<ir::Transpose>(&view.graph->node(middle).op);
  if (transpose == nullptr) return false;
  const ir::Ints& perm = transpose->perm;
  const bool swaps = perm.size() >= 4 && perm[0] == 0 && perm[1] == 2 && perm[2] == 1;
  for (size_t i = 3; swaps && i < perm.size(); ++i) {
    if (perm[i] != static_cast<int64_t>(i)) return false;
  }
  const NodeId before = producer_of(view, first_input(view, middle));
  const NodeId after = only_reader(view, middle);
  if (!swaps || !is_op(view, before, "Reshape") || !is_op(view, after, "Reshape")) return false;
  const ir::Node& last = view.graph->node(after);
  const Shape* from = shape_of(view, first_input(view, before));
  const Shape* to = shape_of(view, last.outputs.empty() ? ValueId() : last.outputs[0]);
  if (from == nullptr || to == nullptr) return std::nullopt;
  return *from == *to && from->size() + 1 == perm.size();
}

std::optional<bool> channel_shuffle(const View& view, NodeId id) {
  if (is_op(view, id, "Transpose")) return shuffles(view, id);
  if (!is_op(view, id, "Reshape")) return false;
  const NodeId down = only_reader(view, id);
  if (is_op(view, down, "Transpose") && shuffles(view, down).value_or(true)) return true;
  const NodeId up = producer_of(view, first_input(view, id));
  if (is_op(view, up, "Transpose") && shuffles(view, up).value_or(true)) return true;
  return false;
}

bool is_activation_matmul(const View& view, NodeId id) {
  if (!is_op(view, id, "MatMul")) return false;
  const ir::Node& node = view.graph->node(id);
  return std::none_of(node.inputs.begin(), node.inputs.end(),
                      [&](ValueId input) { return view.graph->constant(input) != nullptr; });
}

bool attends(const View& view, NodeId matmul) {
  return is_activation_matmul(view, matmul) &&
         (reaches(view, matmul, readers, "Softmax") || reaches(view, matmul, producers, "Softmax"));
}

std::optional<bool> attention(const View& view, NodeId id) {
  if (is_op(view, id, "MatMul")) return attends(view, id);
  if (!is_op(view, id, "Reshape") && !is_op(view, id, "Transpose")) return false;
  // Head split and merge: at most two movements away from the MatMul.
  for (const Step step : {readers, producers}) {
    std::vector<NodeId> front = {id};
    for (int distance = 0; distance < 2; ++distance) {
      std::vector<NodeId> next;
      for (const NodeId node : front) {
        for (const NodeId other : step(view, node)) {
          if (attends(view, other)) return true;
          if (next.size() < kVisited) next.push_back(other);
        }
      }
      front = std::move(next);
    }
  }
  return false;
}

std::optional<bool> group_norm(const View& view, NodeId id) {
  if (!is_op(view, id, "InstanceNormalization")) return false;
  const NodeId before = producer_of(view, first_input(view, id));
  return is_op(view, before, "Reshape") && is_op(view, only_reader(view, id), "Reshape");
}

std::optional<bool> normalization(const View& view, NodeId id) {
  const bool near_sub = is_op(view, id, "Sub") || reaches(view, id, readers, "Sub") ||
                        reaches(view, id, producers, "Sub");
  const bool near_div = is_op(view, id, "Div") || reaches(view, id, readers, "Div") ||
                        reaches(view, id, producers, "Div");
  bool near_reduce = false;
  for (const std::string_view reduce : {"ReduceMean", "ReduceMax", "ReduceSum"}) {
    near_reduce = near_reduce || is_op(view, id, reduce) || reaches(view, id, producers, reduce);
  }
  return near_sub && near_div && near_reduce;
}

}  // namespace

const std::vector<NamedPattern>& all_patterns() {
  static const std::vector<NamedPattern> kPatterns = {{"gelu_erf", gelu_erf},
                                                      {"flatten_to_fc", flatten_to_fc},
                                                      {"channel_shuffle", channel_shuffle},
                                                      {"attention", attention},
                                                      {"group_norm", group_norm},
                                                      {"normalization", normalization}};
  return kPatterns;
}

}  // namespace graupel::check
