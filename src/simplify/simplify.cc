// The pipeline and its runner. See simplify.h.
//
// Idea: one table gives order, names and descriptions. A pass is not run again before something
// else has edited the graph. What a pass must keep is checked outside of it: ir::verify for the
// invariants, probes for the function. Test: simplify_test.cc, tests/simplify_corpus_test.cc.
#include "simplify/simplify.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "simplify/probe.h"

namespace graupel::simplify {
namespace {

constexpr Pass kPipeline[] = {
    {"infer_shapes", infer_shapes, "derive types and shapes, following shape arithmetic"},
    {"eliminate_dead", eliminate_dead, "drop nodes, constants and outputs that nobody needs"},
    {"fold_shapes", fold_shapes, "Shape and Size of known shapes become constants"},
    {"fold_constants", fold_constants, "compute what depends on constants only, within a budget"},
    {"remove_no_ops", remove_no_ops, "Identity, Dropout, x + 0, Reshape to the same shape, ..."},
    {"remove_repeats", remove_repeats, "Relu of Relu, Round of Round, Neg of Neg, ..."},
    {"fold_where", fold_where, "Where with a constant answer"},
    {"skip_expand", skip_expand, "Expand before an operator that broadcasts anyway"},
    {"merge_transposes", merge_transposes, "two Transposes in a row become one or none"},
    {"merge_reshapes", merge_reshapes,
     "two of Reshape, Flatten, Squeeze, Unsqueeze in a row become one Reshape or none"},
    {"merge_concats", merge_concats, "Concat of Concat along the same axis"},
    {"merge_slices", merge_slices, "Slice of Slice"},
    {"merge_pads", merge_pads, "Pad of Pad with the same value"},
    {"merge_clips", merge_clips, "Clip of Clip, Relu with Clip"},
    {"fuse_pad", fuse_pad, "Pad into the padding of Conv, AveragePool or MaxPool"},
    // Behind an operator first: there a BatchNormalization always fits, in front only sometimes.
    {"fuse_batch_norm", fuse_batch_norm,
     "BatchNormalization behind Conv, ConvTranspose, Gemm or MatMul into its weights"},
    {"fuse_arithmetic", fuse_arithmetic,
     "Mul, Add, Sub, Div by constants behind a linear operator into its weights"},
    {"fuse_batch_norm_before", fuse_batch_norm_before,
     "BatchNormalization in front of a linear operator into its weights"},
    {"fuse_arithmetic_before", fuse_arithmetic_before,
     "Mul, Add, Sub, Div by constants in front of a linear operator into its weights"},
    {"matmul_add_to_gemm", matmul_add_to_gemm, "MatMul and Add become Gemm"},
    {"transpose_into_gemm", transpose_into_gemm, "Transpose into the flags of Gemm"},
    {"normalize_gemm", normalize_gemm, "Gemm's alpha and beta into its weights"},
    {"reduce_to_global_pool", reduce_to_global_pool,
     "mean or maximum over the whole map becomes a global pool"},
    {"merge_duplicate_nodes", merge_duplicate_nodes, "the same operator on the same inputs, once"},
    {"merge_duplicate_constants", merge_duplicate_constants, "constants with equal bytes, once"},
};

constexpr int64_t kEachPassMultiplyAdds = 50'000'000;
constexpr int64_t kEndMultiplyAdds = 1'000'000'000;
constexpr int kSecondLookProbes = 8;

// Everything the runner keeps between passes.
struct Run {
  const SimplifyOptions& options;
  Simplified result;
  PassLog log;
  Verify verify = Verify::kOff;  // as decided; never kAuto
  ir::ShapeRule shape_rule = ir::ShapeRule::kStatic;
  bool jumps = false;
  Answers original;  // of the graph as it came
  Answers latest;    // after the latest probed pass
};

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Result<std::vector<Pass>> selected_passes(std::span<const Pass> pipeline,
                                          const SimplifyOptions& options) {
  for (const std::vector<std::string>* names : {&options.passes, &options.skip}) {
    for (const std::string& name : *names) {
      const bool known = std::any_of(pipeline.begin(), pipeline.end(),
                                     [&](const Pass& pass) { return pass.name == name; });
      if (!known) {
        return invalid_input("pass '" + name + "'", "does not exist; --list-passes names them all");
      }
    }
  }
  std::vector<Pass> selected;
  for (const Pass& pass : pipeline) {
    const bool wanted = options.passes.empty() || contains(options.passes, pass.name);
    if (wanted && !contains(options.skip, pass.name)) selected.push_back(pass);
  }
  return selected;
}

const ir::Node* node_with_subgraph(const ir::Graph& graph) {
  for (const ir::Node& node : graph.nodes) {
    const auto* opaque = std::get_if<ir::Opaque>(&node.op);
    if (!node.dead && opaque != nullptr && opaque->has_subgraph) return &node;
  }
  return nullptr;
}

// Decides how to verify, and takes the original's answers if that needs them.
void prepare_verification(const ir::Graph& graph, Run& run) {
  const SimplifyOptions& options = run.options;
  const int64_t cost = ir::multiply_adds(graph);
  run.verify = options.verify;
  if (run.verify == Verify::kAuto) {
    run.verify = cost <= kEachPassMultiplyAdds ? Verify::kEachPass
                 : cost <= kEndMultiplyAdds    ? Verify::kEnd
                                               : Verify::kOff;
    if (run.verify == Verify::kOff) {
      run.result.verification = fmt::format("not probed: {:.1f} G multiply-adds, use --verify end",
                                            static_cast<double>(cost) / 1e9);
    }
  } else if (run.verify == Verify::kOff) {
    run.result.verification = "not probed: switched off";
  }
  if (options.probes <= 0 && run.verify != Verify::kOff) {
    run.verify = Verify::kOff;
    run.result.verification = "not probed: no probes asked for";
  }
  if (run.verify == Verify::kOff) return;
  Result<Answers> answers = answer_probes(graph, 1, options.probes);
  if (!answers.ok()) {
    run.verify = Verify::kOff;
    run.result.verification = "not probed: " + answers.error().message();
    return;
  }
  run.original = std::move(answers).value();
  run.latest = run.original;
  run.result.verification = fmt::format(
      "{}, {} probe{}", run.verify == Verify::kEachPass ? "after every pass" : "at the end",
      options.probes, options.probes == 1 ? "" : "s");
}

// Near a jump one rounding can flip an answer by chance. Fresh probes tell chance from mistake.
Result<bool> differs_by_chance(const ir::Graph& before, const ir::Graph& after, double tolerance) {
  int disagreements = 0;
  for (int i = 0; i < kSecondLookProbes; ++i) {
    const uint64_t seed = 1000 + static_cast<uint64_t>(i);
    TRY_ASSIGN(const Answers expected, answer_probes(before, seed, 1));
    TRY_ASSIGN(const Answers actual, answer_probes(after, seed, 1));
    if (compare(expected, actual, tolerance).beyond_tolerance) ++disagreements;
  }
  return disagreements <= 1;
}

// Compares `expected` with what the graph answers now. `before` is the graph that answered
// `expected`, kept only if it has jumps. `who` is the pass or the pipeline in an error.
Result<double> check_answers(Run& run, const ir::Graph& graph, const Answers& expected,
                             const std::optional<ir::Graph>& before, const std::string& who) {
  Result<Answers> answers = answer_probes(graph, 1, run.options.probes);
  if (!answers.ok()) {
    return internal_error(who, "made a graph that cannot be evaluated: " +
                                   answers.error().message() + "; skip the pass and report this");
  }
  run.latest = std::move(answers).value();
  const Difference difference = compare(expected, run.latest, run.options.tolerance);
  if (!difference.beyond_tolerance) return difference.max_abs;
  if (before) {
    TRY_ASSIGN(const bool by_chance, differs_by_chance(*before, graph, run.options.tolerance));
    if (by_chance) return difference.max_abs;
  }
  return internal_error(
      who, fmt::format("changes output '{}' by {:.3g} where at most {:.3g} of its range is "
                       "allowed; skip the pass, raise the tolerance, or find the edit with "
                       "--stop-after",
                       graph.value(graph.outputs[difference.output]).name, difference.max_abs,
                       run.options.tolerance));
}

size_t live_count(const ir::Graph& graph) {
  return static_cast<size_t>(std::count_if(graph.nodes.begin(), graph.nodes.end(),
                                           [](const ir::Node& node) { return !node.dead; }));
}

// One pass, then the checks. Returns its edits.
Result<int64_t> run_pass(Run& run, const Pass& pass, int round) {
  PassTrace trace;
  trace.pass = pass.name;
  trace.round = round;
  ir::Graph& graph = run.result.graph;
  trace.nodes_before = live_count(graph);
  std::optional<ir::Graph> before;
  if (run.verify == Verify::kEachPass && run.jumps) before = graph;
  const int64_t edits_before = run.log.edits;
  const auto start = std::chrono::steady_clock::now();
  Result<ir::Graph> edited = pass.run(std::move(graph), run.log);
  const std::chrono::duration<double, std::micro> duration =
      std::chrono::steady_clock::now() - start;
  if (!edited.ok()) return std::move(edited).error().within(pass.name);
  graph = std::move(edited).value();
  trace.duration_us = duration.count();
  trace.edits = run.log.edits - edits_before;
  trace.nodes_after = live_count(graph);
  trace.notes = std::exchange(run.log.notes, {});
  if (trace.edits > 0) {
    Result<void> sound = ir::verify(graph, run.shape_rule);
    if (!sound.ok()) {
      return internal_error("pass " + std::string(pass.name),
                            "broke the graph: " + sound.error().message());
    }
    if (run.verify == Verify::kEachPass) {
      const Answers expected = std::move(run.latest);
      TRY_ASSIGN(trace.max_abs_difference,
                 check_answers(run, graph, expected, before, "pass " + std::string(pass.name)));
    }
  }
  run.result.trace.push_back(std::move(trace));
  return run.result.trace.back().edits;
}

Result<void> run_to_fixed_point(Run& run, const std::vector<Pass>& passes) {
  // The graph's version after each pass's latest run: a pass that has seen this version rests.
  std::vector<int64_t> seen(passes.size(), -1);
  for (int round = 1; round <= run.options.max_rounds; ++round) {
    run.result.rounds = round;
    std::string_view still_editing;
    for (size_t i = 0; i < passes.size(); ++i) {
      if (!run.log.may_edit()) return ok();
      if (seen[i] == run.log.edits) continue;
      TRY_ASSIGN(const int64_t edits, run_pass(run, passes[i], round));
      if (edits > 0) still_editing = passes[i].name;
      // A pass that edited looks again: its own edits may have made room for more.
      seen[i] = edits > 0 ? -1 : run.log.edits;
    }
    if (still_editing.empty()) return ok();
    if (round == run.options.max_rounds) {
      return invalid_input("simplify",
                           fmt::format("no fixed point after {} rounds: pass {} still edits; raise "
                                       "--max-rounds or use --skip {}",
                                       round, still_editing, still_editing));
    }
  }
  return ok();
}

}  // namespace

std::span<const Pass> pass_list() { return kPipeline; }

Result<Simplified> run_passes(ir::Graph graph, std::span<const Pass> pipeline,
                              const SimplifyOptions& options) {
  TRY_ASSIGN(const std::vector<Pass> passes, selected_passes(pipeline, options));
  Run run{options, {}, {}, Verify::kOff, ir::ShapeRule::kStatic, false, {}, {}};
  if (const ir::Node* node = node_with_subgraph(graph); node != nullptr) {
    run.result.verification = "not simplified: node " + node->name + " (" +
                              std::string(ir::op_type(node->op)) +
                              ") holds a subgraph, which may read any value by name";
    run.result.graph = std::move(graph);
    return std::move(run.result);
  }
  if (options.stop_after) run.log.edit_limit = std::max<int64_t>(0, *options.stop_after);
  run.log.growth_left_bytes = options.folded_bytes_budget;
  int64_t constant_bytes = 0;
  for (const ir::Value& value : graph.values) {
    if (value.constant) constant_bytes += static_cast<int64_t>(value.constant->size_bytes());
    if (!value.shape) run.shape_rule = ir::ShapeRule::kMayBeUnknown;
  }
  // Repeated values may at most double the file (small files: add 256 KiB).
  run.log.repetition_left_bytes = std::max(run.log.repetition_left_bytes, constant_bytes);
  prepare_verification(graph, run);
  run.jumps = run.verify != Verify::kOff && has_jumps(graph);
  std::optional<ir::Graph> original;
  if (run.verify == Verify::kEnd && run.jumps) original = graph;
  run.result.graph = std::move(graph);
  TRY(run_to_fixed_point(run, passes));
  if (run.verify == Verify::kEnd) {
    TRY_ASSIGN(run.result.max_abs_difference,
               check_answers(run, run.result.graph, run.original, original, "simplify"));
  } else if (run.verify == Verify::kEachPass) {
    // Each pass has kept to the tolerance; here the sum of their roundings is measured.
    run.result.max_abs_difference =
        compare(run.original, run.latest, run.options.tolerance).max_abs;
  }
  run.result.edits = run.log.edits;
  return std::move(run.result);
}

Result<Simplified> simplify(ir::Graph graph, const SimplifyOptions& options) {
  return run_passes(std::move(graph), kPipeline, options);
}

}  // namespace graupel::simplify
