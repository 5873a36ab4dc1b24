// Many windows through a plan. See engine.h.
//
// Idea: each core takes a clone of the engine and batch after batch of windows; the last one may be
// smaller. Cores that no window is left for help with the large steps of the others.
// Test: batch_test.cc, engine_test.cc.
#include <algorithm>
#include <cstring>

#include "base/parallel.h"
#include "run/engine.h"

namespace graupel::run {
namespace {

Shape batched(const Shape& shape, int64_t count) {
  Shape out = shape;
  if (!out.empty() && out[0] == 1) {
    out[0] = count;
  } else {
    out.insert(out.begin(), count);
  }
  return out;
}

Result<void> check_windows(const Shape& shape, const Tensor& windows) {
  const int64_t count = windows.rank() == 0 ? 0 : windows.shape()[0];
  if (windows.dtype() == DType::kFloat32 && windows.rank() != 0 &&
      windows.shape() == batched(shape, count)) {
    return ok();
  }
  Shape one = batched(shape, 1);
  one.erase(one.begin());
  return invalid_input("windows", "are " + std::string(graupel::to_string(windows.dtype())) + " " +
                                      graupel::to_string(windows.shape()) +
                                      ", expected float32 Nx" + graupel::to_string(one));
}

// How the work is divided.
struct Division {
  size_t workers = 1;  // engines side by side
  size_t batch = 1;    // windows of each at a time
  size_t threads = 1;  // of each
};

Division divide(const Engine& engine, size_t windows, size_t threads) {
  Division d;
  const size_t cores = threads == 0 ? available_cores() : threads;
  d.workers = std::clamp<size_t>(windows, 1, cores);
  d.batch = std::clamp<size_t>(windows / d.workers, 1, usual_batch(engine));
  d.threads = threads_per_window(plan_of(engine), std::min(cores / d.workers, kMostThreads));
  return d;
}

}  // namespace

Result<std::vector<Tensor>> run_windows(const Engine& engine, const Tensor& windows,
                                        size_t threads) {
  const Plan& plan = plan_of(engine);
  const Shape& shape = plan.buffers[plan.inputs[0].buffer.index()].shape;
  TRY(check_windows(shape, windows));
  const auto count = static_cast<size_t>(windows.shape()[0]);
  std::vector<Tensor> outputs;
  std::vector<std::byte*> targets;
  for (const Port& port : plan.outputs) {
    const Buffer& buffer = plan.buffers[port.buffer.index()];
    outputs.emplace_back(buffer.dtype, batched(buffer.shape, windows.shape()[0]));
    targets.push_back(outputs.back().mutable_bytes());
  }
  const Division d = divide(engine, count, threads);
  std::vector<Engine> engines;
  for (size_t i = 0; i < d.workers; ++i) {
    TRY_ASSIGN(Engine mine, clone(engine, d.batch, d.threads));
    engines.push_back(std::move(mine));
  }
  const size_t window_size = static_cast<size_t>(*element_count(shape));
  const std::span<const float> values = windows.data<float>();
  const auto run_some = [&](size_t index, size_t worker) {
    Engine& mine = engines[worker];
    const size_t first = index * d.batch, some = std::min(d.batch, count - first);
    // The sizes fit, as checked above, and nothing else can fail.
    static_cast<void>(
        run_batch(mine, values.subspan(first * window_size, some * window_size), some));
    for (size_t o = 0; o < targets.size(); ++o) {
      for (size_t i = 0; i < some; ++i) {
        const std::span<const std::byte> bytes = output_bytes(mine, o, i);
        std::memcpy(targets[o] + (first + i) * bytes.size(), bytes.data(), bytes.size());
      }
    }
  };
  parallel_for((count + d.batch - 1) / d.batch, run_some, d.workers);
  return outputs;
}

}  // namespace graupel::run
