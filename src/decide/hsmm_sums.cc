// Ring of open segments and its sums. See hsmm_sums.h. Test: hsmm_offline_test.cc.
#include "decide/hsmm_sums.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace graupel::decide {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();
constexpr size_t kBlock = 16;
// A block is rescaled when a weight would exceed e^this; what falls below e^-745 of its block,
// entered within 16 windows of it, is lost.
constexpr double kBlockRange = 300.0;

struct Dots {
  double exit = 0.0, alive = 0.0;
};

// Two at a time: SSE2 and NEON have that everywhere.
using Pair = double __attribute__((vector_size(16)));
Pair load(const double* p) {
  Pair pair;
  std::memcpy(&pair, p, sizeof pair);
  return pair;
}

Dots dots(const double* w, const double* exit, const double* alive, size_t count) {
  Pair e0{}, e1{}, a0{}, a1{};
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const Pair w0 = load(w + i), w1 = load(w + i + 2);
    e0 += w0 * load(exit + i);
    e1 += w1 * load(exit + i + 2);
    a0 += w0 * load(alive + i);
    a1 += w1 * load(alive + i + 2);
  }
  e0 += e1;
  a0 += a1;
  Dots sums{e0[0] + e0[1], a0[0] + a0[1]};
  for (; i < count; ++i) {
    sums.exit += w[i] * exit[i];
    sums.alive += w[i] * alive[i];
  }
  return sums;
}

// The scale of the block that holds the slot entered n windows ago (n = 1: the newest).
size_t block_of(const DurationSums& sums, size_t n) {
  const uint64_t newest = sums.entered - 1;
  const uint64_t back = newest / kBlock - (newest - (n - 1)) / kBlock;
  return (sums.newest_block + sums.blocks - static_cast<size_t>(back)) % sums.blocks;
}

double log_weight_at(const DurationSums& sums, size_t state, size_t n) {
  const double w = sums.weight[state * sums.capacity + sums.head + n - 1];
  return w > 0.0 ? std::log(w) + sums.scale[state * sums.blocks + block_of(sums, n)] : kNever;
}

// Segments that now reach D windows join the tail; those in it stay on.
void age_tail(DurationSums& sums) {
  for (size_t s = 0; s < sums.tables->states; ++s) {
    const DurationTable& law = sums.tables->durations[s];
    sums.tail[s] += law.log_stay;
    if (sums.entered < sums.slots) continue;
    const double oldest = log_weight_at(sums, s, sums.slots);
    if (oldest > kNever) sums.tail[s] = log_add(sums.tail[s], oldest + law.log_survivor.back());
  }
}

void make_room(DurationSums& sums) {
  if (sums.head > 0) return;
  const size_t keep = sums.slots - 1;
  sums.head = sums.capacity - keep;
  for (size_t s = 0; s < sums.tables->states; ++s) {
    double* row = sums.weight.data() + s * sums.capacity;
    std::copy_n(row, keep, row + sums.head);
  }
}

double cut_exit(const DurationSums& sums, size_t s) {
  const DurationTable& law = sums.tables->durations[s];
  const auto n = static_cast<size_t>(sums.entered);
  const double mean = sums.cut == CutSegment::kFirst ? law.log_mean : 0.0;
  return sums.cut_log[s] + log_survivor_at(law, n) - mean;
}

void sum_state(DurationSums& sums, size_t s) {
  const DurationTable& law = sums.tables->durations[s];
  const double* row = sums.weight.data() + s * sums.capacity + sums.head;
  const double* scale = sums.scale.data() + s * sums.blocks;
  const auto count = static_cast<size_t>(std::min<uint64_t>(sums.entered, sums.slots));
  // Terms relative to the largest scale seen so far.
  double exit = 0.0, alive = 0.0, largest = kNever;
  size_t block = sums.newest_block;
  size_t length = static_cast<size_t>((sums.entered - 1) % kBlock) + 1;
  for (size_t i = 0; i < count;) {
    length = std::min(length, count - i);
    if (scale[block] > kNever) {
      const Dots part = dots(row + i, law.probability.data() + i, law.survivor.data() + i, length);
      if (scale[block] > largest) {
        const double factor = std::exp(largest - scale[block]);
        exit *= factor;
        alive *= factor;
        largest = scale[block];
        exit += part.exit;
        alive += part.alive;
      } else {
        const double factor = std::exp(scale[block] - largest);
        exit += factor * part.exit;
        alive += factor * part.alive;
      }
    }
    i += length;
    length = kBlock;
    block = block == 0 ? sums.blocks - 1 : block - 1;
  }
  double log_exit = exit > 0.0 ? std::log(exit) + largest : kNever;
  double log_alive = alive > 0.0 ? std::log(alive) + largest : kNever;
  if (sums.tail[s] > kNever) {
    log_exit = log_add(log_exit, sums.tail[s] + law.log_stop);
    log_alive = log_add(log_alive, sums.tail[s]);
  }
  if (sums.cut != CutSegment::kNone) {
    log_exit = log_add(log_exit, cut_exit(sums, s));
    log_alive = log_add(log_alive, log_cut_alive(sums, s));
  }
  sums.log_exit[s] = log_exit;
  sums.log_alive[s] = log_alive;
}

}  // namespace

double log_add(double a, double b) {
  const double high = std::max(a, b);
  if (high == kNever) return kNever;
  return high + std::log1p(std::exp(std::min(a, b) - high));
}

double log_sum(std::span<const double> values) {
  double high = kNever;
  for (const double value : values) high = std::max(high, value);
  if (high == kNever) return kNever;
  double sum = 0.0;
  for (const double value : values) sum += std::exp(value - high);
  return high + std::log(sum);
}

DurationSums make_sums(const HsmmTables& tables, CutSegment cut, std::span<const double> cut_log) {
  DurationSums sums;
  sums.tables = &tables;
  sums.cut = cut;
  sums.slots = tables.maximum_duration - 1;
  sums.blocks = sums.slots / kBlock + 2;
  sums.capacity = 2 * sums.slots + kBlock;
  sums.head = sums.capacity;
  sums.weight.assign(tables.states * sums.capacity, 0.0);
  sums.scale.assign(tables.states * sums.blocks, kNever);
  sums.tail.assign(tables.states, kNever);
  sums.cut_log.assign(cut_log.begin(), cut_log.end());
  sums.cut_log.resize(tables.states, kNever);
  sums.log_exit.assign(tables.states, kNever);
  sums.log_alive.assign(tables.states, kNever);
  return sums;
}

void enter(DurationSums& sums, std::span<const double> log_weight) {
  age_tail(sums);
  make_room(sums);
  --sums.head;
  const bool opens_block = sums.entered % kBlock == 0;
  if (opens_block) sums.newest_block = (sums.newest_block + 1) % sums.blocks;
  const size_t in_block = static_cast<size_t>(sums.entered % kBlock);
  ++sums.entered;
  for (size_t s = 0; s < sums.tables->states; ++s) {
    double* row = sums.weight.data() + s * sums.capacity + sums.head;
    double& scale = sums.scale[s * sums.blocks + sums.newest_block];
    if (opens_block) scale = kNever;
    row[0] = 0.0;
    if (log_weight[s] == kNever) continue;
    if (scale == kNever) scale = log_weight[s];
    if (log_weight[s] - scale > kBlockRange) {
      const double factor = std::exp(scale - log_weight[s]);
      const size_t older = std::min(in_block, sums.slots - 1);
      for (size_t i = 1; i <= older; ++i) row[i] *= factor;
      scale = log_weight[s];
    }
    row[0] = std::exp(log_weight[s] - scale);
  }
}

void emit(DurationSums& sums, std::span<const double> log_emission) {
  for (size_t s = 0; s < sums.tables->states; ++s) {
    double* scale = sums.scale.data() + s * sums.blocks;
    for (size_t b = 0; b < sums.blocks; ++b) scale[b] += log_emission[s];
    sums.tail[s] += log_emission[s];
    sums.cut_log[s] += log_emission[s];
  }
}

void rescale(DurationSums& sums, double shift) {
  for (double& value : sums.scale) value += shift;
  for (double& value : sums.tail) value += shift;
  for (double& value : sums.cut_log) value += shift;
  for (double& value : sums.log_exit) value += shift;
  for (double& value : sums.log_alive) value += shift;
}

void sum(DurationSums& sums) {
  for (size_t s = 0; s < sums.tables->states; ++s) sum_state(sums, s);
}

double log_alive_at(const DurationSums& sums, size_t state, size_t n) {
  if (n > sums.slots) return sums.tail[state];
  if (n > sums.entered) return kNever;
  return log_weight_at(sums, state, n) + sums.tables->durations[state].log_survivor[n - 1];
}

// One logarithm per block, not per window.
Longest most_alive(const DurationSums& sums, size_t s) {
  const DurationTable& law = sums.tables->durations[s];
  const double* row = sums.weight.data() + s * sums.capacity + sums.head;
  const double* scale = sums.scale.data() + s * sums.blocks;
  const auto count = static_cast<size_t>(std::min<uint64_t>(sums.entered, sums.slots));
  Longest best;
  size_t block = sums.newest_block;
  size_t length = static_cast<size_t>((sums.entered - 1) % kBlock) + 1;
  for (size_t i = 0; i < count;) {
    length = std::min(length, count - i);
    double highest = 0.0;
    size_t at = i;
    for (size_t k = i; k < i + length; ++k) {
      const double weight = row[k] * law.survivor[k];
      if (weight > highest) highest = weight, at = k;
    }
    if (highest > 0.0 && std::log(highest) + scale[block] > best.log_weight) {
      best = {at + 1, std::log(highest) + scale[block]};
    }
    i += length;
    length = kBlock;
    block = block == 0 ? sums.blocks - 1 : block - 1;
  }
  if (sums.tail[s] > best.log_weight) best = {sums.slots + 1, sums.tail[s]};
  return best;
}

double log_cut_alive(const DurationSums& sums, size_t s) {
  if (sums.cut == CutSegment::kNone) return kNever;
  const DurationTable& law = sums.tables->durations[s];
  const auto n = static_cast<size_t>(sums.entered);
  return sums.cut_log[s] +
         (sums.cut == CutSegment::kFirst ? log_remaining_at(law, n) : log_survivor_at(law, n));
}

}  // namespace graupel::decide
