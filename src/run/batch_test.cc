// Batches and threads inside a window: the bytes of one window at a time on one thread, for every
// way in which a convolution is walked, on every instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "run/engine.h"
#include "run/engine_internal.h"
#include "run/plan_builder.h"

namespace graupel::run {
namespace {

// Convolutions one behind the other. Every step says that it is worth sharing.
struct Chain {
  PlanBuilder builder;
  Rng rng{21};
  BufferId x;
  Shape shape;  // [1, C, H, W]
  DType dtype;
  int32_t zero_point = 0;

  Chain(DType type, Shape input) : shape(input), dtype(type) {
    const int64_t inner = *element_count(input) / input[1];
    const BufferId window = builder.input(input);
    x = builder.buffer(type, input, Layout::kChannelsLast);
    zero_point = type == DType::kInt8 ? -3 : 120;
    const Requantize bytes =
        type == DType::kInt8 ? Requantize{-3, -128, 127} : Requantize{120, 0, 255};
    builder.step(Quantize{window,
                          x,
                          {},
                          {},
                          ByteOrder::kChannelsLast,
                          static_cast<int32_t>(input[1]),
                          inner,
                          0.02f,
                          bytes});
  }

  // A convolution of the same size (stride 1) or half, and what is joined to it.
  ConvInt8 conv(int32_t channels, int32_t kernel, int32_t stride, int32_t groups) {
    ConvInt8 s;
    const auto in = static_cast<int32_t>(shape[1]), h = static_cast<int32_t>(shape[2]),
               w = static_cast<int32_t>(shape[3]);
    s.x = x;
    s.x_zero_point = zero_point;
    s.window = {in,
                h,
                w,
                (h - 1) / stride + 1,
                (w - 1) / stride + 1,
                kernel,
                kernel,
                stride,
                stride,
                1,
                1,
                kernel / 2,
                kernel / 2};
    s.out_channels = channels;
    s.groups = groups;
    s.weights = builder.constant(random_int8(rng, {channels, kernel, kernel, in / groups}));
    s.bias = builder.constant(random_int32(rng, {channels}, 3000));
    // Keeps the bytes spread over their range.
    const double norm = std::sqrt(double(kernel) * kernel * in / groups);
    s.multiplier = builder.constant(random_float(rng, {channels}, 0.003 / norm, 0.015 / norm));
    s.requantize = {dtype == DType::kInt8 ? -3 : 120, dtype == DType::kInt8 ? -128 : 0,
                    dtype == DType::kInt8 ? 127 : 255};
    zero_point = s.requantize.zero_point;
    return s;
  }
  void add(ConvInt8 s, Shape out) {
    s.y = builder.buffer(dtype, out, Layout::kChannelsLast);
    builder.step(s);
    builder.plan.steps.back().macs = int64_t{1} << 32;
    x = s.y;
    shape = std::move(out);
  }
  void plain(int32_t channels, int32_t kernel, int32_t stride = 1, int32_t groups = 1) {
    const ConvInt8 s = conv(channels, kernel, stride, groups);
    add(s, {1, channels, s.window.out_h, s.window.out_w});
  }
  void pooled(int32_t channels, int32_t height) {  // pairs of neighbours, or 3 x 3
    ConvInt8 s = conv(channels, 3, 1, 1);
    const Window2d& w = s.window;
    Window2d p{channels, w.out_h, w.out_w, w.out_h, w.out_w / 2, 1, 2, 1, 2, 1, 1, 0, 0};
    if (height > 1) {
      p = {channels, w.out_h, w.out_w, (w.out_h - 1) / 2 + 1, (w.out_w - 1) / 2 + 1, 3, 3, 2, 2, 1,
           1,        1,       1};
    }
    s.pool = p;
    add(s, {1, channels, p.out_h, p.out_w});
  }
  void with_residual() {
    ConvInt8 s = conv(static_cast<int32_t>(shape[1]), 3, 1, 1);
    s.residual = x;
    s.residual_zero_point = zero_point;
    s.last = s.requantize;
    add(s, shape);
  }
  void averaged(int32_t channels) {
    ConvInt8 s = conv(channels, 1, 1, 1);
    s.average =
        builder.constant(Tensor::of<float>({1}, {6.0f / static_cast<float>(shape[2] * shape[3])}));
    s.last = s.requantize;
    add(s, {1, channels, 1, 1});
  }
  Plan finish() {
    builder.output(x, "bytes");
    Plan plan = builder.plan;
    plan.buffers[x.index()].layout = Layout::kRowMajor;  // one position: the same bytes
    return plan;
  }
};

Plan chain(DType dtype) {
  Chain c(dtype, {1, 3, 19, 22});
  c.pooled(20, 3);        // held rows
  c.plain(24, 3);         //
  c.plain(24, 3, 1, 24);  // depthwise
  c.with_residual();      //
  c.plain(70, 1);         // rows joined, more than one group of blocks
  c.pooled(33, 1);        // pairs
  c.plain(36, 3, 2, 3);   // strided, grouped
  c.averaged(130);        // whole image held, three groups of blocks
  c.plain(70, 1);         // one position
  c.plain(9, 1);
  return c.finish();
}

Tensor some_windows(int64_t count) {
  Rng rng(4);
  return random_float(rng, {count, 3, 19, 22}, -3.0, 3.0);
}

// The plan's output for each window, one window at a time.
std::vector<std::string> one_by_one(Engine& engine, const Tensor& windows) {
  std::vector<std::string> answers;
  const auto count = static_cast<size_t>(windows.shape()[0]);
  const size_t size = windows.size() / count;
  for (size_t i = 0; i < count; ++i) {
    EXPECT_TRUE(run(engine, windows.data<float>().subspan(i * size, size)).ok());
    const std::span<const std::byte> bytes = output_bytes(engine, 0);
    answers.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return answers;
}

std::vector<std::string> in_batches(Engine& engine, const Tensor& windows) {
  std::vector<std::string> answers;
  const auto count = static_cast<size_t>(windows.shape()[0]);
  const size_t size = windows.size() / count;
  for (size_t first = 0; first < count; first += engine.batch) {
    const size_t some = std::min(engine.batch, count - first);
    EXPECT_TRUE(
        run_batch(engine, windows.data<float>().subspan(first * size, some * size), some).ok());
    for (size_t i = 0; i < some; ++i) {
      const std::span<const std::byte> bytes = output_bytes(engine, 0, i);
      answers.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
  }
  return answers;
}

TEST(Batch, GivesTheBytesOfOneWindowAtATimeOnEveryIsa) {
  const Tensor windows = some_windows(11);
  for (const DType dtype : {DType::kInt8, DType::kUInt8}) {
    Result<Engine> plain = load_engine(chain(dtype), {.isa = kernels::Isa::kScalar});
    ASSERT_TRUE(plain.ok()) << plain.error().message();
    const std::vector<std::string> expected = one_by_one(*plain, windows);
    // Windows differ, and outputs are not all at a bound, or the comparison would prove little.
    EXPECT_NE(expected[0], expected[1]);
    EXPECT_NE(expected[0], std::string(expected[0].size(), expected[0][0]));
    for (const kernels::Isa isa : kernels::supported_isas()) {
      for (const size_t batch : {1, 2, 4, 11}) {
        Result<Engine> engine = load_engine(chain(dtype), {.isa = isa, .batch = batch});
        ASSERT_TRUE(engine.ok()) << engine.error().message();
        ASSERT_EQ(in_batches(*engine, windows), expected) << to_string(isa) << ' ' << batch;
      }
    }
  }
}

TEST(Batch, ThreadsInsideAWindowGiveTheSameBytes) {
  const Tensor windows = some_windows(5);
  for (const DType dtype : {DType::kInt8, DType::kUInt8}) {
    for (const kernels::Isa isa : kernels::supported_isas()) {
      Result<Engine> one = load_engine(chain(dtype), {.isa = isa});
      ASSERT_TRUE(one.ok()) << one.error().message();
      const std::vector<std::string> expected = one_by_one(*one, windows);
      for (const size_t threads : {2, 3, 7}) {
        Result<Engine> engine =
            load_engine(chain(dtype), {.isa = isa, .batch = 2, .threads = threads});
        ASSERT_TRUE(engine.ok()) << engine.error().message();
        ASSERT_NE(engine->crew, nullptr);
        ASSERT_EQ(one_by_one(*engine, windows), expected) << to_string(isa) << ' ' << threads;
        ASSERT_EQ(in_batches(*engine, windows), expected) << to_string(isa) << ' ' << threads;
      }
    }
  }
}

// For ThreadSanitizer. Nine channels of 64 positions fill their buffer to its last byte, and the
// result lies right behind it: the last quad of channels would read what another thread writes.
TEST(Batch, ThreadsReadNothingOfTheResultBehindAnInput) {
  Rng rng(8);
  const Tensor windows = random_float(rng, {3, 9, 8, 8}, -3.0, 3.0);
  for (const DType dtype : {DType::kInt8, DType::kUInt8}) {
    Chain c(dtype, {1, 9, 8, 8});
    ASSERT_EQ(buffer_bytes(c.builder.plan.buffers[c.x.index()]) % int64_t{kAlignmentBytes}, 0);
    c.plain(32, 1);
    c.averaged(16);
    const Plan plan = c.finish();
    Result<Engine> one = load_engine(plan, {});
    ASSERT_TRUE(one.ok()) << one.error().message();
    Result<Engine> two = load_engine(plan, {.threads = 2});
    ASSERT_TRUE(two.ok()) << two.error().message();
    EXPECT_EQ(one_by_one(*two, windows), one_by_one(*one, windows));
  }
}

// What `plan` gives for its input's windows when they are copied into the arena first.
std::vector<std::string> copied(Engine& engine, const Tensor& windows) {
  std::vector<std::string> answers;
  const Shape& shape = engine.program->plan.buffers[0].shape;
  const size_t size = static_cast<size_t>(*element_count(shape));
  for (size_t first = 0; first < windows.size(); first += size) {
    const std::span<const float> window = windows.data<float>().subspan(first, size);
    std::vector<Tensor> input(1, Tensor(DType::kFloat32, shape));
    std::copy(window.begin(), window.end(), input[0].mutable_data<float>().begin());
    EXPECT_TRUE(run_tensors(engine, input).ok());
    const std::span<const std::byte> bytes = output_bytes(engine, 0);
    answers.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return answers;
}

// The first step may read the caller's window, unless another one reads the input too: under its
// own name, under that of a view, or as the output.
TEST(Batch, TheInputIsCopiedWhereMoreThanTheFirstStepReadsIt) {
  const Tensor windows = [] {
    Rng rng(5);
    return random_float(rng, {3, 1, 40}, -3.0, 3.0);
  }();
  for (const int kind : {0, 1, 2, 3}) {
    PlanBuilder b;
    const BufferId x = b.input({1, 40});
    const BufferId view = BufferId(b.plan.buffers.size());
    b.plan.buffers.push_back(b.plan.buffers[x.index()]);
    const auto quantize = [&](BufferId from, float scale) {
      const BufferId y = b.buffer(DType::kUInt8, {1, 40});
      b.step(Quantize{from, y, {}, {}, ByteOrder::kSame, 1, 40, scale, {128, 0, 255}});
      return y;
    };
    BufferId last = quantize(x, 0.03f);
    if (kind == 1) last = quantize(x, 0.05f);
    if (kind == 2) last = quantize(view, 0.05f);
    b.output(kind == 3 ? view : last);
    Result<Engine> engine = load_engine(b.plan, {.batch = 3});
    ASSERT_TRUE(engine.ok()) << engine.error().message();
    EXPECT_EQ(engine->program->only_quantizes_input, kind == 0);
    const std::vector<std::string> expected = copied(*engine, windows);
    EXPECT_NE(expected[0], expected[1]);
    EXPECT_EQ(in_batches(*engine, windows), expected) << kind;
    std::vector<std::string> again = expected;  // not what an earlier run left in the arena
    std::swap(again[0], again[2]);
    Tensor other = windows;
    const std::span<float> values = other.mutable_data<float>();
    std::swap_ranges(values.begin(), values.begin() + 40, values.begin() + 80);
    EXPECT_EQ(one_by_one(*engine, other), again) << kind;
  }
}

TEST(Batch, EnginesOfOneProgramAnswerSideBySideOnThreads) {
  const Tensor windows = some_windows(6);
  Result<Engine> first = load_engine(chain(DType::kUInt8), {});
  ASSERT_TRUE(first.ok()) << first.error().message();
  const std::vector<std::string> expected = one_by_one(*first, windows);
  std::vector<Engine> engines;
  for (const size_t members : {1, 1, 2}) {
    Result<Engine> engine = clone(*first, 3, members);
    ASSERT_TRUE(engine.ok()) << engine.error().message();
    ASSERT_EQ(engine->program, first->program);
    engines.push_back(*std::move(engine));
  }
  std::vector<int> wrong(engines.size(), 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < engines.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) wrong[t] += in_batches(engines[t], windows) == expected ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, (std::vector<int>{0, 0, 0}));
}

TEST(Batch, WindowsOnMoreThreadsThanThereAreWindowsGiveTheSameBytes) {
  const Result<Engine> engine = load_engine(chain(DType::kUInt8), {});
  ASSERT_TRUE(engine.ok()) << engine.error().message();
  for (const int64_t count : {1, 2, 37}) {
    const Tensor windows = some_windows(count);
    const Result<std::vector<Tensor>> one = run_windows(*engine, windows, 1);
    ASSERT_TRUE(one.ok()) << one.error().message();
    for (const size_t threads : {3, 4, 8}) {
      const Result<std::vector<Tensor>> many = run_windows(*engine, windows, threads);
      ASSERT_TRUE(many.ok()) << many.error().message();
      EXPECT_EQ(*many, *one) << count << ' ' << threads;
    }
  }
}

TEST(Batch, SmallNetworksKeepOneThread) {
  Plan plan = sample_plan();
  EXPECT_EQ(threads_per_window(plan, 8), 1u);
  Result<Engine> engine = load_engine(plan, {.threads = 4});
  ASSERT_TRUE(engine.ok());
  EXPECT_EQ(engine->crew, nullptr);
  EXPECT_EQ(threads_per_window(chain(DType::kInt8), 8), 8u);
}

TEST(Batch, RefusesWhatDoesNotFit) {
  for (const EngineOptions& options :
       {EngineOptions{.batch = 0}, EngineOptions{.batch = kMostBatch + 1},
        EngineOptions{.threads = 0}, EngineOptions{.threads = kMostThreads + 1}}) {
    const Result<Engine> engine = load_engine(sample_plan(), options);
    ASSERT_FALSE(engine.ok());
    EXPECT_EQ(engine.error().code, ErrorCode::kInvalidInput);
    EXPECT_NE(engine.error().message().find("expected 1 to 64"), std::string::npos)
        << engine.error().message();
  }
  Result<Engine> engine = load_engine(sample_plan(), {.batch = 4});
  ASSERT_TRUE(engine.ok());
  const std::vector<float> windows(size_t{5} * 144, 0.5f);
  const std::span<const float> all = windows;
  EXPECT_TRUE(run_batch(*engine, all.first(4 * 144), 4).ok());
  EXPECT_FALSE(run_batch(*engine, all, 5).ok());
  EXPECT_FALSE(run_batch(*engine, all.first(0), 0).ok());
  EXPECT_FALSE(run_batch(*engine, all.first(3 * 144 + 1), 3).ok());
}

}  // namespace
}  // namespace graupel::run
