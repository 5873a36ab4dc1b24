// Windows as another person, another strap and another day would have given them.
//
// Idea: what a body does stays, what the fixing of a sensor does is drawn anew: a unit sits a
// little turned, its gain is a little off, people are faster or slower. Turning, gains and time act
// on readings as recorded, in front of the preprocessing chain; noise and a dead sensor act on
// scaled values, where one sigma means the same for every sensor. Same seed, same windows on every
// machine. Reference: Um et al. 2017 (arXiv 1706.00527). Test: augment_test.cc.
#pragma once

#include <cstdint>
#include <span>

#include "base/rng.h"
#include "train/config.h"

namespace graupel::train {

// One window is channels x sensors x samples, row-major. Channels come in triplets x y z of one
// kind of reading (acceleration, rotation, field); a rest that makes no triplet is never turned.
struct WindowShape {
  int64_t channels = 0, sensors = 0, samples = 0;
  int64_t size() const { return channels * sensors * samples; }
  bool operator==(const WindowShape&) const = default;
};

// ---- on readings as recorded ----

// Each sensor by its own rotation: the vector's three components are normal with `sigma_rad`. All
// kinds of readings of a sensor turn together, so lengths and angles between them stay.
void rotate_sensors(std::span<float> window, WindowShape shape, double sigma_rad, Rng& rng);
// Each kind of reading of each sensor times 1 + normal(sigma).
void scale_readings(std::span<float> window, WindowShape shape, double sigma, Rng& rng);
// The same with a gain that runs through kWarpKnots random values along the window.
void warp_magnitude(std::span<float> window, WindowShape shape, double sigma, Rng& rng);
// Runs through the window at a speed exp(normal(sigma)) that varies along it; the first and the
// last sample stay. All channels and sensors together; between samples a straight line.
void warp_time(std::span<float> window, WindowShape shape, double sigma, Rng& rng);
inline constexpr int kWarpKnots = 5;

// ---- on scaled values ----

void add_jitter(std::span<float> window, double sigma, Rng& rng);
// With `probability` one of the sensors reads 0 throughout; never the only one.
void drop_sensor(std::span<float> window, WindowShape shape, double probability, Rng& rng);

// All of one group, in the order above; what is 0 draws nothing.
void augment_recorded(std::span<float> window, WindowShape shape, const Augmentation& augmentation,
                      Rng& rng);
void augment_scaled(std::span<float> window, WindowShape shape, const Augmentation& augmentation,
                    Rng& rng);

}  // namespace graupel::train
