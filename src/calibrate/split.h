// Windows divided into three parts: to fit the confidence, to take conformal thresholds, to judge.
//
// Idea: windows of one person resemble each other, so whole groups go to one part; a number judged
// on a person it was fitted on flatters. Test: split_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace graupel::calibrate {

struct SplitOptions {
  double fit_share = 0.25;
  double conformal_share = 0.35;  // what is left is for judging
  uint64_t seed = 1;
  size_t block_windows = 20;  // without groups: consecutive windows that stay together
  // Every group in every part, block by block: for what is fitted per group. The judge then tells
  // nothing about new people.
  bool within_groups = false;
};

enum class SplitBy { kGroup, kBlock };

struct Part {
  std::vector<size_t> windows;  // ascending
  std::vector<int64_t> groups;  // ascending; empty if not split by group
};

struct Split {
  SplitBy by = SplitBy::kGroup;
  Part fit, conformal, judge;
  std::string warning;  // what the split cannot show; empty if nothing
};

// `groups` names the group of each of `windows` windows, or is empty. Three groups or more: whole
// groups, by shares of windows. Two: one is judged, the other gives both fits, block by block. One
// or none: everything block by block, with a warning. Same input, same split.
// Errors kInvalidInput: fewer than 30 windows, counts that differ, shares that leave a part empty.
Result<Split> split_windows(size_t windows, std::span<const int64_t> groups,
                            const SplitOptions& options);

}  // namespace graupel::calibrate
