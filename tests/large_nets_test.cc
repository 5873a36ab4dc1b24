// Networks of the size of ResNet-18, ResNet-50 and MobileNetV2 on one engine: they compile, the
// memory they take is near the planner's lower bound, and a batch on two threads gives the bytes of
// a window alone on one.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "compile/compile.h"
#include "engine/nets.h"
#include "run/engine.h"

namespace graupel::bench {
namespace {

std::vector<std::byte> answer_of(const run::Engine& engine, size_t window) {
  const std::span<const std::byte> bytes = run::output_bytes(engine, 0, window);
  return {bytes.begin(), bytes.end()};
}

void check(const Net& net) {
  SCOPED_TRACE(net.name);
  Result<run::Plan> plan = compile::compile_plan({}, net.graph, {});
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  const auto bound = static_cast<double>(plan->arena_lower_bound_bytes);
  const auto arena = static_cast<double>(plan->arena_size_bytes);
  Result<run::Engine> one = run::load_engine(*std::move(plan));
  ASSERT_TRUE(one.ok()) << one.error().message();
  // The largest sum of tensors alive at one time.
  EXPECT_GE(arena, bound);
  EXPECT_LE(arena + static_cast<double>(run::scratch_size_bytes(*one)), 1.2 * bound);

  const std::vector<float> window = random_window(net.input, 3);
  ASSERT_TRUE(run::run(*one, window).ok());
  const std::vector<std::byte> alone = answer_of(*one, 0);
  // A network whose signal died or saturated would pass for equal.
  EXPECT_GT(std::count_if(alone.begin(), alone.end(),
                          [&](std::byte byte) { return byte != alone.front(); }),
            static_cast<std::ptrdiff_t>(alone.size() / 4));
  Result<run::Engine> two = run::clone(*one, 2, 2);
  ASSERT_TRUE(two.ok()) << two.error().message();
  std::vector<float> both = random_window(net.input, 4);
  both.insert(both.end(), window.begin(), window.end());
  ASSERT_TRUE(run::run_batch(*two, both, 2).ok());
  EXPECT_EQ(answer_of(*two, 1), alone);
  EXPECT_NE(answer_of(*two, 0), alone);
}

TEST(LargeNets, MobileNetV2) { check(mobilenet_v2()); }
TEST(LargeNets, ResNet18) { check(resnet18()); }
TEST(LargeNets, ResNet50) { check(resnet50()); }

}  // namespace
}  // namespace graupel::bench
