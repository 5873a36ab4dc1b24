// Random QDQ networks and float tails for the compiler's tests: every integer form, every layout,
// the literal fallbacks between them.
//
// Idea: a network is a row of choices. They come from a seed or, as long as they last, from given
// bytes, so that a fuzzer that changes a byte changes one operator; weights always come from the
// seed. Test: compile_test.cc, differential_test.cc.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "ir/graph.h"

namespace graupel::compile {

// Adds nodes to a graph; an operator the generator got wrong is left out (valid() is false).
struct NetBuilder {
  ir::Graph graph;
  Rng rng;
  std::string_view choices;
  int count = 0;

  explicit NetBuilder(uint64_t seed, std::string_view choices = {}) : rng(seed), choices(choices) {
    graph.name = "random";
  }

  // What the network looks like; ranges of at most 256 values.
  int64_t pick(int64_t low, int64_t high) {
    if (choices.empty()) return draw(low, high);
    const auto byte = static_cast<uint8_t>(choices.front());
    choices.remove_prefix(1);
    return low + byte % (high - low + 1);
  }
  // What its weights are.
  int64_t draw(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(rng.below(static_cast<uint64_t>(high - low + 1)));
  }
  bool chance(int percent) { return pick(1, 100) <= percent; }
  const Shape& shape(ir::ValueId id) const { return graph.shape(id); }

  ir::ValueId constant(const Tensor& tensor) {
    return ir::add_constant(graph, "c" + std::to_string(count++), tensor);
  }
  ir::ValueId node(ir::Op op, std::vector<ir::ValueId> inputs, size_t outputs = 1) {
    Result<ir::NodeId> made = ir::add_node(graph, "n" + std::to_string(count++), std::move(op),
                                           std::move(inputs), outputs);
    return made.ok() ? graph.node(*made).outputs[0] : ir::ValueId();
  }
  // Once, whatever asks for it.
  void add_output(ir::ValueId id) {
    const std::vector<ir::ValueId>& all = graph.outputs;
    if (std::find(all.begin(), all.end(), id) == all.end()) graph.outputs.push_back(id);
  }
  Tensor floats(Shape shape, double low, double high) {
    Tensor tensor(DType::kFloat32, std::move(shape));
    for (float& value : tensor.mutable_data<float>()) {
      value = static_cast<float>(rng.uniform(low, high));
    }
    return tensor;
  }
};

struct Scale {
  float scale = 0.1f;
  int zero = 0;
  bool is_signed = true;
};

struct QdqBuilder : NetBuilder {
  using NetBuilder::NetBuilder;

  // Ties and weights at the ends of their range, for what has to be equal to the last bit. Without
  // them a network resembles a trained one, whose answers a device may compute a little otherwise.
  bool extremes = false;

  Scale random_scale() {
    Scale s;
    // Powers of two make ties, which round to even.
    s.scale =
        static_cast<float>(extremes && chance(30) ? std::ldexp(1.0, static_cast<int>(pick(-6, -3)))
                                                  : rng.uniform(0.01, 0.1));
    const int64_t scheme = pick(0, 2);
    s.is_signed = scheme == 0;
    if (scheme == 2) s.zero = static_cast<int>(pick(0, 255));
    return s;
  }
  std::vector<ir::ValueId> parameters(const Scale& s) {
    return {constant(Tensor::scalar(s.scale)),
            s.is_signed ? constant(Tensor::scalar(static_cast<int8_t>(s.zero)))
                        : constant(Tensor::scalar(static_cast<uint8_t>(s.zero)))};
  }
  // QuantizeLinear and DequantizeLinear behind x.
  ir::ValueId pair(ir::ValueId x, const Scale& s) {
    if (!x.valid()) return x;
    const std::vector<ir::ValueId> p = parameters(s);
    const ir::ValueId q = node(ir::QuantizeLinear{}, {x, p[0], p[1]});
    return node(ir::DequantizeLinear{}, {q, p[0], p[1]});
  }
  // An int8 weight (per channel along `axis`) behind a DequantizeLinear; scales are returned.
  ir::ValueId weight(const Shape& shape, size_t axis, std::vector<float>& scales) {
    Tensor bytes(DType::kInt8, shape);
    // Only the largest weights: an intermediate that saturates shows.
    const bool extreme = extremes && chance(20);
    for (int8_t& value : bytes.mutable_data<int8_t>()) {
      value = static_cast<int8_t>(extreme ? (draw(0, 1) == 0 ? -128 : 127) : draw(-127, 127));
    }
    scales.assign(chance(80) ? static_cast<size_t>(shape[axis]) : 1, 0.0f);
    const bool ties = extremes && chance(30);
    for (float& scale : scales) {
      scale = static_cast<float>(ties ? std::ldexp(1.0, static_cast<int>(draw(-10, -7)))
                                      : rng.uniform(0.001, 0.01));
    }
    const Shape vector = scales.size() == 1 ? Shape{} : Shape{shape[axis]};
    return node(ir::DequantizeLinear{static_cast<int64_t>(axis)},
                {constant(bytes), constant(Tensor::of<float>(vector, scales)),
                 constant(Tensor(DType::kInt8, vector))});
  }
  ir::ValueId bias(int64_t features, float x_scale, const std::vector<float>& scales) {
    Tensor values(DType::kInt32, {features});
    for (int32_t& value : values.mutable_data<int32_t>()) {
      value = static_cast<int32_t>(draw(-2000, 2000));
    }
    Tensor own(DType::kFloat32, {features});
    for (size_t m = 0; m < own.size(); ++m) {
      own.mutable_data<float>()[m] = x_scale * scales[scales.size() == 1 ? 0 : m];
    }
    return node(ir::DequantizeLinear{0},
                {constant(values), constant(own), constant(Tensor(DType::kInt32, {features}))});
  }
  ir::ValueId activation(ir::ValueId x) {
    const int64_t kind = pick(0, 3);
    if (kind == 0) return node(ir::Unary{ir::UnaryKind::kRelu}, {x});
    if (kind != 1) return x;
    return node(ir::Clip{}, {x, constant(Tensor::scalar(-0.5f)),
                             chance(50) ? constant(Tensor::scalar(1.5f)) : ir::ValueId()});
  }

  struct Tensor4 {
    ir::ValueId value;  // dequantised
    Scale scale;
  };

  Tensor4 conv(const Tensor4& x) {
    const int64_t channels = shape(x.value)[1];
    const bool depthwise = chance(25);
    const int64_t groups = depthwise ? channels : channels % 2 == 0 && chance(20) ? 2 : 1;
    const int64_t features = depthwise ? channels : groups * pick(1, 20);
    ir::Conv op;
    op.group = groups;
    const size_t spatial = shape(x.value).size() - 2;
    Shape kernel = {features, channels / groups};
    for (size_t d = 0; d < spatial; ++d) {
      kernel.push_back(pick(1, 3));
      op.window.strides.push_back(chance(75) ? 1 : 2);
      op.window.dilations.push_back(chance(80) ? 1 : 2);
    }
    return convolved(x, std::move(op), kernel, 1);
  }
  // With pads up to most_pad, a bias mostly, and an activation. Invalid where the kernel does not
  // fit.
  Tensor4 convolved(const Tensor4& x, ir::Conv op, const Shape& kernel, int64_t most_pad) {
    op.window.kernel.assign(kernel.begin() + 2, kernel.end());
    for (size_t d = 0; d < 2 * op.window.kernel.size(); ++d) {
      op.window.pads.push_back(pick(0, most_pad));
    }
    std::vector<float> scales;
    std::vector<ir::ValueId> inputs = {x.value, weight(kernel, 0, scales)};
    if (chance(80)) inputs.push_back(bias(kernel[0], x.scale.scale, scales));
    const Scale out = random_scale();
    const ir::ValueId y = node(std::move(op), inputs);
    return {y.valid() ? pair(activation(y), out) : y, out};
  }
  Tensor4 matrix(const Tensor4& x) {
    const int64_t depth = shape(x.value).back(), features = pick(1, 20);
    std::vector<float> scales;
    const Scale out = random_scale();
    if (shape(x.value).size() == 2 && chance(60)) {
      ir::Gemm op;
      op.transpose_b = chance(50);
      const Shape w = op.transpose_b ? Shape{features, depth} : Shape{depth, features};
      const ir::ValueId b = weight(w, op.transpose_b ? 0 : 1, scales);
      std::vector<ir::ValueId> inputs = {x.value, b};
      if (chance(70)) inputs.push_back(bias(features, x.scale.scale, scales));
      return {pair(activation(node(op, inputs)), out), out};
    }
    const ir::ValueId b = weight({depth, features}, 1, scales);
    return {pair(activation(node(ir::MatMul{}, {x.value, b})), out), out};
  }
  Tensor4 pool(const Tensor4& x) {
    ir::Window window;
    const size_t spatial = shape(x.value).size() - 2;
    for (size_t d = 0; d < spatial; ++d) {
      window.kernel.push_back(pick(1, 3));
      window.strides.push_back(pick(1, 2));
    }
    for (size_t d = 0; d < 2 * spatial; ++d) {
      window.pads.push_back(window.kernel[d % spatial] > 1 ? pick(0, 1) : 0);
    }
    if (chance(60))
      return {pair(node(ir::MaxPool{window, chance(30)}, {x.value}), x.scale), x.scale};
    const Scale out = random_scale();
    return {pair(activation(node(ir::AveragePool{window, chance(30), chance(50)}, {x.value})), out),
            out};
  }
  Tensor4 global(const Tensor4& x) {
    const bool average = chance(70);
    const Scale out = average ? random_scale() : x.scale;
    const ir::PoolKind kind = average ? ir::PoolKind::kAverage : ir::PoolKind::kMax;
    return {pair(node(ir::GlobalPool{kind}, {x.value}), out), out};
  }
  Tensor4 element_wise(const Tensor4& x) {
    const Scale out = random_scale();
    const Shape s = shape(x.value);
    Shape channel(s.size(), 1);
    if (s.size() > 1) channel[1] = s[1];
    ir::ValueId y = x.value;
    switch (pick(0, 4)) {
      case 0: y = node(ir::Unary{ir::UnaryKind::kSigmoid}, {y}); break;
      case 1: y = node(ir::LeakyRelu{0.1}, {y}); break;
      case 2:
        y = node(ir::Binary{ir::BinaryKind::kMul}, {y, constant(floats(channel, -2, 2))});
        break;
      case 3:
        y = node(ir::Unary{ir::UnaryKind::kHardSwish}, {y});
        y = node(ir::Binary{ir::BinaryKind::kAdd}, {y, constant(Tensor::scalar(0.25f))});
        break;
      default:
        y = node(ir::Binary{ir::BinaryKind::kMul}, {y, node(ir::Unary{ir::UnaryKind::kTanh}, {y})});
    }
    return {pair(y, out), out};
  }
  Tensor4 join(const Tensor4& x) {
    // Two branches of the same shape.
    const Tensor4 a = element_wise(x), b = element_wise(x);
    if (chance(40)) {
      const ir::ValueId b_same = pair(node(ir::Unary{ir::UnaryKind::kTanh}, {x.value}), a.scale);
      const ir::ValueId parts[] = {a.value, b_same};
      return {pair(node(ir::Concat{1}, {parts[0], parts[1]}), a.scale), a.scale};
    }
    const Scale out = random_scale();
    const ir::BinaryKind kinds[] = {ir::BinaryKind::kAdd, ir::BinaryKind::kSub,
                                    ir::BinaryKind::kMul, ir::BinaryKind::kDiv};
    const ir::Binary op{kinds[pick(0, 3)]};
    return {pair(activation(node(op, {a.value, b.value})), out), out};
  }
  Tensor4 movement(const Tensor4& x) {
    const Shape s = shape(x.value);
    const auto ints = [&](std::vector<int64_t> values) {
      return constant(Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
    };
    ir::ValueId y;
    switch (pick(0, 6)) {
      case 0:
        if (s.size() == 4) y = node(ir::Transpose{{0, 1, 3, 2}}, {x.value});
        break;
      case 1:
        y = node(ir::Pad{}, {x.value, ints(std::vector<int64_t>(2 * s.size(), 0)),
                             constant(Tensor::scalar(0.0f))});
        if (s.size() == 4) {
          y = node(ir::Pad{}, {x.value, ints({0, 0, 1, 0, 0, 0, 0, 2}),
                               constant(Tensor::scalar(chance(50) ? 0.0f : 0.3f))});
        }
        break;
      case 2:
        y = node(ir::Slice{}, {x.value, ints({0}), ints({std::max<int64_t>(1, s.back() - 1)}),
                               ints({static_cast<int64_t>(s.size()) - 1})});
        break;
      case 3:
        if (s.size() == 4) {
          y = node(ir::Resize{ir::ResizeMode::kNearest, ir::ResizeCoordinates::kAsymmetric,
                              ir::ResizeNearest::kFloor},
                   {x.value, {}, constant(Tensor::of<float>({4}, {1, 1, 2, 1}))});
        }
        break;
      case 4:
        if (s.size() == 4 && s[1] % 4 == 0) y = node(ir::DepthToSpace{2}, {x.value});
        break;
      case 5: {
        std::vector<int64_t> mixed(static_cast<size_t>(s[1]));
        for (int64_t& index : mixed) index = draw(0, s[1] - 1);
        y = node(ir::Gather{1}, {x.value, ints(mixed)});
        break;
      }
      default:
        if (s.size() == 4) y = node(ir::Reshape{}, {x.value, ints({1, s[1] * s[2], s[3], 1})});
    }
    return y.valid() ? Tensor4{pair(y, x.scale), x.scale} : x;
  }
  Tensor4 transposed_conv(const Tensor4& x) {
    std::vector<float> scales;
    ir::ConvTranspose op;
    op.window.strides = {2, 1};
    op.window.pads = {0, 1, 1, 0};
    const ir::ValueId w = weight({shape(x.value)[1], 3, 2, 2}, 1, scales);
    const Scale out = random_scale();
    return {pair(node(op, {x.value, w}), out), out};
  }

  // A convolution that keeps the image's size and channels.
  Tensor4 same_conv(const Tensor4& x) {
    const int64_t channels = shape(x.value)[1], size = chance(50) ? 3 : 1;
    const bool depthwise = chance(40);
    ir::Conv op;
    op.group = depthwise ? channels : 1;
    op.window.kernel = {size, size};
    op.window.pads.assign(4, size / 2);
    std::vector<float> scales;
    const ir::ValueId w = weight({channels, channels / op.group, size, size}, 0, scales);
    const Scale out = random_scale();
    const ir::ValueId b = bias(channels, x.scale.scale, scales);
    return {pair(activation(node(op, {x.value, w, b})), out), out};
  }
  // Any kernel, stride, dilation, padding and number of groups.
  Tensor4 wide_conv(const Tensor4& x) {
    const int64_t channels = shape(x.value)[1];
    ir::Conv op;
    const int64_t groups = pick(1, 6);
    op.group = channels % groups == 0 ? groups : chance(50) ? channels : 1;
    const int64_t features = op.group * pick(1, op.group > 3 ? 3 : 40);
    Shape kernel = {features, channels / op.group};
    const size_t spatial = shape(x.value).size() - 2;
    for (size_t d = 0; d < spatial; ++d) {
      kernel.push_back(pick(1, 7));
      op.window.strides.push_back(pick(1, 3));
      op.window.dilations.push_back(pick(1, 3));
    }
    return convolved(x, std::move(op), kernel, 6);
  }
  // An image made larger or smaller; only nearest keeps the scale.
  Tensor4 resize(const Tensor4& x) {
    if (shape(x.value).size() != 4) return x;
    const float sizes[] = {0.5f, 1.0f, 1.5f, 2.0f, 3.0f};
    const std::vector<float> scales = {1, 1, sizes[pick(0, 4)], sizes[pick(0, 4)]};
    const bool linear = chance(30);
    const Scale out = linear ? random_scale() : x.scale;
    const ir::Resize op{
        linear ? ir::ResizeMode::kLinear : ir::ResizeMode::kNearest,
        chance(50) ? ir::ResizeCoordinates::kAsymmetric : ir::ResizeCoordinates::kHalfPixel,
        ir::ResizeNearest::kFloor};
    const ir::ValueId y = node(op, {x.value, {}, constant(Tensor::of<float>({4}, scales))});
    return {pair(y, out), out};
  }
  // The sum of a convolution with its input or with another one, in either order.
  Tensor4 residual(const Tensor4& x) {
    const Tensor4 y = same_conv(x), other = chance(70) ? x : same_conv(x);
    const Scale out = random_scale();
    const bool swapped = chance(50);
    const ir::ValueId sum =
        node(ir::Binary{ir::BinaryKind::kAdd},
             {swapped ? other.value : y.value, swapped ? y.value : other.value});
    return {pair(activation(sum), out), out};
  }
  // A convolution and the max pool behind it.
  Tensor4 pooled_conv(const Tensor4& x) {
    const Tensor4 y = same_conv(x);
    const int64_t kernel = pick(2, 3);
    ir::Window window;
    window.kernel = {kernel, kernel};
    window.strides = {2, pick(1, 2)};
    window.pads.assign(4, kernel == 3 ? pick(0, 1) : 0);
    return {pair(node(ir::MaxPool{window, false}, {y.value}), y.scale), y.scale};
  }
};

// What compile joins to convolutions: sums, max pools, and an average of the image at the end.
// Large images are computed in several strips.
inline ir::Graph random_joined_net(uint64_t seed, bool large) {
  QdqBuilder b(seed);
  const Shape in = large ? Shape{1, b.pick(8, 12), b.pick(80, 100), b.pick(100, 120)}
                         : Shape{1, b.pick(1, 40), b.pick(4, 12), b.pick(4, 12)};
  const ir::ValueId input = ir::add_input(b.graph, "window", DType::kFloat32, in);
  const Scale first = b.random_scale();
  QdqBuilder::Tensor4 x = b.residual({b.pair(input, first), first});
  if (!large) x = b.residual(x);
  if (b.chance(60)) x = b.pooled_conv(x);
  if (b.chance(50)) {
    const QdqBuilder::Tensor4 y = b.same_conv(x);
    const Scale out = b.random_scale();
    x = {b.pair(b.node(ir::GlobalPool{ir::PoolKind::kAverage}, {y.value}), out), out};
  }
  b.graph.outputs.push_back(x.value);
  return std::move(b.graph);
}

// A network of `steps` random operators; its input is float32 and its outputs dequantised.
inline ir::Graph random_qdq_net(uint64_t seed, int steps = 8) {
  QdqBuilder b(seed);
  const bool flat = b.chance(15);
  const Shape in = flat ? Shape{1, b.pick(2, 12), b.pick(4, 20)}
                        : Shape{1, b.pick(1, 12), b.pick(2, 9), b.pick(4, 16)};
  const ir::ValueId input = ir::add_input(b.graph, "window", DType::kFloat32, in);
  const Scale first = b.random_scale();
  QdqBuilder::Tensor4 x{b.pair(input, first), first};
  const auto keep = [&](const QdqBuilder::Tensor4& next) {
    if (next.value.valid() && element_count(b.shape(next.value)).value_or(0) > 0 &&
        *element_count(b.shape(next.value)) < 20000) {
      x = next;
    }
  };
  for (int i = 0; i < steps; ++i) {
    switch (b.pick(0, 9)) {
      case 0:
      case 1:
      case 2: keep(b.conv(x)); break;
      case 3: keep(b.pool(x)); break;
      case 4: keep(b.element_wise(x)); break;
      case 5: keep(b.join(x)); break;
      case 6: keep(b.movement(x)); break;
      case 7:
        if (!flat && b.chance(30)) keep(b.transposed_conv(x));
        break;
      case 8:
        if (b.chance(30)) keep(b.matrix(x));
        break;
      default:
        if (i > steps / 2 && b.chance(30)) keep(b.global(x));
    }
    if (b.chance(10)) b.add_output(x.value);
  }
  const ir::ValueId flattened = b.node(ir::Flatten{1}, {x.value});
  keep({b.pair(flattened, x.scale), x.scale});
  keep(b.matrix(x));
  b.add_output(x.value);
  return std::move(b.graph);
}

// A network of any of the above, of what compile joins, and with a float tail now and then.
// `choices` steer its form (NetBuilder).
inline ir::Graph random_any_net(uint64_t seed, std::string_view choices = {}) {
  QdqBuilder b(seed, choices);
  b.extremes = true;
  const bool flat = b.chance(15);
  const Shape in = flat ? Shape{1, b.pick(1, 12), b.pick(1, 40)}
                        : Shape{1, b.pick(1, 40), b.pick(1, 12), b.pick(1, 24)};
  const ir::ValueId input = ir::add_input(b.graph, "window", DType::kFloat32, in);
  const Scale first = b.random_scale();
  QdqBuilder::Tensor4 x{b.pair(input, first), first};
  for (int64_t left = b.pick(1, 8); left > 0; --left) {
    const bool image = b.shape(x.value).size() == 4;
    const int64_t kind = b.pick(0, 11);
    QdqBuilder::Tensor4 next = x;
    if (kind <= 1) next = b.wide_conv(x);
    if (kind == 2) next = b.conv(x);
    if (kind == 3 && image) next = b.same_conv(x);
    if (kind == 4 && image) next = b.residual(x);
    if (kind == 5 && image) next = b.pooled_conv(x);
    if (kind == 6) next = b.pool(x);
    if (kind == 7) next = b.element_wise(x);
    if (kind == 8) next = b.join(x);
    if (kind == 9) next = b.resize(x);
    if (kind == 10) next = b.movement(x);
    if (kind == 11 && left <= 2) next = b.global(x);
    if (!next.value.valid()) continue;
    const std::optional<int64_t> size = element_count(b.shape(next.value));
    if (!size || *size == 0 || *size > 20000) continue;
    x = next;
    if (b.chance(15)) b.add_output(x.value);
  }
  if (b.chance(60)) {
    const ir::ValueId flattened = b.node(ir::Flatten{1}, {x.value});
    x = b.matrix({b.pair(flattened, x.scale), x.scale});
    if (b.chance(30)) b.add_output(b.node(ir::Softmax{ir::SoftmaxKind::kSoftmax, -1}, {x.value}));
  }
  b.add_output(x.value);
  return std::move(b.graph);
}

}  // namespace graupel::compile
