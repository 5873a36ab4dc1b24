// Runs a fuzz target over a corpus as an ordinary, bounded test: every file as it is, cut short at
// many places, and with single bytes changed. The mutations are the same in every run.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/rng.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kCutsPerFile = 200;
constexpr size_t kChangesPerFile = 400;

void run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
}

size_t run_with_mutations(const std::string& bytes, uint64_t seed) {
  run(bytes);
  const size_t step = std::max<size_t>(1, bytes.size() / kCutsPerFile);
  size_t runs = 1;
  for (size_t length = 0; length < bytes.size(); length += step, ++runs) {
    run(bytes.substr(0, length));
  }
  graupel::Rng rng(seed);
  for (size_t i = 0; i < kChangesPerFile && !bytes.empty(); ++i, ++runs) {
    std::string changed = bytes;
    const size_t changes = 1 + rng.below(3);
    for (size_t k = 0; k < changes; ++k) {
      changed[rng.below(changed.size())] = static_cast<char>(rng.below(256));
    }
    run(changed);
  }
  return runs;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !std::filesystem::is_directory(argv[1])) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
    return 2;
  }
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  size_t runs = 0;
  for (const std::filesystem::path& path : paths) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    runs += run_with_mutations(bytes, runs);
  }
  std::printf("%zu files, %zu runs\n", paths.size(), runs);
  return paths.empty() ? 1 : 0;
}
