// Changing the rate of an evenly sampled signal by a rational factor, without aliases.
//
// Idea: the signal is thought of as stuffed with up - 1 zeros, filtered by a windowed sinc that
// stops at the lower of the two Nyquist frequencies (-6 dB there), and thinned by `down`; only
// the taps that meet a sample and an output are computed. The ends continue with their value: a
// signal with gravity in it must not fall to zero there.
// Reference: scipy.signal.resample_poly(x, up, down, window=('kaiser', 5.0), padtype='edge'), the
// same filter; Oppenheim, Schafer, Discrete-Time Signal Processing, 4.6. Test: resample_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace graupel::prepare {

struct Ratio {
  int64_t up = 1, down = 1;
  bool operator==(const Ratio&) const = default;
};
// to_hz / from_hz as a fraction of terms up to 1000. Error kInvalidInput if none is within 1e-6.
Result<Ratio> rate_ratio(double from_hz, double to_hz);

// The filter of 20 max(up, down) + 1 taps.
std::vector<double> antialias_filter(const Ratio& ratio);

// ceil(n up / down) samples; x itself for the ratio 1. `filter` is antialias_filter(ratio).
std::vector<double> resample(std::span<const double> x, const Ratio& ratio,
                             const std::vector<double>& filter);

}  // namespace graupel::prepare
