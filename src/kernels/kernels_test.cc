// Every kernel on every instruction set: scalar against brute force written from
// docs/formats/int8.md, the others against scalar bit for bit.
//
// Idea: kernels.def drives the differential suite: a kernel without a random_case here does not
// compile. Shapes run over all tiny sizes (tails of registers and tiles) and random larger ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/rng.h"
#include "kernels/dispatch.h"
#include "kernels/kernels.h"

namespace graupel::kernels::avxvnni_evex {
void dot_row(const DotRowArgs& args);  // avxvnni_evex_test.cc
}

namespace graupel::kernels {
namespace {

uint32_t below(Rng& rng, uint32_t limit) { return static_cast<uint32_t>(rng.next_u64() % limit); }
int32_t between(Rng& rng, int32_t low, int32_t high) {
  return low + static_cast<int32_t>(below(rng, static_cast<uint32_t>(high - low + 1)));
}

std::vector<uint8_t> random_bytes(Rng& rng, size_t count) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) {
    const uint32_t kind = below(rng, 8);
    byte = kind == 0 ? 0x80 : kind == 1 ? 0x7F : kind == 2 ? 0xFF : uint8_t(rng.next_u64());
  }
  return bytes;
}

ByteRange random_range(Rng& rng, ByteType type) {
  const int32_t least = type == ByteType::kInt8 ? -128 : 0;
  ByteRange range;
  range.zero_point = between(rng, least, least + 255);
  range.low = between(rng, 0, 1) == 0 ? least : range.zero_point;
  range.high = between(rng, range.low, least + 255);
  return range;
}

ByteType random_type(Rng& rng) { return below(rng, 2) == 0 ? ByteType::kInt8 : ByteType::kUInt8; }
int32_t value_of(uint8_t byte, ByteType type) {
  return type == ByteType::kInt8 ? static_cast<int8_t>(byte) : byte;
}

// The contract, said with the C library in double: the product itself is float32.
uint8_t expected_byte(float v, const ByteRange& range) {
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
    args.weights = weights.data();
    args.bias = bias.data();
    args.multiplier = multiplier.data();
    args.range = random_range(rng, random_type(rng));
    y_bytes = static_cast<size_t>(args.positions * args.y_step);
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
    for (int32_t m = 0; m < blocks * kConvBlock; ++m) {
      bias.push_back(between(rng, -100000, 100000));
      multiplier.push_back(tie                  ? 0.5f
                           : below(rng, 9) == 0 ? 1e6f
                                                : static_cast<float>(rng.uniform(0.0, 0.01)));
    }
    args.x = x.data();
    args.form = below(rng, 2) == 0 ? DotForm::kUnsigned : DotForm::kSigned;
    args.run_offsets = offsets.data();
    args.weights = weights.data();
    args.bias = bias.data();
    args.multiplier = multiplier.data();
    args.range = random_range(rng, random_type(rng));
    y_bytes = static_cast<size_t>(args.positions * args.y_step);
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
    args.weights = weights.data();
    args.bias = bias.data();
    args.multiplier = multiplier.data();
    args.range = random_range(rng, random_type(rng));
    y_bytes = static_cast<size_t>(args.positions * args.y_step);
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

// What both pools share: an image of bytes and taps into it.
template <class Args>
void make_pool(Rng& rng, int32_t size, Args& args, std::vector<uint8_t>& x,
               std::vector<int32_t>& offsets) {
  args.channels = size;
  args.taps = between(rng, 1, 9);
  args.positions = between(rng, 1, 4);
  args.x_step = between(rng, 0, 2 * size);
  args.y_step = size + between(rng, 0, 2);
  args.type = random_type(rng);
  for (int32_t t = 0; t < args.taps; ++t) offsets.push_back(between(rng, 0, 50));
  x = random_bytes(rng, static_cast<size_t>(4 * args.x_step + 50 + size));
  args.x = x.data();
  args.tap_offsets = offsets.data();
}

template <>
struct Case<MaxPoolRowArgs> {
  MaxPoolRowArgs args{};
  std::vector<uint8_t> x;
  std::vector<int32_t> offsets;
  size_t y_bytes = 0;

  Case(Rng& rng, int32_t size) {
    make_pool(rng, size, args, x, offsets);
    y_bytes = static_cast<size_t>(args.positions * args.y_step);
  }
  std::vector<uint8_t> expected() const {
    std::vector<uint8_t> y(y_bytes + 64, kGuard);
    for (int32_t p = 0; p < args.positions; ++p) {
      for (int32_t c = 0; c < args.channels; ++c) {
        int32_t best = -1000;
        for (const int32_t offset : offsets) {
          const int64_t at = p * args.x_step + offset + c;
          best = std::max(best, value_of(x[static_cast<size_t>(at)], args.type));
        }
        y[static_cast<size_t>(p * args.y_step + c)] = static_cast<uint8_t>(best);
      }
    }
    return y;
  }
};

template <>
struct Case<AveragePoolRowArgs> {
  AveragePoolRowArgs args{};
  std::vector<uint8_t> x;
  std::vector<int32_t> offsets;
  size_t y_bytes = 0;

  Case(Rng& rng, int32_t size) {
    make_pool(rng, size, args, x, offsets);
    args.range = random_range(rng, random_type(rng));
    args.zero_point = random_range(rng, args.type).zero_point;
    args.multiplier = below(rng, 2) == 0 ? 0.5f : static_cast<float>(rng.uniform(0.0, 1.0));
    y_bytes = static_cast<size_t>(args.positions * args.y_step);
  }
  std::vector<uint8_t> expected() const {
    std::vector<uint8_t> y(y_bytes + 64, kGuard);
    for (int32_t p = 0; p < args.positions; ++p) {
      for (int32_t c = 0; c < args.channels; ++c) {
        int64_t sum = 0;
        for (const int32_t offset : offsets) {
          const int64_t at = p * args.x_step + offset + c;
          sum += value_of(x[static_cast<size_t>(at)], args.type) - args.zero_point;
        }
        const float v = static_cast<float>(sum) * args.multiplier;
        y[static_cast<size_t>(p * args.y_step + c)] = expected_byte(v, args.range);
      }
    }
    return y;
  }
};

template <>
struct Case<QuantizeRowArgs> {
  QuantizeRowArgs args{};
  std::vector<float> x;
  size_t y_bytes = 0;

  Case(Rng& rng, int32_t size) {
    args.scale = below(rng, 2) == 0 ? 0.5f : static_cast<float>(rng.uniform(0.001, 1.0));
    const bool plain = below(rng, 2) == 0;  // values that no shortcut has to think about
    for (int32_t i = 0; i < size; ++i) {
      const uint32_t kind = plain ? 11 : below(rng, 12);
      const float tie = (static_cast<float>(between(rng, -300, 300)) + 0.5f) * args.scale;
      x.push_back(kind == 0   ? NAN
                  : kind == 1 ? INFINITY
                  : kind == 2 ? -INFINITY
                  : kind == 3 ? 3e38f
                  : kind < 7  ? tie
                              : static_cast<float>(rng.uniform(-100.0, 100.0)));
    }
    args.x = x.data();
    args.count = x.size();
    args.normalize = below(rng, 2) == 0;
    args.mean = rng.uniform(-10.0, 10.0);
    args.deviation = rng.uniform(0.1, 10.0);
    args.range = random_range(rng, random_type(rng));
    args.y_step = between(rng, 1, 3);
    y_bytes = x.size() * static_cast<size_t>(args.y_step);
  }
  std::vector<uint8_t> expected() const {
    std::vector<uint8_t> y(y_bytes + 64, kGuard);
    for (size_t i = 0; i < x.size(); ++i) {
      float v = x[i];
      if (args.normalize) v = static_cast<float>((double{v} - args.mean) / args.deviation);
      y[i * static_cast<size_t>(args.y_step)] = expected_byte(v / args.scale, args.range);
    }
    return y;
  }
};

template <>
struct Case<QuantizeImageArgs> {
  QuantizeImageArgs args{};
  std::vector<float> x;
  std::vector<double> mean, deviation;
  size_t y_bytes = 0;

  Case(Rng& rng, int32_t size) {
    args.channels = between(rng, 1, 20);
    args.inner = static_cast<size_t>(size);
    args.scale = static_cast<float>(rng.uniform(0.001, 1.0));
    const bool plain = below(rng, 2) == 0;
    for (int32_t i = 0; i < size * args.channels; ++i) {
      const bool tie = !plain && below(rng, 20) == 0;
      x.push_back(tie ? (static_cast<float>(between(rng, -300, 300)) + 0.5f) * args.scale
                      : static_cast<float>(rng.uniform(-100.0, 100.0)));
    }
    for (int32_t c = 0; c < args.channels; ++c) {
      mean.push_back(rng.uniform(-10.0, 10.0));
      deviation.push_back(rng.uniform(0.1, 10.0));
    }
    args.x = x.data();
    if (below(rng, 2) == 0) {
      args.mean = mean.data();
      args.deviation = deviation.data();
    }
    args.range = random_range(rng, random_type(rng));
    y_bytes = x.size();
  }
  std::vector<uint8_t> expected() const {
    std::vector<uint8_t> y(y_bytes + 64, kGuard);
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t c = i / args.inner;
      float v = x[i];
      if (args.mean != nullptr) v = static_cast<float>((double{v} - mean[c]) / deviation[c]);
      y[i % args.inner * static_cast<size_t>(args.channels) + c] =
          expected_byte(v / args.scale, args.range);
    }
    return y;
  }
};

template <>
struct Case<DequantizeRowArgs> {
  DequantizeRowArgs args{};
  std::vector<uint8_t> x;
  size_t y_bytes = 0;

  Case(Rng& rng, int32_t size) {
    args.x_step = between(rng, 1, 3);
    x = random_bytes(rng, static_cast<size_t>(size * args.x_step));
    args.type = random_type(rng);
    args.x = x.data();
    args.zero_point = random_range(rng, args.type).zero_point;
    args.scale = static_cast<float>(rng.uniform(0.0, 1.0));
    args.count = static_cast<size_t>(size);
    y_bytes = 4 * args.count;
  }
  std::vector<uint8_t> expected() const {
    std::vector<uint8_t> y(y_bytes + 64, kGuard);
    for (size_t i = 0; i < args.count; ++i) {
      const int32_t q = value_of(x[i * static_cast<size_t>(args.x_step)], args.type);
      const float v = static_cast<float>(q - args.zero_point) * args.scale;
      std::memcpy(&y[4 * i], &v, 4);
    }
    return y;
  }
};

template <>
struct Case<BinaryRowArgs> {
  BinaryRowArgs args{};
  std::vector<uint8_t> a, b;
  size_t y_bytes = 0;

  Case(Rng& rng, int32_t size) {
    a = random_bytes(rng, static_cast<size_t>(size));
    b = random_bytes(rng, static_cast<size_t>(size));
    args.op = static_cast<ByteOp>(below(rng, 3));
    for (ByteOperand* operand : {&args.a, &args.b}) {
      operand->x = operand == &args.a ? a.data() : b.data();
      operand->type = random_type(rng);
      operand->zero_point = random_range(rng, operand->type).zero_point;
      operand->scale = below(rng, 2) == 0 ? 0.25f : static_cast<float>(rng.uniform(0.0, 0.1));
    }
    args.scale = below(rng, 2) == 0 ? 0.5f : static_cast<float>(rng.uniform(0.001, 0.2));
    args.range = random_range(rng, random_type(rng));
    args.count = a.size();
    y_bytes = a.size();
  }
  std::vector<uint8_t> expected() const {
    std::vector<uint8_t> y(y_bytes + 64, kGuard);
    for (size_t i = 0; i < a.size(); ++i) {
      const float u =
          static_cast<float>(value_of(a[i], args.a.type) - args.a.zero_point) * args.a.scale;
      const float v =
          static_cast<float>(value_of(b[i], args.b.type) - args.b.zero_point) * args.b.scale;
      const float w = args.op == ByteOp::kAdd ? u + v : args.op == ByteOp::kSub ? u - v : u * v;
      y[i] = expected_byte(w / args.scale, args.range);
    }
    return y;
  }
};

// A dot product is made for one kind of input bytes; the plain loops take both.
template <class Args>
bool takes(const KernelTable&, const Args&) {
  return true;
}
bool takes(const KernelTable& table, const DotRowArgs& args) {
  return table.dot_form == DotForm::kNone || table.dot_form == args.form;
}

template <class Args>
void compare_all(void (*KernelTable::*kernel)(const Args&)) {
  Rng rng(1);
  for (int32_t trial = 0; trial < 2000; ++trial) {
    const int32_t size = trial < 1500 ? 1 + trial % 50 : between(rng, 1, 120);
    const Case<Args> test(rng, size);
    const std::vector<uint8_t> expected = test.expected();
    for (const Isa isa : supported_isas()) {
      if (!takes(kernel_table(isa), test.args)) continue;
      ASSERT_EQ(output_of(test, kernel_table(isa).*kernel), expected)
          << to_string(isa) << " trial " << trial << " size " << size;
    }
  }
}

#define KERNEL(name, Args) \
  TEST(Kernels, name) { compare_all<Args>(&KernelTable::name); }
#include "kernels/kernels.def"
#undef KERNEL

TEST(Kernels, BinaryRowInThePlaceOfAnOperand) {
  Rng rng(3);
  for (int32_t trial = 0; trial < 1000; ++trial) {
    const Case<BinaryRowArgs> test(rng, 1 + trial % 100);
    std::vector<uint8_t> expected = test.expected();
    expected.resize(test.y_bytes);
    for (const Isa isa : supported_isas()) {
      for (ByteOperand BinaryRowArgs::*const operand : {&BinaryRowArgs::a, &BinaryRowArgs::b}) {
        BinaryRowArgs args = test.args;
        std::vector<uint8_t> y((args.*operand).x, (args.*operand).x + args.count);
        (args.*operand).x = args.y = y.data();
        kernel_table(isa).binary_row(args);
        ASSERT_EQ(y, expected) << to_string(isa) << " trial " << trial;
      }
    }
  }
}

#if defined(__x86_64__)
TEST(Kernels, AvxVnniInAnotherEncoding) {
  const std::vector<Isa> isas = supported_isas();
  if (std::find(isas.begin(), isas.end(), Isa::kAvx512Vnni) == isas.end()) {
    GTEST_SKIP() << "needs AVX-512 VNNI";
  }
  Rng rng(2);
  for (int32_t trial = 0; trial < 1000; ++trial) {
    const Case<DotRowArgs> test(rng, 1 + trial % 50);
    if (test.args.form != DotForm::kUnsigned) continue;
    ASSERT_EQ(output_of(test, &avxvnni_evex::dot_row), test.expected()) << "trial " << trial;
  }
}
#endif

}  // namespace
}  // namespace graupel::kernels
