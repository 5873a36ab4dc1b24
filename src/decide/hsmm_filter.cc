// Filter and fixed-lag smoother. See hsmm_filter.h. Test: hsmm_filter_test.cc.
#include "decide/hsmm_filter.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace graupel::decide {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

std::span<double> row_of(const HsmmFilter& filter, std::vector<double>& rows, uint64_t t) {
  const size_t states = filter.tables->states;
  return std::span<double>(rows).subspan(static_cast<size_t>(t % (filter.lag + 1)) * states,
                                         states);
}

// log sum_r e^from[r] A[r][s]
void move_on(const double* matrix, std::span<const double> from, std::span<double> to) {
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

// e_s(t): a segment of s begins at t and all windows up to the last, `windows` - 1, follow.
double after_begin(HsmmFilter& filter, size_t s, uint64_t t) {
  const DurationTable& law = filter.tables->durations[s];
  const auto left = static_cast<size_t>(filter.windows - t);
  double emitted = 0.0, high = kNever;
  for (size_t d = 1; d <= left; ++d) {
    const uint64_t window = t + d - 1;
    emitted += row_of(filter, filter.emission, window)[s] -
               filter.scale[static_cast<size_t>(window % (filter.lag + 1))];
    const double ends = d < left
                            ? log_probability_at(law, d) + row_of(filter, filter.next, t + d)[s]
                            : log_survivor_at(law, d);
    filter.work[d - 1] = emitted + ends;
    high = std::max(high, filter.work[d - 1]);
  }
  if (high == kNever) return kNever;
  double sum = 0.0;
  for (size_t d = 0; d < left; ++d) sum += std::exp(filter.work[d] - high);
  return high + std::log(sum);
}

// sum over i of law[i] x[i], each x multiplied by `factor` before.
double scale_and_weigh(double* x, const double* law, double factor, size_t count) {
  double even = 0.0, odd = 0.0;
  size_t i = 0;
  for (; i + 2 <= count; i += 2) {
    even += law[i] * (x[i] *= factor);
    odd += law[i + 1] * (x[i + 1] *= factor);
  }
  if (i < count) even += law[i] * (x[i] *= factor);
  return even + odd;
}

// The recursion of look_back_in_logarithms on plain numbers. ahead[u] of a state is the weight of a
// segment of it that ends before window u, given that it holds all windows from t to u: it takes
// one emission per step, and a segment that begins at t is a dot product with the law of lengths.
void look_back(HsmmFilter& filter) {
  const size_t states = filter.tables->states, lag = filter.lag;
  std::copy(filter.probability.begin(), filter.probability.end(), filter.lagged.begin());
  std::fill(filter.open.begin(), filter.open.end(), 1.0);
  const std::span<double> after = filter.after;
  for (size_t i = 0; i < lag; ++i) {
    const uint64_t t = filter.windows - 1 - i;
    const std::span<const double> emits = row_of(filter, filter.emits, t);
    for (size_t s = 0; s < states; ++s) {
      filter.open[s] *= emits[s];
      after[s] = filter.open[s] * filter.length_reaches[s * lag + i] +
                 scale_and_weigh(filter.ahead.data() + s * lag + lag - i,
                                 filter.length_is.data() + s * lag, emits[s], i);
    }
    const double* matrix = filter.tables->transitions_in(filter.context[t % (lag + 1)]);
    const std::span<const double> begins = row_of(filter, filter.begins, t);
    const std::span<const double> ends = row_of(filter, filter.ends, t);
    for (size_t r = 0; r < states; ++r) {
      double next = 0.0;
      for (size_t s = 0; s < states; ++s) next += matrix[r * states + s] * after[s];
      filter.ahead[r * lag + lag - 1 - i] = next;
      filter.lagged[r] += ends[r] * next - begins[r] * after[r];
    }
  }
}

void look_back_in_logarithms(HsmmFilter& filter) {
  const size_t states = filter.tables->states;
  std::copy(filter.probability.begin(), filter.probability.end(), filter.lagged.begin());
  for (size_t i = 0; i < filter.lag; ++i) {
    const uint64_t t = filter.windows - 1 - i;
    const std::span<double> after = filter.after;
    for (size_t s = 0; s < states; ++s) after[s] = after_begin(filter, s, t);
    const double high = *std::max_element(after.begin(), after.end());
    const double* matrix = filter.tables->transitions_in(filter.context[t % (filter.lag + 1)]);
    const std::span<double> begin = row_of(filter, filter.begin, t);
    const std::span<double> end = row_of(filter, filter.end, t);
    const std::span<double> next = row_of(filter, filter.next, t);
    const std::span<double> linear = std::span<double>(filter.work).first(states);
    for (size_t s = 0; s < states; ++s) linear[s] = std::exp(after[s] - high);
    for (size_t r = 0; r < states; ++r) {
      double sum = 0.0;
      for (size_t s = 0; s < states; ++s) sum += matrix[r * states + s] * linear[s];
      next[r] = sum > 0.0 ? std::log(sum) + high : kNever;
      filter.lagged[r] += std::exp(end[r] + next[r]) - std::exp(begin[r] + after[r]);
    }
  }
}

void smooth(HsmmFilter& filter) {
  double surprise = 0.0;
  for (const double nats : filter.surprise) surprise += nats;
  if (surprise <= kMostSurprise) {
    look_back(filter);
  } else {
    look_back_in_logarithms(filter);
  }
  double total = 0.0;
  for (double& p : filter.lagged) total += p = std::max(0.0, p);
  for (double& p : filter.lagged) p /= total;
}

// What the next look back needs of this window, as plain numbers.
void remember(HsmmFilter& filter, uint64_t t) {
  const auto slot = static_cast<size_t>(t % (filter.lag + 1));
  const std::span<const double> begin = row_of(filter, filter.begin, t);
  const std::span<const double> end = row_of(filter, filter.end, t);
  const std::span<const double> emission = row_of(filter, filter.emission, t);
  const std::span<double> begins = row_of(filter, filter.begins, t);
  const std::span<double> ends = row_of(filter, filter.ends, t);
  const std::span<double> emits = row_of(filter, filter.emits, t);
  for (size_t s = 0; s < begin.size(); ++s) {
    begins[s] = std::exp(begin[s]);
    ends[s] = std::exp(end[s]);
    emits[s] = std::exp(emission[s] - filter.scale[slot]);
  }
  const double largest = *std::max_element(emission.begin(), emission.end());
  filter.surprise[slot] = std::max(0.0, largest - filter.scale[slot]);
}

}  // namespace

Result<HsmmFilter> make_filter(std::shared_ptr<const HsmmTables> tables, size_t lag) {
  if (lag > kMaxLag) {
    return invalid_input("lag", "is " + std::to_string(lag) + " windows, at most " +
                                    std::to_string(kMaxLag) + " are taken; decode offline instead");
  }
  HsmmFilter filter;
  filter.tables = std::move(tables);
  filter.lag = lag;
  const size_t states = filter.tables->states, rows = (lag + 1) * states;
  filter.probability.assign(states, 0.0);
  filter.lagged.assign(states, 0.0);
  for (auto* values : {&filter.begin, &filter.end, &filter.emission, &filter.next}) {
    values->assign(rows, kNever);
  }
  for (auto* values : {&filter.begins, &filter.ends, &filter.emits}) values->assign(rows, 0.0);
  filter.surprise.assign(lag + 1, 0.0);
  for (size_t s = 0; s < states; ++s) {
    for (size_t d = 1; d <= lag; ++d) {
      const DurationTable& law = filter.tables->durations[s];
      filter.length_is.push_back(std::exp(log_probability_at(law, d)));
      filter.length_reaches.push_back(std::exp(log_survivor_at(law, d)));
    }
  }
  filter.ahead.assign(lag * states, 0.0);
  filter.open.assign(states, 1.0);
  filter.scale.assign(lag + 1, 0.0);
  filter.context.assign(lag + 1, 0);
  filter.after.assign(states, kNever);
  filter.work.assign(std::max(states, lag + 1), 0.0);
  restart(filter);
  return filter;
}

void restart(HsmmFilter& filter) {
  const bool inside = filter.tables->begin == Begin::kInside;
  filter.windows = 0;
  filter.log_likelihood = 0.0;
  filter.sums = make_sums(
      *filter.tables, inside ? CutSegment::kFirst : CutSegment::kNone,
      inside ? std::span<const double>(filter.tables->log_initial) : std::span<const double>());
}

void step(HsmmFilter& filter, std::span<const double> log_emission, uint32_t context) {
  const uint64_t t = filter.windows++;
  const auto slot = static_cast<size_t>(t % (filter.lag + 1));
  const std::span<double> begin = row_of(filter, filter.begin, t);
  const std::span<double> end = row_of(filter, filter.end, t);
  std::copy(filter.sums.log_exit.begin(), filter.sums.log_exit.end(), end.begin());
  if (t > 0) {
    move_on(filter.tables->transitions_in(context), end, begin);
  } else {
    const bool onset = filter.tables->begin == Begin::kOnset;
    for (size_t s = 0; s < begin.size(); ++s) {
      begin[s] = onset ? filter.tables->log_initial[s] : kNever;
    }
  }
  std::copy(log_emission.begin(), log_emission.end(), row_of(filter, filter.emission, t).begin());
  filter.context[slot] = context;
  enter(filter.sums, begin);
  emit(filter.sums, log_emission);
  sum(filter.sums);
  const double scale = log_sum(filter.sums.log_alive);
  rescale(filter.sums, -scale);
  filter.scale[slot] = scale;
  filter.log_likelihood += scale;
  for (size_t s = 0; s < begin.size(); ++s) {
    filter.probability[s] = std::exp(filter.sums.log_alive[s]);
  }
  if (filter.lag == 0) {
    filter.lagged = filter.probability;
    return;
  }
  remember(filter, t);
  if (filter.windows > filter.lag) smooth(filter);
}

Elapsed elapsed_in(const HsmmFilter& filter, size_t state) {
  Elapsed best;
  if (filter.windows == 0) return best;
  const Longest longest = most_alive(filter.sums, state);
  best.windows = longest.windows;
  best.at_least = longest.windows == filter.tables->maximum_duration;
  double highest = longest.log_weight;
  const double cut = log_cut_alive(filter.sums, state);
  if (cut > highest) highest = cut, best = {filter.windows, true, 0.0};
  best.probability = std::exp(highest - filter.sums.log_alive[state]);
  return best;
}

}  // namespace graupel::decide
