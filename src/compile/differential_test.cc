// Random small networks of every operator the engine computes on bytes: evaluator, joined plan and
// plain plan give the same bytes on every instruction set, for ordinary windows and for those of a
// sensor that fails.
#include "compile/differential.h"

#include <gtest/gtest.h>

#include <array>

#include "compile/random_nets.h"

namespace graupel::compile {
namespace {

constexpr int64_t kMostMultiplyAdds = 400'000;

TEST(Differential, RandomNetworksOfEveryForm) {
  int networks = 0, joined = 0, dilated = 0, wide = 0, softmax = 0;
  for (uint64_t seed = 0; networks < 250; ++seed) {
    const ir::Graph graph = random_any_net(seed + 1000);
    if (ir::multiply_adds(graph) > kMostMultiplyAdds) continue;
    ++networks;
    const Shape& shape = graph.shape(graph.inputs[0]);
    const Result<std::string> found =
        difference(graph, {random_window(shape, seed), hostile_window(shape, seed)});
    ASSERT_TRUE(found.ok()) << "seed " << seed << ": " << found.error().message();
    ASSERT_EQ(*found, "") << "seed " << seed << "\n" << ir::print(graph, ir::Constants::kElided);
    const Result<run::Plan> plan = compile_plan({}, graph, {});
    for (const run::Step& step : plan->steps) {
      softmax += std::holds_alternative<run::Softmax>(step.body) ? 1 : 0;
      const run::ConvInt8* conv = std::get_if<run::ConvInt8>(&step.body);
      if (conv == nullptr) continue;
      joined += conv->pool || conv->residual.valid() || conv->average.valid() ? 1 : 0;
      dilated += conv->window.dilation_w > 1 && conv->window.kernel_w > 1 ? 1 : 0;
      wide += conv->window.kernel_h > 3 ? 1 : 0;
    }
  }
  // The generator has to reach what it is there for.
  for (const int count : {joined, dilated, wide, softmax}) EXPECT_GT(count, 20);
}

}  // namespace
}  // namespace graupel::compile
