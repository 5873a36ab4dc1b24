// See nets.h.
#include "nets.h"

#include <cmath>
#include <utility>

namespace graupel::bench {
namespace {

struct Value {
  ir::ValueId id;
  float scale = 1.0f;
};

struct Builder {
  ir::Graph graph;
  Rng rng{1};
  int count = 0;

  ir::ValueId constant(const Tensor& tensor) {
    return ir::add_constant(graph, "c" + std::to_string(count++), tensor);
  }
  // A mistake here is one of this file; the invalid id makes the compiler refuse the graph.
  ir::ValueId node(ir::Op op, std::vector<ir::ValueId> inputs) {
    const Result<ir::NodeId> id =
        ir::add_node(graph, "n" + std::to_string(count++), std::move(op), std::move(inputs));
    return id.ok() ? graph.node(*id).outputs[0] : ir::ValueId();
  }
  Value quantized(ir::ValueId x, float scale, uint8_t zero_point) {
    const ir::ValueId s = constant(Tensor::scalar(scale));
    const ir::ValueId z = constant(Tensor::scalar(zero_point));
    const ir::ValueId q = node(ir::QuantizeLinear{}, {x, s, z});
    return {node(ir::DequantizeLinear{}, {q, s, z}), scale};
  }
  Value input(const Shape& shape) {
    const ir::ValueId x = ir::add_input(graph, "input", DType::kFloat32, shape);
    return quantized(x, 6.0f / 255.0f, 128);
  }
  ir::ValueId weight(const Shape& shape, float scale) {
    Tensor bytes(DType::kInt8, shape);
    for (int8_t& value : bytes.mutable_data<int8_t>()) {
      value = static_cast<int8_t>(std::lround(std::fmin(std::fmax(rng.normal() * 40, -127), 127)));
    }
    const std::vector<float> scales(static_cast<size_t>(shape[0]), scale);
    return node(ir::DequantizeLinear{0},
                {constant(bytes), constant(Tensor::of<float>({shape[0]}, scales)),
                 constant(Tensor(DType::kInt8, {shape[0]}))});
  }
  ir::ValueId bias(int64_t features, float scale) {
    Tensor values(DType::kInt32, {features});
    for (int32_t& value : values.mutable_data<int32_t>()) {
      value = static_cast<int32_t>(rng.below(2000)) - 1000;
    }
    const std::vector<float> scales(static_cast<size_t>(features), scale);
    return node(ir::DequantizeLinear{0},
                {constant(values), constant(Tensor::of<float>({features}, scales)),
                 constant(Tensor(DType::kInt32, {features}))});
  }
  // Scale of weights whose sums over `taps` products are about as large as the bytes summed, so
  // that scales stay finite through any number of layers. Weights are 40 on average (weight()).
  static float weight_scale(int64_t taps) {
    return 1.0f / (40.0f * std::sqrt(static_cast<float>(taps)));
  }
  Value conv(const Value& x, const Shape& weights, const std::vector<int64_t>& stride,
             const std::vector<int64_t>& pad, int64_t groups, bool relu) {
    ir::Conv op;
    op.group = groups;
    op.window = {{weights[2], weights[3]}, stride, {1, 1}, {pad[0], pad[1], pad[0], pad[1]}, {}};
    const int64_t taps = weights[1] * weights[2] * weights[3];
    const float scale = weight_scale(taps);
    ir::ValueId y = node(op, {x.id, weight(weights, scale), bias(weights[0], x.scale * scale)});
    if (relu) y = node(ir::Unary{ir::UnaryKind::kRelu}, {y});
    return quantized(y, x.scale, relu ? 0 : 128);
  }
  Value square(const Value& x, int64_t features, int64_t kernel, int64_t stride, bool relu) {
    const int64_t channels = graph.shape(x.id)[1];
    return conv(x, {features, channels, kernel, kernel}, {stride, stride}, {kernel / 2, kernel / 2},
                1, relu);
  }
  Value depthwise(const Value& x, int64_t stride) {
    const int64_t channels = graph.shape(x.id)[1];
    return conv(x, {channels, 1, 3, 3}, {stride, stride}, {1, 1}, channels, true);
  }
  Value max_pool(const Value& x, ir::Window window, uint8_t zero_point = 0) {
    return quantized(node(ir::MaxPool{std::move(window)}, {x.id}), x.scale, zero_point);
  }
  Value add(const Value& a, const Value& b, bool relu) {
    ir::ValueId y = node(ir::Binary{ir::BinaryKind::kAdd}, {a.id, b.id});
    if (relu) y = node(ir::Unary{ir::UnaryKind::kRelu}, {y});
    return quantized(y, std::fmax(a.scale, b.scale) * 1.2f, relu ? 0 : 128);
  }
  Value global_average(const Value& x) {
    const Value y = quantized(node(ir::GlobalPool{ir::PoolKind::kAverage}, {x.id}), x.scale, 0);
    return quantized(node(ir::Flatten{}, {y.id}), y.scale, 0);
  }
  ir::ValueId gemm(const Value& x, int64_t features) {
    const int64_t depth = graph.shape(x.id)[1];
    ir::Gemm op;
    op.transpose_b = true;
    const float scale = weight_scale(depth);
    return node(op, {x.id, weight({features, depth}, scale), bias(features, x.scale * scale)});
  }
  Value dense(const Value& x, int64_t features, bool relu) {
    ir::ValueId y = gemm(x, features);
    if (relu) y = node(ir::Unary{ir::UnaryKind::kRelu}, {y});
    return quantized(y, x.scale, relu ? 0 : 128);
  }
  Net done(const std::string& name, const Value& logits) {
    graph.outputs.push_back(logits.id);
    graph.name = name;
    Shape shape = graph.shape(graph.inputs[0]);
    return {name, std::move(graph), std::move(shape), logits.scale};
  }
};

Value resnet_stem(Builder& b) {
  Value x = b.input({1, 3, 224, 224});
  x = b.square(x, 64, 7, 2, true);
  return b.max_pool(x, {{3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, {}});
}

}  // namespace

Net example(Kernels kernels, int64_t batch) {
  Builder b;
  Value x = b.input({batch, 9, 2, 100});
  const int64_t features[] = {32, 64, 128}, widths[] = {7, 5, 3};
  for (int layer = 0; layer < 3; ++layer) {
    const bool rows = kernels == Kernels::kRows;
    const int64_t high = rows ? 1 : 3, wide = rows ? widths[layer] : 3;
    const int64_t channels = b.graph.shape(x.id)[1];
    x = b.conv(x, {features[layer], channels, high, wide}, {1, 1}, {high / 2, wide / 2}, 1, true);
    if (layer < 2) x = b.max_pool(x, {{1, 2}, {1, 2}, {1, 1}, {0, 0, 0, 0}, {}});
  }
  x = b.global_average(x);
  x = b.dense(x, 8, false);
  x = b.dense(x, 64, true);
  x = b.dense(x, 10, false);
  return b.done(kernels == Kernels::kRows ? "k1" : "k3", x);
}

Net resnet18() {
  Builder b;
  Value x = resnet_stem(b);
  for (const int64_t width : {64, 128, 256, 512}) {
    for (int block = 0; block < 2; ++block) {
      const int64_t stride = block == 0 && width != 64 ? 2 : 1;
      const Value skip = stride == 2 ? b.square(x, width, 1, 2, false) : x;
      Value y = b.square(x, width, 3, stride, true);
      y = b.square(y, width, 3, 1, false);
      x = b.add(y, skip, true);
    }
  }
  return b.done("ResNet-18", b.dense(b.global_average(x), 1000, false));
}

Net resnet50() {
  Builder b;
  Value x = resnet_stem(b);
  const std::pair<int64_t, int> stages[] = {{64, 3}, {128, 4}, {256, 6}, {512, 3}};
  for (const auto& [width, blocks] : stages) {
    for (int block = 0; block < blocks; ++block) {
      const int64_t stride = block == 0 && width != 64 ? 2 : 1;
      const Value skip = block == 0 ? b.square(x, 4 * width, 1, stride, false) : x;
      Value y = b.square(x, width, 1, 1, true);
      y = b.square(y, width, 3, stride, true);
      y = b.square(y, 4 * width, 1, 1, false);
      x = b.add(y, skip, true);
    }
  }
  return b.done("ResNet-50", b.dense(b.global_average(x), 1000, false));
}

Net mobilenet_v2() {
  Builder b;
  Value x = b.square(b.input({1, 3, 224, 224}), 32, 3, 2, true);
  struct Stage {
    int64_t expand, features;
    int blocks;
    int64_t stride;
  };
  const Stage stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                          {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  for (const Stage& stage : stages) {
    for (int block = 0; block < stage.blocks; ++block) {
      const int64_t stride = block == 0 ? stage.stride : 1;
      const int64_t channels = b.graph.shape(x.id)[1];
      Value y = stage.expand == 1 ? x : b.square(x, channels * stage.expand, 1, 1, true);
      y = b.depthwise(y, stride);
      y = b.square(y, stage.features, 1, 1, false);
      x = stride == 1 && channels == stage.features ? b.add(x, y, false) : y;
    }
  }
  x = b.square(x, 1280, 1, 1, true);
  return b.done("MobileNetV2", b.dense(b.global_average(x), 1000, false));
}

std::vector<float> random_window(const Shape& shape, uint64_t seed) {
  Rng rng(seed);
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

}  // namespace graupel::bench
