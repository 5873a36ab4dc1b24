// Operators that only move elements, as index tables.
//
// Idea: the evaluator itself moves element numbers instead of elements: every source becomes a
// tensor of consecutive int64 numbers, the chain of operators is evaluated on those, and what
// comes out says where each output element comes from (-1: the pad value). Layouts are applied to
// the numbers on both sides. A table that changes nothing becomes another name for the same bytes;
// long stretches are stored as runs.
// Test: compile_test.cc.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "compile/lowering.h"
#include "ir/eval.h"

namespace graupel::compile {
namespace {

using run::Layout;

struct Source {
  ir::ValueId value;  // whose buffer is read
  BufferId buffer;
  int64_t first = 0;  // number of its first element
};

struct Trace {
  Lowering& l;
  std::optional<Quantization> quantization;  // set: stop at values dequantised from this
  std::vector<Source> sources;
  int64_t next = 0;
  std::optional<Tensor> fill;  // the one pad value of the chain
};

Tensor numbered(const Shape& shape, int64_t first) {
  Tensor tensor(DType::kInt64, shape);
  std::iota(tensor.mutable_data<int64_t>().begin(), tensor.mutable_data<int64_t>().end(), first);
  return tensor;
}

Result<Tensor> source_numbers(Trace& trace, ir::ValueId value) {
  for (const Source& source : trace.sources) {
    if (source.value == value) return numbered(trace.l.graph->shape(value), source.first);
  }
  TRY_ASSIGN(const BufferId buffer, operand(trace.l, value));
  trace.sources.push_back({value, buffer, trace.next});
  const Shape& shape = trace.l.graph->shape(value);
  const int64_t first = trace.next;
  trace.next += elements_of(shape);
  return numbered(shape, first);
}

Result<Tensor> numbers_of(Trace& trace, ir::ValueId value, bool is_inside);

Result<void> note_fill(Trace& trace, const ir::Node& node) {
  if (!std::holds_alternative<ir::Pad>(node.op)) return ok();
  const Tensor* given = trace.l.constant(input_of(node, 2));
  const DType dtype = trace.l.graph->value(node.inputs[0]).dtype;
  Tensor fill = given != nullptr ? *given : Tensor(dtype, {});
  if (fill.size() != 1 || fill.dtype() != dtype) return cannot(node, "has an odd pad value");
  fill = fill.reshaped({});
  if (trace.fill && !(*trace.fill == fill)) return cannot(node, "pads with a second value");
  trace.fill = std::move(fill);
  return ok();
}

Result<Tensor> node_numbers(Trace& trace, const ir::Node& node, size_t output) {
  std::vector<Tensor> tensors(node.inputs.size());
  std::vector<const Tensor*> inputs(node.inputs.size(), nullptr);
  const size_t moved = moved_inputs(node);
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (!node.inputs[i].valid()) continue;
    if (i < moved) {
      TRY_ASSIGN(tensors[i], numbers_of(trace, node.inputs[i], true));
      inputs[i] = &tensors[i];
    } else if (const Tensor* constant = trace.l.constant(node.inputs[i])) {
      inputs[i] = constant;
    } else {
      return cannot(node, "moves by indices that are not constant");
    }
  }
  TRY(note_fill(trace, node));
  const Tensor nowhere = Tensor::scalar<int64_t>(-1);
  if (std::holds_alternative<ir::Pad>(node.op)) {
    inputs.resize(std::max<size_t>(3, inputs.size()), nullptr);
    inputs[2] = &nowhere;
  }
  Result<std::vector<Tensor>> outputs = ir::evaluate_op(node.op, inputs, node.outputs.size());
  if (!outputs.ok()) return std::move(outputs).error().within(node.name);
  return std::move((*outputs)[output]);
}

Result<Tensor> numbers_of(Trace& trace, ir::ValueId value, bool is_inside) {
  if (trace.quantization) {
    const std::optional<Quantization> found = dequantized_from(trace.l, value);
    if (found && *found == *trace.quantization) {
      return source_numbers(trace, input_of(*trace.l.producer(value), 0));
    }
  } else if (is_inside) {
    return source_numbers(trace, value);
  }
  const ir::NodeId id = trace.l.uses.producer[value.index()];
  const ir::Node& node = trace.l.node(id);
  const auto at = std::find(node.outputs.begin(), node.outputs.end(), value);
  return node_numbers(trace, node, static_cast<size_t>(at - node.outputs.begin()));
}

// Where logical element i of a buffer lies in memory.
struct Placement {
  int64_t channels = 1, inner = 1;
  int64_t operator()(int64_t i) const { return i % inner * channels + i / inner; }
};
Placement placement_of(const run::Buffer& buffer) {
  if (buffer.layout == Layout::kRowMajor) return {1, elements_of(buffer.shape)};
  return {buffer.shape[1], elements_of(buffer.shape) / buffer.shape[1]};
}

// The table in memory order: entry i is -1, or source << 32 | element, for output element i.
std::vector<int64_t> physical_table(const Trace& trace, std::span<const int64_t> numbers,
                                    const run::Buffer& y) {
  std::vector<int64_t> table(numbers.size(), -1);
  const Placement to = placement_of(y);
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] < 0) continue;
    size_t s = trace.sources.size() - 1;
    while (trace.sources[s].first > numbers[i]) --s;
    const Placement from = placement_of(trace.l.plan.buffers[trace.sources[s].buffer.index()]);
    const int64_t element = from(numbers[i] - trace.sources[s].first);
    table[static_cast<size_t>(to(static_cast<int64_t>(i)))] =
        static_cast<int64_t>(s) << 32 | element;
  }
  return table;
}

bool is_identity(const std::vector<int64_t>& table) {
  for (size_t i = 0; i < table.size(); ++i) {
    if (table[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

// (to, from, length) of the stretches that come from source `s`; with `fills` also those of -1.
std::vector<int32_t> runs_of(const std::vector<int64_t>& table, size_t s, bool fills) {
  std::vector<int32_t> runs;
  for (size_t i = 0; i < table.size();) {
    const bool mine = table[i] < 0 ? fills : static_cast<size_t>(table[i] >> 32) == s;
    size_t end = i + 1;
    const int64_t step = table[i] < 0 ? 0 : 1;
    while (end < table.size() && table[end] == table[i] + step * static_cast<int64_t>(end - i)) {
      ++end;
    }
    if (mine) {
      const int64_t from = table[i] < 0 ? -1 : table[i] & 0xFFFFFFFF;
      runs.insert(runs.end(), {static_cast<int32_t>(i), static_cast<int32_t>(from),
                               static_cast<int32_t>(end - i)});
    }
    i = end;
  }
  return runs;
}

std::array<uint8_t, 8> fill_bytes(const Trace& trace) {
  std::array<uint8_t, 8> bytes{};
  if (trace.fill && trace.quantization) {
    const Quantization& q = *trace.quantization;
    const double low = q.dtype == DType::kInt8 ? -128.0 : 0.0;
    float v = trace.fill->dtype() == DType::kFloat32 ? trace.fill->data<float>()[0] / q.scale : 0;
    if (std::isnan(v)) v = 0.0f;
    const double value =
        std::clamp(std::nearbyint(static_cast<double>(v)) + q.zero_point, low, low + 255.0);
    bytes[0] = static_cast<uint8_t>(static_cast<int32_t>(value));
  } else if (trace.fill) {
    std::memcpy(bytes.data(), trace.fill->bytes(), trace.fill->size_bytes());
  }
  return bytes;
}

void emit_tables(Trace& trace, const ir::Node& node, const std::vector<int64_t>& table,
                 BufferId y) {
  Lowering& l = trace.l;
  for (size_t s = 0; s < trace.sources.size(); ++s) {
    run::Move step;
    step.x = trace.sources[s].buffer;
    step.y = y;
    step.fill = fill_bytes(trace);
    std::vector<int32_t> runs = runs_of(table, s, s == 0);
    const bool one = trace.sources.size() == 1;
    Tensor stored;
    if (one && runs.size() >= table.size()) {
      std::vector<int32_t> indices(table.size());
      for (size_t i = 0; i < table.size(); ++i) indices[i] = static_cast<int32_t>(table[i]);
      stored = Tensor::of<int32_t>({static_cast<int64_t>(indices.size())}, indices);
    } else {
      if (runs.empty()) continue;
      step.kind = run::MoveTable::kRuns;
      stored = Tensor::of<int32_t>({static_cast<int64_t>(runs.size() / 3), 3}, runs);
    }
    step.table = constant_buffer(l, node.name + " table", stored);
    emit(l, node, step);
  }
}

}  // namespace

// `last` is the QuantizeLinear behind a chain of bytes, or `head` itself for a literal movement of
// which output `output` is wanted.
Result<void> emit_movement(Lowering& l, const ir::Node& last, const ir::Node& head, size_t output) {
  const bool bytes = std::holds_alternative<ir::QuantizeLinear>(last.op) && &last != &head;
  Trace trace{l, {}, {}, 0, {}};
  const ir::ValueId y_id = last.outputs[output];
  Tensor numbers;
  if (bytes) {
    trace.quantization = quantization_of(l, last);
    TRY_ASSIGN(numbers, numbers_of(trace, input_of(last, 0), true));
  } else {
    TRY_ASSIGN(numbers, numbers_of(trace, y_id, false));
  }
  const ir::Value& value = l.graph->value(y_id);
  if (numbers.size() == 0 || trace.sources.empty()) return cannot(head, "moves nothing");
  // Images of bytes stay channels-last; so does what only renames the dimensions of one.
  run::Buffer y;
  y.shape = *value.shape;
  const run::Buffer& first = l.plan.buffers[trace.sources[0].buffer.index()];
  const bool image = is_byte(value.dtype) && y.shape.size() == 4 && y.shape[0] == 1;
  y.layout =
      image && first.layout == Layout::kChannelsLast ? Layout::kChannelsLast : Layout::kRowMajor;
  const std::vector<int64_t> table = physical_table(trace, numbers.data<int64_t>(), y);
  if (trace.sources.size() == 1 && is_identity(table) &&
      run::buffer_elements(first) == static_cast<int64_t>(table.size())) {
    l.buffers[y_id.index()] = alias(l, trace.sources[0].buffer, value.name, *value.shape, y.layout);
    return ok();
  }
  const BufferId id = new_buffer(l, value.name, value.dtype, *value.shape, y.layout);
  l.buffers[y_id.index()] = id;
  emit_tables(trace, head, table, id);
  return ok();
}

}  // namespace graupel::compile
