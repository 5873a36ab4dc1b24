// Buffers, layouts and steps while a plan is being built. See lowering.h. Test: compile_test.cc.
#include "compile/lowering.h"

namespace graupel::compile {

using run::Layout;

int64_t elements_of(const Shape& shape) { return element_count(shape).value_or(0); }

Error cannot(const ir::Node& node, std::string reason) {
  return unsupported(node.name + " (" + std::string(ir::op_type(node.op)) + ")", std::move(reason));
}

BufferId new_buffer(Lowering& l, const std::string& name, DType dtype, const Shape& shape,
                    Layout layout) {
  run::Buffer buffer;
  buffer.name = name;
  buffer.dtype = dtype;
  buffer.shape = shape;
  buffer.layout = layout;
  l.plan.buffers.push_back(std::move(buffer));
  const BufferId id(l.plan.buffers.size() - 1);
  l.roots.push_back(id);
  return id;
}

BufferId alias(Lowering& l, BufferId of, const std::string& name, const Shape& shape,
               Layout layout) {
  const run::Buffer original = l.plan.buffers[of.index()];
  const BufferId root = l.roots[of.index()];
  const BufferId id = new_buffer(l, name, original.dtype, shape, layout);
  l.plan.buffers[id.index()].place = original.place;
  l.plan.buffers[id.index()].offset = original.offset;
  l.roots[id.index()] = root;
  return id;
}

BufferId constant_buffer(Lowering& l, const std::string& name, const Tensor& tensor) {
  const BufferId id = run::add_constant(l.plan, name, tensor);
  l.roots.push_back(id);
  return id;
}

Result<BufferId> operand(Lowering& l, ir::ValueId id) {
  if (!id.valid()) return internal_error("compile", "asks for an omitted input");
  BufferId& buffer = l.buffers[id.index()];
  if (!buffer.valid()) {
    const Tensor* constant = l.constant(id);
    const std::string& name = l.graph->value(id).name;
    if (constant == nullptr) return internal_error(name, "is read before it is computed");
    if (constant->size() == 0) return unsupported(name, "is an empty tensor");
    l.buffers[id.index()] = constant_buffer(l, name, *constant);
  }
  return l.buffers[id.index()];
}

BufferId in_layout(Lowering& l, BufferId id, Layout layout) {
  const run::Buffer buffer = l.plan.buffers[id.index()];
  if (buffer.layout == layout) return id;
  const int64_t channels = buffer.shape[1], inner = elements_of(buffer.shape) / channels;
  if (channels == 1 || inner == 1) return alias(l, id, buffer.name, buffer.shape, layout);
  const auto [found, is_new] = l.relaid.try_emplace({id.value, static_cast<int>(layout)});
  if (!is_new) return found->second;
  Tensor table(DType::kInt32, {channels * inner});
  const std::span<int32_t> index = table.mutable_data<int32_t>();
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < inner; ++i) {
      const auto planar = static_cast<size_t>(c * inner + i);
      const auto last = static_cast<size_t>(i * channels + c);
      (layout == Layout::kRowMajor ? index[planar] : index[last]) =
          static_cast<int32_t>(layout == Layout::kRowMajor ? last : planar);
    }
  }
  const BufferId y = new_buffer(l, buffer.name, buffer.dtype, buffer.shape, layout);
  const BufferId table_id = constant_buffer(l, buffer.name + " layout", table);
  l.plan.steps.push_back({buffer.name, l.part, 0, 2 * run::buffer_bytes(buffer),
                          run::Move{id, y, table_id, run::MoveTable::kIndices, 0, {}}});
  found->second = y;
  return y;
}

Result<BufferId> row_major_operand(Lowering& l, ir::ValueId id) {
  TRY_ASSIGN(const BufferId buffer, operand(l, id));
  return in_layout(l, buffer, Layout::kRowMajor);
}

BufferId output_buffer(Lowering& l, const ir::Node& node, size_t index, Layout layout) {
  const ir::ValueId id = node.outputs[index];
  const ir::Value& value = l.graph->value(id);
  return l.buffers[id.index()] = new_buffer(l, value.name, value.dtype, *value.shape, layout);
}

void emit(Lowering& l, const ir::Node& node, run::StepBody body, int64_t macs) {
  run::Step step{node.name, l.part, macs, 0, std::move(body)};
  const run::StepBuffers used = run::step_buffers(step.body);
  for (const BufferId id : used.reads) {
    step.bytes += run::buffer_bytes(l.plan.buffers[id.index()]);
  }
  step.bytes += run::buffer_bytes(l.plan.buffers[used.write.index()]);
  l.plan.steps.push_back(std::move(step));
}

run::Strides broadcast_strides(const Shape& shape, const Shape& out) {
  run::Strides strides(out.size(), 0);
  const std::vector<int64_t> own = row_major_strides(shape);
  const size_t lead = out.size() - shape.size();
  for (size_t d = 0; d < shape.size(); ++d) strides[lead + d] = shape[d] == 1 ? 0 : own[d];
  return strides;
}

BufferId emit_binary(Lowering& l, const ir::Node& node, run::BinaryOp op, BufferId a, BufferId b,
                     const Shape& a_shape, const Shape& b_shape, BufferId y) {
  run::Binary step;
  step.op = op;
  step.a = a;
  step.b = b;
  step.y = y;
  step.dims = l.plan.buffers[y.index()].shape;
  step.a_strides = broadcast_strides(a_shape, step.dims);
  step.b_strides = broadcast_strides(b_shape, step.dims);
  emit(l, node, std::move(step));
  return y;
}

}  // namespace graupel::compile
