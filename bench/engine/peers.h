// Other engines on the same network, each through its C or C++ interface with buffers bound
// before, one thread. A peer that cannot be used says why.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/tensor.h"

namespace graupel::bench {

struct Peer {
  std::string name;           // with its version, where it tells
  std::string skipped;        // why, or empty
  std::function<void()> run;  // once, from the bound input to the bound output
  std::vector<float> output;  // of the last run, if the engine computes the same network
};

struct PeerTask {
  std::string model_path;  // QDQ ONNX, float32 in and out
  Shape input_shape;
  std::vector<float> input;
  std::string output_name;
  int64_t outputs = 10;  // float32 values per batch entry
};

// Python wheels unpacked here: site-packages of the virtual environment, or empty.
Peer onnx_runtime(const PeerTask& task, const std::string& packages);
Peer open_vino(const PeerTask& task, const std::string& packages);
// Primitives called directly, weights at random: what the arithmetic costs there. kSquares for 3x3.
enum class Example { kRows, kSquares };
Peer one_dnn(Example example, int64_t batch);

// The one file in `folder` whose name starts with `prefix`, or empty.
std::string find_library(const std::string& folder, const std::string& prefix);

}  // namespace graupel::bench
