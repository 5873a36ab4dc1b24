// The runner: fixed point, verification, bisection, budgets; and random networks end to end.
#include "simplify/simplify.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "simplify/random_graph.h"
#include "simplify/test_support.h"

namespace graupel::simplify {
namespace {

using testing::HasSubstr;

const std::string kNet = R"(
  input x: float32[1x1x4x4]
  const w: float32[2x1x1x1] = [1, 2]
  const s: float32[2x1x1] = [2, 4]
  const t: float32[2x1x1] = [1, 3]
  i: Identity(x) -> a
  c: Conv{kernel_shape=[1, 1]}(a, w) -> b
  m: Mul(b, s) -> d
  p: Add(d, t) -> e
  z: Shape(e) -> f
  q: Reshape(e, f) -> g
  r: Relu(g) -> h
  v: Relu(h) -> y
  output y)";

TEST(Simplify, CollapsesToTheConvolution) {
  Result<Simplified> result = simplify(parsed(kNet));
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_EQ(ir::print(result->graph), ir::print(parsed(R"(
  input x: float32[1x1x4x4]
  const w: float32[2x1x1x1] = [2, 8]
  const c.bias: float32[2] = [1, 3]
  c: Conv{kernel_shape=[1, 1]}(x, w, c.bias) -> e
  r: Relu(e) -> y
  output y)")))
      << ir::print(result->graph);
  EXPECT_EQ(result->verification, "after every pass, 2 probes");
  ASSERT_TRUE(result->max_abs_difference.has_value());
  EXPECT_LT(*result->max_abs_difference, 1e-5);
}

TEST(Simplify, StopAfterBisects) {
  const ir::Graph before = parsed(kNet);
  Result<Simplified> full = simplify(before);
  ASSERT_TRUE(full.ok());
  ASSERT_GT(full->edits, 4);
  for (int64_t edits = 0; edits <= full->edits; ++edits) {
    SimplifyOptions options;
    options.stop_after = edits;
    Result<Simplified> part = simplify(before, options);
    ASSERT_TRUE(part.ok()) << part.error().message();
    EXPECT_EQ(part->edits, edits);
    expect_same_answers(before, part->graph);
    if (edits == 0) {
      EXPECT_EQ(ir::print(part->graph), ir::print(before));
    }
    if (edits == full->edits) {
      EXPECT_EQ(ir::print(part->graph), ir::print(full->graph));
    }
  }
}

TEST(Simplify, ChoosesAndSkipsPasses) {
  SimplifyOptions options;
  options.passes = {"remove_no_ops"};
  Result<Simplified> only = simplify(parsed(kNet), options);
  ASSERT_TRUE(only.ok());
  EXPECT_FALSE(ir::find_node(only->graph, "i").has_value());
  EXPECT_TRUE(ir::find_node(only->graph, "m").has_value());
  options.passes.clear();
  options.skip = {"fuse_arithmetic"};
  Result<Simplified> without = simplify(parsed(kNet), options);
  ASSERT_TRUE(without.ok());
  EXPECT_TRUE(ir::find_node(without->graph, "m").has_value());
  options.skip = {"fuse_batchnorm"};
  Result<Simplified> unknown = simplify(parsed(kNet), options);
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message(), HasSubstr("fuse_batchnorm"));
}

Result<ir::Graph> double_a_weight(ir::Graph graph, PassLog& log) {
  if (log.edits > 0) return graph;
  for (ir::Value& value : graph.values) {
    if (value.name == "w") value.constant->mutable_data<float>()[0] *= 2.0f;
  }
  ++log.edits;
  return graph;
}
Result<ir::Graph> forget_a_type(ir::Graph graph, PassLog& log) {
  ++log.edits;
  graph.values.back().dtype = DType::kInt8;
  return graph;
}
Result<ir::Graph> never_done(ir::Graph graph, PassLog& log) {
  ++log.edits;
  return graph;
}

TEST(Simplify, NamesThePassThatChangesTheFunction) {
  const Pass pipeline[] = {{"double_a_weight", double_a_weight, ""}};
  for (const Verify verify : {Verify::kAuto, Verify::kEnd}) {
    SimplifyOptions options;
    options.verify = verify;
    Result<Simplified> result = run_passes(parsed(kNet), pipeline, options);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kInternal);
    EXPECT_THAT(result.error().message(), HasSubstr("changes output 'y'"));
    if (verify == Verify::kAuto) {
      EXPECT_THAT(result.error().message(), HasSubstr("double_a_weight"));
    }
  }
  SimplifyOptions options;
  options.verify = Verify::kOff;
  Result<Simplified> blind = run_passes(parsed(kNet), pipeline, options);
  ASSERT_TRUE(blind.ok());
  EXPECT_EQ(blind->verification, "not probed: switched off");
}

TEST(Simplify, SeesAMistakeBehindARound) {
  const std::string net = R"(
  input x: float32[1x1x4x4]
  const w: float32[1x1x1x1] = [10]
  c: Conv{kernel_shape=[1, 1]}(x, w) -> a
  r: Round(a) -> y
  output y)";
  const Pass pipeline[] = {{"double_a_weight", double_a_weight, ""}};
  EXPECT_FALSE(run_passes(parsed(net), pipeline, {}).ok());
}

TEST(Simplify, NamesThePassThatBreaksTheGraph) {
  const Pass pipeline[] = {{"forget_a_type", forget_a_type, ""}};
  Result<Simplified> result = run_passes(parsed(kNet), pipeline, {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kInternal);
  EXPECT_THAT(result.error().message(), HasSubstr("forget_a_type"));
}

TEST(Simplify, NamesThePassThatNeverEnds) {
  const Pass pipeline[] = {{"never_done", never_done, ""}};
  Result<Simplified> result = run_passes(parsed(kNet), pipeline, {});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message(), HasSubstr("50 rounds: pass never_done still edits"));
}

TEST(Simplify, RepeatedConstantsDoNotBlowUpTheFile) {
  const std::string net = R"(
  input x: float32[1x4]
  const big: int64[2] = [4, 1000000]
  const small: int64[2] = [1, 4]
  c: ConstantOfShape{value=float32[1] [0.5]}(big) -> w
  d: ConstantOfShape{value=float32[1] [0.5]}(small) -> b
  p: Add(x, b) -> a
  m: MatMul(a, w) -> y
  output y)";
  Result<Simplified> result = simplify(parsed(net));
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_TRUE(ir::find_node(result->graph, "c").has_value());
  EXPECT_FALSE(ir::find_node(result->graph, "d").has_value());
  const bool noted =
      std::any_of(result->trace.begin(), result->trace.end(), [](const PassTrace& trace) {
        return !trace.notes.empty() && trace.notes[0].find("budget") != std::string::npos;
      });
  EXPECT_TRUE(noted);
}

TEST(Simplify, LongChainsAreQuick) {
  std::string body = "  input v0: float32[1x4]\n";
  for (int i = 0; i < 5000; ++i) {
    body += "  n" + std::to_string(i) + (i % 2 == 0 ? ": Tanh(v" : ": Identity(v") +
            std::to_string(i) + ") -> v" + std::to_string(i + 1) + "\n";
  }
  Result<Simplified> result = simplify(parsed(body + "  output v5000"));
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_EQ(result->graph.nodes.size(), 2500u);
  EXPECT_EQ(result->graph.value(result->graph.outputs[0]).name, "v5000");
}

TEST(Simplify, RandomNetworksKeepTheirFunction) {
  int64_t edits = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    const ir::Graph before = RandomGraph(seed).make();
    ASSERT_TRUE(ir::verify(before).ok()) << ir::verify(before).error().message();
    Result<Simplified> result = simplify(before);
    ASSERT_TRUE(result.ok()) << result.error().message() << ir::print(before);
    const Result<Answers> expected = answer_probes(before, 99, 1);
    const Result<Answers> actual = answer_probes(result->graph, 99, 1);
    ASSERT_TRUE(expected.ok() && actual.ok());
    const Difference difference = compare(*expected, *actual, 1e-5);
    EXPECT_FALSE(difference.beyond_tolerance) << difference.max_abs;
    for (size_t i = 0; i < before.outputs.size(); ++i) {
      EXPECT_EQ(before.value(before.outputs[i]).name,
                result->graph.value(result->graph.outputs[i]).name);
    }
    Result<Simplified> again = simplify(result->graph);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->edits, 0) << ir::print(result->graph);
    edits += result->edits;
  }
  EXPECT_GT(edits, 300);
}

}  // namespace
}  // namespace graupel::simplify
