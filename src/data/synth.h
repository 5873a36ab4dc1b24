// Generated windows: people with two inertial units doing ten things, and plain noise for any
// other input shape.
// Test: synth_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/tensor.h"
#include "data/statistics.h"

namespace graupel::data {

inline constexpr int64_t kSynthChannels = 9;   // acc x y z, gyro x y z, mag x y z
inline constexpr int64_t kSynthSensors = 2;    // torso, right thigh
inline constexpr int64_t kSynthSamples = 100;  // 2 s
inline constexpr double kSynthSampleRateHz = 50.0;
inline constexpr int64_t kSynthBehaviours = 10;
inline constexpr int64_t kSynthMaximumWindows = int64_t{1} << 18;  // 1.9 GB of float32

// The name of each label, in the order of the labels.
const std::array<std::string_view, kSynthBehaviours>& behaviour_names();

struct SynthOptions {
  int64_t windows = 1000;
  int64_t subjects = 10;      // windows are dealt to them in turn
  int64_t first_subject = 0;  // id of the first; a subject is the same person under every seed
  uint64_t seed = 1;          // what the people do: phase, speed, heading, noise
  std::optional<Normalization> normalization;  // z-score the windows with this; else raw units
};

struct SynthSet {
  Tensor windows;   // float32 N x 9 x 2 x 100: m/s^2, rad/s, earth-field units (or z-scores)
  Tensor labels;    // int64 N, index into behaviour_names()
  Tensor subjects;  // int64 N, subject id
};

// Same options, same bytes, whatever the number of cores. Every run of ten windows holds each
// behaviour once and belongs to one subject, so any prefix of whole runs is balanced.
// Error kInvalidInput: a count that is not positive or above the limit.
Result<SynthSet> synth_windows(const SynthOptions& options);

// `count` windows of standard normal noise for an input of shape `window_shape` (batch left out):
// float32 count x window_shape. Error kInvalidInput: more than 2^29 values (2 GiB).
Result<Tensor> synth_noise(const Shape& window_shape, int64_t count, uint64_t seed);

}  // namespace graupel::data
