// Behaviour synthesis.
//
// Idea: a behaviour is a motion of two body segments in a world with gravity and a magnetic field,
// not a waveform per class. A motion gives, per segment, an orientation (heading, pitch, roll) and
// a linear acceleration as functions of time: harmonics of a stride phase, smooth ramps (a turn,
// standing up) and the pulses of ground contact. From these follow, consistently with each other,
// what an inertial unit reads: specific force, angular rate by the Euler-angle kinematics, and the
// earth's field. Then comes what makes real recordings hard: how a person wears the unit, bias,
// gain, noise, and people who differ in cadence, vigour and gait shape.
// Frames: x forward, y left, z up; R = Rz(heading) Ry(pitch) Rx(roll) turns body into world.
// Reference: Titterton and Weston, "Strapdown Inertial Navigation Technology" (kinematics);
// Flash and Hogan 1985 (minimum-jerk ramps). Test: synth_test.cc.
#include "data/synth.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "base/parallel.h"
#include "base/rng.h"

namespace graupel::data {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kDegree = kPi / 180.0;
constexpr double kGravity = 9.80665;                        // m/s^2
constexpr double kFieldNorth = 0.4695, kFieldUp = -0.8829;  // unit field dipping by 62 degrees
constexpr size_t kHarmonics = 5;
constexpr size_t kSensors = static_cast<size_t>(kSynthSensors);
constexpr int64_t kMaximumNoiseValues = int64_t{1} << 29;

using Vector3 = std::array<double, 3>;
using Matrix3 = std::array<Vector3, 3>;

// ---- the motion of one window ----

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
  std::array<Segment, kSensors> segments;
};

// What stays the same for one person, whatever he does.
struct Subject {
  double cadence = 1.0;
  double vigour = 1.0;
  double lean = 0.0;                         // rad, torso
  double thigh_seated = 0.0;                 // rad
  std::array<double, 8> shifts{};            // rad: the shape of the gait
  std::array<double, 6> shares{};            // relative size of its parts, around 1
  std::array<Vector3, kSensors> mounting{};  // rotation vector, rad
  std::array<Vector3, kSensors> acceleration_bias{}, rate_bias{}, field_bias{};
  std::array<double, 3> noise{};  // standard deviation: m/s^2, rad/s, field units
};

// Independent streams for (purpose, a, b): consecutive splitmix64 seeds would overlap.
Rng stream(uint64_t purpose, uint64_t a, uint64_t b) {
  const uint64_t first = Rng(purpose).next_u64();
  const uint64_t second = Rng(first ^ a).next_u64();
  return Rng(Rng(second ^ b).next_u64());
}

// Variance 1, four uniforms in one draw: sensor noise needs speed more than far tails.
double quick_normal(Rng& rng) {
  const uint64_t bits = rng.next_u64();
  const auto sum = static_cast<double>((bits & 0xFFFF) + ((bits >> 16) & 0xFFFF) +
                                       ((bits >> 32) & 0xFFFF) + (bits >> 48));
  return (sum - 131070.0) * (1.7320508075688772 / 65536.0);
}

double vary(Rng& rng, double relative) { return std::exp(relative * rng.normal()); }

Vector3 normal3(Rng& rng, double x, double y, double z) {
  return {x * rng.normal(), y * rng.normal(), z * rng.normal()};
}

Subject make_subject(int64_t id) {
  Rng rng = stream(0x5B1EC7, static_cast<uint64_t>(id), 0);
  Subject subject;
  subject.cadence = vary(rng, 0.07);
  subject.vigour = vary(rng, 0.15);
  subject.lean = 5.0 * kDegree * rng.normal();
  subject.thigh_seated = (78.0 + 7.0 * rng.normal()) * kDegree;
  for (double& shift : subject.shifts) shift = 0.45 * rng.normal();
  for (double& share : subject.shares) share = vary(rng, 0.2);
  for (size_t s = 0; s < kSensors; ++s) {
    // Straps turn about the limb more easily than they tilt.
    subject.mounting[s] = normal3(rng, 10.0 * kDegree, 10.0 * kDegree, 28.0 * kDegree);
    subject.acceleration_bias[s] = normal3(rng, 0.12, 0.12, 0.12);
    subject.rate_bias[s] = normal3(rng, 0.02, 0.02, 0.02);
    subject.field_bias[s] = normal3(rng, 0.04, 0.04, 0.04);
  }
  subject.noise = {0.12 * vary(rng, 0.2), 0.03 * vary(rng, 0.2), 0.012 * vary(rng, 0.2)};
  return subject;
}

// ---- the ten behaviours: Motion of one window ----

// What every behaviour shares: a heading, breathing and sway, a posture.
Motion base_motion(const Subject& subject, Rng& rng) {
  Motion motion;
  motion.phase = rng.uniform(0.0, 2.0 * kPi);
  motion.heading = rng.uniform(0.0, 2.0 * kPi);
  motion.heading_rate = 2.0 * kDegree * rng.normal();
  Segment& torso = motion.segments[0];
  Segment& thigh = motion.segments[1];
  torso.pitch_offset = subject.lean + 3.0 * kDegree * rng.normal();
  torso.roll_offset = 2.0 * kDegree * rng.normal();
  thigh.pitch_offset = 4.0 * kDegree * rng.normal();
  thigh.roll_offset = 3.0 * kDegree * rng.normal();
  torso.lever_m = 0.35;
  thigh.lever_m = 0.25;
  return motion;
}

Motion stationary(const Subject& subject, Rng& rng) {
  Motion motion = base_motion(subject, rng);
  motion.stride_hz = rng.uniform(0.2, 0.5);
  const double sway = vary(rng, 0.5);
  motion.segments[0].pitch.add(1, 1.2 * kDegree * sway, rng.uniform(0.0, 6.28));
  motion.segments[0].roll.add(1, 0.8 * kDegree * sway, rng.uniform(0.0, 6.28));
  motion.segments[0].heading.add(2, 1.5 * kDegree * sway, rng.uniform(0.0, 6.28));
  motion.segments[1].pitch.add(1, 0.8 * kDegree * sway, rng.uniform(0.0, 6.28));
  if (rng.uniform() < 0.5) {
    motion.segments[1].pitch_offset -= subject.thigh_seated;
    motion.segments[0].pitch_offset += 8.0 * kDegree * rng.normal();
  }
  if (rng.uniform() < 0.4) {  // shifting one's weight
    const double start_s = rng.uniform(-0.5, 1.8);
    motion.segments[0].pitch_ramps[0] = {9.0 * kDegree * rng.normal(), start_s, 0.9};
    motion.segments[1].pitch_ramps[0] = {6.0 * kDegree * rng.normal(), start_s, 0.9};
    motion.turn = {12.0 * kDegree * rng.normal(), start_s, 0.9};
  }
  return motion;
}

// The parts of a walk that level walking, turning and stairs have in different amounts.
struct Gait {
  double stride_hz = 0.9;
  double bounce = 2.0;        // m/s^2, vertical at twice the stride
  double impact = 1.0;        // m/s^2, higher harmonics on the leg that lands
  double thigh_swing = 0.38;  // rad
  double thigh_offset = 0.0;  // rad; negative: knee up
  double thigh_lift = 0.1;    // rad, second harmonic of the swing
  double torso_lean = 0.0;    // rad
};

void add_gait(const Gait& gait, const Subject& subject, Rng& rng, Motion& motion) {
  motion.stride_hz = gait.stride_hz * subject.cadence * vary(rng, 0.05);
  motion.stride_hz_slope = 0.03 * motion.stride_hz * rng.normal();
  const double size = subject.vigour * vary(rng, 0.10);
  const auto& shift = subject.shifts;
  const auto& share = subject.shares;
  Segment& torso = motion.segments[0];
  torso.pitch_offset += gait.torso_lean;
  torso.acceleration[2].add(2, gait.bounce * size, shift[0]);
  torso.acceleration[2].add(4, 0.35 * gait.impact * size * share[0], shift[1] + 0.8);
  torso.acceleration[0].add(2, 0.6 * gait.bounce * size * share[1], shift[2] + 1.4);
  torso.acceleration[1].add(1, 0.4 * gait.bounce * size * share[2], shift[3]);
  torso.heading.add(1, 5.0 * kDegree * share[3], shift[4]);
  torso.pitch.add(2, 1.8 * kDegree * share[0], shift[5]);
  torso.roll.add(1, 2.5 * kDegree * share[1], shift[6]);
  Segment& thigh = motion.segments[1];
  thigh.pitch_offset += gait.thigh_offset;
  thigh.pitch.add(1, gait.thigh_swing * size, 0.4 * shift[7]);
  thigh.pitch.add(2, gait.thigh_lift * share[4], shift[0] + 0.7);
  thigh.heading.add(1, 4.0 * kDegree * share[5], shift[1]);
  thigh.roll.add(1, 3.0 * kDegree * share[2], shift[2]);
  thigh.acceleration[2].add(2, 1.2 * gait.bounce * size, shift[0] + 0.2);
  for (size_t k = 3; k <= kHarmonics; ++k) {
    const double amplitude = gait.impact * size * 1.6 / static_cast<double>(k - 1);
    thigh.acceleration[2].add(k, amplitude, 0.5 * static_cast<double>(k) + shift[3]);
    thigh.acceleration[0].add(k, 0.6 * amplitude * share[3], shift[4]);
  }
  thigh.acceleration[1].add(1, 0.5 * gait.bounce * size * share[5], shift[5]);
}

Motion walking(const Subject& subject, Rng& rng) {
  Motion motion = base_motion(subject, rng);
  Gait gait;
  gait.stride_hz = rng.uniform(0.82, 1.0);
  gait.bounce = rng.uniform(1.5, 2.8);
  gait.impact = rng.uniform(0.7, 1.7);
  gait.thigh_swing = rng.uniform(0.30, 0.46);
  add_gait(gait, subject, rng, motion);
  motion.heading_rate = 9.0 * kDegree * rng.normal();
  return motion;
}

Motion running(const Subject& subject, Rng& rng) {
  Motion motion = base_motion(subject, rng);
  Gait gait;
  gait.stride_hz = rng.uniform(1.2, 1.5);
  gait.bounce = rng.uniform(1.5, 3.0);
  gait.impact = rng.uniform(2.0, 4.5);
  gait.thigh_swing = rng.uniform(0.5, 0.75);
  gait.thigh_offset = -0.15;
  gait.torso_lean = 6.0 * kDegree;
  add_gait(gait, subject, rng, motion);
  motion.contact_share = rng.uniform(0.6, 0.95);
  motion.segments[0].contact_gain = 0.8 * vary(rng, 0.1);
  motion.segments[1].contact_gain = 1.1 * vary(rng, 0.1);
  motion.heading_rate = 6.0 * kDegree * rng.normal();
  return motion;
}

Motion turning(const Subject& subject, Rng& rng, double sign) {
  Motion motion = base_motion(subject, rng);
  Gait gait;  // from stepping on the spot to walking round a corner
  const double pace = rng.uniform();
  gait.stride_hz = 0.6 + 0.3 * pace;
  gait.bounce = 0.6 + 1.6 * pace;
  gait.impact = 0.3 + 0.9 * pace;
  gait.thigh_swing = 0.10 + 0.30 * pace;
  add_gait(gait, subject, rng, motion);
  motion.turn.size = sign * rng.uniform(25.0, 150.0) * kDegree;
  motion.turn.duration_s = rng.uniform(1.2, 2.6);
  motion.turn.start_s = rng.uniform(0.2, 1.8) - 0.5 * motion.turn.duration_s;
  motion.segments[0].roll_offset -= sign * 2.0 * kDegree;
  return motion;
}

Motion turn_left(const Subject& subject, Rng& rng) { return turning(subject, rng, 1.0); }
Motion turn_right(const Subject& subject, Rng& rng) { return turning(subject, rng, -1.0); }

Motion jumping(const Subject& subject, Rng& rng) {
  Motion motion = base_motion(subject, rng);
  motion.stride_hz = rng.uniform(1.3, 2.3) * subject.cadence;
  motion.contacts_per_stride = 1.0;
  motion.contact_share = rng.uniform(0.55, 0.92);
  const double size = subject.vigour * vary(rng, 0.15);
  const double shift = 0.5 * subject.shifts[6];
  for (Segment& segment : motion.segments) segment.contact_gain = 0.9 * vary(rng, 0.1);
  motion.segments[0].pitch.add(1, 5.0 * kDegree * size, shift + 0.5);
  motion.segments[0].acceleration[0].add(1, 1.2 * size, subject.shifts[2]);
  motion.segments[1].pitch.add(1, 14.0 * kDegree * size, shift);
  motion.segments[1].pitch.add(2, 5.0 * kDegree * subject.shares[4], subject.shifts[3]);
  motion.segments[1].pitch_offset -= 10.0 * kDegree;
  motion.segments[1].acceleration[0].add(1, 1.5 * size, subject.shifts[4]);
  return motion;
}

Motion stairs_up(const Subject& subject, Rng& rng) {
  Motion motion = base_motion(subject, rng);
  Gait gait;
  gait.stride_hz = rng.uniform(0.70, 0.92);
  gait.bounce = rng.uniform(1.2, 2.2);
  gait.impact = rng.uniform(0.4, 1.0);
  gait.thigh_swing = rng.uniform(0.36, 0.50);
  gait.thigh_offset = -rng.uniform(0.10, 0.32);
  gait.thigh_lift = rng.uniform(0.10, 0.18);
  gait.torso_lean = rng.uniform(1.0, 11.0) * kDegree;
  add_gait(gait, subject, rng, motion);
  return motion;
}

Motion stairs_down(const Subject& subject, Rng& rng) {
  Motion motion = base_motion(subject, rng);
  Gait gait;
  gait.stride_hz = rng.uniform(0.78, 0.98);
  gait.bounce = rng.uniform(1.9, 3.2);
  gait.impact = rng.uniform(1.2, 2.6);
  gait.thigh_swing = rng.uniform(0.22, 0.36);
  gait.thigh_offset = -rng.uniform(0.02, 0.20);
  gait.thigh_lift = rng.uniform(0.08, 0.16);
  gait.torso_lean = -rng.uniform(0.0, 5.0) * kDegree;
  add_gait(gait, subject, rng, motion);
  return motion;
}

Motion sit_to_stand(const Subject& subject, Rng& rng) {
  Motion motion = base_motion(subject, rng);
  motion.stride_hz = rng.uniform(0.3, 0.6);
  const double duration_s = rng.uniform(1.1, 2.0);
  const double start_s = rng.uniform(-0.3, 2.3) - 0.5 * duration_s;
  const double lean = rng.uniform(18.0, 42.0) * kDegree;
  Segment& torso = motion.segments[0];
  Segment& thigh = motion.segments[1];
  torso.pitch_ramps[0] = {lean, start_s - 0.25 * duration_s, 0.7 * duration_s};
  torso.pitch_ramps[1] = {-lean, start_s + 0.4 * duration_s, 0.7 * duration_s};
  thigh.pitch_offset -= subject.thigh_seated;
  thigh.pitch_ramps[0] = {subject.thigh_seated, start_s, duration_s};
  motion.rise = {0.38 * vary(rng, 0.1), start_s, duration_s};
  torso.pitch.add(1, 1.0 * kDegree, rng.uniform(0.0, 6.28));
  return motion;
}

// Trembling or being shaken: fast rotation of the torso, little of the leg.
Motion shaking(const Subject& subject, Rng& rng) {
  Motion motion = base_motion(subject, rng);
  motion.stride_hz = rng.uniform(2.2, 5.5) * subject.cadence;
  motion.stride_hz_slope = 0.1 * rng.normal();
  const double size = rng.uniform(0.06, 1.0) * subject.vigour;
  for (size_t s = 0; s < kSensors; ++s) {
    Segment& segment = motion.segments[s];
    const double reach = s == 0 ? size : size * rng.uniform(0.05, 0.35);
    segment.roll.add(1, 5.0 * kDegree * reach, subject.shifts[0]);
    segment.heading.add(1, 6.0 * kDegree * reach * subject.shares[0], subject.shifts[1]);
    segment.pitch.add(1, 3.0 * kDegree * reach * subject.shares[1], subject.shifts[2]);
    segment.acceleration[1].add(1, 3.0 * reach, subject.shifts[3]);
    segment.acceleration[0].add(1, 1.5 * reach * subject.shares[2], subject.shifts[4]);
    segment.acceleration[2].add(2, 1.0 * reach * subject.shares[3], subject.shifts[5]);
  }
  if (rng.uniform() < 0.4) motion.segments[1].pitch_offset -= subject.thigh_seated;
  return motion;
}

struct Behaviour {
  std::string_view name;
  Motion (*motion)(const Subject&, Rng&);
};

constexpr std::array<Behaviour, kSynthBehaviours> kBehaviours = {{
    {"stationary", stationary},
    {"walking", walking},
    {"running", running},
    {"turn_left", turn_left},
    {"turn_right", turn_right},
    {"jumping", jumping},
    {"stairs_up", stairs_up},
    {"stairs_down", stairs_down},
    {"sit_to_stand", sit_to_stand},
    {"shaking", shaking},
}};

// ---- from motion to readings ----

struct Curve {
  double value = 0.0, rate = 0.0, acceleration = 0.0;

  Curve& operator+=(const Curve& other) {
    value += other.value;
    rate += other.rate;
    acceleration += other.acceleration;
    return *this;
  }
};

Curve at(const Ramp& ramp, double time_s) {
  const double u = (time_s - ramp.start_s) / ramp.duration_s;
  if (u <= 0.0) return {};
  if (u >= 1.0) return {ramp.size, 0.0, 0.0};
  const double rest = 1.0 - u;
  return {ramp.size * u * u * u * (10.0 - 15.0 * u + 6.0 * u * u),
          ramp.size / ramp.duration_s * 30.0 * u * u * rest * rest,
          ramp.size / (ramp.duration_s * ramp.duration_s) * 60.0 * u * rest * (rest - u)};
}

// cos(k phase) and sin(k phase) for k = 1..5, and the speed of the phase.
struct Phase {
  std::array<double, kHarmonics> cosine, sine;
  double rate;  // rad/s
};

Phase phase_at(double angle, double rate) {
  Phase phase{};
  phase.rate = rate;
  phase.cosine[0] = std::cos(angle);
  phase.sine[0] = std::sin(angle);
  for (size_t k = 1; k < kHarmonics; ++k) {
    phase.cosine[k] = phase.cosine[k - 1] * phase.cosine[0] - phase.sine[k - 1] * phase.sine[0];
    phase.sine[k] = phase.sine[k - 1] * phase.cosine[0] + phase.cosine[k - 1] * phase.sine[0];
  }
  return phase;
}

double value_at(const Harmonics& harmonics, const Phase& phase) {
  double sum = 0.0;
  for (size_t k = 0; k < kHarmonics; ++k) {
    sum += harmonics.cosine[k] * phase.cosine[k] + harmonics.sine[k] * phase.sine[k];
  }
  return sum;
}

Curve curve_at(const Harmonics& harmonics, const Phase& phase) {
  Curve curve;
  for (size_t k = 0; k < kHarmonics; ++k) {
    const double speed = static_cast<double>(k + 1) * phase.rate;
    const double value = harmonics.cosine[k] * phase.cosine[k] + harmonics.sine[k] * phase.sine[k];
    curve.value += value;
    curve.rate +=
        speed * (harmonics.sine[k] * phase.cosine[k] - harmonics.cosine[k] * phase.sine[k]);
    curve.acceleration -= speed * speed * value;
  }
  return curve;
}

// Vertical acceleration of a body that alternates between free flight and a half-sine push from
// the ground; its mean is zero, so the body stays where it is.
double contact_acceleration(double cycles, double contact_share) {
  const double u = cycles - std::floor(cycles);
  if (u >= contact_share) return -kGravity;
  return kGravity * (kPi / (2.0 * contact_share) * std::sin(kPi * u / contact_share) - 1.0);
}

Vector3 times(const Matrix3& m, const Vector3& v) {
  return {m[0][0] * v[0] + m[0][1] * v[1] + m[0][2] * v[2],
          m[1][0] * v[0] + m[1][1] * v[1] + m[1][2] * v[2],
          m[2][0] * v[0] + m[2][1] * v[1] + m[2][2] * v[2]};
}

// Rodrigues' formula.
Matrix3 rotation(const Vector3& vector) {
  const double angle = std::hypot(vector[0], vector[1], vector[2]);
  if (angle < 1e-12) return {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  const double x = vector[0] / angle, y = vector[1] / angle, z = vector[2] / angle;
  const double c = std::cos(angle), s = std::sin(angle), d = 1.0 - c;
  return {{{c + x * x * d, x * y * d - z * s, x * z * d + y * s},
           {y * x * d + z * s, c + y * y * d, y * z * d - x * s},
           {z * x * d - y * s, z * y * d + x * s, c + z * z * d}}};
}

struct Reading {
  Vector3 force, rate, field;  // m/s^2, rad/s, earth-field units; in the segment's own axes
};

Reading read_segment(const Segment& segment, const Curve& heading_base, double vertical,
                     const Phase& phase, double time_s) {
  Curve heading = curve_at(segment.heading, phase);
  heading += heading_base;
  Curve pitch = curve_at(segment.pitch, phase);
  pitch.value += segment.pitch_offset;
  for (const Ramp& ramp : segment.pitch_ramps) {
    if (ramp.size != 0.0) pitch += at(ramp, time_s);
  }
  Curve roll = curve_at(segment.roll, phase);
  roll.value += segment.roll_offset;
  const double sp = std::sin(pitch.value), cp = std::cos(pitch.value);
  const double sr = std::sin(roll.value), cr = std::cos(roll.value);
  const double sh = std::sin(heading.value), ch = std::cos(heading.value);
  // (Ry(pitch) Rx(roll)) transposed: from the heading's frame into the segment.
  const Matrix3 into_segment = {{{cp, 0.0, -sp}, {sr * sp, cr, sr * cp}, {cr * sp, -sr, cr * cp}}};
  Vector3 force = {value_at(segment.acceleration[0], phase) + segment.lever_m * pitch.acceleration,
                   value_at(segment.acceleration[1], phase),
                   value_at(segment.acceleration[2], phase) + vertical + kGravity};
  force = times(into_segment, force);
  const Vector3 field = times(into_segment, {ch * kFieldNorth, -sh * kFieldNorth, kFieldUp});
  const Vector3 rate = {roll.rate - heading.rate * sp, pitch.rate * cr + heading.rate * sr * cp,
                        heading.rate * cr * cp - pitch.rate * sr};
  return {force, rate, field};
}

// One window, channel-major: out[(channel * 2 + sensor) * 100 + sample].
void render(const Motion& motion, const Subject& subject, Rng& rng, float* out) {
  std::array<Matrix3, kSensors> worn;
  for (size_t s = 0; s < kSensors; ++s) {
    Vector3 mounting = subject.mounting[s];
    for (double& angle : mounting) angle += 3.0 * kDegree * rng.normal();  // straps slip
    worn[s] = rotation(mounting);
  }
  for (int64_t sample = 0; sample < kSynthSamples; ++sample) {
    const double time_s = static_cast<double>(sample) / kSynthSampleRateHz;
    const double cycles = time_s * (motion.stride_hz + 0.5 * motion.stride_hz_slope * time_s);
    const double stride_rate_hz = motion.stride_hz + motion.stride_hz_slope * time_s;
    const Phase phase = phase_at(motion.phase + 2.0 * kPi * cycles, 2.0 * kPi * stride_rate_hz);
    Curve heading = at(motion.turn, time_s);
    heading += {motion.heading + motion.heading_rate * time_s, motion.heading_rate, 0.0};
    const double contact = motion.contact_share < 1.0
                               ? contact_acceleration(motion.contacts_per_stride *
                                                          (cycles + motion.phase / (2.0 * kPi)),
                                                      motion.contact_share)
                               : 0.0;
    const double rise = at(motion.rise, time_s).acceleration;
    for (size_t s = 0; s < kSensors; ++s) {
      const Segment& segment = motion.segments[s];
      const Reading reading =
          read_segment(segment, heading, rise + segment.contact_gain * contact, phase, time_s);
      const Vector3 force = times(worn[s], reading.force);
      const Vector3 rate = times(worn[s], reading.rate);
      const Vector3 field = times(worn[s], reading.field);
      for (size_t axis = 0; axis < 3; ++axis) {
        const std::array<double, 3> values = {force[axis] + subject.acceleration_bias[s][axis],
                                              rate[axis] + subject.rate_bias[s][axis],
                                              field[axis] + subject.field_bias[s][axis]};
        for (size_t kind = 0; kind < 3; ++kind) {
          out[((kind * 3 + axis) * kSensors + s) * kSynthSamples + static_cast<size_t>(sample)] =
              static_cast<float>(values[kind] + subject.noise[kind] * quick_normal(rng));
        }
      }
    }
  }
}

Result<void> check_options(const SynthOptions& options) {
  const auto bad = [](std::string_view name, int64_t value, int64_t low, int64_t high) {
    return invalid_input("synth", std::string(name) + " is " + std::to_string(value) +
                                      ", expected " + std::to_string(low) + " to " +
                                      std::to_string(high));
  };
  if (options.windows < 1 || options.windows > kSynthMaximumWindows) {
    return bad("the number of windows", options.windows, 1, kSynthMaximumWindows);
  }
  constexpr int64_t kMaximumSubjects = 1000000;
  if (options.subjects < 1 || options.subjects > kMaximumSubjects) {
    return bad("the number of subjects", options.subjects, 1, kMaximumSubjects);
  }
  if (options.first_subject < 0 || options.first_subject > kMaximumSubjects) {
    return bad("the first subject", options.first_subject, 0, kMaximumSubjects);
  }
  return ok();
}

// The ten labels of one run in an order of their own: a caller who takes every tenth window must
// not end up with one behaviour.
std::array<int64_t, kSynthBehaviours> shuffled_labels(uint64_t seed, uint64_t run) {
  std::array<int64_t, kSynthBehaviours> labels{};
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i);
  Rng rng = stream(0x1ABE15, seed, run);
  for (size_t i = labels.size() - 1; i > 0; --i) {
    std::swap(labels[i], labels[static_cast<size_t>(rng.below(i + 1))]);
  }
  return labels;
}

}  // namespace

const std::array<std::string_view, kSynthBehaviours>& behaviour_names() {
  static constexpr std::array<std::string_view, kSynthBehaviours> kNames = [] {
    std::array<std::string_view, kSynthBehaviours> names{};
    for (size_t i = 0; i < names.size(); ++i) names[i] = kBehaviours[i].name;
    return names;
  }();
  return kNames;
}

Result<SynthSet> synth_windows(const SynthOptions& options) {
  TRY(check_options(options));
  const Shape shape = {options.windows, kSynthChannels, kSynthSensors, kSynthSamples};
  SynthSet set{Tensor(DType::kFloat32, shape), Tensor(DType::kInt64, {options.windows}),
               Tensor(DType::kInt64, {options.windows})};
  float* const windows = set.windows.mutable_data<float>().data();
  int64_t* const labels = set.labels.mutable_data<int64_t>().data();
  int64_t* const subjects = set.subjects.mutable_data<int64_t>().data();
  const auto count = static_cast<size_t>(options.windows);
  constexpr size_t kRun = static_cast<size_t>(kSynthBehaviours);
  constexpr size_t kValues = static_cast<size_t>(kSynthChannels * kSynthSensors * kSynthSamples);
  parallel_for((count + kRun - 1) / kRun, [&](size_t run, size_t) {
    const auto order = shuffled_labels(options.seed, run);
    const int64_t subject_id = options.first_subject + static_cast<int64_t>(run) % options.subjects;
    const Subject subject = make_subject(subject_id);
    for (size_t i = 0; i < kRun && run * kRun + i < count; ++i) {
      const size_t index = run * kRun + i;
      Rng rng = stream(0x3140D0, options.seed, index);
      const Motion motion = kBehaviours[static_cast<size_t>(order[i])].motion(subject, rng);
      render(motion, subject, rng, windows + index * kValues);
      labels[index] = order[i];
      subjects[index] = subject_id;
    }
  });
  if (options.normalization) {
    TRY_ASSIGN(set.windows, z_score(set.windows, *options.normalization));
  }
  return set;
}

Result<Tensor> synth_noise(const Shape& window_shape, int64_t count, uint64_t seed) {
  Shape shape = window_shape;
  shape.insert(shape.begin(), count);
  const std::optional<int64_t> values = element_count(shape, kMaximumNoiseValues);
  if (!values || *values == 0) {
    return invalid_input("synth", "noise of shape " + to_string(shape) +
                                      " was asked for, expected 1 to " +
                                      std::to_string(kMaximumNoiseValues) + " values");
  }
  Tensor windows(DType::kFloat32, shape);
  float* const out = windows.mutable_data<float>().data();
  const size_t per_window = windows.size() / static_cast<size_t>(count);
  parallel_for(static_cast<size_t>(count), [&](size_t index, size_t) {
    Rng rng = stream(0x9015E, seed, index);
    for (size_t i = 0; i < per_window; ++i) {
      out[index * per_window + i] = static_cast<float>(quick_normal(rng));
    }
  });
  return windows;
}

}  // namespace graupel::data
