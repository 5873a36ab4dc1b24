// Matrix products towards one plain form: Gemm with alpha = beta = 1.
//
//   matmul_add_to_gemm   MatMul(x, W) -> Add(., c)   ->  Gemm(x, W, c)          rank 2 only
//   transpose_into_gemm  Gemm(Transpose(x), W)       ->  Gemm(x, W) with transpose_a turned over
//   normalize_gemm       alpha A B + beta C          ->  A (alpha B) + (beta C)
//
// Conditions: W and c constant; c broadcasts to the product without enlarging it; the product has
// no other reader. Test: fuse_test.cc.
#include <algorithm>
#include <cmath>

#include "simplify/affine.h"

namespace graupel::simplify {
namespace {

using ir::NodeId;
using ir::ValueId;

bool broadcasts_into(const Shape& small, const Shape& large) {
  if (small.size() > large.size()) return false;
  const size_t missing = large.size() - small.size();
  for (size_t i = 0; i < small.size(); ++i) {
    if (small[i] != 1 && small[i] != large[i + missing]) return false;
  }
  return true;
}

bool try_matmul_add(Sweep& sweep, NodeId id) {
  const ir::Graph& graph = sweep.graph;
  const auto* add = as<ir::Binary>(graph, id);
  if (add == nullptr || add->kind != ir::BinaryKind::kAdd) return false;
  for (size_t data = 0; data < 2; ++data) {
    const NodeId product = producer_of_input(sweep, id, data);
    const Tensor* addend = constant_input(graph, graph.node(id), 1 - data);
    if (as<ir::MatMul>(graph, product) == nullptr || addend == nullptr) continue;
    const ir::Node& matmul = graph.node(product);
    const Tensor* weight = constant_input(graph, matmul, 1);
    const Shape* x = known_shape(graph, input(matmul, 0));
    const Shape* y = known_shape(graph, matmul.outputs[0]);
    if (weight == nullptr || weight->rank() != 2 || !is_foldable_float(weight->dtype()) ||
        x == nullptr || x->size() != 2 || y == nullptr || !broadcasts_into(addend->shape(), *y) ||
        !read_once(sweep, matmul.outputs[0])) {
      continue;
    }
    const ValueId bias = graph.node(id).inputs[1 - data];
    sweep.graph.node(product).op = ir::Gemm{};
    set_input(sweep, product, 2, bias);
    take_output(sweep, product, id);
    return true;
  }
  return false;
}

bool try_transpose(Sweep& sweep, NodeId id) {
  if (as<ir::Gemm>(sweep.graph, id) == nullptr) return false;
  bool edited = false;
  for (size_t i = 0; i < 2; ++i) {
    const NodeId maker = producer_of_input(sweep, id, i);
    const auto* transpose = as<ir::Transpose>(sweep.graph, maker);
    if (transpose == nullptr) continue;
    const bool swaps = transpose->perm.empty() || transpose->perm == ir::Ints{1, 0};
    if (!swaps) continue;
    const ValueId source = sweep.graph.node(maker).inputs[0];
    const bool last_reader = read_once(sweep, sweep.graph.node(maker).outputs[0]);
    auto& gemm = std::get<ir::Gemm>(sweep.graph.node(id).op);
    bool& flag = i == 0 ? gemm.transpose_a : gemm.transpose_b;
    flag = !flag;
    set_input(sweep, id, i, source);
    if (last_reader) erase(sweep, maker);
    edited = true;
  }
  return edited;
}

// Multiplies constant input i, or declines if a product would overflow.
bool scale_constant(Sweep& sweep, NodeId id, size_t i, double factor) {
  const ir::Node& node = sweep.graph.node(id);
  const Tensor* tensor = constant_input(sweep.graph, node, i);
  if (tensor == nullptr || !is_foldable_float(tensor->dtype())) return false;
  std::vector<double> values = tensor->to_doubles();
  for (double& value : values) value *= factor;
  Tensor scaled = from_doubles(tensor->dtype(), tensor->shape(), values);
  const std::vector<double> rounded = scaled.to_doubles();
  if (!std::all_of(rounded.begin(), rounded.end(), [](double v) { return std::isfinite(v); })) {
    return false;
  }
  const std::string name = sweep.graph.value(node.inputs[i]).name;
  set_constant_input(sweep, id, i, name, std::move(scaled));
  return true;
}

bool try_normalize(Sweep& sweep, NodeId id) {
  const auto* gemm = as<ir::Gemm>(sweep.graph, id);
  if (gemm == nullptr) return false;
  const double alpha = gemm->alpha;
  const double beta = gemm->beta;
  const bool has_bias = input(sweep.graph.node(id), 2).valid();
  bool edited = false;
  if (alpha != 1.0 && alpha != 0.0 && std::isfinite(alpha) && scale_constant(sweep, id, 1, alpha)) {
    std::get<ir::Gemm>(sweep.graph.node(id).op).alpha = 1.0;
    edited = true;
  }
  if (beta != 1.0 && std::isfinite(beta) && (!has_bias || scale_constant(sweep, id, 2, beta))) {
    std::get<ir::Gemm>(sweep.graph.node(id).op).beta = 1.0;
    edited = true;
  }
  return edited;
}

}  // namespace

Result<ir::Graph> matmul_add_to_gemm(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_matmul_add);
}

Result<ir::Graph> transpose_into_gemm(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_transpose);
}

Result<ir::Graph> normalize_gemm(ir::Graph graph, PassLog& log) {
  return sweep_nodes(std::move(graph), log, try_normalize);
}

}  // namespace graupel::simplify
