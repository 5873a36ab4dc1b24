// The kernels as plain loops: the definition that every other instruction set has to match.
//
// Idea: exactly the formulas of kernels.h, one element at a time. Sums are kept in uint32 so that
// even a plan nobody proved free of overflow wraps instead of being undefined.
// Reference: docs/formats/int8.md. Test: kernels_test.cc (against brute force).
#include "kernels/kernels.h"

namespace graupel::kernels::scalar {
namespace {

// Adding and taking off 1.5 * 2^23 rounds to an integer, half to even, for |v| < 2^22.
float round_half_even(float v) {
  const float magic = 12582912.0f;
  return (v + magic) - magic;
}

uint8_t to_byte(float v, const ByteRange& range) {
  if (!(v == v)) v = 0.0f;
  const float low = static_cast<float>(range.low - range.zero_point);
  const float high = static_cast<float>(range.high - range.zero_point);
  v = v > low ? v : low;
  v = v < high ? v : high;
  return static_cast<uint8_t>(static_cast<int32_t>(round_half_even(v)) + range.zero_point);
}

int32_t widened(uint8_t x, ByteType type) {
  return type == ByteType::kInt8 ? static_cast<int8_t>(x) : x;
}

float as_float(uint32_t sum) { return static_cast<float>(static_cast<int32_t>(sum)); }

float dequantized(const ByteOperand& operand, size_t i) {
  const int32_t q = widened(operand.x[i], operand.type) - operand.zero_point;
  return static_cast<float>(q) * operand.scale;
}

}  // namespace

void widen_row(const WidenArgs& args) {
  for (size_t i = 0; i < args.count; ++i) {
    args.y[i] = static_cast<int16_t>(widened(args.x[i], args.type) - args.zero_point);
  }
}

void flip_row(const FlipArgs& args) {
  for (size_t i = 0; i < args.count; ++i) args.y[i] = args.x[i] ^ args.flip;
}

namespace {

// The largest of `pool` sums per channel as bytes. `Sums` fills sums[kConvBlock] for one position.
template <class Args, class Sums>
void pooled_bytes(const Args& args, int32_t first, int32_t channels, Sums sums_at) {
  for (int32_t q = 0; q < args.positions / args.pool; ++q) {
    int32_t best[kConvBlock];
    for (int32_t j = 0; j < args.pool; ++j) {
      uint32_t sums[kConvBlock];
      for (int32_t m = 0; m < kConvBlock; ++m) {
        sums[m] = static_cast<uint32_t>(args.bias[first + m]);
      }
      sums_at(q * args.pool + j, sums);
      for (int32_t m = 0; m < kConvBlock; ++m) {
        const auto sum = static_cast<int32_t>(sums[m]);
        if (j == 0 || sum > best[m]) best[m] = sum;
      }
    }
    for (int32_t m = 0; m < channels; ++m) {
      args.y[q * args.y_step + first + m] =
          to_byte(static_cast<float>(best[m]) * args.multiplier[first + m], args.range);
    }
  }
}

}  // namespace

void conv_row(const ConvRowArgs& args) {
  pooled_bytes(args, 0, args.channels, [&](int32_t p, uint32_t* sums) {
    const int16_t* w = args.weights;
    for (int32_t r = 0; r < args.runs; ++r) {
      const int16_t* x = args.x + p * args.x_step + args.run_offsets[r];
      for (int32_t k = 0; k < args.pairs; ++k, x += 2, w += 2 * kConvBlock) {
        for (int32_t m = 0; m < kConvBlock; ++m) {
          sums[m] += static_cast<uint32_t>(x[0] * w[2 * m] + x[1] * w[2 * m + 1]);
        }
      }
    }
  });
}

void dot_row(const DotRowArgs& args) {
  const ByteType type = args.form == DotForm::kSigned ? ByteType::kInt8 : ByteType::kUInt8;
  for (int32_t first = 0; first < args.channels; first += kConvBlock) {
    const int32_t left = args.channels - first;
    pooled_bytes(args, first, left < kConvBlock ? left : kConvBlock,
                 [&](int32_t p, uint32_t* sums) {
                   const int8_t* w = args.weights + first / kConvBlock * args.block_step;
                   for (int32_t r = 0; r < args.runs; ++r) {
                     const uint8_t* x = args.x + p / args.row_positions * args.x_row_step +
                                        p % args.row_positions * args.x_step + args.run_offsets[r];
                     for (int32_t k = 0; k < 4 * args.quads; ++k) {
                       const int8_t* row = w + (r * args.quads + k / 4) * 4 * kConvBlock + k % 4;
                       for (int32_t m = 0; m < kConvBlock; ++m) {
                         sums[m] += static_cast<uint32_t>(widened(x[k], type) * row[4 * m]);
                       }
                     }
                   }
                 });
  }
}

void depthwise_row(const DepthwiseRowArgs& args) {
  for (int32_t p = 0; p < args.positions; ++p) {
    for (int32_t c = 0; c < args.channels; ++c) {
      uint32_t sum = static_cast<uint32_t>(args.bias[c]);
      for (int32_t t = 0; t < args.taps; ++t) {
        sum += static_cast<uint32_t>(args.x[p * args.x_step + args.tap_offsets[t] + c] *
                                     args.weights[t * args.weight_step + c]);
      }
      args.y[p * args.y_step + c] = to_byte(as_float(sum) * args.multiplier[c], args.range);
    }
  }
}

namespace {

uint32_t depthwise_dot_sum(const DepthwiseDotArgs& args, int32_t p, int32_t c) {
  const ByteType type = args.form == DotForm::kSigned ? ByteType::kInt8 : ByteType::kUInt8;
  uint32_t sum = static_cast<uint32_t>(args.bias[c]);
  const DepthwiseLane lane = depthwise_lane(args.channels, c);
  const int32_t origin = lane.first * args.groups * args.columns + lane.lane;
  for (int32_t g = 0; g < args.groups; ++g) {
    for (int32_t k = 0; k < args.columns; ++k) {
      const int8_t* w = args.weights + (origin + (g * args.columns + k) * lane.width) * 4;
      const uint8_t* x = args.x + p * args.x_step + k * args.column_step + c;
      for (int32_t j = 0; j < 4; ++j) {
        sum += static_cast<uint32_t>(widened(x[args.row_offsets[4 * g + j]], type) * w[j]);
      }
    }
  }
  return sum;
}

}  // namespace

void depthwise_dot_row(const DepthwiseDotArgs& args) {
  for (int32_t p = 0; p < args.positions; ++p) {
    for (int32_t c = 0; c < args.channels; ++c) {
      const float sum = as_float(depthwise_dot_sum(args, p, c));
      args.y[p * args.y_step + c] = to_byte(sum * args.multiplier[c], args.range);
    }
  }
}

void max_pool_row(const MaxPoolRowArgs& args) {
  for (int32_t p = 0; p < args.positions; ++p) {
    const uint8_t* x = args.x + p * args.x_step;
    for (int32_t c = 0; c < args.channels; ++c) {
      uint8_t best = x[args.tap_offsets[0] + c];
      for (int32_t t = 1; t < args.taps; ++t) {
        const uint8_t value = x[args.tap_offsets[t] + c];
        if (widened(value, args.type) > widened(best, args.type)) best = value;
      }
      args.y[p * args.y_step + c] = best;
    }
  }
}

void average_pool_row(const AveragePoolRowArgs& args) {
  for (int32_t p = 0; p < args.positions; ++p) {
    const uint8_t* x = args.x + p * args.x_step;
    for (int32_t c = 0; c < args.channels; ++c) {
      uint32_t sum = 0;
      for (int32_t t = 0; t < args.taps; ++t) {
        sum +=
            static_cast<uint32_t>(widened(x[args.tap_offsets[t] + c], args.type) - args.zero_point);
      }
      args.y[p * args.y_step + c] = to_byte(as_float(sum) * args.multiplier, args.range);
    }
  }
}

void quantize_row(const QuantizeRowArgs& args) {
  for (size_t i = 0; i < args.count; ++i) {
    float v = args.x[i];
    if (args.normalize) {
      v = static_cast<float>((static_cast<double>(v) - args.mean) / args.deviation);
    }
    args.y[static_cast<ptrdiff_t>(i) * args.y_step] = to_byte(v / args.scale, args.range);
  }
}

void quantize_image(const QuantizeImageArgs& args) {
  const bool normalize = args.mean != nullptr;
  for (int32_t c = 0; c < args.channels; ++c) {
    quantize_row({args.x + static_cast<size_t>(c) * args.inner, args.inner, normalize,
                  normalize ? args.mean[c] : 0.0, normalize ? args.deviation[c] : 1.0, args.scale,
                  args.range, args.y + c, args.channels});
  }
}

void dequantize_row(const DequantizeRowArgs& args) {
  for (size_t i = 0; i < args.count; ++i) {
    const int32_t q = widened(args.x[static_cast<ptrdiff_t>(i) * args.x_step], args.type);
    args.y[i] = static_cast<float>(q - args.zero_point) * args.scale;
  }
}

void binary_row(const BinaryRowArgs& args) {
  for (size_t i = 0; i < args.count; ++i) {
    const float a = dequantized(args.a, i);
    const float b = dequantized(args.b, i);
    const float v = args.op == ByteOp::kAdd ? a + b : args.op == ByteOp::kSub ? a - b : a * b;
    args.y[i] = to_byte(v / args.scale, args.range);
  }
}

}  // namespace graupel::kernels::scalar
