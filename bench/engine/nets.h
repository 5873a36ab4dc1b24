// Networks for the engine's benchmark, made by script: QDQ graphs with random int8 weights whose
// scales keep activations spread over their bytes, as training would leave them.
//
// Idea: a layer's sum has a standard deviation of sqrt(taps) * that of a product; the scale of the
// weights is chosen so that this becomes a quarter of the byte range. Activations are uint8
// throughout, the form that other runtimes are fastest with.
#pragma once

#include <string>
#include <vector>

#include "base/rng.h"
#include "ir/graph.h"

namespace graupel::bench {

struct Net {
  std::string name;
  ir::Graph graph;
  Shape input;  // float32
  float logit_scale = 1.0f;
};

// The example network of three convolutions on 1x9x2x100: kernels (1,7), (1,5), (1,3), or 3x3.
enum class Kernels { kRows, kSquares };
Net example(Kernels kernels, int64_t batch);
Net resnet18();      // 3x224x224, 1.8 G multiply-adds
Net resnet50();      // 3x224x224, 4.1 G multiply-adds
Net mobilenet_v2();  // 3x224x224, 0.3 G multiply-adds

std::vector<float> random_window(const Shape& shape, uint64_t seed);

}  // namespace graupel::bench
