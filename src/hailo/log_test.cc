// Log lines as users of the compiler published them, and what is made of them.
#include "hailo/log.h"

#include <gmock/gmock.h>

namespace graupel::hailo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Log read(std::initializer_list<std::string_view> lines) {
  Log log;
  for (const std::string_view line : lines) read_line(log, line);
  return log;
}

Finding only(std::string_view line) {
  const Log log = read({line});
  EXPECT_EQ(log.findings.size(), 1u) << line << "\n" << format_findings(log.findings);
  return log.findings.empty() ? Finding{} : log.findings[0];
}

TEST(Log, AQuietRunHasFactsAndNoFindings) {
  const Log log = read({
      "[info] Hailo DFC Version: 3.30.0",
      "[info] HailoRT Version: Not Installed",
      "\x1b[32m[info]\x1b[0m Translation started on ONNX model net",
      "[info] Restored ONNX model net (completion time: 00:00:00.03)",
      "Calibration: 100%|##########| 64/64 [00:01<00:00]",
      "[info] Output layers signal-to-noise ratio (SNR): measures the quantization noise",
      "[info] \tnet/output_layer1 SNR:\t9.179 dB",
      "[info] \tnet/output_layer2 SNR:\t12,5 dB",
      "[info] Using Single-context flow",
      "[info] | Cluster   | Control Utilization | Compute Utilization | Memory Utilization |",
      "[info] | cluster_0 | 75%                 | 62.9%               | 47,8%              |",
      "[info] | Total     | 47%                 | 20%                 | 16%                |",
      "[info] Successful Mapping (allocation time: 4m 25s)",
      "[info] Building HEF...",
  });
  EXPECT_THAT(log.findings, IsEmpty());
  EXPECT_EQ(log.compiler_version, "3.30.0");
  EXPECT_EQ(log.runtime_version, "Not Installed");
  EXPECT_EQ(log.snr_db.at("net/output_layer1"), 9.179);
  EXPECT_EQ(log.snr_db.at("net/output_layer2"), 12.5);
  EXPECT_EQ(log.contexts, 1);
  ASSERT_EQ(log.utilization.size(), 2u);
  EXPECT_EQ(log.utilization[0].memory_percent, 47.8);
  EXPECT_EQ(log.utilization[1].cluster, "Total");
  EXPECT_THAT(log.times, ElementsAre("completion time: 00:00:00.03", "allocation time: 4m 25s"));
  EXPECT_EQ(log.stage, "Building HEF...");
}

TEST(Log, ProgressAndContexts) {
  EXPECT_EQ(read({"Calibration:  42%|####      | 27/64"}).percent, 42);
  EXPECT_EQ(read({"Found valid partition to 7 contexts, Performance improved by 12.2%"}).contexts,
            7);
}

TEST(Log, WhatTheCompilerDoesSilentlyIsAFinding) {
  const Finding lowered = only(
      "[warning] Reducing optimization level to 0 (the accuracy won't be optimized and compression "
      "won't be used) because there's less data than the recommended amount (1024), and there's no "
      "available GPU");
  EXPECT_EQ(lowered.id, "silent-downgrade");
  EXPECT_EQ(lowered.message, "the compiler lowered the optimisation level to 0");
  EXPECT_EQ(only("Reducing output bits of net/conv3 by 5.0 bits (More than half)").id,
            "demoted-precision");
  EXPECT_EQ(only("[warning] The calibration set seems to not be normalized, because the values "
                 "range is [(0.0, 255.0)]")
                .id,
            "calibration-not-normalized");
}

TEST(Log, RecommendedEndNodes) {
  const Log log = read(
      {"ParsingWithRecommendationException: Parsing failed. The errors found in the graph are:",
       " UnsupportedOperationError in op /fsq/Round: Round operation is unsupported",
       "Please try to parse the model again, using these end node names: /fsq/Sub, /head/Conv"});
  EXPECT_THAT(log.recommended_end_nodes, ElementsAre("/fsq/Sub", "/head/Conv"));
  ASSERT_EQ(log.findings.size(), 2u);
  EXPECT_EQ(log.findings[0].where, "/fsq/Round");
  EXPECT_THAT(log.findings[0].message, HasSubstr("UnsupportedOperationError"));
  EXPECT_THAT(read({"Parsing failed with recommendations for end node names: ['a', 'b/c']."})
                  .recommended_end_nodes,
              ElementsAre("a", "b/c"));
}

TEST(Log, FailuresHaveACauseAndARemedy) {
  const std::pair<const char*, const char*> cases[] = {
      {"BadInputsShape: Data shape (5, 1) for layer X/input_layer1 doesn't match network's input "
       "shape (1, 5, 1)",
       "calibration-shape"},
      {"NegativeSlopeExponentNonFixable: Quantization failed in layer X/conv1 due to unsupported "
       "required slope. Desired shift is 11.0, but op has only 8 data bits. ",
       "slope"},
      {"AccelerasResourceError: GPU memory has been exhausted", "gpu-memory"},
      {"No successful assignments: conv5 errors: Agent infeasible", "infeasible"},
      {"Compiler could not find a valid partition to contexts. Most commom error is: Automri "
       "finished with too many resources on context_2 with 62/184 failures.",
       "partition"},
      {"Memory units capacity exceeded (available: 128, required: 138)", "capacity"},
      {"Resources presolve failed: lcus=(180/80)", "resources"},
      {"conv1 failed on kernel validation: 16x4 is not supported in activation1", "kernel"},
      {"slice1 has 2 APUs but max allowed is 1", "apus"},
      {"Reshape is needed for layers: conv1, but adding a reshape has failed", "reshape"},
      {"InvalidHNError: The original node name Y in end_node_names is missing in the HN",
       "end-node-missing"},
      {"ValueError: Unspecified inputs: {'attention_mask'}", "inputs"},
      {"hailo: error: unrecognized arguments: --batch-size", "arguments"},
  };
  for (const auto& [line, id] : cases) {
    const Finding finding = only(line);
    EXPECT_EQ(finding.id, id) << line;
    EXPECT_EQ(finding.severity, Severity::kError) << line;
    EXPECT_FALSE(finding.fix.empty()) << line;
  }
  EXPECT_THAT(only("No successful assignments: conv5 errors: Agent infeasible").message,
              HasSubstr("conv5 could not be placed: Agent infeasible"));
}

TEST(Log, HostileLinesEnd) {
  Log log;
  for (int i = 0; i < 5000; ++i) {
    read_line(log, "Reducing output bits of l" + std::to_string(i) + " by 1 bits");
    read_line(log, std::string(3000, '|') + "\x1b[");
  }
  EXPECT_LE(log.findings.size(), 200u);
  read_line(log, std::string(1 << 20, ','));
  read_line(log, "\x1b");
}

}  // namespace
}  // namespace graupel::hailo
