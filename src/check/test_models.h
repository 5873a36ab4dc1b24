// Small graphs for the tests of this room, built in a few words each.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "check/check.h"
#include "ir/graph.h"

namespace graupel::check {

struct Model {
  ir::Graph graph;
  CheckOptions options;

  ir::ValueId input(Shape shape = {1, 9, 2, 100}, DType dtype = DType::kFloat32) {
    return ir::add_input(graph, "x" + std::to_string(graph.inputs.size()), dtype, std::move(shape));
  }
  ir::ValueId unshaped_input() {
    graph.inputs.push_back(
        ir::add_value(graph, {"x", DType::kFloat32, std::nullopt, std::nullopt}));
    return graph.inputs.back();
  }
  ir::ValueId constant(Tensor tensor) { return ir::add_constant(graph, "c", std::move(tensor)); }
  ir::ValueId floats(Shape shape, float value = 0.1f) {
    const auto count = static_cast<size_t>(*element_count(shape));
    return constant(Tensor::of<float>(std::move(shape), std::vector<float>(count, value)));
  }
  ir::ValueId ints(const std::vector<int64_t>& values) {
    return constant(Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }
  // Zeros of two bytes each, for sizes that matter.
  ir::ValueId millions(int64_t count) {
    return constant(Tensor(DType::kFloat16, {count * 1000 * 1000}));
  }

  std::vector<ir::ValueId> add_all(ir::Op op, std::vector<ir::ValueId> inputs, size_t outputs) {
    std::string name = op_name(op) + "_" + std::to_string(graph.nodes.size());
    Result<ir::NodeId> node =
        ir::add_node(graph, std::move(name), std::move(op), std::move(inputs), outputs);
    EXPECT_TRUE(node.ok()) << node.error().message();
    if (!node.ok()) return std::vector<ir::ValueId>(outputs, input());
    return graph.node(*node).outputs;
  }
  ir::ValueId add(ir::Op op, std::vector<ir::ValueId> inputs) {
    return add_all(std::move(op), std::move(inputs), 1)[0];
  }
  ir::ValueId unary(ir::UnaryKind kind, ir::ValueId x) { return add(ir::Unary{kind}, {x}); }
  ir::ValueId relu(ir::ValueId x) { return unary(ir::UnaryKind::kRelu, x); }
  ir::ValueId binary(ir::BinaryKind kind, ir::ValueId a, ir::ValueId b) {
    return add(ir::Binary{kind}, {a, b});
  }
  ir::ValueId binary(ir::BinaryKind kind, ir::ValueId a, float b) {
    return binary(kind, a, constant(Tensor::scalar<float>(b)));
  }
  ir::ValueId opaque(const std::string& type, std::vector<ir::ValueId> inputs,
                     const std::string& domain = "") {
    return add(ir::Opaque{domain, type, 17, "", false}, std::move(inputs));
  }
  ir::ValueId conv(ir::ValueId x, int64_t channels, ir::Ints kernel, ir::Ints strides = {},
                   int64_t group = 1) {
    const Shape& from = graph.shape(x);
    Shape weight = {channels, from[1] / group};
    weight.insert(weight.end(), kernel.begin(), kernel.end());
    return add(ir::Conv{{kernel, std::move(strides), {}, {}}, group}, {x, floats(weight)});
  }
  ir::ValueId gemm(ir::ValueId x, int64_t features) {
    const int64_t from = graph.shape(x)[1];
    return add(ir::Gemm{}, {x, floats({from, features}), floats({features})});
  }
  ir::ValueId reshape(ir::ValueId x, const std::vector<int64_t>& shape) {
    return add(ir::Reshape{}, {x, ints(shape)});
  }
  ir::ValueId transpose(ir::ValueId x, ir::Ints perm) {
    return add(ir::Transpose{std::move(perm)}, {x});
  }
  ir::ValueId reduce(ir::ReduceKind kind, ir::ValueId x, const std::vector<int64_t>& axes,
                     bool keepdims) {
    return add(ir::Reduce{kind, keepdims, false}, {x, ints(axes)});
  }
  // x * 0.5 * (1 + erf(x * scale))
  ir::ValueId gelu(ir::ValueId x, float divisor) {
    const ir::ValueId erf = unary(ir::UnaryKind::kErf, binary(ir::BinaryKind::kDiv, x, divisor));
    const ir::ValueId sum = binary(ir::BinaryKind::kAdd, erf, 1.0f);
    return binary(ir::BinaryKind::kMul, binary(ir::BinaryKind::kMul, x, sum), 0.5f);
  }
  void output(ir::ValueId value) { graph.outputs.push_back(value); }
};

// What any target takes: two convolutions, pools, a flatten and a linear layer.
inline void plain_network(Model& m) {
  ir::ValueId x = m.relu(m.conv(m.input(), 16, {1, 5}));
  x = m.add(ir::MaxPool{{{1, 2}, {1, 2}, {}, {}}, false, false}, {x});
  x = m.relu(m.conv(x, 32, {1, 3}));
  x = m.add(ir::GlobalPool{}, {x});
  x = m.add(ir::Flatten{1}, {x});
  m.output(m.gemm(x, 10));
}

// Two heads' worth of attention over 16 tokens of 8 features.
inline void attention_network(Model& m) {
  const ir::ValueId q = m.input({1, 2, 16, 8});
  const ir::ValueId k = m.input({1, 2, 8, 16});
  const ir::ValueId scores = m.add(ir::MatMul{}, {q, k});
  const ir::ValueId weights = m.add(ir::Softmax{ir::SoftmaxKind::kSoftmax, -1}, {scores});
  m.output(m.add(ir::MatMul{}, {weights, q}));
}

// Convolution, projection, FSQ with its Round, classifier.
inline void fsq_network(Model& m) {
  ir::ValueId x = m.relu(m.conv(m.input(), 16, {1, 5}));
  x = m.add(ir::GlobalPool{}, {x});
  x = m.gemm(m.add(ir::Flatten{1}, {x}), 5);
  x = m.unary(ir::UnaryKind::kTanh, x);
  x = m.binary(ir::BinaryKind::kMul, x, m.floats({1, 5}, 3.5f));
  x = m.unary(ir::UnaryKind::kRound, x);
  x = m.binary(ir::BinaryKind::kDiv, x, m.floats({1, 5}, 4.0f));
  m.output(m.gemm(x, 10));
}

inline Target target_named(const std::string& name) {
  Result<Target> target = load_target(name);
  EXPECT_TRUE(target.ok()) << target.error().message();
  return target.ok() ? *target : Target{};
}

inline std::vector<Finding> findings_of(const CheckReport& report, const std::string& rule) {
  std::vector<Finding> found;
  for (const Finding& finding : report.findings) {
    if (finding.rule == rule) found.push_back(finding);
  }
  return found;
}

}  // namespace graupel::check
