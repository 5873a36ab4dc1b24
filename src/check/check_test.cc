// The checker on small graphs: verdicts, findings, formats.
#include "check/check.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"
#include "check/format.h"
#include "check/test_models.h"

namespace graupel::check {
namespace {

using Json = nlohmann::json;

ir::NodeId node_with(const ir::Graph& graph, std::string_view op) {
  for (const ir::NodeId id : ir::live_nodes(graph)) {
    if (op_name(graph.node(id).op) == op) return id;
  }
  ADD_FAILURE() << "no " << op;
  return ir::NodeId(0);
}

Model fsq() {
  Model m;
  fsq_network(m);
  m.options.file = "fsq.onnx";
  return m;
}

TEST(Check, RoundIsAnErrorWhoseFixNamesTheNodeToCutAt) {
  const Model m = fsq();
  const CheckReport report = check(m.graph, target_named("hailo8"), m.options);
  const std::vector<Finding> found = findings_of(report, "round");
  ASSERT_EQ(found.size(), 1u);
  const ir::NodeId feeding = node_with(m.graph, "Mul");
  EXPECT_THAT(found[0].fix, testing::HasSubstr("--end-nodes " + m.graph.node(feeding).name));
  EXPECT_FALSE(report.passed());
  EXPECT_EQ(report.verdicts.size(), ir::live_nodes(m.graph).size());
}

TEST(Check, NodesOnTheHostAreNotJudged) {
  Model m = fsq();
  const ir::NodeId round = node_with(m.graph, "Round");
  for (const ir::NodeId id : ir::live_nodes(m.graph)) {
    if (id >= round) m.options.host_nodes.push_back(id);
  }
  const CheckReport report = check(m.graph, target_named("hailo8"), m.options);
  EXPECT_TRUE(report.passed()) << format_text(report);
  EXPECT_EQ(report.counts.host_nodes, 3u);
  EXPECT_THAT(format_text(report), testing::HasSubstr("runs on the host: Round_"));
}

TEST(Check, SupportedAgreesWithReasonsAndVerdicts) {
  const Model m = fsq();
  const Target target = target_named("hailo8");
  const CheckReport report = check(m.graph, target);
  const std::vector<std::vector<Finding>> reasons = unsupported_reasons(m.graph, target);
  for (const NodeVerdict& verdict : report.verdicts) {
    const bool fine = verdict.verdict != Verdict::kUnsupported;
    EXPECT_EQ(supported(m.graph, verdict.node, target), fine) << verdict.name;
    EXPECT_EQ(reasons[verdict.node.index()].empty(), fine) << verdict.name;
  }
  EXPECT_FALSE(supported(m.graph, node_with(m.graph, "Round"), target));
  EXPECT_TRUE(supported(m.graph, node_with(m.graph, "Conv"), target));
}

TEST(Check, OpaqueOperatorsAreUnknownEvenWithAnAllowedName) {
  Model m;
  m.output(m.opaque("Conv", {m.input()}));
  EXPECT_EQ(findings_of(check(m.graph, target_named("cpu")), "unknown-op").size(), 1u);
}

TEST(Check, UnknownShapesAreToldWhereTheyArise) {
  Model m;
  const ir::ValueId x = m.add(ir::Reshape{}, {m.input(), m.input({4}, DType::kInt64)});
  m.output(m.relu(m.add(ir::Concat{1}, {x, x})));
  const CheckReport report = check(m.graph, target_named("hailo8"));
  EXPECT_FALSE(findings_of(report, "dynamic-shape").empty());
  EXPECT_TRUE(findings_of(report, "concat-rank").empty()) << "not certain";
}

TEST(Check, AnEmptyGraphIsJudged) {
  const CheckReport report = check(ir::Graph{}, target_named("hailo8"));
  EXPECT_TRUE(report.passed());
  EXPECT_TRUE(report.verdicts.empty());
}

TEST(Check, EveryFormatIsDeterministic) {
  const Model a = fsq(), b = fsq();
  const Target target = target_named("hailo8");
  const CheckReport left = check(a.graph, target, a.options);
  const CheckReport right = check(b.graph, target, b.options);
  EXPECT_EQ(format_text(left), format_text(right));
  EXPECT_EQ(format_json(left), format_json(right));
  EXPECT_EQ(format_sarif(left, target), format_sarif(right, target));
  EXPECT_EQ(format_markdown(left), format_markdown(right));
}

TEST(Format, TextIsTheGoldenOne) {
  const Model m = fsq();
  const std::string text = format_text(check(m.graph, target_named("hailo8"), m.options));
  const std::string path = std::string(GRAUPEL_SOURCE_DIR) + "/tests/golden/check_fsq.txt";
  if (std::getenv("UPDATE_GOLDEN") != nullptr) {
    ASSERT_TRUE(write_file_atomic(path, text).ok());
  }
  const Result<std::string> golden = read_file(path);
  ASSERT_TRUE(golden.ok()) << golden.error().message();
  EXPECT_EQ(text, *golden);
}

TEST(Format, JsonHoldsEveryFindingAndNode) {
  const Model m = fsq();
  const CheckReport report = check(m.graph, target_named("hailo8"), m.options);
  const Json json = Json::parse(format_json(report), nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_EQ(json["findings"].size(), report.findings.size());
  EXPECT_EQ(json["nodes"].size(), report.verdicts.size());
  EXPECT_EQ(json["counts"]["errors"], report.counts.errors);
}

TEST(Format, SarifHasTheRequiredStructure) {
  Model m = fsq();
  m.graph.nodes[0].name = "bad \xff utf-8\n";
  const Target target = target_named("hailo8");
  const CheckReport report = check(m.graph, target, m.options);
  const Json sarif = Json::parse(format_sarif(report, target), nullptr, false);
  ASSERT_FALSE(sarif.is_discarded());
  EXPECT_EQ(sarif["version"], "2.1.0");
  ASSERT_EQ(sarif["runs"].size(), 1u);
  const Json& run = sarif["runs"][0];
  const Json& rules = run["tool"]["driver"]["rules"];
  EXPECT_TRUE(run["tool"]["driver"]["name"].is_string());
  ASSERT_EQ(rules.size(), target.rules.size());
  std::set<std::string> ids;
  for (const Json& rule : rules) EXPECT_TRUE(ids.insert(rule["id"]).second);
  ASSERT_EQ(run["results"].size(), report.findings.size());
  for (const Json& result : run["results"]) {
    EXPECT_EQ(rules[result["ruleIndex"].get<size_t>()]["id"], result["ruleId"]);
    EXPECT_TRUE(std::set<std::string>({"error", "warning", "note"}).contains(result["level"]));
    EXPECT_FALSE(result["message"]["text"].get<std::string>().empty());
    EXPECT_TRUE(result["locations"][0]["logicalLocations"][0]["name"].is_string());
    EXPECT_EQ(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "fsq.onnx");
  }
}

TEST(Format, RulesCanBeListedAndExplained) {
  const Target target = target_named("hailo8");
  for (const Rule& rule : target.rules) {
    EXPECT_THAT(list_rules(target), testing::HasSubstr(rule.id));
    const Result<std::string> text = explain(target, rule.id);
    ASSERT_TRUE(text.ok());
    EXPECT_THAT(*text, testing::HasSubstr(rule.source));
  }
  EXPECT_FALSE(explain(target, "nonsense").ok());
}

}  // namespace
}  // namespace graupel::check
