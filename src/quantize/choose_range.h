// From a histogram of a tensor's values to its INT8 scale. Test: choose_range_test.cc.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "quantize/histogram.h"
#include "quantize/quantize.h"

namespace graupel::quantize {

// Bounds of the values the scale should hold; low <= 0 <= high.
struct Range {
  double low = 0.0;
  double high = 0.0;
};

struct ScaleChoice {
  DType dtype = DType::kInt8;
  float scale = 1.0f;
  int32_t zero_point = 0;
};

// What each of some scales costs.
using ScaleCost = std::function<Result<std::vector<double>>(std::span<const ScaleChoice>)>;
// Shrinks `full` step by step, both sides together and with an asymmetric scheme each side on its
// own, to the range of least cost; of equal ones the widest.
Result<Range> search_range(const Range& full, Scheme scheme, const ScaleCost& cost);

// The range of all values, zero included.
Range observed_range(const Histogram& histogram);
// The range the calibrator keeps; values outside saturate.
Result<Range> choose_range(const Histogram& histogram, const QuantizeOptions& options);
// The scale that holds `range`: int8 [-127, 127] symmetric, uint8 [0, 255] otherwise. A tensor that
// is zero everywhere gets scale 1.
ScaleChoice choose_scale(const Range& range, Scheme scheme);

// Mean squared error of quantising the histogram's values with `scale`.
double quantization_error(const Histogram& histogram, const ScaleChoice& scale);

}  // namespace graupel::quantize
