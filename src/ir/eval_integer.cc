// Finds and computes integer groups. A group is taken only if every condition of the rules holds;
// else its nodes are computed one by one in float. See eval_integer.h.
// Reference: docs/formats/int8.md. Test: eval_integer_test.cc.
#include "ir/eval_integer.h"

#include "ir/eval.h"

namespace graupel::ir::evaluator {
namespace {

struct Finder {
  const Graph& graph;
  Uses uses;

  template <class T>
  const T* maker(ValueId value, const Node** node) const {
    if (!value.valid()) return nullptr;
    const NodeId id = uses.producer[value.index()];
    if (!id.valid()) return nullptr;
    *node = &graph.node(id);
    return std::get_if<T>(&graph.node(id).op);
  }
  // The one reader of a value nobody else sees.
  NodeId only_reader(ValueId value) const {
    if (!value.valid() || uses.is_output[value.index()]) return {};
    const std::vector<NodeId>& readers = uses.readers[value.index()];
    return readers.size() == 1 ? readers[0] : NodeId();
  }
};

ValueId input_of(const Node& node, size_t index) {
  return index < node.inputs.size() ? node.inputs[index] : ValueId();
}

// Scale and zero point of a (De)QuantizeLinear node, if they are constants of scalar kind.
struct ScalarScale {
  float scale = 1.0f;
  const Tensor* zero_point = nullptr;
};
std::optional<ScalarScale> scalar_of(const Graph& graph, const Node& node) {
  const Tensor* scale = graph.constant(input_of(node, 1));
  const ValueId zero_id = input_of(node, 2);
  const Tensor* zero_point = graph.constant(zero_id);
  if (scale == nullptr || scale->dtype() != DType::kFloat32 || scale->size() != 1) return {};
  if (zero_id.valid() &&
      (zero_point == nullptr || zero_point->size() != 1 || !is_byte(zero_point->dtype()))) {
    return {};
  }
  return ScalarScale{scale->data<float>()[0], zero_point};
}

// A constant behind a DequantizeLinear.
struct ConstantOperand {
  const Tensor* values = nullptr;
  const Tensor* scale = nullptr;
  const Tensor* zero_point = nullptr;
  int64_t axis = 0;
};
std::optional<ConstantOperand> constant_operand(const Finder& finder, ValueId value) {
  const Node* node = nullptr;
  const auto* op = finder.maker<DequantizeLinear>(value, &node);
  if (op == nullptr) return {};
  ConstantOperand operand{finder.graph.constant(input_of(*node, 0)),
                          finder.graph.constant(input_of(*node, 1)),
                          finder.graph.constant(input_of(*node, 2)), op->axis};
  if (operand.values == nullptr || operand.scale == nullptr ||
      operand.scale->dtype() != DType::kFloat32 || operand.scale->size() == 0) {
    return {};
  }
  if (input_of(*node, 2).valid() &&
      (operand.zero_point == nullptr || operand.zero_point->size() != operand.scale->size() ||
       operand.zero_point->dtype() != operand.values->dtype())) {
    return {};
  }
  if (operand.axis < 0) operand.axis += static_cast<int64_t>(operand.values->rank());
  return operand;
}

// Fills weight and multipliers; `axis` is the weight's feature dimension.
bool take_weight(const ConstantOperand& operand, size_t axis, IntegerGroup& group) {
  const Tensor& values = *operand.values;
  if (!is_byte(values.dtype()) || values.rank() <= axis || values.size() == 0) return false;
  const int64_t features = values.shape()[axis];
  if (operand.scale->size() != 1 &&
      (operand.axis != static_cast<int64_t>(axis) || operand.scale->rank() != 1 ||
       static_cast<int64_t>(operand.scale->size()) != features)) {
    return false;
  }
  const Call call{{}, 1, std::numeric_limits<uint64_t>::max()};
  Result<std::vector<int32_t>> weight =
      centered(call, values, operand.zero_point,
               {features, product(values.shape(), axis + 1, values.rank())});
  if (!weight.ok()) return false;
  group.weight = std::move(weight).value();
  group.weight_shape = values.shape();
  for (const float scale : operand.scale->data<float>()) {
    group.multipliers.push_back((group.x_scale * scale) / group.y_scale);
  }
  return true;
}

// The bias has to be int32 with scale x_scale * weight scale, else integers cannot add it.
bool take_bias(const Finder& finder, ValueId value, const Tensor& weight_scale, int64_t features,
               IntegerGroup& group) {
  if (!value.valid()) return true;
  const std::optional<ConstantOperand> operand = constant_operand(finder, value);
  if (!operand || operand->values->dtype() != DType::kInt32 ||
      static_cast<int64_t>(operand->values->size()) != features || operand->values->rank() == 0 ||
      operand->values->shape().back() != features) {
    return false;
  }
  if (operand->zero_point != nullptr) {
    const std::span<const int32_t> zeros = operand->zero_point->data<int32_t>();
    if (std::any_of(zeros.begin(), zeros.end(), [](int32_t zero) { return zero != 0; })) {
      return false;
    }
  }
  const std::span<const float> scales = operand->scale->data<float>();
  const std::span<const float> weights = weight_scale.data<float>();
  if (scales.size() != 1 && static_cast<int64_t>(scales.size()) != features) return false;
  for (size_t m = 0; m < static_cast<size_t>(features); ++m) {
    const float expected = group.x_scale * weights[weights.size() == 1 ? 0 : m];
    if (scales[scales.size() == 1 ? 0 : m] != expected) return false;
  }
  const std::span<const int32_t> bias = operand->values->data<int32_t>();
  group.bias.assign(bias.begin(), bias.end());
  return true;
}

void transpose_weight(IntegerGroup& group) {
  const int64_t rows = group.weight_shape[0], columns = group.weight_shape[1];
  std::vector<int32_t> turned(group.weight.size());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      turned[static_cast<size_t>(j * rows + i)] =
          group.weight[static_cast<size_t>(i * columns + j)];
    }
  }
  group.weight = std::move(turned);
  group.weight_shape = {columns, rows};
}

bool take_operands(const Finder& finder, const Node& head, IntegerGroup& group) {
  if (const auto* pool = std::get_if<GlobalPool>(&head.op)) {
    return pool->kind == PoolKind::kAverage;
  }
  if (std::holds_alternative<AveragePool>(head.op)) return true;
  const std::optional<ConstantOperand> weight = constant_operand(finder, input_of(head, 1));
  if (!weight) return false;
  if (std::holds_alternative<Conv>(head.op)) {
    return take_weight(*weight, 0, group) &&
           take_bias(finder, input_of(head, 2), *weight->scale, group.weight_shape[0], group);
  }
  if (weight->values->rank() != 2) return false;
  if (std::holds_alternative<MatMul>(head.op)) return take_weight(*weight, 1, group);
  const auto* gemm = std::get_if<Gemm>(&head.op);
  if (gemm == nullptr || gemm->alpha != 1.0 || gemm->beta != 1.0 || gemm->transpose_a) return false;
  if (!take_weight(*weight, gemm->transpose_b ? 0 : 1, group)) return false;
  if (gemm->transpose_b) transpose_weight(group);
  return take_bias(finder, input_of(head, 2), *weight->scale, group.weight_shape[1], group);
}

// Narrows the output range by Relu or Clip; false if the node is neither or its bounds vary.
bool take_activation(const Graph& graph, const Node& node, IntegerGroup& group) {
  const auto quantized = [&](float bound) {
    return quantize_value(bound / group.y_scale, group.y_zero_point, group.y_range.low,
                          group.y_range.high);
  };
  if (const auto* unary = std::get_if<Unary>(&node.op)) {
    if (unary->kind != UnaryKind::kRelu) return false;
    group.y_range.low = std::max(group.y_range.low, group.y_zero_point);
    return true;
  }
  if (!std::holds_alternative<Clip>(node.op)) return false;
  IntRange range = group.y_range;
  for (size_t i = 1; i <= 2; ++i) {
    const ValueId id = input_of(node, i);
    if (!id.valid()) continue;
    const Tensor* bound = graph.constant(id);
    if (bound == nullptr || bound->dtype() != DType::kFloat32 || bound->size() != 1) return false;
    const float value = bound->data<float>()[0];
    if (!(value == value)) return false;
    (i == 1 ? range.low : range.high) = quantized(value);
  }
  if (range.low > range.high) return false;
  group.y_range = range;
  return true;
}

bool is_head(const Op& op) {
  return std::holds_alternative<Conv>(op) || std::holds_alternative<Gemm>(op) ||
         std::holds_alternative<MatMul>(op) || std::holds_alternative<GlobalPool>(op) ||
         std::holds_alternative<AveragePool>(op);
}

// The quantised input of the head.
bool take_input(const Finder& finder, const Node& head, IntegerGroup& group) {
  const Node* source = nullptr;
  if (finder.maker<DequantizeLinear>(input_of(head, 0), &source) == nullptr) return false;
  const std::optional<ScalarScale> scale = scalar_of(finder.graph, *source);
  const ValueId x = input_of(*source, 0);
  if (!scale || !x.valid() || !is_byte(finder.graph.value(x).dtype)) return false;
  group.x = x;
  group.x_scale = scale->scale;
  group.x_zero_point = scale->zero_point;
  return true;
}

// What follows the head: one activation or none, then the QuantizeLinear.
bool take_output(const Finder& finder, const Node& head, IntegerGroup& group) {
  const Graph& graph = finder.graph;
  ValueId value = head.outputs[0];
  const Node* activation = nullptr;
  NodeId next = finder.only_reader(value);
  if (next.valid() && !std::holds_alternative<QuantizeLinear>(graph.node(next).op)) {
    activation = &graph.node(next);
    if (activation->outputs.size() != 1 || input_of(*activation, 0) != value) return false;
    group.members.push_back(next);
    value = activation->outputs[0];
    next = finder.only_reader(value);
  }
  if (!next.valid() || !std::holds_alternative<QuantizeLinear>(graph.node(next).op)) return false;
  const Node& tail = graph.node(next);
  const std::optional<ScalarScale> scale = scalar_of(graph, tail);
  if (!scale || tail.outputs.size() != 1 || input_of(tail, 0) != value) return false;
  const Result<int32_t> zero = scalar_zero_point(scale->zero_point);
  if (!zero.ok()) return false;
  group.members.push_back(next);
  group.y = tail.outputs[0];
  group.y_scale = scale->scale;
  group.y_dtype = scale->zero_point != nullptr ? scale->zero_point->dtype() : DType::kUInt8;
  group.y_zero_point = zero.value();
  group.y_range = range_of(group.y_dtype);
  return activation == nullptr || take_activation(graph, *activation, group);
}

std::optional<IntegerGroup> group_at(const Finder& finder, NodeId id) {
  const Node& head = finder.graph.node(id);
  if (!is_head(head.op) || head.outputs.size() != 1) return {};
  IntegerGroup group;
  group.head = id;
  group.members = {id};
  if (!take_input(finder, head, group) || !take_output(finder, head, group) ||
      !take_operands(finder, head, group)) {
    return {};
  }
  return group;
}

// The one requantisation of a group.
Result<Tensor> finish(const Call& budget, const IntegerGroup& group, const Shape& shape,
                      std::span<const int32_t> sums, AxisBlocks blocks) {
  TRY_ASSIGN(Tensor y, allocate(budget, group.y_dtype, shape));
  requantize(sums, group.multipliers, blocks, group.y_zero_point, group.y_range, y);
  return y;
}

struct PoolWindows {
  std::vector<WindowAxis> axes;
  bool count_include_pad = false;
  Shape shape;
};

Result<PoolWindows> pool_windows(const Op& op, const Shape& x) {
  PoolWindows pool;
  if (x.size() < 3) return invalid_input("", "takes [N,C,...], but got " + to_string(x));
  const std::span<const int64_t> spatial = std::span(x).subspan(2);
  if (const auto* average = std::get_if<AveragePool>(&op)) {
    TRY_ASSIGN(pool.axes, window_axes(average->window, average->window.kernel, spatial,
                                      average->ceil_mode ? Rounding::kCeil : Rounding::kFloor));
    pool.count_include_pad = average->count_include_pad;
  } else {
    Window whole;
    whole.kernel.assign(spatial.begin(), spatial.end());
    TRY_ASSIGN(pool.axes, window_axes(whole, whole.kernel, spatial));
  }
  pool.shape = {x[0], x[1]};
  for (const WindowAxis& axis : pool.axes) pool.shape.push_back(axis.out);
  return pool;
}

Result<Tensor> eval_pool(const Op& op, const IntegerGroup& group, const Shape& x_shape,
                         std::span<const int32_t> x, const Call& budget) {
  TRY_ASSIGN(const PoolWindows pool, pool_windows(op, x_shape));
  TRY(reserve(budget, static_cast<uint64_t>(product(x_shape, 2, x_shape.size())),
              2 * sizeof(int64_t)));
  TRY_ASSIGN(Tensor y, allocate(budget, group.y_dtype, pool.shape));
  uint8_t* out = raw_bytes(y);
  const int64_t in_plane = product(x_shape, 2, x_shape.size());
  const int64_t out_plane = product(pool.shape, 2, pool.shape.size());
  bool wraps = false;
  for_each_window(product(x_shape, 0, 2), pool.axes, [&](const WindowVisit& visit) {
    int64_t sum = 0;
    for (const int64_t offset : visit.offsets) {
      sum += x[static_cast<size_t>(visit.plane * in_plane + offset)];
    }
    wraps = wraps || sum > INT32_MAX || sum < INT32_MIN;
    const int64_t count =
        pool.count_include_pad ? visit.padded_count : static_cast<int64_t>(visit.offsets.size());
    const float multiplier =
        group.x_scale / (group.y_scale * static_cast<float>(std::max<int64_t>(1, count)));
    const float scaled = static_cast<float>(sum) * multiplier;
    out[visit.plane * out_plane + visit.position] = static_cast<uint8_t>(
        quantize_value(scaled, group.y_zero_point, group.y_range.low, group.y_range.high));
  });
  if (wraps) return invalid_input("", "accumulator wraps: a sum does not fit into int32");
  return y;
}

}  // namespace

std::vector<IntegerGroup> find_integer_groups(const Graph& graph) {
  const Finder finder{graph, find_uses(graph)};
  std::vector<IntegerGroup> groups;
  for (const NodeId id : live_nodes(graph)) {
    if (std::optional<IntegerGroup> group = group_at(finder, id)) {
      groups.push_back(std::move(*group));
    }
  }
  return groups;
}

Result<Tensor> eval_integer_group(const Graph& graph, const IntegerGroup& group, const Tensor& x,
                                  const Call& budget) {
  const Op& op = graph.node(group.head).op;
  TRY_ASSIGN(const std::vector<int32_t> values, centered(budget, x, group.x_zero_point, {}));
  if (const auto* conv = std::get_if<Conv>(&op)) {
    TRY_ASSIGN(const std::vector<WindowAxis> axes,
               conv_axes(conv->window, conv->group, x.shape(), group.weight_shape));
    const Shape shape = conv_output_shape(x.shape(), group.weight_shape, axes);
    TRY_ASSIGN(const std::vector<int32_t> sums,
               exact_convolution(budget, values, x.shape(), group.weight, group.weight_shape, axes,
                                 group.bias));
    return finish(budget, group, shape, sums,
                  {shape[1], std::max<int64_t>(1, product(shape, 2, shape.size()))});
  }
  if (std::holds_alternative<Gemm>(op) || std::holds_alternative<MatMul>(op)) {
    if (std::holds_alternative<Gemm>(op) && x.rank() != 2) {
      return invalid_input("", "takes matrices, but got " + to_string(x.shape()));
    }
    TRY_ASSIGN(const MatMulShape shape, matmul_shape(x.shape(), group.weight_shape));
    TRY_ASSIGN(const std::vector<int32_t> sums,
               exact_matmul(budget, values, group.weight, shape, group.bias));
    return finish(budget, group, shape.out, sums, {group.weight_shape[1], 1});
  }
  return eval_pool(op, group, x.shape(), values, budget);
}

}  // namespace graupel::ir::evaluator

namespace graupel::ir {

std::vector<NodeId> integer_group_heads(const Graph& graph) {
  std::vector<NodeId> heads;
  for (const evaluator::IntegerGroup& group : evaluator::find_integer_groups(graph)) {
    heads.push_back(group.head);
  }
  return heads;
}

}  // namespace graupel::ir
