// Plans compiled on one processor, run on another: the plans of the fuzz corpus were compiled on
// x86-64; their answers there are in tests/golden/plan_answers.txt, and every instruction set of
// the processor this runs on gives the same bytes (`make arm` runs it on 64-bit ARM).
// UPDATE_GOLDEN=1 writes the file anew.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "run/engine.h"

namespace graupel::run {
namespace {

const std::string kSource = GRAUPEL_SOURCE_DIR;

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string hexadecimal(std::span<const std::byte> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<int>(byte) >> 4];
    text += kDigits[std::to_integer<int>(byte) & 15];
  }
  return text;
}

// Windows without a random number or a rounding: multiples of 1/32.
std::vector<float> window_of(size_t count, int number) {
  std::vector<float> window(count);
  for (size_t i = 0; i < count; ++i) {
    const auto step = static_cast<int>((i * 37 + static_cast<size_t>(number) * 11) % 127) - 63;
    window[i] = static_cast<float>(step) * 0.03125f;
  }
  return window;
}

// A line for each window and output: plan, window, output, its bytes.
Result<std::string> answers(const std::string& name, kernels::Isa isa) {
  TRY_ASSIGN(Plan plan, parse_plan(read_all(kSource + "/fuzz/corpus/plan/" + name)));
  TRY_ASSIGN(Engine engine, load_engine(std::move(plan), {.isa = isa}));
  const Plan& loaded = plan_of(engine);
  const Buffer& input = loaded.buffers[loaded.inputs[0].buffer.index()];
  std::string lines;
  for (int number = 0; number < 4; ++number) {
    TRY(run(engine, window_of(static_cast<size_t>(buffer_elements(input)), number)));
    for (size_t i = 0; i < loaded.outputs.size(); ++i) {
      lines += name + " " + std::to_string(number) + " " + loaded.outputs[i].name + " " +
               hexadecimal(output_bytes(engine, i)) + "\n";
    }
  }
  return lines;
}

TEST(Portable, PlansOfAnotherProcessorGiveItsBytes) {
  const std::string golden = kSource + "/tests/golden/plan_answers.txt";
  for (const kernels::Isa isa : kernels::supported_isas()) {
    std::string all;
    for (const char* name : {"net0", "net1", "net2", "net3", "sample", "tail"}) {
      const Result<std::string> lines = answers(name, isa);
      ASSERT_TRUE(lines.ok()) << name << ": " << lines.error().message();
      all += *lines;
    }
    if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(golden, std::ios::binary) << all;
    EXPECT_EQ(all, read_all(golden)) << to_string(isa);
  }
}

}  // namespace
}  // namespace graupel::run
