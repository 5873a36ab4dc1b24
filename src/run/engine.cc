// Loading, running and reading an engine. See engine.h.
//
// Idea: everything that can fail or allocates happens in load_engine; the loop over the steps is a
// switch on the step's kind. Batches run one window at a time, each thread with its own clone.
// Test: engine_test.cc.
#include "run/engine.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/parallel.h"
#include "run/engine_internal.h"

namespace graupel::run {
namespace {

size_t scratch_of(const StepBody& body, const Prepared& prepared) {
  if (const ConvInt8* conv = std::get_if<ConvInt8>(&body)) {
    return conv_scratch_bytes(std::get<PackedConv>(prepared), *conv);
  }
  if (const MaxPoolInt8* pool = std::get_if<MaxPoolInt8>(&body)) {
    return pool_scratch_bytes(pool->window);
  }
  if (const AveragePoolInt8* pool = std::get_if<AveragePoolInt8>(&body)) {
    return pool_scratch_bytes(pool->window);
  }
  return 0;
}

Result<void> check_input(const Plan& plan, EngineInputs inputs) {
  if (inputs == EngineInputs::kTensors && !plan.inputs.empty()) return ok();
  if (plan.inputs.size() != 1 ||
      plan.buffers[plan.inputs[0].buffer.index()].dtype != DType::kFloat32) {
    return unsupported("plan", "takes " + std::to_string(plan.inputs.size()) +
                                   " inputs; the engine needs exactly one, of float32");
  }
  return ok();
}

Result<Engine> with_memory(std::shared_ptr<const Program> program) {
  Engine engine;
  // A convolution that reads its input in place may read a few bytes past it.
  TRY_ASSIGN(engine.arena, Memory::create(program->plan.arena_size_bytes + kernels::kReadSlack));
  TRY_ASSIGN(engine.scratch, Memory::create(program->scratch_bytes));
  engine.program = std::move(program);
  return engine;
}

void execute_step(const Frame& frame, size_t index) {
  const StepBody& body = frame.program.plan.steps[index].body;
  if (const ConvInt8* conv = std::get_if<ConvInt8>(&body)) {
    execute(frame, *conv, *std::get_if<PackedConv>(&frame.program.prepared[index]));
    return;
  }
  std::visit(
      [&](const auto& step) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(step)>, ConvInt8>) {
          execute(frame, step);
        }
      },
      body);
}

// Checks the window and copies it to the input's place.
Result<Frame> take_window(Engine& engine, std::span<const float> window) {
  const Plan& plan = engine.program->plan;
  const Buffer& input = plan.buffers[plan.inputs[0].buffer.index()];
  TRY(check_input(plan, EngineInputs::kWindow));
  if (static_cast<int64_t>(window.size()) != buffer_elements(input)) {
    return invalid_input("input " + plan.inputs[0].name,
                         "got " + std::to_string(window.size()) + " values, expected " +
                             std::to_string(buffer_elements(input)) + " (" +
                             graupel::to_string(input.shape) + ")");
  }
  std::memcpy(engine.arena.data() + input.offset, window.data(), window.size_bytes());
  return Frame{*engine.program, engine.arena.data(), engine.scratch.data()};
}

Shape batched(const Shape& shape, int64_t count) {
  Shape out = shape;
  if (!out.empty() && out[0] == 1) {
    out[0] = count;
  } else {
    out.insert(out.begin(), count);
  }
  return out;
}

// Logical element order from memory order [d1, d2, ..., C].
void from_channels_last(const std::byte* from, const Buffer& buffer, std::byte* to) {
  const size_t size = element_size_bytes(buffer.dtype);
  const int64_t channels = buffer.shape[1];
  const int64_t inner = buffer_elements(buffer) / channels;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < inner; ++i, to += size) {
      std::memcpy(to, from + static_cast<size_t>(i * channels + c) * size, size);
    }
  }
}

}  // namespace

void Memory::Free::operator()(void* block) const { std::free(block); }

Result<Memory> Memory::create(size_t size_bytes) {
  Memory memory;
  memory.size_bytes_ = size_bytes;
  // calloc gives untouched zero pages, so memory that a plan only declares costs nothing.
  memory.block_.reset(std::calloc(size_bytes + kAlignmentBytes, 1));
  if (!memory.block_) {
    return invalid_input("plan", "needs " + std::to_string(size_bytes) +
                                     " bytes of memory, which this machine does not give");
  }
  const uintptr_t address = reinterpret_cast<uintptr_t>(memory.block_.get());
  const size_t gap = (kAlignmentBytes - address % kAlignmentBytes) % kAlignmentBytes;
  memory.data_ = static_cast<std::byte*>(memory.block_.get()) + gap;
  return memory;
}

Result<Engine> load_engine(Plan plan, const EngineOptions& options) {
  TRY(check_plan(plan));
  TRY(check_input(plan, options.inputs));
  const auto program = std::make_shared<Program>();
  program->isa = kernels::Isa::kScalar;
  if (options.isa) {
    program->isa = *options.isa;
  } else {
    TRY_ASSIGN(program->isa, kernels::choose_isa());
  }
  program->kernels = &kernels::kernel_table(program->isa);
  for (const Step& step : plan.steps) {
    Prepared prepared;
    if (const ConvInt8* conv = std::get_if<ConvInt8>(&step.body)) {
      PackedConv packed = pack_conv(plan, *conv, program->kernels->dot_form);
      program->packed_bytes += packed_bytes_of(packed);
      prepared = std::move(packed);
    }
    program->scratch_bytes = std::max(program->scratch_bytes, scratch_of(step.body, prepared));
    program->prepared.push_back(std::move(prepared));
  }
  program->plan = std::move(plan);
  return with_memory(program);
}

Result<Engine> clone(const Engine& engine) { return with_memory(engine.program); }

const Plan& plan_of(const Engine& engine) { return engine.program->plan; }
kernels::Isa isa_of(const Engine& engine) { return engine.program->isa; }
size_t scratch_size_bytes(const Engine& engine) { return engine.program->scratch_bytes; }
size_t packed_size_bytes(const Engine& engine) { return engine.program->packed_bytes; }

Result<void> run(Engine& engine, std::span<const float> window) {
  TRY_ASSIGN(const Frame frame, take_window(engine, window));
  const size_t count = engine.program->plan.steps.size();
  for (size_t i = 0; i < count; ++i) execute_step(frame, i);
  return ok();
}

Result<void> run_tensors(Engine& engine, std::span<const Tensor> inputs) {
  const Plan& plan = engine.program->plan;
  if (inputs.size() != plan.inputs.size()) {
    return invalid_input("plan", "takes " + std::to_string(plan.inputs.size()) + " inputs, got " +
                                     std::to_string(inputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Buffer& buffer = plan.buffers[plan.inputs[i].buffer.index()];
    if (inputs[i].dtype() == buffer.dtype && inputs[i].shape() == buffer.shape) continue;
    return invalid_input("input " + plan.inputs[i].name,
                         "is " + graupel::to_string(inputs[i].shape()) + ", expected " +
                             graupel::to_string(buffer.shape));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Buffer& buffer = plan.buffers[plan.inputs[i].buffer.index()];
    std::memcpy(engine.arena.data() + buffer.offset, inputs[i].bytes(), inputs[i].size_bytes());
  }
  const Frame frame{*engine.program, engine.arena.data(), engine.scratch.data()};
  for (size_t i = 0; i < plan.steps.size(); ++i) execute_step(frame, i);
  return ok();
}

Result<void> run_timed(Engine& engine, std::span<const float> window, std::span<int64_t> step_ns) {
  using Clock = std::chrono::steady_clock;
  const size_t count = engine.program->plan.steps.size();
  if (step_ns.size() != count) {
    return invalid_input("step_ns", "has to hold one number per step of the plan");
  }
  TRY_ASSIGN(const Frame frame, take_window(engine, window));
  Clock::time_point before = Clock::now();
  for (size_t i = 0; i < count; ++i) {
    execute_step(frame, i);
    const Clock::time_point after = Clock::now();
    step_ns[i] += std::chrono::duration_cast<std::chrono::nanoseconds>(after - before).count();
    before = after;
  }
  return ok();
}

Result<void> run_until(Engine& engine, std::span<const float> window, size_t last_step) {
  TRY_ASSIGN(const Frame frame, take_window(engine, window));
  const size_t count = engine.program->plan.steps.size();
  for (size_t i = 0; i < count && i <= last_step; ++i) execute_step(frame, i);
  return ok();
}

std::span<const std::byte> output_bytes(const Engine& engine, size_t index) {
  const Plan& plan = engine.program->plan;
  const BufferId id = plan.outputs[index].buffer;
  const Buffer& buffer = plan.buffers[id.index()];
  const Frame frame{*engine.program, engine.arena.data(), engine.scratch.data()};
  return {frame.read<std::byte>(id), static_cast<size_t>(buffer_bytes(buffer))};
}

Tensor read_buffer(const Engine& engine, BufferId id) {
  const Buffer& buffer = engine.program->plan.buffers[id.index()];
  const Frame frame{*engine.program, engine.arena.data(), engine.scratch.data()};
  Tensor tensor(buffer.dtype, buffer.shape);
  if (buffer.layout == Layout::kChannelsLast) {
    from_channels_last(frame.read<std::byte>(id), buffer, tensor.mutable_bytes());
  } else {
    std::memcpy(tensor.mutable_bytes(), frame.read<std::byte>(id), tensor.size_bytes());
  }
  return tensor;
}

Tensor output_tensor(const Engine& engine, size_t index) {
  return read_buffer(engine, engine.program->plan.outputs[index].buffer);
}

Result<std::vector<Tensor>> run_windows(const Engine& engine, const Tensor& windows,
                                        size_t threads) {
  const Plan& plan = engine.program->plan;
  const Shape& shape = plan.buffers[plan.inputs[0].buffer.index()].shape;
  const int64_t count = windows.rank() == 0 ? 0 : windows.shape()[0];
  if (windows.dtype() != DType::kFloat32 || windows.rank() == 0 ||
      (windows.shape() != batched(shape, count))) {
    Shape one = batched(shape, 1);
    one.erase(one.begin());
    return invalid_input("windows", "are " + std::string(graupel::to_string(windows.dtype())) +
                                        " " + graupel::to_string(windows.shape()) +
                                        ", expected float32 Nx" + graupel::to_string(one));
  }
  std::vector<Tensor> outputs;
  std::vector<std::byte*> targets;
  for (const Port& port : plan.outputs) {
    const Buffer& buffer = plan.buffers[port.buffer.index()];
    outputs.emplace_back(buffer.dtype, batched(buffer.shape, count));
    targets.push_back(outputs.back().mutable_bytes());
  }
  const size_t workers = std::max<size_t>(
      1, std::min(threads == 0 ? available_cores() : threads, static_cast<size_t>(count)));
  std::vector<Engine> engines;
  for (size_t i = 0; i < workers; ++i) {
    TRY_ASSIGN(Engine mine, clone(engine));
    engines.push_back(std::move(mine));
  }
  const size_t window_size = static_cast<size_t>(*element_count(shape));
  const std::span<const float> values = windows.data<float>();
  parallel_for(
      static_cast<size_t>(count),
      [&](size_t index, size_t worker) {
        Engine& mine = engines[worker];
        // The size fits, as checked above, and nothing else can fail.
        static_cast<void>(run(mine, values.subspan(index * window_size, window_size)));
        for (size_t o = 0; o < targets.size(); ++o) {
          const std::span<const std::byte> bytes = output_bytes(mine, o);
          std::memcpy(targets[o] + index * bytes.size(), bytes.data(), bytes.size());
        }
      },
      workers);
  return outputs;
}

}  // namespace graupel::run
