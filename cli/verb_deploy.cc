// graupel deploy: every stage in one command, one bundle and one report out.
#include <fmt/format.h>

#include <filesystem>

#include "cli/command.h"
#include "deploy/deploy.h"
#include "deploy/json.h"

namespace graupel::cli {
namespace {

struct Flags {
  deploy::DeployOptions options;
  ModelFlags model;
  SimplifyFlags simplify;
  CutFlags cut;
  QuantizeFlags quantize;
  std::string class_names;
};

Json deploy_json(const deploy::Deployed& deployed, const deploy::DeployOptions& options) {
  Json json = deploy::parse_json(deployed.parsed);
  json.update({{"bundle", options.output}, {"report", options.report}});
  json["calibration"] = deploy::calibration_json(deployed.optimized.calibration);
  json["optimize"] = deploy::quantized_json(deployed.optimized.quantized);
  json["bars"] = deploy::judgements_json(deployed.validated.judgements);
  return json;
}

Result<int> run(const Globals& globals, Flags flags) {
  deploy::DeployOptions& options = flags.options;
  TRY_ASSIGN(options.parse.read, read_options(flags.model));
  TRY_ASSIGN(options.parse.simplify, simplify_options(flags.simplify));
  TRY_ASSIGN(options.parse.class_names, read_class_names(flags.class_names));
  TRY_ASSIGN(options.quantize, quantize_options(flags.quantize));
  options.parse.cut = {flags.cut.end_nodes, flags.cut.start_nodes};
  if (options.report.empty()) {
    options.report = (std::filesystem::path(options.output).parent_path() / "report.html").string();
  }
  if (on_terminal() && !globals.json) {
    options.progress = [&globals](std::string_view stage) { note(globals, std::string(stage)); };
  }
  TRY_ASSIGN(const deploy::Deployed deployed, deploy::deploy(options));
  show_calibration(globals, deployed.calibration, deployed.optimized.calibration);
  print_json(globals, deploy_json(deployed, options));
  int code = show_verdict(globals, deployed.validated.judgements);
  print(globals, fmt::format("\nbundle: {}\nreport: {}\n", options.output, options.report));
  code |= show_goals(globals, deployed.optimized.quantized, options.quantize.goals);
  return deployed.parsed.findings.passed() ? code : kMissed;
}

}  // namespace

void add_deploy(CLI::App& app, Globals& globals) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* verb = add_verb(app, globals, "deploy", "all stages: .onnx in, bundle and report out",
                            "graupel deploy model.onnx --calib windows.npy --labels labels.npy -o "
                            "model.graupel",
                            [&globals, flags] { return run(globals, *flags); });
  deploy::DeployOptions& options = flags->options;
  verb->add_option("input", options.model, "the .onnx file")->required();
  verb->add_option("-o,--output", options.output, "the bundle to write")->required();
  verb->add_option("--report", options.report, "the HTML report (default: report.html beside it)");
  verb->add_option("--target", options.parse.target, "hailo8, hailo8l, cpu, or a target's .toml")
      ->capture_default_str();
  verb->add_option("--class-names", flags->class_names, "text file, one class per line");
  verb->add_option("--calib-groups", options.calibration.groups, "whose window each one is");
  verb->add_option("--validate", options.validation.windows, "windows the verdict is measured on");
  verb->add_option("--validate-labels", options.validation.labels, "their classes");
  verb->add_option("--bar", options.validate.bars, "set a bar: ID=LIMIT (repeatable)");
  add_window_flags(*verb, options.calibration, "--calib", "calibration windows, or 'random'");
  add_labels_flag(*verb, options.calibration);
  add_model_flags(*verb, flags->model);
  add_simplify_flags(*verb, flags->simplify);
  add_cut_flags(*verb, flags->cut);
  add_quantize_flags(*verb, flags->quantize);
}

}  // namespace graupel::cli
