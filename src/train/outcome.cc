// What a run says: the log, the summary, and the JSON it reads from the quantizer. See train.h.
// Test: outcome_test.cc.
#include <fmt/format.h>

#include <algorithm>
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

Json judged_json(const Classification& judged) {
  return {{"accuracy_percent", judged.accuracy_percent},
          {"macro_f1_percent", judged.macro_f1_percent},
          {"confusion", judged.confusion}};
}

Result<IntegerForm> form_of(const Json& entry, const char* type_key) {
  const auto number = [&](const char* key) {
    return entry.is_object() && entry.contains(key) && entry[key].is_number();
  };
  if (!number("scale") || !number("zero_point") || !entry.contains(type_key)) {
    return invalid_input("", fmt::format("has no scale, zero_point and {}", type_key));
  }
  IntegerForm form;
  form.scale = entry["scale"].get<double>();
  if (!(form.scale > 0.0) || !std::isfinite(form.scale)) {
    return invalid_input("", fmt::format("has scale {}; expected a number above 0", form.scale));
  }
  const Json& type = entry[type_key];
  if (type == "uint8" || type == "uint16") {
    form.lowest = 0;
    form.highest = type == "uint8" ? 255 : 65535;
  } else if (type == "int16") {
    form.lowest = -32768;
    form.highest = 32767;
  } else if (type != "int8") {
    return invalid_input(
        "", "is of type " + shortened(type.dump(), 40) + "; expected int8, uint8, int16 or uint16");
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

Result<WeightForm> weight_form_of(const Json& entry) {
  WeightForm form;
  if (!entry.is_object() || !entry.contains("bits") || !entry["bits"].is_number_integer() ||
      !entry.contains("scales") || !entry["scales"].is_array() || entry["scales"].empty()) {
    return invalid_input("", "has no bits and list of scales");
  }
  form.bits = entry["bits"].get<int64_t>();
  if (form.bits < 2 || form.bits > 16) {
    return invalid_input("", fmt::format("has {} bits; expected 2 to 16", form.bits));
  }
  for (const Json& scale : entry["scales"]) {
    form.scales.push_back(scale.is_number() ? scale.get<double>() : 0.0);
    if (!(form.scales.back() > 0.0) || !std::isfinite(form.scales.back())) {
      return invalid_input("", "has a scale that is no number above 0");
    }
  }
  return form;
}

Result<IntegerForms> forms_of_points(const Json& points, const std::string& name) {
  IntegerForms forms;
  for (const Json& entry : points) {
    if (!entry.is_object() || !entry.contains("tensor") || !entry["tensor"].is_string()) {
      return invalid_input(name, "one of 'points' names no tensor");
    }
    const std::string tensor = entry["tensor"].get<std::string>();
    Result<IntegerForm> form = form_of(entry, "dtype");
    if (!form.ok()) return std::move(form).error().within(shortened(tensor, 80)).within(name);
    forms.tensors[tensor] = *form;
  }
  return forms;
}

Result<IntegerForms> forms_of_scales(const Json& json, const std::string& name) {
  IntegerForms forms;
  for (const auto& [tensor, entry] : json["tensors"].items()) {
    Result<IntegerForm> form = form_of(entry, "type");
    if (!form.ok()) return std::move(form).error().within(shortened(tensor, 80)).within(name);
    forms.tensors[tensor] = *form;
  }
  if (!json.contains("layers")) return forms;
  if (!json["layers"].is_object()) return invalid_input(name, "'layers' is no object");
  for (const auto& [node, entry] : json["layers"].items()) {
    Result<WeightForm> form = weight_form_of(entry);
    if (!form.ok()) return std::move(form).error().within(shortened(node, 80)).within(name);
    forms.layers[node] = *std::move(form);
  }
  return forms;
}

}  // namespace

Result<IntegerForms> parse_integer_forms(const std::string& text, const std::string& name) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_object() && json.contains("optimize")) json = Json(json["optimize"]);
  const auto has = [&](const char* key) { return json.is_object() && json.contains(key); };
  IntegerForms forms;
  if (has("version") && json["version"] != 1) {
    return unsupported(
        name, "is of version " + shortened(json["version"].dump(), 40) + "; this graupel knows 1");
  }
  if (has("tensors") && json["tensors"].is_object()) {
    TRY_ASSIGN(forms, forms_of_scales(json, name));
  } else if (has("points") && json["points"].is_array()) {
    TRY_ASSIGN(forms, forms_of_points(json["points"], name));
  } else {
    return invalid_input(name,
                         "has neither 'tensors' nor 'points'; expected the quantizer's file of "
                         "scales, or what `graupel optimize --json` prints");
  }
  if (forms.tensors.empty()) return invalid_input(name, "names no tensor");
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
  const auto line = [&](const char* name, const std::optional<Classification>& judged) {
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
