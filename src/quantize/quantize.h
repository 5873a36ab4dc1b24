// Post-training INT8: from a float device graph and calibration windows to a standard QDQ graph.
//
// Idea: decide which tensors are stored as INT8 (points), watch their values on the calibration
// windows, choose a scale for each, and write QuantizeLinear/DequantizeLinear pairs around them.
// The arithmetic is that of docs/formats/int8.md. Reference: ONNX QuantizeLinear/DequantizeLinear;
// Nagel et al. 2021 (arXiv 2106.08295). Test: quantize_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "ir/graph.h"

namespace graupel::quantize {

enum class Scheme {
  kSymmetric,   // int8 with zero point 0; uint8 with zero point 0 for tensors that are never
                // negative
  kAsymmetric,  // uint8 with a zero point
};
// kMse counts the error of a tensor itself or, where only elementwise functions read it (tanh in
// front of FSQ, SiLU), the error behind them.
enum class Calibrator { kMinMax, kPercentile, kMse, kEntropy };
std::string_view to_string(Scheme scheme);
std::string_view to_string(Calibrator calibrator);
std::optional<Scheme> parse_scheme(std::string_view name);
std::optional<Calibrator> parse_calibrator(std::string_view name);

inline constexpr int64_t kMinimumWindows = 64;
inline constexpr int64_t kFewWindows = 100;
inline constexpr int64_t kRecommendedWindows = 1000;

struct QuantizeOptions {
  Scheme scheme = Scheme::kSymmetric;
  Calibrator calibrator = Calibrator::kMse;
  double percentile = 99.99;    // of the values, for kPercentile
  int64_t noise_windows = 128;  // how many calibration windows the noise table is measured on
};

// One tensor stored as INT8.
struct Point {
  std::string value;  // tensor name in the float graph
  DType dtype = DType::kInt8;
  float scale = 1.0f;
  int32_t zero_point = 0;
  double minimum = 0.0, maximum = 0.0;  // observed on the calibration windows
};

// How much a layer loses, everything quantised, seen at the layer's output.
struct LayerNoise {
  std::string node;  // the operator whose result the tensor is
  std::string type;
  std::string value;
  double snr_db = 0.0;  // 10 log10(signal power / noise power); infinity if exact
  double minimum = 0.0, maximum = 0.0;
  double saturated_percent = 0.0;  // values outside what the scale can hold
  float scale = 1.0f;
  int32_t zero_point = 0;
};

struct Quantized {
  ir::Graph graph;  // QDQ; inputs and outputs keep name, type and shape of the float graph
  std::vector<Point> points;
  // Worst first. A tensor that only elementwise functions read is judged behind them.
  std::vector<LayerNoise> noise;
};

// `windows` is float32 [N, ...] for the graph's one input [1, ...]; N >= kMinimumWindows.
// Errors: kInvalidInput for too few or malformed windows, kUnsupported naming a node that has no
// INT8 form (a graph that check passed has none).
Result<Quantized> quantize(const ir::Graph& device, const Tensor& windows,
                           const QuantizeOptions& options);

}  // namespace graupel::quantize
