// Logits in, decision out: class, calibrated probability, conformal set. One call per window.
//
// Idea: make_decider checks a block against the network once; a Workspace holds the memory of one
// thread or stream; decide_window then only computes: no allocation, no lock, no system call.
// Test: decider_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "decide/block.h"
#include "decide/sequence.h"

namespace graupel::decide {

struct Decider {
  Block block;
  std::shared_ptr<const SequenceModel> sequence;  // of the section "hsmm"; nullptr without one
};

// Error kInvalidInput if the block or its HSMM was fitted for another number of classes; those of
// parse_hsmm.
Result<Decider> make_decider(Block block, size_t classes);

struct Workspace {
  std::vector<double> probabilities, scores;
  std::vector<int32_t> order, set;
};
Workspace make_workspace(const Decider& decider);

// What is known of a window beside its logits.
struct WindowContext {
  std::optional<int64_t> group;     // the person, where the block has a word about him
  uint64_t number = 0;              // of the window in its stream: seeds randomised sets
  std::optional<double> threshold;  // instead of the block's (adaptive conformal inference)
};

struct Decision {
  int64_t class_index = 0;   // of the largest calibrated probability, the first of equals
  double probability = 0.0;  // calibrated, of class_index
  bool finite = true;        // false: a logit was NaN or infinite; the set holds every class
  std::span<const double> probabilities;        // calibrated, one per class
  std::optional<std::span<const int32_t>> set;  // most probable first; nullopt: no conformal part
};

// The spans point into `workspace` and are valid until its next use. `logits` has as many entries
// as the block has classes.
Decision decide_window(const Decider& decider, std::span<const float> logits,
                       const WindowContext& context, Workspace& workspace);

// The calibrated probabilities alone: softmax(scale_c logit_c + bias_c). False if a logit is NaN
// or infinite; they are then 1 / classes each.
bool calibrated_probabilities(const Confidence& confidence, std::span<const float> logits,
                              std::optional<int64_t> group, std::span<double> probabilities);

}  // namespace graupel::decide
