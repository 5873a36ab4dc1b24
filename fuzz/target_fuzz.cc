// Any bytes as a target: an error or a target that can judge a graph, never a crash.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "check/format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const graupel::Result<graupel::check::Target> target =
      graupel::check::parse_target(text, "fuzz.toml");
  if (!target.ok()) return 0;
  graupel::ir::Graph graph;
  const graupel::ir::ValueId x =
      graupel::ir::add_input(graph, "x", graupel::DType::kFloat32, {1, 9, 2, 100});
  const graupel::ir::ValueId y =
      graupel::ir::add_value(graph, {"y", graupel::DType::kFloat32, std::nullopt, std::nullopt});
  graph.nodes.push_back({"conv", graupel::ir::Conv{}, {x}, {y}, false});
  graph.outputs = {y};
  const graupel::check::CheckReport report = graupel::check::check(graph, *target);
  graupel::check::format_sarif(report, *target);
  return 0;
}
