// People to splits, and the proof that no split sees another's people or windows.
//
// Idea: a window says more about its person than about its behaviour, so a split is a set of
// people, never of windows: splitting by window inflates accuracy by 10 to 16 points.
// Reference: docs/data.md; Dehghani et al. (2019), arXiv 1904.02666. Test: split_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "prepare/window_store.h"

namespace graupel::prepare {

struct Split {
  std::string name;  // "train", "validation", "calibration", "test"; "all" for kAllFolds
  std::vector<int64_t> subjects;  // ascending
};

// kSubjects: four splits. kLeaveOneOut: one fold, in which `test_subjects` names the one person
// left out. kAllFolds: one split with everybody, and the folds of each person in turn.
enum class SplitKind : uint8_t { kSubjects, kLeaveOneOut, kAllFolds };

struct SplitOptions {
  SplitKind kind = SplitKind::kSubjects;
  // People named for a split; where a list is empty (and kSubjects), people are drawn.
  std::vector<int64_t> test_subjects, validation_subjects, calibration_subjects;
  uint64_t seed = 1;
};

// Splits of the people with windows, ascending. Drawn ones: 15 % of the people each for test,
// validation and calibration, at least one; the rest trains. A fold left out by person k
// validates on the next person and calibrates on the one after, round the list.
// Error kInvalidInput: fewer than four people, a person named twice or without windows, nobody
// left to train on.
Result<std::vector<Split>> make_splits(const std::vector<int64_t>& subjects,
                                       const SplitOptions& options);
// The four splits of one fold.
Result<std::vector<Split>> make_fold(const std::vector<int64_t>& subjects, int64_t left_out);

// The windows of a split, in the order they were read.
std::vector<size_t> windows_of(const WindowStore& store, const Split& split);

struct Leakage {
  int64_t shared_subjects = 0;  // people in more than one split's groups.npy
  int64_t equal_windows = 0;    // windows of one split that lie in another, value for value
  std::string example;
  bool clean() const { return shared_subjects == 0 && equal_windows == 0; }
};
// Reads back DIR/NAME/groups.npy of each split, and compares all windows across splits.
Result<Leakage> check_leakage(const std::string& folder, const std::vector<Split>& splits,
                              const WindowStore& store);

// Indices of `wanted` windows of `indices`: classes in turn, people of a class in turn, drawn by
// `seed`; fewer where there are not as many. A prefix is as balanced as the whole.
std::vector<size_t> balanced(const WindowStore& store, std::span<const size_t> indices,
                             size_t wanted, uint64_t seed);

}  // namespace graupel::prepare
