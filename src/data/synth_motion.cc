// People and behaviours.
//
// Idea: a behaviour draws its pace, size and posture from ranges that overlap with those of its
// neighbours (level walking, stairs and walking round a corner share one gait), so that classes
// differ as they do in people: by how the parts go together, not by one number.
// Reference: Winter, "Biomechanics and Motor Control of Human Movement" (cadence, joint angles).
// Test: synth_test.cc.
#include "data/synth_motion.h"

namespace graupel::data {
namespace {

double vary(Rng& rng, double relative) { return std::exp(relative * rng.normal()); }

Vector3 normal3(Rng& rng, double x, double y, double z) {
  return {x * rng.normal(), y * rng.normal(), z * rng.normal()};
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
  for (size_t s = 0; s < kSegments; ++s) {
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

}  // namespace

Rng random_stream(uint64_t purpose, uint64_t a, uint64_t b) {
  const uint64_t first = Rng(purpose).next_u64();
  const uint64_t second = Rng(first ^ a).next_u64();
  return Rng(Rng(second ^ b).next_u64());
}

Subject make_subject(int64_t id) {
  Rng rng = random_stream(0x5B1EC7, static_cast<uint64_t>(id), 0);
  Subject subject;
  subject.cadence = vary(rng, 0.07);
  subject.vigour = vary(rng, 0.15);
  subject.lean = 5.0 * kDegree * rng.normal();
  subject.thigh_seated = (78.0 + 7.0 * rng.normal()) * kDegree;
  for (double& shift : subject.shifts) shift = 0.45 * rng.normal();
  for (double& share : subject.shares) share = vary(rng, 0.2);
  for (size_t s = 0; s < kSegments; ++s) {
    // Straps turn about the limb more easily than they tilt.
    subject.mounting[s] = normal3(rng, 10.0 * kDegree, 10.0 * kDegree, 28.0 * kDegree);
    subject.acceleration_bias[s] = normal3(rng, 0.12, 0.12, 0.12);
    subject.rate_bias[s] = normal3(rng, 0.02, 0.02, 0.02);
    subject.field_bias[s] = normal3(rng, 0.04, 0.04, 0.04);
  }
  subject.noise = {0.12 * vary(rng, 0.2), 0.03 * vary(rng, 0.2), 0.012 * vary(rng, 0.2)};
  return subject;
}

const std::array<Behaviour, kBehaviourCount>& behaviours() {
  static constexpr std::array<Behaviour, kBehaviourCount> kBehaviours = {{
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
  return kBehaviours;
}

}  // namespace graupel::data
