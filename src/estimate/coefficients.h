// Written by tools/fit_estimate, not by hand: what estimate.cc multiplies by.
//
// Source: the public tables of hailo_model_zoo v2.18 (2026-03-02), 279 rows; fitted 2026-11-26.
// Order of the numbers: see form_features, single_features and multi_features there.
// Test: estimate_test.cc.
#pragma once

namespace graupel::estimate {

// clang-format off
inline constexpr double kForm[] = {11.2577527,
    -4.26829656,
    -0.0525653387,
    -0.621904536,
    -4.40940093,
    -1.35549187,
    -1.11341595};
inline constexpr double kSingle[] = {9.17049278,
    -0.657987039,
    -0.0755583457,
    -0.267380658,
    -0.80519375,
    -0.51298084};
inline constexpr double kSingleSpread = 0.539092548;
// By device: Hailo-8, Hailo-8L.
inline constexpr double kMulti[2][4] = {{3.27524492,
    6.29084859,
    0.330978124,
    0.0870488261},
                                        {4.53079904,
    7.26128942,
    0.319303962,
    0.170324307}};
inline constexpr double kMultiSpread[] = {0.48168042,
    0.507586589};
// By device, then by likelier form: several contexts, one.
inline constexpr double kWidening[2][2] = {{0.0384278759,
    0.654337772}, {0.184026035,
    0.710900214}};
// What was fitted on reaches from and to.
inline constexpr double kLeastOpsG = 0.07, kMostOpsG = 515.12;
inline constexpr double kLeastWeightsM = 0.02, kMostWeightsM = 97.2;
inline constexpr double kLeastInputBytes = 9360, kMostInputBytes = 5898240;
// clang-format on

}  // namespace graupel::estimate
