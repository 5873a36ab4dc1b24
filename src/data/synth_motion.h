// What moves: the people and the ten behaviours of the synthesiser, as motions of two body
// segments. synth.h turns them into readings.
// Test: synth_test.cc.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/rng.h"

namespace graupel::data {

inline constexpr double kPi = 3.14159265358979323846;
inline constexpr double kDegree = kPi / 180.0;
inline constexpr size_t kHarmonics = 5;
inline constexpr size_t kSegments = 2;  // torso, right thigh
inline constexpr size_t kBehaviourCount = 10;

using Vector3 = std::array<double, 3>;

// sum over k = 1..5 of cosine[k-1] cos(k phase) + sine[k-1] sin(k phase)
struct Harmonics {
  std::array<double, kHarmonics> cosine{};
  std::array<double, kHarmonics> sine{};

  void add(size_t k, double amplitude, double shift) {
    cosine[k - 1] += amplitude * std::cos(shift);
    sine[k - 1] -= amplitude * std::sin(shift);
  }
};

// Minimum-jerk change of `size` from start_s to start_s + duration_s.
struct Ramp {
  double size = 0.0;
  double start_s = 0.0;
  double duration_s = 1.0;
};

struct Segment {
  std::array<Harmonics, 3> acceleration;  // m/s^2, in the frame of the heading
  Harmonics heading, pitch, roll;         // rad, on top of what follows
  double pitch_offset = 0.0;
  double roll_offset = 0.0;
  std::array<Ramp, 2> pitch_ramps;
  double lever_m = 0.0;       // distance of the unit from the joint it swings about
  double contact_gain = 0.0;  // share of the contact pulse that reaches this segment
};

struct Motion {
  double stride_hz = 1.0;
  double stride_hz_slope = 0.0;  // Hz per second
  double phase = 0.0;            // at time 0
  double heading = 0.0;
  double heading_rate = 0.0;
  Ramp turn;  // heading
  Ramp rise;  // height of both units, m
  double contacts_per_stride = 2.0;
  double contact_share = 1.0;  // share of the time on the ground; 1 means never in flight
  std::array<Segment, kSegments> segments;
};

// What stays the same for one person, whatever he does.
struct Subject {
  double cadence = 1.0;
  double vigour = 1.0;
  double lean = 0.0;                          // rad, torso
  double thigh_seated = 0.0;                  // rad
  std::array<double, 8> shifts{};             // rad: the shape of the gait
  std::array<double, 6> shares{};             // relative size of its parts, around 1
  std::array<Vector3, kSegments> mounting{};  // rotation vector, rad
  std::array<Vector3, kSegments> acceleration_bias{}, rate_bias{}, field_bias{};
  std::array<double, 3> noise{};  // standard deviation: m/s^2, rad/s, field units
};

// An independent stream for (purpose, a, b): consecutive splitmix64 seeds would overlap.
Rng random_stream(uint64_t purpose, uint64_t a, uint64_t b);

// The person with this id; the same under every seed.
Subject make_subject(int64_t id);

// A behaviour draws one motion, of one person.
struct Behaviour {
  std::string_view name;
  Motion (*motion)(const Subject&, Rng&);
};

// In the order of the labels.
const std::array<Behaviour, kBehaviourCount>& behaviours();

}  // namespace graupel::data
