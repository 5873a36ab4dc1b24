// Minimum cut against every subset of random small networks: least capacity, largest source side.
#include "cut/min_cut.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace graupel::cut {
namespace {

int64_t capacity_leaving(const FlowNetwork& network, uint64_t side) {
  int64_t sum = 0;
  for (size_t from = 0; from < network.arcs.size(); ++from) {
    if ((side >> from & 1) == 0) continue;
    for (const FlowNetwork::Arc& arc : network.arcs[from]) {
      if ((side >> arc.to & 1) == 0) sum += arc.capacity;
    }
  }
  return sum;
}

TEST(MinCut, EqualsTheBestOfAllSubsets) {
  Rng rng(11);
  for (int round = 0; round < 300; ++round) {
    const size_t vertices = 2 + rng.below(8);
    FlowNetwork network(vertices);
    for (uint64_t arcs = rng.below(25); arcs > 0; --arcs) {
      const size_t from = rng.below(vertices), to = rng.below(vertices);
      if (from != to) network.add_arc(from, to, static_cast<int64_t>(rng.below(6)));
    }
    const size_t source = 0, sink = vertices - 1;
    int64_t least = kUncuttable;
    uint64_t largest = 0;
    for (uint64_t side = 0; side < uint64_t{1} << vertices; ++side) {
      if ((side >> source & 1) == 0 || (side >> sink & 1) != 0) continue;
      const int64_t capacity = capacity_leaving(network, side);
      // The union of two minimum cuts is one, so the largest holds all others.
      if (capacity < least) largest = 0;
      least = std::min(least, capacity);
      if (capacity == least) largest |= side;
    }
    const std::vector<bool> found = minimum_cut(network, source, sink);
    for (size_t i = 0; i < vertices; ++i) EXPECT_EQ(found[i], (largest >> i & 1) != 0);
  }
}

TEST(MinCut, LongChainsDoNotExhaustTheStack) {
  const size_t length = 100000;
  FlowNetwork network(length);
  for (size_t i = 0; i + 1 < length; ++i) network.add_arc(i, i + 1, i == 70000 ? 1 : 5);
  const std::vector<bool> side = minimum_cut(network, 0, length - 1);
  EXPECT_EQ(std::count(side.begin(), side.end(), true), 70001);
}

}  // namespace
}  // namespace graupel::cut
