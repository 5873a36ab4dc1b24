// Batches of augmented, preprocessed windows in a drawn order. Test: libtorch_test.cc.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "train/backend.h"

namespace graupel::libtorch {

struct Batch {
  at::Tensor windows;  // N x channels x sensors x samples, as the network takes them
  at::Tensor labels;   // int64 N
};

// The order of epoch `epoch`: each window once, the same for the same seed.
std::vector<size_t> shuffled(size_t count, uint64_t seed, int64_t epoch);
// Windows `first` to `last` (excluded) of `order`. What is drawn for a window depends on the seed,
// the epoch and the window alone, so it is the same however batches are cut and wherever a run
// was resumed.
Result<Batch> make_batch(const train::TrainingSet& set, const train::Config& config, int64_t epoch,
                         const std::vector<size_t>& order, size_t first, size_t last);
// Windows `first` to `last` of a split, preprocessed and not augmented.
Result<Batch> plain_batch(const train::TrainingSet& set, const train::LabelledWindows& split,
                          size_t first, size_t last);

}  // namespace graupel::libtorch
