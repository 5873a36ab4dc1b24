// See peak.h. Best of several short loops; the registers' contents do not matter.
#include "peak.h"

#include <algorithm>
#include <chrono>

#include "kernels/dispatch.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace graupel::bench {
namespace {

bool has(kernels::Isa wanted) {
  const std::vector<kernels::Isa> isas = kernels::supported_isas();
  return std::find(isas.begin(), isas.end(), wanted) != isas.end();
}

template <class F>
double best_gmacs(double macs, F loop) {
  double best = 0.0;
  for (int i = 0; i < 50; ++i) {
    const auto before = std::chrono::steady_clock::now();
    loop();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - before;
    best = std::max(best, macs / took.count());
  }
  return best;
}

constexpr int kLoops = 20000;

}  // namespace

double dot_peak_gmacs() {
#if defined(__x86_64__)
  if (!has(kernels::Isa::kAvx512Vnni)) return pair_peak_gmacs();
  return best_gmacs(12.0 * 64 * kLoops, [] {
    int left = kLoops;
    asm volatile(
        "1:\n"
        "vpdpbusd %%zmm30, %%zmm31, %%zmm16\n vpdpbusd %%zmm30, %%zmm31, %%zmm17\n"
        "vpdpbusd %%zmm30, %%zmm31, %%zmm18\n vpdpbusd %%zmm30, %%zmm31, %%zmm19\n"
        "vpdpbusd %%zmm30, %%zmm31, %%zmm20\n vpdpbusd %%zmm30, %%zmm31, %%zmm21\n"
        "vpdpbusd %%zmm30, %%zmm31, %%zmm22\n vpdpbusd %%zmm30, %%zmm31, %%zmm23\n"
        "vpdpbusd %%zmm30, %%zmm31, %%zmm24\n vpdpbusd %%zmm30, %%zmm31, %%zmm25\n"
        "vpdpbusd %%zmm30, %%zmm31, %%zmm26\n vpdpbusd %%zmm30, %%zmm31, %%zmm27\n"
        "dec %0\n jnz 1b\n"
        : "+r"(left)::"cc");
  });
#else
  return 0.0;
#endif
}

double pair_peak_gmacs() {
#if defined(__x86_64__)
  if (!has(kernels::Isa::kAvx2)) return 0.0;
  return best_gmacs(6.0 * 16 * kLoops, [] {
    int left = kLoops;
    asm volatile(
        "1:\n"
        "vpmaddwd %%ymm14, %%ymm15, %%ymm6\n vpaddd %%ymm6, %%ymm0, %%ymm0\n"
        "vpmaddwd %%ymm14, %%ymm15, %%ymm7\n vpaddd %%ymm7, %%ymm1, %%ymm1\n"
        "vpmaddwd %%ymm14, %%ymm15, %%ymm8\n vpaddd %%ymm8, %%ymm2, %%ymm2\n"
        "vpmaddwd %%ymm14, %%ymm15, %%ymm9\n vpaddd %%ymm9, %%ymm3, %%ymm3\n"
        "vpmaddwd %%ymm14, %%ymm15, %%ymm10\n vpaddd %%ymm10, %%ymm4, %%ymm4\n"
        "vpmaddwd %%ymm14, %%ymm15, %%ymm11\n vpaddd %%ymm11, %%ymm5, %%ymm5\n"
        "dec %0\n jnz 1b\n vzeroupper\n"
        : "+r"(left)::"cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
          "xmm9", "xmm10", "xmm11");
  });
#else
  return 0.0;
#endif
}

}  // namespace graupel::bench
