// Choice of the instruction set. See dispatch.h.
//
// Idea: one table of function pointers per instruction set, filled from kernels.def; the choice
// is made when an engine is loaded, never inside a loop.
// Test: dispatch_test.cc.
#include "kernels/dispatch.h"

#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace graupel::kernels {
namespace {

constexpr KernelTable kScalarTable = {
#define KERNEL(name, Args) &scalar::name,
#include "kernels/kernels.def"
#undef KERNEL
};

// The kernels a set has of its own; the rest are those of the set below it.
#if defined(__x86_64__)
constexpr KernelTable kAvx2Table = [] {
  KernelTable table = kScalarTable;
  table.widen_row = &avx2::widen_row;
  table.flip_row = &avx2::flip_row;
  table.conv_row = &avx2::conv_row;
  table.depthwise_row = &avx2::depthwise_row;
  table.max_pool_row = &avx2::max_pool_row;
  table.average_pool_row = &avx2::average_pool_row;
  table.quantize_row = &avx2::quantize_row;
  table.quantize_image = &avx2::quantize_image;
  table.dequantize_row = &avx2::dequantize_row;
  table.binary_row = &avx2::binary_row;
  return table;
}();
constexpr KernelTable kSse41Table = [] {
  KernelTable table = kScalarTable;
  table.widen_row = &sse41::widen_row;
  table.conv_row = &sse41::conv_row;
  table.depthwise_row = &sse41::depthwise_row;
  table.max_pool_row = &sse41::max_pool_row;
  return table;
}();
constexpr KernelTable kAvxVnniTable = [] {
  KernelTable table = kAvx2Table;
  table.dot_row = &avxvnni::dot_row;
  table.dot_form = DotForm::kUnsigned;
  return table;
}();
constexpr KernelTable kAvx512VnniTable = [] {
  KernelTable table = kAvx2Table;
  table.dot_row = &avx512vnni::dot_row;
  table.depthwise_dot_row = &avx512vnni::depthwise_dot_row;
  table.average_pool_row = &avx512vnni::average_pool_row;
  table.quantize_row = &avx512vnni::quantize_row;
  table.quantize_image = &avx512vnni::quantize_image;
  table.dequantize_row = &avx512vnni::dequantize_row;
  table.binary_row = &avx512vnni::binary_row;
  table.dot_form = DotForm::kUnsigned;
  table.has_depthwise_dot = true;
  return table;
}();
#endif

#if defined(__aarch64__)
constexpr KernelTable kNeonTable = [] {
  KernelTable table = kScalarTable;
  table.widen_row = &neon::widen_row;
  table.flip_row = &neon::flip_row;
  table.conv_row = &neon::conv_row;
  table.depthwise_row = &neon::depthwise_row;
  table.max_pool_row = &neon::max_pool_row;
  table.average_pool_row = &neon::average_pool_row;
  table.quantize_row = &neon::quantize_row;
  table.quantize_image = &neon::quantize_image;
  table.dequantize_row = &neon::dequantize_row;
  table.binary_row = &neon::binary_row;
  return table;
}();
constexpr KernelTable kNeonDotTable = [] {
  KernelTable table = kNeonTable;
  table.dot_row = &neondot::dot_row;
  table.dot_form = DotForm::kSigned;
  return table;
}();
#endif

struct IsaEntry {
  Isa isa;
  std::string_view name;
  const KernelTable* table;  // nullptr: not in this build
};

#if defined(__x86_64__)
#define GRAUPEL_X86(table) &table
#else
#define GRAUPEL_X86(table) nullptr
#endif
#if defined(__aarch64__)
#define GRAUPEL_ARM(table) &table
#else
#define GRAUPEL_ARM(table) nullptr
#endif

// Worst first.
constexpr IsaEntry kIsas[] = {
    {Isa::kScalar, "scalar", &kScalarTable},
    {Isa::kSse41, "sse41", GRAUPEL_X86(kSse41Table)},
    {Isa::kAvx2, "avx2", GRAUPEL_X86(kAvx2Table)},
    {Isa::kAvxVnni, "avxvnni", GRAUPEL_X86(kAvxVnniTable)},
    {Isa::kAvx512Vnni, "avx512vnni", GRAUPEL_X86(kAvx512VnniTable)},
    {Isa::kNeon, "neon", GRAUPEL_ARM(kNeonTable)},
    {Isa::kNeonDot, "neondot", GRAUPEL_ARM(kNeonDotTable)},
};

#if defined(__x86_64__)
// CPUID leaf 7, subleaf 1, EAX bit 4; clang 14 has no name for it.
bool has_avx_vnni() {
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || a < 1) return false;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & (1u << 4)) != 0;
}
#endif

bool processor_has(Isa isa) {
#if defined(__x86_64__)
  const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  if (isa == Isa::kSse41) return __builtin_cpu_supports("sse4.1") != 0;
  if (isa == Isa::kAvx2) return has_avx2;
  if (isa == Isa::kAvxVnni) return has_avx2 && has_avx_vnni();
  if (isa == Isa::kAvx512Vnni) {
    return has_avx2 && __builtin_cpu_supports("avx512f") != 0 &&
           __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
           __builtin_cpu_supports("avx512vnni") != 0;
  }
#endif
#if defined(__aarch64__)
  if (isa == Isa::kNeon) return true;  // part of every 64-bit ARM
  if (isa == Isa::kNeonDot) return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#endif
  return isa == Isa::kScalar;
}

bool is_supported(const IsaEntry& entry) {
  return entry.table != nullptr && processor_has(entry.isa);
}

std::string supported_names() {
  std::string names;
  for (const Isa isa : supported_isas()) {
    names += (names.empty() ? "" : ", ") + std::string(to_string(isa));
  }
  return names;
}

}  // namespace

std::string_view to_string(Isa isa) {
  for (const IsaEntry& entry : kIsas) {
    if (entry.isa == isa) return entry.name;
  }
  return "unknown";
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas;
  for (const IsaEntry& entry : kIsas) {
    if (is_supported(entry)) isas.push_back(entry.isa);
  }
  return isas;
}

Result<Isa> parse_isa(std::string_view name) {
  for (const IsaEntry& entry : kIsas) {
    if (entry.name != name) continue;
    if (is_supported(entry)) return entry.isa;
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
  for (const IsaEntry& entry : kIsas) {
    if (entry.isa == isa && is_supported(entry)) return *entry.table;
  }
  return kScalarTable;
}

}  // namespace graupel::kernels
