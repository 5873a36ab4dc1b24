// The reference evaluator: slow, simple, exact about semantics. It is the oracle for every pass,
// for the cut, for INT8 and for the CPU plan, so it shares no code with them.
//
// Idea: one function per operator family over dense tensors, shapes taken from the tensors at
// hand (so data-dependent shapes work too). Float sums run in a fixed order, the same on every
// machine and for every thread count. Reference: ONNX operator semantics, opset 17.
// Test: eval_test.cc, and tests/conformance over the standard's own node tests.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "ir/graph.h"

namespace graupel::ir {

// How DequantizeLinear -> op -> QuantizeLinear is computed.
enum class QdqMode {
  // Literally: dequantise to float, compute in float, quantise.
  kFloat,
  // As integer hardware does: Conv, Gemm and MatMul between DequantizeLinear and QuantizeLinear
  // accumulate exactly in integers, and requantise with one float32 multiplication per output
  // (see docs/formats/int8.md). Everything else as in kFloat.
  kInteger,
};

struct EvalOptions {
  QdqMode qdq = QdqMode::kFloat;
  // Upper bound for the bytes of all tensors and scratch arrays alive at once (per window, and for
  // all results of evaluate_windows together); above it the error is kInvalidInput.
  uint64_t memory_limit_bytes = uint64_t{4} << 30;
  // Called for every value a node makes, in order (graph inputs and constants are not reported;
  // in kInteger mode the floats inside an integer group do not exist). `window` is 0 for
  // evaluate(); evaluate_windows() calls it from several threads at once, each with its own window.
  std::function<void(size_t window, ValueId, const Tensor&)> observe;
};

// One operator. inputs[i] is nullptr for an omitted optional input. Errors: kInvalidInput for
// inputs the operator refuses, kUnsupported for an Opaque operator or a dtype without semantics.
Result<std::vector<Tensor>> evaluate_op(const Op& op, std::span<const Tensor* const> inputs,
                                        size_t output_count,
                                        uint64_t memory_limit_bytes = uint64_t{4} << 30);

// The whole graph: inputs in the order of graph.inputs, outputs in the order of graph.outputs.
// Errors name the node.
Result<std::vector<Tensor>> evaluate(const Graph& graph, std::span<const Tensor> inputs,
                                     const EvalOptions& options = {});

// A graph made ready: what evaluate() works out before the first tensor, and the parts that depend
// on constants alone. Worth it where a graph is evaluated often. Values that anybody may copy and
// use from any thread; the graph has to outlive them.
namespace evaluator {
struct Plan;
}
struct Prepared {
  std::shared_ptr<const evaluator::Plan> plan;
};
// Errors: ids that do not exist.
Result<Prepared> prepare(const Graph& graph, QdqMode qdq = QdqMode::kFloat);
// As evaluate() of that graph; options.qdq is what prepare() was given.
Result<std::vector<Tensor>> evaluate(const Prepared& prepared, std::span<const Tensor> inputs,
                                     const EvalOptions& options = {});

// Many windows through a graph with one input of batch 1, on all cores: windows is [N, ...] where
// the graph takes [1, ...], N >= 1. Returns per graph output a tensor [N, ...]. The result does not
// depend on the number of threads; of several errors, that of the lowest window is returned.
Result<std::vector<Tensor>> evaluate_windows(const Graph& graph, const Tensor& windows,
                                             const EvalOptions& options = {});

// The Conv, Gemm, MatMul and average pool nodes that kInteger computes in integers, in node order.
// A node that misses one of the conditions in docs/formats/int8.md is computed as in kFloat.
std::vector<NodeId> integer_group_heads(const Graph& graph);

// Deterministic random inputs that fit graph.inputs (normal floats, small integers).
std::vector<Tensor> probe_inputs(const Graph& graph, uint64_t seed);

}  // namespace graupel::ir
