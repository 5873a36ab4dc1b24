// graupel check: what the target takes and what it does not, rule by rule.
#include "check/format.h"
#include "cli/command.h"

namespace graupel::cli {
namespace {

struct Flags {
  std::string input;
  std::string target = "hailo8";
  std::string format = "text";
  std::string explain;
  ModelFlags model;
  bool list_rules = false;
  bool as_is = false;
};

std::string formatted(const check::CheckReport& report, const check::Target& target,
                      const std::string& format) {
  if (format == "json") return check::format_json(report) + "\n";
  if (format == "sarif") return check::format_sarif(report, target) + "\n";
  if (format == "markdown") return check::format_markdown(report);
  return check::format_text(report);
}

Result<int> run(const Globals& globals, const Flags& flags) {
  TRY_ASSIGN(const check::Target target, check::load_target(flags.target));
  if (flags.list_rules) {
    print(globals, check::list_rules(target));
    Json rules = Json::array();
    for (const check::Rule& rule : target.rules) {
      rules.push_back({{"id", rule.id}, {"severity", check::to_string(rule.severity)}});
    }
    print_json(globals, rules);
    return kDone;
  }
  if (!flags.explain.empty()) {
    TRY_ASSIGN(const std::string text, check::explain(target, flags.explain));
    print(globals, text);
    print_json(globals, {{"rule", flags.explain}, {"text", text}});
    return kDone;
  }
  if (flags.input.empty()) return invalid_input("usage", "name an .onnx file to check");
  TRY_ASSIGN(const onnx::ReadOptions read, read_options(flags.model));
  TRY_ASSIGN(const check::CheckReport report,
             deploy::check_file(flags.input, target, read, flags.as_is));
  print(globals, formatted(report, target, flags.format));
  print_json(globals, Json::parse(check::format_json(report), nullptr, false));
  return report.passed() ? kDone : kMissed;
}

}  // namespace

void add_check(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "check", "judge every node against a target",
                            "graupel check model.onnx --target hailo8l --format markdown",
                            [&globals, flags] { return run(globals, *flags); });
  verb->add_option("input", flags->input, "the .onnx file");
  verb->add_option("--target", flags->target, "hailo8, hailo8l, cpu, or a target's .toml")
      ->capture_default_str();
  verb->add_option("--format", flags->format, "text, json, sarif or markdown")
      ->check(CLI::IsMember({"text", "json", "sarif", "markdown"}))
      ->capture_default_str();
  verb->add_flag("--as-is", flags->as_is, "judge the file itself, not its simplified form");
  verb->add_flag("--list-rules", flags->list_rules, "list the target's rules");
  verb->add_option("--explain", flags->explain, "everything about one RULE");
  add_model_flags(*verb, flags->model);
}

}  // namespace graupel::cli
