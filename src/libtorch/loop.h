// The training loop. Test: libtorch_test.cc.
#pragma once

#include "libtorch/network.h"
#include "train/backend.h"

namespace graupel::libtorch {

// See train/backend.h. Throws what libtorch throws; backend_entry.cc makes errors of it.
Result<train::Outcome> run_training(const train::Job& job, const train::Progress& progress);

// Share of the highest learning rate at optimizer step `step` of `steps`.
double schedule_factor(const train::Optimization& run, int64_t step, int64_t steps);
// Mean 1 over the windows; a class without windows gets 0.
std::vector<float> class_weights(const std::vector<int64_t>& labels, int64_t classes);
// digits: int64 N x dimensions.
train::CodeUsage code_usage(const at::Tensor& digits, const std::vector<int64_t>& levels);

}  // namespace graupel::libtorch
