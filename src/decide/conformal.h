// Conformal scores and quantiles: what decides whether a class belongs to a prediction set.
//
// Idea: a score says how badly a class fits a window. The threshold is the k-th smallest score of
// the true classes of n calibration windows, k = ceil((n + 1)(1 - alpha)); a new window's set holds
// every class whose score is at most the threshold, and then misses the true class with
// probability at most alpha if the windows are exchangeable.
// Reference: Sadinle 2019 (LAC), Romano 2020 (APS), Angelopoulos 2021 (RAPS), Huang 2024 (SAPS),
// Vovk 2012 (the rank). Formulas: docs/decisions.md. Test: conformal_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "decide/block.h"

namespace graupel::decide {

// k = ceil((n + 1)(1 - alpha)), from 1; nullopt if it is above n: no threshold is large enough.
// A product within rounding error of a whole number is that number.
std::optional<size_t> conformal_rank(size_t count, double alpha);

// The k-th smallest of `scores`, which are reordered; kNoThreshold if there is none.
double conformal_quantile(std::span<double> scores, double alpha);

// Classes by falling probability, the smaller index first among equals; `order` has one entry each.
void rank_classes(std::span<const double> probabilities, std::span<int32_t> order);

// scores[c] of every class, from probabilities and their order. `u` in [0, 1] is the window's own
// random number; it is taken as 1 where `conformal` is not randomised.
//   LAC   1 - p_c
//   APS   sum of p above c in the order, + u p_c
//   RAPS  APS + lambda max(0, rank_c - free_ranks), rank from 1
//   SAPS  u p_1 for the first class, else p_1 + (rank_c - 2 + u) weight
void class_scores(const Conformal& conformal, std::span<const double> probabilities,
                  std::span<const int32_t> order, double u, std::span<double> scores);

// The threshold of class c for a window of `group`.
double threshold_of(const Conformal& conformal, size_t c, std::optional<int64_t> group);

// In [0, 1), from the seed and the window's number: the same on every machine.
double uniform_of(uint64_t seed, uint64_t window);

}  // namespace graupel::decide
