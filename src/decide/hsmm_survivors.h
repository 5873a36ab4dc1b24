// Segments as soon as they are certain: Viterbi on a stream, committed when all survivors agree.
//
// Idea: a survivor is a segment that may still be open, with the best way to it. One is dropped
// when another can do at least as well whatever comes: by going on itself, or by leaving now for
// the dropped one's state and starting there afresh. The largest advantage an elapsed segment has
// over a fresh one is a table. The ways to the survivors form a tree; where it has a single stem,
// segments are final: what is committed is what Viterbi over the whole recording gives (ties
// aside). Time O(S^2 D) per window at worst, memory O(S D): if survivors do not agree within
// that, the best one decides, and `forced` counts it.
// Reference: docs/hsmm.md. Test: hsmm_survivors_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "decide/hsmm_offline.h"

namespace graupel::decide {

struct Survivor {
  double score = 0.0;  // log, with emissions, without the law of its length
  double alive = 0.0;  // with P(length >= n)
  uint64_t start = 0;
  uint32_t node = 0;
  bool first = false;  // the recording began inside it
};

struct HsmmSurvivors {
  struct Node {
    uint64_t start = 0;
    uint32_t parent = 0, children = 0, child_xor = 0;
    uint16_t state = 0;
    bool open = false;  // a survivor itself
    bool first = false;
    // Sums of believed probability up to its start: of its own state, and of its parent's.
    double own_belief = 0.0, parent_belief = 0.0;
  };

  std::shared_ptr<const HsmmTables> tables;
  uint64_t windows = 0;
  uint64_t forced = 0;
  std::vector<Segment> committed;  // by the last step, in order; the caller takes them

  std::vector<std::vector<Survivor>> open;  // per state, oldest first
  std::vector<Node> nodes;                  // node 0 stands before all
  std::vector<uint32_t> free_nodes;
  uint32_t root = 0;
  size_t most_nodes = 0;
  std::vector<double> best_transition, worst_transition;  // log, over contexts
  // [first][state][n - 1]: the largest log advantage of n elapsed windows over none, and the
  // largest disadvantage.
  std::vector<double> advantage[2], disadvantage[2];
  std::vector<double> belief;        // per state: sum over all windows of the given probability
  std::vector<double> ended;         // per state, log
  std::vector<uint32_t> ended_node;  // of the segment that ends best
};

// Error kInvalidInput: states x D^2 above 4e8, whose tables would take too long to make.
Result<HsmmSurvivors> make_survivors(std::shared_ptr<const HsmmTables> tables);
// A new recording begins.
void restart(HsmmSurvivors& survivors);
// `probability`, one per state, is what is believed of this window now (the filter's answer): a
// segment's confidence is its mean over the segment. Empty: segments have the confidence 0.
void step(HsmmSurvivors& survivors, std::span<const double> log_emission, uint32_t context = 0,
          std::span<const double> probability = {});
// The recording ends (right-censored): the segments not committed yet.
std::vector<Segment> finish(const HsmmSurvivors& survivors);

}  // namespace graupel::decide
