// Whether a step helps windows it was not chosen on, and by more than chance.
//
// Idea: a quarter of the calibration windows (whole people where they are known, blocks of
// neighbours otherwise) is set aside before anything is chosen. A step is kept if the noise it
// takes from those windows is, block by block, significantly more than none: the paired one-sided
// t-test at 5 %, the custom; a step without effect that is kept once in twenty costs next to
// nothing. Blocks, because windows next to each other are alike. Differences, not ratios: what is
// to fall is the noise of all windows together, and a range too narrow gains a little in most
// blocks and loses more in the few that need it. Reference: Student 1908, The probable error of a
// mean, Biometrika 6. Test: held_out_test.cc.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "quantize/reference.h"

namespace graupel::quantize {

// Both keep the windows' order.
struct Split {
  Tensor fitting;  // what is chosen is chosen on these
  Tensor held_out;
};
// `groups`: who each window is of, one number per window; empty if not known. With one group it is
// as if they were not known. At least two windows.
Split split_windows(const Tensor& windows, std::span<const int64_t> groups);

// Noise power over the mean signal power of all windows, by block: neighbours together.
struct BlockNoise {
  std::vector<double> noise;
  double mean() const;
};
inline constexpr size_t kMostBlocks = 16;
// Of a QDQ graph in integer arithmetic. Errors: those of the evaluator.
Result<BlockNoise> block_noise(const ir::Graph& qdq, const Reference& held_out);

// The mean gain over its standard error; 0 without any gain, infinity if every block gains alike.
double gain_in_errors(const BlockNoise& before, const BlockNoise& after);
// Whether that is beyond what chance does in one case of twenty.
bool is_gain(const BlockNoise& before, const BlockNoise& after);

}  // namespace graupel::quantize
