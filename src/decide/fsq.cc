// Digits, indices and thresholds of FSQ. See fsq.h.
//
// Centred variants, per dimension of L levels: half = (L - 1)(1 + sign eps) / 2, offset = 1/2 for
// even L, shift = inverse(offset / half), digit = round(bound(z + shift) half - offset) +
// floor(L/2). Grid variants: digit = floor((L - 1) s(z) + 1/2) with s in (0, 1). The thresholds
// solve these for z at the half steps. Test: fsq_test.cc.
#include "decide/fsq.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace graupel::decide {
namespace {

constexpr double kEpsilon = 1e-3;
constexpr double kIfsqFactor = 1.6;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool is_grid(FsqVariant variant) {
  return variant == FsqVariant::kSymmetric || variant == FsqVariant::kSigmoid ||
         variant == FsqVariant::kIfsq;
}

struct Centred {
  double half = 0.0, offset = 0.0, shift = 0.0;
};
Centred centred(FsqVariant variant, int64_t levels) {
  const bool narrow = variant == FsqVariant::kPaper2023 || variant == FsqVariant::kLucidrains2023;
  Centred numbers;
  numbers.half = static_cast<double>(levels - 1) * (1.0 + (narrow ? -kEpsilon : kEpsilon)) / 2.0;
  numbers.offset = levels % 2 == 0 ? 0.5 : 0.0;
  const double ratio = numbers.offset / numbers.half;
  switch (variant) {
    case FsqVariant::kPaper2023: numbers.shift = std::tan(ratio); break;
    case FsqVariant::kHardClamp: numbers.shift = ratio; break;
    default: numbers.shift = std::atanh(ratio); break;
  }
  return numbers;
}

// atanh that goes to infinity instead of leaving its domain.
double area_tangent(double x) {
  if (x >= 1.0) return kInfinity;
  return x <= -1.0 ? -kInfinity : std::atanh(x);
}

// The z of a grid variant at which s(z) is `share`, strictly between 0 and 1.
double grid_inverse(FsqVariant variant, double share) {
  if (variant == FsqVariant::kSymmetric) return area_tangent(2.0 * share - 1.0);
  const double z = std::log(share / (1.0 - share));
  return variant == FsqVariant::kIfsq ? z / kIfsqFactor : z;
}

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

}  // namespace

int64_t digit_by_definition(FsqVariant variant, int64_t levels, float z, bool shift_folded) {
  if (std::isnan(z)) return 0;
  const auto steps = static_cast<float>(levels - 1);
  float digit = 0.0f;
  if (is_grid(variant)) {
    switch (variant) {
      case FsqVariant::kSymmetric:
        digit = std::floor(steps * (std::tanh(z) + 1.0f) / 2.0f + 0.5f);
        break;
      case FsqVariant::kIfsq:
        digit = std::floor(steps * sigmoid(static_cast<float>(kIfsqFactor) * z) + 0.5f);
        break;
      default: digit = std::floor(steps * sigmoid(z) + 0.5f); break;
    }
  } else {
    const Centred numbers = centred(variant, levels);
    const auto half = static_cast<float>(numbers.half);
    const auto offset = static_cast<float>(numbers.offset);
    const float argument = shift_folded ? z : z + static_cast<float>(numbers.shift);
    const float bounded =
        variant == FsqVariant::kHardClamp ? std::clamp(argument, -1.0f, 1.0f) : std::tanh(argument);
    digit = std::nearbyint(bounded * half - offset) + static_cast<float>(levels / 2);
  }
  // A shift that does not exist (two levels of the variants with sign -): the lowest.
  if (std::isnan(digit)) return 0;
  return static_cast<int64_t>(std::clamp(digit, 0.0f, static_cast<float>(levels - 1)));
}

std::vector<double> z_thresholds(FsqVariant variant, int64_t levels, bool shift_folded) {
  std::vector<double> thresholds;
  const Centred numbers = centred(variant, levels);
  for (int64_t d = 0; d + 1 < levels; ++d) {
    const double step = static_cast<double>(d) + 0.5;
    if (is_grid(variant)) {
      thresholds.push_back(grid_inverse(variant, step / static_cast<double>(levels - 1)));
      continue;
    }
    const double bounded = (step - static_cast<double>(levels / 2) + numbers.offset) / numbers.half;
    double argument = area_tangent(bounded);
    if (variant == FsqVariant::kHardClamp) {
      argument = bounded > 1.0 ? kInfinity : bounded < -1.0 ? -kInfinity : bounded;
    }
    thresholds.push_back(shift_folded ? argument : argument - numbers.shift);
  }
  return thresholds;
}

double code_centre(FsqVariant variant, int64_t levels, int64_t digit) {
  if (is_grid(variant)) {
    return 2.0 * static_cast<double>(digit) / static_cast<double>(levels - 1) - 1.0;
  }
  const auto half = static_cast<double>(levels / 2);
  return (static_cast<double>(digit) - half) / half;
}

std::optional<uint64_t> code_count(std::span<const int64_t> levels) {
  uint64_t count = 1;
  for (const int64_t level : levels) {
    const auto factor = static_cast<uint64_t>(level);
    if (level < 1 || count > std::numeric_limits<uint64_t>::max() / factor) return std::nullopt;
    count *= factor;
  }
  return count;
}

uint64_t code_index(std::span<const int64_t> digits, std::span<const int64_t> levels,
                    DigitOrder order) {
  const size_t count = std::min(digits.size(), levels.size());
  uint64_t index = 0;
  for (size_t i = 0; i < count; ++i) {  // Horner, the slowest dimension first
    const size_t d = order == DigitOrder::kFirstFastest ? count - 1 - i : i;
    index = index * static_cast<uint64_t>(levels[d]) + static_cast<uint64_t>(digits[d]);
  }
  return index;
}

void digits_of(uint64_t index, std::span<const int64_t> levels, DigitOrder order,
               std::span<int64_t> digits) {
  const size_t count = std::min(digits.size(), levels.size());
  for (size_t i = 0; i < count; ++i) {
    const size_t d = order == DigitOrder::kFirstFastest ? i : count - 1 - i;
    const auto base = static_cast<uint64_t>(levels[d]);
    digits[d] = static_cast<int64_t>(index % base);
    index /= base;
  }
}

Result<std::vector<std::vector<int32_t>>> integer_thresholds(
    std::span<const int64_t> levels, const std::vector<std::vector<int64_t>>& digit_of,
    int32_t lowest) {
  if (digit_of.size() != levels.size()) {
    return internal_error("FSQ", "has another number of dimensions than its digits");
  }
  std::vector<std::vector<int32_t>> thresholds(levels.size());
  for (size_t d = 0; d < levels.size(); ++d) {
    int64_t reached = 0, last = std::numeric_limits<int64_t>::min();
    for (size_t v = 0; v < digit_of[d].size(); ++v) {
      if (digit_of[d][v] < last) {
        return invalid_input(
            fmt::format("FSQ dimension {}", d),
            fmt::format(
                "falls from digit {} to {} at the INT8 value {}: no thresholds can say that", last,
                digit_of[d][v], lowest + static_cast<int32_t>(v)));
      }
      last = digit_of[d][v];
      const int64_t digit = std::clamp<int64_t>(last, 0, levels[d] - 1);
      for (; reached < digit; ++reached) {
        thresholds[d].push_back(lowest + static_cast<int32_t>(v));
      }
    }
    thresholds[d].resize(static_cast<size_t>(levels[d]) - 1, 256);
  }
  return thresholds;
}

std::vector<std::string> fsq_warnings(const Fsq& fsq) {
  std::vector<std::string> warnings;
  for (size_t d = 0; d < fsq.levels.size(); ++d) {
    if (fsq.levels[d] != 2 || is_grid(fsq.variant)) continue;
    warnings.push_back(fmt::format(
        "dimension {} has 2 levels: in {} its only threshold lies at z = {:.2f}, so it hardly ever "
        "changes; train with 3 or more levels, or with the symmetric variant",
        d, to_string(fsq.variant), z_thresholds(fsq.variant, 2)[0]));
  }
  return warnings;
}

std::string_view to_string(HostFormula formula) {
  return formula == HostFormula::kGrid ? "round((tanh z + 1)(L - 1) / 2)"
                                       : "round((tanh z + 1) L / 2)";
}

int64_t host_formula_digit(HostFormula formula, int64_t levels, float value) {
  if (std::isnan(value)) return 0;
  const float scaled = std::tanh(value) + 1.0f;
  if (formula == HostFormula::kLevels) {
    return static_cast<int64_t>(std::nearbyint(scaled * static_cast<float>(levels) / 2.0f));
  }
  const float width = 2.0f / static_cast<float>(levels - 1);
  const auto digit = static_cast<int64_t>(std::nearbyint(scaled / width));
  return std::clamp<int64_t>(digit, 0, levels - 1);
}

}  // namespace graupel::decide
