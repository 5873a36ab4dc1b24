// Dinic's maximum flow: level graph by breadth-first search, blocking flow by depth-first search
// with an explicit path, so that deep networks do not exhaust the stack. See min_cut.h.
#include "cut/min_cut.h"

#include <algorithm>
#include <deque>

namespace graupel::cut {
namespace {

std::vector<int> levels_from(const FlowNetwork& network, size_t source) {
  std::vector<int> level(network.arcs.size(), -1);
  std::deque<size_t> queue{source};
  level[source] = 0;
  while (!queue.empty()) {
    const size_t vertex = queue.front();
    queue.pop_front();
    for (const FlowNetwork::Arc& arc : network.arcs[vertex]) {
      if (arc.capacity <= 0 || level[arc.to] >= 0) continue;
      level[arc.to] = level[vertex] + 1;
      queue.push_back(arc.to);
    }
  }
  return level;
}

struct Step {
  size_t vertex;
  size_t arc;
};

void push_along(FlowNetwork& network, std::vector<Step>& path) {
  int64_t amount = kUncuttable;
  for (const Step& step : path) {
    amount = std::min(amount, network.arcs[step.vertex][step.arc].capacity);
  }
  for (const Step& step : path) {
    FlowNetwork::Arc& arc = network.arcs[step.vertex][step.arc];
    arc.capacity -= amount;
    network.arcs[arc.to][arc.reverse].capacity += amount;
  }
}

void block_flow(FlowNetwork& network, const std::vector<int>& level, size_t source, size_t sink) {
  std::vector<size_t> next(network.arcs.size(), 0);
  std::vector<Step> path;
  size_t vertex = source;
  while (true) {
    if (vertex == sink) {
      push_along(network, path);
      path.clear();
      vertex = source;
      continue;
    }
    size_t& arc_index = next[vertex];
    const std::vector<FlowNetwork::Arc>& arcs = network.arcs[vertex];
    while (arc_index < arcs.size() &&
           (arcs[arc_index].capacity <= 0 || level[arcs[arc_index].to] != level[vertex] + 1)) {
      ++arc_index;
    }
    if (arc_index < arcs.size()) {
      path.push_back({vertex, arc_index});
      vertex = arcs[arc_index].to;
    } else if (path.empty()) {
      return;
    } else {
      vertex = path.back().vertex;
      ++next[vertex];
      path.pop_back();
    }
  }
}

}  // namespace

void FlowNetwork::add_arc(size_t from, size_t to, int64_t capacity) {
  arcs[from].push_back({to, capacity, arcs[to].size()});
  arcs[to].push_back({from, 0, arcs[from].size() - 1});
}

std::vector<bool> minimum_cut(FlowNetwork network, size_t source, size_t sink) {
  while (true) {
    const std::vector<int> level = levels_from(network, source);
    if (level[sink] < 0) break;
    block_flow(network, level, source, sink);
  }
  // The largest source side: everything that cannot reach the sink in the residual network.
  std::vector<bool> reaches_sink(network.arcs.size(), false);
  std::deque<size_t> queue{sink};
  reaches_sink[sink] = true;
  while (!queue.empty()) {
    const size_t vertex = queue.front();
    queue.pop_front();
    for (const FlowNetwork::Arc& arc : network.arcs[vertex]) {
      const bool residual = network.arcs[arc.to][arc.reverse].capacity > 0;
      if (!residual || reaches_sink[arc.to]) continue;
      reaches_sink[arc.to] = true;
      queue.push_back(arc.to);
    }
  }
  reaches_sink.flip();
  return reaches_sink;
}

}  // namespace graupel::cut
