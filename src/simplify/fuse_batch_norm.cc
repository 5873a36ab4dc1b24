// BatchNormalization into the linear operator beside it.
//
//   before:  Conv(x, W, b) -> BatchNormalization        after:  Conv(x, s W, s b + t)
//   before:  BatchNormalization -> Conv(., W, b)        after:  Conv(x, W s, b + W t)
//   with s = scale / sqrt(variance + epsilon), t = bias - mean s
//
// Idea: the numbers are folded right here, in double, instead of leaving operators for constant
// folding. Behind Conv, ConvTranspose, Gemm and MatMul always; in front only if the operator does
// not pad or t is 0. Conditions: inference form, everything constant, the value between has no
// other reader. Test: fuse_test.cc.
#include "simplify/affine.h"

namespace graupel::simplify {
namespace {

bool try_after(Sweep& sweep, ir::NodeId id) {
  const std::optional<ChannelAffine> affine = batch_norm_affine(sweep.graph, sweep.graph.node(id));
  const ir::NodeId linear = producer_of_input(sweep, id, 0);
  if (!affine || !linear.valid() || !only_first_output_used(sweep, id)) return false;
  if (output_channel_axis(sweep.graph, linear) != std::optional<size_t>(1)) return false;
  return fold_after(sweep, linear, id, *affine);
}

bool try_before(Sweep& sweep, ir::NodeId id) {
  const std::optional<ChannelAffine> affine = batch_norm_affine(sweep.graph, sweep.graph.node(id));
  if (!affine || !only_first_output_used(sweep, id)) return false;
  const ir::ValueId output = sweep.graph.node(id).outputs[0];
  if (!read_once(sweep, output)) return false;
  const ir::NodeId linear = sweep.uses.readers[output.index()][0];
  if (input_channel_axis(sweep.graph, linear) != std::optional<size_t>(1)) return false;
  return fold_before(sweep, id, linear, *affine);
}

}  // namespace

Result<ir::Graph> fuse_batch_norm(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_after);
}

Result<ir::Graph> fuse_batch_norm_before(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_before);
}

}  // namespace graupel::simplify
