// What the calibration windows do to a network: streamed, in memory that does not grow with them.
// Test: observe_test.cc.
#pragma once

#include <vector>

#include "quantize/choose_range.h"
#include "quantize/points.h"

namespace graupel::quantize {

// Of a tensor [1, C, ...], per channel.
struct ChannelStats {
  std::vector<double> sum, squares, largest;  // largest: of magnitudes
  double count = 0.0;                         // values per channel
};

struct Observation {
  // Indexed by value, filled at the value whose scale others share.
  std::vector<Histogram> histograms;
  std::vector<Range> moving;  // exponential averages of the windows' extremes, weight 0.01
  std::vector<std::vector<Histogram>> channel_histograms;  // only for kMseChannel
  // Indexed by value, for every point; over at most kStatWindows windows.
  std::vector<ChannelStats> channels;
};
inline constexpr size_t kStatWindows = 256;

// Runs the float graph over all windows, on all cores; the result does not depend on their number.
// Errors: those of the evaluator.
Result<Observation> observe(const ir::Graph& device, const Points& points, const Tensor& windows,
                            Calibrator calibrator);

// Adds what was seen of further windows. Moving averages stay as they are.
void add_to(Observation& seen, const Observation& further);

// The encoding of `shared` or of a point that shares its scale; null if none is given.
const Encoding* given_scale(const ir::Graph& device, const Points& points, ir::ValueId shared,
                            const Encodings& given);

// The scale of every point that others share, by the calibrator; where only elementwise functions
// read a point, kMse and kMseChannel mean the error behind them.
// Errors: kInvalidInput naming a tensor that becomes NaN or infinite.
Result<std::vector<ScaleChoice>> choose_scales(const ir::Graph& device, const Points& points,
                                               const Observation& observation,
                                               const QuantizeOptions& options);

}  // namespace graupel::quantize
