// The kernels for AVX-512 that turn floats into bytes and back: quantisation, dequantisation, sums
// of two tensors.
//
// Idea: a quotient's rounding is known from one multiplication and one addition unless it lies next
// to a half; only then is the literal division in double and float done. An image of few channels
// is transposed in registers on its way to channels-last.
// Reference: docs/formats/int8.md. Test: kernels_test.cc (equal to scalar, bit for bit).
#if defined(__x86_64__)

#include "kernels/avx512_bytes.h"

namespace graupel::kernels::avx512vnni {
namespace {

inline __m512 dequantized(const ByteOperand& operand, size_t i, __mmask16 lanes) {
  const __m512i q = _mm512_sub_epi32(widen(operand.x + i, lanes, operand.type),
                                     _mm512_set1_epi32(operand.zero_point));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(q), _mm512_set1_ps(operand.scale));
}

inline __m512 nan_to_zero(__m512 v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), v);
}

// v / scale as the contract says it, in double where it says so.
inline __m512 quotient(const QuantizeRowArgs& args, __m512 v) {
  if (args.normalize) {
    const __m512d mean = _mm512_set1_pd(args.mean), deviation = _mm512_set1_pd(args.deviation);
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
    const __m512d high =
        _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)));
    const __m256 a = _mm512_cvtpd_ps(_mm512_div_pd(_mm512_sub_pd(low, mean), deviation));
    const __m256 b = _mm512_cvtpd_ps(_mm512_div_pd(_mm512_sub_pd(high, mean), deviation));
    v = _mm512_castpd_ps(
        _mm512_insertf64x4(_mm512_castps_pd(_mm512_castps256_ps512(a)), _mm256_castps_pd(b), 1));
  }
  return nan_to_zero(_mm512_div_ps(v, _mm512_set1_ps(args.scale)));
}

// The quotient as one multiplication and one addition: close enough to know its rounding unless it
// lies next to a half.
struct Shortcut {
  bool usable;
  float factor;
  float offset;
};

inline bool is_between(double v, double low, double high) { return v >= low && v <= high; }

// With these bounds the shortcut is off by less than 2^-11: factor, offset, product and sum carry
// an error of 2^-24 of at most 2048 each, the literal quotient two of 2^-24 of at most 512.
inline Shortcut shortcut_of(const QuantizeRowArgs& args) {
  const double deviation = args.normalize ? args.deviation : 1.0;
  const double factor = 1.0 / (deviation * static_cast<double>(args.scale));
  const double offset = args.normalize ? -args.mean * factor : 0.0;
  const double size = factor < 0.0 ? -factor : factor;
  const bool usable = is_between(size, 1e-30, 1e30) &&
                      is_between(static_cast<double>(args.scale), 1e-30, 1e30) &&
                      is_between(offset, -1024.0, 1024.0) &&
                      is_between(args.range.low - args.range.zero_point, -500.0, 500.0) &&
                      is_between(args.range.high - args.range.zero_point, -500.0, 500.0);
  return {usable, static_cast<float>(factor), static_cast<float>(offset)};
}

inline __m512i quantized(const QuantizeRowArgs& args, __m512 x, __mmask16 lanes,
                         const Shortcut& shortcut, const Epilogue& e) {
  if (shortcut.usable) {
    const __m512 t = _mm512_add_ps(_mm512_mul_ps(x, _mm512_set1_ps(shortcut.factor)),
                                   _mm512_set1_ps(shortcut.offset));
    const __m512 distance = _mm512_abs_ps(
        _mm512_sub_ps(t, _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)));
    const __m512 limit = _mm512_set1_ps(0.5f - 1.0f / 1024.0f);
    const __mmask16 inside =
        _mm512_cmp_ps_mask(_mm512_abs_ps(t), _mm512_set1_ps(512.0f), _CMP_LE_OQ);
    const __mmask16 near_half = _mm512_mask_cmp_ps_mask(inside, distance, limit, _CMP_GT_OQ);
    const __mmask16 nan = _mm512_cmp_ps_mask(t, t, _CMP_UNORD_Q);
    if (((near_half | nan) & lanes) == 0) return to_bytes(t, e);
  }
  return to_bytes(quotient(args, x), e);
}

}  // namespace

void quantize_row(const QuantizeRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  const Shortcut shortcut = shortcut_of(args);
  for (size_t i = 0; i < args.count; i += 16) {
    const size_t left = args.count - i;
    const int32_t count = left < 16 ? static_cast<int32_t>(left) : 16;
    const __mmask16 lanes = first_lanes(count);
    const __m512 x = _mm512_maskz_loadu_ps(lanes, args.x + i);
    const __m512i bytes = quantized(args, x, lanes, shortcut, e);
    uint8_t* y = args.y + static_cast<ptrdiff_t>(i) * args.y_step;
    if (args.y_step == 1) {
      store(y, bytes, count);
      continue;
    }
    uint8_t all[16];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(all), _mm512_cvtepi32_epi8(bytes));
    for (int32_t j = 0; j < count; ++j, y += args.y_step) *y = all[j];
  }
}

void dequantize_row(const DequantizeRowArgs& args) {
  const __m512i zero_point = _mm512_set1_epi32(args.zero_point);
  const __m512 scale = _mm512_set1_ps(args.scale);
  if (args.x_step != 1) return avx2::dequantize_row(args);
  for (size_t i = 0; i < args.count; i += 16) {
    const size_t left = args.count - i;
    const __mmask16 lanes = first_lanes(left < 16 ? static_cast<int32_t>(left) : 16);
    const __m512i q = _mm512_sub_epi32(widen(args.x + i, lanes, args.type), zero_point);
    _mm512_mask_storeu_ps(args.y + i, lanes, _mm512_mul_ps(_mm512_cvtepi32_ps(q), scale));
  }
}

void binary_row(const BinaryRowArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  const __m512 scale = _mm512_set1_ps(args.scale);
  for (size_t i = 0; i < args.count; i += 16) {
    const size_t left = args.count - i;
    const int32_t count = left < 16 ? static_cast<int32_t>(left) : 16;
    const __mmask16 lanes = first_lanes(count);
    const __m512 a = dequantized(args.a, i, lanes), b = dequantized(args.b, i, lanes);
    const __m512 v = args.op == ByteOp::kAdd   ? _mm512_add_ps(a, b)
                     : args.op == ByteOp::kSub ? _mm512_sub_ps(a, b)
                                               : _mm512_mul_ps(a, b);
    store(args.y + i, to_bytes(nan_to_zero(_mm512_div_ps(v, scale)), e), count);
  }
}

namespace {

// Sixteen rows of sixteen bytes to sixteen columns.
inline void transpose16(__m128i (&rows)[16]) {
  __m128i other[16];
  for (int i = 0; i < 8; ++i) {
    other[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + 8]);
    other[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + 8]);
  }
  for (int i = 0; i < 8; ++i) {
    rows[2 * i] = _mm_unpacklo_epi8(other[i], other[i + 8]);
    rows[2 * i + 1] = _mm_unpackhi_epi8(other[i], other[i + 8]);
  }
  for (int i = 0; i < 8; ++i) {
    other[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + 8]);
    other[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + 8]);
  }
  for (int i = 0; i < 8; ++i) {
    rows[2 * i] = _mm_unpacklo_epi8(other[i], other[i + 8]);
    rows[2 * i + 1] = _mm_unpackhi_epi8(other[i], other[i + 8]);
  }
}

inline QuantizeRowArgs row_of(const QuantizeImageArgs& args, int32_t channel) {
  const bool normalize = args.mean != nullptr;
  return {args.x + static_cast<size_t>(channel) * args.inner,
          args.inner,
          normalize,
          normalize ? args.mean[channel] : 0.0,
          normalize ? args.deviation[channel] : 1.0,
          args.scale,
          args.range,
          args.y + channel,
          args.channels};
}

// Up to four channels: each position's bytes in one int32, then the unused ones squeezed out.
template <int32_t kChannels>
inline void quantize_few(const QuantizeImageArgs& args) {
  const Epilogue e = epilogue_of(args.range);
  QuantizeRowArgs rows[kChannels];
  Shortcut shortcuts[kChannels];
  for (int32_t c = 0; c < kChannels; ++c) {
    rows[c] = row_of(args, c);
    shortcuts[c] = shortcut_of(rows[c]);
  }
  // Within each 128-bit part, then the parts' 4 * kChannels bytes one after another.
  const __m512i squeeze = _mm512_broadcast_i32x4(
      kChannels == 1   ? _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1)
      : kChannels == 2 ? _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1)
      : kChannels == 3 ? _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1)
                       : _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  alignas(64) int32_t order[16] = {};
  for (int32_t i = 0; i < 4 * kChannels; ++i) order[i] = i / kChannels * 4 + i % kChannels;
  const __m512i join = _mm512_load_si512(order);
  uint8_t* y = args.y;
  for (size_t i = 0; i < args.inner; i += 16, y += 16 * kChannels) {
    const size_t left = args.inner - i;
    const int32_t count = left < 16 ? static_cast<int32_t>(left) : 16;
    const __mmask16 lanes = first_lanes(count);
    __m512i all = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int32_t c = 0; c < kChannels; ++c) {
      const __m512 x = _mm512_maskz_loadu_ps(lanes, rows[c].x + i);
      const __m512i q = quantized(rows[c], x, lanes, shortcuts[c], e);
      const __m512i byte = _mm512_and_si512(q, _mm512_set1_epi32(0xFF));
      all = _mm512_or_si512(all, _mm512_slli_epi32(byte, static_cast<unsigned>(8 * c)));
    }
    all = _mm512_permutexvar_epi32(join, _mm512_shuffle_epi8(all, squeeze));
    const __mmask64 bytes = ~__mmask64{0} >> (64 - count * kChannels);
    _mm512_mask_storeu_epi8(y, bytes, all);
  }
}

}  // namespace

// Five to sixteen channels: sixteen positions of each, then channel by channel becomes position by
// position. A position's store runs over the next ones, which are stored later.
void quantize_image(const QuantizeImageArgs& args) {
  constexpr int32_t kMost = 16;
  if (args.channels > kMost) {
    for (int32_t c = 0; c < args.channels; ++c) quantize_row(row_of(args, c));
    return;
  }
  switch (args.channels) {
    case 1: return quantize_few<1>(args);
    case 2: return quantize_few<2>(args);
    case 3: return quantize_few<3>(args);
    case 4: return quantize_few<4>(args);
    default: break;
  }
  const Epilogue e = epilogue_of(args.range);
  QuantizeRowArgs rows[kMost];
  Shortcut shortcuts[kMost];
  for (int32_t c = 0; c < args.channels; ++c) {
    rows[c] = row_of(args, c);
    shortcuts[c] = shortcut_of(rows[c]);
  }
  for (size_t i = 0; i < args.inner; i += 16) {
    const size_t left = args.inner - i;
    const int32_t count = left < 16 ? static_cast<int32_t>(left) : 16;
    const __mmask16 lanes = first_lanes(count);
    __m128i bytes[kMost];
    for (int32_t c = 0; c < kMost; ++c) bytes[c] = _mm_setzero_si128();
    for (int32_t c = 0; c < args.channels; ++c) {
      const __m512 x = _mm512_maskz_loadu_ps(lanes, rows[c].x + i);
      bytes[c] = _mm512_cvtepi32_epi8(quantized(rows[c], x, lanes, shortcuts[c], e));
    }
    transpose16(bytes);
    uint8_t* y = args.y + i * static_cast<size_t>(args.channels);
    for (int32_t j = 0; j < count; ++j, y += args.channels) {
      if ((i + static_cast<size_t>(j)) * static_cast<size_t>(args.channels) + kMost <=
          args.inner * static_cast<size_t>(args.channels)) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(y), bytes[j]);
      } else {
        _mm_mask_storeu_epi8(y, first_lanes(args.channels), bytes[j]);
      }
    }
  }
}

}  // namespace graupel::kernels::avx512vnni

#endif
