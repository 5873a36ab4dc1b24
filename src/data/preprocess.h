// From raw windows to what a model takes: the declared chain that travels with the model.
//
// Idea: three steps in a fixed order, each of which may be absent. Training, calibration, the
// compiled plan, the server and validation all mean the same numbers by it; preprocess() is the
// definition the others are held against, byte for byte.
//   1. remove the window's mean   on chosen channels: x - mean of its row (last axis)
//   2. scale                      (x - mean[c]) / (std[c] + epsilon), channel c = axis 1
//   3. clip                       to [-clip, clip]
// Removing the mean takes the heading of a room out of a magnetometer. One scale for the three axes
// of a sensor keeps angles between them, so that a turned sensor is a turned input.
// Test: preprocess_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"

namespace graupel::data {

struct Normalization {
  std::vector<double> mean;
  std::vector<double> std;
  double epsilon = 1e-8;
  std::vector<int64_t> centred = {};  // channels of step 1, ascending
  std::optional<double> clip = {};    // step 3, in scaled units

  bool operator==(const Normalization&) const = default;
};

// The chain applied. Every step computes in double and rounds once to float32:
//   1. float32(x - sum / samples), the sum in the order of the row
//   2. float32((x - mean) / (std + epsilon))
//   3. x < -clip ? -clip : x > clip ? clip : x, with float32(clip); NaN stays NaN
// `windows`: float32, N x C x ... (rank >= 2, and >= 3 where a mean is removed); any N, so one
// window is as good as a set. Error kInvalidInput: another type, channel counts that differ, or a
// chain check_normalization refuses.
Result<Tensor> preprocess(const Tensor& windows, const Normalization& normalization);
// Step 1 alone: what the statistics of step 2 are measured on. Same errors.
Result<Tensor> remove_window_mean(const Tensor& windows, const std::vector<int64_t>& channels);

// {"format_version":2,"steps":[{"step":"remove_window_mean","channels":[6,7,8]},
//  {"step":"scale","mean":[...],"std":[...],"epsilon":1e-8},{"step":"clip","limit":10}]}
// in this order; scale has to be there. Also the older {"mean":[...],"std":[...],"epsilon":1e-8},
// which a chain of step 2 alone is still written as. epsilon may be left out.
// Errors: kInvalidInput names the key that is missing or wrong; kUnsupported for a newer version or
// a step of another name.
Result<Normalization> parse_normalization(std::string_view json);
std::string format_normalization(const Normalization& normalization);
// Lists of different length, a value that is not finite, a std below zero, std + epsilon of zero,
// a channel that is outside, twice or out of order, a clip that is not above zero.
Result<void> check_normalization(const Normalization& normalization);

}  // namespace graupel::data
