// The C functions that emitted sources are made of, one text per kind of step. Private to
// src/compile. The same formulas as kernels/scalar.cc and run/int8_steps.cc; every product of
// floats that a sum follows goes through a volatile, so that no compiler fuses the two.
// They keep the rules of MISRA C:2012 that emit_c_test.cc has cppcheck check: one declaration each,
// parameters left alone, sums of products in parentheses, no cast of an expression to another kind.
#pragma once

#include <string_view>

namespace graupel::compile {

inline constexpr std::string_view kIncludes = R"c(
#include <stddef.h>
#include <string.h>
#if !defined(GRAUPEL_PLAIN_C) && defined(__SSE2__)
#include <emmintrin.h>
#elif !defined(GRAUPEL_PLAIN_C) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif
)c";

inline constexpr std::string_view kCommonPart = R"c(
typedef struct {
  int32_t zero_point;
  int32_t low;
  int32_t high;
} range_t;

/* round_half_even(clamp(v)) + zero point; adding and taking off 1.5 * 2^23 rounds. NaN is 0. */
static uint8_t to_byte(float v, range_t r) {
  const int32_t lowest = r.low - r.zero_point;
  const int32_t highest = r.high - r.zero_point;
  const float low = (float)lowest;
  const float high = (float)highest;
  const float number = (v == v) ? v : 0.0f;
  const float above = (number > low) ? number : low;
  const float inside = (above < high) ? above : high;
  volatile float raised = inside + 12582912.0f;
  const float rounded = raised - 12582912.0f;
  const int32_t byte = (int32_t)rounded + r.zero_point;
  return (uint8_t)byte;
}
)c";

inline constexpr std::string_view kValuePart = R"c(
static int32_t value_of(uint8_t x, int32_t is_signed) {
  return ((is_signed != 0) && (x >= 128u)) ? ((int32_t)x - 256) : (int32_t)x;
}
)c";

inline constexpr std::string_view kWindowPart = R"c(
typedef struct {
  int32_t channels;
  int32_t in_h;
  int32_t in_w;
  int32_t out_h;
  int32_t out_w;
  int32_t kernel_h;
  int32_t kernel_w;
  int32_t stride_h;
  int32_t stride_w;
  int32_t dilation_h;
  int32_t dilation_w;
  int32_t pad_top;
  int32_t pad_left;
} window_t;

/* Row and column of the image under a tap. */
static int32_t tap_y(const window_t *w, int32_t oy, int32_t ky) {
  return ((oy * w->stride_h) - w->pad_top) + (ky * w->dilation_h);
}
static int32_t tap_x(const window_t *w, int32_t ox, int32_t kx) {
  return ((ox * w->stride_w) - w->pad_left) + (kx * w->dilation_w);
}
static int32_t is_inside(const window_t *w, int32_t iy, int32_t ix) {
  return ((iy >= 0) && (iy < w->in_h) && (ix >= 0) && (ix < w->in_w)) ? 1 : 0;
}
)c";

inline constexpr std::string_view kImagePart = R"c(
/* Where the values of a position of the image begin. */
static ptrdiff_t position(const window_t *w, int32_t iy, int32_t ix) {
  return (((ptrdiff_t)iy * w->in_w) + ix) * w->channels;
}
)c";

inline constexpr std::string_view kConvPart = R"c(
typedef struct {
  window_t w;
  int32_t out_channels;
  int32_t groups;
  int32_t x_signed;
  int32_t x_zero;
  range_t range;
} conv_t;

/* sum of (x - zero) * w over n neighbours, exact in int32 */
static int32_t dot(const uint8_t *x, const int8_t *w, int32_t n, int32_t x_signed, int32_t zero) {
  int32_t i = 0;
  int32_t sum = 0;
#if !defined(GRAUPEL_PLAIN_C) && defined(__SSE2__)
  const __m128i none = _mm_setzero_si128();
  const __m128i zeros = _mm_set1_epi16((int16_t)zero);
  __m128i acc = none;
  int32_t parts[4];
  for (; (i + 8) <= n; i += 8) {
    const __m128i xb = _mm_loadl_epi64((const __m128i *)(const void *)&x[i]);
    const __m128i wb = _mm_loadl_epi64((const __m128i *)(const void *)&w[i]);
    const __m128i xs = _mm_unpacklo_epi8(xb, (x_signed != 0) ? _mm_cmpgt_epi8(none, xb) : none);
    const __m128i ws = _mm_unpacklo_epi8(wb, _mm_cmpgt_epi8(none, wb));
    acc = _mm_add_epi32(acc, _mm_madd_epi16(_mm_sub_epi16(xs, zeros), ws));
  }
  _mm_storeu_si128((__m128i *)(void *)parts, acc);
  sum = parts[0] + parts[1] + parts[2] + parts[3];
#elif !defined(GRAUPEL_PLAIN_C) && defined(__ARM_NEON)
  const int16x8_t zeros = vdupq_n_s16((int16_t)zero);
  int32x4_t acc = vdupq_n_s32(0);
  int32_t parts[4];
  for (; (i + 8) <= n; i += 8) {
    const uint8x8_t xb = vld1_u8(&x[i]);
    const int16x8_t xw = (x_signed != 0) ? vmovl_s8(vreinterpret_s8_u8(xb))
                                         : vreinterpretq_s16_u16(vmovl_u8(xb));
    const int16x8_t xs = vsubq_s16(xw, zeros);
    const int16x8_t ws = vmovl_s8(vld1_s8(&w[i]));
    acc = vmlal_s16(acc, vget_low_s16(xs), vget_low_s16(ws));
    acc = vmlal_s16(acc, vget_high_s16(xs), vget_high_s16(ws));
  }
  vst1q_s32(parts, acc);
  sum = parts[0] + parts[1] + parts[2] + parts[3];
#endif
  for (; i < n; ++i) {
    sum += (value_of(x[i], x_signed) - zero) * (int32_t)w[i];
  }
  return sum;
}

static uint8_t conv_at(const conv_t *s, const uint8_t *x, const int8_t *weights, int32_t bias,
                       float multiplier, int32_t m, int32_t oy, int32_t ox) {
  const int32_t depth = s->w.channels / s->groups;
  const int32_t first = (m / (s->out_channels / s->groups)) * depth;
  const int8_t *w = &weights[(ptrdiff_t)m * s->w.kernel_h * s->w.kernel_w * depth];
  int32_t sum = bias;
  int32_t ky;
  int32_t kx;
  for (ky = 0; ky < s->w.kernel_h; ++ky) {
    const int32_t iy = tap_y(&s->w, oy, ky);
    for (kx = 0; kx < s->w.kernel_w; ++kx) {
      const int32_t ix = tap_x(&s->w, ox, kx);
      if (is_inside(&s->w, iy, ix) != 0) {
        const ptrdiff_t tap = ((ptrdiff_t)ky * s->w.kernel_w) + kx;
        sum += dot(&x[position(&s->w, iy, ix) + first], &w[tap * depth], depth, s->x_signed,
                   s->x_zero);
      }
    }
  }
  return to_byte((float)sum * multiplier, s->range);
}
)c";

inline constexpr std::string_view kConvWholePart = R"c(
static void conv(const conv_t *s, const uint8_t *x, const int8_t *weights, const int32_t *bias,
                 const float *multiplier, uint8_t *y) {
  ptrdiff_t n = 0;
  int32_t oy;
  int32_t ox;
  int32_t m;
  for (oy = 0; oy < s->w.out_h; ++oy) {
    for (ox = 0; ox < s->w.out_w; ++ox) {
      for (m = 0; m < s->out_channels; ++m) {
        y[n] = conv_at(s, x, weights, bias[m], multiplier[m], m, oy, ox);
        ++n;
      }
    }
  }
}
)c";

inline constexpr std::string_view kConvPoolPart = R"c(
/* A convolution and the max pool p over it, without storing what lies between. */
static void conv_pool(const conv_t *s, const window_t *p, const uint8_t *x, const int8_t *weights,
                      const int32_t *bias, const float *multiplier, int32_t y_signed, uint8_t *y) {
  ptrdiff_t n = 0;
  int32_t oy;
  int32_t ox;
  int32_t m;
  int32_t ky;
  int32_t kx;
  for (oy = 0; oy < p->out_h; ++oy) {
    for (ox = 0; ox < p->out_w; ++ox) {
      for (m = 0; m < s->out_channels; ++m) {
        int32_t best = -1000;
        for (ky = 0; ky < p->kernel_h; ++ky) {
          const int32_t iy = tap_y(p, oy, ky);
          for (kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t ix = tap_x(p, ox, kx);
            if (is_inside(p, iy, ix) != 0) {
              const int32_t v = value_of(
                  conv_at(s, x, weights, bias[m], multiplier[m], m, iy, ix), y_signed);
              best = (v > best) ? v : best;
            }
          }
        }
        y[n] = (uint8_t)best;
        ++n;
      }
    }
  }
}
)c";

inline constexpr std::string_view kConvAveragePart = R"c(
/* A convolution and the average of its image, without storing what lies between. */
static void conv_average(const conv_t *s, const uint8_t *x, const int8_t *weights,
                         const int32_t *bias, const float *multiplier, float average, range_t last,
                         uint8_t *y) {
  int32_t is_signed = 0;
  int32_t oy;
  int32_t ox;
  int32_t m;
  if (s->range.low < 0) {
    is_signed = 1;
  }
  for (m = 0; m < s->out_channels; ++m) {
    int32_t sum = 0;
    for (oy = 0; oy < s->w.out_h; ++oy) {
      for (ox = 0; ox < s->w.out_w; ++ox) {
        sum += value_of(conv_at(s, x, weights, bias[m], multiplier[m], m, oy, ox), is_signed) -
               s->range.zero_point;
      }
    }
    y[m] = to_byte((float)sum * average, last);
  }
}
)c";

inline constexpr std::string_view kMaxPoolPart = R"c(
static void max_pool(const window_t *p, int32_t is_signed, const uint8_t *x, uint8_t *y) {
  ptrdiff_t n = 0;
  int32_t oy;
  int32_t ox;
  int32_t c;
  int32_t ky;
  int32_t kx;
  for (oy = 0; oy < p->out_h; ++oy) {
    for (ox = 0; ox < p->out_w; ++ox) {
      for (c = 0; c < p->channels; ++c) {
        int32_t best = -1000;
        for (ky = 0; ky < p->kernel_h; ++ky) {
          const int32_t iy = tap_y(p, oy, ky);
          for (kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t ix = tap_x(p, ox, kx);
            if (is_inside(p, iy, ix) != 0) {
              const int32_t v = value_of(x[position(p, iy, ix) + c], is_signed);
              best = (v > best) ? v : best;
            }
          }
        }
        y[n] = (uint8_t)best;
        ++n;
      }
    }
  }
}
)c";

inline constexpr std::string_view kAveragePoolPart = R"c(
static void average_pool(const window_t *p, int32_t is_signed, int32_t zero,
                         const float *multiplier, range_t range, const uint8_t *x, uint8_t *y) {
  ptrdiff_t n = 0;
  int32_t oy;
  int32_t ox;
  int32_t c;
  int32_t ky;
  int32_t kx;
  for (oy = 0; oy < p->out_h; ++oy) {
    for (ox = 0; ox < p->out_w; ++ox) {
      const float factor = multiplier[((ptrdiff_t)oy * p->out_w) + ox];
      for (c = 0; c < p->channels; ++c) {
        int32_t sum = 0;
        for (ky = 0; ky < p->kernel_h; ++ky) {
          const int32_t iy = tap_y(p, oy, ky);
          for (kx = 0; kx < p->kernel_w; ++kx) {
            const int32_t ix = tap_x(p, ox, kx);
            if (is_inside(p, iy, ix) != 0) {
              sum += value_of(x[position(p, iy, ix) + c], is_signed) - zero;
            }
          }
        }
        y[n] = to_byte((float)sum * factor, range);
        ++n;
      }
    }
  }
}
)c";

inline constexpr std::string_view kLookupPart = R"c(
static void lookup(const uint8_t *x, const uint8_t *table, int32_t tables, int32_t inner,
                   int32_t count, uint8_t *y) {
  int32_t i;
  for (i = 0; i < count; ++i) {
    const int32_t row = (i / inner) % tables;
    y[i] = table[(row * 256) + (int32_t)x[i]];
  }
}
)c";

inline constexpr std::string_view kBinaryPart = R"c(
/* Add (0), subtract (1) or multiply. */
static void binary(int32_t op, const uint8_t *a, int32_t a_signed, int32_t a_zero, float a_scale,
                   const uint8_t *b, int32_t b_signed, int32_t b_zero, float b_scale, float scale,
                   range_t range, int32_t count, uint8_t *y) {
  int32_t i;
  for (i = 0; i < count; ++i) {
    const int32_t a_whole = value_of(a[i], a_signed) - a_zero;
    const int32_t b_whole = value_of(b[i], b_signed) - b_zero;
    volatile float u = (float)a_whole * a_scale;
    volatile float v = (float)b_whole * b_scale;
    volatile float r;
    if (op == 0) {
      r = u + v;
    } else if (op == 1) {
      r = u - v;
    } else {
      r = u * v;
    }
    y[i] = to_byte(r / scale, range);
  }
}
)c";

inline constexpr std::string_view kMovePart = R"c(
static void move_bytes(const uint8_t *x, const int32_t *table, int32_t count, uint8_t fill,
                       uint8_t *y) {
  int32_t i;
  for (i = 0; i < count; ++i) {
    y[i] = (table[i] < 0) ? fill : x[table[i]];
  }
}
)c";

inline constexpr std::string_view kMoveRunsPart = R"c(
/* Runs of (to, from, length). */
static void move_runs(const uint8_t *x, const int32_t *table, int32_t count, uint8_t fill,
                      uint8_t *y) {
  int32_t i;
  int32_t j;
  for (i = 0; i < count; ++i) {
    const int32_t *moved = &table[3 * (ptrdiff_t)i];
    for (j = 0; j < moved[2]; ++j) {
      y[moved[0] + j] = (moved[1] < 0) ? fill : x[moved[1] + j];
    }
  }
}
)c";

inline constexpr std::string_view kRemoveMeanPart = R"c(
/* Takes the mean off the rows of the channels that are marked. */
static void remove_mean(const float *x, const uint8_t *centred, int32_t channels, int32_t rows,
                        int32_t samples, float *y) {
  ptrdiff_t n = 0;
  int32_t c;
  int32_t row;
  int32_t i;
  for (c = 0; c < channels; ++c) {
    for (row = 0; row < rows; ++row) {
      double mean = 0.0;
      if (centred[c] != 0u) {
        for (i = 0; i < samples; ++i) {
          mean += (double)x[n + i];
        }
        mean /= (double)samples;
      }
      for (i = 0; i < samples; ++i) {
        const double rest = (double)x[n + i] - mean;
        y[n + i] = (centred[c] != 0u) ? (float)rest : x[n + i];
      }
      n += samples;
    }
  }
}
)c";

inline constexpr std::string_view kNormalizePart = R"c(
static void normalize(const float *x, const double *mean, const double *deviation,
                      int32_t channels, int32_t inner, float *y) {
  int32_t c;
  int32_t i;
  for (c = 0; c < channels; ++c) {
    for (i = 0; i < inner; ++i) {
      const ptrdiff_t n = ((ptrdiff_t)c * inner) + i;
      const double score = ((double)x[n] - mean[c]) / deviation[c];
      y[n] = (float)score;
    }
  }
}
)c";

inline constexpr std::string_view kClipPart = R"c(
static void clip(const float *x, float low, float high, int32_t count, float *y) {
  int32_t i;
  for (i = 0; i < count; ++i) {
    const float v = x[i];
    const float above = (v < low) ? low : v;
    y[i] = (above > high) ? high : above;
  }
}
)c";

inline constexpr std::string_view kQuantizePart = R"c(
/* y = byte of v / scale, v = x or its z-score in double; y channels-last if `last`. */
static void quantize(const float *x, const double *mean, const double *deviation, int32_t channels,
                     int32_t inner, int32_t last, float scale, range_t range, uint8_t *y) {
  int32_t c;
  int32_t i;
  for (c = 0; c < channels; ++c) {
    for (i = 0; i < inner; ++i) {
      const ptrdiff_t from = ((ptrdiff_t)c * inner) + i;
      const ptrdiff_t to = (last != 0) ? (((ptrdiff_t)i * channels) + c) : from;
      float v = x[from];
      if ((mean != NULL) && (deviation != NULL)) {
        const double score = ((double)v - mean[c]) / deviation[c];
        v = (float)score;
      }
      y[to] = to_byte(v / scale, range);
    }
  }
}
)c";

inline constexpr std::string_view kDequantizePart = R"c(
static void dequantize(const uint8_t *x, int32_t is_signed, int32_t zero, float scale,
                       int32_t channels, int32_t inner, int32_t last, float *y) {
  int32_t c;
  int32_t i;
  for (c = 0; c < channels; ++c) {
    for (i = 0; i < inner; ++i) {
      const ptrdiff_t to = ((ptrdiff_t)c * inner) + i;
      const ptrdiff_t from = (last != 0) ? (((ptrdiff_t)i * channels) + c) : to;
      const int32_t whole = value_of(x[from], is_signed) - zero;
      y[to] = (float)whole * scale;
    }
  }
}
)c";

}  // namespace graupel::compile
