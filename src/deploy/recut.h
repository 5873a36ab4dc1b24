// A bundle cut anew, earlier: where the vendor's compiler recommends it. Test: recut_test.cc.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/bundle.h"
#include "ir/graph.h"

namespace graupel::deploy {

// `back` behind `front`: its inputs are values of `front` of the same names. Outputs are those of
// `back`, or of `front` if `back` has no nodes. Error kUnsupported if `back` reads anything else.
Result<ir::Graph> join(const ir::Graph& front, const ir::Graph& back);

// Device and host part of the bundle for other end nodes, nodes of its device part; what no longer
// belongs is dropped (INT8 graph, plan, decisions, HEF, their reports), so that the bundle is a
// parsed one; windows' normalisation stays. The new parts are proved equal to the old ones.
// Errors: those of cut::cut and of join.
Result<void> recut(bundle::Bundle& bundle, const std::vector<std::string>& end_nodes);

// recut, then optimized anew on the raw windows of `windows_path` with the level, scheme and
// calibrator the bundle records (its other settings are defaults), and compiled if it was.
Result<void> recut_and_optimize(bundle::Bundle& bundle, const std::vector<std::string>& end_nodes,
                                const std::string& windows_path);

}  // namespace graupel::deploy
