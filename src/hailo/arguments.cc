// Flags of the vendor's command lines. See arguments.h. Test: arguments_test.cc.
//
// Source: working scripts and logs of DFC 3.24 to 3.34. The help pages are not public, so a flag
// that exists but was never seen is refused too; a newer list belongs here.
#include "hailo/arguments.h"

#include <fmt/format.h>

#include <algorithm>

namespace graupel::hailo {
namespace {

enum class Takes { kNothing, kOne, kMany };
struct Flag {
  std::string_view name;
  Takes takes;
  bool is_ours = false;  // graupel sets it
};

constexpr Flag kParserFlags[] = {
    {"--net-name", Takes::kOne, true},
    {"--har-path", Takes::kOne, true},
    {"--hw-arch", Takes::kOne, true},
    {"--end-node-names", Takes::kMany, true},
    {"--disable-onnx-simplifier", Takes::kNothing, true},
    {"-y", Takes::kNothing, true},
    {"--start-node-names", Takes::kMany},
    {"--tensor-shapes", Takes::kMany},
    {"--input-format", Takes::kMany},
    {"--parsing-report-path", Takes::kOne},
    {"--augmented-path", Takes::kOne},
    {"--disable-rt-metadata-extraction", Takes::kNothing},
    {"--compare", Takes::kNothing},
};
constexpr Flag kOptimizeFlags[] = {
    {"--hw-arch", Takes::kOne, true},
    {"--calib-set-path", Takes::kOne, true},
    {"--use-random-calib-set", Takes::kNothing, true},
    {"--model-script", Takes::kOne, true},
    {"--output-har-path", Takes::kOne, true},
    {"--full-precision-only", Takes::kNothing, true},
    {"--work-dir", Takes::kOne},
};
constexpr Flag kCompilerFlags[] = {
    {"--hw-arch", Takes::kOne, true},         {"--output-dir", Takes::kOne, true},
    {"--output-har-path", Takes::kOne, true}, {"--model-script", Takes::kOne},
    {"--auto-model-script", Takes::kOne},
};
constexpr std::string_view kInvented[] = {"--quantization-precision",
                                          "--performance-mode",
                                          "--output-hef-path",
                                          "--measure-fps",
                                          "--analyze-ops",
                                          "--quantization-mode",
                                          "--batch-size"};

std::vector<Flag> flags_of(Stage stage) {
  switch (stage) {
    case Stage::kParser: return {std::begin(kParserFlags), std::end(kParserFlags)};
    case Stage::kOptimize: return {std::begin(kOptimizeFlags), std::end(kOptimizeFlags)};
    case Stage::kCompiler: return {std::begin(kCompilerFlags), std::end(kCompilerFlags)};
  }
  return {};
}

}  // namespace

std::string_view to_string(Stage stage) {
  switch (stage) {
    case Stage::kParser: return "parser";
    case Stage::kOptimize: return "optimize";
    case Stage::kCompiler: return "compiler";
  }
  return "";
}

std::vector<std::string_view> known_flags(Stage stage) {
  std::vector<std::string_view> names;
  for (const Flag& flag : flags_of(stage)) names.push_back(flag.name);
  return names;
}

Result<void> check_extra(Stage stage, const std::vector<std::string>& words) {
  const std::string command = fmt::format("hailo {}", to_string(stage));
  const std::vector<Flag> flags = flags_of(stage);
  size_t room = 0;  // values the flag before may still take
  size_t owed = 0;  // values it has to have
  std::string_view last;
  for (const std::string& word : words) {
    if (!word.starts_with('-')) {
      if (room == 0) {
        return invalid_input(command, fmt::format("takes no '{}' behind '{}'", word, last));
      }
      room -= room == SIZE_MAX ? 0 : 1;
      owed -= owed == 0 ? 0 : 1;
      continue;
    }
    if (owed > 0) return invalid_input(command, fmt::format("{} needs a value", last));
    const std::string name = word.substr(0, word.find('='));
    if (std::find(std::begin(kInvented), std::end(kInvented), name) != std::end(kInvented)) {
      return invalid_input(command, fmt::format("has no {}: the flag is found in texts on the web "
                                                "and in no release",
                                                name));
    }
    const auto found = std::find_if(flags.begin(), flags.end(),
                                    [&](const Flag& flag) { return flag.name == name; });
    if (found == flags.end()) {
      return invalid_input(command, fmt::format("is not known to have {}; known: {}", word,
                                                fmt::join(known_flags(stage), " ")));
    }
    if (found->is_ours) {
      return invalid_input(command, fmt::format("gets {} from graupel; leave it out", name));
    }
    last = found->name;
    const bool has_value = word.find('=') != word.npos;
    if (has_value && found->takes == Takes::kNothing) {
      return invalid_input(command, fmt::format("{} takes no value", name));
    }
    owed = found->takes == Takes::kNothing || has_value ? 0 : 1;
    room = has_value || found->takes == Takes::kNothing ? 0
           : found->takes == Takes::kOne                ? 1
                                                        : SIZE_MAX;
  }
  if (owed > 0) return invalid_input(command, fmt::format("{} needs a value", last));
  return ok();
}

}  // namespace graupel::hailo
