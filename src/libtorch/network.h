// The network of train/config.h as libtorch computes it.
//
// Idea: weights are a map from PyTorch's names to tensors and the network is one function over it,
// so that training, refinement with integers, a teacher and the export share the same few lines.
// The order of float operations is that of the exported graph. Test: libtorch_test.cc.
#pragma once

#include <torch/torch.h>

#include <map>
#include <string>

#include "train/backend.h"

namespace graupel::libtorch {

using State = std::map<std::string, at::Tensor>;  // weights and BatchNorm's running statistics

bool is_trained(const std::string& name);  // false: running statistics
// PyTorch's own initialisation (Kaiming uniform with a = sqrt 5), drawn from torch's generator.
Result<State> initial_state(const train::Network& network, train::WindowShape shape,
                            int64_t classes);

struct Forward {
  at::Tensor logits;
  at::Tensor bounded;  // what the FSQ rounds; undefined without FSQ
  at::Tensor digits;   // int64 N x dimensions, from 0; likewise
};
// How the network runs. kRefine: BatchNorm folded into the weights by its running statistics, which
// stay as they are; weights and the tensors named in `forms` rounded as the quantizer does, with
// the gradient passing straight through.
enum class Mode : uint8_t { kLearn, kEvaluate, kRefine, kEvaluateRefined };

struct Run {
  const train::Network& network;
  Mode mode = Mode::kEvaluate;
  const train::IntegerForms* forms = nullptr;  // for the refined modes
};
// x: N x channels x sensors x samples, preprocessed. In kLearn the running statistics of `state`
// change.
Forward forward(const Run& run, State& state, const at::Tensor& x);

// Rounded forward, identity backward.
at::Tensor straight_through(const at::Tensor& rounded, const at::Tensor& value);

// ---- tensors of graupel and of libtorch, copied ----

at::Tensor to_torch(const Tensor& tensor);  // float32
Tensor from_torch(const at::Tensor& tensor);
train::Weights to_weights(const State& state);
State to_state(const train::Weights& weights);

}  // namespace graupel::libtorch
