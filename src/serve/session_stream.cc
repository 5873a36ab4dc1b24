// A window of a session on a worker: network, decision, drift, HSMM. See session.h.
// Test: sessions_test.cc.
#include <algorithm>
#include <cmath>

#include "serve/session.h"

namespace graupel::serve {
namespace {

// Time without a window that the HSMM is stepped through; after more, a new recording begins.
constexpr uint64_t kMostMissing = 600;

double entropy_of(std::span<const double> probabilities) {
  double sum = 0.0;
  for (const double p : probabilities) sum -= p > 0.0 ? p * std::log(p) : 0.0;
  return std::max(sum, 0.0);
}

void take_answer(const WindowAnswer& answered, WindowRecord& record) {
  const run::Answer& decision = *answered.decision;
  record.class_index = decision.class_index;
  record.label = decision.label;
  record.confidence = decision.probability;
  record.entropy = entropy_of(answered.probabilities);
  record.probabilities.assign(answered.probabilities.begin(), answered.probabilities.end());
  record.conformal_set = decision.conformal_set;
  record.fsq_digits = decision.fsq_digits;
  record.fsq_code = decision.fsq_code;
  record.engine = answered.engine;
  record.fallback_reason = answered.fallback_reason;
}

StateView state_of(const decide::SequenceAnswer& answer, const HopOptions& hop) {
  const auto microseconds = [&](double windows) {
    if (hop.hop_samples == 0) return 0LL;
    return std::llround(windows * static_cast<double>(hop.hop_samples) * 1e6 / hop.rate_hz);
  };
  StateView view;
  view.state = static_cast<int64_t>(answer.state);
  view.probability = answer.probability;
  view.elapsed_windows = static_cast<int64_t>(answer.lasted_windows);
  view.elapsed_us = microseconds(static_cast<double>(answer.lasted_windows));
  view.at_least = answer.at_least;
  view.end_probability = answer.end_probability;
  if (answer.remaining_windows) view.remaining_us = microseconds(*answer.remaining_windows);
  view.probabilities.assign(answer.probabilities.begin(), answer.probabilities.end());
  return view;
}

// What lies between the window before and this one.
void pass_time(const WindowTask& task, decide::Stream& stream) {
  if (task.restarts || task.missing > kMostMissing) return decide::restart_recording(stream);
  if (!stream.sequence) return;
  for (uint64_t i = 0; i < task.missing; ++i) decide::step_without_window(*stream.sequence);
}

}  // namespace

void prepare_memory(const Model& model, const HopOptions& hop, size_t digits,
                    StreamMemory& memory) {
  if (memory.model_sha256 == model.sha256) return;
  memory = {};
  memory.model_sha256 = model.sha256;
  if (!model.decider) return;
  if (model.decider->sequence == nullptr) {
    memory.stream = decide::start_stream(*model.decider);
    return;
  }
  decide::SequenceOptions options;
  options.hop_samples = hop.hop_samples;
  if (hop.hop_samples > 0 && model.decider->sequence->model.rate_hz > 0.0)
    options.rate_hz = hop.rate_hz;
  Result<decide::Stream> stream = decide::start_recording(*model.decider, options, digits);
  if (stream.ok()) {
    memory.stream = *std::move(stream);
  } else {
    memory.trouble = stream.error().message();
    memory.stream = decide::start_stream(*model.decider);
  }
}

Result<WindowRecord> answer_in_stream(Model& model, size_t worker, const WindowTask& task,
                                      const HopOptions& hop, StreamMemory& memory,
                                      WindowAnswer& answered) {
  TRY_ASSIGN(answered, answer(model, worker, task.values));
  if (!answered.decision) {
    return unsupported("model " + model.name, "gives no class scores, so a session has no answers");
  }
  WindowRecord record;
  record.number = task.number;
  record.start_us = task.start_us;
  record.end_us = task.end_us;
  record.model_version = model.version;
  take_answer(answered, record);
  const std::vector<int64_t>& digits = answered.decision->fsq_digits;
  prepare_memory(model, hop, digits.size(), memory);
  record.state_trouble = memory.trouble;
  if (!memory.stream) return record;
  pass_time(task, *memory.stream);
  const decide::StreamDecision decision = decide::decide_next(
      *model.decider, answered.decision->logits, std::nullopt, *memory.stream, digits);
  if (decision.decision.set) {
    record.conformal_set.emplace(decision.decision.set->begin(), decision.decision.set->end());
  }
  if (decision.sequence) record.state = state_of(*decision.sequence, hop);
  record.has_drift = model.decider->block.drift.has_value();
  record.drift_log_wealth = decision.log_wealth;
  record.drift_alarm = decision.drift_alarm;
  return record;
}

}  // namespace graupel::serve
