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

void look_back(HsmmFilter& filter) {
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
  double total = 0.0;
  for (double& p : filter.lagged) total += p = std::max(0.0, p);
  for (double& p : filter.lagged) p /= total;
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
  if (filter.windows > filter.lag) look_back(filter);
}

Elapsed elapsed_in(const HsmmFilter& filter, size_t state) {
  Elapsed best;
  if (filter.windows == 0) return best;
  const size_t maximum = filter.tables->maximum_duration;
  double highest = kNever;
  for (size_t n = 1; n <= maximum; ++n) {
    const double weight = log_alive_at(filter.sums, state, n);
    if (weight > highest) highest = weight, best = {n, n == maximum, 0.0};
  }
  const double cut = log_cut_alive(filter.sums, state);
  if (cut > highest) highest = cut, best = {filter.windows, true, 0.0};
  best.probability = std::exp(highest - filter.sums.log_alive[state]);
  return best;
}

}  // namespace graupel::decide
