// Emitted C against the engine, byte for byte: compiled by gcc, clang and the ARM cross compiler,
// with and without vector instructions, and run (ARM under qemu).
#include "compile/emit_c.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <sstream>

#include "compile/compile.h"
#include "compile/random_nets.h"
#include "run/engine.h"
#include "run/plan_builder.h"

namespace graupel::compile {
namespace {

namespace fs = std::filesystem;

struct Compiler {
  std::string name, command, runner;
};

// Strict C99 and every warning an error: the source is meant for other people's builds.
std::vector<Compiler> compilers() {
  const std::string strict =
      " -std=c99 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow"
      " -Wstrict-prototypes -Werror ";
  const std::vector<Compiler> all = {
      {"gcc", "gcc" + strict, ""},
      {"gcc plain", "gcc -DGRAUPEL_PLAIN_C -march=native" + strict, ""},
      {"clang", "clang-14" + strict, ""},
      {"arm", "aarch64-linux-gnu-gcc -static" + strict, "qemu-aarch64 "},
      {"arm gnu99", "aarch64-linux-gnu-gcc -static -std=gnu99 -O3 -Wall -Werror ", "qemu-aarch64 "},
  };
  std::vector<Compiler> found;
  for (const Compiler& c : all) {
    const std::string program = c.command.substr(0, c.command.find(' '));
    const std::string check = "(command -v " + program +
                              (c.runner.empty() ? "" : " && command -v qemu-aarch64") +
                              ") >/dev/null";
    if (std::system(check.c_str()) == 0) {
      found.push_back(c);
    } else {
      std::cout << "skipped: " << program << " or qemu is not installed\n";
    }
  }
  return found;
}

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_all(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

constexpr const char* kMain = R"(#include <stdio.h>
#include "net.h"
static float window[NET_INPUT_SIZE];
static int8_t in[NET_INPUT_SIZE], out[NET_OUTPUT_SIZE];
int main(void) {
  while (fread(window, sizeof window, 1, stdin) == 1) {
    net_quantize(window, in);
    if (net_infer(in, out) != 0 || fwrite(out, sizeof out, 1, stdout) != 1) { return 1; }
  }
  return net_infer(NULL, out) == -1 ? 0 : 2;
}
)";

// What the engine leaves in the buffer that the emitted network ends in: that of its last byte
// step.
std::string expected_bytes(run::Engine& engine, std::span<const float> window) {
  const run::Plan& plan = run::plan_of(engine);
  size_t last = 0;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const run::Buffer& y = plan.buffers[run::step_buffers(plan.steps[i].body).write.index()];
    if (y.dtype == DType::kInt8 || y.dtype == DType::kUInt8) last = i;
  }
  // The tensor in memory order: an element-wise copy of the arena, which read_buffer would
  // transpose.
  EXPECT_TRUE(run::run_until(engine, window, last).ok());
  const run::Buffer& y = plan.buffers[run::step_buffers(plan.steps[last].body).write.index()];
  return {reinterpret_cast<const char*>(engine.arena.data() + y.offset),
          static_cast<size_t>(run::buffer_bytes(y))};
}

void expect_same_bytes(const run::Plan& plan, const std::vector<Compiler>& with,
                       const std::string& what) {
  const Result<CSource> source = emit_c(plan, "net");
  ASSERT_TRUE(source.ok()) << what << ": " << source.error().message();
  EXPECT_EQ(emit_c(plan, "net")->source, source->source);
  const fs::path folder =
      fs::path(::testing::TempDir()) / ("graupel_emit_c_" + std::to_string(getpid()));
  fs::create_directories(folder);
  write_all(folder / "net.h", source->header);
  write_all(folder / "net.c", source->source);
  write_all(folder / "main.c", kMain);
  Result<run::Engine> engine = run::load_engine(plan);
  ASSERT_TRUE(engine.ok());
  const auto size =
      static_cast<size_t>(run::buffer_elements(plan.buffers[plan.inputs[0].buffer.index()]));
  std::string windows, expected;
  Rng rng(5);
  for (int i = 0; i < 5; ++i) {
    std::vector<float> window(size);
    for (float& value : window) value = static_cast<float>(2.0 * rng.normal());
    if (i == 4) {  // a sensor that fails
      window[size / 3] = std::numeric_limits<float>::quiet_NaN();
      window[size / 2] = -std::numeric_limits<float>::infinity();
      window[size - 1] = std::numeric_limits<float>::max();
    }
    windows.append(reinterpret_cast<const char*>(window.data()), size * sizeof(float));
    expected += expected_bytes(*engine, window);
  }
  write_all(folder / "windows", windows);
  for (const Compiler& compiler : with) {
    const std::string in = "cd " + folder.string() + " && ";
    ASSERT_EQ(std::system((in + compiler.command + "net.c main.c -o net").c_str()), 0)
        << what << " with " << compiler.name;
    ASSERT_EQ(std::system((in + compiler.runner + "./net < windows > answers").c_str()), 0)
        << what << " with " << compiler.name;
    EXPECT_EQ(read_all(folder / "answers") == expected, true) << what << " with " << compiler.name;
  }
  fs::remove_all(folder);
}

TEST(EmitC, GivesTheEnginesBytesWithEveryCompiler) {
  run::Plan plan = run::sample_plan();
  expect_same_bytes(plan, compilers(), "sample");
}

TEST(EmitC, RandomNetworks) {
  std::vector<Compiler> with = compilers();
  ASSERT_FALSE(with.empty()) << "a C compiler is needed";
  with.erase(with.begin() + 1, with.end());
  int emitted = 0;
  for (uint64_t seed = 0; seed < 300 && emitted < 8; ++seed) {
    const Result<run::Plan> plan =
        compile_plan({}, seed % 2 == 0 ? random_qdq_net(seed) : random_any_net(seed), {});
    ASSERT_TRUE(plan.ok());
    const Result<CSource> source = emit_c(*plan, "net");
    if (!source.ok()) {
      EXPECT_EQ(source.error().code, ErrorCode::kUnsupported);
      continue;
    }
    ++emitted;
    expect_same_bytes(*plan, with, "seed " + std::to_string(seed));
    if (HasFatalFailure()) return;
  }
  EXPECT_GE(emitted, 8);
}

// ---- MISRA C:2012, as far as cppcheck's addon knows it ----

// Rules left aside, all advisory; docs/formats/emitted_c.md says why.
constexpr const char* kDeviations = " --suppress=misra-c2012-2.5 --suppress=misra-c2012-8.9";

bool has_cppcheck() {
  if (std::system("command -v cppcheck >/dev/null") == 0) return true;
  std::cout << "skipped: cppcheck is not installed\n";
  return false;
}

// What cppcheck says about a source, "" for nothing.
std::string violations(const std::string& header, const std::string& source) {
  const fs::path folder =
      fs::path(::testing::TempDir()) / ("graupel_misra_" + std::to_string(getpid()));
  fs::create_directories(folder);
  write_all(folder / "net.h", header);
  write_all(folder / "net.c", source);
  const std::string command = "cd " + folder.string() +
                              " && cppcheck -q --std=c99 --addon=misra --enable=style,portability"
                              " --template='{file}:{line} {id} {message}'" +
                              kDeviations + " net.c > said 2>&1";
  const int status = std::system(command.c_str());
  std::string said = read_all(folder / "said");
  if (status != 0) said += "cppcheck failed";
  fs::remove_all(folder);
  return said;
}

// A plan with every kind of step on bytes that C is emitted for.
run::Plan every_step() {
  run::PlanBuilder b;
  Rng rng(3);
  const Shape shape = {1, 4, 6, 6};
  const auto image = [&](Shape s) {
    return b.buffer(DType::kInt8, std::move(s), run::Layout::kChannelsLast);
  };
  const run::BufferId x = b.input(shape), q = image(shape);
  const auto floats = [&] { return b.buffer(DType::kFloat32, shape); };
  const run::BufferId centred = floats(), scored = floats(), clipped = floats();
  b.step(run::RemoveMean{x, centred, b.constant(Tensor::of<uint8_t>({4}, {1, 0, 1, 1})), 4, 6, 6});
  b.step(run::Normalize{centred, scored, b.constant(Tensor::of<double>({4}, {0.1, 0.2, 0.3, 0.4})),
                        b.constant(Tensor::of<double>({4}, {1.0, 2.0, 0.5, 1.5})), 4, 36});
  b.step(run::Unary{run::UnaryOp::kClip, scored, clipped, -2.0f, 2.0f});
  b.step(run::Quantize{
      clipped, q, {}, {}, run::ByteOrder::kChannelsLast, 4, 36, 0.02f, {1, -128, 127}});
  const auto conv = [&](run::BufferId from, run::BufferId to) {
    run::ConvInt8 s;
    s.x = from;
    s.y = to;
    s.weights = b.constant(run::random_int8(rng, {4, 3, 3, 4}));
    s.bias = b.constant(run::random_int32(rng, {4}, 500));
    s.multiplier = b.constant(run::random_float(rng, {4}, 0.001, 0.003));
    s.window = {4, 6, 6, 6, 6, 3, 3, 1, 1, 1, 1, 1, 1};
    s.out_channels = 4;
    return s;
  };
  const run::BufferId one = image(shape), two = image(shape), three = image({1, 4, 3, 3});
  b.step(conv(q, one));
  run::ConvInt8 sum = conv(one, two);
  sum.residual = q;
  sum.residual_zero_point = 1;
  b.step(sum);
  run::ConvInt8 pooled = conv(two, three);
  pooled.pool = run::Window2d{4, 6, 6, 3, 3, 2, 2, 2, 2, 1, 1, 0, 0};
  b.step(pooled);
  const run::Window2d same = {4, 3, 3, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1};
  const run::BufferId largest = image({1, 4, 3, 3}), mean = image({1, 4, 3, 3});
  b.step(run::MaxPoolInt8{three, largest, same});
  b.step(run::AveragePoolInt8{
      largest, mean, b.constant(run::random_float(rng, {9}, 0.1, 0.2)), same, 0, {}});
  const run::BufferId looked = image({1, 4, 3, 3}), moved = image({1, 4, 3, 3});
  b.step(run::Lookup{mean, looked, b.constant(run::random_int8(rng, {4, 256})), 4, 1});
  std::vector<int32_t> turned(36);
  for (int32_t i = 0; i < 36; ++i) turned[static_cast<size_t>(i)] = i % 7 == 0 ? -1 : 35 - i;
  b.step(run::Move{looked,
                   moved,
                   b.constant(Tensor::of<int32_t>({36}, turned)),
                   run::MoveTable::kIndices,
                   0,
                   {5}});
  const run::BufferId runs = image({1, 4, 3, 3}), product = image({1, 4, 3, 3});
  b.step(run::Move{moved,
                   runs,
                   b.constant(Tensor::of<int32_t>({3, 3}, {0, 6, 20, 20, -1, 6, 26, 0, 10})),
                   run::MoveTable::kRuns,
                   0,
                   {7}});
  b.step(run::BinaryInt8{run::ByteOp::kMul, runs, moved, product, 0, 2, 0.1f, 0.2f, 0.5f, {}});
  run::ConvInt8 last = conv(product, b.buffer(DType::kInt8, {1, 4, 1, 1}));
  last.window = same;
  last.average = b.constant(Tensor::of<float>({1}, {0.25f}));
  b.step(last);
  const run::BufferId y = b.buffer(DType::kFloat32, {1, 4});
  b.step(run::Dequantize{last.y, y, run::ByteOrder::kSame, 4, 1, 0.25f, 0});
  b.output(y);
  return b.plan;
}

TEST(EmitC, EveryStepGivesTheEnginesBytes) {
  expect_same_bytes(every_step(), compilers(), "every step");
}

TEST(EmitC, KeepsTheMisraRules) {
  if (!has_cppcheck()) GTEST_SKIP();
  const Result<CSource> source = emit_c(every_step(), "net");
  ASSERT_TRUE(source.ok()) << source.error().message();
  for (const char* function :
       {"conv", "conv_pool", "conv_average", "max_pool", "average_pool", "lookup", "binary",
        "move_bytes", "move_runs", "remove_mean", "normalize", "clip", "quantize", "dequantize"}) {
    EXPECT_NE(source->source.find(" " + std::string(function) + "("), std::string::npos)
        << function;
  }
  EXPECT_EQ(violations(source->header, source->source), "");
  // A source that breaks a rule is told from one that does not.
  EXPECT_NE(
      violations(source->header, source->source + "\nint8_t net_more(int8_t a);\n"
                                                  "int8_t net_more(int8_t a) { a++; return a; }\n")
          .find("misra-c2012-17.8"),
      std::string::npos);
}

TEST(EmitC, NamesOfNodesStayInsideTheirComments) {
  run::Plan plan = every_step();
  plan.steps[4].node = "a*/ int x; /*b\n//c\\";
  const Result<CSource> source = emit_c(plan, "net");
  ASSERT_TRUE(source.ok());
  EXPECT_NE(source->source.find("{ /* a_/ int x_ /_b_/_c_ */"), std::string::npos);
}

TEST(EmitC, RefusesAStepOnBytesThatItDoesNotKnow) {
  run::PlanBuilder b;
  const run::BufferId x = b.input({1, 4}), q = b.buffer(DType::kInt8, {1, 4});
  b.step(run::Quantize{x, q, {}, {}, run::ByteOrder::kSame, 1, 4, 0.1f, {}});
  const run::BufferId y = b.buffer(DType::kUInt8, {1, 4});
  b.step(run::Cast{q, y});
  b.output(y);
  ASSERT_TRUE(run::check_plan(b.plan).ok());
  const Result<CSource> source = emit_c(b.plan, "net");
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(source.error().message().find("Cast"), std::string::npos);
}

TEST(EmitC, RefusesOtherStepsInFrontOfTheQuantisation) {
  run::Plan plan = every_step();
  std::get<run::Unary>(plan.steps[2].body).op = run::UnaryOp::kRelu;
  ASSERT_TRUE(run::check_plan(plan).ok());
  EXPECT_EQ(emit_c(plan, "net").error().code, ErrorCode::kUnsupported);
  plan = every_step();
  std::get<run::Quantize>(plan.steps[3].body).x = plan.inputs[0].buffer;  // goes past the clip
  ASSERT_TRUE(run::check_plan(plan).ok());
  EXPECT_EQ(emit_c(plan, "net").error().code, ErrorCode::kUnsupported);
}

TEST(EmitC, RefusesWhatIsNotBytes) {
  run::PlanBuilder b;
  const run::BufferId x = b.input({1, 4});
  const run::BufferId y = b.buffer(DType::kFloat32, {1, 4});
  b.step(run::Unary{run::UnaryOp::kRelu, x, y});
  b.output(y);
  const Result<CSource> source = emit_c(b.plan, "net");
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace graupel::compile
