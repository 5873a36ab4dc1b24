// Recognition of FSQ and its code outputs. See fsq.h.
//
// The walk goes from each Round or Floor back through additions and multiplications by constants
// (b = factor * f(z) + term) to the bounding function f, and from there through those in front of
// it. For every variant the constants are recomputed from the levels in double and compared;
// nothing is assumed from names. Test: fsq_test.cc.
#include "cut/fsq.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace graupel::cut {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::ValueId;

// Constants are float32 results of a handful of operations on numbers around one.
constexpr double kTolerance = 2e-5;
constexpr double kEpsilon = 1e-3;
// Above, (L - 1)(1 + eps) of one variant comes near (L' - 1)(1 - eps) of another.
constexpr double kMaxLevels = 256;
// The grids without eps are also how a picture in [-1, 1] becomes bytes: 256 levels.
constexpr double kMaxPlainLevels = 128;
constexpr int64_t kMaxDimensions = 64;

const ir::Node* producer_of(const Graph& graph, const ir::Uses& uses, ValueId id) {
  const NodeId node = uses.producer[id.index()];
  return node.valid() ? &graph.node(node) : nullptr;
}

double at(const std::vector<double>& values, size_t i) {
  return values.size() == 1 ? values[0] : values[i];
}

// y = factor * x + term, each one number or one per FSQ dimension; x is the value `from`.
struct Affine {
  std::vector<double> factor = {1.0}, term = {0.0};
  ValueId from;
  std::optional<size_t> axis;  // along which the numbers vary, if they do
};

// y = op(x, constant) as factor and term of x for one element.
std::pair<double, double> factor_and_term(ir::BinaryKind kind, double constant) {
  switch (kind) {
    case ir::BinaryKind::kAdd: return {1.0, constant};
    case ir::BinaryKind::kSub: return {1.0, -constant};
    case ir::BinaryKind::kMul: return {constant, 0.0};
    default: return {1.0 / constant, 0.0};
  }
}

// The axis of `shape` along which a constant varies; nullopt if it is more than one.
std::optional<std::optional<size_t>> varying_axis(const Tensor& constant, const Shape& shape) {
  std::optional<size_t> found;
  for (size_t i = 0; i < constant.rank(); ++i) {
    if (constant.shape()[i] == 1) continue;
    if (found || constant.rank() > shape.size()) return std::nullopt;
    found = shape.size() - constant.rank() + i;
  }
  return found;
}

// Steps over the node that makes `affine.from` if it adds or multiplies by a constant.
bool peel(const Graph& graph, const ir::Uses& uses, Affine& affine) {
  const ir::Node* node = producer_of(graph, uses, affine.from);
  const ir::Binary* binary = node == nullptr ? nullptr : std::get_if<ir::Binary>(&node->op);
  if (binary == nullptr) return false;
  const bool commutes =
      binary->kind == ir::BinaryKind::kAdd || binary->kind == ir::BinaryKind::kMul;
  if (!commutes && binary->kind != ir::BinaryKind::kSub && binary->kind != ir::BinaryKind::kDiv) {
    return false;
  }
  const size_t side = commutes && graph.constant(node->inputs[0]) != nullptr ? 0 : 1;
  const Tensor* constant = graph.constant(node->inputs[side]);
  if (constant == nullptr || !is_float(constant->dtype()) || constant->size() == 0) return false;
  if (constant->size() > static_cast<size_t>(kMaxDimensions)) return false;
  const auto axis = varying_axis(*constant, graph.shape(affine.from));
  if (!axis || (*axis && affine.axis && **axis != *affine.axis)) return false;
  const std::vector<double> numbers = constant->to_doubles();
  const size_t size = std::max({numbers.size(), affine.factor.size(), affine.term.size()});
  std::vector<double> factor, term;
  for (size_t i = 0; i < size; ++i) {
    for (const size_t other : {numbers.size(), affine.factor.size(), affine.term.size()}) {
      if (other != 1 && other != size) return false;
    }
    const auto [inner_factor, inner_term] = factor_and_term(binary->kind, at(numbers, i));
    factor.push_back(at(affine.factor, i) * inner_factor);
    term.push_back(at(affine.factor, i) * inner_term + at(affine.term, i));
  }
  affine = {factor, term, node->inputs[1 - side], *axis ? *axis : affine.axis};
  return true;
}

enum class Bounding { kTanh, kSigmoid, kClamp };  // kClamp: to [-1, 1]

std::optional<Bounding> bounding_of(const Graph& graph, const ir::Node& node) {
  if (const ir::Unary* unary = std::get_if<ir::Unary>(&node.op)) {
    if (unary->kind == ir::UnaryKind::kTanh) return Bounding::kTanh;
    if (unary->kind == ir::UnaryKind::kSigmoid) return Bounding::kSigmoid;
    return std::nullopt;
  }
  if (!std::holds_alternative<ir::Clip>(node.op) || node.inputs.size() != 3) return std::nullopt;
  const Tensor* low = graph.constant(node.inputs[1]);
  const Tensor* high = graph.constant(node.inputs[2]);
  if (low == nullptr || high == nullptr || low->size() != 1 || high->size() != 1) return {};
  if (low->to_doubles()[0] != -1.0 || high->to_doubles()[0] != 1.0) return std::nullopt;
  return Bounding::kClamp;
}

// A published way to write FSQ for one dimension of L levels: what it rounds, how it bounds, and
// the constants it uses.
struct Constants {
  double factor = 0.0, term = 0.0;  // rounded value = factor * f(z) + term
  double scale = 1.0, shift = 0.0;  // f's argument = scale * z + shift
};
struct Variant {
  const char* name;
  ir::UnaryKind rounding;
  Bounding bounding;
  double (*levels)(double factor);  // not yet rounded
  Constants (*constants)(double levels);
  double max_levels;
  bool must_show_input;  // refuse if scale and shift are not in the graph
};

bool is_even(double levels) { return std::fmod(levels, 2.0) == 0.0; }

// tanh(z + shift) * half - offset with half = (L - 1)(1 + sign eps) / 2.
Constants centered(double levels, double sign, double (*inverse)(double)) {
  const double half = (levels - 1.0) * (1.0 + sign * kEpsilon) / 2.0;
  const double offset = is_even(levels) ? 0.5 : 0.0;
  return {half, -offset, 1.0, inverse(offset / half)};
}
double area_tangent(double x) { return std::atanh(x); }
double tangent(double x) { return std::tan(x); }
double identity(double x) { return x; }
double levels_wide(double half) { return 2.0 * half / (1.0 + kEpsilon) + 1.0; }
double levels_narrow(double half) { return 2.0 * half / (1.0 - kEpsilon) + 1.0; }
double levels_plain(double half) { return 2.0 * half + 1.0; }
double levels_sigmoid(double factor) { return factor + 1.0; }
Constants lucidrains_2024(double levels) { return centered(levels, +1.0, area_tangent); }
Constants lucidrains_2023(double levels) { return centered(levels, -1.0, area_tangent); }
Constants paper_2023(double levels) { return centered(levels, -1.0, tangent); }
Constants hard_clamp(double levels) { return centered(levels, +1.0, identity); }
Constants symmetric(double levels) {
  return {(levels - 1.0) / 2.0, (levels - 1.0) / 2.0 + 0.5, 1.0, 0.0};
}
Constants ifsq(double levels) { return {levels - 1.0, 0.5, 1.6, 0.0}; }
Constants sigmoid(double levels) { return {levels - 1.0, 0.5, 1.0, 0.0}; }

constexpr Variant kVariants[] = {
    {"lucidrains-2024", ir::UnaryKind::kRound, Bounding::kTanh, levels_wide, lucidrains_2024,
     kMaxLevels, false},
    {"lucidrains-2023", ir::UnaryKind::kRound, Bounding::kTanh, levels_narrow, lucidrains_2023,
     kMaxLevels, false},
    {"paper-2023", ir::UnaryKind::kRound, Bounding::kTanh, levels_narrow, paper_2023, kMaxLevels,
     false},
    {"hard-clamp", ir::UnaryKind::kRound, Bounding::kClamp, levels_wide, hard_clamp, kMaxLevels,
     false},
    {"symmetric", ir::UnaryKind::kFloor, Bounding::kTanh, levels_plain, symmetric, kMaxPlainLevels,
     false},
    {"ifsq", ir::UnaryKind::kFloor, Bounding::kSigmoid, levels_sigmoid, ifsq, kMaxPlainLevels,
     true},
    // Behind ifsq, whose factor it would take for a part of z.
    {"sigmoid", ir::UnaryKind::kFloor, Bounding::kSigmoid, levels_sigmoid, sigmoid, kMaxPlainLevels,
     true},
};

bool near(double found, double expected) {
  return std::abs(found - expected) <= kTolerance * std::max(1.0, std::abs(expected));
}

// The levels that explain factor and term of every dimension under `variant`; empty if none do.
std::vector<int64_t> levels_under(const Variant& variant, const Affine& bound, size_t dimensions) {
  std::vector<int64_t> levels;
  for (size_t i = 0; i < dimensions; ++i) {
    const double count = std::round(variant.levels(at(bound.factor, i)));
    if (!(count >= 2.0 && count <= variant.max_levels)) return {};
    const Constants expected = variant.constants(count);
    if (!near(at(bound.factor, i), expected.factor) || !near(at(bound.term, i), expected.term)) {
      return {};
    }
    levels.push_back(static_cast<int64_t>(count));
  }
  return levels;
}

// z, if the constants between z and the bounding function are those of `variant`.
std::optional<ValueId> unbounded_under(const Graph& graph, const ir::Uses& uses,
                                       const Variant& variant, const std::vector<int64_t>& levels,
                                       ValueId argument) {
  Affine input;
  input.from = argument;
  do {
    bool fits = true;
    for (const std::vector<double>* numbers : {&input.factor, &input.term}) {
      fits = fits && (numbers->size() == 1 || numbers->size() == levels.size());
    }
    for (size_t i = 0; fits && i < levels.size(); ++i) {
      const Constants expected = variant.constants(static_cast<double>(levels[i]));
      fits = near(at(input.factor, i), expected.scale) && near(at(input.term, i), expected.shift);
    }
    if (fits) return input.from;
  } while (peel(graph, uses, input));
  return std::nullopt;
}

// The variant that explains everything; else the first that explains all but what lies in front
// of the bounding function: the simplifier folds a shift into the bias of the layer before.
std::optional<Fsq> explain(const Graph& graph, const ir::Uses& uses, ir::UnaryKind rounding,
                           const Affine& bound, Bounding bounding, ValueId argument,
                           size_t dimensions) {
  std::optional<Fsq> folded;
  for (const Variant& variant : kVariants) {
    if (variant.rounding != rounding || variant.bounding != bounding) continue;
    Fsq fsq;
    fsq.variant = variant.name;
    fsq.levels = levels_under(variant, bound, dimensions);
    if (fsq.levels.empty()) continue;
    if (rounding == ir::UnaryKind::kRound) {
      for (const int64_t levels : fsq.levels) fsq.digit_offsets.push_back(levels / 2);
    } else {
      fsq.digit_offsets.assign(fsq.levels.size(), 0);
    }
    const std::optional<ValueId> z = unbounded_under(graph, uses, variant, fsq.levels, argument);
    fsq.shift_folded = !z;
    fsq.unbounded = graph.value(z.value_or(argument)).name;
    if (z) return fsq;
    if (!folded && !variant.must_show_input) folded = std::move(fsq);
  }
  return folded;
}

std::optional<Fsq> fsq_at(const Graph& graph, const ir::Uses& uses, const ir::Node& round,
                          ir::UnaryKind rounding) {
  const ValueId bounded = round.inputs[0];
  if (!graph.value(bounded).shape || graph.shape(bounded).empty()) return std::nullopt;
  Affine bound;
  bound.from = bounded;
  while (peel(graph, uses, bound)) {
  }
  const ir::Node* node = producer_of(graph, uses, bound.from);
  const std::optional<Bounding> bounding =
      node == nullptr ? std::nullopt : bounding_of(graph, *node);
  if (!bounding) return std::nullopt;
  const Shape& shape = graph.shape(bounded);
  // With equal levels the constants may be scalars: then the last axis, or the channels of rank 4.
  const size_t axis = bound.axis.value_or(shape.size() == 4 ? 1 : shape.size() - 1);
  const int64_t dimensions = shape[axis];
  if (dimensions < 1 || dimensions > kMaxDimensions) return std::nullopt;
  for (const std::vector<double>* numbers : {&bound.factor, &bound.term}) {
    if (numbers->size() != 1 && numbers->size() != static_cast<size_t>(dimensions)) return {};
  }
  std::optional<Fsq> fsq = explain(graph, uses, rounding, bound, *bounding, node->inputs[0],
                                   static_cast<size_t>(dimensions));
  if (!fsq) return std::nullopt;
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
    if (unary == nullptr) continue;
    if (unary->kind != ir::UnaryKind::kRound && unary->kind != ir::UnaryKind::kFloor) continue;
    if (std::optional<Fsq> fsq = fsq_at(graph, uses, graph.node(id), unary->kind)) return fsq;
  }
  return std::nullopt;
}

Result<Graph> add_code_outputs(Graph graph, const Fsq& fsq) {
  const std::optional<ValueId> rounded = ir::find_value(graph, fsq.rounded);
  if (!rounded) return internal_error(fsq.rounded, "is not in the graph that gets FSQ outputs");
  const size_t rank = graph.shape(*rounded).size();
  const auto axis = static_cast<size_t>(fsq.axis);
  std::vector<int64_t> basis;
  int64_t codes = 1;
  bool code_fits = true;
  for (const int64_t levels : fsq.levels) {
    basis.push_back(codes);
    code_fits = code_fits && codes <= (int64_t{1} << 62) / levels;
    if (code_fits) codes *= levels;
  }
  const std::string prefix = fsq.round_node + "/codes/";
  TRY_ASSIGN(const NodeId integer,
             ir::add_node(graph, prefix + "Cast", ir::Cast{DType::kInt64}, {*rounded}));
  const ValueId offset_id =
      ir::add_constant(graph, prefix + "offset", along_axis(fsq.digit_offsets, axis, rank));
  TRY_ASSIGN(const NodeId digits,
             ir::add_node(graph, prefix + "Add", ir::Binary{ir::BinaryKind::kAdd},
                          {graph.node(integer).outputs[0], offset_id}));
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
