// The float network's answers on some windows, and how far an INT8 graph is from them.
// Test: analysis_test.cc.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "ir/graph.h"

namespace graupel::quantize {

struct Reference {
  Tensor windows;               // [N, ...]
  std::vector<Tensor> outputs;  // of the float graph, [N, ...] each
};

// At most `count` of the windows, spread over the set: recordings are sorted by class or time.
Tensor spread_windows(const Tensor& windows, size_t count);
// Of numbers that go with windows, one each, those of the same windows.
std::vector<int64_t> spread_numbers(const std::vector<int64_t>& numbers, size_t count);
// How many windows `work` multiply-adds pay for, within [fewest, most].
size_t affordable_windows(const ir::Graph& device, double work, size_t fewest, size_t most);
// Errors: those of the evaluator; likewise below.
Result<Reference> make_reference(const ir::Graph& device, const Tensor& windows, size_t count);

// Noise power over signal power, the mean over the outputs.
double relative_noise(const std::vector<Tensor>& exact, const std::vector<Tensor>& close);
// That of a QDQ graph in integer arithmetic.
Result<double> output_noise(const ir::Graph& qdq, const Reference& reference);
double noise_db(double noise_over_signal);  // signal to noise; infinity for 0

// The part of a graph that makes `output`, as a graph with that one output.
Result<ir::Graph> prefix_of(const ir::Graph& graph, ir::ValueId output);

}  // namespace graupel::quantize
