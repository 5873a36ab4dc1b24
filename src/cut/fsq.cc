// Recognition of FSQ and its code outputs. See fsq.h.
//
// The walk goes from each Round back through Sub/Add (offset), Mul/Div (half width), Tanh and
// Add/Sub (shift). For every variant the constants are recomputed from the levels in double and
// compared; nothing is assumed from names. Test: fsq_test.cc.
#include "cut/fsq.h"

#include <algorithm>
#include <cmath>

namespace graupel::cut {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

// Constants are float32 results of a handful of operations on numbers around one.
constexpr double kTolerance = 2e-5;
constexpr double kEpsilon = 1e-3;
constexpr int64_t kMaxLevels = 4096;

const ir::Node* producer_of(const Graph& graph, const ir::Uses& uses, ValueId id) {
  const NodeId node = uses.producer[id.index()];
  return node.valid() ? &graph.node(node) : nullptr;
}

// If `id` is made by `kind` from one constant and one value: the constant and the value.
struct ConstantOperand {
  std::vector<double> constant;
  ValueId value;
  bool constant_first = false;
};
std::optional<ConstantOperand> with_constant(const Graph& graph, const ir::Uses& uses, ValueId id,
                                             ir::BinaryKind kind) {
  const ir::Node* node = producer_of(graph, uses, id);
  if (node == nullptr) return std::nullopt;
  const ir::Binary* binary = std::get_if<ir::Binary>(&node->op);
  if (binary == nullptr || binary->kind != kind) return std::nullopt;
  for (const size_t side : {size_t{1}, size_t{0}}) {
    const Tensor* constant = graph.constant(node->inputs[side]);
    if (constant == nullptr || !is_float(constant->dtype())) continue;
    return ConstantOperand{constant->to_doubles(), node->inputs[1 - side], side == 0};
  }
  return std::nullopt;
}

// Peels an added constant: Add(x, c), Sub(x, c). Zero if there is none.
std::vector<double> peel_added(const Graph& graph, const ir::Uses& uses, ValueId& id) {
  if (std::optional<ConstantOperand> add = with_constant(graph, uses, id, ir::BinaryKind::kAdd)) {
    id = add->value;
    return add->constant;
  }
  std::optional<ConstantOperand> sub = with_constant(graph, uses, id, ir::BinaryKind::kSub);
  if (sub && !sub->constant_first) {
    id = sub->value;
    for (double& c : sub->constant) c = -c;
    return sub->constant;
  }
  return {0.0};
}

std::optional<std::vector<double>> peel_factor(const Graph& graph, const ir::Uses& uses,
                                               ValueId& id) {
  if (std::optional<ConstantOperand> mul = with_constant(graph, uses, id, ir::BinaryKind::kMul)) {
    id = mul->value;
    return mul->constant;
  }
  std::optional<ConstantOperand> div = with_constant(graph, uses, id, ir::BinaryKind::kDiv);
  if (div && !div->constant_first) {
    id = div->value;
    for (double& c : div->constant) c = 1.0 / c;
    return div->constant;
  }
  return std::nullopt;
}

double at(const std::vector<double>& values, size_t i) {
  return values.size() == 1 ? values[0] : values[i];
}

struct Bound {
  std::vector<double> shift, half, offset;  // b = tanh(z + shift) * half - offset
  ValueId unbounded;
};

std::optional<Bound> read_tanh_bound(const Graph& graph, const ir::Uses& uses, ValueId bounded) {
  Bound bound;
  ValueId id = bounded;
  bound.offset = peel_added(graph, uses, id);
  for (double& c : bound.offset) c = -c;
  const std::optional<std::vector<double>> half = peel_factor(graph, uses, id);
  if (!half) return std::nullopt;
  bound.half = *half;
  const ir::Node* tanh = producer_of(graph, uses, id);
  if (tanh == nullptr) return std::nullopt;
  const ir::Unary* unary = std::get_if<ir::Unary>(&tanh->op);
  if (unary == nullptr || unary->kind != ir::UnaryKind::kTanh) return std::nullopt;
  id = tanh->inputs[0];
  bound.shift = peel_added(graph, uses, id);
  bound.unbounded = id;
  return bound;
}

struct Variant {
  const char* name;
  double epsilon_sign;        // half = (L - 1) (1 + sign * eps) / 2
  double (*inverse)(double);  // shift = inverse(offset / half)
};
double tangent(double x) { return std::tan(x); }
double area_tangent(double x) { return std::atanh(x); }
constexpr Variant kVariants[] = {
    {"lucidrains-2024", +1.0, area_tangent},
    {"lucidrains-2023", -1.0, area_tangent},
    {"paper-2023", -1.0, tangent},
};

bool near(double found, double expected) {
  return std::abs(found - expected) <= kTolerance * std::max(1.0, std::abs(expected));
}

// The number of levels that explains (half, offset, shift) under `variant`, or 0. The simplifier
// may have folded the shift into the bias before it; then half and offset alone decide.
int64_t levels_under(const Variant& variant, double half, double offset,
                     std::optional<double> shift) {
  const double exact = 2.0 * half / (1.0 + variant.epsilon_sign * kEpsilon) + 1.0;
  const double rounded = std::round(exact);
  if (!(rounded >= 2.0 && rounded <= static_cast<double>(kMaxLevels))) return 0;
  const auto levels = static_cast<int64_t>(rounded);
  const double expected_half =
      static_cast<double>(levels - 1) * (1.0 + variant.epsilon_sign * kEpsilon) / 2.0;
  const double expected_offset = levels % 2 == 0 ? 0.5 : 0.0;
  const bool fits = near(half, expected_half) && near(offset, expected_offset) &&
                    (!shift || near(*shift, variant.inverse(expected_offset / expected_half)));
  return fits ? levels : 0;
}

std::optional<Fsq> fit_variant(const Bound& bound, size_t dimensions) {
  for (const std::vector<double>* values : {&bound.shift, &bound.half, &bound.offset}) {
    if (values->size() != 1 && values->size() != dimensions) return std::nullopt;
  }
  for (const Variant& variant : kVariants) {
    Fsq fsq;
    fsq.variant = variant.name;
    for (size_t i = 0; i < dimensions; ++i) {
      fsq.levels.push_back(
          levels_under(variant, at(bound.half, i), at(bound.offset, i), at(bound.shift, i)));
    }
    if (std::find(fsq.levels.begin(), fsq.levels.end(), 0) == fsq.levels.end()) return fsq;
  }
  return std::nullopt;
}

// FSQ dimensions lie on the axis along which the bound's constants vary; with equal levels they
// are scalars, and the axis is the last one (rank 2 and 3) or the channels (rank 4).
size_t fsq_axis(const Graph& graph, const ir::Uses& uses, ValueId bounded) {
  const Shape& shape = graph.shape(bounded);
  for (ValueId id = bounded;;) {
    const ir::Node* node = producer_of(graph, uses, id);
    const ir::Binary* binary = node == nullptr ? nullptr : std::get_if<ir::Binary>(&node->op);
    if (binary == nullptr) break;
    for (const ValueId input : node->inputs) {
      const Tensor* constant = graph.constant(input);
      if (constant == nullptr || constant->size() <= 1) continue;
      for (size_t axis = 0; axis < constant->rank(); ++axis) {
        if (constant->shape()[axis] > 1) return shape.size() - constant->rank() + axis;
      }
    }
    id = graph.constant(node->inputs[0]) != nullptr ? node->inputs[1] : node->inputs[0];
  }
  return shape.size() == 4 ? 1 : shape.size() - 1;
}

std::optional<Fsq> fsq_at(const Graph& graph, const ir::Uses& uses, const ir::Node& round) {
  const ValueId bounded = round.inputs[0];
  if (!graph.value(bounded).shape || graph.shape(bounded).empty()) return std::nullopt;
  const std::optional<Bound> bound = read_tanh_bound(graph, uses, bounded);
  if (!bound) return std::nullopt;
  const size_t axis = fsq_axis(graph, uses, bounded);
  const auto dimensions = static_cast<size_t>(graph.shape(bounded)[axis]);
  if (dimensions == 0 || dimensions > 64) return std::nullopt;
  std::optional<Fsq> fsq = fit_variant(*bound, dimensions);
  if (!fsq) return std::nullopt;
  fsq->unbounded = graph.value(bound->unbounded).name;
  fsq->bounded = graph.value(bounded).name;
  fsq->round_node = round.name;
  fsq->rounded = graph.value(round.outputs[0]).name;
  fsq->axis = static_cast<int64_t>(axis);
  return fsq;
}

// A constant whose entries lie along `axis` of a rank-`rank` tensor.
Tensor along_axis(const std::vector<int64_t>& entries, size_t axis, size_t rank) {
  Shape shape(rank, 1);
  shape[axis] = static_cast<int64_t>(entries.size());
  return Tensor::of<int64_t>(shape, entries);
}

void rename_output(Graph& graph, ir::NodeId node, const char* name) {
  const ValueId output = graph.node(node).outputs[0];
  graph.value(output).name = ir::unique_name(graph, name);
  graph.outputs.push_back(output);
}

}  // namespace

std::optional<Fsq> find_fsq(const Graph& graph) {
  const ir::Uses uses = ir::find_uses(graph);
  for (const NodeId id : ir::live_nodes(graph)) {
    const ir::Unary* unary = std::get_if<ir::Unary>(&graph.node(id).op);
    if (unary == nullptr || unary->kind != ir::UnaryKind::kRound) continue;
    if (std::optional<Fsq> fsq = fsq_at(graph, uses, graph.node(id))) return fsq;
  }
  return std::nullopt;
}

Result<Graph> add_code_outputs(Graph graph, const Fsq& fsq) {
  const std::optional<ValueId> rounded = ir::find_value(graph, fsq.rounded);
  if (!rounded) return internal_error(fsq.rounded, "is not in the graph that gets FSQ outputs");
  const size_t rank = graph.shape(*rounded).size();
  const auto axis = static_cast<size_t>(fsq.axis);
  std::vector<int64_t> lowest, basis;
  int64_t codes = 1;
  bool code_fits = true;
  for (const int64_t levels : fsq.levels) {
    lowest.push_back(levels / 2);
    basis.push_back(codes);
    code_fits = code_fits && codes <= (int64_t{1} << 62) / levels;
    if (code_fits) codes *= levels;
  }
  const std::string prefix = fsq.round_node + "/codes/";
  TRY_ASSIGN(const NodeId integer,
             ir::add_node(graph, prefix + "Cast", ir::Cast{DType::kInt64}, {*rounded}));
  const ValueId lowest_id =
      ir::add_constant(graph, prefix + "half_width", along_axis(lowest, axis, rank));
  TRY_ASSIGN(const NodeId digits,
             ir::add_node(graph, prefix + "Add", ir::Binary{ir::BinaryKind::kAdd},
                          {graph.node(integer).outputs[0], lowest_id}));
  rename_output(graph, digits, kFsqDigitsOutput);
  if (!code_fits) return graph;
  const ValueId basis_id = ir::add_constant(graph, prefix + "basis", along_axis(basis, axis, rank));
  TRY_ASSIGN(const NodeId weighted,
             ir::add_node(graph, prefix + "Mul", ir::Binary{ir::BinaryKind::kMul},
                          {graph.node(digits).outputs[0], basis_id}));
  const ValueId axes_id =
      ir::add_constant(graph, prefix + "axes", Tensor::of<int64_t>({1}, {fsq.axis}));
  TRY_ASSIGN(const NodeId code, ir::add_node(graph, prefix + "ReduceSum",
                                             ir::Reduce{ir::ReduceKind::kSum, false, false},
                                             {graph.node(weighted).outputs[0], axes_id}));
  rename_output(graph, code, kFsqCodeOutput);
  return graph;
}

}  // namespace graupel::cut
