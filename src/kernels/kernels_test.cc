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
#include "kernels/conv_cases.h"
#include "kernels/dispatch.h"
#include "kernels/kernels.h"

namespace graupel::kernels::avxvnni_evex {
void dot_row(const DotRowArgs& args);  // avxvnni_evex_test.cc
}

namespace graupel::kernels {

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
inline bool takes(const KernelTable& table, const DotRowArgs& args) {
  return table.dot_form == DotForm::kNone || table.dot_form == args.form;
}
inline bool takes(const KernelTable& table, const DepthwiseDotArgs& args) {
  return !table.has_depthwise_dot || table.dot_form == args.form;
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

}  // namespace graupel::kernels
