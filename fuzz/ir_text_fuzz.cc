// Any bytes as the text form of a graph: what parses prints to text that parses to the same print,
// and neither verify nor infer_shapes crashes on it.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ir/graph.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace graupel::ir;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const graupel::Result<Graph> parsed = parse(text);
  if (!parsed.ok()) return 0;
  static_cast<void>(verify(*parsed));
  static_cast<void>(verify(*parsed, ShapeRule::kMayBeUnknown));
  static_cast<void>(infer_shapes(*parsed));
  static_cast<void>(multiply_adds(*parsed) + parameter_count(*parsed));
  const std::string printed = print(*parsed);
  const graupel::Result<Graph> again = parse(printed);
  if (!again.ok() || print(*again) != printed) std::abort();
  return 0;
}
