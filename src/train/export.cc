// Building the exported graph node by node. See export.h. Test: export_test.cc.
#include "train/export.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ir/eval.h"
#include "train/names.h"

namespace graupel::train {
namespace {

using ir::ValueId;

struct Builder {
  ir::Graph graph;
  const Weights& weights;

  Result<ValueId> weight(const std::string& name, const Shape& shape) {
    const auto found = weights.find(name);
    if (found == weights.end()) return invalid_input(name, "is not among the weights");
    if (found->second.shape() == shape && found->second.dtype() == DType::kFloat32) {
      return ir::add_constant(graph, name, found->second);
    }
    return invalid_input(name, fmt::format("is {} {}; the network takes float32 {}",
                                           to_string(found->second.dtype()),
                                           to_string(found->second.shape()), to_string(shape)));
  }
  Result<ValueId> node(const std::string& name, ir::Op op, std::vector<ValueId> inputs) {
    TRY_ASSIGN(const ir::NodeId id, ir::add_node(graph, name, std::move(op), std::move(inputs)));
    return graph.node(id).outputs[0];
  }
  Result<ValueId> binary(const char* name, ir::BinaryKind kind, ValueId x,
                         const std::vector<double>& numbers) {
    const std::vector<float> floats(numbers.begin(), numbers.end());
    const Shape shape = {1, static_cast<int64_t>(floats.size())};
    const ValueId constant =
        ir::add_constant(graph, fsq_node(name) + "_constant", Tensor::of<float>(shape, floats));
    return node(fsq_node(name), ir::Binary{kind}, {x, constant});
  }
};

Result<ValueId> add_conv(Builder& builder, const std::string& weight_name, const std::string& name,
                         const ir::Conv& conv, int64_t outputs, int64_t inputs, ValueId x) {
  const ir::Ints& kernel = conv.window.kernel;
  TRY_ASSIGN(const ValueId weight,
             builder.weight(weight_name, {outputs, inputs / conv.group, kernel[0], kernel[1]}));
  return builder.node(name, conv, {x, weight});
}

ir::Window window_of(const std::array<int64_t, 2>& kernel, const std::array<int64_t, 2>& stride,
                     int64_t padding) {
  ir::Window window;
  window.kernel = {kernel[0], kernel[1]};
  window.strides = {stride[0], stride[1]};
  window.dilations = {1, 1};
  window.pads = {0, padding, 0, padding};
  return window;
}

Result<ValueId> add_layer(Builder& builder, const Layer& layer, size_t index, int64_t inputs,
                          ValueId x) {
  const ir::Window window = window_of(layer.kernel, layer.stride, layer.kernel[1] / 2);
  ValueId y;
  if (layer.separable) {
    TRY_ASSIGN(y, add_conv(builder, layer_weight(index, "depth.weight"),
                           layer_node(index, "depth/Conv"), {window, inputs}, inputs, inputs, x));
    const ir::Conv point{window_of({1, 1}, {1, 1}, 0), 1};
    TRY_ASSIGN(y, add_conv(builder, layer_weight(index, "conv.weight"),
                           layer_node(index, "conv/Conv"), point, layer.channels, inputs, y));
  } else {
    TRY_ASSIGN(y, add_conv(builder, layer_weight(index, "conv.weight"),
                           layer_node(index, "conv/Conv"), {window, 1}, layer.channels, inputs, x));
  }
  std::vector<ValueId> operands = {y};
  for (const char* part : {"norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"}) {
    TRY_ASSIGN(const ValueId value, builder.weight(layer_weight(index, part), {layer.channels}));
    operands.push_back(value);
  }
  ir::BatchNormalization norm;
  norm.epsilon = kBatchNormEpsilon;
  TRY_ASSIGN(y, builder.node(layer_node(index, "norm/BatchNormalization"), norm, operands));
  TRY_ASSIGN(y, builder.node(layer_node(index, "relu/Relu"), ir::Unary{ir::UnaryKind::kRelu}, {y}));
  if (layer.pool == std::array<int64_t, 2>{1, 1}) return y;
  return builder.node(layer_node(index, "pool/MaxPool"),
                      ir::MaxPool{window_of(layer.pool, layer.pool, 0), false, false}, {y});
}

Result<ValueId> add_linear(Builder& builder, const std::string& weights, const std::string& name,
                           int64_t inputs, int64_t outputs, ValueId x) {
  TRY_ASSIGN(const ValueId weight, builder.weight(weights + ".weight", {outputs, inputs}));
  TRY_ASSIGN(const ValueId bias, builder.weight(weights + ".bias", {outputs}));
  ir::Gemm gemm;
  gemm.transpose_b = true;
  return builder.node(name, gemm, {x, weight, bias});
}

Result<ValueId> add_bounding(Builder& builder, Bounding bounding, ValueId x) {
  if (bounding == Bounding::kTanh) {
    return builder.node(fsq_node("Tanh"), ir::Unary{ir::UnaryKind::kTanh}, {x});
  }
  if (bounding == Bounding::kSigmoid) {
    return builder.node(fsq_node("Sigmoid"), ir::Unary{ir::UnaryKind::kSigmoid}, {x});
  }
  const ValueId low = ir::add_constant(builder.graph, "/fsq/low", Tensor::scalar<float>(-1.0f));
  const ValueId high = ir::add_constant(builder.graph, "/fsq/high", Tensor::scalar<float>(1.0f));
  return builder.node(fsq_node("Clip"), ir::Clip{}, {x, low, high});
}

std::vector<double> negated(std::vector<double> numbers) {
  for (double& number : numbers) number = -number;
  return numbers;
}

Result<ValueId> add_fsq(Builder& builder, const Network& network, ValueId z) {
  TRY_ASSIGN(const FsqConstants fsq, fsq_constants(network.fsq_variant, network.fsq_levels));
  if (fsq.scale != 1.0) {
    const std::vector<double> scale(network.fsq_levels.size(), fsq.scale);
    TRY_ASSIGN(z, builder.binary("Mul_scale", ir::BinaryKind::kMul, z, scale));
  }
  if (!fsq.floors) {
    TRY_ASSIGN(z, builder.binary("Add", ir::BinaryKind::kAdd, z, fsq.shift));
  }
  TRY_ASSIGN(z, add_bounding(builder, fsq.bounding, z));
  TRY_ASSIGN(z, builder.binary("Mul", ir::BinaryKind::kMul, z, fsq.factor));
  if (fsq.floors) {
    TRY_ASSIGN(z, builder.binary("Add", ir::BinaryKind::kAdd, z, fsq.term));
    TRY_ASSIGN(z, builder.node(fsq_node("Floor"), ir::Unary{ir::UnaryKind::kFloor}, {z}));
    TRY_ASSIGN(z, builder.binary("Sub", ir::BinaryKind::kSub, z, fsq.center));
  } else {
    TRY_ASSIGN(z, builder.binary("Sub", ir::BinaryKind::kSub, z, negated(fsq.term)));
    TRY_ASSIGN(z, builder.node(fsq_node("Round"), ir::Unary{ir::UnaryKind::kRound}, {z}));
  }
  return builder.binary("Div", ir::BinaryKind::kDiv, z, fsq.half_width);
}

Result<ValueId> add_head(Builder& builder, const Network& network, int64_t inputs, int64_t classes,
                         ValueId x) {
  if (network.hidden > 0) {
    TRY_ASSIGN(x, add_linear(builder, "head.hidden", kHiddenNode, inputs, network.hidden, x));
    TRY_ASSIGN(x, builder.node(kHiddenReluNode, ir::Unary{ir::UnaryKind::kRelu}, {x}));
    inputs = network.hidden;
  }
  return add_linear(builder, "head.output", kLogitsNode, inputs, classes, x);
}

// Rows and samples of the window behind a layer.
Result<void> shrink(const Layer& layer, size_t index, int64_t& rows, int64_t& samples) {
  const auto after = [](int64_t size, int64_t kernel, int64_t stride) {
    return size < kernel ? 0 : (size - kernel) / stride + 1;
  };
  const int64_t padded = samples + 2 * (layer.kernel[1] / 2);
  const int64_t conv_rows = after(rows, layer.kernel[0], layer.stride[0]);
  const int64_t conv_samples = after(padded, layer.kernel[1], layer.stride[1]);
  const int64_t left_rows = after(conv_rows, layer.pool[0], layer.pool[0]);
  const int64_t left_samples = after(conv_samples, layer.pool[1], layer.pool[1]);
  if (left_rows < 1 || left_samples < 1) {
    return invalid_input(
        fmt::format("network.layer {}", index + 1),
        fmt::format("takes {} x {} (sensors x samples) with kernel {} x {} and "
                    "pool {} x {}: nothing is left",
                    rows, samples, layer.kernel[0], layer.kernel[1], layer.pool[0], layer.pool[1]));
  }
  rows = left_rows;
  samples = left_samples;
  return ok();
}

}  // namespace

Result<std::map<std::string, Shape>> weight_shapes(const Network& network, WindowShape shape,
                                                   int64_t classes) {
  std::map<std::string, Shape> shapes;
  int64_t channels = shape.channels, rows = shape.sensors, samples = shape.samples;
  for (size_t i = 0; i < network.layers.size(); ++i) {
    const Layer& layer = network.layers[i];
    TRY(shrink(layer, i, rows, samples));
    const Shape kernel = {layer.kernel[0], layer.kernel[1]};
    if (layer.separable) {
      shapes[layer_weight(i, "depth.weight")] = {channels, 1, kernel[0], kernel[1]};
      shapes[layer_weight(i, "conv.weight")] = {layer.channels, channels, 1, 1};
    } else {
      shapes[layer_weight(i, "conv.weight")] = {layer.channels, channels, kernel[0], kernel[1]};
    }
    for (const char* part : {"norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"}) {
      shapes[layer_weight(i, part)] = {layer.channels};
    }
    channels = layer.channels;
  }
  const auto linear = [&](const std::string& name, int64_t outputs) {
    shapes[name + ".weight"] = {outputs, channels};
    shapes[name + ".bias"] = {outputs};
    channels = outputs;
  };
  const auto dimensions = static_cast<int64_t>(network.fsq_levels.size());
  if (dimensions > 0 || network.projection > 0) {
    linear("project", dimensions > 0 ? dimensions : network.projection);
  }
  if (network.hidden > 0) linear("head.hidden", network.hidden);
  linear("head.output", classes);
  return shapes;
}

Result<ir::Graph> build_graph(const Network& network, WindowShape shape, int64_t classes,
                              const Weights& weights) {
  TRY(weight_shapes(network, shape, classes));
  Builder builder{{}, weights};
  builder.graph.name = "main_graph";
  int64_t channels = shape.channels;
  ValueId x = ir::add_input(builder.graph, kInputName, DType::kFloat32,
                            {1, shape.channels, shape.sensors, shape.samples});
  for (size_t i = 0; i < network.layers.size(); ++i) {
    TRY_ASSIGN(x, add_layer(builder, network.layers[i], i, channels, x));
    channels = network.layers[i].channels;
  }
  const bool average = network.pooling == Pooling::kAverage;
  TRY_ASSIGN(
      x, builder.node(kPoolNode,
                      ir::GlobalPool{average ? ir::PoolKind::kAverage : ir::PoolKind::kMax}, {x}));
  TRY_ASSIGN(x, builder.node(kFlattenNode, ir::Flatten{1}, {x}));
  const auto dimensions = static_cast<int64_t>(network.fsq_levels.size());
  const int64_t projected = dimensions > 0 ? dimensions : network.projection;
  if (projected > 0) {
    TRY_ASSIGN(x, add_linear(builder, "project", kProjectNode, channels, projected, x));
    channels = projected;
  }
  if (dimensions > 0) {
    TRY_ASSIGN(x, add_fsq(builder, network, x));
  }
  TRY_ASSIGN(x, add_head(builder, network, channels, classes, x));
  builder.graph.value(x).name = kOutputName;
  builder.graph.outputs = {x};
  TRY(ir::verify(builder.graph));
  return std::move(builder.graph);
}

Result<ExportCheck> check_export(const ir::Graph& graph, const Tensor& windows,
                                 const Answers& answers) {
  constexpr double kThresholdBand = 1e-4;
  ir::Graph probe = graph;
  const bool quantizes = answers.bounded.size() > 0;
  const bool floors = ir::find_node(graph, fsq_node("Floor")).has_value();
  if (quantizes) {
    const auto bounded = ir::find_value(graph, tensor_of(fsq_node(floors ? "Add" : "Sub")));
    if (!bounded) return internal_error("export", "holds no FSQ");
    probe.outputs.push_back(*bounded);
  }
  TRY_ASSIGN(const std::vector<Tensor> outputs, ir::evaluate_windows(probe, windows));
  ExportCheck check;
  check.windows = windows.shape()[0];
  const auto difference = [&](const Tensor& a, const Tensor& b, size_t i) {
    const double gap = std::abs(static_cast<double>(a.data<float>()[i]) - b.data<float>()[i]);
    return std::isnan(gap) ? std::numeric_limits<double>::infinity() : gap;
  };
  const size_t rows = static_cast<size_t>(check.windows);
  const size_t classes = outputs[0].size() / rows;
  if (outputs[0].size() != answers.logits.size()) {
    return internal_error("export", "answers with another number of logits than libtorch");
  }
  for (size_t row = 0; row < rows; ++row) {
    bool near = false;
    const size_t dimensions = quantizes ? answers.bounded.size() / rows : 0;
    for (size_t i = row * dimensions; i < (row + 1) * dimensions; ++i) {
      const double value = answers.bounded.data<float>()[i];
      const double part = value - std::floor(value);
      const double distance = floors ? std::min(part, 1.0 - part) : std::abs(part - 0.5);
      near = near || distance < kThresholdBand;
      check.largest_difference =
          std::max(check.largest_difference, difference(outputs[1], answers.bounded, i));
    }
    check.at_a_threshold += near ? 1 : 0;
    for (size_t i = row * classes; !near && i < (row + 1) * classes; ++i) {
      check.largest_difference =
          std::max(check.largest_difference, difference(outputs[0], answers.logits, i));
    }
  }
  if (check.largest_difference < kExportTolerance) return check;
  return internal_error("export", fmt::format("differs from libtorch by {:.3g}; expected less than "
                                              "{:.0e}",
                                              check.largest_difference, kExportTolerance));
}

}  // namespace graupel::train
