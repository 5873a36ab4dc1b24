// Finetuning a quantised network as a whole: the float network teaches its answers.
//
// Idea: the QDQ graph as it will be shipped answers a batch of calibration windows; what its
// outputs and the host's logits are off goes back through it (gradients.h) to the weights' codes
// and the biases, which Adam moves as real numbers behind the rounding. Reference: Hinton et al.
// 2015 (arXiv 1503.02531), distillation; Bengio et al. 2013 (arXiv 1308.3432). Test:
// finetune_test.cc.
#pragma once

#include <string>

#include "quantize/build_qdq.h"

namespace graupel::quantize {

struct FinetuneOptions {
  size_t steps = 200;
  size_t batch = 16;
  double rate = 0.003;  // of Adam, in codes per step; falls to zero
};

struct Finetuned {
  size_t steps = 0, layers = 0;
  std::string left_out;    // why nothing was done, naming the node; empty: it was
  std::string without_kl;  // why the logits could not teach; empty: they did
};

// Changes codes and biases in `choices` of the 8- and 4-bit layers. The loss is the relative
// squared error at the device part's outputs and, where the host leads to logits and every operator
// on the way has a gradient, the divergence KL(float || quantised) of their softmax: each over its
// value at the start. `host`: as in QuantizeOptions. Errors: those of the graphs.
Result<Finetuned> finetune(const ir::Graph& device, const Points& points, const ir::Graph& host,
                           const Tensor& windows, const FinetuneOptions& options, Choices& choices);

}  // namespace graupel::quantize
