// A small deterministic random generator: the same seed gives the same numbers on every machine,
// which std::normal_distribution does not promise. Reference: splitmix64 (Steele et al., 2014).
// Test: base_test.cc.
#pragma once

#include <cmath>
#include <cstdint>

namespace graupel {

class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  uint64_t next_u64() {
    state_ += 0x9E3779B97F4A7C15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  double uniform() { return static_cast<double>(next_u64() >> 11) * 0x1p-53; }  // [0, 1)
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  // [0, bound); the bias of the modulo is below bound / 2^64.
  uint64_t below(uint64_t bound) { return bound == 0 ? 0 : next_u64() % bound; }
  double normal() {  // mean 0, variance 1 (Box-Muller)
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }

 private:
  uint64_t state_;
};

}  // namespace graupel
