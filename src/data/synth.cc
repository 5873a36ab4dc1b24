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
#include "data/synth_motion.h"

namespace graupel::data {
namespace {

static_assert(kSegments == static_cast<size_t>(kSynthSensors));
static_assert(kBehaviourCount == static_cast<size_t>(kSynthBehaviours));

constexpr double kGravity = 9.80665;                        // m/s^2
constexpr double kFieldNorth = 0.4695, kFieldUp = -0.8829;  // unit field dipping by 62 degrees
constexpr size_t kSensors = kSegments;
constexpr int64_t kMaximumNoiseValues = int64_t{1} << 29;

using Matrix3 = std::array<Vector3, 3>;

// Variance 1, four uniforms in one draw: sensor noise needs speed more than far tails.
double quick_normal(Rng& rng) {
  const uint64_t bits = rng.next_u64();
  const auto sum = static_cast<double>((bits & 0xFFFF) + ((bits >> 16) & 0xFFFF) +
                                       ((bits >> 32) & 0xFFFF) + (bits >> 48));
  return (sum - 131070.0) * (1.7320508075688772 / 65536.0);
}

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
  Rng rng = random_stream(0x1ABE15, seed, run);
  for (size_t i = labels.size() - 1; i > 0; --i) {
    std::swap(labels[i], labels[static_cast<size_t>(rng.below(i + 1))]);
  }
  return labels;
}

}  // namespace

const std::array<std::string_view, kSynthBehaviours>& behaviour_names() {
  static const std::array<std::string_view, kSynthBehaviours> kNames = [] {
    std::array<std::string_view, kSynthBehaviours> names{};
    for (size_t i = 0; i < names.size(); ++i) names[i] = behaviours()[i].name;
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
      Rng rng = random_stream(0x3140D0, options.seed, index);
      const Motion motion = behaviours()[static_cast<size_t>(order[i])].motion(subject, rng);
      render(motion, subject, rng, windows + index * kValues);
      labels[index] = order[i];
      subjects[index] = subject_id;
    }
  });
  if (options.normalization) {
    TRY_ASSIGN(set.windows, preprocess(set.windows, *options.normalization));
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
    Rng rng = random_stream(0x9015E, seed, index);
    for (size_t i = 0; i < per_window; ++i) {
      out[index * per_window + i] = static_cast<float>(quick_normal(rng));
    }
  });
  return windows;
}

}  // namespace graupel::data
