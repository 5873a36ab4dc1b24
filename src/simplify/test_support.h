// For tests of passes: a row is a graph before and after, in the text form of ir::parse.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "simplify/probe.h"
#include "simplify/simplify.h"

namespace graupel::simplify {

inline ir::Graph parsed(const std::string& body) {
  Result<ir::Graph> graph = ir::parse("graph g opset 17 ir 8 {\n" + body + "\n}\n");
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : graph.error().message()) << "\n" << body;
  return graph.ok() ? std::move(graph).value() : ir::Graph();
}

using PassFunction = Result<ir::Graph> (*)(ir::Graph graph, PassLog& log);

struct Row {
  std::string name;
  std::string before;
  std::string after;  // empty: the pass must decline
};

inline void expect_same_answers(const ir::Graph& before, const ir::Graph& after) {
  const Result<Answers> expected = answer_probes(before, 7, 3);
  const Result<Answers> actual = answer_probes(after, 7, 3);
  ASSERT_TRUE(expected.ok()) << expected.error().message();
  ASSERT_TRUE(actual.ok()) << actual.error().message();
  const Difference difference = compare(*expected, *actual, 1e-6);
  EXPECT_FALSE(difference.beyond_tolerance) << difference.max_abs;
}

inline void expect_row(PassFunction pass, const Row& row) {
  SCOPED_TRACE(row.name);
  const ir::Graph before = parsed(row.before);
  PassLog log;
  Result<ir::Graph> result = pass(before, log);
  ASSERT_TRUE(result.ok()) << result.error().message();
  const ir::Graph wanted = parsed(row.after.empty() ? row.before : row.after);
  EXPECT_EQ(ir::print(*result), ir::print(wanted));
  EXPECT_EQ(log.edits > 0, !row.after.empty());
  const Result<void> sound = ir::verify(*result, ir::ShapeRule::kMayBeUnknown);
  EXPECT_TRUE(sound.ok()) << sound.error().message();
  expect_same_answers(before, *result);
}

inline void expect_rows(PassFunction pass, const std::vector<Row>& rows) {
  for (const Row& row : rows) expect_row(pass, row);
}

}  // namespace graupel::simplify
