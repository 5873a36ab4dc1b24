// Answers as NumPy arrays. See answers.h. Test: answers_test.cc.
#include "data/npy.h"
#include "run/answers.h"

namespace graupel::run {
namespace {

std::string file_name(const std::string& prefix, std::string name) {
  for (char& c : name) c = c == '/' || c == '\\' ? '_' : c;
  return prefix + "." + name + ".npy";
}

Result<void> write_decisions(const std::string& prefix, std::span<const Answer> answers,
                             size_t classes) {
  const auto count = static_cast<int64_t>(answers.size());
  Tensor chosen(DType::kInt64, {count}), probability(DType::kFloat64, {count});
  Tensor sets(DType::kBool, {count, static_cast<int64_t>(classes)});
  const std::span<bool> members = sets.mutable_data<bool>();
  for (size_t i = 0; i < answers.size(); ++i) {
    chosen.mutable_data<int64_t>()[i] = answers[i].class_index;
    probability.mutable_data<double>()[i] = answers[i].probability;
    if (!answers[i].conformal_set) continue;
    for (const int64_t c : *answers[i].conformal_set) {
      members[i * classes + static_cast<size_t>(c)] = true;
    }
  }
  TRY(data::write_npy(file_name(prefix, "class"), chosen));
  TRY(data::write_npy(file_name(prefix, "probability"), probability));
  if (!answers.empty() && answers.front().conformal_set) {
    TRY(data::write_npy(file_name(prefix, "conformal_set"), sets));
  }
  return ok();
}

Result<void> write_states(const std::string& prefix, std::span<const Answer> answers) {
  const auto count = static_cast<int64_t>(answers.size());
  Tensor state(DType::kInt64, {count}), since(DType::kInt64, {count});
  Tensor probability(DType::kFloat64, {count}), lasted(DType::kFloat64, {count});
  Tensor at_least(DType::kBool, {count});
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].state) return ok();
    state.mutable_data<int64_t>()[i] = answers[i].state->state;
    since.mutable_data<int64_t>()[i] = answers[i].state->since_window;
    probability.mutable_data<double>()[i] = answers[i].state->probability;
    lasted.mutable_data<double>()[i] = answers[i].state->lasted_s;
    at_least.mutable_data<bool>()[i] = answers[i].state->at_least;
  }
  TRY(data::write_npy(file_name(prefix, "state"), state));
  TRY(data::write_npy(file_name(prefix, "state_since_window"), since));
  TRY(data::write_npy(file_name(prefix, "state_probability"), probability));
  TRY(data::write_npy(file_name(prefix, "state_lasted_s"), lasted));
  return data::write_npy(file_name(prefix, "state_at_least"), at_least);
}

}  // namespace

Result<void> write_arrays(const std::string& prefix, const Plan& plan,
                          std::span<const Tensor> outputs, const AnswerContext& context) {
  if (prefix.empty()) return invalid_input("--format npy", "needs -o PREFIX");
  for (size_t i = 0; i < outputs.size() && i < plan.outputs.size(); ++i) {
    TRY(data::write_npy(file_name(prefix, plan.outputs[i].name), outputs[i]));
  }
  if (!context.sources.empty()) {
    Tensor on_device(DType::kBool, {static_cast<int64_t>(context.sources.size())});
    for (size_t i = 0; i < context.sources.size(); ++i) {
      on_device.mutable_data<bool>()[i] = context.sources[i].on_device;
    }
    TRY(data::write_npy(file_name(prefix, "on_device"), on_device));
  }
  const bool decides = context.decider != nullptr && logits_output(plan).ok();
  if (!decides && !context.recording) return ok();
  TRY_ASSIGN(const std::vector<Answer> answers, answers_of(plan, outputs, context));
  if (context.recording) TRY(write_states(prefix, answers));
  return write_decisions(prefix, answers, static_cast<size_t>(context.decider->block.classes));
}

}  // namespace graupel::run
