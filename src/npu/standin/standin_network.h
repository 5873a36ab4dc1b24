// What the stand-in library computes: the plan a HEF for it carries, on this machine's CPU, with
// frames in the HEF's integers. Quantising is written out here anew, in double, so that a mistake
// in frames.cc shows.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "hef/hef.h"
#include "npu/standin/standin_payload.h"
#include "run/engine.h"

namespace graupel::npu {

struct StandinNetwork {
  std::vector<hef::Stream> inputs, outputs;
  std::optional<run::Engine> engine;  // inputs and outputs in the same order
};

// Nothing if the bytes carry no plan.
inline std::optional<StandinNetwork> standin_network(std::string_view hef_bytes) {
  const std::string_view plan_bytes = standin_plan(hef_bytes);
  if (plan_bytes.empty()) return std::nullopt;
  Result<hef::Hef> hef = hef::read_hef(hef_bytes);
  Result<run::Plan> plan = run::parse_plan(plan_bytes);
  if (!hef.ok() || !plan.ok() || hef->groups.size() != 1) return std::nullopt;
  Result<run::Engine> engine =
      run::load_engine(*std::move(plan), {.isa = {}, .inputs = run::EngineInputs::kTensors});
  if (!engine.ok()) return std::nullopt;
  return StandinNetwork{hef->groups[0].inputs, hef->groups[0].outputs, *std::move(engine)};
}

inline uint64_t level(const uint8_t* frame, size_t index, uint64_t element_bytes) {
  if (element_bytes == 1) return frame[index];
  uint16_t value = 0;
  std::memcpy(&value, frame + 2 * index, 2);
  return value;
}

// A frame [H][W][C] of the stream to a tensor [1, C, ...].
inline Tensor standin_tensor(const std::vector<uint8_t>& frame, const hef::Stream& stream,
                             const Shape& shape) {
  Tensor tensor(DType::kFloat32, shape);
  const size_t channels = stream.features, inner = stream.height * stream.width;
  for (size_t i = 0; i < inner; ++i) {
    for (size_t c = 0; c < channels; ++c) {
      const auto q =
          static_cast<double>(level(frame.data(), i * channels + c, stream.element_bytes));
      tensor.mutable_data<float>()[c * inner + i] =
          static_cast<float>((q - stream.quantization.zero_point) * stream.quantization.scale);
    }
  }
  return tensor;
}

inline std::vector<uint8_t> standin_frame(const Tensor& tensor, const hef::Stream& stream) {
  std::vector<uint8_t> frame(tensor.size() * stream.element_bytes);
  const size_t channels = stream.features, inner = stream.height * stream.width;
  const double highest = stream.element_bytes == 1 ? 255.0 : 65535.0;
  for (size_t i = 0; i < inner; ++i) {
    for (size_t c = 0; c < channels; ++c) {
      const double value = tensor.data<float>()[c * inner + i];
      const double q =
          std::nearbyint(value / stream.quantization.scale + stream.quantization.zero_point);
      const auto stored = static_cast<uint16_t>(std::fmin(std::fmax(q, 0.0), highest));
      uint8_t* const at = frame.data() + (i * channels + c) * stream.element_bytes;
      if (stream.element_bytes == 1) {
        *at = static_cast<uint8_t>(stored);
      } else {
        std::memcpy(at, &stored, 2);
      }
    }
  }
  return frame;
}

// One frame per input to one per output; empty if they do not fit.
inline std::vector<std::vector<uint8_t>> standin_infer(
    StandinNetwork& network, const std::vector<std::vector<uint8_t>>& frames) {
  const run::Plan& plan = run::plan_of(*network.engine);
  if (plan.inputs.size() != frames.size() || plan.outputs.size() != network.outputs.size())
    return {};
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < frames.size(); ++i) {
    const Shape& shape = plan.buffers[plan.inputs[i].buffer.index()].shape;
    const auto values = static_cast<size_t>(element_count(shape).value_or(0));
    if (frames[i].size() != values * network.inputs[i].element_bytes) return {};
    inputs.push_back(standin_tensor(frames[i], network.inputs[i], shape));
  }
  if (!run::run_tensors(*network.engine, inputs).ok()) return {};
  std::vector<std::vector<uint8_t>> answers;
  for (size_t i = 0; i < network.outputs.size(); ++i) {
    answers.push_back(standin_frame(run::output_tensor(*network.engine, i), network.outputs[i]));
  }
  return answers;
}

}  // namespace graupel::npu
