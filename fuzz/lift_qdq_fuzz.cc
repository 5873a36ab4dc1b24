// Any bytes as the text form of a network quantised elsewhere: lift_qdq refuses it, or gives a
// float network that holds, with the same inputs and outputs, that judge_given takes or refuses.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ir/graph.h"
#include "quantize/lift_qdq.h"

namespace {

using namespace graupel;

constexpr size_t kMostElements = 1 << 16;  // a short text can name large constants

bool is_small(const ir::Graph& graph) {
  size_t elements = 0;
  for (const ir::Value& value : graph.values) {
    if (!value.shape) return false;
    elements += value.constant ? value.constant->size() : 0;
  }
  return elements <= kMostElements;
}

bool same_names(const ir::Graph& a, const std::vector<ir::ValueId>& of_a, const ir::Graph& b,
                const std::vector<ir::ValueId>& of_b) {
  if (of_a.size() != of_b.size()) return false;
  for (size_t i = 0; i < of_a.size(); ++i) {
    if (a.value(of_a[i]).name != b.value(of_b[i]).name) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Result<ir::Graph> parsed = ir::parse(text);
  if (!parsed.ok()) return 0;
  const Result<ir::Graph> graph = ir::infer_shapes(*parsed);
  if (!graph.ok() || !ir::verify(*graph).ok() || !is_small(*graph)) return 0;
  const Result<quantize::Lifted> lifted = quantize::lift_qdq(*graph);
  if (!lifted.ok()) return 0;
  const ir::Graph& floats = lifted->graph;
  if (quantize::is_qdq(floats) || !ir::verify(floats).ok() ||
      !same_names(*graph, graph->inputs, floats, floats.inputs) ||
      !same_names(*graph, graph->outputs, floats, floats.outputs)) {
    std::abort();
  }
  static_cast<void>(quantize::judge_given(floats, lifted->given));
  return 0;
}
