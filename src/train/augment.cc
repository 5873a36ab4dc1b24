// Random changes of windows. See augment.h. Test: augment_test.cc.
#include "train/augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace graupel::train {
namespace {

constexpr double kPi = 3.14159265358979323846;
using Matrix = std::array<std::array<double, 3>, 3>;

// Rodrigues' formula for the rotation vector (x, y, z).
Matrix rotation_of(double x, double y, double z) {
  const double angle = std::sqrt(x * x + y * y + z * z);
  // Limits of sin(a) / a and (1 - cos(a)) / a^2 where the division would lose everything.
  const double sine = angle < 1e-6 ? 1.0 : std::sin(angle) / angle;
  const double cosine = angle < 1e-6 ? 0.5 : (1.0 - std::cos(angle)) / (angle * angle);
  const Matrix cross = {{{0.0, -z, y}, {z, 0.0, -x}, {-y, x, 0.0}}};
  Matrix result{};
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      double square = 0.0;
      for (size_t k = 0; k < 3; ++k) square += cross[i][k] * cross[k][j];
      result[i][j] = (i == j ? 1.0 : 0.0) + sine * cross[i][j] + cosine * square;
    }
  }
  return result;
}

float* row_of(std::span<float> window, WindowShape shape, int64_t channel, int64_t sensor) {
  return window.data() + (channel * shape.sensors + sensor) * shape.samples;
}

// kWarpKnots values spread over the window, read at `sample`.
double between_knots(const std::array<double, kWarpKnots>& knots, int64_t sample, int64_t samples) {
  if (samples < 2) return knots[0];
  const double at =
      static_cast<double>(sample) * (kWarpKnots - 1) / static_cast<double>(samples - 1);
  const auto left = std::min(static_cast<size_t>(at), static_cast<size_t>(kWarpKnots - 2));
  const double part = at - static_cast<double>(left);
  return knots[left] * (1.0 - part) + knots[left + 1] * part;
}

// gain(sample) for the rows of each triplet and sensor.
template <class Gain>
void multiply_triplets(std::span<float> window, WindowShape shape, const Gain& draw) {
  for (int64_t first = 0; first < shape.channels; first += 3) {
    for (int64_t sensor = 0; sensor < shape.sensors; ++sensor) {
      const auto gain = draw();
      for (int64_t c = first; c < std::min(first + 3, shape.channels); ++c) {
        float* const row = row_of(window, shape, c, sensor);
        for (int64_t t = 0; t < shape.samples; ++t) row[t] *= static_cast<float>(gain(t));
      }
    }
  }
}

}  // namespace

void rotate_sensors(std::span<float> window, WindowShape shape, double sigma_rad, Rng& rng) {
  for (int64_t sensor = 0; sensor < shape.sensors; ++sensor) {
    const double x = sigma_rad * rng.normal();
    const double y = sigma_rad * rng.normal();
    const double z = sigma_rad * rng.normal();
    const Matrix m = rotation_of(x, y, z);
    for (int64_t first = 0; first + 3 <= shape.channels; first += 3) {
      float* const rows[3] = {row_of(window, shape, first, sensor),
                              row_of(window, shape, first + 1, sensor),
                              row_of(window, shape, first + 2, sensor)};
      for (int64_t t = 0; t < shape.samples; ++t) {
        const double v[3] = {rows[0][t], rows[1][t], rows[2][t]};
        for (size_t i = 0; i < 3; ++i) {
          rows[i][t] = static_cast<float>(m[i][0] * v[0] + m[i][1] * v[1] + m[i][2] * v[2]);
        }
      }
    }
  }
}

void scale_readings(std::span<float> window, WindowShape shape, double sigma, Rng& rng) {
  multiply_triplets(window, shape, [&] {
    const double gain = 1.0 + sigma * rng.normal();
    return [gain](int64_t) { return gain; };
  });
}

void warp_magnitude(std::span<float> window, WindowShape shape, double sigma, Rng& rng) {
  multiply_triplets(window, shape, [&] {
    std::array<double, kWarpKnots> knots{};
    for (double& knot : knots) knot = 1.0 + sigma * rng.normal();
    return [knots, samples = shape.samples](int64_t t) { return between_knots(knots, t, samples); };
  });
}

void warp_time(std::span<float> window, WindowShape shape, double sigma, Rng& rng) {
  std::array<double, kWarpKnots> knots{};
  for (double& knot : knots) knot = std::exp(sigma * rng.normal());
  if (shape.samples < 3) return;
  // When each new sample is read: the speeds summed up, stretched to end on the last sample.
  const auto count = static_cast<size_t>(shape.samples);
  std::vector<double> times(count, 0.0);
  for (size_t t = 1; t < count; ++t) {
    const double before = between_knots(knots, static_cast<int64_t>(t) - 1, shape.samples);
    const double after = between_knots(knots, static_cast<int64_t>(t), shape.samples);
    times[t] = times[t - 1] + 0.5 * (before + after);
  }
  const double stretch = static_cast<double>(count - 1) / times.back();
  std::vector<float> old(count);
  for (int64_t r = 0; r < shape.channels * shape.sensors; ++r) {
    float* const row = window.data() + r * shape.samples;
    std::copy_n(row, count, old.begin());
    for (size_t t = 1; t + 1 < count; ++t) {
      const double at = times[t] * stretch;
      const size_t left = std::min(static_cast<size_t>(at), count - 2);
      const double part = at - static_cast<double>(left);
      row[t] = static_cast<float>((1.0 - part) * old[left] + part * old[left + 1]);
    }
  }
}

void add_jitter(std::span<float> window, double sigma, Rng& rng) {
  // Box-Muller gives two normal numbers for one logarithm; nearly all the time of augmenting is
  // here.
  for (size_t i = 0; i < window.size(); i += 2) {
    const double radius = sigma * std::sqrt(-2.0 * std::log(1.0 - rng.uniform()));
    const double angle = 2.0 * kPi * rng.uniform();
    window[i] += static_cast<float>(radius * std::cos(angle));
    if (i + 1 < window.size()) window[i + 1] += static_cast<float>(radius * std::sin(angle));
  }
}

void drop_sensor(std::span<float> window, WindowShape shape, double probability, Rng& rng) {
  const bool drops = rng.uniform() < probability;
  const auto sensor = static_cast<int64_t>(rng.below(static_cast<uint64_t>(shape.sensors)));
  if (!drops || shape.sensors < 2) return;
  for (int64_t c = 0; c < shape.channels; ++c) {
    std::fill_n(row_of(window, shape, c, sensor), shape.samples, 0.0f);
  }
}

void augment_recorded(std::span<float> window, WindowShape shape, const Augmentation& augmentation,
                      Rng& rng) {
  const Augmentation& a = augmentation;
  if (a.rotation_deg > 0.0) rotate_sensors(window, shape, a.rotation_deg * kPi / 180.0, rng);
  if (a.scaling > 0.0) scale_readings(window, shape, a.scaling, rng);
  if (a.magnitude_warp > 0.0) warp_magnitude(window, shape, a.magnitude_warp, rng);
  if (a.time_warp > 0.0) warp_time(window, shape, a.time_warp, rng);
}

void augment_scaled(std::span<float> window, WindowShape shape, const Augmentation& augmentation,
                    Rng& rng) {
  if (augmentation.jitter > 0.0) add_jitter(window, augmentation.jitter, rng);
  if (augmentation.sensor_dropout > 0.0) {
    drop_sensor(window, shape, augmentation.sensor_dropout, rng);
  }
}

}  // namespace graupel::train
