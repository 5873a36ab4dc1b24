// Engine: a loaded plan with its own memory, ready to answer windows on the CPU.
//
// Idea: load_engine checks the plan, packs its weights for the chosen instruction set and takes
// all memory. After that run() only computes: no allocation, no lock, no system call, no string.
// The loaded plan is shared and never written, so each thread takes a clone with its own arena.
// With a batch, each step computes all windows before the next one starts, so that its weights are
// read once. With threads, a crew shares the large steps; small ones stay on the calling thread.
// Test: engine_test.cc, batch_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "kernels/dispatch.h"
#include "run/plan.h"

namespace graupel::run {

struct Program;  // a checked plan with packed weights; engine_internal.h
class Crew;      // crew.h

inline constexpr size_t kMostBatch = 64;    // windows of one run_batch
inline constexpr size_t kMostThreads = 64;  // of one engine

// Zero-filled bytes aligned to kAlignmentBytes. Empty after a failed create.
class Memory {
 public:
  static Result<Memory> create(size_t size_bytes);
  std::byte* data() const { return data_; }
  size_t size_bytes() const { return size_bytes_; }

 private:
  struct Free {
    void operator()(void* block) const;
  };
  std::unique_ptr<void, Free> block_;
  std::byte* data_ = nullptr;
  size_t size_bytes_ = 0;
};

struct Engine {
  std::shared_ptr<const Program> program;
  Memory arena;    // one for each window of a batch
  Memory scratch;  // one for each window of a batch on each thread
  size_t batch = 1;
  std::shared_ptr<Crew> crew;  // nullptr: one thread
};

// What is given to run: one window, or a tensor for each input of the plan (run_tensors).
enum class EngineInputs { kWindow, kTensors };

struct EngineOptions {
  std::optional<kernels::Isa> isa = std::nullopt;  // nullopt: kernels::choose_isa()
  EngineInputs inputs = EngineInputs::kWindow;
  size_t batch = 1;    // windows that run_batch takes at once, up to kMostBatch
  size_t threads = 1;  // that share the large steps of a run, up to kMostThreads
};

// Errors: those of check_plan and choose_isa; kUnsupported if the plan takes no input or, for
// kWindow, not exactly one float32 input; kInvalidInput if the memory cannot be had or an option is
// out of its bounds; kDevice if there are no threads. A network none of whose steps is worth a
// second thread gets one, whatever `threads` says (threads_per_window).
Result<Engine> load_engine(Plan plan, const EngineOptions& options = {});
// The same program with memory of its own, for another thread; with another batch and threads.
Result<Engine> clone(const Engine& engine);
Result<Engine> clone(const Engine& engine, size_t batch, size_t threads);

const Plan& plan_of(const Engine& engine);
kernels::Isa isa_of(const Engine& engine);
std::string engine_name(const Engine& engine);    // for answers: "cpu/avx2"
size_t scratch_size_bytes(const Engine& engine);  // beside the plan's arena; of one window
size_t packed_size_bytes(const Engine& engine);   // weights as the kernels take them
size_t threads_of(const Engine& engine);          // that share a step

// One window, row-major, as many values as the plan's input has. Error kInvalidInput otherwise.
// Nothing here allocates or locks on one thread. More threads hand each other work by an atomic
// counter, for which they sleep in the kernel once a short spin has not been enough.
Result<void> run(Engine& engine, std::span<const float> window);
// Up to engine.batch windows, one behind the other; the same bytes as run. Error kInvalidInput if
// `count` is 0 or above the batch, or the windows do not hold as many values.
Result<void> run_batch(Engine& engine, std::span<const float> windows, size_t count);
// One tensor per input of the plan, in its order. Error kInvalidInput if types or shapes differ.
Result<void> run_tensors(Engine& engine, std::span<const Tensor> inputs);
// run_batch, adding each step's duration to step_ns (one per step of the plan).
Result<void> run_timed(Engine& engine, std::span<const float> windows, std::span<int64_t> step_ns,
                       size_t count = 1);

// The bytes of plan output `index` after a run, row-major, of window `window` of a batch; valid
// until the next run.
std::span<const std::byte> output_bytes(const Engine& engine, size_t index, size_t window = 0);
// A copy of any buffer in logical (ONNX) order, whatever its layout. Buffers share memory, so
// what is read is what the last step to write there left.
Tensor read_buffer(const Engine& engine, BufferId id);
Tensor output_tensor(const Engine& engine, size_t index);

// Runs the steps up to and including `last_step` only, so that read_buffer sees its output.
Result<void> run_until(Engine& engine, std::span<const float> window, size_t last_step);

// Windows [N, ...] through the plan on `threads` cores (0: all). Per plan output a tensor whose
// first dimension is N: an output [1, ...] becomes [N, ...], any other [...] becomes [N, ...].
// Windows are shared out among the threads and computed in batches; where there are fewer windows
// than threads, threads share a window that is worth it. The same bytes for any number of threads.
// Error kInvalidInput if the windows do not fit.
Result<std::vector<Tensor>> run_windows(const Engine& engine, const Tensor& windows,
                                        size_t threads = 0);
// How many of `threads` threads one window of this plan is worth: 1 for a small network.
size_t threads_per_window(const Plan& plan, size_t threads);
// How many windows are best computed together: fewer, the more memory one takes.
size_t usual_batch(const Engine& engine);

}  // namespace graupel::run
