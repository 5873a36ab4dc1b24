// Names of the network's nodes, tensors and weights: what the export writes and what
// quantization-aware training looks up, in one place.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

namespace graupel::train {

inline constexpr const char* kInputName = "imu";
inline constexpr const char* kOutputName = "behavior_logits";
inline constexpr const char* kPoolNode = "/pool/GlobalPool";
inline constexpr const char* kFlattenNode = "/Flatten";
inline constexpr const char* kProjectNode = "/project/Gemm";
inline constexpr const char* kHiddenNode = "/head.hidden/Gemm";
inline constexpr const char* kHiddenReluNode = "/head.hidden/Relu";
inline constexpr const char* kLogitsNode = "/head.output/Gemm";

// The tensor a node makes, as PyTorch's exporter calls it.
inline std::string tensor_of(const std::string& node) { return node + "_output_0"; }
inline std::string layer_node(size_t layer, const char* rest) {
  return fmt::format("/encoder.{}/{}", layer, rest);
}
inline std::string layer_weight(size_t layer, const char* rest) {
  return fmt::format("encoder.{}.{}", layer, rest);
}
inline std::string fsq_node(const char* rest) { return fmt::format("/fsq/{}", rest); }

}  // namespace graupel::train
