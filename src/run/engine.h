// Engine: a loaded plan with its own memory, ready to answer windows on the CPU.
//
// Idea: load_engine checks the plan, packs its weights for the chosen instruction set and takes
// all memory. After that run() only computes: no allocation, no lock, no system call, no string.
// The loaded plan is shared and never written, so each thread takes a clone with its own arena.
// Test: engine_test.cc.
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
  Memory arena;
  Memory scratch;
};

// What is given to run: one window, or a tensor for each input of the plan (run_tensors).
enum class EngineInputs { kWindow, kTensors };

struct EngineOptions {
  std::optional<kernels::Isa> isa;  // nullopt: kernels::choose_isa()
  EngineInputs inputs = EngineInputs::kWindow;
};

// Errors: those of check_plan and choose_isa; kUnsupported if the plan takes no input or, for
// kWindow, not exactly one float32 input; kInvalidInput if the memory cannot be had.
Result<Engine> load_engine(Plan plan, const EngineOptions& options = {});
// The same program with memory of its own, for another thread.
Result<Engine> clone(const Engine& engine);

const Plan& plan_of(const Engine& engine);
kernels::Isa isa_of(const Engine& engine);
size_t scratch_size_bytes(const Engine& engine);  // beside the plan's arena
size_t packed_size_bytes(const Engine& engine);   // weights as the kernels take them

// One window, row-major, as many values as the plan's input has. Error kInvalidInput otherwise.
Result<void> run(Engine& engine, std::span<const float> window);
// One tensor per input of the plan, in its order. Error kInvalidInput if types or shapes differ.
Result<void> run_tensors(Engine& engine, std::span<const Tensor> inputs);
// The same, adding each step's duration to step_ns (one per step of the plan).
Result<void> run_timed(Engine& engine, std::span<const float> window, std::span<int64_t> step_ns);

// The bytes of plan output `index` after a run, row-major; valid until the next run.
std::span<const std::byte> output_bytes(const Engine& engine, size_t index);
// A copy of any buffer in logical (ONNX) order, whatever its layout. Buffers share memory, so
// what is read is what the last step to write there left.
Tensor read_buffer(const Engine& engine, BufferId id);
Tensor output_tensor(const Engine& engine, size_t index);

// Runs the steps up to and including `last_step` only, so that read_buffer sees its output.
Result<void> run_until(Engine& engine, std::span<const float> window, size_t last_step);

// Windows [N, ...] through the plan on `threads` cores (0: all). Per plan output a tensor whose
// first dimension is N: an output [1, ...] becomes [N, ...], any other [...] becomes [N, ...].
// The same bytes for any number of threads. Error kInvalidInput if the windows do not fit.
Result<std::vector<Tensor>> run_windows(const Engine& engine, const Tensor& windows,
                                        size_t threads = 0);

}  // namespace graupel::run
