// Graphs and windows for the quantiser's tests.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/files.h"
#include "base/rng.h"
#include "cut/cut.h"
#include "data/synth.h"
#include "ir/testing.h"
#include "onnx/onnx.h"
#include "simplify/simplify.h"

namespace graupel::quantize {

inline ir::Graph body(const std::string& text) {
  return ir::graph_of("graph g opset 17 ir 8 {\n" + text + "\n}\n");
}

inline Tensor random_tensor(uint64_t seed, Shape shape, double scale = 1.0) {
  Rng rng(seed);
  Tensor tensor(DType::kFloat32, std::move(shape));
  for (float& value : tensor.mutable_data<float>()) {
    value = static_cast<float>(scale * rng.normal());
  }
  return tensor;
}

// The constant `name` replaced by random numbers of its shape.
inline void randomize(ir::Graph& graph, const std::string& name, uint64_t seed) {
  const std::optional<ir::ValueId> id = ir::find_value(graph, name);
  ASSERT_TRUE(id);
  graph.value(*id).constant = random_tensor(seed, graph.shape(*id), 0.5);
}

inline ir::Graph shipped_model() {
  Result<ir::Graph> graph = onnx::read_model(GRAUPEL_SOURCE_DIR "/models/fsq_imu_synthetic.onnx");
  EXPECT_TRUE(graph.ok());
  return graph.ok() ? std::move(graph).value() : ir::Graph();
}

// What the NPU computes of the shipped model: all in front of Round.
inline ir::Graph shipped_device() {
  const Result<simplify::Simplified> simplified = simplify::simplify(shipped_model());
  EXPECT_TRUE(simplified.ok());
  std::vector<bool> supported;
  for (const ir::Node& node : simplified->graph.nodes) {
    supported.push_back(ir::op_type(node.op) != "Round");
  }
  Result<cut::Cut> result = cut::cut(simplified->graph, supported, {});
  EXPECT_TRUE(result.ok());
  return result->device;
}

// Windows of the generator, z-scored as in training unless `raw`.
enum class Units { kZScored, kRaw };
inline Tensor shipped_windows(int64_t count, Units units = Units::kZScored) {
  data::SynthOptions options;
  options.windows = count;
  if (units == Units::kZScored) {
    const Result<std::string> json =
        read_file(GRAUPEL_SOURCE_DIR "/models/fsq_imu_synthetic.normalization.json");
    EXPECT_TRUE(json.ok());
    options.normalization = data::parse_normalization(*json).value();
  }
  return data::synth_windows(options).value().windows;
}

}  // namespace graupel::quantize
