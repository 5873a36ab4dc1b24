// Viterbi on a stream. See hsmm_survivors.h. Test: hsmm_survivors_test.cc.
#include "decide/hsmm_survivors.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace graupel::decide {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// The law of a segment that has lasted n windows: of one that began in the recording, or before.
double log_end(const DurationTable& law, bool first, size_t n) {
  return first ? log_survivor_at(law, n) - law.log_mean : log_probability_at(law, n);
}
double log_open(const DurationTable& law, bool first, size_t n) {
  return first ? log_remaining_at(law, n) : log_survivor_at(law, n);
}

void fill_advantages(HsmmSurvivors& survivors) {
  const HsmmTables& tables = *survivors.tables;
  const size_t maximum = tables.maximum_duration;
  for (size_t first = 0; first < 2; ++first) {
    for (size_t s = 0; s < tables.states; ++s) {
      const DurationTable& law = tables.durations[s];
      for (size_t n = 1; n <= maximum; ++n) {
        double more = kNever, less = kNever;
        for (size_t k = 1; k <= maximum; ++k) {
          const double fresh = log_probability_at(law, k);
          const double elapsed = log_end(law, first, n + k) - log_open(law, first, n);
          if (elapsed > kNever) more = std::max(more, elapsed - fresh);
          if (fresh > kNever) less = std::max(less, fresh - elapsed);
        }
        survivors.advantage[first].push_back(more);
        survivors.disadvantage[first].push_back(less);
      }
    }
  }
}

size_t length_of(const HsmmSurvivors& survivors, const Survivor& one) {
  return static_cast<size_t>(survivors.windows - one.start);
}

double table_at(const HsmmSurvivors& survivors, const std::vector<double> (&tables)[2],
                size_t state, const Survivor& one) {
  const size_t maximum = survivors.tables->maximum_duration;
  const size_t n = std::min(length_of(survivors, one), maximum);
  return tables[one.first ? 1 : 0][state * maximum + n - 1];
}

// ---- the tree ----

uint32_t add_node(HsmmSurvivors& survivors, const HsmmSurvivors::Node& node) {
  uint32_t id = static_cast<uint32_t>(survivors.nodes.size());
  if (survivors.free_nodes.empty()) {
    survivors.nodes.push_back(node);
  } else {
    id = survivors.free_nodes.back();
    survivors.free_nodes.pop_back();
    survivors.nodes[id] = node;
  }
  HsmmSurvivors::Node& parent = survivors.nodes[node.parent];
  ++parent.children;
  parent.child_xor ^= id;
  return id;
}

void close(HsmmSurvivors& survivors, uint32_t id) {
  survivors.nodes[id].open = false;
  while (id != survivors.root && !survivors.nodes[id].open && survivors.nodes[id].children == 0) {
    const uint32_t parent = survivors.nodes[id].parent;
    --survivors.nodes[parent].children;
    survivors.nodes[parent].child_xor ^= id;
    survivors.free_nodes.push_back(id);
    id = parent;
  }
}

// `belief`: the state's sum up to `end`.
Segment segment_of(const HsmmSurvivors::Node& node, uint64_t end, double belief) {
  const auto length = static_cast<size_t>(end - node.start);
  const double mean = (belief - node.own_belief) / static_cast<double>(length);
  return {static_cast<size_t>(node.start), length,     node.state,
          std::clamp(mean, 0.0, 1.0),      node.first, false};
}

void commit(HsmmSurvivors& survivors) {
  while (true) {
    const HsmmSurvivors::Node& root = survivors.nodes[survivors.root];
    if (root.open || root.children != 1) return;
    const uint32_t child = root.child_xor;
    if (survivors.root != 0) {
      const HsmmSurvivors::Node& next = survivors.nodes[child];
      survivors.committed.push_back(segment_of(root, next.start, next.parent_belief));
      survivors.free_nodes.push_back(survivors.root);
    }
    survivors.root = child;
  }
}

// ---- one window ----

void begin_segments(HsmmSurvivors& survivors, uint32_t context) {
  const HsmmTables& tables = *survivors.tables;
  const size_t states = tables.states;
  const bool at_start = survivors.windows == 0;
  const double* log_transition = tables.log_transitions_in(context);
  for (size_t s = 0; s < states; ++s) {
    double best = at_start ? tables.log_initial[s] : kNever;
    uint32_t parent = 0;
    for (size_t r = 0; !at_start && r < states; ++r) {
      const double score = survivors.ended[r] + log_transition[r * states + s];
      if (score > best) best = score, parent = survivors.ended_node[r];
    }
    if (best == kNever) continue;
    Survivor one{best, kNever, survivors.windows, 0, at_start && tables.begin == Begin::kInside};
    HsmmSurvivors::Node node;
    node.start = survivors.windows;
    node.parent = parent;
    node.state = static_cast<uint16_t>(s);
    node.open = true;
    node.first = one.first;
    node.own_belief = survivors.belief[s];
    node.parent_belief = survivors.belief[survivors.nodes[parent].state];
    one.node = add_node(survivors, node);
    survivors.open[s].push_back(one);
  }
}

struct Leader {
  size_t state = 0;
  Survivor one;
  double leaves = 0.0;  // log P(it ends now | it is open)
};

Leader weigh(HsmmSurvivors& survivors, std::span<const double> log_emission) {
  Leader leader;
  leader.one.alive = kNever;
  for (size_t s = 0; s < survivors.open.size(); ++s) {
    const DurationTable& law = survivors.tables->durations[s];
    for (Survivor& one : survivors.open[s]) {
      one.score += log_emission[s];
      one.alive = one.score + log_open(law, one.first, length_of(survivors, one));
      if (one.alive > leader.one.alive) leader.one = one, leader.state = s;
    }
  }
  const DurationTable& law = survivors.tables->durations[leader.state];
  leader.leaves = leader.one.score - leader.one.alive +
                  log_end(law, leader.one.first, length_of(survivors, leader.one));
  return leader;
}

// Whatever comes, the leader can do at least as well.
bool dominated(const HsmmSurvivors& survivors, size_t s, const Survivor& one,
               const Leader& leader) {
  const size_t states = survivors.tables->states, r = leader.state;
  if (one.node == leader.one.node) return false;
  const DurationTable& law = survivors.tables->durations[s];
  const double ends = one.score + log_end(law, one.first, length_of(survivors, one));
  const double more = table_at(survivors, survivors.advantage, s, one);
  const double less = table_at(survivors, survivors.disadvantage, r, leader.one);
  const double best = leader.one.alive;
  if (s == r) return one.alive + more + less <= best && ends <= best + leader.leaves;
  const double* reach = survivors.worst_transition.data() + r * states;
  const double* from = survivors.best_transition.data() + s * states;
  if (!(one.alive + more <= best + leader.leaves + reach[s])) return false;
  if (ends == kNever) return true;
  if (from[r] > kNever && !(ends + from[r] + less <= best)) return false;
  for (size_t next = 0; next < states; ++next) {
    if (next == s || next == r || from[next] == kNever) continue;
    if (!(ends + from[next] <= best + leader.leaves + reach[next])) return false;
  }
  return true;
}

void drop(HsmmSurvivors& survivors, const Leader& leader) {
  const size_t maximum = survivors.tables->maximum_duration;
  for (size_t s = 0; s < survivors.open.size(); ++s) {
    std::vector<Survivor>& open = survivors.open[s];
    // From D windows on all have the same future: the best of them is enough.
    double longest = kNever;
    for (const Survivor& one : open) {
      if (length_of(survivors, one) >= maximum) longest = std::max(longest, one.alive);
    }
    const auto gone = [&](const Survivor& one) {
      const bool is_long = length_of(survivors, one) >= maximum;
      if (!(is_long && one.alive < longest) && !dominated(survivors, s, one, leader)) return false;
      close(survivors, one.node);
      return true;
    };
    open.erase(std::remove_if(open.begin(), open.end(), gone), open.end());
  }
}

// Keeps only what goes on from the leader's first undecided segment.
void force(HsmmSurvivors& survivors, const Leader& leader) {
  const auto branch_of = [&](uint32_t id) {
    while (id != survivors.root && survivors.nodes[id].parent != survivors.root) {
      id = survivors.nodes[id].parent;
    }
    return id;
  };
  const uint32_t kept = branch_of(leader.one.node);
  if (kept == survivors.root) return;
  ++survivors.forced;
  std::vector<uint32_t> closing;
  for (std::vector<Survivor>& open : survivors.open) {
    const auto gone = [&](const Survivor& one) {
      if (branch_of(one.node) == kept) return false;
      closing.push_back(one.node);
      return true;
    };
    open.erase(std::remove_if(open.begin(), open.end(), gone), open.end());
  }
  for (const uint32_t id : closing) close(survivors, id);
}

void end_segments(HsmmSurvivors& survivors, double best) {
  for (size_t s = 0; s < survivors.open.size(); ++s) {
    const DurationTable& law = survivors.tables->durations[s];
    survivors.ended[s] = kNever;
    for (Survivor& one : survivors.open[s]) {
      one.score -= best;  // scores stay small however long the recording
      one.alive -= best;
      const double ends = one.score + log_end(law, one.first, length_of(survivors, one));
      if (ends > survivors.ended[s]) survivors.ended[s] = ends, survivors.ended_node[s] = one.node;
    }
  }
}

}  // namespace

Result<HsmmSurvivors> make_survivors(std::shared_ptr<const HsmmTables> tables) {
  const size_t states = tables->states, maximum = tables->maximum_duration;
  if (states * maximum * maximum > 400000000) {
    return invalid_input("HSMM", "with " + std::to_string(states) + " states and durations up to " +
                                     std::to_string(maximum) +
                                     " windows cannot be committed as a stream; use a lag");
  }
  HsmmSurvivors survivors;
  survivors.tables = std::move(tables);
  survivors.open.resize(states);
  for (auto& open : survivors.open) open.reserve(maximum + 1);
  survivors.most_nodes = 4 * states * maximum + 64;
  survivors.nodes.reserve(survivors.most_nodes + states);
  survivors.free_nodes.reserve(survivors.most_nodes + states);
  survivors.best_transition.assign(states * states, kNever);
  survivors.worst_transition.assign(states * states, 0.0);
  for (size_t i = 0; i < survivors.tables->log_transition.size(); ++i) {
    double& best = survivors.best_transition[i % (states * states)];
    double& worst = survivors.worst_transition[i % (states * states)];
    best = std::max(best, survivors.tables->log_transition[i]);
    worst = std::min(worst, survivors.tables->log_transition[i]);
  }
  fill_advantages(survivors);
  restart(survivors);
  return survivors;
}

void restart(HsmmSurvivors& survivors) {
  const size_t states = survivors.tables->states;
  survivors.windows = 0;
  survivors.forced = 0;
  survivors.root = 0;
  survivors.committed.clear();
  for (auto& open : survivors.open) open.clear();
  survivors.nodes.assign(1, {});
  survivors.free_nodes.clear();
  survivors.belief.assign(states, 0.0);
  survivors.ended.assign(states, kNever);
  survivors.ended_node.assign(states, 0);
}

void step(HsmmSurvivors& survivors, std::span<const double> log_emission, uint32_t context,
          std::span<const double> probability) {
  survivors.committed.clear();
  begin_segments(survivors, context);
  for (size_t s = 0; s < probability.size(); ++s) survivors.belief[s] += probability[s];
  ++survivors.windows;
  const Leader leader = weigh(survivors, log_emission);
  drop(survivors, leader);
  commit(survivors);
  if (survivors.nodes.size() - survivors.free_nodes.size() > survivors.most_nodes) {
    force(survivors, leader);
    commit(survivors);
  }
  end_segments(survivors, leader.one.alive);
}

std::vector<Segment> finish(const HsmmSurvivors& survivors) {
  const Survivor* best = nullptr;
  for (const std::vector<Survivor>& open : survivors.open) {
    for (const Survivor& one : open) {
      if (best == nullptr || one.alive > best->alive) best = &one;
    }
  }
  std::vector<Segment> segments;
  if (best == nullptr) return segments;
  uint64_t end = survivors.windows;
  double belief = survivors.belief[survivors.nodes[best->node].state];
  for (uint32_t id = best->node; id != 0; id = survivors.nodes[id].parent) {
    segments.push_back(segment_of(survivors.nodes[id], end, belief));
    end = survivors.nodes[id].start;
    belief = survivors.nodes[id].parent_belief;
    if (id == survivors.root) break;
  }
  segments.front().cut_at_end = true;
  std::reverse(segments.begin(), segments.end());
  return segments;
}

}  // namespace graupel::decide
