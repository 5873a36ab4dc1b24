// What the training loop is given and what it gives back; the loop itself is in src/libtorch.
//
// Idea: libtorch takes half a second to load, so the command does not link it. The loop is a module
// beside the command, graupel_libtorch.so, opened by the first call that needs it; where the build
// had no libtorch there is no such file, and the error says which package brings it. This room
// knows no type of libtorch. Test: backend_test.cc; the loop's in src/libtorch.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "train/config.h"
#include "train/training_set.h"

namespace graupel::train {

using Weights = std::map<std::string, Tensor>;  // by PyTorch's names: "encoder.0.conv.weight"

// How one tensor is held as integers: real = scale * (stored - zero_point).
struct IntegerForm {
  double scale = 1.0;
  int64_t zero_point = 0;
  int64_t lowest = -128, highest = 127;
  bool operator==(const IntegerForm&) const = default;
};
// Codes of a layer's weights reach 2^(bits - 1) - 1 either way.
struct WeightForm {
  int64_t bits = 8;
  std::vector<double> scales;  // one per output channel, or one for all
  bool operator==(const WeightForm&) const = default;
};
struct IntegerForms {
  std::map<std::string, IntegerForm> tensors;  // by tensor name of the exported graph
  // By node name. A layer that is not named and whose answer is an integer gets 8 bits, and scales
  // that follow its weights: the largest of each output channel is 127.
  std::map<std::string, WeightForm> layers;
};

// Of the FSQ over the validation windows, or else over the augmented training windows.
struct CodeUsage {
  int64_t codes = 0;          // different ones that occur
  double perplexity = 0.0;    // exp(entropy) of the codes
  double least_digits = 0.0;  // over the dimensions: smallest share of its levels that occur
};

struct EpochReport {
  int64_t epoch = 0;  // from 1
  double learning_rate = 0.0;
  double train_loss = 0.0, train_accuracy_percent = 0.0;  // on augmented windows, while learning
  std::optional<double> validation_loss, validation_accuracy_percent;
  std::optional<CodeUsage> usage;
  bool best = false;  // these weights are the ones kept so far
};

struct StepReport {
  int64_t epoch = 0, epochs = 0, step = 0, steps = 0;  // step: within the epoch
  double loss = 0.0;
  const EpochReport* finished = nullptr;  // set when the epoch has just ended
};

struct Job {
  Config config;
  const TrainingSet* set = nullptr;
  int threads = 1;
  std::string checkpoint;             // file, rewritten after every epoch; empty: none
  bool resume = false;                // go on from `checkpoint` if it is there
  std::string teacher;                // a checkpoint to distil from, or empty
  std::string initial;                // a checkpoint whose weights to start from, or empty
  std::optional<IntegerForms> forms;  // quantization-aware training; needs `initial`
};

struct Outcome {
  Weights weights;
  std::vector<EpochReport> epochs;  // all, those before a resumption included
  bool stopped_early = false;
};

struct Answers {
  Tensor logits;   // N x classes
  Tensor bounded;  // N x dimensions: what the FSQ rounds; empty without FSQ
};

using Progress = std::function<void(const StepReport&)>;

struct Backend {
  Result<Outcome> (*train)(const Job& job, const Progress& progress) = nullptr;
  // The network on windows that are preprocessed already, in evaluation mode.
  Result<Answers> (*answer)(const Network& network, const Weights& weights,
                            const Tensor& windows) = nullptr;
};

inline constexpr const char* kModuleName = "graupel_libtorch.so";
inline constexpr const char* kModuleEntry = "graupel_libtorch_backend";
// Opens the module in `folder`. Error kDevice: there is none, or libtorch does not load.
Result<Backend> load_backend(const std::string& folder);
// The folder of the running command.
std::string command_folder();

}  // namespace graupel::train
