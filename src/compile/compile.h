// Compiling a network's parts to one plan for the CPU engine.
//
// Idea: the plan computes, bit for bit, what the reference evaluator computes for the INT8 graph in
// integer mode. Operators between DequantizeLinear and QuantizeLinear become integer steps, what
// only moves bytes becomes index tables, element-wise regions on one tensor become 256-entry
// tables filled by the evaluator itself; everything else is computed literally in float32.
// Reference: docs/formats/int8.md, run/plan.h. Test: compile_test.cc (against the evaluator).
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "data/statistics.h"
#include "ir/graph.h"
#include "run/plan.h"

namespace graupel::compile {

// Whether neighbouring steps are joined (fuse.cc); the answers are the same bytes.
enum class Fusion { kOn, kOff };

struct CompileOptions {
  // The engine is given raw windows and preprocesses them itself, as data::preprocess does;
  // nullopt: windows come as the model takes them.
  std::optional<data::Normalization> normalization;
  // The output that holds the logits; empty: the only float32 output that is not an FSQ output.
  std::string logits_output;
  Fusion fusion = Fusion::kOn;
};

// The three parts as a cut makes them, in the order they run; a part without inputs is skipped.
// `device_int8` is the QDQ graph (a float one compiles too, to float steps). Values cross from part
// to part by name. The plan's outputs: those of the host part, and what earlier parts put out and
// no later part reads. Graphs are static and verified, one window at a time.
// Errors: kUnsupported naming node, operator and reason; kInvalidInput if a part's input is made by
// no part before it, or the normalisation does not fit the input.
Result<run::Plan> compile_plan(const ir::Graph& before, const ir::Graph& device_int8,
                               const ir::Graph& host, const CompileOptions& options = {});

// What runs beside a device that takes the middle part: raw window -> `before` -> the tensors the
// device reads and those that go around it to the host part; the device's outputs and the latter ->
// `host`, whose inputs and outputs are the host part's (nullopt if nothing was cut off). The
// options are those compile_plan is given for the same parts; the same bytes leave both ways if the
// device gives what its plan gives. Errors as above; kUnsupported if the device reads or gives
// anything but float32.
struct DeviceSides {
  run::Plan before;
  std::optional<run::Plan> host;
};
Result<DeviceSides> compile_device_sides(const ir::Graph& before, const ir::Graph& device,
                                         const ir::Graph& host, const CompileOptions& options = {});

// A plan that hands out what compile_plan's first steps make of raw windows: input `name`, float32
// of `shape` ([1, C, ...]), its only output the preprocessed window. What validation holds against
// data::preprocess. Errors as above.
Result<run::Plan> compile_preprocessing(const std::string& name, const Shape& shape,
                                        const data::Normalization& normalization);

}  // namespace graupel::compile
