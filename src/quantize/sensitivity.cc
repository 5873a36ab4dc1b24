// Sensitivity by measurement. See sensitivity.h. A layer's rounding is put into the float graph:
// its weights as what the integers stand for, its output through one QuantizeLinear pair.
// Test: analysis_test.cc.
#include "quantize/sensitivity.h"

#include <algorithm>
#include <cmath>

#include "ir/eval.h"

namespace graupel::quantize {
namespace {

using ir::Graph;
using ir::ValueId;

// Multiply-adds that looking at one layer may cost. A network that rounds in its host part needs
// many windows before a single layer's rounding changes any answer.
constexpr double kWork = 1e9;
constexpr size_t kFewestWindows = 64;

// Tensors [N, ...] one after the other along the rows.
Tensor rows_of(const std::vector<Tensor>& tensors) {
  const int64_t count = tensors.empty() ? 0 : tensors[0].shape()[0];
  std::vector<std::vector<double>> values;
  int64_t width = 0;
  for (const Tensor& tensor : tensors) {
    values.push_back(tensor.to_doubles());
    width += count > 0 ? static_cast<int64_t>(tensor.size()) / count : 0;
  }
  Tensor rows(DType::kFloat32, {count, width});
  float* out = rows.mutable_data<float>().data();
  for (int64_t n = 0; n < count; ++n) {
    for (const std::vector<double>& each : values) {
      const auto size = static_cast<int64_t>(each.size()) / count;
      for (int64_t i = 0; i < size; ++i) {
        *out++ = static_cast<float>(each[static_cast<size_t>(n * size + i)]);
      }
    }
  }
  return rows;
}

Tensor window_of(const Tensor& windows, const Shape& shape, size_t index) {
  Tensor window(windows.dtype(), shape);
  const size_t size_bytes = window.size_bytes();
  std::copy_n(windows.bytes() + index * size_bytes, size_bytes, window.mutable_bytes());
  return window;
}

bool feeds(const Graph& device, const Graph& host) {
  return !host.outputs.empty() &&
         std::all_of(host.inputs.begin(), host.inputs.end(), [&](ValueId input) {
           const std::string& name = host.value(input).name;
           return std::any_of(device.outputs.begin(), device.outputs.end(),
                              [&](ValueId output) { return device.value(output).name == name; });
         });
}

std::vector<double> log_softmax(const float* row, size_t classes) {
  double largest = -INFINITY, sum = 0.0;
  for (size_t i = 0; i < classes; ++i) largest = std::max(largest, static_cast<double>(row[i]));
  for (size_t i = 0; i < classes; ++i) sum += std::exp(static_cast<double>(row[i]) - largest);
  std::vector<double> logs(classes);
  for (size_t i = 0; i < classes; ++i) logs[i] = row[i] - largest - std::log(sum);
  return logs;
}

// `graph`, which holds the values of done.graph, with one point stored as integers.
Result<Graph> with_point(const Optimised& done, const Graph& graph, ValueId value) {
  Points only = done.points;
  only.is_point.assign(graph.values.size(), false);
  only.is_point[value.index()] = true;
  while (only.same_scale.size() < graph.values.size()) {
    only.same_scale.emplace_back(only.same_scale.size());
  }
  Choices some = done.choices;
  some.weights.clear();
  some.scales.resize(graph.values.size());
  some.wide.resize(graph.values.size(), false);
  some.wide_scales.resize(graph.values.size());
  TRY_ASSIGN(Qdq qdq, build_activations(graph, only, some));
  return std::move(qdq.graph);
}

// The float graph with this layer alone rounded.
Result<Graph> one_rounded(const Optimised& done, const Layer& layer) {
  const Choices& choices = done.choices;
  Graph graph = done.graph;
  const WeightChoice& weights = choices.weights.at(layer.node.index());
  const std::string name = graph.node(layer.node).name;
  graph.node(layer.node).inputs[1] =
      ir::add_constant(graph, name + "_rounded", dequantized_weights(done.graph, layer, weights));
  if (!weights.bias.empty()) TRY(set_layer_bias(graph, layer, weights.bias));
  const ir::Uses uses = ir::find_uses(done.graph);
  ValueId value = layer.output;
  while (!done.points.is_point[value.index()] && !uses.readers[value.index()].empty()) {
    value = done.graph.node(uses.readers[value.index()][0]).outputs[0];
  }
  if (!done.points.is_point[value.index()]) return graph;
  return with_point(done, graph, value);
}

}  // namespace

Result<Answers> answers_of(const Graph& device, const std::vector<Tensor>& outputs,
                           const Graph& host) {
  if (!feeds(device, host)) return Answers{rows_of(outputs), false};
  const auto count = static_cast<size_t>(outputs[0].shape()[0]);
  std::vector<Tensor> logits;
  std::vector<float> all;
  TRY_ASSIGN(const ir::Prepared prepared, ir::prepare(host));
  for (size_t n = 0; n < count; ++n) {
    std::vector<Tensor> inputs;
    for (const ValueId input : host.inputs) {
      for (size_t i = 0; i < device.outputs.size(); ++i) {
        const ValueId output = device.outputs[i];
        if (device.value(output).name != host.value(input).name) continue;
        inputs.push_back(window_of(outputs[i], host.shape(input), n));
      }
    }
    TRY_ASSIGN(const std::vector<Tensor> found, ir::evaluate(prepared, inputs));
    for (const double value : found[0].to_doubles()) all.push_back(static_cast<float>(value));
  }
  const auto width = static_cast<int64_t>(count > 0 ? all.size() / count : 0);
  return Answers{Tensor::of<float>({static_cast<int64_t>(count), width}, all), width > 1};
}

double mean_divergence(const Tensor& exact, const Tensor& close) {
  const auto count = static_cast<size_t>(exact.shape()[0]);
  const size_t classes = count > 0 ? exact.size() / count : 0;
  double sum = 0.0;
  for (size_t n = 0; n < count; ++n) {
    const auto p = log_softmax(exact.data<float>().data() + n * classes, classes);
    const auto q = log_softmax(close.data<float>().data() + n * classes, classes);
    for (size_t i = 0; i < classes; ++i) sum += std::exp(p[i]) * (p[i] - q[i]);
  }
  return count > 0 ? std::max(0.0, sum / static_cast<double>(count)) : 0.0;
}

Result<std::vector<LayerSensitivity>> measure_sensitivity(const Optimised& done,
                                                          const Tensor& windows,
                                                          const QuantizeOptions& options) {
  std::vector<LayerSensitivity> rows;
  if (options.sensitivity_windows <= 0) return rows;
  const auto most = static_cast<size_t>(options.sensitivity_windows);
  const size_t count = affordable_windows(done.graph, kWork, std::min(kFewestWindows, most), most);
  TRY_ASSIGN(const Reference reference, make_reference(done.graph, windows, count));
  TRY_ASSIGN(const Answers exact, answers_of(done.graph, reference.outputs, options.host));
  const auto add = [&](std::string node, std::string_view type,
                       const Graph& graph) -> Result<void> {
    TRY_ASSIGN(const std::vector<Tensor> outputs, ir::evaluate_windows(graph, reference.windows));
    TRY_ASSIGN(const Answers close, answers_of(done.graph, outputs, options.host));
    rows.push_back({std::move(node), std::string(type),
                    noise_db(relative_noise(reference.outputs, outputs)),
                    mean_divergence(exact.logits, close.logits)});
    return ok();
  };
  const ValueId input = done.graph.inputs[0];
  if (done.points.is_point[input.index()]) {
    TRY_ASSIGN(const Graph graph, with_point(done, done.graph, input));
    TRY(add(done.graph.value(input).name, "input", graph));
  }
  for (const Layer& layer : find_layers(done.graph, done.points)) {
    if (!done.choices.weights.contains(layer.node.index())) continue;
    const ir::Node& node = done.graph.node(layer.node);
    TRY_ASSIGN(const Graph graph, one_rounded(done, layer));
    TRY(add(node.name, ir::op_type(node.op), graph));
  }
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    if (a.divergence_nats != b.divergence_nats) return a.divergence_nats > b.divergence_nats;
    return a.output_snr_db < b.output_snr_db;
  });
  return rows;
}

}  // namespace graupel::quantize
