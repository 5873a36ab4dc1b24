// Which instruction set the kernels use: the best this processor has, or the one named by the
// environment variable GRAUPEL_ISA. Test: dispatch_test.cc.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/kernels.h"

namespace graupel::kernels {

enum class Isa { kScalar, kSse41, kAvx2, kAvxVnni, kAvx512Vnni, kNeon, kNeonDot };

// "scalar", "sse41", "avx2", "avxvnni", "avx512vnni", "neon", "neondot"
std::string_view to_string(Isa isa);

// What this build holds and this processor can run, worst first; kScalar is always there.
std::vector<Isa> supported_isas();

// `name` as in GRAUPEL_ISA. Errors: kInvalidInput for an unknown name, kDevice for one that this
// processor or this build lacks; both list what can be chosen.
Result<Isa> parse_isa(std::string_view name);

// GRAUPEL_ISA if set and not empty, else the best supported one. Errors: those of parse_isa.
Result<Isa> choose_isa();

// The kernels of a supported instruction set (scalar for one that is not).
const KernelTable& kernel_table(Isa isa);

}  // namespace graupel::kernels
