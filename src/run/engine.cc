// Loading, running and reading an engine. See engine.h.
//
// Idea: everything that can fail or allocates happens in load_engine; the loop over the steps is a
// switch on the step's kind. Convolutions see the whole batch, every other step one window at a
// time. Test: engine_test.cc, batch_test.cc.
#include "run/engine.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

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

Result<void> check_input(const Plan& plan, EngineInputs inputs) {
  if (inputs == EngineInputs::kTensors && !plan.inputs.empty()) return ok();
  if (plan.inputs.size() != 1 ||
      plan.buffers[plan.inputs[0].buffer.index()].dtype != DType::kFloat32) {
    return unsupported("plan", "takes " + std::to_string(plan.inputs.size()) +
                                   " inputs; the engine needs exactly one, of float32");
  }
  return ok();
}

// A step of fewer multiply-adds takes some microseconds at most, less than waking a thread does
// (docs/benchmarks.md, "Threads inside one window"). A depthwise one costs as much as ten.
constexpr int64_t kLeastSharedMacs = 1'000'000;
constexpr int64_t kDepthwiseCost = 10;
// More than this beside one window slows a batch of it down instead (docs/benchmarks.md,
// "Batches").
constexpr size_t kMostBatchBytes = size_t{128} << 10;
constexpr size_t kMostUsualBatch = 4;

bool is_shared(const Step& step) {
  const ConvInt8* conv = std::get_if<ConvInt8>(&step.body);
  if (conv == nullptr) return false;
  const bool depthwise = conv->groups > 1 && conv->groups == conv->window.channels;
  return step.macs >= kLeastSharedMacs / (depthwise ? kDepthwiseCost : 1);
}

Result<void> check_most(const char* what, size_t count, size_t most) {
  if (count >= 1 && count <= most) return ok();
  return invalid_input(what,
                       "is " + std::to_string(count) + ", expected 1 to " + std::to_string(most));
}

Result<Engine> with_memory(std::shared_ptr<const Program> program, size_t batch, size_t threads) {
  TRY(check_most("batch", batch, kMostBatch));
  TRY(check_most("threads", threads, kMostThreads));
  if (!program->has_shared_steps) threads = 1;
  Engine engine;
  TRY_ASSIGN(engine.arena, Memory::create(program->arena_stride * batch));
  TRY_ASSIGN(engine.scratch, Memory::create(program->scratch_stride * batch * threads));
  if (threads > 1) {
    TRY_ASSIGN(engine.crew, Crew::create(threads));
  }
  engine.batch = batch;
  engine.program = std::move(program);
  return engine;
}

// Keeps the alignment. An odd number of cache lines, so that the windows of a batch do not all
// compete for the same places of a cache.
size_t stride_of(size_t size_bytes) {
  const size_t lines = (size_bytes + kAlignmentBytes - 1) / kAlignmentBytes;
  return (lines | 1) * kAlignmentBytes;
}

Frames frames_of(const Engine& engine, size_t count) {
  return {*engine.program, engine.arena.data(), engine.scratch.data(), count};
}
Frame frame_of(const Engine& engine, size_t window = 0) { return frames_of(engine, 1)[window]; }

void execute_conv(const Engine& engine, const Frames& frames, const Step& step,
                  const PackedConv& packed) {
  const ConvInt8& conv = *std::get_if<ConvInt8>(&step.body);
  Crew* const crew = engine.crew.get();
  if (crew == nullptr || !is_shared(step)) return execute(frames, conv, packed, {});
  crew->run([&](size_t member) {
    Frames mine = frames;
    mine.scratch += member * engine.batch * frames.program.scratch_stride;
    execute(mine, conv, packed,
            {static_cast<int32_t>(member), static_cast<int32_t>(crew->members())});
  });
}

void execute_step(const Engine& engine, const Frames& frames, size_t index) {
  const Step& step = frames.program.plan.steps[index];
  if (const auto* packed = std::get_if<PackedConv>(&frames.program.prepared[index])) {
    return execute_conv(engine, frames, step, *packed);
  }
  std::visit(
      [&](const auto& body) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(body)>, ConvInt8>) {
          for (size_t i = 0; i < frames.count; ++i) execute(frames[i], body);
        }
      },
      step.body);
}

// Steps [first, end).
void execute_steps(const Engine& engine, const Frames& frames, size_t first, size_t end) {
  for (size_t i = first; i < end; ++i) execute_step(engine, frames, i);
}

// Elements of one window of `count` in `windows`.
Result<size_t> check_windows(const Engine& engine, std::span<const float> windows, size_t count) {
  const Plan& plan = engine.program->plan;
  TRY(check_input(plan, EngineInputs::kWindow));
  const Buffer& input = plan.buffers[plan.inputs[0].buffer.index()];
  const auto each = static_cast<size_t>(buffer_elements(input));
  if (windows.size() == each * count) return each;
  return invalid_input("input " + plan.inputs[0].name,
                       "got " + std::to_string(windows.size()) + " values, expected " +
                           std::to_string(each * count) + " (" +
                           (count == 1 ? "" : std::to_string(count) + " windows of ") +
                           graupel::to_string(input.shape) + ")");
}

Result<void> check_count(const Engine& engine, size_t count) {
  if (count >= 1 && count <= engine.batch) return ok();
  return invalid_input("batch", "has " + std::to_string(count) + " windows, expected 1 to " +
                                    std::to_string(engine.batch));
}

// Checks the windows and copies them to the input's places.
Result<Frames> take_windows(Engine& engine, std::span<const float> windows, size_t count) {
  TRY_ASSIGN(const size_t each, check_windows(engine, windows, count));
  const Plan& plan = engine.program->plan;
  const Buffer& input = plan.buffers[plan.inputs[0].buffer.index()];
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(engine.arena.data() + i * engine.program->arena_stride + input.offset,
                windows.data() + i * each, each * sizeof(float));
  }
  return frames_of(engine, count);
}

// Bytes of the arena.
struct Range {
  uint64_t first = 0, end = 0;

  bool overlaps(const Range& other) const { return first < other.end && other.first < end; }
  bool covers(const Range& other) const { return first <= other.first && other.end <= end; }
};

// Whether the first step quantises the only input and nothing reads the input's memory after it,
// unless something was written there, so that the step can read the caller's window itself.
bool only_quantizes_input(const Plan& plan) {
  if (plan.inputs.size() != 1 || plan.steps.empty()) return false;
  const auto* quantize = std::get_if<Quantize>(&plan.steps[0].body);
  if (quantize == nullptr || quantize->x != plan.inputs[0].buffer) return false;
  const auto range_of = [&](BufferId id) {
    const Buffer& b = plan.buffers[id.index()];
    if (b.place != Place::kArena) return Range{};
    return Range{b.offset, b.offset + static_cast<uint64_t>(buffer_bytes(b))};
  };
  const Range input = range_of(quantize->x);
  std::vector<Range> written;
  const auto reads_input = [&](BufferId id) {
    const Range range = range_of(id);
    return range.overlaps(input) &&
           std::none_of(written.begin(), written.end(),
                        [&](const Range& earlier) { return earlier.covers(range); });
  };
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const StepBuffers used = step_buffers(plan.steps[i].body);
    if (i > 0 && std::any_of(used.reads.begin(), used.reads.end(), reads_input)) return false;
    const Range range = range_of(used.write);
    if (range.overlaps(input)) written.push_back(range);
  }
  return std::none_of(plan.outputs.begin(), plan.outputs.end(),
                      [&](const Port& port) { return reads_input(port.buffer); });
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
      PackedConv packed = pack_conv(plan, *conv, *program->kernels);
      program->packed_bytes += packed_bytes_of(packed);
      prepared = std::move(packed);
    }
    program->scratch_bytes = std::max(program->scratch_bytes, scratch_of(step.body, prepared));
    program->prepared.push_back(std::move(prepared));
  }
  program->plan = std::move(plan);
  program->only_quantizes_input = only_quantizes_input(program->plan);
  program->has_shared_steps = threads_per_window(program->plan, 2) > 1;
  // A convolution that reads its input in place may read a few bytes past it.
  program->arena_stride = stride_of(program->plan.arena_size_bytes + kernels::kReadSlack);
  program->scratch_stride = stride_of(program->scratch_bytes);
  return with_memory(program, options.batch, options.threads);
}

Result<Engine> clone(const Engine& engine) {
  return clone(engine, engine.batch, threads_of(engine));
}
Result<Engine> clone(const Engine& engine, size_t batch, size_t threads) {
  return with_memory(engine.program, batch, threads);
}

size_t threads_per_window(const Plan& plan, size_t threads) {
  const bool worth = std::any_of(plan.steps.begin(), plan.steps.end(), is_shared);
  return worth ? std::max<size_t>(1, threads) : 1;
}

size_t usual_batch(const Engine& engine) {
  const Program& program = *engine.program;
  const size_t more = kMostBatchBytes / (program.arena_stride + program.scratch_stride);
  return std::min(kMostUsualBatch, 1 + more);
}

const Plan& plan_of(const Engine& engine) { return engine.program->plan; }
kernels::Isa isa_of(const Engine& engine) { return engine.program->isa; }
std::string engine_name(const Engine& engine) {
  return "cpu/" + std::string(kernels::to_string(isa_of(engine)));
}
size_t scratch_size_bytes(const Engine& engine) { return engine.program->scratch_bytes; }
size_t threads_of(const Engine& engine) { return engine.crew ? engine.crew->members() : 1; }
size_t packed_size_bytes(const Engine& engine) { return engine.program->packed_bytes; }

Result<void> run(Engine& engine, std::span<const float> window) {
  return run_batch(engine, window, 1);
}

Result<void> run_batch(Engine& engine, std::span<const float> windows, size_t count) {
  TRY(check_count(engine, count));
  const Program& program = *engine.program;
  const size_t steps = program.plan.steps.size();
  if (!program.only_quantizes_input) {
    TRY_ASSIGN(const Frames frames, take_windows(engine, windows, count));
    execute_steps(engine, frames, 0, steps);
    return ok();
  }
  TRY_ASSIGN(const size_t each, check_windows(engine, windows, count));
  const Frames frames = frames_of(engine, count);
  const Quantize& first = *std::get_if<Quantize>(&program.plan.steps[0].body);
  for (size_t i = 0; i < count; ++i) execute(frames[i], first, windows.data() + i * each);
  execute_steps(engine, frames, 1, steps);
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
  execute_steps(engine, frames_of(engine, 1), 0, plan.steps.size());
  return ok();
}

Result<void> run_timed(Engine& engine, std::span<const float> windows, std::span<int64_t> step_ns,
                       size_t count) {
  using Clock = std::chrono::steady_clock;
  const size_t steps = engine.program->plan.steps.size();
  if (step_ns.size() != steps) {
    return invalid_input("step_ns", "has to hold one number per step of the plan");
  }
  TRY(check_count(engine, count));
  TRY_ASSIGN(const Frames frames, take_windows(engine, windows, count));
  Clock::time_point before = Clock::now();
  for (size_t i = 0; i < steps; ++i) {
    execute_step(engine, frames, i);
    const Clock::time_point after = Clock::now();
    step_ns[i] += std::chrono::duration_cast<std::chrono::nanoseconds>(after - before).count();
    before = after;
  }
  return ok();
}

Result<void> run_until(Engine& engine, std::span<const float> window, size_t last_step) {
  TRY_ASSIGN(const Frames frames, take_windows(engine, window, 1));
  const size_t count = engine.program->plan.steps.size();
  execute_steps(engine, frames, 0, last_step < count ? last_step + 1 : count);
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

}  // namespace graupel::run
