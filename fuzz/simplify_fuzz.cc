// Bytes -> a graph (the text form if they parse, else a random network seeded by them) ->
// simplify. Whatever the graph, simplify gives an error or a graph that answers the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "simplify/random_graph.h"
#include "simplify/simplify.h"

using namespace graupel;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return 0;
  Result<ir::Graph> parsed = ir::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  const bool is_text = parsed.ok() && ir::verify(*parsed).ok();
  uint64_t seed = 0;
  for (size_t i = 0; i < size; ++i) seed = seed * 257 + data[i];
  ir::Graph graph = is_text ? std::move(parsed).value() : simplify::RandomGraph(seed).make();
  if (ir::multiply_adds(graph) > 1'000'000) return 0;
  const Result<simplify::Simplified> result = simplify::simplify(std::move(graph));
  // The runner compares answers itself: an internal error is a pass that broke something.
  if (!result.ok() && result.error().code == ErrorCode::kInternal) std::abort();
  if (!result.ok() && !is_text) std::abort();
  return 0;
}
