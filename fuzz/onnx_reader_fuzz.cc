// The ONNX reader on arbitrary bytes; what it accepts has to be written without a crash.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "onnx/onnx.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  graupel::onnx::ReadOptions options;
  options.rule = graupel::ir::ShapeRule::kMayBeUnknown;
  options.opaque = graupel::onnx::OpaquePolicy::kKeep;
  const graupel::Result<graupel::ir::Graph> graph = graupel::onnx::parse_model(bytes, options);
  if (graph.ok()) (void)graupel::onnx::format_model(*graph).ok();
  (void)graupel::onnx::summarize_bytes(bytes).ok();
  (void)graupel::onnx::parse_tensor(bytes).ok();
  return 0;
}
