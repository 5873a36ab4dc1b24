// Brute force for the HSMM: every segmentation of a short recording, one by one.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "base/rng.h"
#include "decide/hsmm_offline.h"

namespace graupel::decide {

inline std::vector<double> random_distribution(Rng& rng, size_t count, double zero_share = 0.0) {
  std::vector<double> p(count);
  double sum = 0.0;
  for (double& x : p) sum += x = rng.uniform() < zero_share ? 0.0 : 0.05 + rng.uniform();
  if (sum == 0.0) sum = p[rng.below(count)] = 1.0;
  for (double& x : p) x /= sum;
  return p;
}

inline Duration random_duration(Rng& rng, size_t maximum) {
  switch (rng.below(6)) {
    case 0: return {DurationFamily::kPoisson, {rng.uniform(0.0, 4.0)}};
    case 1: return {DurationFamily::kNegativeBinomial, {rng.uniform(0.5, 4.0), rng.uniform(0, 5)}};
    case 2: return {DurationFamily::kGaussian, {rng.uniform(1.0, 5.0), rng.uniform(0.5, 3.0)}};
    case 3: return {DurationFamily::kLogNormal, {rng.uniform(0.0, 1.5), rng.uniform(0.3, 1.5)}};
    case 4: return {DurationFamily::kGamma, {rng.uniform(0.5, 4.0), rng.uniform(0.5, 3.0)}};
    default:
      return {DurationFamily::kTable, random_distribution(rng, 1 + rng.below(maximum + 3), 0.3)};
  }
}

inline Hsmm random_hsmm(Rng& rng, size_t states, size_t maximum, size_t contexts = 1) {
  Hsmm model;
  model.maximum_duration = static_cast<int64_t>(maximum);
  model.begin = rng.below(2) ? Begin::kInside : Begin::kOnset;
  model.initial = random_distribution(rng, states);
  for (size_t c = 0; c < contexts; ++c) {
    std::vector<double>& matrix = model.transitions.emplace_back(states * states, 0.0);
    for (size_t r = 0; r < states; ++r) {
      const std::vector<double> row = random_distribution(rng, states - 1, 0.2);
      for (size_t s = 0, i = 0; s < states; ++s) {
        if (s != r) matrix[r * states + s] = row[i++];
      }
    }
  }
  for (size_t s = 0; s < states; ++s) model.durations.push_back(random_duration(rng, maximum));
  model.emission.prior.assign(states, 1.0 / static_cast<double>(states));
  return model;
}

inline std::vector<double> random_emissions(Rng& rng, size_t windows, size_t states,
                                            double spread = 3.0) {
  std::vector<double> b(windows * states);
  for (double& x : b) x = -spread * rng.uniform();
  return b;
}

// Everything enumeration can say about windows [0, windows).
struct Enumerated {
  double best = -INFINITY, likelihood = 0.0;
  std::vector<Segment> best_segments;
  std::vector<double> state;                 // [T, states], joint with the windows
  std::vector<std::vector<double>> elapsed;  // [state][elapsed - 1] at the last window, joint
  ExpectedCounts counts;                     // joint
};

using Visit = std::function<void(const std::vector<Segment>&, double)>;

// Calls visit(segments, log probability) for every segmentation.
inline void enumerate(const HsmmTables& tables, const Observations& seen, const Visit& visit) {
  const size_t states = tables.states, windows = seen.log_emission.size() / states;
  std::vector<Segment> path;
  const std::function<void(size_t, double)> extend = [&](size_t t, double score) {
    if (t == windows) return visit(path, score);
    for (size_t s = 0; s < states; ++s) {
      double enters = tables.log_initial[s];
      if (t > 0) {
        const auto context = seen.contexts.empty() ? 0 : static_cast<size_t>(seen.contexts[t]);
        enters = tables.log_transitions_in(context)[path.back().state * states + s];
      }
      if (enters == -INFINITY) continue;
      double emitted = 0.0;
      for (size_t d = 1; t + d <= windows; ++d) {
        emitted += seen.log_emission[(t + d - 1) * states + s];
        const bool last = t + d == windows && seen.end == End::kOpen;
        const bool first = t == 0 && tables.begin == Begin::kInside;
        const DurationTable& law = tables.durations[s];
        const double length =
            first ? (last ? log_remaining_at(law, d) : log_survivor_at(law, d) - law.log_mean)
                  : (last ? log_survivor_at(law, d) : log_probability_at(law, d));
        if (length == -INFINITY) continue;
        path.push_back({t, d, s, 0.0, first, last});
        extend(t + d, score + enters + emitted + length);
        path.pop_back();
      }
    }
  };
  extend(0, 0.0);
}

inline Enumerated enumerate_all(const HsmmTables& tables, const Observations& seen) {
  const size_t states = tables.states, windows = seen.log_emission.size() / states;
  Enumerated all;
  all.state.assign(windows * states, 0.0);
  all.elapsed.assign(states, std::vector<double>(windows, 0.0));
  const std::vector<double> lengths(tables.maximum_duration, 0.0);
  all.counts.first.assign(states, 0.0);
  all.counts.windows.assign(states, 0.0);
  all.counts.transitions.assign(tables.transition.size(), 0.0);
  all.counts.complete.assign(states, lengths);
  all.counts.cut_at_start = all.counts.cut_at_end = all.counts.cut_at_both = all.counts.complete;
  enumerate(tables, seen, [&](const std::vector<Segment>& path, double score) {
    if (score > all.best) all.best = score, all.best_segments = path;
    const double p = std::exp(score);
    all.likelihood += p;
    all.counts.first[path[0].state] += p;
    all.elapsed[path.back().state][path.back().length - 1] += p;
    for (size_t i = 0; i < path.size(); ++i) {
      const Segment& x = path[i];
      auto& lengths_of = x.cut_at_start
                             ? (x.cut_at_end ? all.counts.cut_at_both : all.counts.cut_at_start)
                             : (x.cut_at_end ? all.counts.cut_at_end : all.counts.complete);
      lengths_of[x.state][std::min(x.length, tables.maximum_duration) - 1] += p;
      for (size_t t = x.start; t < x.start + x.length; ++t) {
        all.state[t * states + x.state] += p;
        all.counts.windows[x.state] += p;
      }
      if (i == 0) continue;
      const auto context = seen.contexts.empty() ? 0 : static_cast<size_t>(seen.contexts[x.start]);
      all.counts.transitions[(context * states + path[i - 1].state) * states + x.state] += p;
    }
  });
  return all;
}

}  // namespace graupel::decide
