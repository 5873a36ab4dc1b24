// Shapes and types of every value, as far as they can be known. The work is ir::infer_shapes; here
// it is a pass, so that shapes that only folding makes known spread further.
// Test: simplify_test.cc.
#include <algorithm>

#include "simplify/passes.h"

namespace graupel::simplify {
namespace {

int64_t unknown_shapes(const ir::Graph& graph) {
  return std::count_if(graph.values.begin(), graph.values.end(),
                       [](const ir::Value& value) { return !value.shape; });
}

}  // namespace

Result<ir::Graph> infer_shapes(ir::Graph graph, PassLog& log) {
  const int64_t before = unknown_shapes(graph);
  if (before == 0 || !log.may_edit()) return graph;
  TRY_ASSIGN(ir::Graph inferred, ir::infer_shapes(std::move(graph)));
  if (unknown_shapes(inferred) < before) ++log.edits;
  return inferred;
}

}  // namespace graupel::simplify
