// Plans as bytes: round trips, every truncation, thousands of bit flips, hand-made lies. Whatever
// parse_plan lets through is run, so that the address sanitizer can judge the checks.
#include "run/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/rng.h"
#include "run/engine.h"
#include "run/plan_builder.h"

namespace graupel::run {
namespace {

// Runs what was accepted, unless it asks for much more work than the original.
bool parse_and_run(std::string_view bytes) {
  Result<Plan> plan = parse_plan(bytes);
  if (!plan.ok()) {
    EXPECT_TRUE(plan.error().code == ErrorCode::kCorrupt ||
                plan.error().code == ErrorCode::kUnsupported)
        << plan.error().message();
    EXPECT_EQ(plan.error().message().find('\n'), std::string::npos);
    return false;
  }
  if (*plan_work(*plan) > 10'000'000) return true;
  Result<Engine> engine = load_engine(std::move(*plan));
  if (!engine.ok()) return true;
  const Plan& loaded = plan_of(*engine);
  const Buffer& input = loaded.buffers[loaded.inputs[0].buffer.index()];
  const std::vector<float> window(static_cast<size_t>(buffer_elements(input)), 0.7f);
  EXPECT_TRUE(run(*engine, window).ok());
  for (size_t i = 0; i < loaded.outputs.size(); ++i) output_tensor(*engine, i);
  return true;
}

TEST(Plan, SurvivesTheRoundTripWithTheSameBytes) {
  const Plan plan = sample_plan();
  const std::string bytes = format_plan(plan);
  const Result<Plan> read = parse_plan(bytes);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(*read, plan);
  EXPECT_EQ(format_plan(*read), bytes);
  EXPECT_TRUE(parse_and_run(bytes));
}

TEST(Plan, KeepsEveryFieldOfEveryStepKind) {
  const Strides strides = {3, 4};
  const BufferId a(size_t{1}), b(size_t{2}), c(size_t{3}), d(size_t{4});
  const std::vector<StepBody> bodies = {
      Lookup{a, b, c, 3, 9},
      Move{a, b, c, MoveTable::kRuns, 7, {1, 2, 3, 4, 5, 6, 7, 8}},
      Unary{UnaryOp::kClip, a, b, 1.5f, 2.5f},
      Where{a, b, c, d, {5, 6}, strides, strides, strides},
      MatMul{a, b, c, d, 2, 3, 4, 5, 6, 7, 8, 9, 10, {2}, {3}, {4}, 0.5f, 0.25f},
      ConvF32{ConvKind::kTransposed, a, b, c, d, {}, 4, 5, 6},
      PoolF32{PoolOp::kAverage, a, b, c, {}},
      Reduce{ReduceOp::kL2, a, b, {2}, {3}, {4}, {5}},
      Cast{a, b},
      Interpolate{a, b, c, d, 2, {3, 4}, strides},
      Normalize{a, b, c, d, 3, 4},
      RemoveMean{a, b, c, 3, 4, 5},
      MaxPoolInt8{a, b, {}},
  };
  for (const StepBody& body : bodies) {
    Plan plan;
    plan.steps.push_back({"n", Part::kHost, 5, 6, body});
    // Such a plan names buffers that do not exist, so only the checks may refuse it.
    const Result<Plan> read = parse_plan(format_plan(plan));
    ASSERT_FALSE(read.ok());
    EXPECT_NE(read.error().message().find("step n (" + std::string(step_name(body)) + ")"),
              std::string::npos)
        << read.error().message();
  }
}

TEST(Plan, IsRefusedWhenCutAnywhere) {
  const std::string bytes = format_plan(sample_plan());
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(parse_plan(std::string_view(bytes).substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(parse_plan(bytes + '\0').ok());
}

TEST(Plan, FlippedBitsAreRefusedOrHarmless) {
  const std::string bytes = format_plan(sample_plan());
  const size_t header = bytes.size() - sample_plan().constants.size();
  Rng rng(3);
  size_t refused = 0;
  for (int trial = 0; trial < 6000; ++trial) {
    std::string damaged = bytes;
    const uint64_t flips = 1 + rng.below(3);
    for (uint64_t i = 0; i < flips; ++i) {
      damaged[rng.below(header)] ^= static_cast<char>(1u << rng.below(8));
    }
    refused += parse_and_run(damaged) ? 0 : 1;
  }
  EXPECT_GT(refused, 3000u);
}

// Each lie is one field of one step; the message has to name the step.
TEST(Plan, StepsThatReachOutsideTheirBuffersAreRefused) {
  using Edit = void (*)(Plan&);
  const Edit edits[] = {
      [](Plan& p) { std::get<ConvInt8>(p.steps[1].body).window.in_w = 9; },
      [](Plan& p) { std::get<ConvInt8>(p.steps[1].body).pool->kernel_w = 1 << 20; },
      [](Plan& p) { std::get<ConvInt8>(p.steps[1].body).x = BufferId(size_t{999}); },
      [](Plan& p) {
        std::get<ConvInt8>(p.steps[1].body).y = std::get<ConvInt8>(p.steps[1].body).x;
      },
      [](Plan& p) { std::get<ConvInt8>(p.steps[2].body).groups = 3; },
      [](Plan& p) { std::get<Quantize>(p.steps[0].body).scale = 0.0f; },
      [](Plan& p) { std::get<Quantize>(p.steps[0].body).requantize.high = 256; },
      [](Plan& p) { std::get<AveragePoolInt8>(p.steps[4].body).window.pad_left = 5; },
      [](Plan& p) { std::get<MatMul>(p.steps[6].body).k = 21; },
      [](Plan& p) { std::get<MatMul>(p.steps[6].body).b_row = int64_t{1} << 62; },
      [](Plan& p) { std::get<Softmax>(p.steps[7].body).axis = 6; },
      [](Plan& p) { std::get<Binary>(p.steps[9].body).b_strides = {1}; },
      [](Plan& p) { std::get<Binary>(p.steps[9].body).op = BinaryOp::kAnd; },
  };
  for (const Edit& edit : edits) {
    Plan plan = sample_plan();
    edit(plan);
    const Result<void> checked = check_plan(plan);
    ASSERT_FALSE(checked.ok()) << "edit " << &edit - edits;
    EXPECT_EQ(checked.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(checked.error().message().find("step node"), std::string::npos)
        << checked.error().message();
  }
}

TEST(Plan, TablesThatPointOutsideAreRefused) {
  for (const int32_t index : {-1, 0, 3, 4, 1 << 30}) {
    PlanBuilder b;
    const BufferId x = b.input({4});
    const BufferId y = b.buffer(DType::kFloat32, {2});
    b.step(
        Move{x, y, b.constant(Tensor::of<int32_t>({2}, {0, index})), MoveTable::kIndices, 0, {}});
    EXPECT_EQ(check_plan(b.plan).ok(), index < 4) << index;
  }
  for (const std::vector<int32_t>& run : std::vector<std::vector<int32_t>>{
           {0, 0, 3}, {1, 0, 2}, {-1, 0, 1}, {0, 3, 2}, {0, 0, 0}, {0, 2147483647, 1}}) {
    PlanBuilder b;
    const BufferId x = b.input({4});
    const BufferId y = b.buffer(DType::kFloat32, {2});
    b.step(Move{x, y, b.constant(Tensor::of<int32_t>({1, 3}, run)), MoveTable::kRuns, 0, {}});
    EXPECT_FALSE(check_plan(b.plan).ok()) << run[0] << ' ' << run[1] << ' ' << run[2];
  }
}

TEST(Plan, AnotherVersionIsUnsupportedAndAnotherFileCorrupt) {
  std::string bytes = format_plan(sample_plan());
  EXPECT_EQ(parse_plan("PK\3\4 something else").error().code, ErrorCode::kCorrupt);
  for (const char version : {1, 99}) {
    bytes[8] = version;
    EXPECT_EQ(parse_plan(bytes).error().code, ErrorCode::kUnsupported) << int{version};
  }
  // A writer of the other byte order puts the version's bytes the other way round.
  std::string foreign = format_plan(sample_plan());
  std::reverse(foreign.begin() + 8, foreign.begin() + 12);
  EXPECT_EQ(parse_plan(foreign).error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace graupel::run
