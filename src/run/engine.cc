// Loading, running and reading an engine. See engine.h.
//
// Idea: everything that can fail or allocates happens in load_engine; the loop over the steps is a
// switch on the step's kind. Batches run one window at a time, each thread with its own clone.
// Test: engine_test.cc.
#include "run/engine.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/parallel.h"
#include "run/crew.h"
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

Result<void> check_input(const Plan& plan) {
  if (plan.inputs.size() != 1 ||
      plan.buffers[plan.inputs[0].buffer.index()].dtype != DType::kFloat32) {
    return unsupported("plan", "takes " + std::to_string(plan.inputs.size()) +
                                   " inputs; the engine needs exactly one, of float32");
  }
  return ok();
}

// Multiply-adds of a step that threads share: a call of the crew costs some microseconds, which a
// core fills with about as many (docs/benchmarks.md).
constexpr int64_t kLeastSharedMacs = 2'000'000;
// Multiply-adds of a window that is worth more than one thread.
constexpr int64_t kLeastSharedWindowMacs = 50'000'000;
// Windows that a thread of run_windows computes together; more do not make a window any faster.
constexpr size_t kUsualBatch = 8;
// Memory that a batch may take beside a single window.
constexpr size_t kMostBatchBytes = size_t{64} << 20;

Result<Engine> with_memory(std::shared_ptr<const Program> program, size_t batch, size_t threads) {
  if (batch < 1 || batch > kMostBatch) {
    return invalid_input(
        "batch", "is " + std::to_string(batch) + ", expected 1 to " + std::to_string(kMostBatch));
  }
  if (threads < 1 || threads > kMostThreads) {
    return invalid_input("threads", "are " + std::to_string(threads) + ", expected 1 to " +
                                        std::to_string(kMostThreads));
  }
  Engine engine;
  TRY_ASSIGN(engine.arena, Memory::create(program->arena_stride * batch));
  TRY_ASSIGN(engine.scratch, Memory::create(program->scratch_stride * std::max(batch, threads)));
  if (threads > 1) {
    TRY_ASSIGN(engine.crew, Crew::create(threads));
  }
  engine.batch = batch;
  engine.program = std::move(program);
  return engine;
}

Frame frame_of(const Engine& engine, size_t window = 0) {
  return {engine.program.get(), engine.arena.data() + window * engine.program->arena_stride,
          engine.scratch.data() + window * engine.program->scratch_stride};
}

// Strides that keep 64-byte alignment; an odd number of cache lines, so that windows do not all
// compete for the same sets of a cache.
size_t stride_of(size_t size_bytes) {
  const size_t lines = (size_bytes + kAlignmentBytes - 1) / kAlignmentBytes;
  return (lines | 1) * kAlignmentBytes;
}

void execute_step(std::span<const Frame> frames, size_t index, Crew* crew) {
  const Program& program = *frames[0].program;
  const Step& step = program.plan.steps[index];
  if (const ConvInt8* conv = std::get_if<ConvInt8>(&step.body)) {
    const PackedConv& packed = *std::get_if<PackedConv>(&program.prepared[index]);
    if (crew == nullptr || step.macs < kLeastSharedMacs) return execute(frames, *conv, packed);
    const auto members = static_cast<int32_t>(crew->members());
    crew->run([&](size_t member) {
      Frame mine = frames[0];
      mine.scratch += member * program.scratch_stride;
      execute_part(mine, *conv, packed, {static_cast<int32_t>(member), members});
    });
    return;
  }
  for (const Frame& frame : frames) {
    std::visit(
        [&](const auto& body) {
          if constexpr (!std::is_same_v<std::decay_t<decltype(body)>, ConvInt8>) {
            execute(frame, body);
          }
        },
        step.body);
  }
}

void execute_steps(const Frame& frame, size_t count, Crew* crew) {
  for (size_t i = 0; i < count; ++i) execute_step({&frame, 1}, i, crew);
}

// Checks the windows and copies them to the input's place.
Result<void> take_windows(Engine& engine, std::span<const float> windows, size_t count) {
  const Plan& plan = engine.program->plan;
  const Buffer& input = plan.buffers[plan.inputs[0].buffer.index()];
  const auto each = static_cast<size_t>(buffer_elements(input));
  if (windows.size() != each * count) {
    return invalid_input("input " + plan.inputs[0].name,
                         "got " + std::to_string(windows.size()) + " values, expected " +
                             std::to_string(each * count) + " (" +
                             (count == 1 ? "" : std::to_string(count) + " windows of ") +
                             graupel::to_string(input.shape) + ")");
  }
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(engine.arena.data() + i * engine.program->arena_stride + input.offset,
                windows.data() + i * each, each * sizeof(float));
  }
  return ok();
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

size_t batch_of(const Program& program, size_t windows) {
  const size_t more = kMostBatchBytes / (program.arena_stride + program.scratch_stride);
  return std::min({windows, kUsualBatch, 1 + more});
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
  TRY(check_input(plan));
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
  // A convolution that reads its input in place may read a few bytes past it.
  program->arena_stride = stride_of(program->plan.arena_size_bytes + kernels::kReadSlack);
  program->scratch_stride = stride_of(program->scratch_bytes);
  return with_memory(program, options.batch, options.threads);
}

Result<Engine> clone(const Engine& engine) {
  return clone(engine, engine.batch, engine.crew ? engine.crew->members() : 1);
}
Result<Engine> clone(const Engine& engine, size_t batch, size_t threads) {
  return with_memory(engine.program, batch, threads);
}

const Plan& plan_of(const Engine& engine) { return engine.program->plan; }
kernels::Isa isa_of(const Engine& engine) { return engine.program->isa; }
size_t scratch_size_bytes(const Engine& engine) { return engine.program->scratch_bytes; }
size_t packed_size_bytes(const Engine& engine) { return engine.program->packed_bytes; }

Result<void> run(Engine& engine, std::span<const float> window) {
  TRY(take_windows(engine, window, 1));
  execute_steps(frame_of(engine), engine.program->plan.steps.size(), engine.crew.get());
  return ok();
}

Result<void> run_batch(Engine& engine, std::span<const float> windows, size_t count) {
  if (count < 1 || count > engine.batch) {
    return invalid_input("batch", "of " + std::to_string(count) + " windows, expected 1 to " +
                                      std::to_string(engine.batch));
  }
  TRY(take_windows(engine, windows, count));
  std::array<Frame, kMostBatch> frames;
  for (size_t i = 0; i < count; ++i) frames[i] = frame_of(engine, i);
  const size_t steps = engine.program->plan.steps.size();
  for (size_t i = 0; i < steps; ++i) execute_step({frames.data(), count}, i, nullptr);
  return ok();
}

Result<void> run_timed(Engine& engine, std::span<const float> window, std::span<int64_t> step_ns) {
  using Clock = std::chrono::steady_clock;
  const size_t count = engine.program->plan.steps.size();
  if (step_ns.size() != count) {
    return invalid_input("step_ns", "has to hold one number per step of the plan");
  }
  TRY(take_windows(engine, window, 1));
  const Frame frame = frame_of(engine);
  Clock::time_point before = Clock::now();
  for (size_t i = 0; i < count; ++i) {
    execute_step({&frame, 1}, i, engine.crew.get());
    const Clock::time_point after = Clock::now();
    step_ns[i] += std::chrono::duration_cast<std::chrono::nanoseconds>(after - before).count();
    before = after;
  }
  return ok();
}

Result<void> run_until(Engine& engine, std::span<const float> window, size_t last_step) {
  TRY(take_windows(engine, window, 1));
  const size_t count = std::min(engine.program->plan.steps.size(), last_step + 1);
  execute_steps(frame_of(engine), count, engine.crew.get());
  return ok();
}

std::span<const std::byte> output_bytes(const Engine& engine, size_t index, size_t window) {
  const Plan& plan = engine.program->plan;
  const BufferId id = plan.outputs[index].buffer;
  const Buffer& buffer = plan.buffers[id.index()];
  return {frame_of(engine, window).read<std::byte>(id), static_cast<size_t>(buffer_bytes(buffer))};
}

Tensor read_buffer(const Engine& engine, BufferId id) {
  const Buffer& buffer = engine.program->plan.buffers[id.index()];
  const Frame frame = frame_of(engine);
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

size_t threads_per_window(const Plan& plan, size_t threads) {
  int64_t macs = 0;
  for (const Step& step : plan.steps) macs += step.macs >= kLeastSharedMacs ? step.macs : 0;
  return macs >= kLeastSharedWindowMacs ? std::max<size_t>(1, threads) : 1;
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
  if (count == 0) return outputs;
  const auto all = static_cast<size_t>(count);
  const size_t cores = threads == 0 ? available_cores() : threads;
  const size_t workers = std::min(cores, all);
  const size_t each = batch_of(*engine.program, (all + workers - 1) / workers);
  const size_t members = threads_per_window(plan, std::min(cores / workers, kMostThreads));
  std::vector<Engine> engines;
  for (size_t i = 0; i < workers; ++i) {
    TRY_ASSIGN(Engine mine, clone(engine, each, members));
    engines.push_back(std::move(mine));
  }
  const size_t window_size = static_cast<size_t>(*element_count(shape));
  const std::span<const float> values = windows.data<float>();
  parallel_for((all + each - 1) / each,
               [&](size_t index, size_t worker) {
                 Engine& mine = engines[worker];
                 const size_t first = index * each, some = std::min(each, all - first);
                 const auto these = values.subspan(first * window_size, some * window_size);
                 // The sizes fit, as checked above, and nothing else can fail.
                 static_cast<void>(some == 1 ? run(mine, these) : run_batch(mine, these, some));
                 for (size_t o = 0; o < targets.size(); ++o) {
                   for (size_t i = 0; i < some; ++i) {
                     const std::span<const std::byte> bytes = output_bytes(mine, o, i);
                     std::memcpy(targets[o] + (first + i) * bytes.size(), bytes.data(),
                                 bytes.size());
                   }
                 }
               },
               workers);
  return outputs;
}

}  // namespace graupel::run
