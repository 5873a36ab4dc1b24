// A mean or maximum over the whole map is a global pool, the form every target knows.
//
//   ReduceMean(x, all spatial axes), keepdims    ->  GlobalAveragePool(x)      likewise Max
//   ReduceMean(x, all spatial axes), no keepdims ->  Flatten(GlobalAveragePool(x))
//   AveragePool(x) whose one window is the map   ->  GlobalAveragePool(x)      likewise Max
//
// Conditions: known shape N x C x spatial, no empty axis, constant axes, float.
// Test: fuse_test.cc.
#include <algorithm>

#include "simplify/affine.h"

namespace graupel::simplify {
namespace {

using ir::NodeId;
using ir::ValueId;

bool is_map(const Shape* shape) {
  return shape != nullptr && shape->size() >= 3 &&
         std::find(shape->begin(), shape->end(), 0) == shape->end();
}

bool covers_spatial_axes(const Tensor& axes, size_t rank) {
  std::vector<bool> reduced(rank, false);
  for (int64_t axis : axes.to_int64s()) {
    if (axis < 0) axis += static_cast<int64_t>(rank);
    if (axis < 2 || axis >= static_cast<int64_t>(rank)) return false;
    reduced[static_cast<size_t>(axis)] = true;
  }
  return std::all_of(reduced.begin() + 2, reduced.end(), [](bool is) { return is; });
}

bool try_reduce(Sweep& sweep, NodeId id, const ir::Reduce& reduce) {
  const ir::Graph& graph = sweep.graph;
  if (reduce.kind != ir::ReduceKind::kMean && reduce.kind != ir::ReduceKind::kMax) return false;
  const Tensor* axes = constant_input(graph, graph.node(id), 1);
  const ValueId x = graph.node(id).inputs[0];
  const Shape* shape = known_shape(graph, x);
  if (axes == nullptr || !is_map(shape) || !is_foldable_float(graph.value(x).dtype) ||
      !covers_spatial_axes(*axes, shape->size())) {
    return false;
  }
  const ir::GlobalPool pool{reduce.kind == ir::ReduceKind::kMean ? ir::PoolKind::kAverage
                                                                 : ir::PoolKind::kMax};
  if (reduce.keepdims) {
    set_input(sweep, id, 1, ValueId());
    sweep.graph.node(id).op = pool;
    return true;
  }
  Shape pooled = *shape;
  std::fill(pooled.begin() + 2, pooled.end(), 1);
  const ValueId maps = add_node(sweep, graph.node(id).name + ".pool", pool, {x},
                                {graph.value(x).dtype, std::move(pooled)});
  set_input(sweep, id, 1, ValueId());
  set_input(sweep, id, 0, maps);
  sweep.graph.node(id).op = ir::Flatten{1};
  return true;
}

bool one_window(const ir::Window& window, const Shape& shape) {
  const auto all = [](const ir::Ints& values, int64_t wanted) {
    return std::all_of(values.begin(), values.end(), [&](int64_t v) { return v == wanted; });
  };
  const bool unpadded = window.auto_pad == ir::AutoPad::kValid ||
                        (window.auto_pad == ir::AutoPad::kNotSet && all(window.pads, 0));
  return unpadded && all(window.dilations, 1) &&
         std::equal(window.kernel.begin(), window.kernel.end(), shape.begin() + 2, shape.end());
}

bool try_pool(Sweep& sweep, NodeId id) {
  const ir::Graph& graph = sweep.graph;
  const auto* average = as<ir::AveragePool>(graph, id);
  const auto* max = as<ir::MaxPool>(graph, id);
  if (average == nullptr && max == nullptr) return false;
  if (graph.node(id).outputs.size() != 1) return false;
  const Shape* shape = known_shape(graph, graph.node(id).inputs[0]);
  if (!is_map(shape) || !is_foldable_float(graph.value(graph.node(id).inputs[0]).dtype)) {
    return false;
  }
  if (!one_window(average != nullptr ? average->window : max->window, *shape)) return false;
  sweep.graph.node(id).op =
      ir::GlobalPool{average != nullptr ? ir::PoolKind::kAverage : ir::PoolKind::kMax};
  return true;
}

bool try_replace(Sweep& sweep, NodeId id) {
  if (const auto* reduce = as<ir::Reduce>(sweep.graph, id)) return try_reduce(sweep, id, *reduce);
  return try_pool(sweep, id);
}

}  // namespace

Result<ir::Graph> reduce_to_global_pool(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_replace);
}

}  // namespace graupel::simplify
