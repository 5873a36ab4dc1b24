// A HEF's streams as the device's thread takes them. See hef_device.h. Test: hef_device_test.cc.
#include "npu/hef_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace graupel::npu {
namespace {

constexpr uint64_t kOutputScalePerFeature = 25;  // an extension of the file

bool one_scale(const hef::Quantization& q) {
  const auto same = [](const std::vector<double>& values, float scalar) {
    return std::all_of(values.begin(), values.end(),
                       [&](double v) { return static_cast<float>(v) == scalar; });
  };
  return same(q.scales, q.scale) && same(q.zero_points, q.zero_point);
}

Result<FrameLayout> layout_of(const hef::Stream& stream, bool scale_per_feature) {
  if (stream.nms)
    return unsupported(stream.name, "gives boxes of NMS, which graupel does not read");
  const bool plain = stream.host_order == "NHWC" || stream.host_order == "NC" ||
                     stream.host_order == "NHW" || stream.host_order == "FCR" ||
                     stream.host_order == "F8CR";
  if (!plain) {
    return unsupported(stream.name,
                       "has the order " + stream.host_order + "; graupel makes images and vectors");
  }
  if (scale_per_feature && !one_scale(stream.quantization)) {
    return unsupported(stream.name, "has a scale per feature; one per stream is needed");
  }
  FrameLayout layout;
  layout.height = static_cast<int64_t>(std::max<uint64_t>(stream.height, 1));
  layout.width = static_cast<int64_t>(std::max<uint64_t>(stream.width, 1));
  layout.channels = static_cast<int64_t>(std::max<uint64_t>(stream.features, 1));
  layout.element_bytes = static_cast<int>(stream.element_bytes);
  layout.scale = stream.quantization.scale;
  layout.zero_point = stream.quantization.zero_point;
  if (stream.direction == hef::Direction::kInput) {
    layout.low = stream.quantization.limit_low;
    layout.high = stream.quantization.limit_high;
  }
  return layout;
}

Result<void> add_streams(const std::vector<hef::Stream>& streams, bool scale_per_feature,
                         std::vector<Stream>& named, std::vector<FrameLayout>& layouts) {
  for (const hef::Stream& stream : streams) {
    TRY_ASSIGN(const FrameLayout layout, layout_of(stream, scale_per_feature));
    named.push_back({stream.name, frame_bytes(layout), layout.element_bytes});
    layouts.push_back(layout);
  }
  if (named.empty()) return unsupported("HEF", "has no inputs or no outputs");
  return ok();
}

}  // namespace

Result<HefDevice> hef_device(std::string hef_bytes) {
  TRY_ASSIGN(hef::Hef hef, hef::read_hef(hef_bytes));
  const std::vector<std::string> devices = hef::devices_for(hef.arch);
  if (std::none_of(devices.begin(), devices.end(),
                   [](const std::string& name) { return name.starts_with("hailo8"); })) {
    return unsupported("HEF", "is for " + hef::arch_name(hef.arch) + ", not for a Hailo-8 or 8L");
  }
  if (hef.groups.size() != 1) {
    return unsupported(
        "HEF", "has " + std::to_string(hef.groups.size()) + " network groups; graupel runs one");
  }
  const bool per_feature = std::find(hef.extensions.begin(), hef.extensions.end(),
                                     kOutputScalePerFeature) != hef.extensions.end();
  HefDevice device;
  const hef::Group& group = hef.groups[0];
  TRY(add_streams(group.inputs, per_feature, device.options.inputs, device.inputs));
  TRY(add_streams(group.outputs, per_feature, device.options.outputs, device.outputs));
  device.options.hef = std::move(hef_bytes);
  device.hef = std::move(hef);
  return device;
}

Result<Frames> frames_for(const std::vector<FrameLayout>& inputs,
                          const std::vector<std::span<const float>>& tensors) {
  if (tensors.size() != inputs.size()) {
    return invalid_input(
        "device", fmt::format("was given {} inputs, expected {}", tensors.size(), inputs.size()));
  }
  Frames frames;
  for (size_t i = 0; i < inputs.size(); ++i) {
    TRY_ASSIGN(std::vector<std::byte> frame, quantized_frame(tensors[i], inputs[i]));
    frames.push_back(std::move(frame));
  }
  return frames;
}

Result<std::vector<std::vector<float>>> values_of(const std::vector<FrameLayout>& outputs,
                                                  const Frames& frames) {
  if (frames.size() != outputs.size()) {
    return invalid_input(
        "device", fmt::format("gave {} outputs, expected {}", frames.size(), outputs.size()));
  }
  std::vector<std::vector<float>> values;
  for (size_t i = 0; i < outputs.size(); ++i) {
    TRY_ASSIGN(std::vector<float> tensor, dequantized_frame(frames[i], outputs[i]));
    values.push_back(std::move(tensor));
  }
  return values;
}

}  // namespace graupel::npu
