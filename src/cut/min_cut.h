// Minimum s-t cut in a small capacitated graph. Reference: Dinic 1970. Test: min_cut_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace graupel::cut {

inline constexpr int64_t kUncuttable = int64_t{1} << 50;

struct FlowNetwork {
  struct Arc {
    size_t to;
    int64_t capacity;  // what is left
    size_t reverse;    // index in arcs[to]
  };
  std::vector<std::vector<Arc>> arcs;

  explicit FlowNetwork(size_t vertices) : arcs(vertices) {}
  void add_arc(size_t from, size_t to, int64_t capacity);
};

// Of all minimum cuts, the one with the largest source side: true for vertices on it.
std::vector<bool> minimum_cut(FlowNetwork network, size_t source, size_t sink);

}  // namespace graupel::cut
