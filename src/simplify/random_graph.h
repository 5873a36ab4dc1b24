// Random convolutional networks for tests and fuzzing: blocks that passes like to edit, with shared
// weights, several readers and several outputs.
#pragma once

#include <string>
#include <utility>

#include "base/rng.h"
#include "ir/graph.h"

namespace graupel::simplify {

class RandomGraph {
 public:
  explicit RandomGraph(uint64_t seed) : rng_(seed) {}

  // Nothing of what it makes is refused by ir::add_node; a block that does not fit is left out.
  ir::Graph make() {
    graph_.name = "random";
    value_ = ir::add_input(graph_, "x", DType::kFloat32, {1, 4, 6, 6});
    const uint64_t blocks = 3 + rng_.below(10);
    for (uint64_t i = 0; i < blocks; ++i) {
      block();
      if (rng_.below(8) == 0) graph_.outputs.push_back(value_);
    }
    graph_.outputs.push_back(value_);
    return std::move(graph_);
  }

 private:
  const Shape& shape() const { return graph_.shape(value_); }

  Tensor random(Shape shape, double low, double high) {
    Tensor tensor(DType::kFloat32, std::move(shape));
    for (float& value : tensor.mutable_data<float>()) {
      value = static_cast<float>(rng_.uniform(low, high));
    }
    return tensor;
  }
  ir::ValueId constant(Tensor tensor) { return ir::add_constant(graph_, "k", std::move(tensor)); }
  ir::ValueId ints(const std::vector<int64_t>& values) {
    return constant(Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }
  void node(ir::Op op, std::vector<ir::ValueId> inputs) {
    Result<ir::NodeId> id = ir::add_node(graph_, "n", std::move(op), std::move(inputs));
    if (id.ok()) value_ = graph_.node(*id).outputs[0];
  }

  void convolution() {
    const bool grouped = rng_.below(3) == 0;
    const int64_t pad = rng_.below(2) == 0 ? 1 : 0;
    const int64_t side = shape()[2] >= 3 || pad == 1 ? 3 : 1;
    ir::Conv conv{{{side, side}, {}, {}, {pad, pad, pad, pad}, ir::AutoPad::kNotSet},
                  grouped ? int64_t{2} : int64_t{1}};
    if (!weight_.valid() || rng_.below(3) != 0 || graph_.shape(weight_)[1] != 4 / conv.group ||
        graph_.shape(weight_)[2] != side) {
      weight_ = constant(random({4, 4 / conv.group, side, side}, -0.5, 0.5));
    }
    std::vector<ir::ValueId> inputs{value_, weight_};
    if (rng_.below(2) == 0) inputs.push_back(constant(random({4}, -1, 1)));
    node(std::move(conv), std::move(inputs));
  }
  void transposed_convolution() {
    if (shape()[2] > 12) return;
    node(ir::ConvTranspose{{{2, 2}, {}, {}, {}, ir::AutoPad::kNotSet}, 2, {}, {}},
         {value_, constant(random({4, 2, 2, 2}, -0.5, 0.5))});
  }
  void batch_norm() {
    ir::BatchNormalization norm;
    norm.epsilon = 1e-3;
    node(norm, {value_, constant(random({4}, -1.5, 1.5)), constant(random({4}, -1, 1)),
                constant(random({4}, -1, 1)), constant(random({4}, 0.25, 2))});
  }
  void arithmetic() {
    constexpr ir::BinaryKind kKinds[] = {ir::BinaryKind::kAdd, ir::BinaryKind::kSub,
                                         ir::BinaryKind::kMul, ir::BinaryKind::kDiv};
    const Shape shapes[] = {{}, {1}, {4, 1, 1}, {1, 4, 1, 1}};
    const ir::BinaryKind kind = kKinds[rng_.below(4)];
    const ir::ValueId operand = constant(random(shapes[rng_.below(4)], 0.5, 1.5));
    if (rng_.below(3) == 0 && kind != ir::BinaryKind::kDiv) {
      node(ir::Binary{kind}, {operand, value_});
    } else {
      node(ir::Binary{kind}, {value_, operand});
    }
  }
  void residual() {
    const ir::ValueId before = value_;
    rng_.below(2) == 0 ? batch_norm() : arithmetic();
    node(ir::Binary{ir::BinaryKind::kAdd}, {value_, before});
  }
  void pad() {
    if (shape()[2] > 12) return;
    const auto amount = static_cast<int64_t>(rng_.below(2));
    node(ir::Pad{}, {value_, ints({0, 0, amount, 0, 0, 0, 0, amount})});
  }
  void pool() {
    if (shape()[2] < 2 || shape()[3] < 2) return;
    ir::Window window{{2, 2}, {}, {}, {}, ir::AutoPad::kNotSet};
    if (rng_.below(2) == 0) {
      node(ir::AveragePool{window, false, false}, {value_});
    } else {
      node(ir::MaxPool{window, false, false}, {value_});
    }
  }
  void layout() {
    const Shape now = shape();
    if (rng_.below(2) == 0) {
      node(ir::Transpose{{0, 2, 3, 1}}, {value_});
      if (rng_.below(3) == 0) node(ir::Transpose{{0, 1, 2, 3}}, {value_});
      node(ir::Transpose{{0, 3, 1, 2}}, {value_});
    } else {
      node(ir::Flatten{1}, {value_});
      node(ir::Unsqueeze{}, {value_, ints({0})});
      node(ir::Reshape{}, {value_, ints(now)});
    }
  }
  void chatter() {
    constexpr ir::UnaryKind kKinds[] = {ir::UnaryKind::kIdentity, ir::UnaryKind::kRelu,
                                        ir::UnaryKind::kNeg, ir::UnaryKind::kAbs,
                                        ir::UnaryKind::kTanh};
    const uint64_t times = 1 + rng_.below(2);
    const ir::UnaryKind kind = kKinds[rng_.below(5)];
    for (uint64_t i = 0; i < times; ++i) node(ir::Unary{kind}, {value_});
    if (rng_.below(3) == 0) {
      node(ir::Clip{},
           {value_, constant(Tensor::scalar<float>(-2.0f)), constant(Tensor::scalar<float>(3.0f))});
    }
  }
  void slices() {
    if (shape()[2] < 4) return;
    node(ir::Slice{}, {value_, ints({1}), ints({100}), ints({2})});
    node(ir::Slice{}, {value_, ints({0}), ints({-1}), ints({2})});
  }

  void block() {
    switch (rng_.below(12)) {
      case 0:
      case 1: return convolution();
      case 2: return transposed_convolution();
      case 3:
      case 4: return batch_norm();
      case 5: return arithmetic();
      case 6: return residual();
      case 7: return pad();
      case 8: return pool();
      case 9: return layout();
      case 10: return slices();
      default: return chatter();
    }
  }

  Rng rng_;
  ir::Graph graph_;
  ir::ValueId value_;
  ir::ValueId weight_;  // of the latest convolution, sometimes used again
};

}  // namespace graupel::simplify
