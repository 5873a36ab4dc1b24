// Any bytes as the text form of a graph, evaluated on probe inputs within a small memory limit, in
// both modes of quantisation: an error or an answer, never a crash, and the same answer twice.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ir/eval.h"

using namespace graupel;

namespace {

constexpr int64_t kMaxMultiplyAdds = 1'000'000;
constexpr int64_t kMaxInputElements = 1 << 14;
constexpr size_t kMaxNodes = 64;

bool is_small(const ir::Graph& graph) {
  if (graph.nodes.size() > kMaxNodes || ir::multiply_adds(graph) > kMaxMultiplyAdds) return false;
  for (const ir::ValueId id : graph.inputs) {
    const std::optional<Shape>& shape = graph.value(id).shape;
    if (!shape || !element_count(*shape, kMaxInputElements)) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 8192) return 0;
  const Result<ir::Graph> graph =
      ir::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!graph.ok() || !ir::verify(*graph, ir::ShapeRule::kMayBeUnknown).ok()) return 0;
  if (!is_small(*graph)) return 0;
  const std::vector<Tensor> inputs = ir::probe_inputs(*graph, 1);
  for (const ir::QdqMode mode : {ir::QdqMode::kFloat, ir::QdqMode::kInteger}) {
    ir::EvalOptions options;
    options.qdq = mode;
    options.memory_limit_bytes = uint64_t{1} << 18;
    const Result<std::vector<Tensor>> once = ir::evaluate(*graph, inputs, options);
    const Result<std::vector<Tensor>> again = ir::evaluate(*graph, inputs, options);
    if (once.ok() != again.ok()) std::abort();
    if (once.ok() && !(*once == *again)) std::abort();
    if (!once.ok() && once.error().code == ErrorCode::kInternal) std::abort();
  }
  return 0;
}
