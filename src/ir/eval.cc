// The evaluator's front: dispatch of one operator, of a graph, and of many windows. See eval.h.
//
// Idea: a graph is planned once (node order, last uses, integer groups, constant parts) and the
// plan is run once per window; a tensor is dropped after its last reader.
// Reference: ONNX operator semantics, opset 17. Test: eval_test.cc, tests/conformance.
#include "ir/eval.h"

#include <atomic>
#include <cstring>

#include "base/parallel.h"
#include "base/rng.h"
#include "base/window_at.h"
#include "ir/eval_integer.h"
#include "ir/eval_internal.h"

namespace graupel::ir {
namespace evaluator {

Result<Outputs> eval(const Opaque& op, const Call&) {
  return unsupported("", "graupel has no semantics for operator " +
                             (op.domain.empty() ? op.type : op.domain + "." + op.type));
}

namespace {

constexpr size_t kMaxRank = 64;

template <class T, class... Choices>
constexpr bool kIsOneOf = (std::is_same_v<T, Choices> || ...);

// Computed in float, double, int64 or uint64; see eval_internal.h.
template <class T>
constexpr bool kIsArithmetic =
    kIsOneOf<T, Unary, Binary, Variadic, LeakyRelu, PRelu, Elu, Selu, Celu, ThresholdedRelu,
             HardSigmoid, Clip, Conv, ConvTranspose, MaxPool, AveragePool, GlobalPool, Gemm, MatMul,
             BatchNormalization, InstanceNormalization, LayerNormalization, LRN, Softmax, ArgReduce,
             Reduce, CumSum, TopK, Range, Resize>;

enum class BoolRule { kRefused, kAllowed, kRequired };

template <class T>
BoolRule bool_rule(const T& op) {
  if constexpr (std::is_same_v<T, Binary>) {
    if (op.kind == BinaryKind::kEqual) return BoolRule::kAllowed;
    if (op.kind == BinaryKind::kAnd || op.kind == BinaryKind::kOr || op.kind == BinaryKind::kXor) {
      return BoolRule::kRequired;
    }
  }
  return BoolRule::kRefused;
}

template <class T>
bool keeps_dtypes(const T& op) {
  if constexpr (std::is_same_v<T, Unary>) {
    return op.kind == UnaryKind::kIdentity || op.kind == UnaryKind::kNot;
  }
  return false;
}

template <class T>
Result<Outputs> eval_widened(const T& op, const Call& call) {
  std::vector<Tensor> wide(call.inputs.size());
  std::vector<const Tensor*> inputs(call.inputs.size(), nullptr);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor* input = call.inputs[i];
    if (input == nullptr) continue;
    const bool is_bool = input->dtype() == DType::kBool;
    const BoolRule rule = bool_rule(op);
    if ((is_bool && rule == BoolRule::kRefused) || (!is_bool && rule == BoolRule::kRequired)) {
      return invalid_input("", "does not take " + std::string(to_string(input->dtype())));
    }
    // The one place where the dtypes as given matter: operands of an operator have to agree.
    if (std::is_same_v<T, Binary> && i == 1 && call.inputs[0] != nullptr &&
        input->dtype() != call.inputs[0]->dtype() &&
        widened(input->dtype()) == widened(call.inputs[0]->dtype())) {
      if constexpr (std::is_same_v<T, Binary>) {
        if (op.kind != BinaryKind::kPow) return invalid_input("", "mixes dtypes");
      }
    }
    TRY_ASSIGN(wide[i], cast(call, *input, widened(input->dtype())));
    inputs[i] = &wide[i];
  }
  const Call inner{inputs, call.output_count, call.remaining_bytes};
  TRY_ASSIGN(Outputs outputs, eval(op, inner));
  call.remaining_bytes = inner.remaining_bytes;
  if (call.inputs.empty() || call.inputs[0] == nullptr || std::is_same_v<T, ArgReduce>) {
    return outputs;
  }
  const DType dtype = call.inputs[0]->dtype();
  // Index outputs (MaxPool, TopK) are int64 by themselves; statistics follow the input.
  const size_t following = kIsOneOf<T, BatchNormalization> ? outputs.size() : 1;
  for (size_t i = 0; i < following; ++i) {
    if (outputs[i].dtype() != widened(dtype)) continue;
    TRY_ASSIGN(outputs[i], cast(call, outputs[i], dtype));
  }
  return outputs;
}

Result<void> check_tensor(const Tensor& tensor) {
  const std::optional<int64_t> count = element_count(tensor.shape());
  if (tensor.rank() > kMaxRank || !count || static_cast<size_t>(*count) != tensor.size()) {
    return invalid_input("", "has an input of impossible shape " + to_string(tensor.shape()));
  }
  return ok();
}

Result<Outputs> dispatch(const Op& op, const Call& call) {
  for (const Tensor* input : call.inputs) {
    if (input != nullptr) TRY(check_tensor(*input));
  }
  TRY_ASSIGN(Outputs outputs, std::visit(
                                  [&](const auto& concrete) -> Result<Outputs> {
                                    using T = std::decay_t<decltype(concrete)>;
                                    if constexpr (kIsArithmetic<T>) {
                                      if (!keeps_dtypes(concrete))
                                        return eval_widened(concrete, call);
                                    }
                                    return eval(concrete, call);
                                  },
                                  op));
  if (outputs.size() < call.output_count) {
    return invalid_input("", "yields " + std::to_string(outputs.size()) + " outputs, but " +
                                 std::to_string(call.output_count) + " are wanted");
  }
  return outputs;
}

// ---- a graph ----

constexpr size_t kNoGroup = static_cast<size_t>(-1);

struct Step {
  NodeId node;
  size_t group = kNoGroup;
  std::vector<ValueId> last_uses;  // values nobody reads after this step
};

}  // namespace

struct Plan {
  const Graph& graph;
  std::vector<Step> steps;
  std::vector<IntegerGroup> groups;
  std::vector<std::optional<Tensor>> fixed;  // by value: constants, and what follows from them
};

namespace {

std::vector<ValueId> inputs_of(const Plan& plan, const Step& step) {
  if (step.group != kNoGroup) return {plan.groups[step.group].x};
  return plan.graph.node(step.node).inputs;
}

std::vector<ValueId> outputs_of(const Plan& plan, const Step& step) {
  if (step.group != kNoGroup) return {plan.groups[step.group].y};
  return plan.graph.node(step.node).outputs;
}

Result<void> check_ids(const Graph& graph) {
  const auto in_range = [&](const std::vector<ValueId>& ids) {
    return std::all_of(ids.begin(), ids.end(),
                       [&](ValueId id) { return !id.valid() || id.index() < graph.values.size(); });
  };
  for (const NodeId id : live_nodes(graph)) {
    if (!in_range(graph.node(id).inputs) || !in_range(graph.node(id).outputs)) {
      return internal_error(graph.node(id).name, "refers to a value that does not exist");
    }
  }
  for (const auto& ids : {graph.inputs, graph.outputs}) {
    if (!in_range(ids) ||
        std::any_of(ids.begin(), ids.end(), [](ValueId id) { return !id.valid(); })) {
      return internal_error("graph", "has an input or output that does not exist");
    }
  }
  return ok();
}

Result<Plan> make_plan(const Graph& graph, QdqMode mode) {
  TRY(check_ids(graph));
  Plan plan{graph, {}, {}, std::vector<std::optional<Tensor>>(graph.values.size())};
  std::vector<size_t> group_of(graph.nodes.size(), kNoGroup);
  std::vector<bool> skipped(graph.nodes.size(), false);
  if (mode == QdqMode::kInteger) {
    plan.groups = find_integer_groups(graph);
    for (size_t g = 0; g < plan.groups.size(); ++g) {
      for (const NodeId id : plan.groups[g].members) skipped[id.index()] = true;
      group_of[plan.groups[g].head.index()] = g;
    }
    // A DequantizeLinear that only groups read has nothing to do.
    const Uses uses = find_uses(graph);
    for (const NodeId id : live_nodes(graph)) {
      const Node& node = graph.node(id);
      if (!std::holds_alternative<DequantizeLinear>(node.op) || node.outputs.size() != 1) continue;
      const size_t output = node.outputs[0].index();
      const std::vector<NodeId>& readers = uses.readers[output];
      const bool only_groups = std::all_of(readers.begin(), readers.end(), [&](NodeId reader) {
        return group_of[reader.index()] != kNoGroup;
      });
      if (!readers.empty() && only_groups && !uses.is_output[output]) skipped[id.index()] = true;
    }
  }
  for (const NodeId id : live_nodes(graph)) {
    const size_t group = group_of[id.index()];
    if (group != kNoGroup || !skipped[id.index()]) plan.steps.push_back({id, group, {}});
  }
  for (size_t i = 0; i < graph.values.size(); ++i) plan.fixed[i] = graph.values[i].constant;

  std::vector<bool> seen(graph.values.size(), false);
  for (const ValueId id : graph.outputs) seen[id.index()] = true;
  for (size_t i = plan.steps.size(); i-- > 0;) {
    Step& step = plan.steps[i];
    for (const std::vector<ValueId>& ids : {inputs_of(plan, step), outputs_of(plan, step)}) {
      for (const ValueId id : ids) {
        if (!id.valid() || seen[id.index()]) continue;
        seen[id.index()] = true;
        step.last_uses.push_back(id);
      }
    }
  }
  return plan;
}

// The tensors of one run of a plan.
struct Run {
  std::vector<std::optional<Tensor>> values;
  uint64_t live_bytes = 0;
};

const Tensor* look_up(const Plan& plan, const Run& run, ValueId id) {
  if (run.values[id.index()]) return &*run.values[id.index()];
  return plan.fixed[id.index()] ? &*plan.fixed[id.index()] : nullptr;
}

Result<Outputs> run_step(const Plan& plan, const Step& step, const Run& run, uint64_t limit) {
  std::vector<const Tensor*> inputs;
  for (const ValueId id : inputs_of(plan, step)) {
    inputs.push_back(id.valid() ? look_up(plan, run, id) : nullptr);
    if (id.valid() && inputs.back() == nullptr) {
      return invalid_input("", "reads '" + plan.graph.value(id).name + "', which has no value yet");
    }
  }
  const uint64_t left = limit > run.live_bytes ? limit - run.live_bytes : 0;
  const Call call{inputs, outputs_of(plan, step).size(), left};
  if (step.group == kNoGroup) return dispatch(plan.graph.node(step.node).op, call);
  TRY_ASSIGN(Tensor y, eval_integer_group(plan.graph, plan.groups[step.group], *inputs[0], call));
  return one(std::move(y));
}

Error at_step(const Plan& plan, const Step& step, Error error) {
  const Node& node = plan.graph.node(step.node);
  return std::move(error).within(node.name + " (" + std::string(op_type(node.op)) + ")");
}

// Computes once what depends on constants only; a part that fails or is large is left for the run,
// which reports it.
void fold_constants(Plan& plan) {
  constexpr uint64_t kMaxFoldedBytes = uint64_t{256} << 20;
  Run run{std::vector<std::optional<Tensor>>(plan.graph.values.size()), 0};
  for (const Step& step : plan.steps) {
    const std::vector<ValueId> inputs = inputs_of(plan, step);
    const bool constant =
        !inputs.empty() && std::all_of(inputs.begin(), inputs.end(), [&](ValueId id) {
          return !id.valid() || plan.fixed[id.index()];
        });
    if (!constant) continue;
    Result<Outputs> outputs = run_step(plan, step, run, kMaxFoldedBytes);
    if (!outputs.ok()) continue;
    const std::vector<ValueId> ids = outputs_of(plan, step);
    for (size_t i = 0; i < ids.size(); ++i) {
      if (!ids[i].valid()) continue;
      run.live_bytes += outputs.value()[i].size_bytes();
      plan.fixed[ids[i].index()] = std::move(outputs.value()[i]);
    }
  }
}

Result<std::vector<Tensor>> run_plan(const Plan& plan, std::span<const Tensor> inputs,
                                     const EvalOptions& options, size_t window) {
  const Graph& graph = plan.graph;
  Run run{std::vector<std::optional<Tensor>>(graph.values.size()), 0};
  for (size_t i = 0; i < inputs.size(); ++i) {
    run.live_bytes += inputs[i].size_bytes();
    run.values[graph.inputs[i].index()] = inputs[i];
  }
  for (const Step& step : plan.steps) {
    const std::vector<ValueId> ids = outputs_of(plan, step);
    const bool folded = !ids.empty() && std::all_of(ids.begin(), ids.end(), [&](ValueId id) {
      return !id.valid() || plan.fixed[id.index()];
    });
    if (!folded) {
      Result<Outputs> outputs = run_step(plan, step, run, options.memory_limit_bytes);
      if (!outputs.ok()) return at_step(plan, step, std::move(outputs).error());
      for (size_t i = 0; i < ids.size(); ++i) {
        if (!ids[i].valid()) continue;
        run.live_bytes += outputs.value()[i].size_bytes();
        run.values[ids[i].index()] = std::move(outputs.value()[i]);
      }
    }
    for (const ValueId id : ids) {
      if (options.observe && id.valid()) options.observe(window, id, *look_up(plan, run, id));
    }
    for (const ValueId id : step.last_uses) {
      std::optional<Tensor>& value = run.values[id.index()];
      if (!value) continue;
      run.live_bytes -= std::min<uint64_t>(run.live_bytes, value->size_bytes());
      value.reset();
    }
  }
  std::vector<Tensor> outputs;
  for (const ValueId id : graph.outputs) {
    const Tensor* value = look_up(plan, run, id);
    if (value == nullptr) return invalid_input(graph.value(id).name, "has no value");
    outputs.push_back(*value);
  }
  return outputs;
}

Result<void> check_graph_input(const Graph& graph, ValueId id, const Tensor& tensor) {
  const Value& value = graph.value(id);
  if (tensor.dtype() != value.dtype || (value.shape && *value.shape != tensor.shape())) {
    return invalid_input(value.name, "is " + to_string(tensor.shape()) + " of " +
                                         std::string(to_string(tensor.dtype())) +
                                         ", but the graph takes " +
                                         (value.shape ? to_string(*value.shape) : "any shape") +
                                         " of " + std::string(to_string(value.dtype)));
  }
  return check_tensor(tensor);
}

Result<void> check_input_count(const Graph& graph, size_t count) {
  if (count == graph.inputs.size()) return ok();
  return invalid_input("graph", "takes " + std::to_string(graph.inputs.size()) +
                                    " inputs, but got " + std::to_string(count));
}

Result<std::vector<Tensor>> run_checked(const Plan& plan, std::span<const Tensor> inputs,
                                        const EvalOptions& options) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    TRY(check_graph_input(plan.graph, plan.graph.inputs[i], inputs[i]));
  }
  return run_plan(plan, inputs, options, 0);
}

// ---- many windows ----

// Tensors [N, ...] for results like those of the first window.
Result<std::vector<Tensor>> stacked_like(const Graph& graph, const std::vector<Tensor>& first,
                                         int64_t count, uint64_t limit) {
  const Call call{{}, 1, limit};
  std::vector<Tensor> stacked;
  for (size_t i = 0; i < first.size(); ++i) {
    const std::string& name = graph.value(graph.outputs[i]).name;
    if (first[i].rank() == 0 || first[i].shape()[0] != 1) {
      return invalid_input(name, "is " + to_string(first[i].shape()) +
                                     " for one window; its first dimension has to be the batch, 1");
    }
    Shape shape = first[i].shape();
    shape[0] = count;
    Result<Tensor> tensor = allocate(call, first[i].dtype(), shape);
    if (!tensor.ok()) return std::move(tensor).error().within(name);
    stacked.push_back(std::move(tensor).value());
  }
  return stacked;
}

struct Slot {
  std::byte* bytes = nullptr;
  size_t size_bytes = 0;
  Shape shape;
  DType dtype = DType::kFloat32;
};

Result<void> store(const std::vector<Tensor>& outputs, const std::vector<Slot>& slots,
                   size_t window) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].shape() != slots[i].shape || outputs[i].dtype() != slots[i].dtype) {
      return invalid_input("output " + std::to_string(i),
                           "changes its shape from window to window; that cannot be stacked");
    }
    if (slots[i].size_bytes == 0) continue;
    std::memcpy(slots[i].bytes + window * slots[i].size_bytes, outputs[i].bytes(),
                slots[i].size_bytes);
  }
  return ok();
}

Error in_window(size_t window, Error error) {
  return std::move(error).within("window " + std::to_string(window));
}

}  // namespace
}  // namespace evaluator

Result<std::vector<Tensor>> evaluate_op(const Op& op, std::span<const Tensor* const> inputs,
                                        size_t output_count, uint64_t memory_limit_bytes) {
  const evaluator::Call call{inputs, output_count, memory_limit_bytes};
  Result<std::vector<Tensor>> outputs = evaluator::dispatch(op, call);
  if (!outputs.ok()) return std::move(outputs).error().within(op_type(op));
  return outputs;
}

Result<std::vector<Tensor>> evaluate(const Graph& graph, std::span<const Tensor> inputs,
                                     const EvalOptions& options) {
  TRY(evaluator::check_input_count(graph, inputs.size()));
  TRY_ASSIGN(const evaluator::Plan plan, evaluator::make_plan(graph, options.qdq));
  return evaluator::run_checked(plan, inputs, options);
}

Result<Prepared> prepare(const Graph& graph, QdqMode qdq) {
  TRY_ASSIGN(evaluator::Plan plan, evaluator::make_plan(graph, qdq));
  evaluator::fold_constants(plan);
  return Prepared{std::make_shared<const evaluator::Plan>(std::move(plan))};
}

Result<std::vector<Tensor>> evaluate(const Prepared& prepared, std::span<const Tensor> inputs,
                                     const EvalOptions& options) {
  TRY(evaluator::check_input_count(prepared.plan->graph, inputs.size()));
  return evaluator::run_checked(*prepared.plan, inputs, options);
}

Result<std::vector<Tensor>> evaluate_windows(const Graph& graph, const Tensor& windows,
                                             const EvalOptions& options) {
  if (graph.inputs.size() != 1) {
    return invalid_input("graph", "has " + std::to_string(graph.inputs.size()) +
                                      " inputs; windows need a graph with one");
  }
  if (windows.rank() == 0 || windows.shape()[0] < 1) {
    return invalid_input("windows", "are " + to_string(windows.shape()) +
                                        "; at least one window [N, ...] is needed");
  }
  TRY(evaluator::check_tensor(windows));
  TRY_ASSIGN(evaluator::Plan plan, evaluator::make_plan(graph, options.qdq));
  evaluator::fold_constants(plan);
  const auto run = [&](size_t index) {
    const Tensor window = window_at(windows, index);
    return evaluator::run_plan(plan, std::span(&window, 1), options, index);
  };
  TRY(evaluator::check_graph_input(graph, graph.inputs[0], window_at(windows, 0)));
  Result<std::vector<Tensor>> first = run(0);
  if (!first.ok()) return evaluator::in_window(0, std::move(first).error());
  const int64_t count = windows.shape()[0];
  TRY_ASSIGN(std::vector<Tensor> stacked,
             evaluator::stacked_like(graph, first.value(), count, options.memory_limit_bytes));
  std::vector<evaluator::Slot> slots;
  for (size_t i = 0; i < stacked.size(); ++i) {
    slots.push_back({stacked[i].mutable_bytes(), first.value()[i].size_bytes(),
                     first.value()[i].shape(), first.value()[i].dtype()});
  }
  TRY(evaluator::store(first.value(), slots, 0));
  std::vector<std::optional<Error>> errors(static_cast<size_t>(count));
  std::atomic<size_t> lowest_error{errors.size()};
  parallel_for(errors.size() - 1, [&](size_t task, size_t) {
    const size_t index = task + 1;
    if (index > lowest_error.load()) return;
    Result<std::vector<Tensor>> outputs = run(index);
    Result<void> stored =
        outputs.ok() ? evaluator::store(outputs.value(), slots, index) : Result<void>();
    if (outputs.ok() && stored.ok()) return;
    errors[index] = outputs.ok() ? std::move(stored).error() : std::move(outputs).error();
    size_t seen = lowest_error.load();
    while (index < seen && !lowest_error.compare_exchange_weak(seen, index)) {
    }
  });
  const size_t failed = lowest_error.load();
  if (failed < errors.size()) return evaluator::in_window(failed, std::move(*errors[failed]));
  return stacked;
}

std::vector<Tensor> probe_inputs(const Graph& graph, uint64_t seed) {
  Rng rng(seed);
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs) {
    const Value& value = graph.value(id);
    const Shape shape = value.shape.value_or(Shape{});
    const evaluator::Call call{{}, 1, uint64_t{1} << 40};
    Tensor floats(DType::kFloat32, shape);
    bool odd = false;
    for (float& number : floats.mutable_data<float>()) {
      if (is_float(value.dtype)) {
        number = static_cast<float>(rng.normal());
      } else if (value.dtype == DType::kBool) {
        number = odd ? 1.0f : 0.0f;
        odd = !odd;
      } else {
        number = static_cast<float>(rng.below(8));
      }
    }
    Result<Tensor> converted = evaluator::cast(call, floats, value.dtype);
    inputs.push_back(converted.ok() ? std::move(converted).value() : std::move(floats));
  }
  return inputs;
}

}  // namespace graupel::ir
