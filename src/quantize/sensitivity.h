// One layer quantised at a time, seen at the answers. Test: analysis_test.cc.
#pragma once

#include <optional>

#include "quantize/levels.h"

namespace graupel::quantize {

// What the host makes of the device part's outputs, or those themselves.
struct Answers {
  Tensor logits;            // [N, classes]
  bool are_logits = false;  // of the host's first output, one number per class
};
// `outputs` as evaluate_windows gives them for `device`. Errors: those of evaluating the host.
Result<Answers> answers_of(const ir::Graph& device, const std::vector<Tensor>& outputs,
                           const ir::Graph& host);

// Mean over windows of KL(softmax(exact) || softmax(close)), in nats; rows are windows.
double mean_divergence(const Tensor& exact, const Tensor& close);

// Worst first. Measured, not estimated: gradient and weight-norm scores rank layers worse.
Result<std::vector<LayerSensitivity>> measure_sensitivity(const Optimised& done,
                                                          const Tensor& windows,
                                                          const QuantizeOptions& options);

}  // namespace graupel::quantize
