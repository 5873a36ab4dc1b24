// Forwards and backwards: state probabilities and expected counts. See hsmm_offline.h.
//
// Idea: the forward pass divides each window by P(window | windows before), the backward pass by
// the same, so that f(t) e(t) and g(t) n(t) are probabilities as they stand, whatever T. With
// e_s(t) = P(windows from t on | a segment of s begins at t) and n_s(t) = the same given that one
// of s ended before t, the probability of being in s changes at t by what begins minus what ends.
// Reference: Yu 2010; Yu, Kobayashi 2006 (the division). Test: hsmm_offline_test.cc.
#include <algorithm>
#include <cmath>
#include <limits>

#include "decide/hsmm_offline.h"
#include "decide/hsmm_sums.h"

namespace graupel::decide {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();
// Segments less probable than this add nothing to the expected counts.
const double kLeastCounted = std::log(1e-16);

struct Passes {
  size_t windows = 0, states = 0;
  std::vector<double> scale;        // log P(window t | before), [T]
  std::vector<double> begin, end;   // log f, log g: [T + 1][state], divided by the scales before
  std::vector<double> after, next;  // log e, log n: [T + 1][state], divided by those from t on
  std::vector<double> filtered;     // of the last window, linear
  double final_scale = 0.0;         // log P(a segment ends with the recording | it)
};

const double* transitions_at(const HsmmTables& tables, const Observations& observations, size_t t) {
  const auto context =
      observations.contexts.empty() ? 0 : static_cast<size_t>(observations.contexts[t]);
  return tables.transitions_in(context);
}

// log sum_r e^from[r] A[r][s]: with the largest taken out, one product of a vector and a matrix.
void mix_forward(const double* matrix, std::span<const double> from, std::span<double> to) {
  const size_t states = to.size();
  const double high = *std::max_element(from.begin(), from.end());
  std::fill(to.begin(), to.end(), high == kNever ? kNever : 0.0);
  if (high == kNever) return;
  for (size_t r = 0; r < states; ++r) {
    const double weight = std::exp(from[r] - high);
    for (size_t s = 0; s < states; ++s) to[s] += weight * matrix[r * states + s];
  }
  for (double& x : to) x = x > 0.0 ? std::log(x) + high : kNever;
}

void mix_backward(const double* matrix, std::span<const double> from, std::span<double> to) {
  const size_t states = to.size();
  const double high = *std::max_element(from.begin(), from.end());
  std::fill(to.begin(), to.end(), kNever);
  if (high == kNever) return;
  for (size_t r = 0; r < states; ++r) {
    double sum = 0.0;
    for (size_t s = 0; s < states; ++s) sum += matrix[r * states + s] * std::exp(from[s] - high);
    if (sum > 0.0) to[r] = std::log(sum) + high;
  }
}

void forwards(const HsmmTables& tables, const Observations& observations, Passes& passes) {
  const size_t states = passes.states;
  const bool inside = tables.begin == Begin::kInside;
  DurationSums sums =
      make_sums(tables, inside ? CutSegment::kFirst : CutSegment::kNone,
                inside ? std::span<const double>(tables.log_initial) : std::span<const double>());
  for (size_t t = 0; t < passes.windows; ++t) {
    const auto begin = std::span<double>(passes.begin).subspan(t * states, states);
    const auto end = std::span<double>(passes.end).subspan((t + 1) * states, states);
    if (t > 0) {
      mix_forward(transitions_at(tables, observations, t),
                  std::span<double>(passes.end).subspan(t * states, states), begin);
    } else if (!inside) {
      std::copy(tables.log_initial.begin(), tables.log_initial.end(), begin.begin());
    }
    enter(sums, begin);
    emit(sums, observations.log_emission.subspan(t * states, states));
    sum(sums);
    passes.scale[t] = log_sum(sums.log_alive);
    rescale(sums, -passes.scale[t]);
    std::copy(sums.log_exit.begin(), sums.log_exit.end(), end.begin());
  }
  const bool open = observations.end == End::kOpen;
  const std::vector<double>& last = open ? sums.log_alive : sums.log_exit;
  passes.final_scale = open ? 0.0 : log_sum(last);
  for (size_t s = 0; s < states; ++s) {
    passes.filtered[s] = std::exp(last[s] - passes.final_scale);
  }
}

void backwards(const HsmmTables& tables, const Observations& observations, Passes& passes) {
  const size_t states = passes.states;
  const bool open = observations.end == End::kOpen;
  const std::vector<double> whole(states, 0.0), none(states, kNever);
  DurationSums sums = make_sums(tables, open ? CutSegment::kLast : CutSegment::kNone,
                                open ? std::span<const double>(whole) : std::span<const double>());
  std::vector<double> emission(states);
  for (size_t t = passes.windows; t-- > 0;) {
    const auto next = std::span<double>(passes.next).subspan((t + 1) * states, states);
    const auto after = std::span<double>(passes.after).subspan(t * states, states);
    if (t + 1 < passes.windows) {
      mix_backward(transitions_at(tables, observations, t + 1),
                   std::span<double>(passes.after).subspan((t + 1) * states, states), next);
    } else if (!open) {
      std::fill(next.begin(), next.end(), -passes.final_scale);
    }
    enter(sums, next);
    for (size_t s = 0; s < states; ++s) {
      emission[s] = observations.log_emission[t * states + s] - passes.scale[t];
    }
    emit(sums, emission);
    sum(sums);
    std::copy(sums.log_exit.begin(), sums.log_exit.end(), after.begin());
  }
}

std::vector<double> state_probabilities(const Passes& passes) {
  const size_t states = passes.states;
  std::vector<double> out(passes.windows * states);
  std::vector<double> now = passes.filtered;
  for (size_t t = passes.windows; t-- > 0;) {
    double total = 0.0;
    for (double& p : now) total += p = std::max(0.0, p);
    for (size_t s = 0; s < states; ++s) out[t * states + s] = now[s] / total;
    if (t == 0) break;
    for (size_t s = 0; s < states; ++s) {
      const size_t at = t * states + s;
      now[s] += std::exp(passes.end[at] + passes.next[at]) -
                std::exp(passes.begin[at] + passes.after[at]);
    }
  }
  return out;
}

void make_counts(const HsmmTables& tables, ExpectedCounts& counts) {
  const size_t states = tables.states;
  const std::vector<double> lengths(tables.maximum_duration, 0.0);
  counts.first.assign(states, 0.0);
  counts.windows.assign(states, 0.0);
  counts.transitions.assign(tables.transition.size(), 0.0);
  counts.complete.assign(states, lengths);
  counts.cut_at_start = counts.cut_at_end = counts.cut_at_both = counts.complete;
}

// Segments of state s that begin at t, or did before the recording (then `inside`), by length.
void count_lengths(const HsmmTables& tables, const Observations& observations, const Passes& passes,
                   size_t s, size_t t, bool inside, ExpectedCounts& counts) {
  const size_t states = passes.states;
  const DurationTable& law = tables.durations[s];
  const double enters = inside ? tables.log_initial[s] : passes.begin[t * states + s];
  auto& complete = inside ? counts.cut_at_start[s] : counts.complete[s];
  auto& cut = inside ? counts.cut_at_both[s] : counts.cut_at_end[s];
  double weight = enters;
  for (size_t d = 1; t + d <= passes.windows; ++d) {
    const size_t window = t + d - 1;
    weight += observations.log_emission[window * states + s] - passes.scale[window];
    const size_t bin = std::min(d, tables.maximum_duration) - 1;
    const double ends =
        inside ? log_survivor_at(law, d) - law.log_mean : log_probability_at(law, d);
    complete[bin] += std::exp(weight + ends + passes.next[(t + d) * states + s]);
    if (t + d == passes.windows && observations.end == End::kOpen) {
      cut[bin] += std::exp(weight + (inside ? log_remaining_at(law, d) : log_survivor_at(law, d)));
    }
    // What can still come is at most what is alive now: nothing is left to count.
    const double ahead =
        *std::max_element(passes.after.begin() + static_cast<ptrdiff_t>((t + d) * states),
                          passes.after.begin() + static_cast<ptrdiff_t>((t + d + 1) * states));
    if (d > tables.maximum_duration && t + d < passes.windows &&
        weight + log_survivor_at(law, d) + std::max(ahead, 0.0) < kLeastCounted) {
      break;
    }
  }
}

void count(const HsmmTables& tables, const Observations& observations, const Passes& passes,
           const std::vector<double>& probability, ExpectedCounts& counts) {
  const size_t states = passes.states;
  const bool inside = tables.begin == Begin::kInside;
  for (size_t s = 0; s < states; ++s) {
    counts.first[s] += probability[s];
    if (inside) count_lengths(tables, observations, passes, s, 0, true, counts);
  }
  for (size_t t = 0; t < passes.windows; ++t) {
    const double* matrix = transitions_at(tables, observations, t);
    const size_t context =
        static_cast<size_t>(matrix - tables.transition.data()) / (states * states);
    double* moved = counts.transitions.data() + context * states * states;
    for (size_t s = 0; s < states; ++s) {
      counts.windows[s] += probability[t * states + s];
      const double after = passes.after[t * states + s];
      if (passes.begin[t * states + s] + after < kLeastCounted) continue;
      for (size_t r = 0; t > 0 && r < states; ++r) {
        moved[r * states + s] +=
            std::exp(passes.end[t * states + r] + after) * matrix[r * states + s];
      }
      count_lengths(tables, observations, passes, s, t, false, counts);
    }
  }
}

}  // namespace

Result<Posterior> posterior(const HsmmTables& tables, const Observations& observations,
                            ExpectedCounts* counts) {
  TRY(check_observations(tables, observations));
  Passes passes;
  passes.states = tables.states;
  passes.windows = observations.log_emission.size() / tables.states;
  const size_t cells = (passes.windows + 1) * passes.states;
  passes.scale.assign(passes.windows, 0.0);
  for (auto* cell : {&passes.begin, &passes.end, &passes.after, &passes.next}) {
    cell->assign(cells, kNever);
  }
  passes.filtered.assign(passes.states, 0.0);
  forwards(tables, observations, passes);
  backwards(tables, observations, passes);
  Posterior result;
  for (const double scale : passes.scale) result.log_likelihood += scale;
  result.log_likelihood += passes.final_scale;
  result.probability = state_probabilities(passes);
  if (counts != nullptr) {
    if (counts->empty()) make_counts(tables, *counts);
    count(tables, observations, passes, result.probability, *counts);
  }
  return result;
}

}  // namespace graupel::decide
