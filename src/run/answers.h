// Answers: what the network says about each window, and how that is written.
// Test: answers_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "decide/decider.h"
#include "decide/stream.h"
#include "run/plan.h"

namespace graupel::run {

// The HSMM's word about a window of a recording, given it and all windows before.
struct StateAnswer {
  int64_t state = 0;         // the most probable
  std::string label;         // empty if the bundle names no labels
  double probability = 0.0;  // of the state
  int64_t since_window = 0;  // the state's first, most probably
  int64_t lasted_windows = 1;
  double lasted_s = 0.0;  // lasted_windows hops; 0 if the rate is not known
  bool at_least = false;  // it may have begun before the recording, or before what is remembered
  bool evidence = true;   // false: the window's logits are no numbers, only its time passed
};

// Who gave an answer.
struct Source {
  std::string engine;
  std::string reason;  // why not the device; empty if it was, or if there is none to ask
  bool on_device = false;
};

struct Answer {
  int64_t window = 0;
  int64_t class_index = 0;   // of the largest probability, the first if several are equal
  std::string label;         // empty if the bundle names no labels
  double probability = 0.0;  // at class_index; softmax of the logits unless `calibrated`
  bool calibrated = false;   // class, probability and set are those of a decision block
  std::vector<float> logits;
  std::vector<int64_t> fsq_digits;  // empty if the network has no FSQ
  std::optional<int64_t> fsq_code;
  // Classes that cannot be excluded, most probable first; nullopt without a conformal part.
  std::optional<std::vector<int64_t>> conformal_set;
  std::optional<Source> source;      // nullopt: all windows have the same
  std::optional<StateAnswer> state;  // only where the windows are said to be a recording
};

// The windows are recordings in the order of time, one hop apart.
struct RecordingContext {
  std::span<const int64_t> groups = {};  // per window: its recording; empty: all are one
  decide::SequenceOptions sequence = {};
};

// What a bundle knows beside its plan, and what is known of the windows.
struct AnswerContext {
  std::span<const std::string> labels = {};        // empty: classes have no names
  const decide::Decider* decider = nullptr;        // nullptr: plain softmax
  std::optional<int64_t> group = {};               // the person of all windows
  std::optional<RecordingContext> recording = {};  // nullopt: windows in any order, no states
  std::span<const Source> sources = {};            // per window; empty: all have the same
};

// Which of a plan's outputs holds the logits: the one with that role, else the only float32
// output. Error kUnsupported if that is not exactly one.
Result<size_t> logits_output(const Plan& plan);

// outputs as run_windows gives them. Errors: those of logits_output; kInvalidInput if there are
// labels, but not as many as logits, or the block is for another number of classes; those of
// add_states.
Result<std::vector<Answer>> answers_of(const Plan& plan, std::span<const Tensor> outputs,
                                       const AnswerContext& context);

// Answer::state of every window, if the context says that they are a recording. Errors
// kInvalidInput: no HSMM, groups that do not fit; those of decide::start_recording.
Result<void> add_states(const AnswerContext& context, std::span<Answer> answers);

// What has to be said of the recording's hop (decide::rescaling_note); nullopt: nothing.
std::optional<std::string> hop_note(const AnswerContext& context);

// Do the windows, in their order, stop resembling those the decisions were fitted on?
Result<bool> drift_alarm(const Plan& plan, std::span<const Tensor> outputs,
                         const AnswerContext& context);

// PREFIX.NAME.npy per output of the network; with sources also PREFIX.on_device.npy (bool); with a
// decision block also PREFIX.class.npy (int64), PREFIX.probability.npy (float64) and
// PREFIX.conformal_set.npy (bool, one per class), and for a recording PREFIX.state.npy,
// .state_since_window.npy (int64), .state_probability.npy and .state_lasted_s.npy (float64),
// .state_at_least.npy (bool).
Result<void> write_arrays(const std::string& prefix, const Plan& plan,
                          std::span<const Tensor> outputs, const AnswerContext& context);

// One JSON object per line; an array of the same objects; a header and one row per window with
// logits, digits and code in columns of their own. Every answer names its source's engine and
// reason, or else `engine`.
std::string format_json_lines(std::span<const Answer> answers, const std::string& engine);
std::string format_json(std::span<const Answer> answers, const std::string& engine);
std::string format_csv(std::span<const Answer> answers, const std::string& engine);

// For a network whose outputs are not one row of logits: every output of every window, flat and by
// name, {"window":0,"outputs":{"boxes":[...]},"engine":"..."}; as CSV one column per element,
// NAME_0, NAME_1, ... `outputs` as run_windows gives them.
enum class OutputFormat { kJson, kJsonLines, kCsv };
// "csv", "jsonl"; anything else is kJson.
OutputFormat output_format(std::string_view name);
std::string format_outputs(const Plan& plan, std::span<const Tensor> outputs,
                           const std::string& engine, OutputFormat format,
                           std::span<const Source> sources = {});
// Answers if the plan has one output of logits, else its outputs as they are. Errors: those of
// answers_of.
Result<std::string> format_any(const Plan& plan, std::span<const Tensor> outputs,
                               const AnswerContext& context, const std::string& engine,
                               OutputFormat format);

}  // namespace graupel::run
