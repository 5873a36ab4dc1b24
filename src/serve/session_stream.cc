// A window of a session on a worker: network, decision, drift, HSMM. See session.h.
// Test: sessions_test.cc.
#include <cmath>

#include "serve/session.h"

namespace graupel::serve {
namespace {

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

}  // namespace

void prepare_memory(const Model& model, const HopOptions&, StreamMemory& memory) {
  if (memory.model_sha256 == model.sha256) return;
  memory = {};
  memory.model_sha256 = model.sha256;
  if (!model.decider) return;
  memory.stream = decide::start_stream(*model.decider);
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
  prepare_memory(model, hop, memory);
  if (!memory.stream) return record;
  const decide::StreamDecision decision =
      decide::decide_next(*model.decider, answered.decision->logits, std::nullopt, *memory.stream);
  if (decision.decision.set) {
    record.conformal_set.emplace(decision.decision.set->begin(), decision.decision.set->end());
  }
  record.has_drift = model.decider->block.drift.has_value();
  record.drift_log_wealth = decision.log_wealth;
  record.drift_alarm = decision.drift_alarm;
  return record;
}

}  // namespace graupel::serve
