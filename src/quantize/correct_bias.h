// Bias correction: rounding shifts the mean of a layer's sums; the bias takes the shift back.
//
// Reference: Nagel et al. 2019 (arXiv 1906.04721), section 4.2; Finkelstein et al. 2019
// (arXiv 1906.03193). Test: levels_test.cc.
#pragma once

#include "quantize/build_qdq.h"
#include "quantize/observe.h"

namespace graupel::quantize {

// Analytic: (Ŵ - W) E[x] from the input's channel means, all layers at once. Only layers whose
// columns are known and that can take a bias; so below.
void correct_biases_analytically(const ir::Graph& device, const Points& points,
                                 const std::vector<ChannelStats>& seen, Choices& choices);

// Empirical: layer by layer, the difference of the means of float and quantised sums, with
// everything in front of the layer quantised and corrected already; over all of `windows`. With
// `noise_of` a layer keeps its correction only if that grows smaller by it.
// Errors: those of building and evaluating the graphs.
Result<void> correct_biases_empirically(const ir::Graph& device, const Points& points,
                                        const Tensor& windows, const NoiseOf& noise_of,
                                        Choices& choices);

}  // namespace graupel::quantize
