// The way from three graphs to one plan. See compile.h.
//
// Idea: lower each part over unplaced buffers, hand values on by name, join neighbouring steps,
// place the buffers, and check the result as an engine would. Test: compile_test.cc.
#include "compile/compile.h"

#include <algorithm>
#include <map>
#include <set>

#include "compile/lowering.h"

namespace graupel::compile {
namespace {

// Values that crossed a part's border, by name: row-major buffers.
struct Borders {
  std::map<std::string, BufferId> made;
  std::vector<std::string> order;  // names that parts put out, first to last
  std::set<std::string> read;      // by a later part
  bool several_inputs = false;     // every input that no part makes is the plan's
};

Result<void> emit_node(Lowering& l, ir::NodeId id) {
  const ir::Node& node = l.node(id);
  const Decision& d = l.decisions[id.index()];
  switch (d.form) {
    case Form::kSkip:
    case Form::kConstant: return ok();
    case Form::kGroup: return emit_group(l, node, d);
    case Form::kMoveBytes: {
      return emit_movement(l, node, d.head.valid() ? l.node(d.head) : node, 0);
    }
    case Form::kPoolBytes: return emit_max_pool_bytes(l, node, d);
    case Form::kBinaryBytes: return emit_binary_bytes(l, node, d);
    case Form::kLookup: return emit_lookup(l, node, d);
    case Form::kLiteral: break;
  }
  return emit_literal(l, node);
}

Result<BufferId> without_mean(Lowering& l, BufferId raw, const std::string& name,
                              const data::Normalization& normalization) {
  const Shape shape = l.plan.buffers[raw.index()].shape;
  if (shape.size() < 3) {
    return invalid_input("input " + name,
                         "is " + to_string(shape) + " and has no time axis to remove a mean from");
  }
  std::vector<uint8_t> centred(normalization.mean.size(), 0);
  for (const int64_t channel : normalization.centred) centred[static_cast<size_t>(channel)] = 1;
  run::RemoveMean step;
  step.x = raw;
  step.y = new_buffer(l, name + " without mean", DType::kFloat32, shape);
  step.centred = constant_buffer(l, "centred", Tensor::of<uint8_t>({shape[1]}, centred));
  step.channels = static_cast<int32_t>(shape[1]);
  step.samples = shape.back();
  step.rows = elements_of(shape) / shape[1] / shape.back();
  const int64_t bytes = 2 * run::buffer_bytes(l.plan.buffers[raw.index()]);
  l.plan.steps.push_back({name + " window mean", l.part, 0, bytes, step});
  return step.y;
}

// The steps of data::preprocess, for windows that come raw.
Result<BufferId> normalized(Lowering& l, BufferId raw, const std::string& name,
                            const data::Normalization& normalization) {
  TRY(data::check_normalization(normalization));
  const run::Buffer buffer = l.plan.buffers[raw.index()];
  const size_t channels = normalization.mean.size();
  if (buffer.dtype != DType::kFloat32 || buffer.shape.size() < 2 || buffer.shape[0] != 1 ||
      buffer.shape[1] != static_cast<int64_t>(channels)) {
    return invalid_input("input " + name, "is " + to_string(buffer.shape) +
                                              ", but the normalization has " +
                                              std::to_string(channels) + " channels");
  }
  const int64_t bytes = 2 * run::buffer_bytes(buffer);
  if (!normalization.centred.empty()) {
    TRY_ASSIGN(raw, without_mean(l, raw, name, normalization));
  }
  std::vector<double> deviation;
  for (const double value : normalization.std) deviation.push_back(value + normalization.epsilon);
  const auto count = static_cast<int64_t>(channels);
  run::Normalize step;
  step.x = raw;
  step.y = new_buffer(l, name + " normalized", DType::kFloat32, buffer.shape);
  step.mean = constant_buffer(l, "mean", Tensor::of<double>({count}, normalization.mean));
  step.deviation = constant_buffer(l, "deviation", Tensor::of<double>({count}, deviation));
  step.channels = static_cast<int32_t>(channels);
  step.inner = elements_of(buffer.shape) / count;
  l.plan.steps.push_back({name + " z-score", l.part, 0, bytes, step});
  if (!normalization.clip) return step.y;
  run::Unary clip;
  clip.op = run::UnaryOp::kClip;
  clip.x = step.y;
  clip.y = new_buffer(l, name + " clipped", DType::kFloat32, buffer.shape);
  clip.b = static_cast<float>(*normalization.clip);
  clip.a = -clip.b;
  l.plan.steps.push_back({name + " clip", l.part, 0, bytes, clip});
  return clip.y;
}

// Binds the inputs of the part in hand to what earlier parts made, or to new plan inputs.
Result<void> bind_inputs(Lowering& l, Borders& borders, const CompileOptions& options) {
  for (const ir::ValueId id : l.graph->inputs) {
    const ir::Value& value = l.graph->value(id);
    const auto found = borders.made.find(value.name);
    if (found != borders.made.end()) {
      const run::Buffer& buffer = l.plan.buffers[found->second.index()];
      if (buffer.dtype != value.dtype || buffer.shape != *value.shape) {
        return invalid_input(value.name, "crosses between the parts with different types");
      }
      borders.read.insert(value.name);
      l.buffers[id.index()] = found->second;
      continue;
    }
    if (!l.plan.inputs.empty() && !borders.several_inputs) {
      return invalid_input(value.name, "is an input that no part in front of it makes");
    }
    if (elements_of(*value.shape) < 1) return invalid_input(value.name, "is an empty input");
    BufferId buffer = new_buffer(l, value.name, value.dtype, *value.shape);
    l.plan.inputs.push_back({value.name, buffer, run::Role::kOther});
    if (options.normalization) {
      TRY_ASSIGN(buffer, normalized(l, buffer, value.name, *options.normalization));
    }
    l.buffers[id.index()] = buffer;
    borders.made[value.name] = buffer;
  }
  return ok();
}

Result<void> lower_part(Lowering& l, const ir::Graph& graph, run::Part part, Borders& borders,
                        const CompileOptions& options) {
  if (graph.inputs.empty() && graph.outputs.empty()) return ok();
  TRY(ir::verify(graph));
  l.graph = &graph;
  l.part = part;
  l.relaid.clear();
  TRY(decide(l));
  TRY(bind_inputs(l, borders, options));
  for (const ir::NodeId id : ir::live_nodes(graph)) TRY(emit_node(l, id));
  for (const ir::ValueId id : graph.outputs) {
    const std::string& name = graph.value(id).name;
    TRY_ASSIGN(borders.made[name], row_major_operand(l, id));
    borders.order.push_back(name);
    borders.read.erase(name);
  }
  return ok();
}

run::Role role_of(const run::Plan& plan, const std::string& name, BufferId buffer,
                  const CompileOptions& options) {
  if (name == run::kFsqDigitsName) return run::Role::kFsqDigits;
  if (name == run::kFsqCodeName) return run::Role::kFsqCode;
  if (!options.logits_output.empty()) {
    return name == options.logits_output ? run::Role::kLogits : run::Role::kOther;
  }
  return plan.buffers[buffer.index()].dtype == DType::kFloat32 ? run::Role::kLogits
                                                               : run::Role::kOther;
}

void add_outputs(run::Plan& plan, const Borders& borders, const CompileOptions& options) {
  std::set<std::string> added;
  for (const std::string& name : borders.order) {
    if (borders.read.contains(name) || !added.insert(name).second) continue;
    const BufferId buffer = borders.made.at(name);
    plan.outputs.push_back({name, buffer, role_of(plan, name, buffer, options)});
  }
  const auto is_logits = [](const run::Port& port) { return port.role == run::Role::kLogits; };
  if (std::count_if(plan.outputs.begin(), plan.outputs.end(), is_logits) > 1) {
    for (run::Port& port : plan.outputs) {
      if (is_logits(port)) port.role = run::Role::kOther;
    }
  }
}

// Drops constants that no step or port reads any more, and buffers nobody names.
void drop_unused(run::Plan& plan, std::vector<BufferId>& roots) {
  std::vector<bool> used(plan.buffers.size(), false);
  const auto mark = [&](BufferId id) {
    used[id.index()] = true;
    used[roots[id.index()].index()] = true;
  };
  for (const run::Step& step : plan.steps) {
    const run::StepBuffers buffers = run::step_buffers(step.body);
    mark(buffers.write);
    for (const BufferId id : buffers.reads) mark(id);
  }
  for (const run::Port& port : plan.inputs) mark(port.buffer);
  for (const run::Port& port : plan.outputs) mark(port.buffer);
  std::string constants;
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    run::Buffer& buffer = plan.buffers[i];
    if (buffer.place != run::Place::kConstant || roots[i].index() != i) continue;
    const uint64_t from = buffer.offset;
    buffer.offset = 0;
    if (!used[i]) continue;
    constants.resize((constants.size() + run::kAlignmentBytes - 1) / run::kAlignmentBytes *
                     run::kAlignmentBytes);
    buffer.offset = constants.size();
    constants.append(plan.constants, from, static_cast<size_t>(run::buffer_bytes(buffer)));
  }
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    if (plan.buffers[i].place == run::Place::kConstant) {
      plan.buffers[i].offset = plan.buffers[roots[i].index()].offset;
    }
  }
  plan.constants = std::move(constants);
}

// Renumbers buffers without the unused ones.
void compact_buffers(run::Plan& plan) {
  std::vector<BufferId> moved(plan.buffers.size());
  std::vector<run::Buffer> kept;
  const auto renumber = [&](BufferId& id) {
    if (!id.valid()) return;
    if (!moved[id.index()].valid()) {
      moved[id.index()] = BufferId(kept.size());
      kept.push_back(plan.buffers[id.index()]);
    }
    id = moved[id.index()];
  };
  for (run::Port& port : plan.inputs) renumber(port.buffer);
  for (run::Step& step : plan.steps) run::for_each_buffer(step.body, renumber);
  for (run::Port& port : plan.outputs) renumber(port.buffer);
  plan.buffers = std::move(kept);
}

// The plan of what was lowered, with its inputs and outputs named already.
Result<run::Plan> finished(Lowering& l, Fusion fusion) {
  if (fusion == Fusion::kOn) fuse_steps(l.plan, l.roots);
  drop_unused(l.plan, l.roots);
  TRY(place_buffers(l.plan, l.roots));
  compact_buffers(l.plan);
  const Result<void> checked = run::check_plan(l.plan);
  if (!checked.ok()) return unsupported("cpu", checked.error().message());
  return std::move(l.plan);
}

// A graph that hands on the one input of the device part.
Result<ir::Graph> identity_before(const ir::Graph& device) {
  if (device.inputs.size() != 1) {
    return unsupported("device part", "has several inputs and nothing in front that makes them");
  }
  const ir::Value& value = device.value(device.inputs[0]);
  ir::Graph graph;
  const ir::ValueId input = ir::add_input(graph, value.name, value.dtype, *value.shape);
  TRY_ASSIGN(const ir::NodeId node, ir::add_node(graph, value.name + " for the device",
                                                 ir::Unary{ir::UnaryKind::kIdentity}, {input}));
  graph.outputs = graph.node(node).outputs;
  return graph;
}

Result<run::Plan> compile_before(const ir::Graph& before, const ir::Graph& device,
                                 const ir::Graph& host, const CompileOptions& options) {
  Lowering l;
  Borders borders;
  if (before.inputs.empty() && before.outputs.empty()) {
    TRY_ASSIGN(const ir::Graph identity, identity_before(device));
    TRY(lower_part(l, identity, run::Part::kHost, borders, options));
    const std::string& given = identity.value(identity.outputs[0]).name;
    borders.made[device.value(device.inputs[0]).name] = borders.made.at(given);
  } else {
    TRY(lower_part(l, before, run::Part::kHost, borders, options));
  }
  std::set<std::string> from_device, added;
  for (const ir::ValueId id : device.outputs) from_device.insert(device.value(id).name);
  const auto add = [&](const std::string& name) -> Result<void> {
    if (from_device.contains(name) || !added.insert(name).second) return ok();
    const auto found = borders.made.find(name);
    if (found == borders.made.end()) {
      return invalid_input(name, "is an input that no part in front of it makes");
    }
    l.plan.outputs.push_back({name, found->second, run::Role::kOther});
    return ok();
  };
  for (const ir::ValueId id : device.inputs) TRY(add(device.value(id).name));
  for (const ir::ValueId id : host.inputs) TRY(add(host.value(id).name));
  // What the part in front puts out and nobody reads is an output of the whole.
  for (const std::string& name : borders.order) {
    const bool identity = before.outputs.empty();
    if (!identity) TRY(add(name));
  }
  l.plan.model_name = device.name;
  return finished(l, options.fusion);
}

Result<void> need_float(const ir::Graph& device, const std::vector<ir::ValueId>& values) {
  for (const ir::ValueId id : values) {
    const ir::Value& value = device.value(id);
    if (value.dtype == DType::kFloat32 && value.shape) continue;
    return unsupported(value.name, "is " + std::string(to_string(value.dtype)) +
                                       "; only float32 crosses to and from a device");
  }
  return ok();
}

}  // namespace

Result<DeviceSides> compile_device_sides(const ir::Graph& before, const ir::Graph& device,
                                         const ir::Graph& host, const CompileOptions& options) {
  TRY(need_float(device, device.inputs));
  TRY(need_float(device, device.outputs));
  DeviceSides sides;
  TRY_ASSIGN(sides.before, compile_before(before, device, host, options));
  if (host.inputs.empty() && host.outputs.empty()) return sides;
  Lowering l;
  Borders borders;
  borders.several_inputs = true;
  CompileOptions plain = options;
  plain.normalization.reset();
  TRY(lower_part(l, host, run::Part::kHost, borders, plain));
  l.plan.model_name = device.name;
  add_outputs(l.plan, borders, plain);
  TRY_ASSIGN(sides.host, finished(l, options.fusion));
  return sides;
}

Result<run::Plan> compile_plan(const ir::Graph& before, const ir::Graph& device_int8,
                               const ir::Graph& host, const CompileOptions& options) {
  Lowering l;
  Borders borders;
  TRY(lower_part(l, before, run::Part::kHost, borders, options));
  TRY(lower_part(l, device_int8, run::Part::kDevice, borders, options));
  TRY(lower_part(l, host, run::Part::kHost, borders, options));
  if (l.plan.inputs.empty() || borders.order.empty()) {
    return invalid_input("graph", "has no input or no output; there is nothing to compile");
  }
  l.plan.model_name = device_int8.name;
  add_outputs(l.plan, borders, options);
  return finished(l, options.fusion);
}

Result<run::Plan> compile_preprocessing(const std::string& name, const Shape& shape,
                                        const data::Normalization& normalization) {
  ir::Graph graph;
  const ir::ValueId input = ir::add_input(graph, name, DType::kFloat32, shape);
  TRY_ASSIGN(const ir::NodeId node,
             ir::add_node(graph, "preprocessed", ir::Unary{ir::UnaryKind::kIdentity}, {input}));
  graph.outputs = graph.node(node).outputs;
  CompileOptions options;
  options.normalization = normalization;
  return compile_plan({}, graph, {}, options);
}

}  // namespace graupel::compile
