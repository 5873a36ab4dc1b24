// One QDQ network by every way there is to compute it, for tests and the fuzzer: the reference
// evaluator; the plan with neighbouring steps joined and apart, through its bytes, on every
// instruction set; several windows at once.
#pragma once

#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "compile/compile.h"
#include "ir/eval.h"
#include "run/engine.h"

namespace graupel::compile {

inline Tensor random_window(const Shape& shape, uint64_t seed) {
  Rng rng(seed);
  Tensor tensor(DType::kFloat32, shape);
  for (float& value : tensor.mutable_data<float>()) value = static_cast<float>(2.0 * rng.normal());
  return tensor;
}

// What sensors that fail deliver, between values of every size.
inline Tensor hostile_window(const Shape& shape, uint64_t seed) {
  Rng rng(seed);
  Tensor tensor(DType::kFloat32, shape);
  const float odd[] = {
      std::numeric_limits<float>::quiet_NaN(),  std::numeric_limits<float>::infinity(),
      -std::numeric_limits<float>::infinity(),  std::numeric_limits<float>::max(),
      std::numeric_limits<float>::denorm_min(), -0.0f};
  for (float& value : tensor.mutable_data<float>()) {
    value = rng.below(8) == 0
                ? odd[rng.below(6)]
                : static_cast<float>((rng.uniform() - 0.5) *
                                     static_cast<double>(uint64_t{1} << rng.below(9)));
  }
  return tensor;
}

inline Result<std::vector<Tensor>> evaluated(const ir::Graph& graph,
                                             std::span<const Tensor> inputs) {
  ir::EvalOptions options;
  options.qdq = ir::QdqMode::kInteger;
  return ir::evaluate(graph, inputs, options);
}

// The plan's outputs by name.
inline Result<std::map<std::string, Tensor>> plan_answers(const run::Plan& plan,
                                                          const Tensor& window, kernels::Isa isa) {
  TRY_ASSIGN(run::Engine engine, run::load_engine(plan, {isa}));
  TRY(run::run(engine, window.data<float>()));
  std::map<std::string, Tensor> named;
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    named[plan.outputs[i].name] = run::output_tensor(engine, i);
  }
  return named;
}

// The windows stacked along the first dimension, and the answers of run_windows taken apart.
inline Result<std::string> batch_difference(
    const run::Plan& plan, const std::vector<Tensor>& windows,
    const std::vector<std::map<std::string, Tensor>>& each) {
  Shape shape = windows[0].shape();
  if (shape[0] != 1) shape.insert(shape.begin(), 1);
  shape[0] = static_cast<int64_t>(windows.size());
  Tensor stacked(DType::kFloat32, shape);
  std::byte* to = stacked.mutable_bytes();
  for (const Tensor& window : windows) {
    to = std::copy_n(window.bytes(), window.size_bytes(), to);
  }
  TRY_ASSIGN(const run::Engine engine, run::load_engine(plan, {}));
  TRY_ASSIGN(const std::vector<Tensor> all, run::run_windows(engine, stacked, 1));
  for (size_t o = 0; o < all.size(); ++o) {
    const std::string& name = plan.outputs[o].name;
    for (size_t i = 0; i < windows.size(); ++i) {
      const Tensor& expected = each[i].at(name);
      const std::byte* from = all[o].bytes() + i * expected.size_bytes();
      if (!std::equal(from, from + expected.size_bytes(), expected.bytes())) {
        return "output " + name + " of window " + std::to_string(i) + " in a batch";
      }
    }
  }
  return std::string();
}

// Where two ways disagree on these windows, or an empty text. Errors: what the compiler, the
// evaluator or the engine refuses.
inline Result<std::string> difference(const ir::Graph& graph, const std::vector<Tensor>& windows) {
  CompileOptions apart;
  apart.fusion = Fusion::kOff;
  TRY_ASSIGN(const run::Plan compiled, compile_plan({}, graph, {}));
  TRY_ASSIGN(const run::Plan joined, run::parse_plan(run::format_plan(compiled)));
  TRY_ASSIGN(const run::Plan unfused, compile_plan({}, graph, {}, apart));
  if (joined.outputs.size() != graph.outputs.size()) return std::string("the number of outputs");
  if (joined.arena_size_bytes < joined.arena_lower_bound_bytes) return std::string("the arena");
  std::vector<std::map<std::string, Tensor>> each;
  for (const Tensor& window : windows) {
    TRY_ASSIGN(const std::vector<Tensor> expected, evaluated(graph, {&window, 1}));
    std::map<std::string, Tensor>& named = each.emplace_back();
    for (size_t o = 0; o < expected.size(); ++o) {
      named[graph.value(graph.outputs[o]).name] = expected[o];
    }
    for (const kernels::Isa isa : kernels::supported_isas()) {
      for (const run::Plan* plan : {&joined, &unfused}) {
        if (plan == &unfused && unfused.steps.size() == joined.steps.size()) continue;
        TRY_ASSIGN(const auto found, plan_answers(*plan, window, isa));
        for (const auto& [name, tensor] : named) {
          if (found.at(name) == tensor) continue;
          return "output " + name + " on " + std::string(to_string(isa)) +
                 (plan == &joined ? "" : ", steps apart");
        }
      }
    }
  }
  return batch_difference(joined, windows, each);
}

}  // namespace graupel::compile
