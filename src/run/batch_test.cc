// Batches and threads inside a window: the bytes of one window at a time on one thread, for every
// way in which a convolution is walked, on every instruction set.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "run/engine.h"
#include "run/plan_chain.h"

namespace graupel::run {
namespace {

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
