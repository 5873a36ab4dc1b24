// Networks nobody trained, with weights as trained ones have them: random ones, one built like
// MobileNetV2 (depthwise convolutions, inverted residuals, Clip to [0, 6]) and one like ResNet-18
// (residual blocks, max pool in front), both narrow and for small images.
//
// Weight rows spread over two orders of magnitude, as folded BatchNormalizations leave them; what a
// row makes larger the next layer takes back, so that numbers stay in range.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "base/rng.h"
#include "ir/graph.h"

namespace graupel::quantize {

inline Tensor random_tensor_of(Rng& rng, Shape shape, double scale) {
  Tensor tensor(DType::kFloat32, std::move(shape));
  for (float& value : tensor.mutable_data<float>()) {
    value = static_cast<float>(scale * rng.normal());
  }
  return tensor;
}

struct Net {
  ir::Graph graph;
  Rng rng;
  int count = 0;

  explicit Net(uint64_t seed) : rng(seed) { graph.name = "random"; }
  int64_t pick(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(rng.below(static_cast<uint64_t>(high - low + 1)));
  }
  const Shape& shape(ir::ValueId id) const { return graph.shape(id); }
  ir::ValueId constant(Tensor tensor) {
    return ir::add_constant(graph, "c" + std::to_string(count++), std::move(tensor));
  }
  ir::ValueId node(ir::Op op, std::vector<ir::ValueId> inputs) {
    const Result<ir::NodeId> made =
        ir::add_node(graph, "n" + std::to_string(count++), std::move(op), std::move(inputs));
    return made.ok() ? graph.node(*made).outputs[0] : ir::ValueId();
  }
  // Output channels whose weights spread over two orders of magnitude, as trained ones do.
  Tensor weights(Shape shape) {
    const int64_t depth = shape[1] * shape[2] * shape[3];
    Tensor tensor = random_tensor_of(rng, shape, 1.0 / std::sqrt(static_cast<double>(depth)));
    const size_t each = tensor.size() / static_cast<size_t>(shape[0]);
    for (size_t m = 0; m < static_cast<size_t>(shape[0]); ++m) {
      const auto factor = static_cast<float>(std::pow(10.0, rng.uniform(-1.0, 1.0)));
      for (size_t i = 0; i < each; ++i) tensor.mutable_data<float>()[m * each + i] *= factor;
    }
    return tensor;
  }
  ir::ValueId conv(ir::ValueId x, int64_t features, bool same) {
    const int64_t channels = shape(x)[1];
    const bool depthwise = pick(0, 3) == 0;
    ir::Conv op;
    op.group = depthwise ? channels : 1;
    const int64_t outputs = depthwise ? channels : features;
    const int64_t kernel = shape(x)[2] >= 3 && shape(x)[3] >= 3 ? 3 : 1;
    op.window.kernel = {kernel, kernel};
    const int64_t stride = !same && pick(0, 2) == 0 ? 2 : 1;
    op.window.strides = {stride, stride};
    op.window.dilations = {1, 1};
    op.window.pads.assign(4, kernel / 2);
    std::vector<ir::ValueId> inputs = {
        x, constant(weights({outputs, channels / op.group, kernel, kernel}))};
    if (pick(0, 3) > 0) inputs.push_back(constant(random_tensor_of(rng, {outputs}, 0.3)));
    ir::ValueId y = node(op, inputs);
    const int64_t kind = pick(0, 3);
    if (kind < 2) y = node(ir::Unary{ir::UnaryKind::kRelu}, {y});
    if (kind == 2) {
      y = node(ir::Clip{}, {y, constant(Tensor::scalar(0.0f)), constant(Tensor::scalar(6.0f))});
    }
    return y;
  }
  ir::ValueId block(ir::ValueId x) {
    switch (pick(0, 4)) {
      case 0: {
        const ir::ValueId y = conv(x, shape(x)[1], true);
        return node(ir::Binary{ir::BinaryKind::kAdd}, {x, y});
      }
      case 1: {
        if (shape(x)[2] < 2 || shape(x)[3] < 2) return conv(x, pick(2, 12), false);
        ir::MaxPool op;
        op.window.kernel = op.window.strides = {2, 2};
        return node(op, {x});
      }
      default: return conv(x, pick(2, 12), false);
    }
  }
};

inline ir::Graph random_net(uint64_t seed) {
  Net net(seed);
  ir::ValueId x = ir::add_input(net.graph, "x", DType::kFloat32,
                                {1, net.pick(1, 6), net.pick(5, 12), net.pick(5, 12)});
  const int64_t blocks = net.pick(2, 5);
  for (int64_t i = 0; i < blocks; ++i) x = net.block(x);
  x = net.node(ir::GlobalPool{ir::PoolKind::kAverage}, {x});
  x = net.node(ir::Flatten{1}, {x});
  x = net.node(ir::Gemm{}, {x, net.constant(random_tensor_of(net.rng, {net.shape(x)[1], 5}, 0.5)),
                            net.constant(random_tensor_of(net.rng, {5}, 0.2))});
  net.graph.outputs = {x};
  return net.graph;
}

// The layers of published networks, on top of Net's constants and nodes.
struct LayeredNet : Net {
  using Net::Net;
  std::vector<float> factors;  // of the channels of the last convolution; empty: 1

  Tensor trained_weights(const Shape& shape, int64_t group, std::vector<float>& rows) {
    const int64_t depth = shape[1] * shape[2] * shape[3];
    Tensor tensor = random_tensor_of(rng, shape, std::sqrt(2.0 / static_cast<double>(depth)));
    rows.clear();
    for (int64_t m = 0; m < shape[0]; ++m) {
      rows.push_back(static_cast<float>(std::pow(10.0, rng.uniform(-1.0, 1.0))));
    }
    const int64_t taps = shape[2] * shape[3];
    for (int64_t i = 0; i < static_cast<int64_t>(tensor.size()); ++i) {
      const int64_t m = i / depth, c = i % depth / taps;
      const int64_t channel = group == 1 ? c : m;
      const float before = factors.empty() ? 1.0f : factors[static_cast<size_t>(channel)];
      tensor.mutable_data<float>()[i] *= rows[static_cast<size_t>(m)] / before;
    }
    return tensor;
  }
  enum class Spread { kFree, kEven };  // kEven: a sum with another branch follows
  ir::ValueId layer(ir::ValueId x, int64_t features, int64_t kernel, int64_t stride, bool depthwise,
                    Spread spread) {
    ir::Conv op;
    op.group = depthwise ? shape(x)[1] : 1;
    op.window.kernel = {kernel, kernel};
    op.window.strides = {stride, stride};
    op.window.dilations = {1, 1};
    op.window.pads.assign(4, kernel / 2);
    std::vector<float> rows;
    Tensor weights =
        trained_weights({features, shape(x)[1] / op.group, kernel, kernel}, op.group, rows);
    if (spread == Spread::kEven) {
      const size_t each = weights.size() / rows.size();
      for (size_t i = 0; i < weights.size(); ++i) {
        weights.mutable_data<float>()[i] *= 0.7f / rows[i / each];
      }
      rows.clear();
    }
    Tensor bias = random_tensor_of(rng, {features}, 0.1);
    for (size_t m = 0; m < rows.size(); ++m) bias.mutable_data<float>()[m] *= rows[m];
    factors = rows;
    return node(op, {x, constant(std::move(weights)), constant(std::move(bias))});
  }
  ir::ValueId relu(ir::ValueId x) { return node(ir::Unary{ir::UnaryKind::kRelu}, {x}); }
  ir::ValueId relu6(ir::ValueId x) {
    return node(ir::Clip{}, {x, constant(Tensor::scalar(0.0f)), constant(Tensor::scalar(6.0f))});
  }
  ir::ValueId add(ir::ValueId a, ir::ValueId b) {
    return node(ir::Binary{ir::BinaryKind::kAdd}, {a, b});
  }
  ir::Graph classified(ir::ValueId x, int64_t classes) {
    x = node(ir::GlobalPool{ir::PoolKind::kAverage}, {x});
    x = node(ir::Flatten{1}, {x});
    Tensor weights = random_tensor_of(rng, {shape(x)[1], classes}, 0.5);
    for (size_t i = 0; i < weights.size() && !factors.empty(); ++i) {
      weights.mutable_data<float>()[i] /= factors[i / static_cast<size_t>(classes)];
    }
    x = node(ir::Gemm{},
             {x, constant(std::move(weights)), constant(random_tensor_of(rng, {classes}, 0.2))});
    graph.outputs = {x};
    return graph;
  }
};

inline ir::Graph mobilenet_like() {
  using enum LayeredNet::Spread;
  LayeredNet net(71);
  ir::ValueId x = ir::add_input(net.graph, "x", DType::kFloat32, {1, 3, 24, 24});
  x = net.relu6(net.layer(x, 8, 3, 2, false, kEven));
  const int64_t outputs[] = {8, 12, 12, 16, 16, 16};
  for (size_t block = 0; block < 6; ++block) {
    const int64_t channels = net.shape(x)[1], stride = block == 1 || block == 3 ? 2 : 1;
    const ir::ValueId before = x;
    ir::ValueId y = net.relu6(net.layer(x, channels * 6, 1, 1, false, kEven));
    y = net.relu(net.layer(y, channels * 6, 3, stride, true, kFree));
    y = net.layer(y, outputs[block], 1, 1, false, kEven);
    x = stride == 1 && outputs[block] == channels ? net.add(before, y) : y;
  }
  x = net.relu(net.layer(x, 64, 1, 1, false, kFree));
  return net.classified(x, 10);
}

inline ir::Graph resnet_like() {
  using enum LayeredNet::Spread;
  LayeredNet net(18);
  ir::ValueId x = ir::add_input(net.graph, "x", DType::kFloat32, {1, 3, 32, 32});
  x = net.relu(net.layer(x, 8, 7, 2, false, kEven));
  ir::MaxPool pool;
  pool.window.kernel = {3, 3};
  pool.window.strides = {2, 2};
  pool.window.pads = {1, 1, 1, 1};
  x = net.node(pool, {x});
  for (const int64_t features : {8, 16, 24, 32}) {
    for (int block = 0; block < 2; ++block) {
      const int64_t stride = block == 0 && features > 8 ? 2 : 1;
      net.factors.clear();
      ir::ValueId y = net.relu(net.layer(x, features, 3, stride, false, kFree));
      y = net.layer(y, features, 3, 1, false, kEven);
      const bool same = net.shape(x) == net.shape(y);
      const ir::ValueId side = same ? x : net.layer(x, features, 1, stride, false, kEven);
      x = net.relu(net.add(side, y));
    }
  }
  return net.classified(x, 10);
}

}  // namespace graupel::quantize
