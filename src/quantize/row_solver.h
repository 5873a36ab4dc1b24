// Integers for one row of weights: least squared error of its sums on the calibration windows.
//
// Idea: with H the covariance of what the row meets (quantised inputs) and c its covariance with
// the float sums, the error of weights v is v'Hv - 2v'c + const. So learning needs H and c alone,
// not the windows. Every solver is deterministic.
// Reference: Nagel et al. 2020, AdaRound (arXiv 2004.10568); Hubara et al. 2020, AdaQuant (arXiv
// 2006.10518); Kingma and Ba 2014, Adam. Test: layers_test.cc.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace graupel::quantize {

struct RowProblem {
  std::span<const float> covariance;  // H, [depth][depth]
  std::span<const float> wanted;      // c, [depth]
  std::span<const double> weights;    // float, [depth]
  double scale = 1.0;
  double largest_code = 127.0;
};

// v'Hv - 2v'c of codes times scale: comparable between codes of one problem.
double row_cost(const RowProblem& problem, std::span<const double> codes);

std::vector<double> solve_nearest(const RowProblem& problem);
// Soft rounding up or down learned with Adam, pushed to a decision: AdaRound.
std::vector<double> solve_adaround(const RowProblem& problem, size_t iterations);
// Continuous weights learned with Adam through the rounding (straight-through): AdaQuant.
std::vector<double> solve_finetune(const RowProblem& problem, size_t iterations);
// Changes single codes by one while that lessens the cost; at most `sweeps` times over the row.
std::vector<double> polish(const RowProblem& problem, std::vector<double> codes, size_t sweeps);

}  // namespace graupel::quantize
