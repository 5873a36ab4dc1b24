// graupel inspect: what is in a file graupel knows.
#include <fmt/format.h>

#include "cli/command.h"
#include "deploy/inspect.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input;
  deploy::HefQuestions questions;
};

std::string text_of(const Json& json, int depth) {
  const std::string indent(static_cast<size_t>(depth) * 2, ' ');
  std::string text;
  for (const auto& [key, value] : json.items()) {
    const std::string name = json.is_array() ? "-" : key + ":";
    const bool flat = value.is_primitive() ||
                      (value.is_array() && !value.empty() && value.front().is_primitive());
    if (value.is_string()) {
      text += fmt::format("{}{} {}\n", indent, name, value.get_ref<const std::string&>());
    } else if (flat) {
      text += fmt::format("{}{} {}\n", indent, name,
                          value.dump(-1, ' ', false, Json::error_handler_t::replace));
    } else {
      text += fmt::format("{}{}\n{}", indent, name, text_of(value, depth + 1));
    }
  }
  return text;
}

Result<int> run(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(const Json json, deploy::inspect(flags.input, flags.questions));
  print_json(globals, json);
  print(globals, text_of(json, 0));
  for (const Json& finding : json.value("findings", Json::array())) {
    if (finding["severity"] == "error") return kMissed;
  }
  return kDone;
}

}  // namespace

void add_inspect(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  flags->questions.machine_root = "/";
  CLI::App* verb = add_verb(
      app, globals, "inspect", "what is in an .onnx, .npy, .npz, .hef, .har, .alls or bundle",
      "graupel inspect model.graupel", [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "the file")->required();
  verb->add_option("--against", flags->questions.against, "a HEF: hold it against this bundle");
  verb->add_option(
      "--hailort", flags->questions.hailort,
      "a HEF: does this version of HailoRT read it, e.g. 4.20.0 (default: the installed)");
  verb->add_option("--arch", flags->questions.arch, "a HEF: does this device load it")
      ->check(CLI::IsMember({"hailo8", "hailo8l", "hailo15h", "hailo15m", "hailo15l", "hailo10h"}));
}

}  // namespace graupel::cli
