// The largest a[i] + b[i] and where: the inner loop of Viterbi. Private to src/decide.
//
// Idea: chunks of 32 with eight running maxima, two at a time; the place is looked for in the
// best chunk only. Test: hsmm_offline_test.cc.
#pragma once

#include <cstddef>
#include <cstring>
#include <limits>

namespace graupel::decide {

struct MaxPlus {
  double value = -std::numeric_limits<double>::infinity();
  size_t index = 0;  // the first, if several are equal
};

inline MaxPlus max_plus(const double* a, const double* b, size_t count) {
  using Pair = double __attribute__((vector_size(16)));
  constexpr size_t kChunk = 32;
  const auto sum = [&](size_t i) {
    Pair x, y;
    std::memcpy(&x, a + i, sizeof x);
    std::memcpy(&y, b + i, sizeof y);
    return x + y;
  };
  MaxPlus best;
  size_t chunk = 0, i = 0;
  for (; i + kChunk <= count; i += kChunk) {
    Pair m0 = sum(i), m1 = sum(i + 2), m2 = sum(i + 4), m3 = sum(i + 6);
    for (size_t k = i + 8; k < i + kChunk; k += 8) {
      const Pair x0 = sum(k), x1 = sum(k + 2), x2 = sum(k + 4), x3 = sum(k + 6);
      m0 = x0 > m0 ? x0 : m0;
      m1 = x1 > m1 ? x1 : m1;
      m2 = x2 > m2 ? x2 : m2;
      m3 = x3 > m3 ? x3 : m3;
    }
    m0 = m1 > m0 ? m1 : m0;
    m2 = m3 > m2 ? m3 : m2;
    m0 = m2 > m0 ? m2 : m0;
    const double highest = m0[1] > m0[0] ? m0[1] : m0[0];
    if (highest > best.value) best.value = highest, chunk = i;
  }
  const size_t rest = i;
  for (; i < count; ++i) {
    const double x = a[i] + b[i];
    if (x > best.value) best.value = x, best.index = i, chunk = rest;
  }
  if (chunk == rest) return best;
  best.index = chunk;
  while (a[best.index] + b[best.index] != best.value && best.index < chunk + kChunk - 1) {
    ++best.index;
  }
  return best;
}

}  // namespace graupel::decide
