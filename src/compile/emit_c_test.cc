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
      " -std=c99 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wno-sign-conversion"
      " -Werror ";
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
