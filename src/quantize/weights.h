// From a layer's float weights to integers: scales per output channel, codes, bias.
// Test: layers_test.cc, build_qdq_test.cc.
#pragma once

#include <map>
#include <vector>

#include "quantize/layers.h"

namespace graupel::quantize {

// 4-bit weights are int8 with values in [-7, 7]: any ONNX runtime computes with them.
enum class Bits : uint8_t { kFour = 4, kEight = 8, kSixteen = 16 };
// The largest magnitude of a code: 7, 127 or 32767.
double largest_code(Bits bits);

// kMax holds every weight; kMse clips each channel where that lessens its squared error.
enum class WeightRange { kMax, kMse };

struct WeightChoice {
  Bits bits = Bits::kEight;
  std::vector<float> scales;  // per output channel, or one
  std::vector<double> codes;  // whole numbers, flat as the weight tensor
  std::vector<double> bias;   // real units, per output channel; empty: the layer has none
};
// Indexed by NodeId::index().
using WeightChoices = std::map<size_t, WeightChoice>;

// Rounded to nearest. Scales are enlarged where the bias would not fit int32 beside `input_scale`.
// Errors: kInvalidInput naming a node with weights that are NaN or infinite.
Result<WeightChoice> round_weights(const ir::Graph& graph, const Layer& layer, float input_scale,
                                   Bits bits, WeightRange range);
// Codes for given scales, rounded to nearest.
std::vector<double> nearest_codes(const Tensor& weights, int64_t axis,
                                  const std::vector<float>& scales, Bits bits);
// What the integers stand for.
Tensor dequantized_weights(const ir::Graph& graph, const Layer& layer, const WeightChoice& choice);

// Weights of a channel that lies this far below the layer's largest one, and the like.
struct WeightFinding {
  std::string node, what, remedy;
};
// All-zero layers and channels, channels more than a thousandfold larger than the median.
std::vector<WeightFinding> judge_weights(const ir::Graph& graph, const Layer& layer);

}  // namespace graupel::quantize
