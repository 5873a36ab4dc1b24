// Choice of the instruction set. See dispatch.h.
//
// Idea: one table of function pointers per instruction set, filled from kernels.def; the choice
// is made when an engine is loaded, never inside a loop.
// Test: kernels_test.cc.
#include "kernels/dispatch.h"

#include <cstdlib>
#include <string>

namespace graupel::kernels {
namespace {

constexpr KernelTable kScalarTable = {
#define KERNEL(name, Args) &scalar::name,
#include "kernels/kernels.def"
#undef KERNEL
};

#if defined(__x86_64__)
constexpr KernelTable kAvx2Table = {
#define KERNEL(name, Args) &avx2::name,
#include "kernels/kernels.def"
#undef KERNEL
};
#endif

constexpr Isa kAllIsas[] = {Isa::kScalar, Isa::kAvx2};

bool is_supported(Isa isa) {
  if (isa == Isa::kScalar) return true;
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") != 0;
#else
  return false;
#endif
}

std::string supported_names() {
  std::string names;
  for (const Isa isa : supported_isas()) {
    names += (names.empty() ? "" : ", ") + std::string(to_string(isa));
  }
  return names;
}

}  // namespace

std::string_view to_string(Isa isa) { return isa == Isa::kAvx2 ? "avx2" : "scalar"; }

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : kAllIsas) {
    if (is_supported(isa)) isas.push_back(isa);
  }
  return isas;
}

Result<Isa> parse_isa(std::string_view name) {
  for (const Isa isa : kAllIsas) {
    if (to_string(isa) != name) continue;
    if (is_supported(isa)) return isa;
    return device_error("instruction set '" + std::string(name) + "'",
                        "is not supported by this processor; choose one of " + supported_names());
  }
  return invalid_input("instruction set '" + std::string(name) + "'",
                       "is unknown; choose one of " + supported_names());
}

Result<Isa> choose_isa() {
  const char* forced = std::getenv("GRAUPEL_ISA");
  if (forced != nullptr && *forced != '\0') {
    Result<Isa> isa = parse_isa(forced);
    if (!isa.ok()) return std::move(isa).error().within("GRAUPEL_ISA");
    return isa;
  }
  return supported_isas().back();
}

const KernelTable& kernel_table(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx2 && is_supported(isa)) return kAvx2Table;
#endif
  static_cast<void>(isa);
  return kScalarTable;
}

}  // namespace graupel::kernels
