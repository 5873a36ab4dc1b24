// Post-training INT8: from a float device graph and calibration windows to a standard QDQ graph.
//
// Idea: decide which tensors are stored as INT8 (points), watch their values on the calibration
// windows, choose a scale for each, and write QuantizeLinear/DequantizeLinear pairs around them.
// The arithmetic is that of docs/formats/int8.md. Reference: ONNX QuantizeLinear/DequantizeLinear;
// Nagel et al. 2021 (arXiv 2106.08295). Test: quantize_test.cc.
#pragma once

#include <cstdint>
#include <map>
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
// kMseChannel weighs every channel's error by that channel's power, so that quiet channels count.
// kMovingAverage follows the windows' extremes as ONNX Runtime's does.
// kOutput tries percentile, mse and minmax for each tensor and keeps what gives the least noise at
// the network's outputs; without a level (kRoundOnly) it is percentile.
enum class Calibrator {
  kMinMax,
  kMovingAverage,
  kPercentile,
  kMse,
  kMseChannel,
  kEntropy,
  kOutput,
};
// How the range of one tensor is found.
struct Observer {
  Calibrator calibrator = Calibrator::kPercentile;
  double percentile = 99.99;  // of the values, for kPercentile and kOutput
  bool operator==(const Observer&) const = default;
};
std::string_view to_string(Scheme scheme);
std::string_view to_string(Calibrator calibrator);
std::optional<Scheme> parse_scheme(std::string_view name);
std::optional<Calibrator> parse_calibrator(std::string_view name);

inline constexpr int64_t kMinimumWindows = 64;
inline constexpr int64_t kLearningWindows = 256;
inline constexpr int64_t kFullLearningWindows = 1024;
inline constexpr int64_t kFewWindows = 100;
inline constexpr int64_t kRecommendedWindows = 1000;

// What is done beyond choosing scales; each level includes those below. The names mean what the
// vendor's optimisation levels mean to their users.
//   0 equalisation   1 bias correction   2 finetuning   3 AdaRound   4 AdaRound long, best of all
// kRoundOnly is for comparisons: scales and rounding to nearest, nothing else.
inline constexpr int kRoundOnly = -1;
inline constexpr int kHighestLevel = 4;
// Windows a level needs: 64, 64, 1024, 256, 1024.
int64_t windows_needed(int level);

// Scales decided elsewhere, by quantisation-aware training for one: tensors and layers named as in
// the float graph. What is named here is not chosen again.
struct Encoding {
  DType dtype = DType::kInt8;  // int8, uint8; int16, uint16 for a tensor kept in 16 bits
  float scale = 1.0f;
  int32_t zero_point = 0;
  bool operator==(const Encoding&) const = default;
};
struct LayerEncoding {
  int bits = 8;
  std::vector<float> scales;  // per output channel, or one; codes reach 2^(bits - 1) - 1
  bool operator==(const LayerEncoding&) const = default;
};
struct Encodings {
  std::map<std::string, Encoding> tensors;
  std::map<std::string, LayerEncoding> layers;
  bool empty() const { return tensors.empty() && layers.empty(); }
  bool operator==(const Encodings&) const = default;
};

// What `automatic` quantisation tries to reach, on calibration windows. The first two hold for
// every network, the others where there is a host part that makes logits, rounds, or has labels.
struct Goals {
  double output_snr_db = 25.0;  // at the graph's outputs
  double layer_snr_db = 10.0;   // at the worst layer
  double logits_snr_db = 25.0;
  double agreement_percent = 99.5;  // of the largest logit
  double digits_changed_percent = 2.0;
  double macro_f1_drop_points = 0.3;
};

struct QuantizeOptions {
  int level = 1;
  std::optional<Goals> goals;  // for those who choose between quantize() and the automatic one
  // This share of the layers, those that bear it best, gets 4-bit weights; in [0, 1].
  double four_bit_share = 0.0;
  // In place of a share: the layers (node names).
  std::optional<std::vector<std::string>> four_bit_layers;
  // Layers (node names) that compute in 16 bits: weights, input and output.
  std::vector<std::string> wide_layers;
  // Tensors that only a function in front of the network's end reads (tanh before an FSQ) are kept
  // in 16 bits where the layer in front is a small part of the work.
  bool wide_ends = true;
  // Graph outputs that the host rounds to whole numbers: their scale is chosen so that no threshold
  // of the rounding falls together with an INT8 code.
  std::vector<std::string> rounded_outputs;
  Encodings given;
  bool equalization = true;  // without it the scales fit the float network as it is
  std::map<std::string, Observer> observers;  // of tensors that do not share the common one
  Scheme scheme = Scheme::kSymmetric;
  Calibrator calibrator = Calibrator::kOutput;
  double percentile = 99.99;    // of the values, for kPercentile
  int64_t noise_windows = 128;  // how many calibration windows the noise table is measured on
  // What follows the device part, its first output being logits: sensitivity is measured there.
  // Empty: at the device part's own outputs.
  ir::Graph host;
  int64_t sensitivity_windows = 1024;  // at most; large networks are seen on fewer; 0: none
  // Who each window is of; empty: not known. Steps are judged on people they were not chosen on.
  std::vector<int64_t> groups;
  std::vector<int64_t> labels;  // the class of each window; empty: not known
};

// One tensor stored as integers.
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

// What one layer alone does to the answers: its weights and its output quantised, all else float.
// The network's input is a layer without weights, of type "input".
struct LayerSensitivity {
  std::string node, type;
  double output_snr_db = 0.0;    // at the device part's outputs
  double divergence_nats = 0.0;  // mean KL(float || this layer quantised) of the softmaxed logits
};

// One thing that was tried: seen at the outputs, on calibration windows held out of the choice.
struct LevelStep {
  std::string what;
  double snr_before_db = 0.0, snr_after_db = 0.0;
  bool kept = false;            // what does not gain beyond chance is undone
  double gain_in_errors = 0.0;  // mean gain over its standard error; 0: not known
  std::string cost = {};        // what keeping it costs the device; empty: nothing
};

// What is odd about a layer, and what to do.
struct LayerFinding {
  std::string node, what, remedy;
};

// How a layer's weights are stored, and what is proved about its sums.
struct LayerWeights {
  std::string node, type;
  int bits = 8;
  int64_t weights = 0;      // how many
  int64_t largest_sum = 0;  // no input makes a sum beyond this; 0: not summed in int32
  int64_t sums = 0;         // looked at on calibration windows,
  int64_t ties = 0;         // of which so many lie exactly between two output codes
  std::vector<float> scales;
};

struct Quantized {
  ir::Graph graph;  // QDQ; inputs and outputs keep name, type and shape of the float graph
  std::vector<Point> points;
  // Worst first. A tensor that only elementwise functions read is judged behind them.
  std::vector<LayerNoise> noise;
  std::vector<LayerSensitivity> sensitivity;  // worst first
  std::vector<LevelStep> steps;
  std::vector<LayerWeights> layers;  // in node order
  std::vector<LayerFinding> findings;
  // On calibration windows: at the outputs, and what becomes of the host's answers.
  double output_snr_db = 0.0;
  std::optional<double> logits_snr_db, agreement_percent;
  std::optional<double> digits_changed_percent;  // of the outputs that the host rounds
  std::optional<double> macro_f1_drop_points;    // percentage points lost by INT8
  std::vector<double> held_out_noise;            // by block of windows that no choice was made on
  bool equalized = false;  // the scales fit an equalised network, not the float one as it was
};

// Points and layers in the form that `given` takes.
Encodings encodings_of(const Quantized& quantized);

// `windows` is float32 [N, ...] for the graph's one input [1, ...]; N >= kMinimumWindows.
// Errors: kInvalidInput for windows that are malformed or fewer than the level needs, for a layer
// in wide_layers that is not there, kUnsupported naming a node that has no INT8 form (a graph that
// check passed has none).
Result<Quantized> quantize(const ir::Graph& device, const Tensor& windows,
                           const QuantizeOptions& options);

// quantize(), again and again: until the goals are met, the observer is changed or precision raised
// where the noise is, cheapest first. Each try is in `steps`, with what keeping it costs. It is
// kept if windows held out gain beyond chance, or if the goals in all come nearer and they do not
// lose. What came nearest is the result, whether or not it is enough. With scales given nothing is
// tried. Errors: those of quantize().
Result<Quantized> quantize_automatically(const ir::Graph& device, const Tensor& windows,
                                         const QuantizeOptions& options, const Goals& goals);
// The same judgement: what the goals still miss, in words; empty if nothing.
std::string missed_goals(const Quantized& quantized, const Goals& goals);

}  // namespace graupel::quantize
