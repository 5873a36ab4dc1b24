// simplify: the same function in fewer, plainer operators.
//
// Idea: passes (passes.h) run in a fixed order, again and again, until none finds anything to do.
// After every pass that edited, the graph's invariants are verified; and random inputs go through
// the reference evaluator before and after, so that a pass that changes the function is an error
// that names the pass, not a wrong answer on the device. Test: simplify_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "simplify/passes.h"

namespace graupel::simplify {

enum class Verify {
  kAuto,      // each pass, at the end, or not at all, by the cost of the network
  kEachPass,  // evaluate the probes after every pass that edited
  kEnd,       // evaluate the probes before the first and after the last pass
  kOff,
};

struct SimplifyOptions {
  std::vector<std::string> passes;    // only these; empty means all
  std::vector<std::string> skip;      // not these
  std::optional<int64_t> stop_after;  // make this many edits and no more: to bisect a problem
  int max_rounds = 50;
  // How many bytes folded constants may add to the file.
  int64_t folded_bytes_budget = int64_t{16} << 20;
  Verify verify = Verify::kAuto;
  // Largest allowed difference of an output, relative to its largest magnitude (at least 1).
  double tolerance = 1e-5;
  int probes = 2;
};

struct PassTrace {
  std::string pass;
  int round = 0;
  int64_t edits = 0;
  double duration_us = 0;  // of the pass alone
  size_t nodes_before = 0;
  size_t nodes_after = 0;
  std::optional<double> max_abs_difference;  // of the outputs on the probes, if probed
  std::vector<std::string> notes;            // what was left alone, and why
};

struct Simplified {
  ir::Graph graph;
  std::vector<PassTrace> trace;  // every run of a pass, in order
  int rounds = 0;
  int64_t edits = 0;
  // "after every pass, 2 probes", "at the end, 2 probes", "not probed: <why>".
  std::string verification;
  std::optional<double> max_abs_difference;  // original against result, if probed
};

struct Pass {
  std::string_view name;
  Result<ir::Graph> (*run)(ir::Graph graph, PassLog& log);
  std::string_view description;
};

// The pipeline in its order.
std::span<const Pass> pass_list();

// Errors: kInvalidInput for an unknown pass name, for a graph that breaks an operator's rules, or
// when the passes find no fixed point; kInternal when a pass breaks the graph or changes what it
// computes. A graph with subgraphs (If, Loop, Scan), which may read any value by name, comes back
// unchanged, and `verification` says so.
Result<Simplified> simplify(ir::Graph graph, const SimplifyOptions& options = {});
// The same with another pipeline.
Result<Simplified> run_passes(ir::Graph graph, std::span<const Pass> pipeline,
                              const SimplifyOptions& options);

}  // namespace graupel::simplify
