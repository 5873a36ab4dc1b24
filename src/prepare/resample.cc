// Polyphase resampling. See resample.h. Test: resample_test.cc.
#include "prepare/resample.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace graupel::prepare {
namespace {

constexpr int64_t kLargestTerm = 1000;
constexpr double kKaiserBeta = 5.0;
constexpr int64_t kHalfWidth = 10;  // of the filter, in periods of the slower rate

}  // namespace

Result<Ratio> rate_ratio(double from_hz, double to_hz) {
  const double wanted = to_hz / from_hz;
  // Continued fraction of the quotient: its convergents are the best fractions of their size.
  double rest = wanted;
  int64_t up = 1, up_before = 0, down = 0, down_before = 1;
  while (std::isfinite(rest) && rest < 1e6) {
    const auto whole = static_cast<int64_t>(std::floor(rest + 1e-9));
    const int64_t next_up = whole * up + up_before;
    const int64_t next_down = whole * down + down_before;
    if (next_up > kLargestTerm || next_down > kLargestTerm) break;
    up_before = up, down_before = down;
    up = next_up, down = next_down;
    const double value = static_cast<double>(up) / static_cast<double>(down);
    if (std::abs(value - wanted) <= 1e-6 * wanted) return Ratio{up, down};
    rest = 1.0 / (rest - static_cast<double>(whole));
  }
  return invalid_input("rate", fmt::format("{:.6g} Hz cannot be brought to {:.6g} Hz by a fraction "
                                           "with terms up to {}; choose another --rate",
                                           from_hz, to_hz, kLargestTerm));
}

std::vector<double> antialias_filter(const Ratio& ratio) {
  const int64_t slower = std::max(ratio.up, ratio.down);
  const int64_t half = kHalfWidth * slower;
  std::vector<double> taps(static_cast<size_t>(2 * half + 1));
  constexpr double kPi = 3.14159265358979323846;
  double sum = 0.0;
  for (int64_t i = -half; i <= half; ++i) {
    const double x = static_cast<double>(i) / static_cast<double>(slower);
    const double sinc = i == 0 ? 1.0 : std::sin(kPi * x) / (kPi * x);
    const double position = static_cast<double>(i) / static_cast<double>(half);
    const double inside = std::sqrt(std::max(0.0, 1.0 - position * position));
    const double window =
        std::cyl_bessel_i(0.0, kKaiserBeta * inside) / std::cyl_bessel_i(0.0, kKaiserBeta);
    sum += taps[static_cast<size_t>(i + half)] = sinc * window;
  }
  for (double& tap : taps) tap *= static_cast<double>(ratio.up) / sum;
  return taps;
}

std::vector<double> resample(std::span<const double> x, const Ratio& ratio,
                             const std::vector<double>& filter) {
  if (ratio == Ratio{} || x.empty()) return {x.begin(), x.end()};
  const auto n = static_cast<int64_t>(x.size());
  const auto half = static_cast<int64_t>(filter.size() / 2);
  const int64_t count = (n * ratio.up + ratio.down - 1) / ratio.down;
  std::vector<double> y(static_cast<size_t>(count));
  for (int64_t m = 0; m < count; ++m) {
    // Tap of sample k: half + m down - k up, from 0 to 2 half.
    const int64_t centre = m * ratio.down;
    int64_t k = centre - half;
    k = k >= 0 ? (k + ratio.up - 1) / ratio.up : -(-k / ratio.up);
    const int64_t last = (centre + half) / ratio.up;
    double sum = 0.0;
    for (; k <= last; ++k) {
      sum += filter[static_cast<size_t>(half + centre - k * ratio.up)] *
             x[static_cast<size_t>(std::clamp<int64_t>(k, 0, n - 1))];
    }
    y[static_cast<size_t>(m)] = sum;
  }
  return y;
}

}  // namespace graupel::prepare
