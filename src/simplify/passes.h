// The simplifier's passes: each takes a graph by value, edits it, and returns a graph that computes
// the same function.
//
// Idea: a pass looks at one node at a time, checks everything it relies on first and edits last;
// where a condition does not hold it leaves the node alone. Arithmetic on weights runs in double
// and is rounded once. A constant that others read too is copied, never changed. Names of graph
// outputs never change; a fused operator keeps the name of the node that does the work.
// The pipeline's order and a line on each pass are in simplify.cc. Errors: only what
// ir::compact reports (a cyclic graph). Test: fuse_test.cc, rows_test.cc.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace graupel::simplify {

// What passes share while they run: how much they did and how much they still may do.
struct PassLog {
  int64_t edits = 0;
  int64_t edit_limit = std::numeric_limits<int64_t>::max();
  // Bytes by which folded constants may still enlarge the file, in all, and through operators whose
  // only effect is to repeat values (ConstantOfShape, Expand, Tile).
  int64_t growth_left_bytes = int64_t{16} << 20;
  int64_t repetition_left_bytes = int64_t{256} << 10;
  std::vector<std::string> notes;  // what was left alone, and why

  // False once the edit limit is reached; asked before each edit.
  bool may_edit() const { return edits < edit_limit; }
};

// infer_shapes.cc
Result<ir::Graph> infer_shapes(ir::Graph graph, PassLog& log);
// eliminate_dead.cc
Result<ir::Graph> eliminate_dead(ir::Graph graph, PassLog& log);
// fold_shapes.cc
Result<ir::Graph> fold_shapes(ir::Graph graph, PassLog& log);
// fold_constants.cc
Result<ir::Graph> fold_constants(ir::Graph graph, PassLog& log);
// remove_no_ops.cc
Result<ir::Graph> remove_no_ops(ir::Graph graph, PassLog& log);
// remove_repeats.cc
Result<ir::Graph> remove_repeats(ir::Graph graph, PassLog& log);
// fold_where.cc
Result<ir::Graph> fold_where(ir::Graph graph, PassLog& log);
Result<ir::Graph> skip_expand(ir::Graph graph, PassLog& log);
// merge_layout.cc
Result<ir::Graph> merge_transposes(ir::Graph graph, PassLog& log);
Result<ir::Graph> merge_reshapes(ir::Graph graph, PassLog& log);
// merge_chains.cc
Result<ir::Graph> merge_concats(ir::Graph graph, PassLog& log);
Result<ir::Graph> merge_slices(ir::Graph graph, PassLog& log);
Result<ir::Graph> merge_pads(ir::Graph graph, PassLog& log);
Result<ir::Graph> merge_clips(ir::Graph graph, PassLog& log);
// fuse_pad.cc
Result<ir::Graph> fuse_pad(ir::Graph graph, PassLog& log);
// fuse_batch_norm.cc
Result<ir::Graph> fuse_batch_norm(ir::Graph graph, PassLog& log);
Result<ir::Graph> fuse_batch_norm_before(ir::Graph graph, PassLog& log);
// fuse_arithmetic.cc
Result<ir::Graph> fuse_arithmetic(ir::Graph graph, PassLog& log);
Result<ir::Graph> fuse_arithmetic_before(ir::Graph graph, PassLog& log);
// fuse_gemm.cc
Result<ir::Graph> matmul_add_to_gemm(ir::Graph graph, PassLog& log);
Result<ir::Graph> transpose_into_gemm(ir::Graph graph, PassLog& log);
Result<ir::Graph> normalize_gemm(ir::Graph graph, PassLog& log);
// reduce_to_global_pool.cc
Result<ir::Graph> reduce_to_global_pool(ir::Graph graph, PassLog& log);
// merge_duplicates.cc
Result<ir::Graph> merge_duplicate_nodes(ir::Graph graph, PassLog& log);
Result<ir::Graph> merge_duplicate_constants(ir::Graph graph, PassLog& log);

}  // namespace graupel::simplify
