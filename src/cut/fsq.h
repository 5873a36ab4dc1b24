// Finite scalar quantisation (FSQ) found in a graph: bound, Round, codes.
//
// Idea: training code writes FSQ as b = tanh(z + shift) * half - offset, q = round(b), or in one of
// a few published variations; the constants reveal the levels and which of them it is. Digits and
// the code index then follow exactly: digit = q + floor(L / 2) (variants that round with Floor
// count from 0 already), code = sum of digit_i * product of the levels before i.
// Reference: Mentzer et al. 2023 (arXiv 2309.15505), vector-quantize-pytorch.
// Test: fsq_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace graupel::cut {

struct Fsq {
  // "lucidrains-2024", "lucidrains-2023", "paper-2023", "hard-clamp", "symmetric", "ifsq" or
  // "sigmoid". The two of 2023 differ by the shift alone: with it folded they are called
  // "lucidrains-2023".
  std::string variant;
  std::vector<int64_t> levels;         // per dimension
  std::vector<int64_t> digit_offsets;  // digit = q + offset, per dimension
  std::string unbounded;               // name of z, the value before the bound
  std::string bounded;                 // name of b, the value before Round
  std::string round_node;              // the Round, or Floor
  std::string rounded;                 // name of q
  bool shift_folded = false;           // z already holds the shift (folded into a bias before it)
  int64_t axis = -1;                   // dimension of `bounded` that holds the FSQ dimensions
};

// The FSQ of the graph, or nullopt if no Round or Floor is preceded by a bound that fits a known
// variant. With several, the first in node order.
std::optional<Fsq> find_fsq(const ir::Graph& graph);

inline constexpr const char* kFsqDigitsOutput = "fsq_digits";
inline constexpr const char* kFsqCodeOutput = "fsq_code";

// Appends outputs fsq_digits (int64, shape of `rounded`) and fsq_code (int64, without the FSQ
// axis) to a graph that holds `rounded`. Code index is exact in int64 up to 2^62 codes; beyond
// that only the digits are added.
Result<ir::Graph> add_code_outputs(ir::Graph graph, const Fsq& fsq);

}  // namespace graupel::cut
