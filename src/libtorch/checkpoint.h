// All that a run needs to go on as if it had never stopped, in one file.
//
// Idea: written after every epoch beside the old one and renamed over it, so a kill at any moment
// leaves a whole checkpoint. Random numbers are drawn from the seed and the epoch's number and need
// no place in it. Test: libtorch_test.cc, which resumes and compares weights bit for bit; tests/cli
// kills the command with SIGKILL.
#pragma once

#include <string>
#include <vector>

#include "libtorch/network.h"
#include "train/backend.h"

namespace graupel::libtorch {

struct Checkpoint {
  std::string config;  // train::format_config
  train::WindowShape shape;
  int64_t classes = 0;
  State state;             // at the end of the last epoch
  State averaged;          // empty without averaging
  State best;              // the weights kept so far; empty if they are `state` or `averaged`
  State first, second;     // AdamW's moments of the trained weights
  int64_t steps = 0;       // of the optimizer
  double best_loss = 0.0;  // of validation
  int64_t best_epoch = 0;
  std::vector<train::EpochReport> epochs;
};

Result<void> write_checkpoint(const std::string& path, const Checkpoint& checkpoint);
// Errors: kIo, kCorrupt (not a checkpoint of this version).
Result<Checkpoint> read_checkpoint(const std::string& path);
// The weights a finished run would export.
const State& kept_weights(const Checkpoint& checkpoint);

}  // namespace graupel::libtorch
