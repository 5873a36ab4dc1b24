// Two of a kind in a row become one.
//
//   merge_concats  Concat(Concat(a, b), c)              ->  Concat(a, b, c)      same axis
//   merge_slices   Slice(Slice(x))                      ->  Slice(x)             forward steps
//   merge_pads     Pad(Pad(x, p, v), q, v)              ->  Pad(x, p + q, v)     constant mode
//   merge_clips    Clip(Clip(x, l, h), m, k), with Relu ->  Clip(x, l', h')
//                  as Clip(0, infinity)
//
// Conditions: parameters constant, shapes known, no other reader between. Exact.
// Test: rows_test.cc.
#include <algorithm>
#include <limits>

#include "simplify/affine.h"

namespace graupel::simplify {
namespace {

using ir::NodeId;
using ir::ValueId;

int64_t normalized_axis(int64_t axis, size_t rank) {
  return axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
}

bool try_merge_concats(Sweep& sweep, NodeId id) {
  const ir::Graph& graph = sweep.graph;
  const auto* outer = as<ir::Concat>(graph, id);
  const Shape* shape = known_shape(graph, graph.node(id).outputs[0]);
  if (outer == nullptr || shape == nullptr) return false;
  const int64_t axis = normalized_axis(outer->axis, shape->size());
  for (size_t i = 0; i < graph.node(id).inputs.size(); ++i) {
    const NodeId maker = producer_of_input(sweep, id, i);
    const auto* inner = as<ir::Concat>(graph, maker);
    if (inner == nullptr || normalized_axis(inner->axis, shape->size()) != axis ||
        !read_once(sweep, graph.node(maker).outputs[0])) {
      continue;
    }
    const std::vector<ValueId> parts = graph.node(maker).inputs;
    std::vector<ValueId>& inputs = sweep.graph.node(id).inputs;
    inputs.erase(inputs.begin() + static_cast<std::ptrdiff_t>(i));
    inputs.insert(inputs.begin() + static_cast<std::ptrdiff_t>(i), parts.begin(), parts.end());
    for (const ValueId part : parts) sweep.uses.readers[part.index()].push_back(id);
    erase(sweep, maker);
    return true;
  }
  return false;
}

// What a Slice takes along one axis: count elements from start, step apart.
struct Range {
  int64_t start = 0;
  int64_t step = 1;
  int64_t count = 0;
};

std::optional<std::vector<int64_t>> constant_ints(const ir::Graph& graph, const ir::Node& node,
                                                  size_t i) {
  const Tensor* tensor = constant_input(graph, node, i);
  if (tensor == nullptr || !is_integer(tensor->dtype())) return std::nullopt;
  return tensor->to_int64s();
}

int64_t clamp_position(int64_t position, int64_t size) {
  if (position < 0) position = position < -size ? 0 : position + size;
  return std::min(position, size);
}

// Per axis what the Slice takes; nothing if a parameter is not constant or a step goes backward.
std::optional<std::vector<Range>> slice_ranges(const ir::Graph& graph, NodeId id) {
  const ir::Node& node = graph.node(id);
  const Shape* shape = known_shape(graph, input(node, 0));
  const std::optional<std::vector<int64_t>> starts = constant_ints(graph, node, 1);
  const std::optional<std::vector<int64_t>> ends = constant_ints(graph, node, 2);
  if (shape == nullptr || !starts || !ends || starts->size() != ends->size()) return std::nullopt;
  std::vector<int64_t> axes(starts->size());
  for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(i);
  std::vector<int64_t> steps(starts->size(), 1);
  for (size_t k = 3; k <= 4; ++k) {
    if (!input(node, k).valid()) continue;
    const std::optional<std::vector<int64_t>> given = constant_ints(graph, node, k);
    if (!given || given->size() != starts->size()) return std::nullopt;
    (k == 3 ? axes : steps) = *given;
  }
  std::vector<Range> ranges(shape->size());
  for (size_t axis = 0; axis < ranges.size(); ++axis) ranges[axis].count = (*shape)[axis];
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = normalized_axis(axes[i], ranges.size());
    if (axis < 0 || axis >= static_cast<int64_t>(ranges.size()) || steps[i] <= 0) {
      return std::nullopt;
    }
    const int64_t size = (*shape)[static_cast<size_t>(axis)];
    const int64_t start = clamp_position((*starts)[i], size);
    const int64_t length = std::max<int64_t>(0, clamp_position((*ends)[i], size) - start);
    const int64_t count = length == 0 ? 0 : (length - 1) / steps[i] + 1;
    ranges[static_cast<size_t>(axis)] = {start, count > 1 ? steps[i] : 1, count};
  }
  return ranges;
}

bool try_merge_slices(Sweep& sweep, NodeId id) {
  const ir::Graph& graph = sweep.graph;
  const NodeId maker = producer_of_input(sweep, id, 0);
  if (as<ir::Slice>(graph, id) == nullptr || as<ir::Slice>(graph, maker) == nullptr ||
      !read_once(sweep, graph.node(maker).outputs[0])) {
    return false;
  }
  const std::optional<std::vector<Range>> outer = slice_ranges(graph, id);
  const std::optional<std::vector<Range>> inner = slice_ranges(graph, maker);
  if (!outer || !inner || outer->size() != inner->size()) return false;
  const ValueId source = graph.node(maker).inputs[0];
  std::vector<int64_t> starts, ends, axes, steps;
  for (size_t axis = 0; axis < outer->size(); ++axis) {
    const Range& first = (*inner)[axis];
    const Range& second = (*outer)[axis];
    if (second.count == 0) return false;
    const int64_t start = first.start + first.step * second.start;
    const int64_t step = second.count > 1 ? first.step * second.step : 1;
    if (start == 0 && step == 1 && second.count == graph.shape(source)[axis]) continue;
    starts.push_back(start);
    ends.push_back(start + (second.count - 1) * step + 1);
    axes.push_back(static_cast<int64_t>(axis));
    steps.push_back(step);
  }
  if (axes.empty()) return bypass(sweep, id, source);
  const std::string& name = graph.node(id).name;
  const Shape length{static_cast<int64_t>(axes.size())};
  set_input(sweep, id, 0, source);
  set_constant_input(sweep, id, 1, name + ".starts", Tensor::of<int64_t>(length, starts));
  set_constant_input(sweep, id, 2, name + ".ends", Tensor::of<int64_t>(length, ends));
  set_constant_input(sweep, id, 3, name + ".axes", Tensor::of<int64_t>(length, axes));
  set_constant_input(sweep, id, 4, name + ".steps", Tensor::of<int64_t>(length, steps));
  erase(sweep, maker);
  return true;
}

struct ConstantPad {
  std::vector<int64_t> amounts;
  double value = 0.0;
};

std::optional<ConstantPad> as_constant_pad(const ir::Graph& graph, NodeId id) {
  const auto* pad = as<ir::Pad>(graph, id);
  if (pad == nullptr || pad->mode != ir::PadMode::kConstant) return std::nullopt;
  const ir::Node& node = graph.node(id);
  const std::optional<std::vector<int64_t>> amounts = constant_ints(graph, node, 1);
  if (!amounts || input(node, 3).valid()) return std::nullopt;
  constexpr int64_t kLargest = int64_t{1} << 40;
  for (const int64_t amount : *amounts) {
    if (amount < 0 || amount > kLargest) return std::nullopt;
  }
  ConstantPad result{*amounts, 0.0};
  if (input(node, 2).valid()) {
    const Tensor* value = constant_input(graph, node, 2);
    if (value == nullptr || value->size() != 1) return std::nullopt;
    result.value = value->to_doubles()[0];
  }
  return result;
}

bool try_merge_pads(Sweep& sweep, NodeId id) {
  const ir::Graph& graph = sweep.graph;
  const NodeId maker = producer_of_input(sweep, id, 0);
  const std::optional<ConstantPad> outer = as_constant_pad(graph, id);
  if (!outer || !maker.valid() || !read_once(sweep, graph.node(maker).outputs[0])) return false;
  const std::optional<ConstantPad> inner = as_constant_pad(graph, maker);
  if (!inner || inner->value != outer->value || inner->amounts.size() != outer->amounts.size()) {
    return false;
  }
  std::vector<int64_t> sum = outer->amounts;
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += inner->amounts[i];
  set_input(sweep, id, 0, graph.node(maker).inputs[0]);
  set_constant_input(sweep, id, 1, graph.node(id).name + ".pads",
                     Tensor::of<int64_t>({static_cast<int64_t>(sum.size())}, sum));
  erase(sweep, maker);
  return true;
}

struct Bounds {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

std::optional<Bounds> as_bounds(const ir::Graph& graph, NodeId id) {
  Bounds bounds;
  if (const auto* unary = as<ir::Unary>(graph, id)) {
    if (unary->kind != ir::UnaryKind::kRelu) return std::nullopt;
    bounds.low = 0.0;
    return bounds;
  }
  if (as<ir::Clip>(graph, id) == nullptr) return std::nullopt;
  const ir::Node& node = graph.node(id);
  for (size_t i = 1; i <= 2; ++i) {
    if (!input(node, i).valid()) continue;
    const Tensor* bound = constant_input(graph, node, i);
    if (bound == nullptr || bound->size() != 1) return std::nullopt;
    (i == 1 ? bounds.low : bounds.high) = bound->to_doubles()[0];
  }
  if (!(bounds.low <= bounds.high)) return std::nullopt;
  return bounds;
}

bool try_merge_clips(Sweep& sweep, NodeId id) {
  const ir::Graph& graph = sweep.graph;
  const NodeId maker = producer_of_input(sweep, id, 0);
  const std::optional<Bounds> outer = as_bounds(graph, id);
  if (!outer || !maker.valid() || !read_once(sweep, graph.node(maker).outputs[0])) return false;
  const std::optional<Bounds> inner = as_bounds(graph, maker);
  const DType dtype = graph.value(graph.node(id).outputs[0]).dtype;
  if (!inner || !is_foldable_float(dtype)) return false;
  const Bounds merged{std::clamp(inner->low, outer->low, outer->high),
                      std::clamp(inner->high, outer->low, outer->high)};
  set_input(sweep, id, 0, graph.node(maker).inputs[0]);
  erase(sweep, maker);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (merged.low == 0.0 && merged.high == kInfinity) {
    set_input(sweep, id, 2, ValueId());
    set_input(sweep, id, 1, ValueId());
    sweep.graph.node(id).op = ir::Unary{ir::UnaryKind::kRelu};
    return true;
  }
  const std::string& name = graph.node(id).name;
  sweep.graph.node(id).op = ir::Clip{};
  if (merged.high != kInfinity) {
    set_constant_input(sweep, id, 2, name + ".max", from_doubles(dtype, {}, {merged.high}));
  } else {
    set_input(sweep, id, 2, ValueId());
  }
  if (merged.low != -kInfinity) {
    set_constant_input(sweep, id, 1, name + ".min", from_doubles(dtype, {}, {merged.low}));
  } else {
    set_input(sweep, id, 1, ValueId());
  }
  return true;
}

}  // namespace

Result<ir::Graph> merge_concats(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_merge_concats);
}

Result<ir::Graph> merge_slices(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_merge_slices);
}

Result<ir::Graph> merge_pads(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_merge_pads);
}

Result<ir::Graph> merge_clips(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_merge_clips);
}

}  // namespace graupel::simplify
