// How much two sensors move together, and which one follows the other.
//
// Idea: Pearson's r of the two series at every lag; the largest in magnitude counts. Movement is
// far from white noise, so n samples are worth fewer: the effective number follows from both
// autocorrelations, and the confidence also pays for having looked at every lag.
// Reference: Pyper and Peterman 1998 (effective number, after Bartlett), Fisher's z, Sidak's
// correction. Test: synchrony_test.cc (NumPy and SciPy).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace graupel::serve {

struct Synchrony {
  double r = 0.0;   // at `lag`, of the samples that overlap
  int64_t lag = 0;  // samples; positive: b follows a
  double effective_samples = 0.0;
  // 1 - the probability of such an r anywhere among the lags if the two had nothing in common.
  double confidence = 0.0;
};

// Series of equal length n > 2 max_lag + 8. nullopt: shorter, or one of them is constant.
// Time O(n max_lag + n^2 / 4).
std::optional<Synchrony> synchrony(std::span<const double> a, std::span<const double> b,
                                   size_t max_lag);

}  // namespace graupel::serve
