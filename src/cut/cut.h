// Cutting a network in two: what the NPU computes and what stays on the host.
//
// Idea: the device part is a downward-closed set of supported nodes. Everything else is kept as
// the host part and executed by graupel, so nothing behind the cut is rewritten by hand. The two
// halves recombined answer exactly as the whole does (prove_recombination).
// Test: cut_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cut/fsq.h"
#include "ir/graph.h"

namespace graupel::cut {

struct CutOptions {
  // ONNX node names, as the vendor's --end-node-names / --start-node-names take them; a tensor
  // name is translated to the node that makes (end) or reads (start) it. Empty: automatic end,
  // device starts at the graph inputs.
  std::vector<std::string> end_nodes;
  std::vector<std::string> start_nodes;
};

enum class Part { kBefore, kDevice, kHost };

struct Crossing {
  std::string value;     // tensor that crosses from device to host
  std::string end_node;  // node that makes it
  Shape shape;
  int64_t size_bytes = 0;  // as INT8, one byte per element
};

struct Cut {
  ir::Graph before;  // host work in front of the device; no nodes unless start nodes were given
  ir::Graph device;
  ir::Graph host;           // no nodes when the device computes everything
  std::vector<Part> parts;  // indexed by node of the graph that was cut
  std::vector<Crossing> crossings;
  std::optional<Fsq> fsq;          // recognised in the host part (or in front of it)
  std::vector<std::string> notes;  // what a person should know: translated names, Concat avoided
};

// `supported[node]` says whether the device takes that node (check::supported). `graph` is
// simplified, static and verified.
// Automatic: the largest device part reachable from the inputs; of the cuts that keep every
// multiply-add of it on the device the one where the fewest bytes cross, not behind a Concat if
// that costs nothing.
// Errors: kInvalidInput for an unknown node (with near names) or if a named end node depends on an
// unsupported node (named, with the reason); kUnsupported if the device could take nothing.
Result<Cut> cut(const ir::Graph& graph, const std::vector<bool>& supported,
                const CutOptions& options);

// Runs whole and halves on `probes` random inputs; error kInternal naming the first output whose
// bytes differ.
Result<void> prove_recombination(const ir::Graph& whole, const Cut& cut, int probes = 2);

// The cut as text: one line per node with its part and shape, the cut drawn between them.
std::string draw_text(const ir::Graph& graph, const Cut& cut);
// The cut as a self-contained SVG.
std::string draw_svg(const ir::Graph& graph, const Cut& cut);

}  // namespace graupel::cut
