// Choosing and starting an engine. See start.h. Test: start_test.cc.
#include "npu/start.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/rng.h"
#include "npu/device_map.h"
#include "npu/network.h"

namespace graupel::npu {
namespace {

Result<Started> on_cpu(const run::Engine& engine, Fault fault) {
  TRY_ASSIGN(Network network, cpu_network(engine));
  return Started{start_cpu_answerer(std::move(network), std::move(fault)), false, {}};
}

// The CPU because the HEF cannot be used: a warning, or with hailort the error.
Result<Started> cannot_use(const run::Engine& engine, const EngineOptions& options, Fault fault,
                           const Error& error) {
  if (options.choice == EngineChoice::kHailort) return error;
  TRY_ASSIGN(Started started, on_cpu(engine, std::move(fault)));
  started.warning = "the device is not used: " + error.message() + "; the CPU answers";
  return started;
}

// Some values that are not all alike; determinism is what is tested, not meaning.
std::vector<float> test_window(const run::Engine& engine) {
  const run::Plan& plan = run::plan_of(engine);
  const run::Buffer& input = plan.buffers[plan.inputs[0].buffer.index()];
  std::vector<float> window(static_cast<size_t>(element_count(input.shape).value_or(0)));
  Rng rng(1);
  for (float& value : window) value = static_cast<float>(rng.uniform(-1.0, 1.0));
  return window;
}

Result<Started> on_device(DeviceNetwork made, const run::Engine& engine,
                          const EngineOptions& options) {
  HailortOptions hailort = std::move(made.device.options);
  hailort.library = options.library;
  hailort.timeout_ms = static_cast<uint32_t>(std::max(1, options.deadline_ms * 4 / 5));
  AnswererOptions answerer;
  answerer.deadline = std::chrono::milliseconds(options.deadline_ms);
  answerer.breaker = options.breaker;
  answerer.shadow_every = options.shadow_every;
  answerer.self_test_runs = options.self_test_runs;
  answerer.self_test_window = test_window(engine);
  Started started;
  started.has_device = true;
  started.answerer = start_answerer(std::move(made.network), hailort_device(std::move(hailort)),
                                    std::move(answerer));
  const Status now = status(started.answerer);
  if (now.device) return started;
  const std::string why =
      fmt::format("{}: {}", to_string(now.last_fault.reason), now.last_fault.detail);
  if (options.choice == EngineChoice::kHailort) {
    return device_error("--engine hailort",
                        "the device did not open (" + why +
                            "); graupel doctor shows what is "
                            "missing, --engine auto answers on the CPU meanwhile");
  }
  started.warning = "the device did not open (" + why + "); the CPU answers";
  return started;
}

void append(std::span<const Tensor> outputs, size_t index, size_t count,
            std::vector<Tensor>& stacked) {
  for (size_t o = 0; o < outputs.size(); ++o) {
    const Tensor& tensor = outputs[o];
    if (stacked.size() <= o) {
      Shape shape = tensor.shape();
      if (shape.empty() || shape[0] != 1) shape.insert(shape.begin(), 1);
      shape[0] = static_cast<int64_t>(count);
      stacked.emplace_back(tensor.dtype(), std::move(shape));
    }
    std::memcpy(stacked[o].mutable_bytes() + index * tensor.size_bytes(), tensor.bytes(),
                tensor.size_bytes());
  }
}

}  // namespace

Result<Started> start_engine(const bundle::Bundle& bundle, const run::Engine& engine,
                             const EngineOptions& options) {
  if (options.choice == EngineChoice::kCpu) {
    return on_cpu(engine, {Reason::kAskedForCpu, "--engine cpu"});
  }
  if (!bundle.members.contains(std::string(kHefMember))) {
    if (options.choice == EngineChoice::kAuto) {
      return on_cpu(engine, {Reason::kNoHef, "the bundle holds no HEF"});
    }
    return invalid_input("--engine hailort",
                         "needs a bundle with a HEF: graupel compile --target hailo8, or --hef");
  }
  if (!bundle.members.contains(std::string(kDeviceMapMember))) {
    const std::string why = "its HEF is not joined to its parts: graupel compile --hef does that";
    return cannot_use(
        engine, options, {Reason::kHefRefused, why},
        invalid_input(std::string(kDeviceMapMember), "is not in this bundle; " + why));
  }
  Result<DeviceNetwork> made = device_network(bundle, engine);
  if (made.ok()) return on_device(*std::move(made), engine, options);
  if (made.error().code != ErrorCode::kUnsupported) return made.error();
  return cannot_use(engine, options, {Reason::kHefRefused, made.error().message()}, made.error());
}

Result<Started> start_engine(const std::string& path, const run::Engine& engine,
                             const EngineOptions& options) {
  bundle::Bundle bundle;
  if (options.choice != EngineChoice::kCpu) {
    constexpr std::array<std::string_view, 4> kNames = {kDeviceMapMember, kBeforePlanMember,
                                                        kHostPlanMember, kHefMember};
    TRY_ASSIGN(bundle, bundle::read_members(path, kNames));
  }
  Result<Started> started = start_engine(bundle, engine, options);
  if (!started.ok() && started.error().code != ErrorCode::kDevice) {
    return std::move(started).error().within(path);
  }
  return started;
}

std::string reason_text(const Reply& reply) {
  if (reply.reason == Reason::kNone || reply.reason == Reason::kNoHef) return {};
  std::string text(to_string(reply.reason));
  if (reply.cause != Reason::kNone) text += ": " + std::string(to_string(reply.cause));
  return text;
}

Result<Batch> answer_windows(const Started& started, const run::Engine& engine,
                             const Tensor& windows, size_t threads) {
  Batch batch;
  if (!started.has_device) {
    TRY_ASSIGN(batch.outputs, run::run_windows(engine, windows, threads));
    const Reason why = status(started.answerer).last_fault.reason;
    if (why == Reason::kNoHef) return batch;
    batch.sources.assign(static_cast<size_t>(windows.shape()[0]),
                         {run::engine_name(engine), std::string(to_string(why)), false});
    return batch;
  }
  if (windows.dtype() != DType::kFloat32 || windows.rank() == 0) {
    return invalid_input("windows", "are not float32 [N, ...]");
  }
  const auto count = static_cast<size_t>(windows.shape()[0]);
  const size_t each = count == 0 ? 0 : windows.size() / count;
  for (size_t i = 0; i < count; ++i) {
    TRY_ASSIGN(const Reply reply,
               answer(started.answerer, windows.data<float>().subspan(i * each, each)));
    append(reply.outputs, i, count, batch.outputs);
    batch.sources.push_back({reply.engine, reason_text(reply), reply.from_device});
    batch.total_us.push_back(reply.total_us);
    batch.device_us.push_back(reply.device_us);
  }
  return batch;
}

std::string summary_text(const Status& status) {
  const Counters& counters = status.counters;
  std::string text = fmt::format("{} windows answered by the device, {} by the CPU",
                                 counters.from_device, counters.from_cpu);
  std::string reasons;
  for (size_t i = 0; i < counters.cpu_reasons.size(); ++i) {
    if (counters.cpu_reasons[i] == 0) continue;
    reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ",
                           to_string(static_cast<Reason>(i)), counters.cpu_reasons[i]);
  }
  if (!reasons.empty()) text += " (" + reasons + ")";
  if (counters.shadow_runs > 0) {
    const double snr = shadow_snr_db(counters);
    text += fmt::format("; {} also on the CPU: {} of another class, SNR {}", counters.shadow_runs,
                        counters.shadow_disagreements,
                        std::isfinite(snr) ? fmt::format("{:.1f} dB", snr) : "infinite");
  }
  return text;
}

}  // namespace graupel::npu
