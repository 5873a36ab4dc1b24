// From a HEF's bytes to what opening a device and making frames need.
//
// Idea: graupel reads and judges the file before the vendor's library sees it, as that library
// crashes on some; shapes and quantisation are the reader's, so that no structure of the library
// that changed between releases is needed.
// Test: hef_device_test.cc.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "hef/hef.h"
#include "npu/frames.h"
#include "npu/hailort.h"

namespace graupel::npu {

struct HefDevice {
  hef::Hef hef;            // as it was read; one group
  HailortOptions options;  // library and timeout_ms as they are by default
  // One per stream of options.inputs and options.outputs, in the HEF's order.
  std::vector<FrameLayout> inputs, outputs;
};

// Errors: those of hef::read_hef; kUnsupported for a HEF that is not for a Hailo-8 or 8L, has
// several network groups, or has a stream that is no plain image or vector of uint8 or uint16 with
// one scale (boxes of NMS, a scale per feature).
Result<HefDevice> hef_device(std::string hef_bytes);

// Tensors in row-major [C][H][W], one per layout, to frames and back. Errors: kInvalidInput for
// another number of them; those of frames.h.
Result<Frames> frames_for(const std::vector<FrameLayout>& inputs,
                          const std::vector<std::span<const float>>& tensors);
Result<std::vector<std::vector<float>>> values_of(const std::vector<FrameLayout>& outputs,
                                                  const Frames& frames);

}  // namespace graupel::npu
