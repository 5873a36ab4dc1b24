// Shared ground of the lowering rules; private to src/compile.
//
// Idea: values become buffers. Each node is first judged (decide.cc): skipped, folded to a
// constant, computed on bytes together with its neighbours, or computed literally; then the judged
// nodes are emitted in order as steps over buffers without offsets. Placement comes last
// (memory.cc).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "run/plan.h"

namespace graupel::compile {

using run::BufferId;

// Scale and zero point of a per-tensor QuantizeLinear or DequantizeLinear.
struct Quantization {
  float scale = 1.0f;
  int32_t zero_point = 0;
  DType dtype = DType::kUInt8;
  bool operator==(const Quantization&) const = default;
};

enum class Form {
  kSkip,      // nothing needs it
  kConstant,  // its outputs are known
  kLiteral,   // computed as it stands
  // A QuantizeLinear together with what lies in front of it:
  kGroup,        // Conv, Gemm, MatMul or an average pool, in integers
  kMoveBytes,    // movement of bytes
  kPoolBytes,    // max pool on bytes
  kBinaryBytes,  // Add, Sub, Mul of two quantised tensors
  kLookup,       // element-wise region on one quantised tensor
};

struct Decision {
  Form form = Form::kSkip;
  ir::NodeId head;                   // the operator in front of the QuantizeLinear
  ir::NodeId activation;             // Relu or Clip between them, if any
  std::vector<ir::ValueId> sources;  // values it reads: quantised ones for the byte forms
};

struct Lowering {
  run::Plan plan;
  std::vector<BufferId> roots;  // by buffer: the buffer whose memory it shares (itself)
  std::map<std::pair<int32_t, int>, BufferId> relaid;  // (buffer, layout) -> copy in that layout

  // Of the part in hand:
  const ir::Graph* graph = nullptr;
  run::Part part = run::Part::kDevice;
  ir::Uses uses;
  std::vector<BufferId> buffers;                 // by value
  std::vector<std::optional<Tensor>> constants;  // by value: given or folded
  std::vector<Decision> decisions;               // by node

  const ir::Node& node(ir::NodeId id) const { return graph->node(id); }
  const Tensor* constant(ir::ValueId id) const {
    return id.valid() && constants[id.index()] ? &*constants[id.index()] : nullptr;
  }
  const ir::Node* producer(ir::ValueId id) const {
    if (!id.valid() || !uses.producer[id.index()].valid()) return nullptr;
    return &graph->node(uses.producer[id.index()]);
  }
};

inline ir::ValueId input_of(const ir::Node& node, size_t index) {
  return index < node.inputs.size() ? node.inputs[index] : ir::ValueId();
}
inline bool is_byte(DType dtype) { return dtype == DType::kInt8 || dtype == DType::kUInt8; }
int64_t elements_of(const Shape& shape);

// "node (Op): reason"
Error cannot(const ir::Node& node, std::string reason);

// ---- buffers and steps (lowering.cc) ----

BufferId new_buffer(Lowering& l, const std::string& name, DType dtype, const Shape& shape,
                    run::Layout layout = run::Layout::kRowMajor);
// Another name and shape for the same bytes.
BufferId alias(Lowering& l, BufferId of, const std::string& name, const Shape& shape,
               run::Layout layout);
// A constant tensor as a buffer.
BufferId constant_buffer(Lowering& l, const std::string& name, const Tensor& tensor);
// The buffer of a value, whatever its layout; constants get theirs on first use.
Result<BufferId> operand(Lowering& l, ir::ValueId id);
// The same in the layout asked for; emits a movement if it lies otherwise.
BufferId in_layout(Lowering& l, BufferId id, run::Layout layout);
Result<BufferId> row_major_operand(Lowering& l, ir::ValueId id);
// A fresh row-major buffer for output `index` of a node, bound to its value.
BufferId output_buffer(Lowering& l, const ir::Node& node, size_t index = 0,
                       run::Layout layout = run::Layout::kRowMajor);
void emit(Lowering& l, const ir::Node& node, run::StepBody body, int64_t macs = 0);

// ---- judging (decide.cc) ----

std::optional<Quantization> quantization_of(const Lowering& l, const ir::Node& node);
// The quantisation of a value that comes out of a per-tensor DequantizeLinear of a value that is
// not constant.
std::optional<Quantization> dequantized_from(const Lowering& l, ir::ValueId id);
bool is_elementwise(const ir::Op& op);
bool is_movement(const ir::Op& op);
// The inputs of a movement operator that are moved; the others have to be constants.
size_t moved_inputs(const ir::Node& node);
// Fills constants and decisions for the part in hand.
Result<void> decide(Lowering& l);

// ---- emitting ----

Result<void> emit_group(Lowering& l, const ir::Node& quantize, const Decision& d);
Result<void> emit_max_pool_bytes(Lowering& l, const ir::Node& quantize, const Decision& d);
Result<void> emit_binary_bytes(Lowering& l, const ir::Node& quantize, const Decision& d);
Result<void> emit_lookup(Lowering& l, const ir::Node& quantize, const Decision& d);
Result<void> emit_movement(Lowering& l, const ir::Node& last, const ir::Node& head, size_t output);
Result<void> emit_literal(Lowering& l, const ir::Node& node);
// Families of emit_literal that live in files of their own.
Result<void> emit_normalization(Lowering& l, const ir::Node& node);
Result<void> emit_linear(Lowering& l, const ir::Node& node);
Result<void> emit_resize(Lowering& l, const ir::Node& node);

// One element-wise binary step with numpy broadcasting into a fresh buffer.
BufferId emit_binary(Lowering& l, const ir::Node& node, run::BinaryOp op, BufferId a, BufferId b,
                     const Shape& a_shape, const Shape& b_shape, BufferId y);
run::Strides broadcast_strides(const Shape& shape, const Shape& out);

// ---- windows (windows.cc) ----

// Error kUnsupported for other than 1 or 2 spatial dimensions, or negative pads.
Result<run::Window2d> window_of(const ir::Node& node, const ir::Window& window, const Shape& kernel,
                                const Shape& x, const Shape& y);
// The window of a Max, Average or Global pool.
Result<run::Window2d> pool_window(const Lowering& l, const ir::Node& node, const Shape& x);
Result<std::vector<float>> pool_counts(const ir::Node& node, const run::Window2d& window,
                                       const Shape& x);

// ---- whole plans (fuse.cc, memory.cc) ----

// Normalize into the Quantize behind it; max pool into the convolution in front of it.
void fuse_steps(run::Plan& plan, const std::vector<BufferId>& roots);
// Offsets for every arena buffer, arena size and its lower bound.
Result<void> place_buffers(run::Plan& plan, const std::vector<BufferId>& roots);

}  // namespace graupel::compile
