// Mul, Add, Sub and Div by per-channel constants into the linear operator beside them.
//
//   before:  Conv(x, W, b) -> Mul(., s) -> Add(., t)    after:  Conv(x, s W, s b + t)
//   before:  Mul(x, s) -> Conv(., W, b)                 after:  Conv(x, W s, b)
//
// Conditions: the constant varies at most along the channels and does not change the shape; the
// value between has no other reader; in front of an operator that pads, only factors.
// Test: fuse_test.cc.
#include "simplify/affine.h"

namespace graupel::simplify {
namespace {

bool try_after(Sweep& sweep, ir::NodeId id) {
  if (as<ir::Binary>(sweep.graph, id) == nullptr) return false;
  for (size_t data = 0; data < 2; ++data) {
    const ir::NodeId linear = producer_of_input(sweep, id, data);
    if (!linear.valid()) continue;
    const std::optional<size_t> axis = output_channel_axis(sweep.graph, linear);
    if (!axis) continue;
    const std::optional<ChannelAffine> affine =
        arithmetic_affine(sweep.graph, sweep.graph.node(id), *axis);
    if (affine && affine->data_input == data) return fold_after(sweep, linear, id, *affine);
  }
  return false;
}

bool try_before(Sweep& sweep, ir::NodeId id) {
  if (as<ir::Binary>(sweep.graph, id) == nullptr) return false;
  const ir::ValueId output = sweep.graph.node(id).outputs[0];
  if (!read_once(sweep, output)) return false;
  const ir::NodeId linear = sweep.uses.readers[output.index()][0];
  const std::optional<size_t> axis = input_channel_axis(sweep.graph, linear);
  if (!axis) return false;
  const std::optional<ChannelAffine> affine =
      arithmetic_affine(sweep.graph, sweep.graph.node(id), *axis);
  return affine && fold_before(sweep, id, linear, *affine);
}

}  // namespace

Result<ir::Graph> fuse_arithmetic(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_after);
}

Result<ir::Graph> fuse_arithmetic_before(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_before);
}

}  // namespace graupel::simplify
