// What the way over a device costs, window by window. Test: tests/device.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "npu/start.h"
#include "run/profile.h"
#include "validate/bars.h"

namespace graupel::deploy {

struct DeviceProfile {
  std::string engine;              // of the last window the device answered
  size_t runs = 0, on_device = 0;  // the CPU answered the others; they are not in the times
  double latency_us_p50 = 0.0, latency_us_p95 = 0.0, latency_us_p99 = 0.0, latency_us_max = 0.0;
  double device_us_p50 = 0.0, device_us_p95 = 0.0;  // of that, waiting for and in the device
  double windows_per_s = 0.0;                       // one after the other
};

// Windows [N, ...] in turn. Errors: the CPU's own.
Result<DeviceProfile> profile_device(const npu::Started& started, const Tensor& windows,
                                     const run::ProfileOptions& options);

// If the device answered every window, the bars on latency and throughput are judged by it.
void judge_by_device(const DeviceProfile& profile, std::vector<validate::Judgement>& judgements);

std::string device_profile_text(const DeviceProfile& profile);
nlohmann::ordered_json device_profile_json(const DeviceProfile& profile);

}  // namespace graupel::deploy
