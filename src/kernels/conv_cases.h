// Random arguments of the convolution kernels and the bytes that they have to give, by brute force
// from docs/formats/int8.md. For kernels_test.cc, which has those of the other kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/rng.h"
#include "kernels/kernels.h"

namespace graupel::kernels {

inline uint32_t below(Rng& rng, uint32_t limit) {
  return static_cast<uint32_t>(rng.next_u64() % limit);
}
inline int32_t between(Rng& rng, int32_t low, int32_t high) {
  return low + static_cast<int32_t>(below(rng, static_cast<uint32_t>(high - low + 1)));
}

inline std::vector<uint8_t> random_bytes(Rng& rng, size_t count) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) {
    const uint32_t kind = below(rng, 8);
    byte = kind == 0 ? 0x80 : kind == 1 ? 0x7F : kind == 2 ? 0xFF : uint8_t(rng.next_u64());
  }
  return bytes;
}

inline ByteRange random_range(Rng& rng, ByteType type) {
  const int32_t least = type == ByteType::kInt8 ? -128 : 0;
  ByteRange range;
  range.zero_point = between(rng, least, least + 255);
  range.low = between(rng, 0, 1) == 0 ? least : range.zero_point;
  range.high = between(rng, 0, 1) == 0 ? least + 255 : between(rng, range.low, least + 255);
  return range;
}

inline ByteType random_type(Rng& rng) {
  return below(rng, 2) == 0 ? ByteType::kInt8 : ByteType::kUInt8;
}
inline int32_t value_of(uint8_t byte, ByteType type) {
  return type == ByteType::kInt8 ? static_cast<int8_t>(byte) : byte;
}

// The contract, said with the C library in double: the product itself is float32.
inline uint8_t expected_byte(float v, const ByteRange& range) {
  if (std::isnan(v)) v = 0.0f;
  const double rounded = std::nearbyint(static_cast<double>(v)) + range.zero_point;
  const double clamped =
      std::clamp(rounded, static_cast<double>(range.low), static_cast<double>(range.high));
  return static_cast<uint8_t>(static_cast<int32_t>(clamped));
}

// A case owns what its arguments point to. run() gives the bytes written, guards included.
template <class Args>
struct Case;

constexpr uint8_t kGuard = 0xA5;

template <class Args>
std::vector<uint8_t> output_of(const Case<Args>& test, void (*kernel)(const Args&)) {
  std::vector<uint8_t> y(test.y_bytes + 64, kGuard);
  Args args = test.args;
  args.y = reinterpret_cast<decltype(args.y)>(y.data());
  kernel(args);
  return y;
}

// What every convolution's case ends with.
template <class Args>
void finish_case(Case<Args>& test, Rng& rng) {
  test.args.weights = test.weights.data();
  test.args.bias = test.bias.data();
  test.args.multiplier = test.multiplier.data();
  test.args.range = random_range(rng, random_type(rng));
  test.y_bytes = static_cast<size_t>(test.args.positions * test.args.y_step);
}

// y of a convolution row from the exact sum of every position and channel.
template <class Args, class SumAt>
void fill_pooled(const Args& args, const std::vector<float>& multiplier, SumAt sum_at,
                 std::vector<uint8_t>& y) {
  for (int32_t q = 0; q < args.positions / args.pool; ++q) {
    for (int32_t m = 0; m < args.channels; ++m) {
      int64_t best = sum_at(q * args.pool, m);
      for (int32_t j = 1; j < args.pool; ++j) {
        best = std::max<int64_t>(best, sum_at(q * args.pool + j, m));
      }
      const float v = static_cast<float>(best) * multiplier[static_cast<size_t>(m)];
      y[static_cast<size_t>(q * args.y_step + m)] = expected_byte(v, args.range);
    }
  }
}

template <>
struct Case<WidenArgs> {
  WidenArgs args{};
  std::vector<uint8_t> x;
  size_t y_bytes = 0;

  Case(Rng& rng, int32_t size) {
    x = random_bytes(rng, static_cast<size_t>(size));
    args.type = random_type(rng);
    args.x = x.data();
    args.zero_point = random_range(rng, args.type).zero_point;
    args.count = x.size();
    y_bytes = 2 * x.size();
  }
  std::vector<uint8_t> expected() const {
    std::vector<uint8_t> y(y_bytes + 64, kGuard);
    for (size_t i = 0; i < x.size(); ++i) {
      const auto wide = static_cast<int16_t>(value_of(x[i], args.type) - args.zero_point);
      std::memcpy(&y[2 * i], &wide, 2);
    }
    return y;
  }
};

template <>
struct Case<FlipArgs> {
  FlipArgs args{};
  std::vector<uint8_t> x;
  size_t y_bytes = 0;

  Case(Rng& rng, int32_t size) {
    x = random_bytes(rng, static_cast<size_t>(size));
    args.x = x.data();
    args.flip = below(rng, 2) == 0 ? 0x80 : uint8_t(rng.next_u64());
    args.count = x.size();
    y_bytes = x.size();
  }
  std::vector<uint8_t> expected() const {
    std::vector<uint8_t> y(y_bytes + 64, kGuard);
    for (size_t i = 0; i < x.size(); ++i) {
      y[i] = static_cast<uint8_t>((x[i] | args.flip) & ~(x[i] & args.flip));
    }
    return y;
  }
};

template <>
struct Case<ConvRowArgs> {
  ConvRowArgs args{};
  std::vector<int16_t> x, weights;
  std::vector<int32_t> offsets, bias;
  std::vector<float> multiplier;
  size_t y_bytes = 0;

  Case(Rng& rng, int32_t size) {
    args.runs = between(rng, 0, 3);
    args.pairs = between(rng, 1, 1 + size / 4);
    args.positions = size;
    args.pool = size % 2 == 0 ? between(rng, 1, 2) : 1;
    args.channels = between(rng, 1, kConvBlock);
    args.x_step = between(rng, 0, 2 * args.pairs);
    args.y_step = args.channels + between(rng, 0, 3);
    for (int32_t r = 0; r < args.runs; ++r) offsets.push_back(between(rng, 0, 20));
    const size_t needed = static_cast<size_t>(size * args.x_step + 2 * args.pairs + 20);
    for (size_t i = 0; i < needed; ++i) x.push_back(int16_t(between(rng, -255, 255)));
    for (int32_t i = 0; i < args.runs * args.pairs * 2 * kConvBlock; ++i) {
      weights.push_back(static_cast<int16_t>(between(rng, -128, 127)));
    }
    const bool tie = below(rng, 3) == 0;  // products that end in exactly one half
    for (int32_t m = 0; m < kConvBlock; ++m) {
      bias.push_back(between(rng, -100000, 100000));
      multiplier.push_back(tie ? 0.5f : static_cast<float>(rng.uniform(0.0, 0.01)));
    }
    args.x = x.data();
    args.run_offsets = offsets.data();
    finish_case(*this, rng);
  }
  std::vector<uint8_t> expected() const {
    std::vector<uint8_t> y(y_bytes + 64, kGuard);
    const auto sum_at = [&](int32_t p, int32_t m) {
      int64_t sum = bias[static_cast<size_t>(m)];
      for (int32_t r = 0; r < args.runs; ++r) {
        for (int32_t k = 0; k < 2 * args.pairs; ++k) {
          const int64_t at = p * args.x_step + offsets[static_cast<size_t>(r)] + k;
          const int32_t w = ((r * args.pairs + k / 2) * kConvBlock + m) * 2 + k % 2;
          sum += int64_t{x[static_cast<size_t>(at)]} * weights[static_cast<size_t>(w)];
        }
      }
      return sum;
    };
    fill_pooled(args, multiplier, sum_at, y);
    return y;
  }
};

template <>
struct Case<DotRowArgs> {
  DotRowArgs args{};
  std::vector<uint8_t> x;
  std::vector<int8_t> weights;
  std::vector<int32_t> offsets, bias;
  std::vector<float> multiplier;
  size_t y_bytes = 0;

  Case(Rng& rng, int32_t size) {
    args.runs = between(rng, 0, 3);
    args.quads = between(rng, 1, 1 + size / 16);
    args.pool = size % 2 == 0 ? between(rng, 1, 2) : 1;
    const int32_t rows = size <= 40 ? between(rng, 1, 3) : 1;
    args.row_positions = size;
    args.positions = rows * size;
    args.channels = between(rng, 1, kDotBlocks * kConvBlock);
    args.x_step = between(rng, 0, 4 * args.quads);
    args.y_step = args.channels + between(rng, 0, 3);
    for (int32_t r = 0; r < args.runs; ++r) offsets.push_back(between(rng, 0, 20));
    args.x_row_step = between(rng, 0, 50);
    x = random_bytes(rng, static_cast<size_t>(size * args.x_step + rows * args.x_row_step +
                                              4 * args.quads + 20));
    const int32_t blocks = (args.channels + kConvBlock - 1) / kConvBlock;
    args.block_step = (args.runs * args.quads + between(rng, 0, 2)) * 4 * kConvBlock;
    for (int64_t i = 0; i < blocks * args.block_step; ++i) {
      weights.push_back(static_cast<int8_t>(between(rng, -128, 127)));
    }
    const bool tie = below(rng, 3) == 0;  // products that end in exactly one half
    const bool huge = below(rng, 3) == 0;
    for (int32_t m = 0; m < blocks * kConvBlock; ++m) {
      bias.push_back(between(rng, -100000, 100000));
      multiplier.push_back(tie ? 0.5f
                           : huge && below(rng, 9) == 0
                               ? 1e6f
                               : static_cast<float>(rng.uniform(0.0, 0.01)));
      if (args.pool == 1 && below(rng, 4) == 0) multiplier.back() = -multiplier.back();
    }
    args.x = x.data();
    args.form = below(rng, 2) == 0 ? DotForm::kUnsigned : DotForm::kSigned;
    args.run_offsets = offsets.data();
    finish_case(*this, rng);
  }
  std::vector<uint8_t> expected() const {
    std::vector<uint8_t> y(y_bytes + 64, kGuard);
    const ByteType type = args.form == DotForm::kSigned ? ByteType::kInt8 : ByteType::kUInt8;
    const auto sum_at = [&](int32_t p, int32_t m) {
      int64_t sum = bias[static_cast<size_t>(m)];
      for (int32_t r = 0; r < args.runs; ++r) {
        for (int32_t k = 0; k < 4 * args.quads; ++k) {
          const int64_t at = p / args.row_positions * args.x_row_step +
                             p % args.row_positions * args.x_step +
                             offsets[static_cast<size_t>(r)] + k;
          const int64_t w = m / kConvBlock * args.block_step +
                            ((r * args.quads + k / 4) * kConvBlock + m % kConvBlock) * 4 + k % 4;
          sum +=
              int64_t{value_of(x[static_cast<size_t>(at)], type)} * weights[static_cast<size_t>(w)];
        }
      }
      return sum;
    };
    fill_pooled(args, multiplier, sum_at, y);
    return y;
  }
};

template <>
struct Case<DepthwiseRowArgs> {
  DepthwiseRowArgs args{};
  std::vector<int16_t> x, weights;
  std::vector<int32_t> offsets, bias;
  std::vector<float> multiplier;
  size_t y_bytes = 0;

  Case(Rng& rng, int32_t size) {
    args.channels = size;
    args.taps = between(rng, 0, 9);
    args.positions = between(rng, 1, 4);
    args.x_step = between(rng, 0, 2 * size);
    args.weight_step = (size + 15) / 16 * 16;
    args.y_step = size + between(rng, 0, 2);
    for (int32_t t = 0; t < args.taps; ++t) offsets.push_back(between(rng, 0, 50));
    const size_t needed = static_cast<size_t>(5 * args.x_step + 50 + size) + kReadSlack;
    for (size_t i = 0; i < needed; ++i) x.push_back(int16_t(between(rng, -255, 255)));
    for (int64_t i = 0; i < args.taps * args.weight_step; ++i) {
      weights.push_back(static_cast<int16_t>(between(rng, -128, 127)));
    }
    for (int64_t c = 0; c < args.weight_step; ++c) {
      bias.push_back(between(rng, -30000, 30000));
      multiplier.push_back(static_cast<float>(rng.uniform(0.0, 0.01)));
    }
    args.x = x.data();
    args.tap_offsets = offsets.data();
    finish_case(*this, rng);
  }
  std::vector<uint8_t> expected() const {
    std::vector<uint8_t> y(y_bytes + 64, kGuard);
    for (int32_t p = 0; p < args.positions; ++p) {
      for (int32_t c = 0; c < args.channels; ++c) {
        int64_t sum = bias[static_cast<size_t>(c)];
        for (int32_t t = 0; t < args.taps; ++t) {
          const int64_t at = p * args.x_step + offsets[static_cast<size_t>(t)] + c;
          sum += int64_t{x[static_cast<size_t>(at)]} *
                 weights[static_cast<size_t>(t * args.weight_step + c)];
        }
        const float v = static_cast<float>(sum) * multiplier[static_cast<size_t>(c)];
        y[static_cast<size_t>(p * args.y_step + c)] = expected_byte(v, args.range);
      }
    }
    return y;
  }
};

template <>
struct Case<DepthwiseDotArgs> {
  DepthwiseDotArgs args{};
  std::vector<uint8_t> x;
  std::vector<int8_t> weights;
  std::vector<int32_t> offsets, bias;
  std::vector<float> multiplier;
  size_t y_bytes = 0;

  Case(Rng& rng, int32_t size) {
    args.channels = between(rng, 1, 3) * size;
    args.groups = between(rng, 1, 3) == 3 ? 2 : 1;
    args.columns = between(rng, 1, 6);
    args.positions = between(rng, 1, 9);
    // Positions one column apart, two, or some other way.
    const int32_t kind = between(rng, 0, 2);
    args.column_step = between(rng, 0, 2 * size);
    args.x_step = kind == 2 ? between(rng, 0, 2 * size) : (1 + kind) * args.column_step;
    args.y_step = args.channels + between(rng, 0, 2);
    args.form = below(rng, 2) == 0 ? DotForm::kUnsigned : DotForm::kSigned;
    for (int32_t j = 0; j < 4 * args.groups; ++j) offsets.push_back(between(rng, 0, 50));
    x = random_bytes(
        rng, static_cast<size_t>(args.positions * args.x_step + args.columns * args.column_step +
                                 50 + args.channels) +
                 kReadSlack);
    const int32_t wide = depthwise_width(args.channels);
    for (int32_t i = 0; i < wide * args.groups * args.columns * 4; ++i) {
      weights.push_back(static_cast<int8_t>(between(rng, -128, 127)));
    }
    const bool huge = below(rng, 3) == 0;
    for (int32_t c = 0; c < wide; ++c) {
      bias.push_back(between(rng, -30000, 30000));
      multiplier.push_back(huge && below(rng, 9) == 0 ? 1e6f
                                                      : static_cast<float>(rng.uniform(0.0, 0.01)));
      if (below(rng, 4) == 0) multiplier.back() = -multiplier.back();
    }
    args.x = x.data();
    args.row_offsets = offsets.data();
    finish_case(*this, rng);
  }
  int64_t sum_at(int32_t p, int32_t c) const {
    const ByteType type = args.form == DotForm::kSigned ? ByteType::kInt8 : ByteType::kUInt8;
    // Blocks of 64 channels, the last of 32 if no more are left; in a block fours of every sixteen.
    const int32_t first = c / 64 * 64, width = args.channels - first > 32 ? 64 : 32;
    const int32_t lane = c % 16 / 4 * (width / 4) + c % 64 / 16 * 4 + c % 4;
    int64_t sum = bias[static_cast<size_t>(c)];
    for (int32_t g = 0; g < args.groups; ++g) {
      for (int32_t k = 0; k < args.columns; ++k) {
        for (int32_t j = 0; j < 4; ++j) {
          const int64_t at =
              p * args.x_step + offsets[static_cast<size_t>(4 * g + j)] + k * args.column_step + c;
          const int32_t w =
              (first * args.groups * args.columns + (g * args.columns + k) * width + lane) * 4 + j;
          sum +=
              int64_t{value_of(x[static_cast<size_t>(at)], type)} * weights[static_cast<size_t>(w)];
        }
      }
    }
    return sum;
  }
  std::vector<uint8_t> expected() const {
    std::vector<uint8_t> y(y_bytes + 64, kGuard);
    for (int32_t p = 0; p < args.positions; ++p) {
      for (int32_t c = 0; c < args.channels; ++c) {
        const float v = static_cast<float>(sum_at(p, c)) * multiplier[static_cast<size_t>(c)];
        y[static_cast<size_t>(p * args.y_step + c)] = expected_byte(v, args.range);
      }
    }
    return y;
  }
};

}  // namespace graupel::kernels
