// A plan as C99 source: the network for a microcontroller or inside someone's C program.
//
// Idea: the integer part of a plan needs nothing but loops, so it is written out as constants, one
// static arena and a list of calls of small C functions (emit_c_parts.h), with no library and no
// allocation. The bytes are those of the engine. Test: emit_c_test.cc (gcc, clang, and the ARM
// cross compiler where it is installed).
#pragma once

#include <string>

#include "base/result.h"
#include "run/plan.h"

namespace graupel::compile {

struct CSource {
  std::string name;    // as a C identifier
  std::string header;  // name.h
  std::string source;  // name.c
};

// `name` becomes the prefix of everything public; characters that C does not take become '_'.
//   int NAME_infer(const int8_t* input, int8_t* output)      the INT8 network, bytes to bytes
//   void NAME_quantize(const float* window, int8_t* input)   the plan's first steps: mean of the
//                                                            window, z-score, clip, quantisation
//   void NAME_dequantize(const int8_t* output, float* values)
// Input and output bytes are channels-last where the plan's are; the header gives sizes, scales and
// zero points. What the host part does behind the output is named in the header, not emitted.
// Error kUnsupported, naming the step, unless the plan quantises one input, works on bytes only,
// and ends in one byte tensor.
Result<CSource> emit_c(const run::Plan& plan, const std::string& name);

}  // namespace graupel::compile
