// What shapes and attributes say about a subject. See geometry.h. Test: rules_test.cc.
#include "check/geometry.h"

#include <fmt/format.h>

#include <algorithm>

namespace graupel::check {
namespace {

using ir::Graph;
using ir::ValueId;

const ir::Window* window_of(const Subject& subject) {
  const ir::Op& op = node_of(subject).op;
  if (const auto* conv = std::get_if<ir::Conv>(&op)) return &conv->window;
  if (const auto* conv = std::get_if<ir::ConvTranspose>(&op)) return &conv->window;
  if (const auto* conv = std::get_if<ir::QLinearConv>(&op)) return &conv->window;
  if (const auto* conv = std::get_if<ir::ConvInteger>(&op)) return &conv->window;
  if (const auto* pool = std::get_if<ir::MaxPool>(&op)) return &pool->window;
  if (const auto* pool = std::get_if<ir::AveragePool>(&op)) return &pool->window;
  return nullptr;
}

// The axis or axes an operator works on, not yet normalised; nullopt if unknown or none.
std::optional<ir::Ints> raw_axes(const Subject& subject) {
  const ir::Node& node = node_of(subject);
  if (const auto* op = std::get_if<ir::Softmax>(&node.op)) return ir::Ints{op->axis};
  if (const auto* op = std::get_if<ir::ArgReduce>(&node.op)) return ir::Ints{op->axis};
  if (const auto* op = std::get_if<ir::Concat>(&node.op)) return ir::Ints{op->axis};
  if (const auto* op = std::get_if<ir::Split>(&node.op)) return ir::Ints{op->axis};
  if (const auto* op = std::get_if<ir::Gather>(&node.op)) return ir::Ints{op->axis};
  if (const auto* op = std::get_if<ir::GatherElements>(&node.op)) return ir::Ints{op->axis};
  if (const auto* op = std::get_if<ir::TopK>(&node.op)) return ir::Ints{op->axis};
  if (const auto* op = std::get_if<ir::Flatten>(&node.op)) return ir::Ints{op->axis};
  if (const auto* op = std::get_if<ir::LayerNormalization>(&node.op)) return ir::Ints{op->axis};
  const bool reduce = std::holds_alternative<ir::Reduce>(node.op);
  const bool slice = std::holds_alternative<ir::Slice>(node.op);
  const size_t operand = slice ? 3 : 1;
  if (!reduce && !slice && !std::holds_alternative<ir::Squeeze>(node.op) &&
      !std::holds_alternative<ir::Unsqueeze>(node.op)) {
    return std::nullopt;
  }
  if (node.inputs.size() > operand && node.inputs[operand].valid()) {
    const Tensor* axes = graph_of(subject).constant(node.inputs[operand]);
    return axes == nullptr ? std::nullopt : std::optional<ir::Ints>(axes->to_int64s());
  }
  const Shape* shape = shape_of(subject, main_value(subject));
  if (shape == nullptr) return std::nullopt;
  ir::Ints all;  // Absent axes: every axis; for Slice as many as there are starts.
  const Tensor* starts =
      slice && node.inputs.size() > 1 ? graph_of(subject).constant(node.inputs[1]) : nullptr;
  const size_t count = starts == nullptr ? shape->size() : std::min(starts->size(), shape->size());
  for (size_t i = 0; i < count; ++i) all.push_back(static_cast<int64_t>(i));
  return all;
}

std::optional<ir::Ints> axes_of(const Subject& subject) {
  std::optional<ir::Ints> axes = raw_axes(subject);
  if (!axes) return std::nullopt;
  const Shape* shape = shape_of(subject, main_value(subject));
  for (int64_t& axis : *axes) {
    if (axis >= 0) continue;
    if (shape == nullptr) return std::nullopt;
    axis += static_cast<int64_t>(shape->size());
  }
  std::sort(axes->begin(), axes->end());
  return axes;
}

FactValue axes_are(const Subject& subject, const ir::Ints& wanted) {
  const std::optional<ir::Ints> axes = axes_of(subject);
  return axes ? FactValue(*axes == wanted) : FactValue();
}

}  // namespace

const Graph& graph_of(const Subject& subject) { return *subject.view->graph; }
const ir::Node& node_of(const Subject& subject) { return graph_of(subject).node(subject.node); }

// The tensor a subject is about: a node's first input, or the graph input or output itself.
ValueId main_value(const Subject& subject) {
  if (subject.value.valid()) return subject.value;
  const ir::Node& node = node_of(subject);
  return node.inputs.empty() ? ValueId() : node.inputs[0];
}
ValueId result_value(const Subject& subject) {
  if (subject.value.valid()) return subject.value;
  const ir::Node& node = node_of(subject);
  return node.outputs.empty() ? ValueId() : node.outputs[0];
}
const Shape* shape_of(const Subject& subject, ValueId value) {
  if (!value.valid() || !graph_of(subject).value(value).shape) return nullptr;
  return &*graph_of(subject).value(value).shape;
}

FactValue number(int64_t value) { return static_cast<double>(value); }

FactValue rank_of(const Subject& subject, ValueId value) {
  const Shape* shape = shape_of(subject, value);
  return shape == nullptr ? FactValue() : number(static_cast<int64_t>(shape->size()));
}
FactValue dim_of(const Subject& subject, ValueId value, size_t dim) {
  const Shape* shape = shape_of(subject, value);
  if (shape == nullptr || shape->size() <= dim) return {};
  return number((*shape)[dim]);
}

FactValue elements(const Subject& subject, ValueId value) {
  const Shape* shape = shape_of(subject, value);
  const std::optional<int64_t> count = shape == nullptr ? std::nullopt : element_count(*shape);
  return count ? number(*count) : FactValue();
}

// ---- windows ----

// The kernel, from the weights where the attribute is left out; empty if not known.
ir::Ints kernel_of(const Subject& subject) {
  const ir::Window* window = window_of(subject);
  if (window == nullptr) return {};
  if (!window->kernel.empty()) return window->kernel;
  const ir::Node& node = node_of(subject);
  if (node.inputs.size() < 2) return {};
  const Shape* weight = shape_of(subject, node.inputs[1]);
  if (weight == nullptr || weight->size() < 3) return {};
  return ir::Ints(weight->begin() + 2, weight->end());
}

// `ints` of a 2-D window; for a 1-D window the height is 1.
FactValue height_of(const ir::Ints& ints) {
  if (ints.size() == 1) return number(1);
  return ints.size() == 2 ? number(ints[0]) : FactValue();
}
FactValue width_of(const ir::Ints& ints) {
  return ints.size() == 1 || ints.size() == 2 ? number(ints.back()) : FactValue();
}
ir::Ints or_ones(const Subject& subject, const ir::Ints ir::Window::*member) {
  const ir::Window* window = window_of(subject);
  if (window == nullptr) return {};
  return (window->*member).empty() ? ir::Ints(kernel_of(subject).size(), 1) : window->*member;
}

std::optional<int64_t> group_of(const ir::Op& op) {
  if (const auto* conv = std::get_if<ir::Conv>(&op)) return conv->group;
  if (const auto* conv = std::get_if<ir::ConvTranspose>(&op)) return conv->group;
  return std::nullopt;
}

// ---- axes ----

FactValue axes_text(const Subject& subject) {
  const std::optional<ir::Ints> axes = axes_of(subject);
  return axes ? FactValue(fmt::format("{}", fmt::join(*axes, ","))) : FactValue();
}

FactValue channel_axis(const Subject& subject) {
  // Features are axis 1 of NCHW, and the last axis of token or flat tensors.
  const Shape* shape = shape_of(subject, main_value(subject));
  if (shape == nullptr) return {};
  const int64_t last = static_cast<int64_t>(shape->size()) - 1;
  return axes_are(subject, {shape->size() == 4 ? 1 : last});
}

FactValue batch_axis(const Subject& subject) {
  const std::optional<ir::Ints> axes = axes_of(subject);
  if (!axes) return {};
  return std::find(axes->begin(), axes->end(), 0) != axes->end();
}

FactValue spatial_axes(const Subject& subject) {
  const Shape* shape = shape_of(subject, main_value(subject));
  if (shape == nullptr) return {};
  return shape->size() == 4 ? axes_are(subject, {2, 3}) : FactValue(false);
}

}  // namespace graupel::check
