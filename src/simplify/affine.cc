// Per-channel affine maps and linear operators. See affine.h.
//
// Idea: with y = W x + c,   s (W x + c) + t = (s W) x + (s c + t)        (affine after)
//                       and   W (s x + t) + c = (W s) x + (W t + c)        (affine before)
// where s scales rows of W in the first line and columns in the second. All sums run in double and
// are rounded once. Test: fuse_test.cc.
#include "simplify/affine.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace graupel::simplify {
namespace {

using ir::NodeId;
using ir::ValueId;

// The weights of a linear operator, seen as one two-dimensional loop over (output, input) channels.
struct Linear {
  size_t weight_input = 1;
  int64_t outputs = 0;       // output channels
  int64_t inputs = 0;        // data channels
  int64_t block = 1;         // weights per (output, input) pair, contiguous
  double factor = 1.0;       // of the product: Gemm's alpha
  double bias_factor = 1.0;  // Gemm's beta
  bool pads = false;         // zeros may enter the sum
  bool overlaps = false;     // ConvTranspose: which inputs reach an output depends on where it is
  // Block number -> output and input channel.
  enum class Order { kConv, kConvTranspose, kRowsAreOutputs, kRowsAreInputs } order = Order::kConv;
  int64_t group = 1;

  int64_t output_of(int64_t i) const;
  int64_t input_of(int64_t i) const;
};

int64_t Linear::output_of(int64_t i) const {
  switch (order) {
    case Order::kConv: return i / (inputs / group);
    case Order::kConvTranspose: {
      const int64_t outputs_each = outputs / group;
      const int64_t input = i / outputs_each;
      return input / (inputs / group) * outputs_each + i % outputs_each;
    }
    case Order::kRowsAreOutputs: return i / inputs;
    case Order::kRowsAreInputs: return i % outputs;
  }
  return 0;
}

int64_t Linear::input_of(int64_t i) const {
  switch (order) {
    case Order::kConv: {
      const int64_t inputs_each = inputs / group;
      return output_of(i) / (outputs / group) * inputs_each + i % inputs_each;
    }
    case Order::kConvTranspose: return i / (outputs / group);
    case Order::kRowsAreOutputs: return i % inputs;
    case Order::kRowsAreInputs: return i / outputs;
  }
  return 0;
}

bool any_padding(const ir::Window& window) {
  if (window.auto_pad == ir::AutoPad::kSameUpper || window.auto_pad == ir::AutoPad::kSameLower) {
    return true;
  }
  return std::any_of(window.pads.begin(), window.pads.end(), [](int64_t pad) { return pad != 0; });
}

std::optional<Linear> grouped(const Tensor& weight, int64_t group, Linear::Order order) {
  if (weight.rank() < 2 || group <= 0 || weight.size() == 0) return std::nullopt;
  Linear linear;
  linear.order = order;
  linear.group = group;
  const int64_t dim0 = weight.shape()[0];
  const int64_t dim1 = weight.shape()[1];
  if (dim0 % group != 0) return std::nullopt;
  linear.outputs = order == Linear::Order::kConv ? dim0 : dim1 * group;
  linear.inputs = order == Linear::Order::kConv ? dim1 * group : dim0;
  linear.block = static_cast<int64_t>(weight.size()) / (dim0 * dim1);
  return linear;
}

std::optional<Linear> matrix(const Tensor& weight, bool transposed) {
  if (weight.rank() != 2 || weight.size() == 0) return std::nullopt;
  Linear linear;
  linear.order = transposed ? Linear::Order::kRowsAreOutputs : Linear::Order::kRowsAreInputs;
  linear.outputs = weight.shape()[transposed ? 0 : 1];
  linear.inputs = weight.shape()[transposed ? 1 : 0];
  return linear;
}

// The node as a linear operator with constant float weights, or nothing.
std::optional<Linear> as_linear(const ir::Graph& graph, NodeId id) {
  const ir::Node& node = graph.node(id);
  const Tensor* weight = constant_input(graph, node, 1);
  if (weight == nullptr || !is_foldable_float(weight->dtype())) return std::nullopt;
  if (const auto* conv = std::get_if<ir::Conv>(&node.op)) {
    std::optional<Linear> linear = grouped(*weight, conv->group, Linear::Order::kConv);
    if (linear) linear->pads = any_padding(conv->window);
    return linear;
  }
  if (const auto* conv = std::get_if<ir::ConvTranspose>(&node.op)) {
    std::optional<Linear> linear = grouped(*weight, conv->group, Linear::Order::kConvTranspose);
    if (linear) linear->overlaps = true;
    return linear;
  }
  if (const auto* gemm = std::get_if<ir::Gemm>(&node.op)) {
    std::optional<Linear> linear = matrix(*weight, gemm->transpose_b);
    if (linear) {
      linear->factor = gemm->alpha;
      linear->bias_factor = gemm->beta;
    }
    return linear;
  }
  if (std::holds_alternative<ir::MatMul>(node.op)) return matrix(*weight, false);
  return std::nullopt;
}

// The bias as one double per output channel (zeros if omitted); nothing if it is not constant or
// varies along anything but the channels.
std::optional<std::vector<double>> bias_of(const ir::Graph& graph, const ir::Node& node,
                                           const Linear& linear) {
  std::vector<double> bias(static_cast<size_t>(linear.outputs), 0.0);
  if (!input(node, 2).valid()) return bias;
  const Tensor* tensor = constant_input(graph, node, 2);
  if (tensor == nullptr) return std::nullopt;
  const std::vector<double> values = tensor->to_doubles();
  const bool per_channel = !tensor->shape().empty() && tensor->shape().back() == linear.outputs;
  if (values.size() != 1 && !(per_channel && values.size() == bias.size())) return std::nullopt;
  for (size_t i = 0; i < bias.size(); ++i) {
    bias[i] = linear.bias_factor * values[values.size() == 1 ? 0 : i];
  }
  return bias;
}

double largest_magnitude(const Tensor& tensor) {
  double largest = 0.0;
  if (tensor.dtype() == DType::kFloat32) {
    for (const float value : tensor.data<float>()) {
      largest = std::max(largest, std::fabs(static_cast<double>(value)));
    }
  } else {
    for (const double value : tensor.data<double>()) largest = std::max(largest, std::fabs(value));
  }
  return largest;
}

// True if values stay finite when rounded to the dtype.
bool fits(DType dtype, const std::vector<double>& values, double factor = 1.0) {
  const double limit = dtype == DType::kFloat32
                           ? static_cast<double>(std::numeric_limits<float>::max())
                           : std::numeric_limits<double>::max();
  return std::all_of(values.begin(), values.end(),
                     [&](double value) { return std::fabs(value) * factor <= limit; });
}

enum class Side { kOutputs, kInputs };

template <class T>
void scale_weights(std::span<T> weights, const Linear& linear, Side side,
                   const std::vector<double>& scale) {
  const auto blocks = static_cast<int64_t>(weights.size()) / linear.block;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t channel = side == Side::kOutputs ? linear.output_of(i) : linear.input_of(i);
    const double factor = scale[static_cast<size_t>(channel)];
    for (int64_t k = i * linear.block; k < (i + 1) * linear.block; ++k) {
      T& weight = weights[static_cast<size_t>(k)];
      weight = static_cast<T>(static_cast<double>(weight) * factor);
    }
  }
}

void scale_weights(Tensor& weights, const Linear& linear, Side side,
                   const std::vector<double>& scale) {
  if (weights.dtype() == DType::kFloat32) {
    scale_weights(weights.mutable_data<float>(), linear, side, scale);
  } else {
    scale_weights(weights.mutable_data<double>(), linear, side, scale);
  }
}

// sum over inputs of weight * shift, per output channel.
template <class T>
std::vector<double> weighted_shift(std::span<const T> weights, const Linear& linear,
                                   const std::vector<double>& shift) {
  std::vector<double> sums(static_cast<size_t>(linear.outputs), 0.0);
  const auto blocks = static_cast<int64_t>(weights.size()) / linear.block;
  for (int64_t i = 0; i < blocks; ++i) {
    double sum = 0.0;
    for (int64_t k = i * linear.block; k < (i + 1) * linear.block; ++k) {
      sum += static_cast<double>(weights[static_cast<size_t>(k)]);
    }
    sums[static_cast<size_t>(linear.output_of(i))] +=
        sum * shift[static_cast<size_t>(linear.input_of(i))];
  }
  return sums;
}

// Only a matrix product of rank 2 can become a Gemm, which has a bias.
bool can_hold_bias(const ir::Graph& graph, const ir::Node& node) {
  if (!std::holds_alternative<ir::MatMul>(node.op)) return true;
  const Shape* shape = known_shape(graph, input(node, 0));
  return shape != nullptr && shape->size() == 2;
}

struct Folded {
  Linear linear;
  std::vector<double> bias;
  bool bias_changes = false;
};

void apply(Sweep& sweep, NodeId id, Side side, const Folded& folded, const ChannelAffine& affine) {
  const DType dtype = constant_input(sweep.graph, sweep.graph.node(id), 1)->dtype();
  if (affine.scales()) {
    const std::string name = sweep.graph.value(sweep.graph.node(id).inputs[1]).name;
    Tensor weights = take_constant_input(sweep, id, 1);
    scale_weights(weights, folded.linear, side, affine.scale);
    set_constant_input(sweep, id, 1, name, std::move(weights));
  }
  if (!folded.bias_changes) return;
  ir::Op& op = sweep.graph.node(id).op;
  if (std::holds_alternative<ir::MatMul>(op)) op = ir::Gemm{};
  if (auto* gemm = std::get_if<ir::Gemm>(&op)) gemm->beta = 1.0;
  const ValueId old = input(sweep.graph.node(id), 2);
  const std::string name =
      old.valid() ? sweep.graph.value(old).name : sweep.graph.node(id).name + ".bias";
  set_constant_input(sweep, id, 2, name, from_doubles(dtype, {folded.linear.outputs}, folded.bias));
}

}  // namespace

bool ChannelAffine::scales() const {
  return std::any_of(scale.begin(), scale.end(), [](double value) { return value != 1.0; });
}
bool ChannelAffine::shifts() const {
  return std::any_of(shift.begin(), shift.end(), [](double value) { return value != 0.0; });
}

bool is_foldable_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

Tensor from_doubles(DType dtype, Shape shape, const std::vector<double>& values) {
  if (dtype == DType::kFloat64) return Tensor::of<double>(std::move(shape), values);
  std::vector<float> rounded(values.size());
  std::transform(values.begin(), values.end(), rounded.begin(),
                 [](double value) { return static_cast<float>(value); });
  return Tensor::of<float>(std::move(shape), rounded);
}

std::optional<ChannelAffine> batch_norm_affine(const ir::Graph& graph, const ir::Node& node) {
  const auto* norm = std::get_if<ir::BatchNormalization>(&node.op);
  if (norm == nullptr || norm->training || node.inputs.size() != 5) return std::nullopt;
  std::vector<double> parameters[4];
  for (size_t i = 0; i < 4; ++i) {
    const Tensor* tensor = constant_input(graph, node, i + 1);
    if (tensor == nullptr || !is_foldable_float(tensor->dtype())) return std::nullopt;
    parameters[i] = tensor->to_doubles();
    if (parameters[i].size() != parameters[0].size()) return std::nullopt;
  }
  const auto& [scale, bias, mean, variance] = parameters;
  ChannelAffine affine;
  for (size_t c = 0; c < scale.size(); ++c) {
    const double radicand = variance[c] + norm->epsilon;
    if (!(radicand > 0.0)) return std::nullopt;
    const double factor = scale[c] / std::sqrt(radicand);
    affine.scale.push_back(factor);
    affine.shift.push_back(bias[c] - mean[c] * factor);
    if (!std::isfinite(factor) || !std::isfinite(affine.shift.back())) return std::nullopt;
  }
  return affine;
}

std::optional<ChannelAffine> arithmetic_affine(const ir::Graph& graph, const ir::Node& node,
                                               size_t axis) {
  const auto* binary = std::get_if<ir::Binary>(&node.op);
  if (binary == nullptr || node.inputs.size() != 2) return std::nullopt;
  const size_t data = constant_input(graph, node, 0) != nullptr ? 1 : 0;
  const Tensor* operand = constant_input(graph, node, 1 - data);
  const Shape* x = known_shape(graph, node.inputs[data]);
  const Shape* y = known_shape(graph, node.outputs[0]);
  if (operand == nullptr || x == nullptr || y == nullptr || *x != *y || axis >= x->size() ||
      operand->rank() > x->size() || !is_foldable_float(operand->dtype())) {
    return std::nullopt;
  }
  const size_t missing = x->size() - operand->rank();
  for (size_t i = 0; i < operand->rank(); ++i) {
    if (operand->shape()[i] != 1 && i + missing != axis) return std::nullopt;
  }
  const auto channels = static_cast<size_t>((*x)[axis]);
  const std::vector<double> values = operand->to_doubles();
  if (values.size() != 1 && values.size() != channels) return std::nullopt;
  ChannelAffine affine{data, std::vector<double>(channels, 1.0), std::vector<double>(channels)};
  for (size_t c = 0; c < channels; ++c) {
    const double value = values[values.size() == 1 ? 0 : c];
    switch (binary->kind) {
      case ir::BinaryKind::kAdd: affine.shift[c] = value; break;
      case ir::BinaryKind::kMul: affine.scale[c] = value; break;
      case ir::BinaryKind::kSub:
        affine.scale[c] = data == 0 ? 1.0 : -1.0;
        affine.shift[c] = data == 0 ? -value : value;
        break;
      case ir::BinaryKind::kDiv:
        if (data != 0 || value == 0.0) return std::nullopt;
        affine.scale[c] = 1.0 / value;
        break;
      default: return std::nullopt;
    }
    if (!std::isfinite(affine.scale[c]) || !std::isfinite(affine.shift[c])) return std::nullopt;
  }
  return affine;
}

std::optional<size_t> output_channel_axis(const ir::Graph& graph, NodeId id) {
  const ir::Node& node = graph.node(id);
  if (std::holds_alternative<ir::Conv>(node.op) ||
      std::holds_alternative<ir::ConvTranspose>(node.op) ||
      std::holds_alternative<ir::Gemm>(node.op)) {
    return 1;
  }
  if (!std::holds_alternative<ir::MatMul>(node.op)) return std::nullopt;
  const Shape* shape = known_shape(graph, node.outputs[0]);
  if (shape == nullptr || shape->empty()) return std::nullopt;
  return shape->size() - 1;
}

std::optional<size_t> input_channel_axis(const ir::Graph& graph, NodeId id) {
  const ir::Node& node = graph.node(id);
  if (const auto* gemm = std::get_if<ir::Gemm>(&node.op)) {
    return gemm->transpose_a ? 0 : 1;
  }
  if (!std::holds_alternative<ir::MatMul>(node.op)) return output_channel_axis(graph, id);
  const Shape* shape = known_shape(graph, input(node, 0));
  if (shape == nullptr || shape->empty()) return std::nullopt;
  return shape->size() - 1;
}

bool fold_after(Sweep& sweep, NodeId linear_id, NodeId last, const ChannelAffine& affine) {
  const ir::Graph& graph = sweep.graph;
  const ir::Node& node = graph.node(linear_id);
  const std::optional<Linear> linear = as_linear(graph, linear_id);
  if (!linear || static_cast<size_t>(linear->outputs) != affine.scale.size()) return false;
  if (!read_once(sweep, node.outputs[0])) return false;
  std::optional<std::vector<double>> bias = bias_of(graph, node, *linear);
  if (!bias) return false;
  for (size_t c = 0; c < bias->size(); ++c) {
    (*bias)[c] = (*bias)[c] * affine.scale[c] + affine.shift[c];
  }
  const bool bias_changes = affine.shifts() || input(node, 2).valid();
  if (bias_changes && !can_hold_bias(graph, node)) return false;
  const Tensor& weight = *constant_input(graph, node, 1);
  if (!fits(weight.dtype(), *bias) ||
      !fits(weight.dtype(), affine.scale, largest_magnitude(weight))) {
    return false;
  }
  apply(sweep, linear_id, Side::kOutputs, {*linear, std::move(*bias), bias_changes}, affine);
  take_output(sweep, linear_id, last);
  return true;
}

bool fold_before(Sweep& sweep, NodeId first, NodeId linear_id, const ChannelAffine& affine) {
  const ir::Graph& graph = sweep.graph;
  const ir::Node& node = graph.node(linear_id);
  const ValueId between = graph.node(first).outputs[0];
  const std::optional<Linear> linear = as_linear(graph, linear_id);
  if (!linear || static_cast<size_t>(linear->inputs) != affine.scale.size()) return false;
  if (input(node, 0) != between || !read_once(sweep, between)) return false;
  const bool shifts = affine.shifts();
  if (shifts && (linear->pads || linear->overlaps || !can_hold_bias(graph, node))) return false;
  const Tensor& weight = *constant_input(graph, node, 1);
  std::vector<double> bias;
  if (shifts) {
    std::optional<std::vector<double>> old = bias_of(graph, node, *linear);
    if (!old) return false;
    bias = weight.dtype() == DType::kFloat32
               ? weighted_shift(weight.data<float>(), *linear, affine.shift)
               : weighted_shift(weight.data<double>(), *linear, affine.shift);
    for (size_t m = 0; m < bias.size(); ++m) bias[m] = linear->factor * bias[m] + (*old)[m];
  }
  if (!fits(weight.dtype(), bias) ||
      !fits(weight.dtype(), affine.scale, largest_magnitude(weight))) {
    return false;
  }
  apply(sweep, linear_id, Side::kInputs, {*linear, std::move(bias), shifts}, affine);
  set_input(sweep, linear_id, 0, graph.node(first).inputs[affine.data_input]);
  erase(sweep, first);
  return true;
}

}  // namespace graupel::simplify
