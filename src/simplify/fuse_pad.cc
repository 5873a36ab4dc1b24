// Pad into the window operator behind it.
//
//   before:  Pad(x, p, 0) -> Conv, pads q                after:  Conv(x), pads p + q
//   before:  Pad(x, p, 0) -> AveragePool, no pads        after:  AveragePool(x), pads p, padding
//                                                                counted in the mean
//   before:  Pad(x, p, v) -> MaxPool, pads q             after:  MaxPool(x), pads p + q
//                                                                if v = -inf, or v = 0 and x >= 0
//
// Conditions: constant mode, constant and non-negative pads on spatial axes only. Pools also need
// floor mode, no dilation and pads smaller than the kernel, so that each window sees real values.
// Test: fuse_test.cc.
#include <algorithm>
#include <limits>

#include "simplify/edit.h"

namespace graupel::simplify {
namespace {

using ir::NodeId;

struct SpatialPad {
  ir::Ints pads;       // begins, then ends; spatial axes only
  double value = 0.0;  // what is padded with
};

std::optional<SpatialPad> as_spatial_pad(const ir::Graph& graph, NodeId id) {
  const auto* pad = as<ir::Pad>(graph, id);
  if (pad == nullptr || pad->mode != ir::PadMode::kConstant) return std::nullopt;
  const ir::Node& node = graph.node(id);
  const Tensor* pads = constant_input(graph, node, 1);
  const Tensor* value = constant_input(graph, node, 2);
  if (pads == nullptr || input(node, 3).valid() || (input(node, 2).valid() && value == nullptr) ||
      (value != nullptr && value->size() != 1) || !is_float(graph.value(node.inputs[0]).dtype)) {
    return std::nullopt;
  }
  const std::vector<int64_t> amounts = pads->to_int64s();
  const size_t rank = amounts.size() / 2;
  if (amounts.size() % 2 != 0 || rank < 3) return std::nullopt;
  SpatialPad result;
  for (size_t side = 0; side < 2; ++side) {
    for (size_t axis = 0; axis < rank; ++axis) {
      const int64_t amount = amounts[side * rank + axis];
      if (amount < 0 || (axis < 2 && amount != 0)) return std::nullopt;
      if (axis >= 2) result.pads.push_back(amount);
    }
  }
  if (value != nullptr) result.value = value->to_doubles()[0];
  return result;
}

bool never_negative(const ir::Graph& graph, NodeId id) {
  if (const auto* unary = as<ir::Unary>(graph, id)) {
    return unary->kind == ir::UnaryKind::kRelu || unary->kind == ir::UnaryKind::kSigmoid ||
           unary->kind == ir::UnaryKind::kAbs || unary->kind == ir::UnaryKind::kExp;
  }
  if (as<ir::Clip>(graph, id) == nullptr) return false;
  const Tensor* low = constant_input(graph, graph.node(id), 1);
  return low != nullptr && low->size() == 1 && low->to_doubles()[0] >= 0.0;
}

bool explicit_pads(const ir::Window& window) {
  return window.auto_pad == ir::AutoPad::kNotSet || window.auto_pad == ir::AutoPad::kValid;
}

bool all_equal(const ir::Ints& values, int64_t wanted) {
  return std::all_of(values.begin(), values.end(), [&](int64_t v) { return v == wanted; });
}

ir::Ints summed_pads(const ir::Window& window, const ir::Ints& added) {
  ir::Ints sum = added;
  if (window.auto_pad == ir::AutoPad::kValid) return sum;
  for (size_t i = 0; i < sum.size() && i < window.pads.size(); ++i) sum[i] += window.pads[i];
  return sum;
}

bool every_window_sees_data(const ir::Window& window, const ir::Ints& pads) {
  if (!all_equal(window.dilations, 1) || window.kernel.size() * 2 != pads.size()) return false;
  for (size_t i = 0; i < pads.size(); ++i) {
    if (pads[i] >= window.kernel[i % window.kernel.size()]) return false;
  }
  return true;
}

// The window of the operator if this padding may move into it, else nullptr.
ir::Window* receiving_window(Sweep& sweep, NodeId id, NodeId pad_id, const SpatialPad& pad) {
  ir::Op& op = sweep.graph.node(id).op;
  if (auto* conv = std::get_if<ir::Conv>(&op)) {
    return explicit_pads(conv->window) && pad.value == 0.0 ? &conv->window : nullptr;
  }
  if (auto* pool = std::get_if<ir::AveragePool>(&op)) {
    const bool means_agree = pool->count_include_pad || all_equal(pool->window.pads, 0);
    const bool fits = explicit_pads(pool->window) && !pool->ceil_mode && means_agree &&
                      every_window_sees_data(pool->window, summed_pads(pool->window, pad.pads));
    return fits && pad.value == 0.0 ? &pool->window : nullptr;
  }
  if (auto* pool = std::get_if<ir::MaxPool>(&op)) {
    const bool neutral =
        pad.value == -std::numeric_limits<double>::infinity() ||
        (pad.value == 0.0 && never_negative(sweep.graph, producer_of_input(sweep, pad_id, 0)));
    const bool fits = explicit_pads(pool->window) && !pool->ceil_mode &&
                      only_first_output_used(sweep, id) &&
                      sweep.graph.node(id).outputs.size() == 1 &&
                      every_window_sees_data(pool->window, summed_pads(pool->window, pad.pads));
    return fits && neutral ? &pool->window : nullptr;
  }
  return nullptr;
}

bool try_fuse(Sweep& sweep, NodeId id) {
  const NodeId pad_id = producer_of_input(sweep, id, 0);
  if (!pad_id.valid()) return false;
  const std::optional<SpatialPad> pad = as_spatial_pad(sweep.graph, pad_id);
  const Shape* shape = known_shape(sweep.graph, input(sweep.graph.node(id), 0));
  if (!pad || shape == nullptr || (shape->size() - 2) * 2 != pad->pads.size()) return false;
  ir::Window* window = receiving_window(sweep, id, pad_id, *pad);
  if (window == nullptr) return false;
  const bool last_reader = read_once(sweep, sweep.graph.node(pad_id).outputs[0]);
  window->pads = summed_pads(*window, pad->pads);
  window->auto_pad = ir::AutoPad::kNotSet;
  if (auto* pool = std::get_if<ir::AveragePool>(&sweep.graph.node(id).op)) {
    pool->count_include_pad = true;
  }
  set_input(sweep, id, 0, sweep.graph.node(pad_id).inputs[0]);
  if (last_reader) erase(sweep, pad_id);
  return true;
}

}  // namespace

Result<ir::Graph> fuse_pad(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_fuse);
}

}  // namespace graupel::simplify
