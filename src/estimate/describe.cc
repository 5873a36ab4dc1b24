// The few facts of a graph that an estimate needs. See estimate.h. Test: estimate_test.cc.
//
// Idea: a layer of the vendor's is roughly one operator, but activations are part of the layer in
// front, reshaping is free, and normalisations and softmax fall into many small ones.
// Reference: layer names in the vendor's published model scripts
// (conv_var_inv_layer_normalizationN, ew_sub_softmaxN, ...).
#include <algorithm>
#include <variant>

#include "estimate/estimate.h"

namespace graupel::estimate {
namespace {

constexpr int64_t kLayersPerNormalization = 12;  // 10 to 15 in published scripts
constexpr int64_t kLayersPerSoftmax = 5;         // maximum, difference, exp, sum, product

bool is_constant(const ir::Graph& graph, ir::ValueId id) { return graph.constant(id) != nullptr; }

int64_t activations_in(const ir::Graph& graph, const ir::Node& node) {
  return std::count_if(node.inputs.begin(), node.inputs.end(),
                       [&](ir::ValueId id) { return id.valid() && !is_constant(graph, id); });
}

// x * f(x), as SiLU and hard swish are written: one activation.
bool is_self_product(const ir::Graph& graph, const ir::Uses& uses, const ir::Node& node) {
  for (size_t i = 0; i < 2; ++i) {
    const ir::NodeId maker = uses.producer[node.inputs[i].index()];
    if (!maker.valid()) continue;
    const ir::Node& gate = graph.node(maker);
    const bool is_gate = std::holds_alternative<ir::Unary>(gate.op) ||
                         std::holds_alternative<ir::HardSigmoid>(gate.op) ||
                         std::holds_alternative<ir::Clip>(gate.op);
    if (is_gate && gate.inputs[0] == node.inputs[1 - i]) return true;
  }
  return false;
}

template <typename... Ops>
bool is_any(const ir::Op& op) {
  return (std::holds_alternative<Ops>(op) || ...);
}

int64_t layers_of(const ir::Graph& graph, const ir::Uses& uses, const ir::Node& node) {
  const ir::Op& op = node.op;
  if (is_any<ir::LayerNormalization, ir::InstanceNormalization>(op)) return kLayersPerNormalization;
  if (is_any<ir::Softmax>(op)) return kLayersPerSoftmax;
  const bool is_activation =
      is_any<ir::Unary, ir::LeakyRelu, ir::PRelu, ir::Elu, ir::Selu, ir::Celu, ir::ThresholdedRelu,
             ir::HardSigmoid, ir::Clip, ir::Dropout, ir::Cast>(op);
  const bool is_view = is_any<ir::Flatten, ir::Reshape, ir::Squeeze, ir::Unsqueeze, ir::Expand>(op);
  if (is_activation || is_view || activations_in(graph, node) == 0) return 0;
  if (is_any<ir::Binary>(op) && activations_in(graph, node) == 2 &&
      is_self_product(graph, uses, node)) {
    return 0;
  }
  return 1;
}

int64_t frame_bytes(const ir::Graph& graph, const std::vector<ir::ValueId>& values) {
  int64_t bytes = 0;  // one byte per value, batch 1
  for (const ir::ValueId id : values) {
    bytes += element_count(graph.value(id).shape.value_or(Shape())).value_or(0);
  }
  return bytes;
}

}  // namespace

Network describe(const ir::Graph& device) {
  Network network;
  network.multiply_adds = ir::multiply_adds(device);
  network.weights = ir::parameter_count(device);
  network.input_bytes = frame_bytes(device, device.inputs);
  network.output_bytes = frame_bytes(device, device.outputs);
  const ir::Uses uses = ir::find_uses(device);
  int64_t convolutions = 0, depthwise = 0;
  for (const ir::NodeId id : ir::live_nodes(device)) {
    const ir::Node& node = device.node(id);
    network.layers += layers_of(device, uses, node);
    const bool is_product = is_any<ir::MatMul>(node.op) && activations_in(device, node) == 2;
    network.attention |= is_product || is_any<ir::LayerNormalization>(node.op);
    if (const auto* conv = std::get_if<ir::Conv>(&node.op)) {
      ++convolutions;
      depthwise += conv->group > 1 && device.shape(node.inputs[1])[1] == 1;
    }
  }
  network.depthwise = depthwise > 0 && 4 * depthwise >= convolutions;
  return network;
}

}  // namespace graupel::estimate
