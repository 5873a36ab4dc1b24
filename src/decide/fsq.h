// FSQ on the host: digits, code index, code centres, and thresholds that need no tanh.
//
// Idea: every published bound is monotonic, so a digit is the number of thresholds below z. On an
// INT8 tensor the thresholds become integers and the digit exact, whatever the bound was.
// Reference: Mentzer et al. 2023 (arXiv 2309.15505), vector-quantize-pytorch 1.31,
// arXiv 2411.19842 (symmetric), arXiv 2601.17124 (ifsq). Formulas: docs/decisions.md.
// Test: fsq_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "decide/block.h"

namespace graupel::decide {

// The digit of z by the definition, in float32 as training code computes it. `z` includes the
// shift if `shift_folded`. NaN gives 0.
int64_t digit_by_definition(FsqVariant variant, int64_t levels, float z, bool shift_folded = false);

// The levels - 1 ascending z at which the digit goes up, in double; +-infinity where it never does.
std::vector<double> z_thresholds(FsqVariant variant, int64_t levels, bool shift_folded = false);

// How many of the ascending thresholds are <= value: the digit. Without a branch.
template <class T>
int64_t count_at_most(std::span<const T> thresholds, T value) {
  int64_t digit = 0;
  for (const T threshold : thresholds) digit += threshold <= value ? 1 : 0;
  return digit;
}

// What the code of a digit means: the number the decoder or classifier behind the FSQ gets.
// Centred variants: (digit - floor(L/2)) / floor(L/2); symmetric, sigmoid and ifsq:
// 2 digit / (L - 1) - 1.
double code_centre(FsqVariant variant, int64_t levels, int64_t digit);

// Product of the levels; nullopt if it is above 2^64 - 1.
std::optional<uint64_t> code_count(std::span<const int64_t> levels);

// Mixed radix. The caller has checked code_count and that 0 <= digit < levels. Exact in uint64.
uint64_t code_index(std::span<const int64_t> digits, std::span<const int64_t> levels,
                    DigitOrder order);
// The inverse, for index < code_count; `digits` has one entry per level.
void digits_of(uint64_t index, std::span<const int64_t> levels, DigitOrder order,
               std::span<int64_t> digits);

// Integer thresholds from what a graph gives: digit_of[d][v] is the digit of dimension d for the
// INT8 value `lowest` + v. The smallest value that reaches a digit; 256 where none does. Where a
// graph's bound lies in front of the INT8 tensor, values beyond it give digits outside
// [0, levels) there; the count of thresholds stays inside.
// Error kInvalidInput naming dimension and value if a digit falls.
Result<std::vector<std::vector<int32_t>>> integer_thresholds(
    std::span<const int64_t> levels, const std::vector<std::vector<int64_t>>& digit_of,
    int32_t lowest);

// A sentence per dimension that hardly ever changes its digit (two levels in a centred variant:
// the only threshold lies at z = -3.8). Empty if there is none.
std::vector<std::string> fsq_warnings(const Fsq& fsq);

// Formulas found in hand-written host code behind a cut network. They take tanh of what they are
// given and know no shift, so they agree with few graphs, and never with one cut behind its tanh.
enum class HostFormula {
  kGrid,    // round((tanh z + 1) (L - 1) / 2), clamped to 0 .. L - 1
  kLevels,  // round((tanh z + 1) L / 2), which reaches L: a digit more than there are levels
};
std::string_view to_string(HostFormula formula);  // the formula as text
int64_t host_formula_digit(HostFormula formula, int64_t levels, float value);

}  // namespace graupel::decide
