// Held-out windows and the paired test on them. See held_out.h. Test: held_out_test.cc.
#include "quantize/held_out.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "base/window_at.h"
#include "ir/eval.h"

namespace graupel::quantize {
namespace {

constexpr size_t kShare = 4;  // one window of so many is held out
// Student's t, 95 %, for 1 to 15 degrees of freedom.
constexpr std::array<double, kMostBlocks - 1> kStudent = {6.314, 2.920, 2.353, 2.132, 2.015,
                                                          1.943, 1.895, 1.860, 1.833, 1.812,
                                                          1.796, 1.782, 1.771, 1.761, 1.753};

// Every fourth person, or every fourth of kMostBlocks blocks.
std::vector<bool> held_out_windows(size_t count, std::span<const int64_t> groups) {
  std::vector<bool> held(count);
  const std::set<int64_t> people(groups.begin(), groups.end());
  if (groups.size() == count && people.size() > 1) {
    std::set<int64_t> chosen;
    size_t at = 0;
    for (const int64_t person : people) {
      if (at++ % kShare == 1) chosen.insert(person);
    }
    for (size_t i = 0; i < count; ++i) held[i] = chosen.contains(groups[i]);
    return held;
  }
  const size_t blocks = std::min(kMostBlocks, count);
  for (size_t i = 0; i < count; ++i) held[i] = i * blocks / count % kShare == 1;
  return held;
}

}  // namespace

Split split_windows(const Tensor& windows, std::span<const int64_t> groups) {
  const auto count = static_cast<size_t>(windows.shape()[0]);
  const std::vector<bool> held = held_out_windows(count, groups);
  std::vector<size_t> fitting, held_out;
  for (size_t i = 0; i < count; ++i) (held[i] ? held_out : fitting).push_back(i);
  return {windows_at(windows, fitting), windows_at(windows, held_out)};
}

double BlockNoise::mean() const {
  double sum = 0.0;
  for (const double each : noise) sum += each;
  return sum / static_cast<double>(std::max<size_t>(noise.size(), 1));
}

Result<BlockNoise> block_noise(const ir::Graph& qdq, const Reference& held_out) {
  ir::EvalOptions options;
  options.qdq = ir::QdqMode::kInteger;
  TRY_ASSIGN(const std::vector<Tensor> found, ir::evaluate_windows(qdq, held_out.windows, options));
  const auto count = static_cast<size_t>(held_out.windows.shape()[0]);
  const size_t blocks = std::min(kMostBlocks, count);
  BlockNoise result{std::vector<double>(blocks, 0.0)};
  for (size_t output = 0; output < found.size(); ++output) {
    const std::vector<double> x = held_out.outputs[output].to_doubles();
    const std::vector<double> y = found[output].to_doubles();
    std::vector<double> noise(blocks, 0.0), values(blocks, 0.0);
    double signal = 0.0;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      const size_t block = i * count / x.size() * blocks / count;
      const double error = x[i] - y[i];
      noise[block] += error * error;
      values[block] += 1.0;
      signal += x[i] * x[i];
    }
    if (signal > 0.0) signal /= static_cast<double>(x.size());
    for (size_t block = 0; block < blocks; ++block) {
      const double mean = noise[block] / std::max(values[block], 1.0);
      result.noise[block] +=
          (signal > 0.0 ? mean / signal : mean) / static_cast<double>(found.size());
    }
  }
  return result;
}

double gain_in_errors(const BlockNoise& before, const BlockNoise& after) {
  const size_t count = std::min(before.noise.size(), after.noise.size());
  if (count < 2) return 0.0;
  double mean = 0.0, squares = 0.0;
  for (size_t i = 0; i < count; ++i) mean += before.noise[i] - after.noise[i];
  mean /= static_cast<double>(count);
  for (size_t i = 0; i < count; ++i) {
    const double off = before.noise[i] - after.noise[i] - mean;
    squares += off * off;
  }
  if (mean == 0.0) return 0.0;
  const double error = std::sqrt(squares / static_cast<double>(count * (count - 1)));
  if (error > 0.0) return mean / error;
  return mean > 0.0 ? std::numeric_limits<double>::infinity()
                    : -std::numeric_limits<double>::infinity();
}

bool is_gain(const BlockNoise& before, const BlockNoise& after) {
  const size_t count = std::min(before.noise.size(), after.noise.size());
  return count >= 2 && gain_in_errors(before, after) > kStudent[count - 2];
}

}  // namespace graupel::quantize
