// What a run says: the log, the summary, and the JSON it reads from the quantizer. See train.h.
// Test: outcome_test.cc.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/text.h"
#include "train/train.h"

namespace graupel::train {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kLimitBytes = 16 << 20;

std::string cell(const std::optional<double>& value) {
  return value ? fmt::format("{:.6g}", *value) : std::string();
}

Json judged_json(const validate::Classification& judged) {
  return {{"accuracy_percent", judged.accuracy_percent},
          {"macro_f1_percent", judged.macro_f1_percent},
          {"confusion", judged.confusion}};
}

Result<IntegerForm> form_of(const Json& entry) {
  const auto number = [&](const char* key) {
    return entry.is_object() && entry.contains(key) && entry[key].is_number();
  };
  if (!number("scale") || !number("zero_point") || !entry.contains("dtype")) {
    return invalid_input("", "has no scale, zero_point and dtype");
  }
  IntegerForm form;
  form.scale = entry["scale"].get<double>();
  if (!(form.scale > 0.0) || !std::isfinite(form.scale)) {
    return invalid_input("", fmt::format("has scale {}; expected a number above 0", form.scale));
  }
  const std::string type = entry["dtype"].is_string() ? entry["dtype"].get<std::string>() : "";
  if (type == "uint8") {
    form.lowest = 0;
    form.highest = 255;
  } else if (type != "int8") {
    return invalid_input(
        "", "is of type " + shortened(entry["dtype"].dump(), 40) + "; expected int8 or uint8");
  }
  const double zero = entry["zero_point"].get<double>();
  form.zero_point = static_cast<int64_t>(std::clamp(zero, -1e6, 1e6));
  if (static_cast<double>(form.zero_point) != zero || form.zero_point < form.lowest ||
      form.zero_point > form.highest) {
    return invalid_input("", fmt::format("has zero point {}; expected a whole number from {} to {}",
                                         zero, form.lowest, form.highest));
  }
  return form;
}

}  // namespace

Result<IntegerForms> parse_integer_forms(const std::string& text, const std::string& name) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_object() && json.contains("optimize")) json = Json(json["optimize"]);
  IntegerForms forms;
  if (!json.is_object() || !json.contains("points") || !json["points"].is_array()) {
    return invalid_input(name,
                         "has no list 'points'; expected what `graupel optimize --json` or "
                         "`graupel deploy --json` prints");
  }
  for (const Json& entry : json["points"]) {
    if (!entry.is_object() || !entry.contains("tensor") || !entry["tensor"].is_string()) {
      return invalid_input(name, "one of 'points' names no tensor");
    }
    const std::string tensor = entry["tensor"].get<std::string>();
    Result<IntegerForm> form = form_of(entry);
    if (!form.ok()) {
      return std::move(form).error().within(shortened(tensor, 80)).within(name);
    }
    forms[tensor] = *form;
  }
  if (forms.empty()) return invalid_input(name, "names no tensor");
  return forms;
}

Result<IntegerForms> read_integer_forms(const std::string& path) {
  TRY_ASSIGN(const std::string text, read_file(path, kLimitBytes));
  return parse_integer_forms(text, path);
}

std::string format_log(const std::vector<EpochReport>& epochs) {
  std::string text =
      "epoch,learning_rate,train_loss,train_accuracy_percent,validation_loss,"
      "validation_accuracy_percent,fsq_codes,fsq_perplexity,fsq_least_digits,best\n";
  for (const EpochReport& epoch : epochs) {
    text += fmt::format("{},{:.6g},{:.6g},{:.6g},{},{},", epoch.epoch, epoch.learning_rate,
                        epoch.train_loss, epoch.train_accuracy_percent, cell(epoch.validation_loss),
                        cell(epoch.validation_accuracy_percent));
    text += epoch.usage ? fmt::format("{},{:.6g},{:.6g},", epoch.usage->codes,
                                      epoch.usage->perplexity, epoch.usage->least_digits)
                        : std::string(",,,");
    text += epoch.best ? "1\n" : "0\n";
  }
  return text;
}

std::string describe(const TrainOptions& options, const Trained& trained) {
  const EpochReport& last = trained.outcome.epochs.back();
  std::string text = fmt::format("{} parameters, {} windows, {} epochs{}\n", trained.parameters,
                                 trained.train_windows, trained.outcome.epochs.size(),
                                 trained.outcome.stopped_early ? " (stopped early)" : "");
  text += fmt::format("  train       loss {:.4f}, accuracy {:.2f}% on augmented windows\n",
                      last.train_loss, last.train_accuracy_percent);
  const auto line = [&](const char* name, const std::optional<validate::Classification>& judged) {
    if (!judged) return;
    text += fmt::format("  {:<11} accuracy {:.2f}%, macro F1 {:.2f}%\n", name,
                        judged->accuracy_percent, judged->macro_f1_percent);
  };
  line("validation", trained.validation);
  line("test", trained.test);
  if (last.usage) {
    text += fmt::format("  FSQ         {} codes in use, perplexity {:.1f}\n", last.usage->codes,
                        last.usage->perplexity);
  }
  text += fmt::format("  export      differs from libtorch by {:.1e} over {} windows",
                      trained.export_check.largest_difference, trained.export_check.windows);
  if (trained.export_check.at_a_threshold > 0) {
    text += fmt::format(" ({} at a rounding threshold, compared before it)",
                        trained.export_check.at_a_threshold);
  }
  return text + fmt::format("\nmodel: {}/model.onnx\n", options.output);
}

std::string training_json(const TrainOptions& options, const Trained& trained) {
  const EpochReport& last = trained.outcome.epochs.back();
  Json json = {{"model", options.output + "/model.onnx"},
               {"parameters", trained.parameters},
               {"train_windows", trained.train_windows},
               {"epochs", trained.outcome.epochs.size()},
               {"stopped_early", trained.outcome.stopped_early},
               {"seed", options.config.optimization.seed},
               {"train_loss", last.train_loss},
               {"train_accuracy_percent", last.train_accuracy_percent}};
  if (last.usage) {
    json["fsq"] = {{"codes", last.usage->codes},
                   {"perplexity", last.usage->perplexity},
                   {"least_digits", last.usage->least_digits}};
  }
  json["classes"] = trained.classes;
  if (trained.validation) json["validation"] = judged_json(*trained.validation);
  if (trained.test) json["test"] = judged_json(*trained.test);
  json["export"] = {{"windows", trained.export_check.windows},
                    {"at_a_threshold", trained.export_check.at_a_threshold},
                    {"largest_difference", trained.export_check.largest_difference}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace graupel::train
