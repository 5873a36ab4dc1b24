// The table of facts: what each name means and how it is computed. See facts.h. Test:
// rules_test.cc.
#include "check/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "check/geometry.h"
#include "check/patterns.h"
#include "check/totals.h"

namespace graupel::check {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

std::string text_of(const Shape& shape) { return graupel::to_string(shape); }

// ---- neighbours ----

// The name to cut at: the node that makes the first non-constant input, or that input's own name.
FactValue producer_name(const Subject& subject) {
  const View& view = *subject.view;
  if (subject.value.valid()) {
    const NodeId maker = view.uses.producer[subject.value.index()];
    return maker.valid() ? graph_of(subject).node(maker).name
                         : graph_of(subject).value(subject.value).name;
  }
  for (const ValueId input : node_of(subject).inputs) {
    if (!input.valid() || graph_of(subject).constant(input) != nullptr) continue;
    const NodeId maker = view.uses.producer[input.index()];
    return maker.valid() ? graph_of(subject).node(maker).name : graph_of(subject).value(input).name;
  }
  return std::string("the input");
}

FactValue made_by(const Subject& subject, const FactValue* argument) {
  const std::string& wanted = std::get<std::string>(*argument);
  const View& view = *subject.view;
  const auto makes = [&](ValueId value) {
    const NodeId maker = value.valid() ? view.uses.producer[value.index()] : NodeId();
    return maker.valid() && op_name(graph_of(subject).node(maker).op) == wanted;
  };
  if (subject.value.valid()) return makes(subject.value);
  const std::vector<ValueId>& inputs = node_of(subject).inputs;
  return std::any_of(inputs.begin(), inputs.end(), makes);
}

FactValue followed_by(const Subject& subject, const FactValue* argument) {
  const std::string& wanted = std::get<std::string>(*argument);
  for (const ValueId output : node_of(subject).outputs) {
    if (!output.valid()) continue;
    for (const NodeId reader : subject.view->uses.readers[output.index()]) {
      if (op_name(graph_of(subject).node(reader).op) == wanted) return true;
    }
  }
  return false;
}

// A graph output, or what a node on the host reads.
bool leaves_device(const Subject& subject) {
  const View& view = *subject.view;
  for (const ValueId output : node_of(subject).outputs) {
    if (!output.valid()) continue;
    if (view.uses.is_output[output.index()]) return true;
    for (const NodeId reader : view.uses.readers[output.index()]) {
      if (view.on_host[reader.index()]) return true;
    }
  }
  return false;
}

const Tensor* constant_operand(const Subject& subject, const FactValue* argument) {
  const double wanted = std::get<double>(*argument);
  const std::vector<ValueId>& inputs = node_of(subject).inputs;
  if (!(wanted >= 0 && wanted < static_cast<double>(inputs.size()))) return nullptr;
  return graph_of(subject).constant(inputs[static_cast<size_t>(wanted)]);
}

FactValue pattern_holds(const Subject& subject, const FactValue* argument) {
  for (const NamedPattern& pattern : all_patterns()) {
    if (pattern.name != std::get<std::string>(*argument)) continue;
    const std::optional<bool> holds = pattern.matches(*subject.view, subject.node);
    return holds ? FactValue(*holds) : FactValue();
  }
  return {};  // Unknown pattern names are refused when the target is parsed.
}

FactValue dynamic_shape(const Subject& subject) {
  const Graph& graph = graph_of(subject);
  if (subject.value.valid()) return !graph.value(subject.value).shape.has_value();
  // What this node makes; what it reads is told where it is made.
  return std::any_of(
      node_of(subject).outputs.begin(), node_of(subject).outputs.end(),
      [&](ValueId value) { return value.valid() && !graph.value(value).shape.has_value(); });
}

FactValue open_dims(const Subject& subject) {
  const std::map<std::string, std::vector<std::string>>& dims = subject.view->options->dynamic_dims;
  const auto found = dims.find(graph_of(subject).value(subject.value).name);
  if (found == dims.end()) return std::string();
  return fmt::format("{}", fmt::join(found->second, ", "));
}

FactValue name_made_up(const Subject& subject) {
  const std::vector<std::string>& made_up = subject.view->options->unnamed_nodes;
  const std::string& name = node_of(subject).name;
  return name.empty() || std::find(made_up.begin(), made_up.end(), name) != made_up.end();
}

// ---- attributes ----

FactValue pad_mode(const Subject& subject) {
  const auto* pad = std::get_if<ir::Pad>(&node_of(subject).op);
  return pad == nullptr ? FactValue() : FactValue(std::string(ir::to_string(pad->mode)));
}

FactValue keeps_dims(const Subject& subject) {
  const ir::Op& op = node_of(subject).op;
  if (const auto* reduce = std::get_if<ir::Reduce>(&op)) return reduce->keepdims;
  if (const auto* reduce = std::get_if<ir::ArgReduce>(&op)) return reduce->keepdims;
  return {};
}

FactValue resize_mode(const Subject& subject) {
  const auto* resize = std::get_if<ir::Resize>(&node_of(subject).op);
  return resize == nullptr ? FactValue() : FactValue(std::string(ir::to_string(resize->mode)));
}

FactValue scale_up(const Subject& subject) {
  const FactValue before = elements(subject, main_value(subject));
  const FactValue after = elements(subject, result_value(subject));
  if (!std::holds_alternative<double>(before) || !std::holds_alternative<double>(after)) return {};
  const double from = std::get<double>(before);
  return from == 0 ? FactValue() : FactValue(std::get<double>(after) / from);
}

FactValue dtype_text(const Subject& subject, ValueId value) {
  if (!value.valid()) return {};
  return std::string(to_string(graph_of(subject).value(value).dtype));
}

// ---- ranges ----

std::optional<double> absolute_range(const Subject& subject, ValueId value) {
  if (!value.valid()) return std::nullopt;
  const std::map<std::string, Range>& ranges = subject.view->options->ranges;
  const auto found = ranges.find(graph_of(subject).value(value).name);
  if (found == ranges.end()) return std::nullopt;
  return std::max(std::fabs(found->second.low), std::fabs(found->second.high));
}

FactValue activation_range(const Subject& subject) {
  const std::optional<double> range = absolute_range(subject, result_value(subject));
  return range ? FactValue(*range) : FactValue();
}

FactValue input_range_ratio(const Subject& subject) {
  std::optional<double> low, high;
  for (const ValueId input : node_of(subject).inputs) {
    const std::optional<double> range = absolute_range(subject, input);
    if (!range || *range == 0) return {};
    low = std::min(low.value_or(*range), *range);
    high = std::max(high.value_or(*range), *range);
  }
  return low ? FactValue(*high / *low) : FactValue();
}

// ---- the model ----

FactValue total(const Subject& subject, const char* name) {
  const auto found = subject.view->totals.find(name);
  return found == subject.view->totals.end() ? FactValue() : FactValue(found->second);
}

FactValue count_ops(const Subject& subject, const FactValue* argument) {
  const std::string& wanted = std::get<std::string>(*argument);
  int64_t count = 0;
  for (const NodeId id : ir::live_nodes(graph_of(subject))) {
    if (subject.view->on_host[id.index()]) continue;
    count += op_name(graph_of(subject).node(id).op) == wanted ? 1 : 0;
  }
  return number(count);
}

constexpr double kMaxPrimeTested = 1e6;

FactValue is_prime(const Subject&, const FactValue* argument) {
  if (!std::holds_alternative<double>(*argument)) return {};
  const double value = std::get<double>(*argument);
  if (!(value >= 2 && value <= kMaxPrimeTested) || std::trunc(value) != value) return false;
  const int64_t candidate = static_cast<int64_t>(value);
  for (int64_t divisor = 2; divisor * divisor <= candidate; ++divisor) {
    if (candidate % divisor == 0) return false;
  }
  return true;
}

FactValue is_power_of_two(const Subject&, const FactValue* argument) {
  if (!std::holds_alternative<double>(*argument)) return {};
  const double value = std::get<double>(*argument);
  int exponent = 0;
  return value >= 1 && std::frexp(value, &exponent) == 0.5;
}

const std::vector<Scope> kNodeOnly = {Scope::kNode};
const std::vector<Scope> kInputOnly = {Scope::kInput};
const std::vector<Scope> kNodesAndTensors = {Scope::kNode, Scope::kInput, Scope::kOutput};
const std::vector<Scope> kEverywhere = {Scope::kModel, Scope::kNode, Scope::kInput, Scope::kOutput};

std::vector<Fact> identity_facts() {
  return {
      {"op", Type::kText, kNodeOnly, std::nullopt, "the operator's ONNX name",
       [](const Subject& s, const FactValue*) -> FactValue { return op_name(node_of(s).op); }},
      {"is_opaque", Type::kBool, kNodeOnly, std::nullopt,
       "graupel has no semantics for the operator",
       [](const Subject& s, const FactValue*) -> FactValue { return is_opaque(node_of(s).op); }},
      {"name", Type::kText, kNodesAndTensors, std::nullopt, "of the node, input or output",
       [](const Subject& s, const FactValue*) -> FactValue {
         return s.value.valid() ? graph_of(s).value(s.value).name : node_of(s).name;
       }},
      {"name_made_up", Type::kBool, kNodeOnly, std::nullopt, "the file gave the node no name",
       [](const Subject& s, const FactValue*) -> FactValue { return name_made_up(s); }},
      {"producer", Type::kText, kNodesAndTensors, std::nullopt,
       "name of the node that feeds this one",
       [](const Subject& s, const FactValue*) -> FactValue { return producer_name(s); }},
      {"followed_by", Type::kBool, kNodeOnly, Type::kText,
       "an operator of this name reads the result",
       [](const Subject& s, const FactValue* argument) -> FactValue {
         return followed_by(s, argument);
       }},
      {"made_by", Type::kBool, kNodesAndTensors, Type::kText,
       "an operator of this name makes an input (or the output)",
       [](const Subject& s, const FactValue* argument) -> FactValue {
         return made_by(s, argument);
       }},
      {"is_output", Type::kBool, kNodeOnly, std::nullopt, "the result leaves the device part",
       [](const Subject& s, const FactValue*) -> FactValue { return leaves_device(s); }},
      {"pattern", Type::kBool, kNodeOnly, Type::kText, "the node is part of a recognised sub-graph",
       [](const Subject& s, const FactValue* argument) -> FactValue {
         return pattern_holds(s, argument);
       }},
      {"inputs", Type::kNumber, kNodeOnly, std::nullopt, "operands, constants included",
       [](const Subject& s, const FactValue*) -> FactValue {
         return number(static_cast<int64_t>(node_of(s).inputs.size()));
       }},
      {"input_is_constant", Type::kBool, kNodeOnly, Type::kNumber,
       "operand number i is known at compile time",
       [](const Subject& s, const FactValue* argument) -> FactValue {
         return constant_operand(s, argument) != nullptr;
       }},
      {"constant_rank", Type::kNumber, kNodeOnly, Type::kNumber,
       "rank of the constant operand number i",
       [](const Subject& s, const FactValue* argument) -> FactValue {
         const Tensor* tensor = constant_operand(s, argument);
         return tensor == nullptr ? FactValue() : number(static_cast<int64_t>(tensor->rank()));
       }},
  };
}

std::vector<Fact> tensor_facts() {
  return {
      {"rank", Type::kNumber, kNodesAndTensors, std::nullopt, "dimensions of the first operand",
       [](const Subject& s, const FactValue*) -> FactValue { return rank_of(s, main_value(s)); }},
      {"result_rank", Type::kNumber, kNodeOnly, std::nullopt, "dimensions of the result",
       [](const Subject& s, const FactValue*) -> FactValue { return rank_of(s, result_value(s)); }},
      {"batch", Type::kNumber, kNodesAndTensors, std::nullopt,
       "first dimension of the first operand",
       [](const Subject& s, const FactValue*) -> FactValue { return dim_of(s, main_value(s), 0); }},
      {"channels_in", Type::kNumber, kNodesAndTensors, std::nullopt,
       "second dimension of the first operand",
       [](const Subject& s, const FactValue*) -> FactValue { return dim_of(s, main_value(s), 1); }},
      {"channels_out", Type::kNumber, kNodeOnly, std::nullopt, "second dimension of the result",
       [](const Subject& s, const FactValue*) -> FactValue {
         return dim_of(s, result_value(s), 1);
       }},
      {"shape", Type::kText, kNodesAndTensors, std::nullopt,
       "of the first operand, such as 1x9x2x100",
       [](const Subject& s, const FactValue*) -> FactValue {
         const Shape* shape = shape_of(s, main_value(s));
         return shape == nullptr ? FactValue() : FactValue(text_of(*shape));
       }},
      {"result_shape", Type::kText, kNodeOnly, std::nullopt, "of the result",
       [](const Subject& s, const FactValue*) -> FactValue {
         const Shape* shape = shape_of(s, result_value(s));
         return shape == nullptr ? FactValue() : FactValue(text_of(*shape));
       }},
      {"dtype", Type::kText, kNodesAndTensors, std::nullopt, "element type of the first operand",
       [](const Subject& s, const FactValue*) -> FactValue {
         return dtype_text(s, main_value(s));
       }},
      {"result_dtype", Type::kText, kNodeOnly, std::nullopt, "element type of the result",
       [](const Subject& s, const FactValue*) -> FactValue {
         return dtype_text(s, result_value(s));
       }},
      {"bytes", Type::kNumber, kNodesAndTensors, std::nullopt, "elements of the result, at 8 bits",
       [](const Subject& s, const FactValue*) -> FactValue {
         return elements(s, result_value(s));
       }},
      {"has_dynamic_shape", Type::kBool, kNodesAndTensors, std::nullopt,
       "a result shape is not known",
       [](const Subject& s, const FactValue*) -> FactValue { return dynamic_shape(s); }},
      {"open_dims", Type::kText, kInputOnly, std::nullopt,
       "dimensions the file left open, now pinned",
       [](const Subject& s, const FactValue*) -> FactValue { return open_dims(s); }},
  };
}

std::vector<Fact> window_facts() {
  return {
      {"kernel", Type::kText, kNodeOnly, std::nullopt, "window size, such as 1x5",
       [](const Subject& s, const FactValue*) -> FactValue {
         return kernel_of(s).empty() ? FactValue() : FactValue(text_of(kernel_of(s)));
       }},
      {"kernel_h", Type::kNumber, kNodeOnly, std::nullopt, "window height",
       [](const Subject& s, const FactValue*) -> FactValue { return height_of(kernel_of(s)); }},
      {"kernel_w", Type::kNumber, kNodeOnly, std::nullopt, "window width",
       [](const Subject& s, const FactValue*) -> FactValue { return width_of(kernel_of(s)); }},
      {"spatial_rank", Type::kNumber, kNodeOnly, std::nullopt, "spatial dimensions of the window",
       [](const Subject& s, const FactValue*) -> FactValue {
         const ir::Ints kernel = kernel_of(s);
         return kernel.empty() ? FactValue() : number(static_cast<int64_t>(kernel.size()));
       }},
      {"stride", Type::kText, kNodeOnly, std::nullopt, "window strides",
       [](const Subject& s, const FactValue*) -> FactValue {
         return text_of(or_ones(s, &ir::Window::strides));
       }},
      {"stride_h", Type::kNumber, kNodeOnly, std::nullopt, "vertical stride",
       [](const Subject& s, const FactValue*) -> FactValue {
         return height_of(or_ones(s, &ir::Window::strides));
       }},
      {"stride_w", Type::kNumber, kNodeOnly, std::nullopt, "horizontal stride",
       [](const Subject& s, const FactValue*) -> FactValue {
         return width_of(or_ones(s, &ir::Window::strides));
       }},
      {"dilation", Type::kText, kNodeOnly, std::nullopt, "window dilations",
       [](const Subject& s, const FactValue*) -> FactValue {
         return text_of(or_ones(s, &ir::Window::dilations));
       }},
      {"dilation_h", Type::kNumber, kNodeOnly, std::nullopt, "vertical dilation",
       [](const Subject& s, const FactValue*) -> FactValue {
         return height_of(or_ones(s, &ir::Window::dilations));
       }},
      {"dilation_w", Type::kNumber, kNodeOnly, std::nullopt, "horizontal dilation",
       [](const Subject& s, const FactValue*) -> FactValue {
         return width_of(or_ones(s, &ir::Window::dilations));
       }},
      {"group", Type::kNumber, kNodeOnly, std::nullopt, "groups of a convolution",
       [](const Subject& s, const FactValue*) -> FactValue {
         const std::optional<int64_t> group = group_of(node_of(s).op);
         return group ? number(*group) : FactValue();
       }},
      {"axes", Type::kText, kNodeOnly, std::nullopt, "axes the operator works on",
       [](const Subject& s, const FactValue*) -> FactValue { return axes_text(s); }},
  };
}

std::vector<Fact> axis_facts() {
  return {
      {"axis_is_channel", Type::kBool, kNodeOnly, std::nullopt, "it works on the features alone",
       [](const Subject& s, const FactValue*) -> FactValue { return channel_axis(s); }},
      {"axis_is_batch", Type::kBool, kNodeOnly, std::nullopt,
       "it works on the batch (among others)",
       [](const Subject& s, const FactValue*) -> FactValue { return batch_axis(s); }},
      {"axes_are_spatial", Type::kBool, kNodeOnly, std::nullopt,
       "it works on height and width of NCHW",
       [](const Subject& s, const FactValue*) -> FactValue { return spatial_axes(s); }},
      {"keepdims", Type::kBool, kNodeOnly, std::nullopt, "a reduction keeps its dimensions",
       [](const Subject& s, const FactValue*) -> FactValue { return keeps_dims(s); }},
      {"pad_mode", Type::kText, kNodeOnly, std::nullopt, "constant, reflect or edge",
       [](const Subject& s, const FactValue*) -> FactValue { return pad_mode(s); }},
      {"resize_mode", Type::kText, kNodeOnly, std::nullopt, "nearest, linear or cubic",
       [](const Subject& s, const FactValue*) -> FactValue { return resize_mode(s); }},
      {"scale_up", Type::kNumber, kNodeOnly, std::nullopt,
       "elements of the result over those of the first operand",
       [](const Subject& s, const FactValue*) -> FactValue { return scale_up(s); }},
      {"weight_range_ratio", Type::kNumber, kNodeOnly, std::nullopt,
       "largest over smallest channel maximum of the weights",
       [](const Subject& s, const FactValue*) -> FactValue {
         const std::optional<double> ratio = weight_range_ratio(graph_of(s), s.node);
         return ratio ? FactValue(*ratio) : FactValue();
       }},
      {"activation_range", Type::kNumber, kNodeOnly, std::nullopt,
       "measured |maximum| of the result",
       [](const Subject& s, const FactValue*) -> FactValue { return activation_range(s); }},
      {"input_range_ratio", Type::kNumber, kNodeOnly, std::nullopt,
       "largest over smallest measured |maximum| of the operands",
       [](const Subject& s, const FactValue*) -> FactValue { return input_range_ratio(s); }},
  };
}

std::vector<Fact> model_facts() {
  return {
      {"nodes", Type::kNumber, kEverywhere, std::nullopt, "nodes on the device",
       [](const Subject& s, const FactValue*) -> FactValue { return total(s, "nodes"); }},
      {"opset", Type::kNumber, kEverywhere, std::nullopt, "operator set of the file",
       [](const Subject& s, const FactValue*) -> FactValue { return total(s, "opset"); }},
      {"ir_version", Type::kNumber, kEverywhere, std::nullopt, "IR version of the file",
       [](const Subject& s, const FactValue*) -> FactValue { return total(s, "ir_version"); }},
      {"file_bytes", Type::kNumber, kEverywhere, std::nullopt, "size of the file",
       [](const Subject& s, const FactValue*) -> FactValue { return total(s, "file_bytes"); }},
      {"params", Type::kNumber, kEverywhere, std::nullopt, "float weights on the device",
       [](const Subject& s, const FactValue*) -> FactValue { return total(s, "params"); }},
      {"weight_bytes", Type::kNumber, kEverywhere, std::nullopt, "weights at 8 bits",
       [](const Subject& s, const FactValue*) -> FactValue { return total(s, "weight_bytes"); }},
      {"largest_live_bytes", Type::kNumber, kEverywhere, std::nullopt,
       "most activations alive at once, at 8 bits",
       [](const Subject& s, const FactValue*) -> FactValue {
         return total(s, "largest_live_bytes");
       }},
      {"control_units", Type::kNumber, kEverywhere, std::nullopt, "hardware layers",
       [](const Subject& s, const FactValue*) -> FactValue { return total(s, "control_units"); }},
      {"memory_fill", Type::kNumber, kEverywhere, std::nullopt,
       "weight_bytes over the limit memory_bytes",
       [](const Subject& s, const FactValue*) -> FactValue { return total(s, "memory_fill"); }},
      {"control_fill", Type::kNumber, kEverywhere, std::nullopt,
       "control_units over the limit control_units",
       [](const Subject& s, const FactValue*) -> FactValue { return total(s, "control_fill"); }},
      {"count", Type::kNumber, kEverywhere, Type::kText, "nodes with this operator",
       [](const Subject& s, const FactValue* argument) -> FactValue {
         return count_ops(s, argument);
       }},
      {"context_prediction", Type::kText, kEverywhere, std::nullopt,
       "how many times the chip is loaded per inference",
       [](const Subject& s, const FactValue*) -> FactValue {
         const std::optional<std::string> text = context_prediction(*s.view);
         return text ? FactValue(*text) : FactValue();
       }},
      {"prime", Type::kBool, kEverywhere, Type::kNumber, "the number is prime",
       [](const Subject& s, const FactValue* argument) -> FactValue {
         return is_prime(s, argument);
       }},
      {"power_of_two", Type::kBool, kEverywhere, Type::kNumber, "the number is a power of two",
       [](const Subject& s, const FactValue* argument) -> FactValue {
         return is_power_of_two(s, argument);
       }},
  };
}

std::vector<Fact> make_facts() {
  std::vector<Fact> facts;
  for (const auto& group :
       {identity_facts(), tensor_facts(), window_facts(), axis_facts(), model_facts()}) {
    facts.insert(facts.end(), group.begin(), group.end());
  }
  return facts;
}

}  // namespace

const std::vector<Fact>& all_facts() {
  static const std::vector<Fact> kFacts = make_facts();
  return kFacts;
}

std::string_view to_string(Scope scope) {
  switch (scope) {
    case Scope::kModel: return "model";
    case Scope::kNode: return "node";
    case Scope::kInput: return "input";
    case Scope::kOutput: return "output";
  }
  return "?";
}

std::string op_name(const ir::Op& op) {
  const auto* opaque = std::get_if<ir::Opaque>(&op);
  if (opaque == nullptr || opaque->domain.empty() || opaque->domain == "ai.onnx") {
    return std::string(ir::op_type(op));
  }
  return opaque->domain + "::" + opaque->type;
}

bool is_opaque(const ir::Op& op) { return std::holds_alternative<ir::Opaque>(op); }

}  // namespace graupel::check
