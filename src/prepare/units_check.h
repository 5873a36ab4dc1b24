// Do the numbers fit the declared units? Gravity and the body's movement tell.
//
// Idea: people carry gravity with them, so the mean length of acceleration is about 9.8 m/s^2; and
// what turns also accelerates, so rotation (rad/s) against the spread of acceleration (m/s^2) has a
// typical ratio from which degrees differ by 57. Judged for each person, sensor and behaviour, so
// that a set of mixed units is found and its parts are named.
// Test: units_check_test.cc; readers_real_test.cc (no false alarm on published recordings).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <tuple>

#include "base/result.h"
#include "prepare/recipe.h"
#include "prepare/recording.h"

namespace graupel::prepare {

struct UnitSums {
  double count = 0.0;
  double length = 0.0, length_squares = 0.0;  // of acceleration
  std::array<double, 3> axes{};               // of acceleration
  double rotation_squares = 0.0;              // sum over the three axes
  double rotation_count = 0.0;
};
// Person, sensor (index), class.
using UnitEvidence = std::map<std::tuple<int64_t, size_t, int32_t>, UnitSums>;

// Adds a run, in target units.
void observe_units(const RawRun& run, UnitEvidence& evidence);

// Error kInvalidInput if parts (or all) of the set contradict the declared units, naming persons,
// sensor, what the numbers look like and what to write instead; doubts go to the notes.
Result<void> check_units(const UnitEvidence& evidence, const Recipe& recipe, Tally& tally);

}  // namespace graupel::prepare
