// Choosing the INT8 tensors. See points.h.
//
// A value stays unrounded ("inside") only if all of its readers continue the same computation:
// its single reader is the Relu/Clip of an integer operator, or all readers are elementwise
// operators of a region whose only non-constant source is one point. Everything else is a point.
// Test: points_test.cc.
#include "quantize/points.h"

#include <algorithm>

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

bool is_unary_elementwise(const ir::Op& op) {
  return std::holds_alternative<ir::Unary>(op) || std::holds_alternative<ir::LeakyRelu>(op) ||
         std::holds_alternative<ir::PRelu>(op) || std::holds_alternative<ir::Elu>(op) ||
         std::holds_alternative<ir::Selu>(op) || std::holds_alternative<ir::Celu>(op) ||
         std::holds_alternative<ir::ThresholdedRelu>(op) ||
         std::holds_alternative<ir::HardSigmoid>(op) || std::holds_alternative<ir::Clip>(op);
}

bool is_elementwise(const ir::Op& op) {
  return is_unary_elementwise(op) || std::holds_alternative<ir::Binary>(op) ||
         std::holds_alternative<ir::Variadic>(op);
}

bool is_clamp(const Graph& graph, const ir::Node& node) {
  if (const ir::Unary* unary = std::get_if<ir::Unary>(&node.op)) {
    return unary->kind == ir::UnaryKind::kRelu;
  }
  if (!std::holds_alternative<ir::Clip>(node.op)) return false;
  return std::all_of(node.inputs.begin() + 1, node.inputs.end(),
                     [&](ValueId id) { return !id.valid() || graph.constant(id) != nullptr; });
}

bool accumulates(const Graph& graph, const ir::Node& node) {
  return has_weights(graph, node) || std::holds_alternative<ir::GlobalPool>(node.op) ||
         std::holds_alternative<ir::AveragePool>(node.op);
}

// A constant that a per-channel table can absorb: one number, or one per channel.
bool is_per_channel(const Shape& constant, const Shape& output) {
  const size_t channel = output.size() > 1 ? 1 : 0;
  if (constant.size() > output.size()) return false;
  for (size_t i = 0; i < constant.size(); ++i) {
    const size_t axis = output.size() - constant.size() + i;
    if (constant[i] != 1 && axis != channel) return false;
  }
  return true;
}

// The Relu or Clip that an integer operator applies to its accumulator.
bool is_fused_clamp(const Graph& graph, const ir::Uses& uses, const ir::Node& node) {
  if (!is_clamp(graph, node) || !node.inputs[0].valid()) return false;
  const size_t input = node.inputs[0].index();
  const NodeId producer = uses.producer[input];
  return producer.valid() && accumulates(graph, graph.node(producer)) && !uses.is_output[input] &&
         uses.readers[input].size() == 1;
}

// For every value: the point it is an elementwise function of, if it is one. `source[v]` is the
// value itself for anything that is not the result of a one-source elementwise operator.
std::vector<ValueId> elementwise_sources(const Graph& graph, const ir::Uses& uses) {
  std::vector<ValueId> source(graph.values.size());
  for (size_t i = 0; i < source.size(); ++i) source[i] = ValueId(i);
  for (const NodeId id : ir::live_nodes(graph)) {
    const ir::Node& node = graph.node(id);
    if (!is_elementwise(node.op) || node.outputs.size() != 1) continue;
    if (is_fused_clamp(graph, uses, node)) continue;
    const Shape& shape = graph.shape(node.outputs[0]);
    ValueId only;
    bool single = true;
    for (const ValueId input : node.inputs) {
      if (!input.valid()) continue;
      if (const Tensor* constant = graph.constant(input)) {
        single = single && is_per_channel(constant->shape(), shape);
        continue;
      }
      single =
          single && graph.shape(input) == shape && (!only.valid() || only == source[input.index()]);
      only = source[input.index()];
    }
    if (single && only.valid()) source[node.outputs[0].index()] = only;
  }
  return source;
}

}  // namespace

bool keeps_scale(const ir::Op& op) {
  if (const ir::Resize* resize = std::get_if<ir::Resize>(&op)) {
    return resize->mode == ir::ResizeMode::kNearest;
  }
  if (const ir::Pad* pad = std::get_if<ir::Pad>(&op)) return pad->mode != ir::PadMode::kConstant;
  return std::holds_alternative<ir::MaxPool>(op) || std::holds_alternative<ir::Reshape>(op) ||
         std::holds_alternative<ir::Transpose>(op) || std::holds_alternative<ir::Flatten>(op) ||
         std::holds_alternative<ir::Squeeze>(op) || std::holds_alternative<ir::Unsqueeze>(op) ||
         std::holds_alternative<ir::Slice>(op) || std::holds_alternative<ir::Split>(op) ||
         std::holds_alternative<ir::Gather>(op) || std::holds_alternative<ir::Expand>(op) ||
         std::holds_alternative<ir::Tile>(op) || std::holds_alternative<ir::DepthToSpace>(op) ||
         std::holds_alternative<ir::SpaceToDepth>(op);
}

bool takes_weights(const ir::Op& op) {
  return std::holds_alternative<ir::Conv>(op) || std::holds_alternative<ir::ConvTranspose>(op) ||
         std::holds_alternative<ir::Gemm>(op) || std::holds_alternative<ir::MatMul>(op);
}

bool has_weights(const Graph& graph, const ir::Node& node) {
  return takes_weights(node.op) && node.inputs.size() >= 2 &&
         graph.constant(node.inputs[1]) != nullptr;
}

Points find_points(const Graph& graph) {
  const ir::Uses uses = ir::find_uses(graph);
  Points points;
  points.source = elementwise_sources(graph, uses);
  const std::vector<ValueId>& source = points.source;
  points.is_point.assign(graph.values.size(), false);
  for (size_t i = 0; i < graph.values.size(); ++i) points.same_scale.emplace_back(i);

  for (const ValueId id : graph.inputs) points.is_point[id.index()] = true;
  for (const NodeId id : ir::live_nodes(graph)) {
    const ir::Node& node = graph.node(id);
    for (const ValueId output : node.outputs) {
      if (!output.valid() || graph.value(output).dtype != DType::kFloat32) continue;
      const std::vector<NodeId>& readers = uses.readers[output.index()];
      const bool clamped_next =
          readers.size() == 1 && is_fused_clamp(graph, uses, graph.node(readers[0]));
      const bool in_region = source[output.index()] != output && !readers.empty() &&
                             std::all_of(readers.begin(), readers.end(), [&](NodeId reader) {
                               const ValueId next = graph.node(reader).outputs[0];
                               return source[next.index()] == source[output.index()];
                             });
      const bool inside = !uses.is_output[output.index()] && (clamped_next || in_region);
      points.is_point[output.index()] = !inside;
      if (!inside && keeps_scale(node.op)) {
        points.same_scale[output.index()] = points.same_scale[node.inputs[0].index()];
      }
    }
  }
  return points;
}

}  // namespace graupel::quantize
