// For tests of every room that reads graphs: a graph from its text form, or a failed test.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "ir/graph.h"

namespace graupel::ir {

// The graph, or an empty graph and a test failure naming the line. Output types may be left out of
// the text (see parse.cc).
inline Graph graph_of(std::string_view text) {
  Result<Graph> graph = parse(text);
  if (graph.ok()) return std::move(graph).value();
  ADD_FAILURE() << graph.error().message();
  return {};
}

}  // namespace graupel::ir
