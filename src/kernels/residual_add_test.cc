// Residual adds against exact arithmetic: all pairs of bytes, on every instruction set.
//
// Idea: a scale is a dyadic rational, so the sum of two dequantised bytes and its distance from a
// multiple of the output's scale fit a long double without rounding. The byte has to be the nearest
// one, ties to even, then clamped. Float32, which the contract in docs/formats/int8.md prescribes,
// can only differ beside a tie, by no more than its own rounding error there; with scales that are
// powers of two it cannot differ at all.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/dispatch.h"
#include "kernels/kernels.h"

namespace graupel::kernels {
namespace {

struct Scales {
  float a, b, y;
  bool powers_of_two = false;
};

// A product, a sum and a quotient, each within half a unit in the last place; twice that.
constexpr long double kRounding = 4.0L / (1 << 24);

struct Pairs {
  std::vector<uint8_t> a, b, y;
};
Pairs all_pairs() {
  Pairs pairs;
  for (int i = 0; i < 256 * 256; ++i) {
    pairs.a.push_back(static_cast<uint8_t>(i / 256));
    pairs.b.push_back(static_cast<uint8_t>(i % 256));
  }
  pairs.y.resize(pairs.a.size());
  return pairs;
}

long double number_of(const ByteOperand& operand, size_t i) {
  const int32_t byte = operand.type == ByteType::kInt8
                           ? static_cast<int32_t>(static_cast<int8_t>(operand.x[i]))
                           : static_cast<int32_t>(operand.x[i]);
  return static_cast<long double>(byte - operand.zero_point) * operand.scale;
}

// How many bytes are not the nearest one of the exact sum.
int away_from_nearest(const BinaryRowArgs& args) {
  int away = 0;
  const long double scale = args.scale;
  for (size_t i = 0; i < args.count; ++i) {
    const long double u = number_of(args.a, i), v = number_of(args.b, i), sum = u + v;
    const long double floor = std::floor(sum / scale), rest = sum - floor * scale;
    const bool is_odd = std::fmod(floor, 2.0L) != 0.0L;
    const long double nearest =
        floor + (2 * rest > scale || (2 * rest == scale && is_odd) ? 1.0L : 0.0L);
    const auto clamped = [&](long double quotient) {
      return std::clamp(quotient + args.range.zero_point, (long double)args.range.low,
                        (long double)args.range.high);
    };
    const long double found = static_cast<int8_t>(args.y[i]);
    if (found == clamped(nearest)) continue;
    ++away;
    const long double other = nearest == floor ? floor + 1 : floor;
    EXPECT_EQ(found, clamped(other)) << "pair " << i;
    EXPECT_LE(std::abs(2 * rest - scale), 2 * kRounding * (std::abs(u) + std::abs(v)))
        << "pair " << i;
  }
  return away;
}

TEST(ResidualAdd, GivesTheNearestByteOfTheExactSumForAllPairs) {
  Pairs pairs = all_pairs();
  for (const Scales& scales : {Scales{0.25f, 0.125f, 0.5f, true},
                               {0.5f, 0.5f, 0.5f, true},
                               {0.0625f, 1.0f, 0.25f, true},
                               {0.037f, 0.0213f, 0.0514f},
                               {0.1f, 0.0007f, 0.1f},
                               {0.0312f, 0.0312f, 0.0312f},
                               {0.0117f, 0.0451f, 0.0039f}}) {
    for (const Isa isa : supported_isas()) {
      for (const ByteType type : {ByteType::kInt8, ByteType::kUInt8}) {
        BinaryRowArgs args{};
        args.op = ByteOp::kAdd;
        args.a = {pairs.a.data(), ByteType::kInt8, 5, scales.a};
        args.b = {pairs.b.data(), type, type == ByteType::kInt8 ? -11 : 128, scales.b};
        args.scale = scales.y;
        args.range = {-7, -128, 127};
        args.y = pairs.y.data();
        args.count = pairs.y.size();
        kernel_table(isa).binary_row(args);
        const int away = away_from_nearest(args);
        EXPECT_LE(away, scales.powers_of_two ? 0 : 64) << to_string(isa) << " " << scales.a;
      }
    }
  }
}

}  // namespace
}  // namespace graupel::kernels
