// Writes the plans of the benchmark's networks, compiled on this machine, for another one to run:
// tools/count_arm.
//
//   write_plans FOLDER
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>

#include "compile/compile.h"
#include "nets.h"

int main(int argc, char** argv) {
  using namespace graupel;
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_plans FOLDER\n");
    return 2;
  }
  const std::pair<const char*, bench::Kernels> nets[] = {{"k1", bench::Kernels::kRows},
                                                         {"k3", bench::Kernels::kSquares}};
  for (const auto& [name, kernels] : nets) {
    const Result<run::Plan> plan = compile::compile_plan({}, bench::example(kernels, 1).graph, {});
    if (!plan.ok()) {
      std::fprintf(stderr, "write_plans: %s\n", plan.error().message().c_str());
      return 1;
    }
    std::ofstream(std::string(argv[1]) + "/" + name + ".plan", std::ios::binary)
        << run::format_plan(*plan);
  }
  return 0;
}
