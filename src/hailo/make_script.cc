// Writing a model script. See make_script.h. Test: make_script_test.cc.
//
// Idea: everything the compiler would otherwise decide by what it finds on its machine (level,
// size of the calibration set) is stated, so that two machines do the same.
#include "hailo/make_script.h"

#include <fmt/format.h>

#include <algorithm>

namespace graupel::hailo {
namespace {

constexpr int64_t kFineTuningWindows = 1024;
constexpr int64_t kBatch = 8;

Statement made(std::string command, std::vector<Argument> arguments) {
  Statement statement;
  statement.command = std::move(command);
  statement.arguments = std::move(arguments);
  return statement;
}

Result<Value> value_of(const std::string& option, const std::string& text) {
  Result<Value> value = parse_value(text);
  if (value.ok()) return value;
  return invalid_input(fmt::format("{} '{}'", option, text),
                       "is no value of a model script: " + value.error().what);
}

Value numbers(const std::vector<double>& values) {
  std::vector<Value> items;
  for (const double value : values) items.push_back(float_value(value));
  return list_value(std::move(items));
}

Result<void> add_settings(Script& script, const std::string& option, const std::string& command,
                          const std::vector<std::pair<std::string, std::string>>& settings) {
  std::vector<Argument> arguments;
  for (const auto& [key, text] : settings) {
    TRY_ASSIGN(Value value, value_of(option + " " + key, text));
    TRY_ASSIGN(const Value key_value, value_of(option, key));
    if (key_value.kind != ValueKind::kWord) {
      return invalid_input(option + " " + key, "is not a setting's name");
    }
    arguments.push_back({key, std::move(value)});
  }
  if (!arguments.empty()) script.statements.push_back(made(command, std::move(arguments)));
  return ok();
}

Result<void> add_precision(Script& script, const ScriptOptions& options) {
  for (const auto& [layers, precision] : options.precision) {
    TRY_ASSIGN(Value subject, value_of("--precision", layers));
    TRY_ASSIGN(Value mode, value_of("--precision " + layers, precision));
    if (subject.kind == ValueKind::kWord) subject = list_value({std::move(subject)});
    script.statements.push_back(made(
        "quantization_param", {{"", std::move(subject)}, {"precision_mode", std::move(mode)}}));
  }
  return ok();
}

Result<void> add_nms(Script& script, const NmsOptions& nms) {
  if (nms.config.find_first_of("\"\n") != nms.config.npos) {
    return invalid_input("--nms " + nms.config, "cannot stand in a model script; rename the file");
  }
  std::vector<Argument> arguments;
  if (!nms.config.empty()) arguments.push_back({"", string_value(nms.config)});
  TRY_ASSIGN(Value arch, value_of("--nms", nms.meta_arch));
  TRY_ASSIGN(Value engine, value_of("--nms", nms.engine));
  arguments.push_back({"meta_arch", std::move(arch)});
  arguments.push_back({"engine", std::move(engine)});
  script.statements.push_back(made("nms_postprocess", std::move(arguments)));
  return ok();
}

// Who a statement is about: scope, command and positional arguments.
std::string subject_of(const Statement& statement) {
  std::string subject = statement.scope + "." + statement.command;
  if (statement.command == "normalization") return subject;
  if (statement.command == "nms_postprocess") return subject;
  for (const Argument& argument : statement.arguments) {
    if (!argument.key.empty()) continue;
    const Value& value = argument.value;
    const bool lone = value.kind == ValueKind::kList && value.items.size() == 1;
    subject += " " + format_value(lone ? value.items[0] : value);
  }
  return subject;
}

bool sets(const Script& script, const std::string& subject, const std::string& key) {
  return std::any_of(script.statements.begin(), script.statements.end(),
                     [&](const Statement& statement) {
                       return subject_of(statement) == subject &&
                              (key.empty() || argument(statement, key) != nullptr);
                     });
}

}  // namespace

Result<Script> make_script(const ScriptOptions& options) {
  Script script;
  if (!options.mean.empty()) {
    Statement statement =
        made("normalization", {{"", numbers(options.mean)}, {"", numbers(options.std)}});
    statement.names = {"normalization1"};
    script.statements.push_back(std::move(statement));
  }
  const int64_t level = options.optimization_level.value_or(
      options.calibration_windows >= kFineTuningWindows ? 2 : 1);
  script.statements.push_back(made("model_optimization_flavor",
                                   {{"optimization_level", int_value(level)},
                                    {"compression_level", int_value(options.compression_level)}}));
  if (options.calibration_windows > 0) {
    const int64_t size = std::min(options.calibration_windows, kFineTuningWindows);
    script.statements.push_back(
        made("model_optimization_config", {{"", word_value("calibration")},
                                           {"batch_size", int_value(std::min(size, kBatch))},
                                           {"calibset_size", int_value(size)}}));
  }
  TRY(add_precision(script, options));
  std::vector<std::pair<std::string, std::string>> performance;
  if (!options.compiler_effort.empty()) {
    performance.emplace_back("compiler_optimization_level", options.compiler_effort);
  }
  if (options.fps) performance.emplace_back("fps", format_value(float_value(*options.fps)));
  TRY(add_settings(script, "--effort", "performance_param", performance));
  TRY(add_settings(script, "--allocator", "allocator_param", options.allocator));
  TRY(add_settings(script, "--resources", "resources_param", options.resources));
  if (options.nms) TRY(add_nms(script, *options.nms));
  for (size_t i = 0; i < script.statements.size(); ++i) {
    script.statements[i].leading = i == 0 ? "# written by graupel\n" : "\n";
  }
  script.trailing = "\n";
  return script;
}

Merged merge(const Script& ours, const Script& theirs) {
  Merged merged;
  const auto give_way = [&](const Statement& statement, const std::string& what) {
    merged.dropped.push_back({Severity::kInfo, "script-overrides", statement.command,
                              "your script's " + what + " takes the place of graupel's", ""});
  };
  std::string leading = ours.statements.empty() ? "" : ours.statements[0].leading;
  for (Statement statement : ours.statements) {
    const std::string subject = subject_of(statement);
    const bool has_settings =
        std::any_of(statement.arguments.begin(), statement.arguments.end(),
                    [](const Argument& argument) { return !argument.key.empty(); });
    const bool whole = statement.command == "nms_postprocess" || !has_settings;
    if (whole && sets(theirs, subject, "")) {
      give_way(statement, statement.command);
      continue;
    }
    const size_t before = statement.arguments.size();
    std::erase_if(statement.arguments, [&](const Argument& argument) {
      if (argument.key.empty() || !sets(theirs, subject, argument.key)) return false;
      give_way(statement, argument.key);
      return true;
    });
    const auto keyed = [](const Argument& argument) { return !argument.key.empty(); };
    if (statement.arguments.size() != before) {
      if (std::none_of(statement.arguments.begin(), statement.arguments.end(), keyed)) continue;
      statement.text.clear();
    }
    statement.leading = merged.script.statements.empty() ? leading : "\n";
    merged.script.statements.push_back(std::move(statement));
  }
  const bool alone = merged.script.statements.empty();
  for (size_t i = 0; i < theirs.statements.size(); ++i) {
    Statement statement = theirs.statements[i];
    if (i == 0 && !alone) statement.leading = "\n# your own script\n" + statement.leading;
    merged.script.statements.push_back(std::move(statement));
  }
  merged.script.trailing = theirs.trailing.empty() ? "\n" : theirs.trailing;
  if (theirs.statements.empty() && !theirs.trailing.empty() && !alone) {
    merged.script.trailing = "\n" + theirs.trailing;
  }
  return merged;
}

}  // namespace graupel::hailo
