// The most probable segmentation. See hsmm_offline.h.
//
// Idea: scores of open segments without their emissions and law lie in a ring, so the best end is
// the maximum of a sum of two rows. The sums of emissions are moved into the ring now and then:
// small numbers keep their digits. For each state and window the entry of the best segment that
// ends there is kept; going back along them gives the path. Test: hsmm_offline_test.cc.
#include <algorithm>
#include <cmath>
#include <limits>

#include "decide/hsmm_max_plus.h"
#include "decide/hsmm_offline.h"

namespace graupel::decide {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();
constexpr size_t kRebase = 1024;  // windows

struct Best {
  double score = kNever;
  uint32_t entry = 0;  // first window of the segment
};

struct Search {
  const HsmmTables& tables;
  std::span<const double> emission;
  std::span<const int32_t> contexts;
  size_t slots, capacity, head;
  std::vector<double> open;          // [state][capacity], newest first: f(t0) - emissions before t0
  std::vector<double> sums;          // emissions since the last rebase
  std::vector<Best> tail;            // segments of D windows or more, likewise without emissions
  std::vector<double> first;         // the cut first segment
  std::vector<double> ended;         // g, per state
  std::vector<uint32_t> entry_of;    // [T + 1][state]: of the segment that ends there
  std::vector<uint16_t> state_from;  // [T + 1][state]: before the segment that begins there
};

Search start(const HsmmTables& tables, const Observations& observations, size_t windows) {
  const size_t states = tables.states, slots = tables.maximum_duration - 1;
  Search search{tables,
                observations.log_emission,
                observations.contexts,
                slots,
                2 * slots + 64,
                2 * slots + 64,
                {},
                {},
                {},
                {},
                {},
                {},
                {}};
  search.open.assign(states * search.capacity, kNever);
  search.sums.assign(states, 0.0);
  search.tail.assign(states, Best());
  search.first =
      tables.begin == Begin::kInside ? tables.log_initial : std::vector<double>(states, kNever);
  search.ended.assign(states, kNever);
  search.entry_of.assign((windows + 1) * states, 0);
  search.state_from.assign((windows + 1) * states, 0);
  return search;
}

// Segments begin at window t: the best predecessor of each state.
void enter_all(Search& search, size_t t) {
  const HsmmTables& tables = search.tables;
  const size_t states = tables.states;
  for (size_t s = 0; s < states; ++s) {  // the oldest reaches D windows
    const DurationTable& law = tables.durations[s];
    Best& tail = search.tail[s];
    tail.score += law.log_stay;
    if (t < search.slots) continue;
    const double* row = search.open.data() + s * search.capacity + search.head;
    const double oldest = row[search.slots - 1] + law.log_survivor.back();
    if (oldest > tail.score) tail = {oldest, static_cast<uint32_t>(t - search.slots)};
  }
  if (search.head == 0) {
    search.head = search.capacity - (search.slots - 1);
    for (size_t s = 0; s < states; ++s) {
      double* row = search.open.data() + s * search.capacity;
      std::copy_n(row, search.slots - 1, row + search.head);
    }
  }
  --search.head;
  const size_t context = search.contexts.empty() ? 0 : static_cast<size_t>(search.contexts[t]);
  const double* log_transition = tables.log_transitions_in(context);
  for (size_t s = 0; s < states; ++s) {
    double best = kNever;
    size_t from = 0;
    for (size_t r = 0; t > 0 && r < states; ++r) {
      const double score = search.ended[r] + log_transition[r * states + s];
      if (score > best) best = score, from = r;
    }
    if (t == 0 && tables.begin == Begin::kOnset) best = tables.log_initial[s];
    search.state_from[t * states + s] = static_cast<uint16_t>(from);
    search.open[s * search.capacity + search.head] = best - search.sums[s];
  }
}

// The best segment of state s over windows .. t, its law being P(length = d) or P(length >= d).
Best best_end(const Search& search, size_t s, size_t t, bool cut) {
  const DurationTable& law = search.tables.durations[s];
  const double* row = search.open.data() + s * search.capacity + search.head;
  const double* length = cut ? law.log_survivor.data() : law.log_probability.data();
  const MaxPlus found = max_plus(row, length, std::min(t + 1, search.slots));
  Best best{found.value + search.sums[s], static_cast<uint32_t>(t - found.index)};
  const double tail = search.tail[s].score + search.sums[s] + (cut ? 0.0 : law.log_stop);
  if (tail > best.score) best = {tail, search.tail[s].entry};
  const double whole =
      cut ? log_remaining_at(law, t + 1) : log_survivor_at(law, t + 1) - law.log_mean;
  const double first = search.first[s] + search.sums[s] + whole;
  if (first > best.score) best = {first, 0};
  return best;
}

void rebase(Search& search) {
  for (size_t s = 0; s < search.tables.states; ++s) {
    double* row = search.open.data() + s * search.capacity;
    for (size_t i = search.head; i < search.capacity; ++i) row[i] += search.sums[s];
    search.tail[s].score += search.sums[s];
    search.first[s] += search.sums[s];
    search.sums[s] = 0.0;
  }
}

std::vector<Segment> trace_back(const Search& search, size_t windows, size_t state, size_t entry,
                                End end) {
  const size_t states = search.tables.states;
  std::vector<Segment> segments;
  size_t stop = windows;
  while (true) {
    Segment& segment = segments.emplace_back();
    segment.start = entry;
    segment.length = stop - entry;
    segment.state = state;
    segment.cut_at_end = stop == windows && end == End::kOpen;
    segment.cut_at_start = entry == 0 && search.tables.begin == Begin::kInside;
    if (entry == 0) break;
    stop = entry;
    state = search.state_from[stop * states + state];
    entry = search.entry_of[stop * states + state];
  }
  std::reverse(segments.begin(), segments.end());
  return segments;
}

}  // namespace

Result<void> check_observations(const HsmmTables& tables, const Observations& observations) {
  const size_t values = observations.log_emission.size();
  const size_t windows = values / tables.states;
  if (values == 0 || values % tables.states != 0 || windows > UINT32_MAX - 1) {
    return invalid_input("HSMM", "got " + std::to_string(values) + " emissions for " +
                                     std::to_string(tables.states) +
                                     " states; expected at least one window");
  }
  if (!observations.contexts.empty() && observations.contexts.size() != windows) {
    return invalid_input("HSMM", "got " + std::to_string(observations.contexts.size()) +
                                     " contexts for " + std::to_string(windows) + " windows");
  }
  for (const int32_t context : observations.contexts) {
    if (context < 0 || static_cast<size_t>(context) >= tables.contexts) {
      return invalid_input("HSMM", "got the context " + std::to_string(context) + " of " +
                                       std::to_string(tables.contexts));
    }
  }
  for (const double x : observations.log_emission) {
    if (!std::isfinite(x)) return invalid_input("HSMM", "got an emission that is not finite");
  }
  return ok();
}

Result<Path> viterbi(const HsmmTables& tables, const Observations& observations) {
  TRY(check_observations(tables, observations));
  const size_t states = tables.states;
  const size_t windows = observations.log_emission.size() / states;
  Search search = start(tables, observations, windows);
  for (size_t t = 0; t < windows; ++t) {
    enter_all(search, t);
    const double* emission = search.emission.data() + t * states;
    for (size_t s = 0; s < states; ++s) search.sums[s] += emission[s];
    for (size_t s = 0; s < states; ++s) {
      const Best best = best_end(search, s, t, false);
      search.ended[s] = best.score;
      search.entry_of[(t + 1) * states + s] = best.entry;
    }
    if (t % kRebase == kRebase - 1) rebase(search);
  }
  Path path;
  path.log_probability = kNever;
  Best last;
  size_t state = 0;
  for (size_t s = 0; s < states; ++s) {
    const Best best = best_end(search, s, windows - 1, observations.end == End::kOpen);
    if (best.score > last.score) last = best, state = s;
  }
  path.log_probability = last.score;
  path.segments = trace_back(search, windows, state, last.entry, observations.end);
  return path;
}

std::vector<Segment> with_confidence(std::vector<Segment> segments,
                                     std::span<const double> probability, size_t states) {
  for (Segment& segment : segments) {
    double sum = 0.0;
    for (size_t t = segment.start; t < segment.start + segment.length; ++t) {
      sum += probability[t * states + segment.state];
    }
    segment.confidence = sum / static_cast<double>(segment.length);
  }
  return segments;
}

}  // namespace graupel::decide
