// The engine: int8 steps against brute force from docs/formats/int8.md on every instruction set,
// allocations, threads, layouts, inputs.
#include "run/engine.h"

#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <vector>

#include "run/plan_builder.h"

namespace {
std::atomic<size_t> allocations{0};
}
// Counted for the test that running allocates nothing.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* block = std::malloc(size == 0 ? 1 : size)) return block;
  std::abort();
}
void* operator new[](size_t size) { return operator new(size); }
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, size_t) noexcept { std::free(block); }
void operator delete[](void* block) noexcept { std::free(block); }
void operator delete[](void* block, size_t) noexcept { std::free(block); }

namespace graupel::run {
namespace {

struct Range {
  int low, high;
};
Range limits(DType dtype) { return dtype == DType::kInt8 ? Range{-128, 127} : Range{0, 255}; }

int byte_at(const Tensor& tensor, int64_t index) {
  const auto at = static_cast<size_t>(index);
  return tensor.dtype() == DType::kInt8 ? tensor.data<int8_t>()[at] : tensor.data<uint8_t>()[at];
}
void set_byte(Tensor& tensor, int64_t index, int value) {
  tensor.mutable_bytes()[index] = static_cast<std::byte>(static_cast<uint8_t>(value));
}

int requantized(float value, const Requantize& r) {
  const double rounded = std::nearbyint(static_cast<double>(value)) + r.zero_point;
  return static_cast<int>(std::clamp(rounded, double(r.low), double(r.high)));
}

// NCHW convolution with six nested loops; weights [out][kh][kw][in / groups].
Tensor naive_conv(const Tensor& x, const ConvInt8& s, const Plan& plan, const Tensor& weights,
                  const Tensor& bias, const Tensor& multiplier) {
  const Window2d& w = s.window;
  const int64_t in_group = w.channels / s.groups, out_group = s.out_channels / s.groups;
  Tensor y(plan.buffers[s.y.index()].dtype, {1, s.out_channels, w.out_h, w.out_w});
  for (int64_t m = 0; m < s.out_channels; ++m) {
    for (int64_t oy = 0; oy < w.out_h; ++oy) {
      for (int64_t ox = 0; ox < w.out_w; ++ox) {
        int64_t acc = bias.data<int32_t>()[static_cast<size_t>(m)];
        for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
          for (int64_t kx = 0; kx < w.kernel_w; ++kx) {
            const int64_t iy = oy * w.stride_h - w.pad_top + ky * w.dilation_h;
            const int64_t ix = ox * w.stride_w - w.pad_left + kx * w.dilation_w;
            if (iy < 0 || ix < 0 || iy >= w.in_h || ix >= w.in_w) continue;
            for (int64_t c = 0; c < in_group; ++c) {
              const int64_t channel = m / out_group * in_group + c;
              const int64_t at = (channel * w.in_h + iy) * w.in_w + ix;
              const int64_t k = ((m * w.kernel_h + ky) * w.kernel_w + kx) * in_group + c;
              acc += int64_t{byte_at(x, at) - s.x_zero_point} * byte_at(weights, k);
            }
          }
        }
        const float v = static_cast<float>(acc) * multiplier.data<float>()[static_cast<size_t>(m)];
        set_byte(y, (m * w.out_h + oy) * w.out_w + ox, requantized(v, s.requantize));
      }
    }
  }
  return y;
}

// visit(channel, position, value) for each tap inside, NCHW.
template <class F>
void naive_windows(const Window2d& w, F visit) {
  for (int64_t c = 0; c < w.channels; ++c) {
    for (int64_t p = 0; p < int64_t{w.out_h} * w.out_w; ++p) {
      for (int64_t k = 0; k < int64_t{w.kernel_h} * w.kernel_w; ++k) {
        const int64_t iy = p / w.out_w * w.stride_h - w.pad_top + k / w.kernel_w * w.dilation_h;
        const int64_t ix = p % w.out_w * w.stride_w - w.pad_left + k % w.kernel_w * w.dilation_w;
        if (iy < 0 || ix < 0 || iy >= w.in_h || ix >= w.in_w) continue;
        visit(c, c * w.out_h * w.out_w + p, (c * w.in_h + iy) * w.in_w + ix);
      }
    }
  }
}

Tensor naive_max(const Tensor& x, const Window2d& w) {
  Tensor y(x.dtype(), {1, w.channels, w.out_h, w.out_w});
  std::vector<int> best(y.size(), -1000);
  naive_windows(w, [&](int64_t, int64_t to, int64_t from) {
    best[static_cast<size_t>(to)] = std::max(best[static_cast<size_t>(to)], byte_at(x, from));
  });
  for (size_t i = 0; i < best.size(); ++i) set_byte(y, static_cast<int64_t>(i), best[i]);
  return y;
}

int32_t pick(Rng& rng, int low, int high) {
  return low + static_cast<int32_t>(rng.below(static_cast<uint64_t>(high - low + 1)));
}

// A window that fits its image: out as large as pads allow, every pool window not empty.
Window2d random_window(Rng& rng, int32_t channels, bool pool) {
  Window2d w;
  w.channels = channels;
  w.in_h = pick(rng, 1, 9);
  w.in_w = pick(rng, 1, 17);
  w.kernel_h = pick(rng, 1, 4);
  w.kernel_w = pick(rng, 1, 5);
  w.stride_h = pick(rng, 1, 3);
  w.stride_w = pick(rng, 1, 3);
  w.dilation_h = pick(rng, 1, pool ? 1 : 2);
  w.dilation_w = pick(rng, 1, 2);
  const int32_t reach_h = (w.kernel_h - 1) * w.dilation_h;
  const int32_t reach_w = (w.kernel_w - 1) * w.dilation_w;
  w.pad_top =
      pool ? pick(rng, 0, w.dilation_h == 1 ? w.kernel_h - 1 : 0) : pick(rng, 0, reach_h + 1);
  w.pad_left = pool ? 0 : pick(rng, 0, reach_w + 1);
  const int32_t more = pool ? 0 : pick(rng, 0, 3);
  w.out_h = std::max(0, w.in_h + w.pad_top + more - reach_h - 1) / w.stride_h + 1;
  w.out_w = std::max(0, w.in_w + w.pad_left + more - reach_w - 1) / w.stride_w + 1;
  return w;
}

DType random_byte_type(Rng& rng) { return rng.below(2) == 0 ? DType::kInt8 : DType::kUInt8; }

Requantize random_requantize(Rng& rng, DType dtype) {
  const Range range = limits(dtype);
  Requantize r{pick(rng, range.low, range.high), range.low, range.high};
  if (rng.below(2) == 0) r.low = r.zero_point;
  return r;
}

// A one-step plan: bytes come in through an exact quantisation (scale 1).
struct ByteCase {
  PlanBuilder builder;
  BufferId x;
  Tensor values;
  std::vector<float> window;

  ByteCase(Rng& rng, DType dtype, Shape shape) {
    const BufferId input = builder.input(shape);
    const int64_t channels = shape[1], inner = *element_count(shape) / channels;
    x = builder.buffer(dtype, shape, Layout::kChannelsLast);
    const Range range = limits(dtype);
    builder.step(Quantize{input,
                          x,
                          {},
                          {},
                          ByteOrder::kChannelsLast,
                          int32_t(channels),
                          inner,
                          1.0f,
                          {0, range.low, range.high}});
    values = Tensor(dtype, shape);
    for (size_t i = 0; i < values.size(); ++i) {
      const int value = pick(rng, range.low, range.high);
      set_byte(values, static_cast<int64_t>(i), value);
      window.push_back(static_cast<float>(value));
    }
  }
  Tensor answer(BufferId y, kernels::Isa isa) const {
    Result<Engine> engine = load_engine(builder.plan, {isa});
    EXPECT_TRUE(engine.ok()) << engine.error().message();
    if (!engine.ok()) return {};
    EXPECT_TRUE(run(*engine, window).ok());
    return read_buffer(*engine, y);
  }
};

TEST(Engine, ConvolutionsEqualBruteForceOnEveryIsa) {
  Rng rng(11);
  for (int trial = 0; trial < 400; ++trial) {
    const int32_t kind = trial % 4;  // plain, grouped, depthwise, plain with a fused pool
    const int32_t channels = pick(rng, 1, kind == 2 ? 40 : 12) * (kind == 1 ? 2 : 1);
    ConvInt8 s;
    s.window = random_window(rng, channels, false);
    const Window2d& w = s.window;
    s.groups = kind == 1 ? 2 : kind == 2 ? channels : 1;
    s.out_channels = kind == 2 ? channels : pick(rng, 1, 35) * s.groups;
    ByteCase test(rng, random_byte_type(rng), {1, channels, w.in_h, w.in_w});
    PlanBuilder& b = test.builder;
    const DType out = random_byte_type(rng);
    const Tensor weights =
        random_int8(rng, {s.out_channels, w.kernel_h, w.kernel_w, channels / s.groups});
    const Tensor bias = random_int32(rng, {s.out_channels}, 5000);
    const Tensor multiplier = random_float(rng, {s.out_channels}, 0.0002, 0.01);
    s.x = test.x;
    s.weights = b.constant(weights);
    s.bias = b.constant(bias);
    s.multiplier = b.constant(multiplier);
    s.x_zero_point = pick(rng, limits(test.values.dtype()).low, limits(test.values.dtype()).high);
    s.requantize = random_requantize(rng, out);
    Shape shape = {1, s.out_channels, w.out_h, w.out_w};
    if (kind >= 2 && trial % 8 >= 4) {
      Window2d pool = random_window(rng, s.out_channels, true);
      pool.in_h = w.out_h;
      pool.in_w = w.out_w;
      pool.kernel_h = std::min(pool.kernel_h, pool.in_h);
      pool.kernel_w = std::min(pool.kernel_w, (pool.in_w - 1) / pool.dilation_w + 1);
      pool.pad_top = std::min(pool.pad_top, pool.kernel_h - 1);
      pool.out_h = (pool.in_h + pool.pad_top - pool.kernel_h) / pool.stride_h + 1;
      pool.out_w = (pool.in_w - (pool.kernel_w - 1) * pool.dilation_w - 1) / pool.stride_w + 1;
      shape = {1, s.out_channels, pool.out_h, pool.out_w};
      s.pool = pool;
    }
    s.y = b.buffer(out, shape, Layout::kChannelsLast);
    b.step(s);
    Tensor expected = naive_conv(test.values, s, b.plan, weights, bias, multiplier);
    if (s.pool) expected = naive_max(expected, *s.pool);
    for (const kernels::Isa isa : kernels::supported_isas()) {
      ASSERT_EQ(test.answer(s.y, isa), expected) << "trial " << trial << ' ' << to_string(isa);
    }
  }
}

TEST(Engine, PoolsEqualBruteForceOnEveryIsa) {
  Rng rng(12);
  for (int trial = 0; trial < 200; ++trial) {
    const Window2d w = [&] {
      Window2d made = random_window(rng, pick(rng, 1, 40), true);
      made.kernel_h = std::min(made.kernel_h, made.in_h);
      made.kernel_w = std::min(made.kernel_w, (made.in_w - 1) / made.dilation_w + 1);
      made.pad_top = std::min(made.pad_top, made.kernel_h - 1);
      made.pad_left = made.dilation_w == 1 ? pick(rng, 0, made.kernel_w - 1) : 0;
      made.out_h = (made.in_h + made.pad_top - made.kernel_h) / made.stride_h + 1;
      made.out_w = (made.in_w + 2 * made.pad_left - (made.kernel_w - 1) * made.dilation_w - 1) /
                       made.stride_w +
                   1;
      return made;
    }();
    ByteCase test(rng, random_byte_type(rng), {1, w.channels, w.in_h, w.in_w});
    PlanBuilder& b = test.builder;
    const Shape shape = {1, w.channels, w.out_h, w.out_w};
    const BufferId highest = b.buffer(test.values.dtype(), shape, Layout::kChannelsLast);
    b.step(MaxPoolInt8{test.x, highest, w});
    const DType out = random_byte_type(rng);
    AveragePoolInt8 average;
    average.x = test.x;
    average.y = b.buffer(out, shape, Layout::kChannelsLast);
    const Tensor multiplier = random_float(rng, {w.out_h, w.out_w}, 0.01, 0.3);
    average.multiplier = b.constant(multiplier);
    average.window = w;
    average.x_zero_point = pick(rng, 0, 127);
    average.requantize = random_requantize(rng, out);
    b.step(average);
    Tensor mean(out, shape);
    std::vector<int64_t> sums(mean.size(), 0);
    naive_windows(w, [&](int64_t, int64_t to, int64_t from) {
      sums[static_cast<size_t>(to)] += byte_at(test.values, from) - average.x_zero_point;
    });
    for (size_t i = 0; i < sums.size(); ++i) {
      const float scale = multiplier.data<float>()[i % multiplier.size()];
      set_byte(mean, static_cast<int64_t>(i),
               requantized(static_cast<float>(sums[i]) * scale, average.requantize));
    }
    for (const kernels::Isa isa : kernels::supported_isas()) {
      ASSERT_EQ(test.answer(highest, isa), naive_max(test.values, w)) << trial;
      ASSERT_EQ(test.answer(average.y, isa), mean) << trial;
    }
  }
}

TEST(Engine, RequantisationRoundsTiesToEven) {
  // acc * 0.5 for acc = -3 .. 4: -1.5 -> -2, -0.5 -> 0, 0.5 -> 0, 1.5 -> 2.
  PlanBuilder b;
  const BufferId input = b.input({1, 1, 1, 8});
  const BufferId x = b.buffer(DType::kInt8, {1, 1, 1, 8});
  b.step(Quantize{input, x, {}, {}, ByteOrder::kSame, 1, 8, 1.0f, {}});
  ConvInt8 s;
  s.x = x;
  s.weights = b.constant(Tensor::of<int8_t>({1, 1, 1, 1}, {1}));
  s.bias = b.constant(Tensor::of<int32_t>({1}, {0}));
  s.multiplier = b.constant(Tensor::of<float>({1}, {0.5f}));
  s.y = b.buffer(DType::kInt8, {1, 1, 1, 8});
  s.window.in_w = s.window.out_w = 8;
  b.step(s);
  for (const kernels::Isa isa : kernels::supported_isas()) {
    Result<Engine> engine = load_engine(b.plan, {isa});
    ASSERT_TRUE(engine.ok());
    ASSERT_TRUE(run(*engine, std::vector<float>{-3, -2, -1, 0, 1, 2, 3, 4}).ok());
    EXPECT_EQ(read_buffer(*engine, s.y),
              Tensor::of<int8_t>({1, 1, 1, 8}, {-2, -1, 0, 0, 0, 1, 2, 2}));
  }
}

TEST(Engine, LookupsUseOneTablePerChannel) {
  Rng rng(5);
  ByteCase test(rng, DType::kInt8, {1, 3, 2, 2});
  Tensor table(DType::kInt8, {3, 256});
  for (int64_t i = 0; i < 768; ++i) {
    set_byte(table, i, (i % 256 < 128 ? int(i % 256) : int(i % 256) - 256) / int(i / 256 + 1));
  }
  const BufferId y = test.builder.buffer(DType::kInt8, {1, 3, 2, 2}, Layout::kChannelsLast);
  test.builder.step(Lookup{test.x, y, test.builder.constant(table), 3, 1});
  const Tensor answer = test.answer(y, kernels::Isa::kScalar);
  for (int64_t i = 0; i < 12; ++i) {
    EXPECT_EQ(byte_at(answer, i), byte_at(test.values, i) / int(i / 4 + 1));
  }
}

TEST(Engine, RunsWithoutAllocating) {
  for (const kernels::Isa isa : kernels::supported_isas()) {
    Result<Engine> engine = load_engine(sample_plan(), {.isa = isa, .batch = 3});
    ASSERT_TRUE(engine.ok()) << engine.error().message();
    const std::vector<float> windows(size_t{3} * 144, 0.5f);
    const std::span<const float> window = std::span(windows).first(144);
    const size_t before = allocations;
    bool all_ok = true;
    for (int i = 0; i < 10; ++i) all_ok = all_ok && run(*engine, window).ok();
    for (int i = 0; i < 10; ++i) all_ok = all_ok && run_batch(*engine, windows, 3).ok();
    EXPECT_EQ(allocations - before, 0u);
    EXPECT_TRUE(all_ok);
  }
}

// In a process that may only read, write and exit: any other call ends it, a lock that has to wait
// among them.
TEST(Engine, RunsWithoutSystemCalls) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer makes system calls of its own";
#endif
  Result<Engine> engine = load_engine(sample_plan(), {.batch = 3});
  ASSERT_TRUE(engine.ok()) << engine.error().message();
  const std::vector<float> windows(size_t{3} * 144, 0.5f);
  const std::span<const float> window = std::span(windows).first(144);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) syscall(SYS_exit, 77);
    bool all_ok = true;
    for (int i = 0; i < 10; ++i) all_ok = all_ok && run(*engine, window).ok();
    for (int i = 0; i < 10; ++i) all_ok = all_ok && run_batch(*engine, windows, 3).ok();
    syscall(SYS_exit, all_ok ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "no seccomp here";
  ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Engine, WindowsGiveTheSameBytesOnAnyNumberOfThreads) {
  Rng rng(9);
  Result<Engine> engine = load_engine(sample_plan());
  ASSERT_TRUE(engine.ok());
  const Tensor windows = random_float(rng, {33, 3, 6, 8}, -3.0, 3.0);
  const Result<std::vector<Tensor>> one = run_windows(*engine, windows, 1);
  ASSERT_TRUE(one.ok()) << one.error().message();
  EXPECT_EQ((*one)[0].shape(), (Shape{33, 5}));
  for (const size_t threads : {2, 5, 0}) {
    const Result<std::vector<Tensor>> many = run_windows(*engine, windows, threads);
    ASSERT_TRUE(many.ok());
    EXPECT_EQ(*many, *one);
  }
  // Not all windows get the same answer, or the comparison would prove nothing.
  const std::span<const float> logits = (*one)[0].data<float>();
  EXPECT_NE(logits[0], logits[5]);
}

TEST(Engine, RefusesWindowsThatDoNotFit) {
  Result<Engine> engine = load_engine(sample_plan());
  ASSERT_TRUE(engine.ok());
  EXPECT_EQ(run(*engine, std::vector<float>(7)).error().code, ErrorCode::kInvalidInput);
  EXPECT_FALSE(run_windows(*engine, Tensor(DType::kFloat32, {2, 3, 6, 9})).ok());
  EXPECT_FALSE(run_windows(*engine, Tensor(DType::kInt8, {2, 3, 6, 8})).ok());
  EXPECT_TRUE(run_windows(*engine, Tensor(DType::kFloat32, {0, 3, 6, 8})).ok());
}

TEST(Engine, NotANumberIsQuantisedAsZero) {
  PlanBuilder b;
  const BufferId input = b.input({2});
  const BufferId x = b.buffer(DType::kUInt8, {2});
  b.step(Quantize{input, x, {}, {}, ByteOrder::kSame, 1, 2, 0.1f, {77, 0, 255}});
  Result<Engine> engine = load_engine(b.plan);
  ASSERT_TRUE(engine.ok());
  ASSERT_TRUE(run(*engine, std::vector<float>{NAN, INFINITY}).ok());
  EXPECT_EQ(read_buffer(*engine, x), Tensor::of<uint8_t>({2}, {77, 255}));
}

}  // namespace
}  // namespace graupel::run
