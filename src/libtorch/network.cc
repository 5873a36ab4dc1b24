// The forward pass, in every mode. See network.h. Reference: PyTorch's modules of the same names;
// integer refinement as in Jacob et al. 2018 (arXiv 1712.05877), section 3. Test: libtorch_test.cc.
#include "libtorch/network.h"

#include <cmath>

#include "train/export.h"
#include "train/names.h"

namespace graupel::libtorch {
namespace {

using at::Tensor;
using train::layer_node;
using train::layer_weight;
using train::tensor_of;

bool refines(Mode mode) { return mode == Mode::kRefine || mode == Mode::kEvaluateRefined; }

// The tensor as its integer form holds it, if it has one.
Tensor held(const Run& run, const std::string& node, const Tensor& x) {
  if (!refines(run.mode) || run.forms == nullptr) return x;
  const auto form = run.forms->tensors.find(tensor_of(node));
  if (form == run.forms->tensors.end()) return x;
  return at::fake_quantize_per_tensor_affine(x, form->second.scale, form->second.zero_point,
                                             form->second.lowest, form->second.highest);
}

// On the grid that is given for the node, else one that follows the weights.
Tensor held_weight(const Run& run, const std::string& node, const Tensor& weight) {
  int64_t highest = 127;
  const Tensor largest = weight.detach().abs().flatten(1).amax(1);
  Tensor scale = (largest / static_cast<double>(highest)).clamp_min(1e-12);
  if (run.forms != nullptr && run.forms->layers.contains(node)) {
    const train::WeightForm& form = run.forms->layers.at(node);
    highest = (int64_t{1} << (form.bits - 1)) - 1;
    const std::vector<float> scales(form.scales.begin(), form.scales.end());
    scale = at::tensor(scales).expand({weight.size(0)}).contiguous();
  }
  const Tensor zero = at::zeros({weight.size(0)}, at::kInt);
  return at::fake_quantize_per_channel_affine(weight, scale, zero, 0, -highest, highest);
}

Tensor at_name(const State& state, const std::string& name) { return state.at(name); }

Tensor convolution(const Run& run, const train::Layer& layer, size_t index, const State& state,
                   const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const at::IntArrayRef stride(layer.stride.data(), 2);
  const std::vector<int64_t> padding = {0, layer.kernel[1] / 2};
  if (!layer.separable) return at::conv2d(x, weight, bias, stride, padding);
  Tensor depth = at_name(state, layer_weight(index, "depth.weight"));
  if (refines(run.mode)) depth = held_weight(run, layer_node(index, "depth/Conv"), depth);
  Tensor y = at::conv2d(x, depth, {}, stride, padding, at::IntArrayRef({1, 1}), x.size(1));
  y = held(run, layer_node(index, "depth/Conv"), y);
  return at::conv2d(y, weight, bias);
}

Tensor layer_forward(const Run& run, const train::Layer& layer, size_t index, const State& state,
                     const Tensor& x) {
  const auto part = [&](const char* name) { return at_name(state, layer_weight(index, name)); };
  Tensor weight = part("conv.weight");
  Tensor y;
  if (refines(run.mode)) {
    // As the simplifier folds BatchNorm in front of the quantizer.
    const Tensor factor =
        part("norm.weight") / (part("norm.running_var") + train::kBatchNormEpsilon).sqrt();
    weight = held_weight(run, layer_node(index, "conv/Conv"), weight * factor.view({-1, 1, 1, 1}));
    const Tensor bias = part("norm.bias") - part("norm.running_mean") * factor;
    y = convolution(run, layer, index, state, x, weight, bias);
  } else {
    y = convolution(run, layer, index, state, x, weight, {});
    y = at::batch_norm(y, part("norm.weight"), part("norm.bias"), part("norm.running_mean"),
                       part("norm.running_var"), run.mode == Mode::kLearn, 0.1,
                       train::kBatchNormEpsilon, false);
  }
  y = held(run, layer_node(index, "relu/Relu"), at::relu(y));
  if (layer.pool == std::array<int64_t, 2>{1, 1}) return y;
  return at::max_pool2d(y, at::IntArrayRef(layer.pool.data(), 2));
}

// Weights are rounded where the layer's answer is an integer too, which is where it is on the
// device.
Tensor linear(const Run& run, const State& state, const std::string& name, const std::string& node,
              const std::string& last_node, const Tensor& x) {
  Tensor weight = at_name(state, name + ".weight");
  const bool integer =
      refines(run.mode) && run.forms != nullptr &&
      (run.forms->layers.contains(node) || run.forms->tensors.contains(tensor_of(node)) ||
       run.forms->tensors.contains(tensor_of(last_node)));
  if (integer) weight = held_weight(run, node, weight);
  return held(run, node, at::linear(x, weight, at_name(state, name + ".bias")));
}

Tensor row(const std::vector<double>& numbers) {
  const std::vector<float> floats(numbers.begin(), numbers.end());
  return at::tensor(floats).view({1, -1});
}

Tensor bounding(const Run& run, train::Bounding kind, const Tensor& x) {
  if (kind == train::Bounding::kClamp) return at::clamp(x, -1.0, 1.0);
  if (kind == train::Bounding::kSigmoid) {
    return held(run, train::fsq_node("Sigmoid"), at::sigmoid(x));
  }
  return held(run, train::fsq_node("Tanh"), at::tanh(x));
}

Tensor quantized(const Run& run, Tensor z, Forward& result) {
  // check_config has seen the variant.
  const train::FsqConstants fsq =
      train::fsq_constants(run.network.fsq_variant, run.network.fsq_levels).value();
  if (fsq.scale != 1.0) z = z * static_cast<float>(fsq.scale);
  if (!fsq.floors) z = held(run, train::fsq_node("Add"), z + row(fsq.shift));
  z = bounding(run, fsq.bounding, z) * row(fsq.factor);
  z = held(run, train::fsq_node("Mul"), z) + row(fsq.term);
  z = held(run, train::fsq_node(fsq.floors ? "Add" : "Sub"), z);
  result.bounded = z;
  const Tensor rounded = fsq.floors ? at::floor(z) : at::round(z);
  std::vector<double> first;  // what digit 0 rounds to
  for (const int64_t levels : run.network.fsq_levels) {
    first.push_back(fsq.floors ? 0.0 : -static_cast<double>(levels / 2));
  }
  result.digits = (rounded.detach() - row(first)).to(at::kLong);
  return (straight_through(rounded, z) - row(fsq.center)) / row(fsq.half_width);
}

}  // namespace

bool is_trained(const std::string& name) { return name.find("running_") == std::string::npos; }

at::Tensor straight_through(const at::Tensor& rounded, const at::Tensor& value) {
  return at::GradMode::is_enabled() ? value + (rounded - value).detach() : rounded;
}

Result<State> initial_state(const train::Network& network, train::WindowShape shape,
                            int64_t classes) {
  using Shapes = std::map<std::string, Shape>;
  TRY_ASSIGN(const Shapes shapes, train::weight_shapes(network, shape, classes));
  State state;
  for (const auto& [name, size] : shapes) {
    const bool norm = name.find(".norm.") != std::string::npos;
    if (norm) {
      const bool ones = name.ends_with("norm.weight") || name.ends_with("running_var");
      state[name] = ones ? at::ones(size) : at::zeros(size);
      continue;
    }
    // A bias is drawn in the range of its weights.
    const std::string weight = name.substr(0, name.rfind('.')) + ".weight";
    const Shape& kernel = shapes.at(weight);
    double fan_in = 1.0;
    for (size_t i = 1; i < kernel.size(); ++i) fan_in *= static_cast<double>(kernel[i]);
    const double bound = 1.0 / std::sqrt(fan_in);
    state[name] = at::empty(size).uniform_(-bound, bound);
  }
  return state;
}

Forward forward(const Run& run, State& state, const at::Tensor& input) {
  const train::Network& network = run.network;
  Forward result;
  Tensor x = input;
  if (refines(run.mode) && run.forms != nullptr) {
    const auto form = run.forms->tensors.find(train::kInputName);
    if (form != run.forms->tensors.end()) {
      x = at::fake_quantize_per_tensor_affine(x, form->second.scale, form->second.zero_point,
                                              form->second.lowest, form->second.highest);
    }
  }
  for (size_t i = 0; i < network.layers.size(); ++i) {
    x = layer_forward(run, network.layers[i], i, state, x);
  }
  const std::vector<int64_t> rest = {2, 3};
  x = network.pooling == train::Pooling::kAverage ? x.mean(rest, true) : x.amax(rest, true);
  x = held(run, train::kPoolNode, x).flatten(1);
  const bool quantizes = !network.fsq_levels.empty();
  if (quantizes || network.projection > 0) {
    x = linear(run, state, "project", train::kProjectNode, train::fsq_node("Add"), x);
  }
  if (quantizes) x = quantized(run, x, result);
  if (network.hidden > 0) {
    x = linear(run, state, "head.hidden", train::kHiddenNode, train::kHiddenReluNode, x);
    x = held(run, train::kHiddenReluNode, at::relu(x));
  }
  const bool learning = run.mode == Mode::kLearn || run.mode == Mode::kRefine;
  x = at::dropout(x, network.dropout, learning);
  result.logits = linear(run, state, "head.output", train::kLogitsNode, train::kOutputName, x);
  return result;
}

at::Tensor to_torch(const graupel::Tensor& tensor) {
  const at::Tensor copy = at::empty(tensor.shape(), at::kFloat);
  const std::span<const float> values = tensor.data<float>();
  std::copy(values.begin(), values.end(), copy.data_ptr<float>());
  return copy;
}

graupel::Tensor from_torch(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.detach().to(at::kFloat).contiguous();
  return graupel::Tensor::of<float>(
      Shape(plain.sizes().begin(), plain.sizes().end()),
      std::span<const float>(plain.data_ptr<float>(), static_cast<size_t>(plain.numel())));
}

train::Weights to_weights(const State& state) {
  train::Weights weights;
  for (const auto& [name, tensor] : state) weights[name] = from_torch(tensor);
  return weights;
}

State to_state(const train::Weights& weights) {
  State state;
  for (const auto& [name, tensor] : weights) state[name] = to_torch(tensor);
  return state;
}

}  // namespace graupel::libtorch
