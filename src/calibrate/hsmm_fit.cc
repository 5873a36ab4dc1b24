// HSMM from recordings. See hsmm_fit.h. Test: hsmm_fit_test.cc.
#include "calibrate/hsmm_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <set>

#include "decide/hsmm_filter.h"

namespace graupel::calibrate {
namespace {

using decide::ExpectedCounts;
using decide::Hsmm;
using decide::HsmmTables;

constexpr size_t kShortestMaximum = 10, kLongestMaximum = 1024;
constexpr double kTransitionPrior = 0.5;  // of a transition, shared by the other states
constexpr double kContextPrior = 5.0;     // transitions that a context borrows from all

size_t windows_of(const Recording& recording, size_t classes) {
  return recording.probabilities.size() / classes;
}

std::vector<int64_t> argmax_labels(const Recording& recording, size_t classes) {
  std::vector<int64_t> labels;
  for (size_t t = 0; t < windows_of(recording, classes); ++t) {
    const double* row = recording.probabilities.data() + t * classes;
    labels.push_back(std::max_element(row, row + classes) - row);
  }
  return labels;
}

Error bad(size_t index, const std::string& what) {
  return invalid_input(fmt::format("recording {}", index), what);
}

Result<void> check_recordings(std::span<const Recording> recordings, const HsmmOptions& options,
                              bool labelled) {
  const size_t classes = options.classes;
  if (classes < 2 || classes > decide::kMaxStates) {
    return invalid_input("HSMM", fmt::format("cannot have {} states; expected 2 to {} classes",
                                             classes, decide::kMaxStates));
  }
  if (recordings.empty()) return invalid_input("HSMM", "got no recording to fit");
  if (options.contexts < 1 || options.contexts > decide::kMaxContexts) {
    return invalid_input("HSMM", "takes 1 to 64 contexts");
  }
  for (size_t i = 0; i < recordings.size(); ++i) {
    const Recording& one = recordings[i];
    const size_t windows = windows_of(one, classes);
    if (windows == 0 || one.probabilities.size() != windows * classes) {
      return bad(i, "has no window, or not one probability per class and window");
    }
    if (one.digits.size() != windows * options.levels.size()) {
      return bad(i, "has not one FSQ digit per level and window");
    }
    for (size_t k = 0; k < one.digits.size(); ++k) {
      const int64_t levels = options.levels[k % options.levels.size()];
      if (one.digits[k] >= 0 && one.digits[k] < levels) continue;
      return bad(i, fmt::format("window {} has the FSQ digit {} of {} levels",
                                k / options.levels.size(), one.digits[k], levels));
    }
    if (labelled && one.labels.size() != windows) {
      return bad(i, fmt::format("has {} labels for {} windows", one.labels.size(), windows));
    }
    if (!one.contexts.empty() && one.contexts.size() != windows) {
      return bad(i, fmt::format("has {} contexts for {} windows", one.contexts.size(), windows));
    }
    for (const int32_t context : one.contexts) {
      if (context >= 0 && static_cast<size_t>(context) < options.contexts) continue;
      return bad(i, fmt::format("has the context {} of {}", context, options.contexts));
    }
    for (size_t t = 0; labelled && t < windows; ++t) {
      if (one.labels[t] >= 0 && one.labels[t] < static_cast<int64_t>(classes)) continue;
      return bad(i, fmt::format("window {} has the label {}; expected 0 to {}", t, one.labels[t],
                                classes - 1));
    }
    for (size_t k = 0; k < one.probabilities.size(); ++k) {
      if (one.probabilities[k] >= 0.0 && one.probabilities[k] <= 1.0 + 1e-9) continue;
      return bad(i, fmt::format("window {} has a probability that is none; are its logits NaN?",
                                k / classes));
    }
  }
  return ok();
}

size_t longest_run(std::span<const std::vector<int64_t>> labels) {
  size_t longest = 1;
  for (const std::vector<int64_t>& row : labels) {
    for (size_t t = 0, run = 0; t < row.size(); ++t) {
      run = t > 0 && row[t] == row[t - 1] ? run + 1 : 1;
      longest = std::max(longest, run);
    }
  }
  return longest;
}

ExpectedCounts empty_counts(size_t states, size_t maximum, size_t contexts) {
  ExpectedCounts counts;
  counts.first.assign(states, 0.0);
  counts.windows.assign(states, 0.0);
  counts.transitions.assign(contexts * states * states, 0.0);
  counts.complete.assign(states, std::vector<double>(maximum, 0.0));
  counts.cut_at_start = counts.cut_at_end = counts.cut_at_both = counts.complete;
  return counts;
}

// What the labels of one recording say, as EM would count it.
void count_labels(const std::vector<int64_t>& labels, const std::vector<int32_t>& contexts,
                  size_t states, ExpectedCounts& counts) {
  const size_t maximum = counts.complete[0].size();
  counts.first[static_cast<size_t>(labels[0])] += 1.0;
  for (size_t start = 0; start < labels.size();) {
    const auto state = static_cast<size_t>(labels[start]);
    size_t end = start;
    while (end < labels.size() && labels[end] == labels[start]) ++end;
    const bool first = start == 0, last = end == labels.size();
    auto& lengths = first ? (last ? counts.cut_at_both : counts.cut_at_start)
                          : (last ? counts.cut_at_end : counts.complete);
    lengths[state][std::min(end - start, maximum) - 1] += 1.0;
    counts.windows[state] += static_cast<double>(end - start);
    if (!first) {
      const size_t context = contexts.empty() ? 0 : static_cast<size_t>(contexts[start]);
      const auto from = static_cast<size_t>(labels[start - 1]);
      counts.transitions[(context * states + from) * states + state] += 1.0;
    }
    start = end;
  }
}

Lengths lengths_of(const ExpectedCounts& counts, size_t s) {
  return {counts.complete[s], counts.cut_at_start[s], counts.cut_at_end[s], counts.cut_at_both[s]};
}

Lengths pooled(const ExpectedCounts& counts) {
  Lengths all = lengths_of(counts, 0);
  const auto add = [](std::vector<double>& to, const std::vector<double>& from) {
    for (size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  };
  for (size_t s = 1; s < counts.first.size(); ++s) {
    add(all.complete, counts.complete[s]);
    add(all.cut_at_start, counts.cut_at_start[s]);
    add(all.cut_at_end, counts.cut_at_end[s]);
    add(all.cut_at_both, counts.cut_at_both[s]);
  }
  return all;
}

void set_transitions(const ExpectedCounts& counts, size_t contexts, Hsmm& model) {
  const size_t states = counts.first.size();
  const double others = static_cast<double>(states - 1);
  std::vector<double> all(states * states, 0.0), entered(states, 0.0);
  double total = 0.0;
  for (size_t i = 0; i < counts.transitions.size(); ++i) {
    all[i % all.size()] += counts.transitions[i];
    entered[i % states] += counts.transitions[i];
    total += counts.transitions[i];
  }
  // A row leans on how often its target is entered at all, and that on nothing at all.
  for (double& x : entered) x = (x + 1.0 / others) / (total + 1.0 + 1.0 / others);
  for (size_t r = 0; r < states; ++r) {
    double sum = 0.0;
    for (size_t s = 0; s < states; ++s) {
      double& x = all[r * states + s];
      x = r == s ? 0.0 : x + kTransitionPrior * entered[s];
      sum += x;
    }
    for (size_t s = 0; s < states; ++s) all[r * states + s] /= sum;
  }
  model.transitions.assign(contexts, all);
  for (size_t c = 0; contexts > 1 && c < contexts; ++c) {
    for (size_t r = 0; r < states; ++r) {
      const double* seen = counts.transitions.data() + (c * states + r) * states;
      double* row = model.transitions[c].data() + r * states;
      const double sum = std::accumulate(seen, seen + states, 0.0) + kContextPrior;
      for (size_t s = 0; s < states; ++s) row[s] = (seen[s] + kContextPrior * row[s]) / sum;
    }
  }
}

// First state: half by what recordings began with, half by the share of time, as one that begins
// anywhere finds it.
void set_initial(const ExpectedCounts& counts, Hsmm& model) {
  const double states = static_cast<double>(counts.first.size());
  const double firsts = std::accumulate(counts.first.begin(), counts.first.end(), 0.0);
  const double windows = std::accumulate(counts.windows.begin(), counts.windows.end(), 0.0);
  model.initial.clear();
  double sum = 0.0;
  for (size_t s = 0; s < counts.first.size(); ++s) {
    const double share = (counts.windows[s] + 1.0) / (windows + states);
    model.initial.push_back((counts.first[s] + 2.0 * share) / (firsts + 2.0));
    sum += model.initial.back();
  }
  for (double& p : model.initial) p /= sum;
}

void set_durations(const ExpectedCounts& counts, const std::vector<ExpectedCounts>& halves,
                   const HsmmOptions& options, Hsmm& model) {
  const auto fitted = [&](const Lengths& lengths, const std::optional<Halves>& parts) {
    return options.family ? fit_duration(*options.family, lengths)
                          : choose_duration(lengths, parts);
  };
  const Lengths all = pooled(counts);
  const DurationFit shared = fitted(all, std::nullopt);
  model.durations.clear();
  for (size_t s = 0; s < counts.first.size(); ++s) {
    const Lengths own = lengths_of(counts, s);
    if (own.whole() < options.least_segments) {
      model.durations.push_back(shared.duration);
      model.notes.push_back(fmt::format(
          "class {}: {:.0f} whole segments of {:.0f}, below {:.0f}: its durations are those of all "
          "classes together",
          s, own.whole(), own.total(), options.least_segments));
      continue;
    }
    std::optional<Halves> parts;
    if (halves.size() == 2) {
      parts = Halves{lengths_of(halves[0], s), lengths_of(halves[1], s)};
      if (parts->first.whole() < 2.0 || parts->second.whole() < 2.0) parts.reset();
    }
    model.durations.push_back(fitted(own, parts).duration);
  }
  if (all.whole() == 0.0) {
    model.notes.push_back(
        "every segment is cut by the start or end of its recording: how long a behaviour lasts "
        "cannot be learned from such recordings, only how long it lasts at least");
  }
}

void set_emission(std::span<const Recording> recordings,
                  std::span<const std::vector<int64_t>> labels, const HsmmOptions& options,
                  Hsmm& model) {
  decide::Emission& emission = model.emission;
  const size_t classes = options.classes, depth = options.levels.size();
  emission.use = depth == 0 ? decide::EmissionUse::kPosteriors : options.use;
  emission.prior.assign(classes, 1e-4);
  for (const Recording& one : recordings) {
    for (size_t i = 0; i < one.probabilities.size(); ++i) {
      emission.prior[i % classes] += one.probabilities[i];
    }
  }
  const double total = std::accumulate(emission.prior.begin(), emission.prior.end(), 0.0);
  double sum = 0.0;
  for (double& p : emission.prior) sum += p = std::max(p / total, 1e-4);
  for (double& p : emission.prior) p /= sum;
  if (emission.use == decide::EmissionUse::kPosteriors) return;
  emission.levels = options.levels;
  std::vector<double> row;  // every level one window's worth, over all levels of the digit
  for (const int64_t level : options.levels) {
    row.insert(row.end(), static_cast<size_t>(level), 1.0 / static_cast<double>(level));
  }
  emission.digits.assign(classes, row);
  for (size_t i = 0; i < recordings.size(); ++i) {
    for (size_t t = 0; t < labels[i].size(); ++t) {
      double* counts = emission.digits[static_cast<size_t>(labels[i][t])].data();
      for (size_t d = 0; d < depth; ++d) {
        counts[recordings[i].digits[t * depth + d]] += 1.0;
        counts += options.levels[d];
      }
    }
  }
  for (std::vector<double>& counts : emission.digits) {
    double* digit = counts.data();
    for (const int64_t level : options.levels) {
      const double whole = std::accumulate(digit, digit + level, 0.0);
      for (int64_t k = 0; k < level; ++k) digit[k] = std::max(digit[k] / whole, 1e-9);
      digit += level;
    }
  }
}

// The weight under which the labels are most probable, their neighbours' evidence included:
// overlapping windows say the same thing more than once.
Result<double> best_weight(std::span<const Recording> recordings, Hsmm model) {
  double best = 1.0, highest = -std::numeric_limits<double>::infinity();
  for (const double weight : {1.0, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05}) {
    model.emission.weight = model.emission.code_weight = weight;
    TRY_ASSIGN(const HsmmScores scores, score_hsmm(model, recordings));
    if (scores.label_log_probability > highest) {
      highest = scores.label_log_probability;
      best = weight;
    }
  }
  return best;
}

// Groups in two halves; one half is empty if there is one group only.
std::array<std::set<int64_t>, 2> halves_of(std::span<const Recording> recordings) {
  std::set<int64_t> groups;
  for (const Recording& one : recordings) groups.insert(one.group);
  std::array<std::set<int64_t>, 2> halves;
  size_t i = 0;
  for (const int64_t group : groups) halves[i++ % 2].insert(group);
  return halves;
}

Result<Hsmm> fit_once(std::span<const Recording> recordings,
                      std::span<const std::vector<int64_t>> labels, const HsmmOptions& options) {
  const size_t states = options.classes;
  const size_t most = std::min(kLongestMaximum, decide::kMaxStateDurations / states);
  const size_t wanted = options.maximum_duration != 0
                            ? options.maximum_duration
                            : std::max(kShortestMaximum, longest_run(labels) * 3 / 2);
  Hsmm model;
  model.window_samples = options.window_samples;
  model.hop_samples = options.hop_samples;
  model.rate_hz = options.rate_hz;
  model.maximum_duration = static_cast<int64_t>(std::clamp<size_t>(wanted, 2, most));
  const auto maximum = static_cast<size_t>(model.maximum_duration);
  ExpectedCounts counts = empty_counts(states, maximum, options.contexts);
  std::vector<ExpectedCounts> parts;
  const auto halves = halves_of(recordings);
  if (options.choice == FamilyChoice::kHeldOut && !halves[1].empty()) parts.assign(2, counts);
  for (size_t i = 0; i < recordings.size(); ++i) {
    count_labels(labels[i], recordings[i].contexts, states, counts);
    if (parts.empty()) continue;
    const size_t half = halves[1].contains(recordings[i].group) ? 1 : 0;
    count_labels(labels[i], recordings[i].contexts, states, parts[half]);
  }
  for (size_t s = 0; s < states; ++s) {
    if (counts.windows[s] == 0.0) {
      model.notes.push_back(fmt::format("class {} is in no recording", s));
    }
  }
  set_transitions(counts, options.contexts, model);
  set_initial(counts, model);
  set_durations(counts, parts, options, model);
  set_emission(recordings, labels, options, model);
  TRY(decide::check_hsmm(model));
  return model;
}

Result<double> total_likelihood(std::span<const Recording> recordings, const Hsmm& model,
                                ExpectedCounts* counts) {
  TRY_ASSIGN(const HsmmTables tables, decide::make_hsmm_tables(model));
  double sum = 0.0;
  for (const Recording& one : recordings) {
    const size_t windows = windows_of(one, model.states());
    TRY_ASSIGN(const std::vector<double> emissions,
               decide::log_emissions(model, one.probabilities, one.digits, windows));
    TRY_ASSIGN(const decide::Posterior found,
               decide::posterior(tables, {emissions, one.contexts, decide::End::kOpen}, counts));
    sum += found.log_likelihood;
  }
  return sum;
}

void add(ClassCounts& sum, const ClassCounts& part) {
  const auto each = [](std::vector<double>& to, const std::vector<double>& from) {
    to.resize(from.size(), 0.0);
    for (size_t i = 0; i < from.size(); ++i) to[i] += from[i];
  };
  each(sum.right, part.right);
  each(sum.answered, part.answered);
  each(sum.labelled, part.labelled);
}

void count(ClassCounts& counts, size_t answer, size_t label) {
  ++counts.answered[answer];
  ++counts.labelled[label];
  if (answer == label) ++counts.right[label];
}

Result<HsmmScores> held_out_scores(std::span<const Recording> recordings,
                                   const HsmmOptions& options) {
  const auto halves = halves_of(recordings);
  HsmmScores sum;
  for (size_t judged = 0; judged < 2; ++judged) {
    std::vector<Recording> fit_on, judge_on;
    for (const Recording& one : recordings) {
      (halves[judged].contains(one.group) ? judge_on : fit_on).push_back(one);
    }
    std::vector<std::vector<int64_t>> labels;
    for (const Recording& one : fit_on) labels.push_back(one.labels);
    TRY_ASSIGN(Hsmm model, fit_once(fit_on, labels, options));
    if (!options.weight) {
      TRY_ASSIGN(const double weight, best_weight(fit_on, model));
      model.emission.weight = model.emission.code_weight = weight;
    }
    TRY_ASSIGN(const HsmmScores part, score_hsmm(model, judge_on));
    const double a = static_cast<double>(sum.windows), b = static_cast<double>(part.windows);
    const auto mix = [&](double& x, double y) { x = (a * x + b * y) / (a + b); };
    add(sum.argmax, part.argmax);
    add(sum.filter, part.filter);
    add(sum.path, part.path);
    mix(sum.argmax_accuracy, part.argmax_accuracy);
    mix(sum.filter_accuracy, part.filter_accuracy);
    mix(sum.path_accuracy, part.path_accuracy);
    mix(sum.label_log_probability, part.label_log_probability);
    sum.windows += part.windows;
    sum.labelled_segments += part.labelled_segments;
    sum.argmax_segments += part.argmax_segments;
    sum.path_segments += part.path_segments;
  }
  return sum;
}

void store_scores(const HsmmScores& scores, Hsmm& model) {
  model.measured = {{"held_out_windows", static_cast<double>(scores.windows)},
                    {"held_out_argmax_accuracy", scores.argmax_accuracy},
                    {"held_out_filter_accuracy", scores.filter_accuracy},
                    {"held_out_path_accuracy", scores.path_accuracy},
                    {"held_out_label_log_probability", scores.label_log_probability},
                    {"held_out_labelled_segments", static_cast<double>(scores.labelled_segments)},
                    {"held_out_argmax_segments", static_cast<double>(scores.argmax_segments)},
                    {"held_out_path_segments", static_cast<double>(scores.path_segments)}};
}

}  // namespace

Result<HsmmFit> fit_hsmm(std::span<const Recording> recordings, const HsmmOptions& options) {
  TRY(check_recordings(recordings, options, true));
  std::vector<std::vector<int64_t>> labels;
  std::set<int64_t> seen;
  for (const Recording& one : recordings) {
    labels.push_back(one.labels);
    seen.insert(one.labels.begin(), one.labels.end());
  }
  if (seen.size() < 2) {
    return invalid_input("HSMM",
                         "only one class is in the recordings; there is nothing to tell "
                         "apart over time");
  }
  HsmmFit fit;
  TRY_ASSIGN(fit.model, fit_once(recordings, labels, options));
  double weight = options.weight.value_or(1.0);
  if (!options.weight) {
    TRY_ASSIGN(weight, best_weight(recordings, fit.model));
  }
  fit.model.emission.weight = fit.model.emission.code_weight = weight;
  TRY(decide::check_hsmm(fit.model));
  if (!halves_of(recordings)[1].empty()) {
    TRY_ASSIGN(fit.held_out, held_out_scores(recordings, options));
    store_scores(*fit.held_out, fit.model);
  } else {
    fit.model.notes.push_back("one group only: not judged on people it was not fitted on");
  }
  TRY_ASSIGN(fit.log_likelihood, total_likelihood(recordings, fit.model, nullptr));
  return fit;
}

Result<HsmmFit> fit_hsmm_unlabelled(std::span<const Recording> recordings,
                                    const HsmmOptions& options) {
  TRY(check_recordings(recordings, options, false));
  std::vector<std::vector<int64_t>> labels;
  double windows = 0.0;
  for (const Recording& one : recordings) {
    labels.push_back(argmax_labels(one, options.classes));
    windows += static_cast<double>(labels.back().size());
  }
  HsmmOptions inner = options;
  inner.choice = FamilyChoice::kBic;
  HsmmFit fit;
  TRY_ASSIGN(fit.model, fit_once(recordings, labels, inner));
  fit.model.emission.weight = fit.model.emission.code_weight = options.weight.value_or(1.0);
  double before = -std::numeric_limits<double>::infinity();
  Hsmm previous;
  while (true) {
    ExpectedCounts counts;
    TRY_ASSIGN(fit.log_likelihood, total_likelihood(recordings, fit.model, &counts));
    if (fit.log_likelihood < before) {  // what rare transitions borrow can cost a little
      fit.model = std::move(previous);
      fit.log_likelihood = before;
      break;
    }
    const bool done = fit.log_likelihood - before < options.em_tolerance * windows;
    if (done || fit.iterations >= options.em_iterations) break;
    before = fit.log_likelihood;
    previous = fit.model;
    ++fit.iterations;
    Hsmm next = fit.model;
    next.notes.clear();
    set_transitions(counts, options.contexts, next);
    set_initial(counts, next);
    // The family stays that of the start, so that only parameters move.
    for (size_t s = 0; s < next.states(); ++s) {
      const Lengths lengths = lengths_of(counts, s);
      if (lengths.whole() < options.least_segments) {
        next.notes.push_back(
            fmt::format("class {}: {:.1f} whole segments expected: its durations "
                        "stay those of the start",
                        s, lengths.whole()));
        continue;
      }
      next.durations[s] = fit_duration(next.durations[s].family, lengths).duration;
    }
    TRY(decide::check_hsmm(next));
    fit.model = std::move(next);
  }
  fit.model.notes.push_back("fitted without labels, by EM; what it decodes was not judged");
  return fit;
}

double macro_f1(const ClassCounts& counts) {
  double sum = 0.0, classes = 0.0;
  for (size_t c = 0; c < counts.right.size(); ++c) {
    const double all = counts.answered[c] + counts.labelled[c];
    if (all == 0.0) continue;
    sum += 2.0 * counts.right[c] / all;
    ++classes;
  }
  return classes == 0.0 ? 0.0 : sum / classes;
}

Result<HsmmScores> score_hsmm(const Hsmm& model, std::span<const Recording> recordings) {
  TRY_ASSIGN(HsmmTables made, decide::make_hsmm_tables(model));
  const auto tables = std::make_shared<const HsmmTables>(std::move(made));
  const size_t states = model.states();
  TRY_ASSIGN(decide::HsmmFilter filter, decide::make_filter(tables));
  HsmmScores scores;
  for (ClassCounts* counts : {&scores.argmax, &scores.filter, &scores.path}) {
    counts->right.assign(states, 0.0);
    counts->answered = counts->labelled = counts->right;
  }
  double logs = 0.0;
  for (const Recording& one : recordings) {
    const size_t windows = windows_of(one, states);
    TRY_ASSIGN(const std::vector<double> emissions,
               decide::log_emissions(model, one.probabilities, one.digits, windows));
    const decide::Observations seen{emissions, one.contexts, decide::End::kOpen};
    TRY_ASSIGN(const decide::Path path, decide::viterbi(*tables, seen));
    TRY_ASSIGN(const decide::Posterior whole, decide::posterior(*tables, seen));
    const std::vector<int64_t> raw = argmax_labels(one, states);
    std::vector<size_t> on_path(windows);
    for (const decide::Segment& segment : path.segments) {
      std::fill_n(on_path.begin() + static_cast<std::ptrdiff_t>(segment.start), segment.length,
                  segment.state);
    }
    decide::restart(filter);
    for (size_t t = 0; t < windows; ++t) {
      const auto label = static_cast<size_t>(one.labels[t]);
      decide::step(filter, std::span(emissions).subspan(t * states, states),
                   one.contexts.empty() ? 0 : static_cast<uint32_t>(one.contexts[t]));
      const auto best = std::max_element(filter.probability.begin(), filter.probability.end());
      count(scores.filter, static_cast<size_t>(best - filter.probability.begin()), label);
      count(scores.argmax, static_cast<size_t>(raw[t]), label);
      count(scores.path, on_path[t], label);
      logs += std::log(std::max(whole.probability[t * states + label], 1e-12));
      scores.labelled_segments += t == 0 || one.labels[t] != one.labels[t - 1] ? 1 : 0;
      scores.argmax_segments += t == 0 || raw[t] != raw[t - 1] ? 1 : 0;
    }
    scores.path_segments += path.segments.size();
    scores.windows += windows;
  }
  const double n = std::max(1.0, static_cast<double>(scores.windows));
  const auto share = [n](const ClassCounts& counts) {
    return std::accumulate(counts.right.begin(), counts.right.end(), 0.0) / n;
  };
  scores.argmax_accuracy = share(scores.argmax);
  scores.filter_accuracy = share(scores.filter);
  scores.path_accuracy = share(scores.path);
  scores.label_log_probability = logs / n;
  return scores;
}

}  // namespace graupel::calibrate
