// Multiply-adds and parameters of a graph with static shapes, saturating instead of overflowing.
// Reference: a convolution does (input channels per group) x (kernel elements) multiply-adds per
// output element, its transpose (output channels per group) x (kernel elements) per input element.
// Test: count_test.cc.
#include <limits>

#include "ir/graph.h"

namespace graupel::ir {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

int64_t product(int64_t a, int64_t b) {
  int64_t result = 0;
  return __builtin_mul_overflow(a, b, &result) ? kMost : result;
}

int64_t sum(int64_t a, int64_t b) {
  int64_t result = 0;
  return __builtin_add_overflow(a, b, &result) ? kMost : result;
}

int64_t elements(const Shape& shape) { return element_count(shape, kMost).value_or(kMost); }

// Shapes of one node; nullptr for an operand that is omitted or of unknown shape.
struct NodeShapes {
  const Graph& graph;
  const Node& node;

  const Shape* of(const std::vector<ValueId>& ids, size_t i) const {
    if (i >= ids.size() || !ids[i].valid() || ids[i].index() >= graph.values.size()) return nullptr;
    const std::optional<Shape>& shape = graph.value(ids[i]).shape;
    return shape ? &*shape : nullptr;
  }
  const Shape* input(size_t i) const { return of(node.inputs, i); }
  const Shape* output() const { return of(node.outputs, 0); }
};

// `positions` elements, each costing one multiply-add per element of weight[1, ...].
int64_t convolution(const Shape* positions, const Shape* weight) {
  if (positions == nullptr || weight == nullptr || weight->empty()) return 0;
  return product(elements(*positions), elements(Shape(weight->begin() + 1, weight->end())));
}

int64_t matrix_product(const Shape* output, const Shape* left) {
  if (output == nullptr || left == nullptr || left->empty()) return 0;
  return product(elements(*output), left->back());
}

struct MultiplyAdds {
  NodeShapes shapes;

  template <class T>
  int64_t operator()(const T&) const {
    return 0;
  }
  int64_t operator()(const Conv&) const { return convolution(shapes.output(), shapes.input(1)); }
  int64_t operator()(const ConvInteger&) const {
    return convolution(shapes.output(), shapes.input(1));
  }
  int64_t operator()(const QLinearConv&) const {
    return convolution(shapes.output(), shapes.input(3));
  }
  int64_t operator()(const ConvTranspose&) const {
    return convolution(shapes.input(0), shapes.input(1));
  }
  int64_t operator()(const Gemm& op) const {
    const Shape* left = shapes.input(0);
    if (left == nullptr || left->size() != 2 || shapes.output() == nullptr) return 0;
    return product(elements(*shapes.output()), (*left)[op.transpose_a ? 0 : 1]);
  }
  int64_t operator()(const MatMul&) const {
    return matrix_product(shapes.output(), shapes.input(0));
  }
  int64_t operator()(const MatMulInteger&) const {
    return matrix_product(shapes.output(), shapes.input(0));
  }
  int64_t operator()(const QLinearMatMul&) const {
    return matrix_product(shapes.output(), shapes.input(0));
  }
};

}  // namespace

int64_t multiply_adds(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  return std::visit(MultiplyAdds{{graph, node}}, node.op);
}

int64_t multiply_adds(const Graph& graph) {
  int64_t total = 0;
  for (const NodeId id : live_nodes(graph)) total = sum(total, multiply_adds(graph, id));
  return total;
}

int64_t parameter_count(const Graph& graph) {
  std::vector<bool> counted(graph.values.size(), false);
  int64_t total = 0;
  for (const NodeId node : live_nodes(graph)) {
    for (const ValueId id : graph.node(node).inputs) {
      if (!id.valid() || id.index() >= counted.size() || counted[id.index()]) continue;
      const Tensor* tensor = graph.constant(id);
      if (tensor == nullptr || !is_float(tensor->dtype())) continue;
      counted[id.index()] = true;
      total = sum(total, static_cast<int64_t>(tensor->size()));
    }
  }
  return total;
}

}  // namespace graupel::ir
