// For tests: the HEF a compiler would make of a device part, for the stand-in library. No device
// runs it.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "compile/compile.h"
#include "hef/hef_writer.h"
#include "ir/graph.h"
#include "npu/standin/standin_payload.h"
#include "run/engine.h"

namespace graupel::npu {

struct StandinHefOptions {
  uint32_t header_version = 2;
  uint64_t arch = 1;
  // Windows as the device part takes them, [N, ...]; what crosses gets its range from them.
  Tensor windows;
  std::vector<std::string> output_nodes;  // their names in the float part; empty: the INT8 part's
  bool wide_outputs = false;              // 16 bits whatever the part's own are
};

struct Range {
  double low = 0.0, high = 0.0;
  void take(std::span<const float> values) {
    for (const float value : values) {
      low = std::min(low, static_cast<double>(value));
      high = std::max(high, static_cast<double>(value));
    }
  }
};

// 16 bits over the range.
inline void widen(const Range& range, hef::WrittenStream& stream) {
  stream.data_bytes = 2;
  const double width = std::max(range.high - range.low, 1e-6);
  stream.scale = static_cast<float>(width / 65535.0);
  stream.zero_point = static_cast<float>(std::nearbyint(-range.low / (width / 65535.0)));
  stream.low = static_cast<float>(range.low);
  stream.high = static_cast<float>(range.high);
}

// Scale, zero point and type of the QuantizeLinear that reads `value`, or of the DequantizeLinear
// that makes it, as unsigned integers; else 16 bits over the range.
inline void set_quantization(const ir::Graph& graph, ir::ValueId value, const Range& range,
                             hef::WrittenStream& stream) {
  for (const ir::NodeId id : ir::live_nodes(graph)) {
    const ir::Node& node = graph.node(id);
    const bool in = std::holds_alternative<ir::QuantizeLinear>(node.op) && node.inputs[0] == value;
    const bool out =
        std::holds_alternative<ir::DequantizeLinear>(node.op) && node.outputs[0] == value;
    if (!in && !out) continue;
    const Tensor* const scale = graph.constant(node.inputs[1]);
    if (scale == nullptr || scale->size() != 1) continue;
    const DType dtype = graph.value(in ? node.outputs[0] : node.inputs[0]).dtype;
    int64_t zero = 0;
    if (node.inputs.size() > 2 && graph.constant(node.inputs[2]) != nullptr) {
      zero = graph.constant(node.inputs[2])->to_int64s()[0];
    }
    if (dtype != DType::kInt8 && dtype != DType::kUInt8) continue;
    stream.scale = scale->data<float>()[0];
    stream.zero_point = static_cast<float>(zero + (dtype == DType::kInt8 ? 128 : 0));
    stream.low = -stream.zero_point * stream.scale;
    stream.high = (255.0f - stream.zero_point) * stream.scale;
    return;
  }
  widen(range, stream);
}

inline hef::WrittenStream written_stream(const ir::Graph& graph, ir::ValueId value, size_t index,
                                         const Range& range, bool output) {
  const Shape& shape = *graph.value(value).shape;
  hef::WrittenStream stream;
  stream.output = output;
  stream.name =
      std::string(output ? "net/output_layer" : "net/input_layer") + std::to_string(index + 1);
  stream.features = static_cast<uint64_t>(shape[1]);
  stream.height = shape.size() == 4 ? static_cast<uint64_t>(shape[2]) : 1;
  stream.width = shape.size() > 2 ? static_cast<uint64_t>(shape.back()) : 1;
  stream.format = shape.size() == 2 ? 2 : 1;
  for (const ir::Node& node : graph.nodes) {
    const bool makes =
        std::find(node.outputs.begin(), node.outputs.end(), value) != node.outputs.end();
    if (output && makes && !node.dead) stream.original_names = {node.name};
  }
  set_quantization(graph, value, range, stream);
  return stream;
}

// `device_int8` is the bundle's device_int8.onnx, of one input.
inline Result<std::string> standin_hef(const ir::Graph& device_int8,
                                       const StandinHefOptions& options) {
  TRY_ASSIGN(const run::Plan plan, compile::compile_plan({}, device_int8, {}));
  TRY_ASSIGN(const run::Engine engine, run::load_engine(plan));
  TRY_ASSIGN(const std::vector<Tensor> answers, run::run_windows(engine, options.windows));
  hef::WrittenFile file;
  file.arch = options.arch;
  file.compiler = "STAND-IN";
  Range given;
  given.take(options.windows.data<float>());
  std::vector<hef::Message> edges;
  std::vector<std::string> order;
  edges.push_back(
      hef::edge_message(written_stream(device_int8, device_int8.inputs[0], 0, given, false)));
  for (size_t i = 0; i < device_int8.outputs.size(); ++i) {
    Range range;
    range.take(answers[i].data<float>());
    hef::WrittenStream stream = written_stream(device_int8, device_int8.outputs[i], i, range, true);
    if (i < options.output_nodes.size()) stream.original_names = {options.output_nodes[i]};
    if (options.wide_outputs) widen(range, stream);
    edges.push_back(hef::edge_message(stream));
    order.push_back(stream.name);
  }
  file.groups = {hef::group_message("net", {edges}, order)};
  // The field of the compiler's own data, which every reader skips.
  const std::string payload =
      hef::Message().text(3, standin_payload(run::format_plan(plan))).bytes();
  return hef::wrap_hef(options.header_version, hef::hef_protobuf(file) + payload,
                       std::string(800, 'c'));
}

}  // namespace graupel::npu
