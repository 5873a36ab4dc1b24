// Latency over a device. See profile_device.h. Test: tests/device.
#include "deploy/profile_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>

namespace graupel::deploy {

Result<DeviceProfile> profile_device(const npu::Started& started, const Tensor& windows,
                                     const run::ProfileOptions& options) {
  using Clock = std::chrono::steady_clock;
  const auto count = static_cast<size_t>(windows.rank() == 0 ? 0 : windows.shape()[0]);
  if (count == 0) return invalid_input("windows", "are none");
  const size_t each = windows.size() / count;
  const auto window = [&](size_t i) {
    return windows.data<float>().subspan((i % count) * each, each);
  };
  for (size_t i = 0; i < options.warmup_runs; ++i) {
    TRY(npu::answer(started.answerer, window(i)));
  }
  DeviceProfile profile;
  std::vector<double> total_us, device_us;
  const Clock::time_point start = Clock::now();
  const auto is_over = [&] {
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return profile.runs > 0 && seconds > options.seconds_limit;
  };
  for (; profile.runs < options.runs && !is_over(); ++profile.runs) {
    TRY_ASSIGN(const npu::Reply reply, npu::answer(started.answerer, window(profile.runs)));
    if (!reply.from_device) continue;
    profile.engine = reply.engine;
    total_us.push_back(reply.total_us);
    device_us.push_back(reply.device_us);
  }
  profile.on_device = total_us.size();
  if (total_us.empty()) return profile;
  const double sum = std::accumulate(total_us.begin(), total_us.end(), 0.0);
  profile.windows_per_s = 1e6 * static_cast<double>(total_us.size()) / sum;
  std::sort(total_us.begin(), total_us.end());
  std::sort(device_us.begin(), device_us.end());
  profile.latency_us_p50 = run::percentile(total_us, 0.50);
  profile.latency_us_p95 = run::percentile(total_us, 0.95);
  profile.latency_us_p99 = run::percentile(total_us, 0.99);
  profile.latency_us_max = total_us.back();
  profile.device_us_p50 = run::percentile(device_us, 0.50);
  profile.device_us_p95 = run::percentile(device_us, 0.95);
  return profile;
}

void judge_by_device(const DeviceProfile& profile, std::vector<validate::Judgement>& judgements) {
  if (profile.runs == 0 || profile.on_device != profile.runs) return;
  for (validate::Judgement& judgement : judgements) {
    const std::string& id = judgement.bar.id;
    if (id == "latency_p95") judgement.value = profile.latency_us_p95 / 1e3;
    if (id == "core_latency_p95") judgement.value = profile.device_us_p95 / 1e3;
    if (id == "throughput") judgement.value = profile.windows_per_s;
    if (id == "latency_p95" || id == "core_latency_p95" || id == "throughput") {
      judgement.detail = profile.engine;
    }
  }
}

std::string device_profile_text(const DeviceProfile& profile) {
  std::string text = fmt::format("device: {} of {} windows answered by {}\n", profile.on_device,
                                 profile.runs, profile.on_device > 0 ? profile.engine : "it");
  if (profile.on_device == 0) return text;
  return text + fmt::format(
                    "end to end us: p50 {:.1f}, p95 {:.1f}, p99 {:.1f}, max {:.1f}; of that "
                    "the device: p50 {:.1f}, p95 {:.1f}\n",
                    profile.latency_us_p50, profile.latency_us_p95, profile.latency_us_p99,
                    profile.latency_us_max, profile.device_us_p50, profile.device_us_p95);
}

nlohmann::ordered_json device_profile_json(const DeviceProfile& profile) {
  return {{"engine", profile.engine},
          {"runs", profile.runs},
          {"on_device", profile.on_device},
          {"latency_us_p50", profile.latency_us_p50},
          {"latency_us_p95", profile.latency_us_p95},
          {"latency_us_p99", profile.latency_us_p99},
          {"latency_us_max", profile.latency_us_max},
          {"device_us_p50", profile.device_us_p50},
          {"device_us_p95", profile.device_us_p95},
          {"windows_per_s", profile.windows_per_s}};
}

}  // namespace graupel::deploy
