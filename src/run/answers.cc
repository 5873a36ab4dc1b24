// Outputs of a plan as answers, JSON and CSV. See answers.h.
//
// Idea: the roles of the plan's outputs say which tensor is what; numbers are written in the
// shortest form that reads back the same (fmt), so files do not depend on the locale.
// Test: answers_test.cc.
#include "run/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace graupel::run {
namespace {

std::optional<size_t> output_with(const Plan& plan, Role role) {
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    if (plan.outputs[i].role == role) return i;
  }
  return std::nullopt;
}

double softmax_at(std::span<const float> logits, size_t index) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
  return std::exp(static_cast<double>(logits[index]) - highest) / sum;
}

// The numbers of one window in an integer (or whole-float) output.
std::vector<int64_t> integers_of(const Tensor& tensor, size_t window, size_t windows) {
  const size_t each = tensor.size() / windows;
  std::vector<int64_t> values;
  for (size_t i = window * each; i < (window + 1) * each; ++i) {
    if (tensor.dtype() == DType::kInt64) {
      values.push_back(tensor.data<int64_t>()[i]);
    } else if (tensor.dtype() == DType::kFloat32) {
      const float value = tensor.data<float>()[i];
      values.push_back(std::abs(value) < 9e18f ? std::llround(value) : 0);
    }
  }
  return values;
}

nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

// The shortest text of the float32, not of the double it converts to.
nlohmann::ordered_json float_number(float value) {
  if (!std::isfinite(value)) return nullptr;
  return nlohmann::ordered_json::parse(fmt::format("{}", value), nullptr, false);
}

nlohmann::ordered_json object_of(const StateAnswer& state) {
  nlohmann::ordered_json object = {{"class", state.state}};
  if (!state.label.empty()) object["label"] = state.label;
  object["probability"] = number(state.probability);
  object["since_window"] = state.since_window;
  object["lasted_windows"] = state.lasted_windows;
  if (state.lasted_s > 0.0) object["lasted_s"] = state.lasted_s;
  object["at_least"] = state.at_least;
  if (!state.evidence) object["evidence"] = false;
  return object;
}

void put_source(nlohmann::ordered_json& object, const Source& source) {
  object["engine"] = source.engine;
  if (!source.reason.empty()) object["reason"] = source.reason;
}

nlohmann::ordered_json object_of(const Answer& answer, const std::string& engine) {
  nlohmann::ordered_json object;
  object["window"] = answer.window;
  object["class"] = answer.class_index;
  if (!answer.label.empty()) object["label"] = answer.label;
  object["probability"] = number(answer.probability);
  if (answer.calibrated) object["calibrated"] = true;
  if (answer.conformal_set) object["conformal_set"] = *answer.conformal_set;
  object["logits"] = nlohmann::ordered_json::array();
  for (const float logit : answer.logits) object["logits"].push_back(float_number(logit));
  if (!answer.fsq_digits.empty()) object["fsq_digits"] = answer.fsq_digits;
  if (answer.fsq_code) object["fsq_code"] = *answer.fsq_code;
  if (answer.state) object["state"] = object_of(*answer.state);
  put_source(object, answer.source ? *answer.source : Source{engine, {}, false});
  return object;
}

std::string dumped(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// A CSV field, quoted where RFC 4180 asks for it.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string source_fields(const std::optional<Source>& source, const std::string& engine) {
  return source ? field(source->engine) + "," + field(source->reason) : field(engine);
}

// Element `index` as JSON; its text is also what CSV holds.
nlohmann::ordered_json element(const Tensor& tensor, size_t index) {
  switch (tensor.dtype()) {
    case DType::kFloat32: return float_number(tensor.data<float>()[index]);
    case DType::kInt64: return tensor.data<int64_t>()[index];
    default: return tensor.to_int64s()[index];
  }
}

// The elements of one window, of [N, ...].
nlohmann::ordered_json window_elements(const Tensor& tensor, size_t window, size_t windows) {
  nlohmann::ordered_json values = nlohmann::ordered_json::array();
  const size_t each = windows == 0 ? 0 : tensor.size() / windows;
  for (size_t i = 0; i < each; ++i) values.push_back(element(tensor, window * each + i));
  return values;
}

// A logit that is not a number leaves no probability; the set then holds every class.
void decide_answer(const decide::Decider& decider, std::span<const float> logits,
                   std::optional<int64_t> group, decide::Workspace& workspace, Answer& answer) {
  decide::WindowContext context;
  context.group = group;
  context.number = static_cast<uint64_t>(answer.window);
  const decide::Decision decision = decide::decide_window(decider, logits, context, workspace);
  answer.calibrated = true;
  answer.class_index = decision.class_index;
  answer.probability =
      decision.finite ? decision.probability : std::numeric_limits<double>::quiet_NaN();
  if (decision.set) answer.conformal_set.emplace(decision.set->begin(), decision.set->end());
}

}  // namespace

Result<size_t> logits_output(const Plan& plan) {
  if (const std::optional<size_t> marked = output_with(plan, Role::kLogits)) return *marked;
  std::optional<size_t> found;
  size_t count = 0;
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    const Port& port = plan.outputs[i];
    if (plan.buffers[port.buffer.index()].dtype != DType::kFloat32) continue;
    if (port.role != Role::kOther) continue;
    found = i;
    ++count;
  }
  if (count != 1) {
    return unsupported("plan", "has " + std::to_string(count) +
                                   " float32 outputs and none is marked as logits; one is needed");
  }
  return *found;
}

Result<std::vector<Answer>> answers_of(const Plan& plan, std::span<const Tensor> outputs,
                                       const AnswerContext& context) {
  const std::span<const std::string> labels = context.labels;
  TRY_ASSIGN(const size_t which, logits_output(plan));
  if (outputs.size() != plan.outputs.size() || outputs[which].rank() == 0 ||
      outputs[which].dtype() != DType::kFloat32) {
    return invalid_input("outputs", "are not those of this plan");
  }
  const Tensor& logits = outputs[which];
  const auto windows = static_cast<size_t>(logits.shape()[0]);
  const size_t classes = windows == 0 ? 0 : logits.size() / windows;
  if (windows > 0 && !labels.empty() && labels.size() != classes) {
    return invalid_input("labels", "there are " + std::to_string(labels.size()) +
                                       ", but the network gives " + std::to_string(classes) +
                                       " logits");
  }
  if (context.decider != nullptr && windows > 0 &&
      context.decider->block.classes != static_cast<int64_t>(classes)) {
    return invalid_input(std::string(decide::kBlockMember),
                         "was fitted for another number of classes: run graupel calibrate");
  }
  decide::Workspace workspace;
  if (context.decider != nullptr) workspace = decide::make_workspace(*context.decider);
  const std::optional<size_t> digits = output_with(plan, Role::kFsqDigits);
  const std::optional<size_t> code = output_with(plan, Role::kFsqCode);
  std::vector<Answer> answers(windows);
  for (size_t i = 0; i < windows; ++i) {
    Answer& answer = answers[i];
    const std::span<const float> row = logits.data<float>().subspan(i * classes, classes);
    answer.window = static_cast<int64_t>(i);
    if (context.decider != nullptr) {
      decide_answer(*context.decider, row, context.group, workspace, answer);
    } else {
      const auto best = static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
      answer.class_index = static_cast<int64_t>(best);
      answer.probability = softmax_at(row, best);
    }
    if (!labels.empty()) answer.label = labels[static_cast<size_t>(answer.class_index)];
    answer.logits.assign(row.begin(), row.end());
    if (i < context.sources.size()) answer.source = context.sources[i];
    if (digits) answer.fsq_digits = integers_of(outputs[*digits], i, windows);
    if (code) {
      const std::vector<int64_t> values = integers_of(outputs[*code], i, windows);
      if (values.size() == 1) answer.fsq_code = values[0];
    }
  }
  TRY(add_states(context, answers));
  return answers;
}

Result<bool> drift_alarm(const Plan& plan, std::span<const Tensor> outputs,
                         const AnswerContext& context) {
  if (context.decider == nullptr || !context.decider->block.drift) return false;
  const decide::Drift& drift = *context.decider->block.drift;
  AnswerContext windows_only = context;
  windows_only.recording.reset();
  TRY_ASSIGN(const std::vector<Answer> answers, answers_of(plan, outputs, windows_only));
  decide::DriftState state = decide::start_drift(drift);
  for (const Answer& answer : answers) {
    decide::observe_drift(drift, 1.0 - answer.probability, state);
  }
  return state.alarm;
}

std::string format_json_lines(std::span<const Answer> answers, const std::string& engine) {
  std::string text;
  for (const Answer& answer : answers) text += dumped(object_of(answer, engine)) + "\n";
  return text;
}

std::string format_json(std::span<const Answer> answers, const std::string& engine) {
  std::string text = "[";
  for (const Answer& answer : answers) {
    text += (text.size() > 1 ? ",\n " : "\n ") + dumped(object_of(answer, engine));
  }
  return text + "\n]\n";
}

std::string format_csv(std::span<const Answer> answers, const std::string& engine) {
  if (answers.empty()) return "window,class,label,probability,engine\n";
  const Answer& first = answers.front();
  std::string text = "window,class,label,probability";
  for (size_t i = 0; i < first.logits.size(); ++i) text += fmt::format(",logit_{}", i);
  for (size_t i = 0; i < first.fsq_digits.size(); ++i) text += fmt::format(",fsq_digit_{}", i);
  if (first.fsq_code) text += ",fsq_code";
  if (first.conformal_set) text += ",conformal_set";
  if (first.state) {
    text += ",state,state_label,state_probability,state_since_window,state_lasted_s,state_at_least";
  }
  text += first.source ? ",engine,reason\n" : ",engine\n";
  for (const Answer& answer : answers) {
    text += fmt::format("{},{},{},{}", answer.window, answer.class_index, field(answer.label),
                        answer.probability);
    for (const float logit : answer.logits) text += fmt::format(",{}", logit);
    for (const int64_t digit : answer.fsq_digits) text += fmt::format(",{}", digit);
    if (answer.fsq_code) text += fmt::format(",{}", *answer.fsq_code);
    if (answer.conformal_set) text += fmt::format(",{}", fmt::join(*answer.conformal_set, " "));
    if (answer.state) {
      const StateAnswer& state = *answer.state;
      text += fmt::format(",{},{},{},{},{},{:d}", state.state, field(state.label),
                          state.probability, state.since_window, state.lasted_s, state.at_least);
    }
    text += "," + source_fields(answer.source, engine) + "\n";
  }
  return text;
}

std::string format_outputs(const Plan& plan, std::span<const Tensor> outputs,
                           const std::string& engine, OutputFormat format,
                           std::span<const Source> sources) {
  const size_t count = std::min(outputs.size(), plan.outputs.size());
  const auto windows =
      static_cast<size_t>(count == 0 || outputs[0].rank() == 0 ? 0 : outputs[0].shape()[0]);
  std::string text = format == OutputFormat::kJson ? "[" : "";
  if (format == OutputFormat::kCsv) {
    text = "window";
    for (size_t o = 0; o < count; ++o) {
      const size_t each = windows == 0 ? 0 : outputs[o].size() / windows;
      for (size_t i = 0; i < each; ++i) {
        text += "," + field(fmt::format("{}_{}", plan.outputs[o].name, i));
      }
    }
    text += sources.empty() ? ",engine\n" : ",engine,reason\n";
  }
  for (size_t window = 0; window < windows; ++window) {
    nlohmann::ordered_json object = {{"window", window}};
    std::string row = fmt::format("{}", window);
    for (size_t o = 0; o < count; ++o) {
      nlohmann::ordered_json values = window_elements(outputs[o], window, windows);
      for (const nlohmann::ordered_json& value : values) row += "," + value.dump();
      object["outputs"][plan.outputs[o].name] = std::move(values);
    }
    std::optional<Source> source;
    if (window < sources.size()) source = sources[window];
    put_source(object, source ? *source : Source{engine, {}, false});
    switch (format) {
      case OutputFormat::kJson: text += (window > 0 ? ",\n " : "\n ") + dumped(object); break;
      case OutputFormat::kJsonLines: text += dumped(object) + "\n"; break;
      case OutputFormat::kCsv: text += row + "," + source_fields(source, engine) + "\n"; break;
    }
  }
  return format == OutputFormat::kJson ? text + "\n]\n" : text;
}

OutputFormat output_format(std::string_view name) {
  if (name == "csv") return OutputFormat::kCsv;
  return name == "jsonl" ? OutputFormat::kJsonLines : OutputFormat::kJson;
}

Result<std::string> format_any(const Plan& plan, std::span<const Tensor> outputs,
                               const AnswerContext& context, const std::string& engine,
                               OutputFormat format) {
  if (!context.recording && !logits_output(plan).ok()) {
    return format_outputs(plan, outputs, engine, format, context.sources);
  }
  TRY_ASSIGN(const std::vector<Answer> answers, answers_of(plan, outputs, context));
  switch (format) {
    case OutputFormat::kCsv: return format_csv(answers, engine);
    case OutputFormat::kJsonLines: return format_json_lines(answers, engine);
    case OutputFormat::kJson: break;
  }
  return format_json(answers, engine);
}

}  // namespace graupel::run
