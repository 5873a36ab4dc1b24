// Which state each window of a recording is in, and since when. See answers.h.
//
// Idea: the windows are stepped through decide::decide_next in their order, as a stream would;
// every run of one group is a recording of its own. Test: states_test.cc.
#include "run/answers.h"

namespace graupel::run {
namespace {

StateAnswer state_of(const decide::SequenceAnswer& step, const Answer& answer,
                     std::span<const std::string> labels) {
  StateAnswer state;
  state.state = static_cast<int64_t>(step.state);
  if (!labels.empty()) state.label = labels[step.state];
  state.probability = step.probability;
  state.lasted_windows = static_cast<int64_t>(step.lasted_windows);
  state.since_window = answer.window - state.lasted_windows + 1;
  state.lasted_s = step.lasted_s;
  state.at_least = step.at_least;
  state.evidence = step.evidence;
  return state;
}

}  // namespace

Result<void> add_states(const AnswerContext& context, std::span<Answer> answers) {
  if (!context.recording) return ok();
  const RecordingContext& recording = *context.recording;
  if (context.decider == nullptr) {
    return invalid_input(std::string(decide::kBlockMember),
                         "is not in this bundle, so there is no HSMM to follow a recording with; "
                         "run graupel calibrate --hsmm or graupel hsmm");
  }
  if (answers.empty()) return ok();
  if (!recording.groups.empty() && recording.groups.size() != answers.size()) {
    return invalid_input("--groups", "holds " + std::to_string(recording.groups.size()) +
                                         " numbers for " + std::to_string(answers.size()) +
                                         " windows; one per window is needed");
  }
  TRY_ASSIGN(decide::Stream stream, decide::start_recording(*context.decider, recording.sequence,
                                                            answers[0].fsq_digits.size()));
  for (size_t i = 0; i < answers.size(); ++i) {
    if (i > 0 && !recording.groups.empty() && recording.groups[i] != recording.groups[i - 1]) {
      decide::restart_recording(stream);
    }
    const decide::StreamDecision step = decide::decide_next(
        *context.decider, answers[i].logits, context.group, stream, answers[i].fsq_digits);
    if (!step.sequence) return internal_error("sequence", "gave no state");
    answers[i].state = state_of(*step.sequence, answers[i], context.labels);
  }
  return ok();
}

std::optional<std::string> hop_note(const AnswerContext& context) {
  const bool follows = context.recording && context.decider != nullptr && context.decider->sequence;
  if (!follows) return std::nullopt;
  return decide::rescaling_note(context.decider->sequence->model,
                                context.recording->sequence.hop_samples);
}

}  // namespace graupel::run
