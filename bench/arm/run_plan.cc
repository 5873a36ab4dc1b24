// Runs windows through a plan and writes the answers' bytes to standard output: tools/count_arm
// compares what x86-64 and 64-bit ARM write, and counts the instructions of a window.
//
//   run_plan PLAN WINDOWS        (GRAUPEL_ISA chooses the instruction set)
//   run_plan PLAN 0              prints the convolutions' multiply-adds, those on padding not
//   counted
//
// Windows hold multiples of 1/32, so that no rounding differs between processors.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "run/engine.h"

namespace {

namespace run = graupel::run;
using graupel::Result;

// Taps of all outputs along one axis that lie inside the image.
int64_t taps_inside(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation,
                    int64_t pad) {
  int64_t taps = 0;
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t k = 0; k < kernel; ++k) {
      const int64_t at = o * stride - pad + k * dilation;
      taps += at >= 0 && at < in ? 1 : 0;
    }
  }
  return taps;
}

int64_t multiply_adds(const run::Plan& plan) {
  int64_t sum = 0;
  for (const run::Step& step : plan.steps) {
    const auto* conv = std::get_if<run::ConvInt8>(&step.body);
    if (conv == nullptr) continue;
    const run::Window2d& w = conv->window;
    sum += taps_inside(w.in_h, w.out_h, w.kernel_h, w.stride_h, w.dilation_h, w.pad_top) *
           taps_inside(w.in_w, w.out_w, w.kernel_w, w.stride_w, w.dilation_w, w.pad_left) *
           (w.channels / conv->groups) * conv->out_channels;
  }
  return sum;
}

Result<void> run_windows(const std::string& path, int windows) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  TRY_ASSIGN(run::Plan plan, run::parse_plan(bytes.str()));
  TRY_ASSIGN(run::Engine engine, run::load_engine(std::move(plan)));
  const run::Plan& loaded = run::plan_of(engine);
  const run::Buffer& input = loaded.buffers[loaded.inputs[0].buffer.index()];
  if (windows == 0) {
    std::printf("%lld\n", static_cast<long long>(multiply_adds(loaded)));
  }
  std::vector<float> window(static_cast<size_t>(run::buffer_elements(input)));
  for (int number = 0; number < windows; ++number) {
    for (size_t i = 0; i < window.size(); ++i) {
      const auto step = static_cast<int>((i * 37 + static_cast<size_t>(number) * 11) % 127) - 63;
      window[i] = static_cast<float>(step) * 0.03125f;
    }
    TRY(run::run(engine, window));
    for (size_t i = 0; i < loaded.outputs.size(); ++i) {
      const std::span<const std::byte> output = run::output_bytes(engine, i);
      std::fwrite(output.data(), 1, output.size(), stdout);
    }
  }
  return graupel::ok();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: run_plan PLAN WINDOWS\n");
    return 2;
  }
  const Result<void> ran = run_windows(argv[1], std::atoi(argv[2]));
  if (ran.ok()) return 0;
  std::fprintf(stderr, "run_plan: %s\n", ran.error().message().c_str());
  return 1;
}
