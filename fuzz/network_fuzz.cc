// Bytes steer the form of a small INT8 network (two for the seed of its weights, then one for each
// choice of the generator); the reference evaluator, the joined plan and the plain plan give the
// same bytes on every instruction set, and nothing that the generator makes is refused.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "compile/differential.h"
#include "compile/random_nets.h"
#include "ir/eval.h"
#include "run/engine.h"

using namespace graupel;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int64_t kMostMultiplyAdds = 100'000;
  if (size < 2 || size > 256) return 0;
  const uint64_t seed = data[0] + uint64_t{256} * data[1];
  const std::string_view choices(reinterpret_cast<const char*>(data) + 2, size - 2);
  const ir::Graph graph = compile::random_any_net(seed, choices);
  if (ir::multiply_adds(graph) > kMostMultiplyAdds) return 0;
  const Shape& shape = graph.shape(graph.inputs[0]);
  const Result<std::string> found = compile::difference(
      graph, {compile::random_window(shape, seed), compile::hostile_window(shape, seed)});
  if (found.ok() && found->empty()) return 0;
  std::fprintf(stderr, "%s\n%s\n", found.ok() ? found->c_str() : found.error().message().c_str(),
               ir::print(graph, ir::Constants::kElided).c_str());
  std::abort();
}
