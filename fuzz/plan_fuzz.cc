// Fuzzes the plan reader and the engine: no bytes crash the reader; what it accepts is written back
// to the same bytes, runs without touching memory it does not own (the address sanitizer judges),
// and answers the same on every instruction set.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/dispatch.h"
#include "run/engine.h"
#include "run/plan.h"

namespace run = graupel::run;
namespace kernels = graupel::kernels;
using graupel::Result;

namespace {

constexpr int64_t kMostWork = 2'000'000;
constexpr uint64_t kMostArenaBytes = uint64_t{16} << 20;

std::string answers(const run::Plan& plan, kernels::Isa isa) {
  Result<run::Engine> engine = run::load_engine(plan, {isa});
  if (!engine.ok()) return engine.error().message();
  const run::Buffer& input = plan.buffers[plan.inputs[0].buffer.index()];
  std::vector<float> window(static_cast<size_t>(run::buffer_elements(input)));
  for (size_t i = 0; i < window.size(); ++i) {
    window[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50) * 0.1f;
  }
  if (!run::run(*engine, window).ok()) std::abort();
  std::string bytes;
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    const graupel::Tensor tensor = run::output_tensor(*engine, i);
    bytes.append(reinterpret_cast<const char*>(tensor.bytes()), tensor.size_bytes());
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const Result<run::Plan> plan = run::parse_plan(input);
  if (!plan.ok()) return 0;
  if (run::format_plan(*plan) != input) std::abort();
  const Result<int64_t> work = run::plan_work(*plan);
  if (!work.ok()) std::abort();
  if (*work > kMostWork || plan->arena_size_bytes > kMostArenaBytes) return 0;
  const std::string scalar = answers(*plan, kernels::Isa::kScalar);
  for (const kernels::Isa isa : kernels::supported_isas()) {
    if (answers(*plan, isa) != scalar) std::abort();
  }
  return 0;
}
