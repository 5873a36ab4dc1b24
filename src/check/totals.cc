// Counting what a model needs of a chip. See totals.h.
// Reference: the published placements behind the limits in targets/hailo8.toml. Test:
// rules_test.cc.
#include "check/totals.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace graupel::check {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

std::vector<NodeId> device_nodes(const View& view) {
  std::vector<NodeId> nodes;
  for (const NodeId id : ir::live_nodes(*view.graph)) {
    if (!view.on_host[id.index()]) nodes.push_back(id);
  }
  return nodes;
}

int64_t count_params(const View& view) {
  std::set<ValueId> counted;
  int64_t params = 0;
  for (const NodeId id : device_nodes(view)) {
    for (const ValueId input : view.graph->node(id).inputs) {
      const Tensor* tensor = view.graph->constant(input);
      if (tensor == nullptr || !is_float(tensor->dtype()) || !counted.insert(input).second)
        continue;
      params += static_cast<int64_t>(tensor->size());
    }
  }
  return params;
}

// Elements of one activation; 0 for constants and omitted operands.
std::optional<int64_t> live_size(const Graph& graph, ValueId value) {
  if (!value.valid() || graph.value(value).constant) return 0;
  if (!graph.value(value).shape) return std::nullopt;
  return element_count(*graph.value(value).shape);
}

// Steps at which each value is made and last read; a value lives in between.
std::optional<int64_t> largest_live(const View& view) {
  const Graph& graph = *view.graph;
  const std::vector<NodeId> nodes = device_nodes(view);
  std::vector<int64_t> change(nodes.size() + 2, 0);
  std::vector<size_t> made(graph.values.size(), nodes.size() + 1), read(graph.values.size(), 0);
  for (const ValueId input : graph.inputs) made[input.index()] = 0;
  for (size_t step = 0; step < nodes.size(); ++step) {
    for (const ValueId output : graph.node(nodes[step]).outputs) {
      if (output.valid()) made[output.index()] = read[output.index()] = step;
    }
    for (const ValueId input : graph.node(nodes[step]).inputs) {
      if (input.valid()) read[input.index()] = step;
    }
  }
  for (const ValueId output : graph.outputs) read[output.index()] = nodes.size();
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (made[i] > nodes.size()) continue;
    const std::optional<int64_t> size = live_size(graph, ValueId(i));
    if (!size) return std::nullopt;
    change[made[i]] += *size;
    change[std::max(made[i], read[i]) + 1] -= *size;
  }
  int64_t live = 0, largest = 0;
  for (const int64_t delta : change) largest = std::max(largest, live += delta);
  return largest;
}

double control_units(const View& view) {
  double units = 0;
  for (const NodeId id : device_nodes(view)) {
    const auto found = view.control_units->find(op_name(view.graph->node(id).op));
    units += found == view.control_units->end() ? 0.0 : found->second;
  }
  return units;
}

// The axis of `weight` that counts output channels.
std::optional<size_t> channel_axis(const ir::Op& op, const Tensor& weight) {
  if (std::holds_alternative<ir::Conv>(op) && weight.rank() >= 3) return 0;
  if (std::holds_alternative<ir::ConvTranspose>(op) && weight.rank() >= 3) return 1;
  if (const auto* gemm = std::get_if<ir::Gemm>(&op)) {
    if (weight.rank() == 2) return gemm->transpose_b ? 0 : 1;
  }
  if (std::holds_alternative<ir::MatMul>(op) && weight.rank() >= 2) return weight.rank() - 1;
  return std::nullopt;
}

template <class Values>
std::vector<double> channel_maxima(const Values& values, size_t channels, size_t inner) {
  std::vector<double> maxima(channels, 0.0);
  for (size_t i = 0; i < values.size(); ++i) {
    double& maximum = maxima[i / inner % channels];
    maximum = std::max(maximum, std::fabs(static_cast<double>(values[i])));
  }
  return maxima;
}

}  // namespace

std::map<std::string, double> model_totals(const View& view) {
  std::map<std::string, double> totals;
  const CheckOptions& options = *view.options;
  const Graph& graph = *view.graph;
  const auto put = [&](const char* name, int64_t value) {
    totals[name] = static_cast<double>(value);
  };
  put("nodes", static_cast<int64_t>(device_nodes(view).size()));
  put("opset", options.opset > 0 ? options.opset : graph.source_opset);
  put("ir_version", options.ir_version > 0 ? options.ir_version : graph.source_ir_version);
  if (options.file_bytes > 0) put("file_bytes", options.file_bytes);
  const int64_t params = count_params(view);
  put("params", params);
  put("weight_bytes", params);
  if (const std::optional<int64_t> live = largest_live(view)) put("largest_live_bytes", *live);
  totals["control_units"] = control_units(view);
  const auto fill = [&](const char* name, const char* used, const char* limit) {
    const auto found = view.limits->find(limit);
    if (found != view.limits->end() && found->second > 0) {
      totals[name] = totals[used] / found->second;
    }
  };
  fill("memory_fill", "weight_bytes", "memory_bytes");
  fill("control_fill", "control_units", "control_units");
  return totals;
}

std::optional<double> weight_range_ratio(const Graph& graph, NodeId id) {
  const ir::Node& node = graph.node(id);
  const Tensor* weight = node.inputs.size() < 2 ? nullptr : graph.constant(node.inputs[1]);
  if (weight == nullptr || !is_float(weight->dtype()) || weight->size() == 0) return std::nullopt;
  const std::optional<size_t> axis = channel_axis(node.op, *weight);
  if (!axis) return std::nullopt;
  size_t inner = 1;
  for (size_t i = *axis + 1; i < weight->rank(); ++i) {
    inner *= static_cast<size_t>(weight->shape()[i]);
  }
  const auto channels = static_cast<size_t>(weight->shape()[*axis]);
  const std::vector<double> maxima = weight->dtype() == DType::kFloat32
                                         ? channel_maxima(weight->data<float>(), channels, inner)
                                         : channel_maxima(weight->to_doubles(), channels, inner);
  double low = 0, high = 0;
  for (const double maximum : maxima) {
    if (!(maximum > 0)) continue;
    low = low == 0 ? maximum : std::min(low, maximum);
    high = std::max(high, maximum);
  }
  return low > 0 ? std::optional<double>(high / low) : std::nullopt;
}

std::optional<std::string> context_prediction(const View& view) {
  const auto memory = view.totals.find("memory_fill");
  const auto control = view.totals.find("control_fill");
  const auto low = view.limits->find("context_fill_low");
  const auto high = view.limits->find("context_fill_high");
  if (memory == view.totals.end() || control == view.totals.end() || low == view.limits->end() ||
      high == view.limits->end()) {
    return std::nullopt;
  }
  const double fill = std::max(memory->second, control->second);
  const char* verdict = fill <= low->second    ? "one context is likely"
                        : fill <= high->second ? "one or several contexts"
                                               : "several contexts are likely";
  return fmt::format("{} (weights fill {:.0f}% of the memory, layers {:.0f}% of the control)",
                     verdict, 100 * memory->second, 100 * control->second);
}

View make_view(const Graph& graph, const CheckOptions& options,
               const std::map<std::string, double>& limits,
               const std::map<std::string, double>& control_units) {
  View view{&graph, &options, &limits, &control_units, ir::find_uses(graph), {}, {}};
  view.on_host.resize(graph.nodes.size(), false);
  for (const NodeId id : options.host_nodes) {
    if (id.valid() && id.index() < view.on_host.size()) view.on_host[id.index()] = true;
  }
  view.totals = model_totals(view);
  return view;
}

}  // namespace graupel::check
