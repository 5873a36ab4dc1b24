// The sums over durations that every recursion of the HSMM needs, one window at a time.
//
// Idea: a segment that was entered n windows ago weighs (what it entered with) x (its emissions
// since) x (law of its length at n). Emissions multiply all open segments of a state alike, so
// weights never move: they lie in a ring, in blocks of 16 that share one logarithmic scale; an
// emission is added to the scales only. A step costs two dot products of D numbers per state, no
// exponential per number, and a block's scale cannot under- or overflow. Beyond D one number per
// state holds all longer segments. Running backwards the same sums give the backward recursion.
// Reference: Yu 2010 (forward recursion); Mitchell, Harper, Jamieson 1995 (its cost).
// Test: hsmm_offline_test.cc.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "decide/hsmm_tables.h"

namespace graupel::decide {

// The segment that a recording's end cuts, whose law differs: none; forwards, the first segment of
// a recording that begins inside it; backwards, the last of one that stops inside it.
enum class CutSegment : uint8_t { kNone, kFirst, kLast };

struct DurationSums {
  const HsmmTables* tables = nullptr;
  CutSegment cut = CutSegment::kNone;
  size_t slots = 0;   // D - 1
  size_t blocks = 0;  // scales per state
  size_t capacity = 0, head = 0;
  size_t newest_block = 0;
  uint64_t entered = 0;
  std::vector<double> weight;   // [state][capacity], newest first from head on
  std::vector<double> scale;    // [state][blocks], log
  std::vector<double> tail;     // log weight of segments of D windows or more
  std::vector<double> cut_log;  // log weight of the cut segment without its law
  // After sum(): log of the sums with P(length = n) and P(length >= n).
  std::vector<double> log_exit, log_alive;
};

DurationSums make_sums(const HsmmTables& tables, CutSegment cut, std::span<const double> cut_log);

// A segment of each state begins at this window, with these log weights (-inf: none).
void enter(DurationSums& sums, std::span<const double> log_weight);
// All open segments take this window's log emissions.
void emit(DurationSums& sums, std::span<const double> log_emission);
// Adds `shift` to every log weight.
void rescale(DurationSums& sums, double shift);
// Fills log_exit and log_alive. At least one window has been entered and emitted.
void sum(DurationSums& sums);

// log weight x P(length >= n) of the segment of `state` that was entered n windows ago, n = 1 .. D;
// n = D stands for all longer ones. The cut segment is not in it (see log_cut_alive).
double log_alive_at(const DurationSums& sums, size_t state, size_t n);
double log_cut_alive(const DurationSums& sums, size_t state);

// The n = 1 .. D whose log_alive_at is largest, the first of equals.
struct Longest {
  size_t windows = 1;
  double log_weight = -std::numeric_limits<double>::infinity();
};
Longest most_alive(const DurationSums& sums, size_t state);

double log_add(double a, double b);  // log(e^a + e^b)
double log_sum(std::span<const double> values);

}  // namespace graupel::decide
